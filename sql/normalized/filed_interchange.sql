/*---
description = """
Contents of EIA's half-year files of kind INTERCHANGE, one row for each respondent, neighbor and hour.
An hour that is in two files has the newest value (see normalized.filed_balance).
"""
materialized = "inline"
grain = ["region", "neighbor", "period"]

[columns]
period = "End of the hour, UTC."
region = "Respondent that reports the value, EIA code."
neighbor = "Its neighbor, EIA code."
interchange_mwh = "Net interchange from region to neighbor, MWh; positive = export."
known_from_utc = "When the value became known here, UTC."
---*/
select * exclude (file)
from staging.eia_files.interchange
where not (month(period) in (1, 6, 7, 12) and (day(period) <= 3 or day(period) >= 28))
union all by name
select
    region,
    neighbor,
    period,
    max(known_from_utc) as known_from_utc,
    arg_max(columns('_mwh$'), (known_from_utc, file))
from staging.eia_files.interchange
where month(period) in (1, 6, 7, 12) and (day(period) <= 3 or day(period) >= 28)
group by region, neighbor, period
