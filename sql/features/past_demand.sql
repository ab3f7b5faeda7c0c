/*---
description = """
Lags and statistics of demand in the hours before t: one row for every hour t of every authority. All columns are [past]: computed
from hours before t only. Demand here is demand_screened_mwh of normalized.grid, which uses no later hour; demand_clean_mwh is not
used, because its screening and repair use later hours.
Windows count hours, not values: a missing value stays NULL and is left out of a mean; it is never filled.
At the start of a region's history windows are shorter; demand_count_168h gives the number of values.
"""
materialized = "inline"
grain = ["region", "hour_utc"]
lookback = "336h"

[columns]
demand_lag_1h_mwh = "[past] Demand at t-1, MWh."
demand_lag_2h_mwh = "[past] Demand at t-2, MWh."
demand_lag_3h_mwh = "[past] Demand at t-3, MWh."
demand_lag_6h_mwh = "[past] Demand at t-6, MWh."
demand_lag_12h_mwh = "[past] Demand at t-12, MWh."
demand_lag_24h_mwh = "[past] Demand at t-24, MWh."
demand_lag_48h_mwh = "[past] Demand at t-48, MWh."
demand_lag_72h_mwh = "[past] Demand at t-72, MWh."
demand_lag_96h_mwh = "[past] Demand at t-96, MWh."
demand_lag_120h_mwh = "[past] Demand at t-120, MWh."
demand_lag_144h_mwh = "[past] Demand at t-144, MWh."
demand_lag_168h_mwh = "[past] Demand at t-168, MWh."
demand_lag_336h_mwh = "[past] Demand at t-336, MWh."
demand_ramp_1h_mwh = "[past] Demand at t-1 minus demand at t-2, MWh."
demand_ramp_3h_mwh = "[past] Demand at t-1 minus demand at t-4, MWh."
demand_ramp_6h_mwh = "[past] Demand at t-1 minus demand at t-7, MWh."
demand_count_168h = "[past] Hours with a demand among t-168..t-1; count."
demand_mean_3h_mwh = "[past] Mean demand of t-3..t-1, MWh."
demand_std_3h_mwh = "[past] Sample standard deviation of demand in t-3..t-1, MWh; NULL with fewer than two values."
demand_min_3h_mwh = "[past] Minimum demand of t-3..t-1, MWh."
demand_max_3h_mwh = "[past] Maximum demand of t-3..t-1, MWh."
demand_mean_6h_mwh = "[past] Mean demand of t-6..t-1, MWh."
demand_std_6h_mwh = "[past] Sample standard deviation of demand in t-6..t-1, MWh; NULL with fewer than two values."
demand_min_6h_mwh = "[past] Minimum demand of t-6..t-1, MWh."
demand_max_6h_mwh = "[past] Maximum demand of t-6..t-1, MWh."
demand_mean_12h_mwh = "[past] Mean demand of t-12..t-1, MWh."
demand_std_12h_mwh = "[past] Sample standard deviation of demand in t-12..t-1, MWh; NULL with fewer than two values."
demand_min_12h_mwh = "[past] Minimum demand of t-12..t-1, MWh."
demand_max_12h_mwh = "[past] Maximum demand of t-12..t-1, MWh."
demand_mean_24h_mwh = "[past] Mean demand of t-24..t-1, MWh."
demand_std_24h_mwh = "[past] Sample standard deviation of demand in t-24..t-1, MWh; NULL with fewer than two values."
demand_min_24h_mwh = "[past] Minimum demand of t-24..t-1, MWh."
demand_max_24h_mwh = "[past] Maximum demand of t-24..t-1, MWh."
demand_mean_48h_mwh = "[past] Mean demand of t-48..t-1, MWh."
demand_std_48h_mwh = "[past] Sample standard deviation of demand in t-48..t-1, MWh; NULL with fewer than two values."
demand_min_48h_mwh = "[past] Minimum demand of t-48..t-1, MWh."
demand_max_48h_mwh = "[past] Maximum demand of t-48..t-1, MWh."
demand_mean_72h_mwh = "[past] Mean demand of t-72..t-1, MWh."
demand_std_72h_mwh = "[past] Sample standard deviation of demand in t-72..t-1, MWh; NULL with fewer than two values."
demand_min_72h_mwh = "[past] Minimum demand of t-72..t-1, MWh."
demand_max_72h_mwh = "[past] Maximum demand of t-72..t-1, MWh."
demand_mean_168h_mwh = "[past] Mean demand of t-168..t-1, MWh."
demand_std_168h_mwh = "[past] Sample standard deviation of demand in t-168..t-1, MWh; NULL with fewer than two values."
demand_min_168h_mwh = "[past] Minimum demand of t-168..t-1, MWh."
demand_max_168h_mwh = "[past] Maximum demand of t-168..t-1, MWh."
demand_same_hour_mean_7d_mwh = "[past] Mean demand of the same hour of the past seven days, t-24, t-48, .. t-168, MWh."
demand_growth_24h_ratio = "[past] Demand at t-1 over demand at t-25, minus 1."
demand_growth_168h_ratio = "[past] Demand at t-1 over demand at t-169, minus 1."
demand_zscore_168h = "[past] Demand at t-1 minus the mean of t-168..t-1, over their standard deviation; no unit."
demand_is_peak_24h = "[past] True if demand at t-1 was the maximum of t-24..t-1."
demand_is_peak_168h = "[past] True if demand at t-1 was the maximum of t-168..t-1."
demand_of_max_24h_ratio = "[past] Demand at t-1 over the maximum of t-24..t-1."
demand_of_max_168h_ratio = "[past] Demand at t-1 over the maximum of t-168..t-1."
load_factor_24h_ratio = "[past] Load factor: mean over maximum demand of t-24..t-1."
load_factor_168h_ratio = "[past] Load factor: mean over maximum demand of t-168..t-1."
forecast_error_lag_24h_mwh = "[past] Demand minus its day-ahead forecast at t-24, MWh."
forecast_error_lag_168h_mwh = "[past] Demand minus its day-ahead forecast at t-168, MWh."
forecast_error_mean_24h_mwh = "[past] Mean of demand minus its day-ahead forecast over t-24..t-1, MWh."
forecast_error_abs_mean_24h_mwh = "[past] Mean of the absolute difference between demand and its day-ahead forecast over t-24..t-1, MWh."
forecast_error_mean_168h_mwh = "[past] Mean of demand minus its day-ahead forecast over t-168..t-1, MWh."
forecast_error_abs_mean_168h_mwh = "[past] Mean of the absolute difference between demand and its day-ahead forecast over t-168..t-1, MWh."
forecast_bias_same_hour_7d_mwh = "[past] Mean of demand minus its day-ahead forecast at the same hour of the past seven days, t-24, t-48, .. t-168, MWh."
---*/
-- Sums use decimals with four decimal places, the finest reported (by LGEE). They are exact: a row does not depend on the length
-- of the history before its window. Values of 1e12 MWh and more, which no grid has, do not fit and are left out. The casts below
-- leave room for 168 such squares. list_avg ignores NULL and adds in the order written.
with units as (
    select
        *,
        try_cast(demand_mwh as decimal(16, 4)) as demand_exact,
        cast(demand_exact as decimal(20, 4)) * demand_exact as demand_square,
        try_cast(error_mwh as decimal(16, 4)) as error_exact
    from (
        select
            region,
            hour_utc,
            demand_screened_mwh as demand_mwh,
            demand_screened_mwh - demand_forecast_mwh as error_mwh
        from normalized.grid_screened
    )
),

