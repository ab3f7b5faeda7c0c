/*---
description = """
Hours that each authority covers, one row a region and month: from its first to its last hour with demand, generation or interchange,
without a gap. Unfolding first_hour_utc..last_hour_utc gives the hour spine of normalized.grid and features.calendar.
A day-ahead forecast counts, so the spine continues to the end of the newest forecast, where all other values are still NULL.
Aggregates and foreign systems are left out; a code that is not in normalized.region counts as a new authority.
"""
materialized = "table"
refresh = "full"
grain = ["region", "month_utc"]
time_column = "month_utc"

[columns]
region = "Balancing authority, EIA code."
month_utc = "First hour of the month that the row describes, UTC."
first_hour_utc = "Start of the first hour covered in this month, UTC."
last_hour_utc = "Start of the last hour covered in this month, UTC."
solar_from_utc = "Hour of this month from which the region is known to have solar (it has reported a value); NULL if not yet."
wind_from_utc = "Hour of this month from which the region is known to have wind; NULL if not yet."
hydro_from_utc = "Hour of this month from which the region is known to have hydro; NULL if not yet."

[[audits]]
unique = ["region", "month_utc"]
[[audits]]
not_null = ["region", "month_utc", "first_hour_utc", "last_hour_utc"]
---*/
with reported as (
    select
        region,
        min(hour_utc) as first_hour_utc,
        max(hour_utc) as last_hour_utc,
        null as solar_utc,
        null as wind_utc,
        null as hydro_utc
    from normalized.demand_reported
    group by region
    union all
    select
        g.region,
        min(g.hour_utc),
        max(g.hour_utc),
        min(g.hour_utc) filter (where f.family = 'solar' and g.generation_mwh is not null),
        min(g.hour_utc) filter (where f.family = 'wind' and g.generation_mwh is not null),
        min(g.hour_utc) filter (where f.family = 'hydro' and g.generation_mwh is not null)
    from normalized.generation_reported as g
    left join normalized.fuel as f on f.fuel = g.fuel
    group by g.region
    union all
    select region, min(hour_utc), max(hour_utc), null, null, null
    from normalized.interchange
    group by region
),

whole as (
    select
        region,
        min(first_hour_utc) as first_hour_utc,
        max(last_hour_utc) as last_hour_utc,
        min(solar_utc) as solar_utc,
        min(wind_utc) as wind_utc,
        min(hydro_utc) as hydro_utc
    from reported
    where region not in (select region from normalized.region where kind <> 'authority')
    group by region
),

months as (
    select
        *,
        unnest(generate_series(date_trunc('month', first_hour_utc), last_hour_utc, interval 1 month)) as month_utc
    from whole
)

select
    region,
    month_utc,
    greatest(first_hour_utc, month_utc) as first_hour_utc,
    least(last_hour_utc, month_utc + interval 1 month - interval 1 hour) as last_hour_utc,
    case when solar_utc < month_utc + interval 1 month then greatest(solar_utc, month_utc) end as solar_from_utc,
    case when wind_utc < month_utc + interval 1 month then greatest(wind_utc, month_utc) end as wind_from_utc,
    case when hydro_utc < month_utc + interval 1 month then greatest(hydro_utc, month_utc) end as hydro_from_utc
from months
