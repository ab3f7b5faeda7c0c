/*---
description = """
Hourly interchange of each respondent with each neighbor, as that respondent reports it. Most pairs are in the table twice, once from
each side, and the two sides often disagree: never add both.
"""
materialized = "table"
grain = ["region", "neighbor", "hour_utc"]
lookback = "0h"

[columns]
region = "Respondent that reports the value, EIA code (fromba)."
neighbor = "Its neighbor, EIA code, which may be a foreign system (toba)."
hour_utc = "Start of the hour, UTC (EIA's period is its end)."
interchange_mwh = "Net interchange from region to neighbor, MWh; positive = export."

[[audits]]
not_null = ["region", "neighbor", "hour_utc"]
[[audits]]
sql = """
select distinct region, neighbor from normalized.interchange
where region not in (select region from normalized.region) or neighbor not in (select region from normalized.region)
"""
severity = "warn"
description = "regions or neighbors that normalized.region does not know"
---*/
select
    fromba as region,
    toba as neighbor,
    period - interval 1 hour as hour_utc,
    value as interchange_mwh
from staging.eia.interchange_data
