/*---
description = """
Contents of EIA's half-year files of kind SUBREGION, one row for each respondent, subregion and hour.
An hour that is in two files has the newest value (see normalized.filed_balance).
"""
materialized = "inline"
grain = ["region", "subregion", "period"]

[columns]
period = "End of the hour, UTC."
region = "Balancing authority, EIA code."
subregion = "Subregion, EIA code."
demand_mwh = "Demand as reported, MWh."
known_from_utc = "When the value became known here, UTC."
---*/
select * exclude (file)
from staging.eia_files.subregion
where not (month(period) in (1, 6, 7, 12) and (day(period) <= 3 or day(period) >= 28))
union all by name
select
    region,
    subregion,
    period,
    max(known_from_utc) as known_from_utc,
    arg_max(columns('_mwh$'), (known_from_utc, file))
from staging.eia_files.subregion
where month(period) in (1, 6, 7, 12) and (day(period) <= 3 or day(period) >= 28)
group by region, subregion, period
