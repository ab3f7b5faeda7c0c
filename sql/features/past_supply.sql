/*---
description = """
Lags and statistics of generation in the hours before t: one row for every hour t of every authority. All columns are [past]:
computed from hours before t only. Net load is demand_screened_mwh minus solar and wind (see features.past_demand); solar and wind
count as 0 only as in normalized.grid. Intermittency is the variation of solar and wind from one hour to the next.
Windows count hours, not values: a missing value stays NULL and is left out of a mean; it is never filled.
"""
materialized = "inline"
grain = ["region", "hour_utc"]
lookback = "169h"  # the change in hour t-168 uses t-169

[columns]
net_load_lag_1h_mwh = "[past] Net load (demand minus solar and wind) at t-1, MWh."
net_load_lag_24h_mwh = "[past] Net load (demand minus solar and wind) at t-24, MWh."
net_load_lag_168h_mwh = "[past] Net load (demand minus solar and wind) at t-168, MWh."
net_load_ramp_1h_mwh = "[past] Net load at t-1 minus that at t-2, MWh."
net_load_ramp_3h_mwh = "[past] Net load at t-1 minus that at t-4, MWh."
net_load_ramp_6h_mwh = "[past] Net load at t-1 minus that at t-7, MWh."
net_load_mean_24h_mwh = "[past] Mean net load of t-24..t-1, MWh."
net_load_std_24h_mwh = "[past] Sample standard deviation of net load in t-24..t-1, MWh; NULL with fewer than two values."
net_load_max_24h_mwh = "[past] Maximum net load of t-24..t-1, MWh."
solar_lag_24h_mwh = "[past] Solar at t-24, MWh."
wind_lag_24h_mwh = "[past] Wind at t-24, MWh."
solar_wind_ramp_1h_mwh = "[past] Solar and wind at t-1 minus that at t-2, MWh."
solar_wind_ramp_3h_mwh = "[past] Solar and wind at t-1 minus that at t-4, MWh."
solar_wind_ramp_6h_mwh = "[past] Solar and wind at t-1 minus that at t-7, MWh."
renewable_lag_1h_ratio = "[past] Solar, wind and hydro over the sum of fuels at t-1."
renewable_lag_24h_ratio = "[past] Solar, wind and hydro over the sum of fuels at t-24."
renewable_mean_24h_ratio = "[past] Sum of solar, wind and hydro over the sum of all fuels, for the hours of t-24..t-1 that have both."
solar_wind_mean_24h_mwh = "[past] Mean of solar and wind over t-24..t-1, MWh."
solar_wind_ramp_std_24h_mwh = "[past] Intermittency: sample standard deviation of the hourly changes of solar and wind in t-24..t-1, MWh."
solar_wind_ramp_std_168h_mwh = "[past] Intermittency: sample standard deviation of the hourly changes of solar and wind in t-168..t-1, MWh."
intermittency_24h_ratio = "[past] Intermittency: solar_wind_ramp_std_24h_mwh over solar_wind_mean_24h_mwh."
net_generation_lag_1h_mwh = "[past] Net generation at t-1, MWh."
net_generation_lag_24h_mwh = "[past] Net generation at t-24, MWh."
---*/
-- Sums use decimals, as in features.past_demand.
with changed as (
    select
        region,
        hour_utc,
        case when demand_screened_mwh is not null then net_load_mwh end as net_load_mwh,
        net_generation_mwh,
        solar_mwh,
        wind_mwh,
        solar_wind_mwh,
        solar_wind_mwh - lag(solar_wind_mwh, 1) over (partition by region order by hour_utc) as change_mwh,
        renewable_mwh,
        fuel_sum_mwh
    from normalized.grid_screened
),

units as (
    select
        *,
        try_cast(net_load_mwh as decimal(16, 4)) as net_load_exact,
        cast(net_load_exact as decimal(20, 4)) * net_load_exact as net_load_square,
        try_cast(solar_wind_mwh as decimal(16, 4)) as solar_wind_exact,
        try_cast(change_mwh as decimal(16, 4)) as change_exact,
        cast(change_exact as decimal(20, 4)) * change_exact as change_square,
        try_cast(renewable_mwh as decimal(16, 4)) as renewable_exact,
        try_cast(fuel_sum_mwh as decimal(16, 4)) as fuel_exact
    from changed
),