windowed as (
    select
        region,
        hour_utc,
        lag(demand_mwh, 1) over hours as demand_lag_1h_mwh,
        lag(demand_mwh, 2) over hours as demand_lag_2h_mwh,
        lag(demand_mwh, 3) over hours as demand_lag_3h_mwh,
        lag(demand_mwh, 4) over hours as demand_lag_4h_mwh,
        lag(demand_mwh, 6) over hours as demand_lag_6h_mwh,
        lag(demand_mwh, 7) over hours as demand_lag_7h_mwh,
        lag(demand_mwh, 12) over hours as demand_lag_12h_mwh,
        lag(demand_mwh, 24) over hours as demand_lag_24h_mwh,
        lag(demand_mwh, 25) over hours as demand_lag_25h_mwh,
        lag(demand_mwh, 48) over hours as demand_lag_48h_mwh,
        lag(demand_mwh, 72) over hours as demand_lag_72h_mwh,
        lag(demand_mwh, 96) over hours as demand_lag_96h_mwh,
        lag(demand_mwh, 120) over hours as demand_lag_120h_mwh,
        lag(demand_mwh, 144) over hours as demand_lag_144h_mwh,
        lag(demand_mwh, 168) over hours as demand_lag_168h_mwh,
        lag(demand_mwh, 169) over hours as demand_lag_169h_mwh,
        lag(demand_mwh, 336) over hours as demand_lag_336h_mwh,
        lag(error_mwh, 24) over hours as error_24h,
        lag(error_mwh, 48) over hours as error_48h,
        lag(error_mwh, 72) over hours as error_72h,
        lag(error_mwh, 96) over hours as error_96h,
        lag(error_mwh, 120) over hours as error_120h,
        lag(error_mwh, 144) over hours as error_144h,
        lag(error_mwh, 168) over hours as error_168h,
        count(demand_exact) over past_3h as count_3h,
        sum(demand_exact) over past_3h as sum_3h,
        sum(demand_square) over past_3h as square_sum_3h,
        min(demand_mwh) over past_3h as min_3h,
        max(demand_mwh) over past_3h as max_3h,
        count(demand_exact) over past_6h as count_6h,
        sum(demand_exact) over past_6h as sum_6h,
        sum(demand_square) over past_6h as square_sum_6h,
        min(demand_mwh) over past_6h as min_6h,
        max(demand_mwh) over past_6h as max_6h,
        count(demand_exact) over past_12h as count_12h,
        sum(demand_exact) over past_12h as sum_12h,
        sum(demand_square) over past_12h as square_sum_12h,
        min(demand_mwh) over past_12h as min_12h,
        max(demand_mwh) over past_12h as max_12h,
        count(demand_exact) over past_24h as count_24h,
        sum(demand_exact) over past_24h as sum_24h,
        sum(demand_square) over past_24h as square_sum_24h,
        min(demand_mwh) over past_24h as min_24h,
        max(demand_mwh) over past_24h as max_24h,
        count(demand_exact) over past_48h as count_48h,
        sum(demand_exact) over past_48h as sum_48h,
        sum(demand_square) over past_48h as square_sum_48h,
        min(demand_mwh) over past_48h as min_48h,
        max(demand_mwh) over past_48h as max_48h,
        count(demand_exact) over past_72h as count_72h,
        sum(demand_exact) over past_72h as sum_72h,
        sum(demand_square) over past_72h as square_sum_72h,
        min(demand_mwh) over past_72h as min_72h,
        max(demand_mwh) over past_72h as max_72h,
        count(demand_exact) over past_168h as count_168h,
        sum(demand_exact) over past_168h as sum_168h,
        sum(demand_square) over past_168h as square_sum_168h,
        min(demand_mwh) over past_168h as min_168h,
        max(demand_mwh) over past_168h as max_168h,
        avg(error_exact) over past_24h as error_mean_24h,
        avg(abs(error_exact)) over past_24h as error_abs_mean_24h,
        avg(error_exact) over past_168h as error_mean_168h,
        avg(abs(error_exact)) over past_168h as error_abs_mean_168h
    from units
    window
        hours as (partition by region order by hour_utc),
        past_3h as (partition by region order by hour_utc rows between 3 preceding and 1 preceding),
        past_6h as (partition by region order by hour_utc rows between 6 preceding and 1 preceding),
        past_12h as (partition by region order by hour_utc rows between 12 preceding and 1 preceding),
        past_24h as (partition by region order by hour_utc rows between 24 preceding and 1 preceding),
        past_48h as (partition by region order by hour_utc rows between 48 preceding and 1 preceding),
        past_72h as (partition by region order by hour_utc rows between 72 preceding and 1 preceding),
        past_168h as (partition by region order by hour_utc rows between 168 preceding and 1 preceding)
),

