/*---
description = """
Lags and statistics of weather in the hours before t: one row for every hour t of every authority. All columns are [past]: computed
from hours before t only. Past weather is the archive's present reanalysis, and the newest days are forecasts (see
normalized.weather). Degree hours are relative to 18.3 °C (65 °F). Windows count hours, not values: a missing value is left out of a mean.
"""
materialized = "inline"
grain = ["region", "hour_utc"]
lookback = "168h"

[columns]
temperature_lag_1h_c = "[past] Temperature at t-1, °C."
temperature_lag_24h_c = "[past] Temperature at t-24, °C."
temperature_lag_168h_c = "[past] Temperature at t-168, °C."
temperature_mean_24h_c = "[past] Mean temperature of t-24..t-1, °C."
temperature_mean_72h_c = "[past] Mean temperature of t-72..t-1, °C."
temperature_min_24h_c = "[past] Minimum temperature of t-24..t-1, °C."
temperature_max_24h_c = "[past] Maximum temperature of t-24..t-1, °C."
heating_degrees_mean_24h_c = "[past] Mean heating degrees of t-24..t-1, °C."
cooling_degrees_mean_24h_c = "[past] Mean cooling degrees of t-24..t-1, °C."
wind_100m_lag_24h_m_per_s = "[past] Wind speed at 100 m at t-24, m/s."
wind_100m_mean_24h_m_per_s = "[past] Mean wind speed at 100 m of t-24..t-1, m/s."
shortwave_lag_24h_w_per_m2 = "[past] Shortwave radiation over the hour at t-24, W/m²."
precipitation_sum_24h_mm = "[past] Sum of precipitation over the hours of t-24..t-1 that have a value, mm."
---*/
-- Sums use decimals, as in features.past_demand.
with units as (
    select
        *,
        try_cast(temperature_c as decimal(16, 4)) as temperature_exact,
        try_cast(heating_degrees as decimal(16, 4)) as heating_exact,
        try_cast(cooling_degrees as decimal(16, 4)) as cooling_exact,
        try_cast(wind_100m_m_per_s as decimal(16, 4)) as wind_exact,
        try_cast(precipitation_mm as decimal(16, 4)) as precipitation_exact
    from normalized.grid_screened
    -- Without any weather there is nothing to compute.
    where exists (from normalized.grid where coalesce(temperature_c, wind_100m_m_per_s, shortwave_w_per_m2, precipitation_mm) is not null)
),

windowed as (
    select
        region,
        hour_utc,
        lag(temperature_c, 1) over hours as temperature_lag_1h_c,
        lag(temperature_c, 24) over hours as temperature_lag_24h_c,
        lag(temperature_c, 168) over hours as temperature_lag_168h_c,
        avg(temperature_exact) over past_24h as temperature_mean_24h_c,
        avg(temperature_exact) over past_72h as temperature_mean_72h_c,
        min(temperature_c) over past_24h as temperature_min_24h_c,
        max(temperature_c) over past_24h as temperature_max_24h_c,
        avg(heating_exact) over past_24h as heating_degrees_mean_24h_c,
        avg(cooling_exact) over past_24h as cooling_degrees_mean_24h_c,
        lag(wind_100m_m_per_s, 24) over hours as wind_100m_lag_24h_m_per_s,
        avg(wind_exact) over past_24h as wind_100m_mean_24h_m_per_s,
        lag(shortwave_w_per_m2, 24) over hours as shortwave_lag_24h_w_per_m2,
        sum(precipitation_exact) over past_24h as precipitation_sum_24h
    from units
    window
        hours as (partition by region order by hour_utc),
        past_24h as (partition by region order by hour_utc rows between 24 preceding and 1 preceding),
        past_72h as (partition by region order by hour_utc rows between 72 preceding and 1 preceding)
)

select
    region,
    hour_utc,
    temperature_lag_1h_c,
    temperature_lag_24h_c,
    temperature_lag_168h_c,
    temperature_mean_24h_c,
    temperature_mean_72h_c,
    temperature_min_24h_c,
    temperature_max_24h_c,
    heating_degrees_mean_24h_c,
    cooling_degrees_mean_24h_c,
    wind_100m_lag_24h_m_per_s,
    wind_100m_mean_24h_m_per_s,
    shortwave_lag_24h_w_per_m2,
    cast(precipitation_sum_24h as double) as precipitation_sum_24h_mm
from windowed