windowed as (
    select
        region,
        hour_utc,
        lag(net_load_mwh, 1) over hours as net_load_lag_1h_mwh,
        lag(net_load_mwh, 24) over hours as net_load_lag_24h_mwh,
        lag(net_load_mwh, 168) over hours as net_load_lag_168h_mwh,
        lag(net_load_mwh, 2) over hours as net_load_lag_2h_mwh,
        lag(net_load_mwh, 4) over hours as net_load_lag_4h_mwh,
        lag(net_load_mwh, 7) over hours as net_load_lag_7h_mwh,
        count(net_load_exact) over past_24h as net_load_count,
        sum(net_load_exact) over past_24h as net_load_sum,
        sum(net_load_square) over past_24h as net_load_square_sum,
        max(net_load_mwh) over past_24h as net_load_max_24h_mwh,
        lag(solar_mwh, 24) over hours as solar_lag_24h_mwh,
        lag(wind_mwh, 24) over hours as wind_lag_24h_mwh,
        lag(solar_wind_mwh, 1) over hours as solar_wind_lag_1h_mwh,
        lag(solar_wind_mwh, 2) over hours as solar_wind_lag_2h_mwh,
        lag(solar_wind_mwh, 4) over hours as solar_wind_lag_4h_mwh,
        lag(solar_wind_mwh, 7) over hours as solar_wind_lag_7h_mwh,
        lag(renewable_mwh / nullif(fuel_sum_mwh, 0), 1) over hours as renewable_lag_1h_ratio,
        lag(renewable_mwh / nullif(fuel_sum_mwh, 0), 24) over hours as renewable_lag_24h_ratio,
        sum(renewable_exact) filter (where fuel_exact is not null) over past_24h as renewable_sum,
        sum(fuel_exact) filter (where renewable_exact is not null) over past_24h as fuel_sum,
        avg(solar_wind_exact) over past_24h as solar_wind_mean,
        count(change_exact) over past_24h as change_count_24h,
        sum(change_exact) over past_24h as change_sum_24h,
        sum(change_square) over past_24h as change_square_sum_24h,
        count(change_exact) over past_168h as change_count_168h,
        sum(change_exact) over past_168h as change_sum_168h,
        sum(change_square) over past_168h as change_square_sum_168h,
        lag(net_generation_mwh, 1) over hours as net_generation_lag_1h_mwh,
        lag(net_generation_mwh, 24) over hours as net_generation_lag_24h_mwh
    from units
    window
        hours as (partition by region order by hour_utc),
        past_24h as (partition by region order by hour_utc rows between 24 preceding and 1 preceding),
        past_168h as (partition by region order by hour_utc rows between 168 preceding and 1 preceding)
)

select
    region,
    hour_utc,
    net_load_lag_1h_mwh,
    net_load_lag_24h_mwh,
    net_load_lag_168h_mwh,
    net_load_lag_1h_mwh - net_load_lag_2h_mwh as net_load_ramp_1h_mwh,
    net_load_lag_1h_mwh - net_load_lag_4h_mwh as net_load_ramp_3h_mwh,
    net_load_lag_1h_mwh - net_load_lag_7h_mwh as net_load_ramp_6h_mwh,
    net_load_sum / nullif(net_load_count, 0) as net_load_mean_24h_mwh,
    case
        when net_load_count > 1
            then sqrt((cast(net_load_count as decimal(3, 0)) * cast(net_load_square_sum as decimal(35, 8)) - cast(net_load_sum as decimal(19, 4)) * cast(net_load_sum as decimal(19, 4))) / (net_load_count * (net_load_count - 1)))
    end as net_load_std_24h_mwh,
    net_load_max_24h_mwh,
    solar_lag_24h_mwh,
    wind_lag_24h_mwh,
    solar_wind_lag_1h_mwh - solar_wind_lag_2h_mwh as solar_wind_ramp_1h_mwh,
    solar_wind_lag_1h_mwh - solar_wind_lag_4h_mwh as solar_wind_ramp_3h_mwh,
    solar_wind_lag_1h_mwh - solar_wind_lag_7h_mwh as solar_wind_ramp_6h_mwh,
    renewable_lag_1h_ratio,
    renewable_lag_24h_ratio,
    renewable_sum / nullif(fuel_sum, 0) as renewable_mean_24h_ratio,
    solar_wind_mean as solar_wind_mean_24h_mwh,
    case
        when change_count_24h > 1
            then sqrt((cast(change_count_24h as decimal(3, 0)) * cast(change_square_sum_24h as decimal(35, 8)) - cast(change_sum_24h as decimal(19, 4)) * cast(change_sum_24h as decimal(19, 4))) / (change_count_24h * (change_count_24h - 1)))
    end as solar_wind_ramp_std_24h_mwh,
    case
        when change_count_168h > 1
            then sqrt((cast(change_count_168h as decimal(3, 0)) * cast(change_square_sum_168h as decimal(35, 8)) - cast(change_sum_168h as decimal(19, 4)) * cast(change_sum_168h as decimal(19, 4))) / (change_count_168h * (change_count_168h - 1)))
    end as solar_wind_ramp_std_168h_mwh,
    solar_wind_ramp_std_24h_mwh / nullif(solar_wind_mean_24h_mwh, 0) as intermittency_24h_ratio,
    net_generation_lag_1h_mwh,
    net_generation_lag_24h_mwh
from windowed