measured as (
    select
        *,
        sum_3h / nullif(count_3h, 0) as mean_3h,
        sum_6h / nullif(count_6h, 0) as mean_6h,
        sum_12h / nullif(count_12h, 0) as mean_12h,
        sum_24h / nullif(count_24h, 0) as mean_24h,
        sum_48h / nullif(count_48h, 0) as mean_48h,
        sum_72h / nullif(count_72h, 0) as mean_72h,
        sum_168h / nullif(count_168h, 0) as mean_168h,
        case
            when count_3h > 1
                then sqrt((cast(count_3h as decimal(3, 0)) * cast(square_sum_3h as decimal(35, 8)) - cast(sum_3h as decimal(19, 4)) * cast(sum_3h as decimal(19, 4))) / (count_3h * (count_3h - 1)))
        end as std_3h,
        case
            when count_6h > 1
                then sqrt((cast(count_6h as decimal(3, 0)) * cast(square_sum_6h as decimal(35, 8)) - cast(sum_6h as decimal(19, 4)) * cast(sum_6h as decimal(19, 4))) / (count_6h * (count_6h - 1)))
        end as std_6h,
        case
            when count_12h > 1
                then sqrt((cast(count_12h as decimal(3, 0)) * cast(square_sum_12h as decimal(35, 8)) - cast(sum_12h as decimal(19, 4)) * cast(sum_12h as decimal(19, 4))) / (count_12h * (count_12h - 1)))
        end as std_12h,
        case
            when count_24h > 1
                then sqrt((cast(count_24h as decimal(3, 0)) * cast(square_sum_24h as decimal(35, 8)) - cast(sum_24h as decimal(19, 4)) * cast(sum_24h as decimal(19, 4))) / (count_24h * (count_24h - 1)))
        end as std_24h,
        case
            when count_48h > 1
                then sqrt((cast(count_48h as decimal(3, 0)) * cast(square_sum_48h as decimal(35, 8)) - cast(sum_48h as decimal(19, 4)) * cast(sum_48h as decimal(19, 4))) / (count_48h * (count_48h - 1)))
        end as std_48h,
        case
            when count_72h > 1
                then sqrt((cast(count_72h as decimal(3, 0)) * cast(square_sum_72h as decimal(35, 8)) - cast(sum_72h as decimal(19, 4)) * cast(sum_72h as decimal(19, 4))) / (count_72h * (count_72h - 1)))
        end as std_72h,
        case
            when count_168h > 1
                then sqrt((cast(count_168h as decimal(3, 0)) * cast(square_sum_168h as decimal(35, 8)) - cast(sum_168h as decimal(19, 4)) * cast(sum_168h as decimal(19, 4))) / (count_168h * (count_168h - 1)))
        end as std_168h
    from windowed
)

