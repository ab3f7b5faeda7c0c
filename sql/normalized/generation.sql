/*---
description = "Net generation of each respondent by EIA fuel code, one row an hour and code; normalized.fuel gives each code's family."
materialized = "table"
grain = ["region", "hour_utc", "fuel"]
lookback = "0h"

[columns]
region = "Respondent, EIA code; authorities and, where synced, aggregates."
hour_utc = "Start of the hour, UTC (EIA's period is its end)."
fuel = "EIA fuel code as reported, old or new."
generation_mwh = "Net generation, MWh; storage is negative while it charges, and small negative values of other fuels are self-use."

[[audits]]
not_null = ["region", "hour_utc", "fuel"]
[[audits]]
sql = "select distinct fuel from normalized.generation where fuel not in (select fuel from normalized.fuel)"
severity = "warn"
description = "fuel codes that normalized.fuel does not know; they count as unknown"
[[audits]]
sql = "select distinct region from normalized.generation where region not in (select region from normalized.region)"
severity = "warn"
description = "respondents that normalized.region does not know"
---*/
select
    respondent as region,
    period - interval 1 hour as hour_utc,
    fueltype as fuel,
    value as generation_mwh
from staging.eia.fuel_type_data
