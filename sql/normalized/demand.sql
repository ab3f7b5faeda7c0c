/*---
description = """
What each respondent reports about itself, one row an hour: demand, day-ahead forecast, net generation, total interchange.
A row exists where the source has a row of any of the four types, even one without a value. Aggregates are here when they were
synced; join normalized.region on kind to leave them out. Values are as reported: absurd ones are kept, missing ones are NULL.
"""
materialized = "table"
grain = ["region", "hour_utc"]
lookback = "0h"

[columns]
region = "Respondent, EIA code; authorities and, where synced, aggregates."
hour_utc = "Start of the hour, UTC (EIA's period is its end)."
demand_mwh = "Demand as reported (type D), MWh."
demand_forecast_mwh = "Demand forecast made the day before (type DF), MWh; runs up to a day and a half beyond the actuals."
net_generation_mwh = "Net generation (type NG), MWh."
total_interchange_mwh = "Net interchange with all neighbors (type TI), MWh; positive = export."

[[audits]]
unique = ["region", "hour_utc"]
[[audits]]
not_null = ["region", "hour_utc"]
[[audits]]
sql = "select distinct region from normalized.demand where region not in (select region from normalized.region)"
severity = "warn"
description = "respondents that normalized.region does not know"
[[audits]]
sql = """
select d.* from normalized.demand d join normalized.region r using (region)
where r.kind = 'authority' and d.demand_mwh not between 0 and 250000
"""
severity = "warn"
description = "demand that no authority can have; kept as reported"
---*/
select
    respondent as region,
    period - interval 1 hour as hour_utc,
    max(value) filter (where type = 'D') as demand_mwh,
    max(value) filter (where type = 'DF') as demand_forecast_mwh,
    max(value) filter (where type = 'NG') as net_generation_mwh,
    max(value) filter (where type = 'TI') as total_interchange_mwh
from staging.eia.region_data
where type in ('D', 'DF', 'NG', 'TI')
group by respondent, period