select
    region,
    hour_utc,
    demand_lag_1h_mwh,
    demand_lag_2h_mwh,
    demand_lag_3h_mwh,
    demand_lag_6h_mwh,
    demand_lag_12h_mwh,
    demand_lag_24h_mwh,
    demand_lag_48h_mwh,
    demand_lag_72h_mwh,
    demand_lag_96h_mwh,
    demand_lag_120h_mwh,
    demand_lag_144h_mwh,
    demand_lag_168h_mwh,
    demand_lag_336h_mwh,
    demand_lag_1h_mwh - demand_lag_2h_mwh as demand_ramp_1h_mwh,
    demand_lag_1h_mwh - demand_lag_4h_mwh as demand_ramp_3h_mwh,
    demand_lag_1h_mwh - demand_lag_7h_mwh as demand_ramp_6h_mwh,
    cast(count_168h as smallint) as demand_count_168h,
    mean_3h as demand_mean_3h_mwh,
    std_3h as demand_std_3h_mwh,
    min_3h as demand_min_3h_mwh,
    max_3h as demand_max_3h_mwh,
    mean_6h as demand_mean_6h_mwh,
    std_6h as demand_std_6h_mwh,
    min_6h as demand_min_6h_mwh,
    max_6h as demand_max_6h_mwh,
    mean_12h as demand_mean_12h_mwh,
    std_12h as demand_std_12h_mwh,
    min_12h as demand_min_12h_mwh,
    max_12h as demand_max_12h_mwh,
    mean_24h as demand_mean_24h_mwh,
    std_24h as demand_std_24h_mwh,
    min_24h as demand_min_24h_mwh,
    max_24h as demand_max_24h_mwh,
    mean_48h as demand_mean_48h_mwh,
    std_48h as demand_std_48h_mwh,
    min_48h as demand_min_48h_mwh,
    max_48h as demand_max_48h_mwh,
    mean_72h as demand_mean_72h_mwh,
    std_72h as demand_std_72h_mwh,
    min_72h as demand_min_72h_mwh,
    max_72h as demand_max_72h_mwh,
    mean_168h as demand_mean_168h_mwh,
    std_168h as demand_std_168h_mwh,
    min_168h as demand_min_168h_mwh,
    max_168h as demand_max_168h_mwh,
    list_avg([demand_lag_24h_mwh, demand_lag_48h_mwh, demand_lag_72h_mwh, demand_lag_96h_mwh, demand_lag_120h_mwh, demand_lag_144h_mwh, demand_lag_168h_mwh]) as demand_same_hour_mean_7d_mwh,
    demand_lag_1h_mwh / nullif(demand_lag_25h_mwh, 0) - 1 as demand_growth_24h_ratio,
    demand_lag_1h_mwh / nullif(demand_lag_169h_mwh, 0) - 1 as demand_growth_168h_ratio,
    (demand_lag_1h_mwh - mean_168h) / nullif(std_168h, 0) as demand_zscore_168h,
    demand_lag_1h_mwh = max_24h as demand_is_peak_24h,
    demand_lag_1h_mwh = max_168h as demand_is_peak_168h,
    demand_lag_1h_mwh / nullif(max_24h, 0) as demand_of_max_24h_ratio,
    demand_lag_1h_mwh / nullif(max_168h, 0) as demand_of_max_168h_ratio,
    mean_24h / nullif(max_24h, 0) as load_factor_24h_ratio,
    mean_168h / nullif(max_168h, 0) as load_factor_168h_ratio,
    error_24h as forecast_error_lag_24h_mwh,
    error_168h as forecast_error_lag_168h_mwh,
    error_mean_24h as forecast_error_mean_24h_mwh,
    error_abs_mean_24h as forecast_error_abs_mean_24h_mwh,
    error_mean_168h as forecast_error_mean_168h_mwh,
    error_abs_mean_168h as forecast_error_abs_mean_168h_mwh,
    list_avg([error_24h, error_48h, error_72h, error_96h, error_120h, error_144h, error_168h]) as forecast_bias_same_hour_7d_mwh
from measured
