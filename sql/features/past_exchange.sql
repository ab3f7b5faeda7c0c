/*---
description = """
Interchange, and demand of the neighbors, in the hours before t: one row for every hour t of every authority. All columns are
[past]: computed from hours before t only. Neighbors are the authorities of seeds.interchange_pair; foreign
systems do not report their demand. A neighbor's demand is its demand_screened_mwh (see features.past_demand). A sum over neighbors
is lower if one of them has no value: neighbor_count_lag_1h counts those with a value, and the growth uses the same neighbors at
both times.
"""
materialized = "inline"
grain = ["region", "hour_utc"]
lookback = "168h"

[columns]
interchange_lag_1h_mwh = "[past] Total interchange at t-1, MWh; positive = export."
interchange_lag_24h_mwh = "[past] Total interchange at t-24, MWh; positive = export."
interchange_lag_168h_mwh = "[past] Total interchange at t-168, MWh; positive = export."
interchange_ramp_1h_mwh = "[past] Total interchange at t-1 minus that at t-2, MWh; positive = export."
interchange_ramp_3h_mwh = "[past] Total interchange at t-1 minus that at t-4, MWh; positive = export."
import_dependence_24h_ratio = "[past] Sum of net imports (total interchange with the sign reversed) over the sum of demand, for the hours of t-24..t-1 that have both; negative if the region exports."
import_lag_24h_mwh = "[past] Sum of the imports from neighbors at t-24, MWh; positive."
export_lag_24h_mwh = "[past] Sum of the exports to neighbors at t-24, MWh; positive."
neighbor_count_lag_1h = "[past] Count of neighbors with a demand at t-1."
neighbor_demand_lag_1h_mwh = "[past] Sum of the demand at t-1 of the neighbors with a value, MWh."
neighbor_demand_lag_24h_mwh = "[past] Sum of the demand at t-24 of the neighbors with a value, MWh."
neighbor_demand_growth_24h_ratio = "[past] Sum of the demand at t-1 over that at t-25, for the neighbors with both, minus 1."
---*/
-- Sums use decimals, as in features.past_demand.
with units as (
    select
        region,
        hour_utc,
        total_interchange_mwh,
        import_mwh,
        export_mwh,
        try_cast(demand_screened_mwh as decimal(16, 4)) as demand_exact,
        try_cast(total_interchange_mwh as decimal(16, 4)) as interchange_exact
    from normalized.grid_screened
),

days as (
    select
        region,
        hour_utc,
        demand_exact,
        lag(demand_exact, 24) over (partition by region order by hour_utc) as day_before_exact
    from units
),

around as (
    select
        p.region,
        d.hour_utc,
        cast(count(d.demand_exact) as smallint) as neighbor_count,
        sum(d.demand_exact) as neighbor_exact,
        sum(d.demand_exact) filter (where d.day_before_exact is not null) as both_exact,
        sum(d.day_before_exact) filter (where d.demand_exact is not null) as day_before_exact
    from days as d
    inner join seeds.interchange_pair as p on p.neighbor = d.region
    group by p.region, d.hour_utc
),

windowed as (
    select
        u.region,
        u.hour_utc,
        lag(total_interchange_mwh, 1) over hours as interchange_lag_1h_mwh,
        lag(total_interchange_mwh, 24) over hours as interchange_lag_24h_mwh,
        lag(total_interchange_mwh, 168) over hours as interchange_lag_168h_mwh,
        lag(total_interchange_mwh, 2) over hours as interchange_lag_2h_mwh,
        lag(total_interchange_mwh, 4) over hours as interchange_lag_4h_mwh,
        sum(interchange_exact) filter (where demand_exact is not null) over past_24h as interchange_sum,
        sum(demand_exact) filter (where interchange_exact is not null) over past_24h as demand_sum,
        lag(import_mwh, 24) over hours as import_lag_24h_mwh,
        lag(export_mwh, 24) over hours as export_lag_24h_mwh,
        lag(neighbor_count, 1) over hours as neighbor_count_lag_1h,
        lag(neighbor_exact, 1) over hours as neighbor_lag_1h,
        lag(neighbor_exact, 24) over hours as neighbor_lag_24h,
        lag(both_exact, 1) over hours as both_lag_1h,
        lag(day_before_exact, 1) over hours as both_lag_25h
    from units as u
    left join around as a on a.region = u.region and a.hour_utc = u.hour_utc
    window
        hours as (partition by u.region order by u.hour_utc),
        past_24h as (partition by u.region order by u.hour_utc rows between 24 preceding and 1 preceding)
)

select
    region,
    hour_utc,
    interchange_lag_1h_mwh,
    interchange_lag_24h_mwh,
    interchange_lag_168h_mwh,
    interchange_lag_1h_mwh - interchange_lag_2h_mwh as interchange_ramp_1h_mwh,
    interchange_lag_1h_mwh - interchange_lag_4h_mwh as interchange_ramp_3h_mwh,
    -interchange_sum / nullif(demand_sum, 0) as import_dependence_24h_ratio,
    import_lag_24h_mwh,
    export_lag_24h_mwh,
    neighbor_count_lag_1h,
    cast(neighbor_lag_1h as double) as neighbor_demand_lag_1h_mwh,
    cast(neighbor_lag_24h as double) as neighbor_demand_lag_24h_mwh,
    both_lag_1h / nullif(both_lag_25h, 0) - 1 as neighbor_demand_growth_24h_ratio
from windowed
