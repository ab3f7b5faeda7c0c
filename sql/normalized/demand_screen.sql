/*---
description = """
What is suspicious about the demand of each respondent, one row for every hour from its first to its last demand. The screening looks
at the hours around as well; demand_screened_mwh alone does not look at any later hour, so that features may use it.
"""
materialized = "table"
grain = ["region", "hour_utc"]
lookback = "0h"

[columns]
region = "Respondent, EIA code; authorities and, where synced, aggregates."
hour_utc = "Start of the hour, UTC."
demand_mwh = "Demand as reported (type D), MWh."
demand_flag = "Why demand_mwh is not to be trusted, a code of normalized.flag; NULL where nothing is known against it."
demand_screened_mwh = "Demand as reported, MWh; NULL where by the end of that very hour it could be seen to be wrong. Looks at no later hour."

[[audits]]
unique = ["region", "hour_utc"]
[[audits]]
not_null = ["region", "hour_utc"]
---*/
with spine as (
    select region, unnest(generate_series(first_hour_utc, last_hour_utc, interval 1 hour)) as hour_utc
    from normalized.demand_span
),

flagged as (
    select
        s.region,
        s.hour_utc,
        d.demand_mwh,
        case
            when d.region is null then 'missing'
            when d.demand_mwh is null then 'null'
            when d.demand_mwh <= 0 then 'negative_or_zero'
        end as demand_flag
    from spine as s
    left join normalized.demand_reported as d on d.region = s.region and d.hour_utc = s.hour_utc
)

select
    region,
    hour_utc,
    demand_mwh,
    demand_flag,
    case when demand_flag is null then demand_mwh end as demand_screened_mwh
from flagged
