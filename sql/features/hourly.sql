/*---
description = """
The training table: one row for every hour of every authority, without gaps, with the target and what may be known about it.
Each column says in brackets from when on it may be used at hour t:
[target] demand_mwh itself;
[ahead] known before the hour begins (calendar, day-ahead forecast);
[at t] what the region reports about hour t other than its demand: usable up to t, never for hours still to be forecast
(net generation less total interchange is nearly demand);
[past] computed from hours before t only.
Windows count hours, not rows with a value: what is missing stays NULL and is left out of a mean, never filled.
At the start of a region's history windows hold what there is; demand_count_168h says how much.
"""
materialized = "table"
grain = ["region", "hour_utc"]
lookback = "168h"

[columns]
region = "Balancing authority, EIA code."
hour_utc = "Start of the hour t, UTC."
demand_mwh = "[target] Demand as reported, MWh."
demand_forecast_mwh = "[ahead] Demand forecast made the day before, MWh."
hour_of_day = "[ahead] Local hour, 0 to 23."
day_of_week = "[ahead] Local day of the week, 1 = Monday to 7 = Sunday."
day_of_year = "[ahead] Local day of the year, 1 to 366."
month = "[ahead] Local month, 1 to 12."
is_weekend = "[ahead] True on local Saturday and Sunday."
is_holiday = "[ahead] True on a federal holiday or the weekday on which it is observed."
hour_sin = "[ahead] Sine of the local hour; no unit."
hour_cos = "[ahead] Cosine of the local hour; no unit."
week_sin = "[ahead] Sine of the local hour of the week; no unit."
week_cos = "[ahead] Cosine of the local hour of the week; no unit."
year_sin = "[ahead] Sine of the local day of the year; no unit."
year_cos = "[ahead] Cosine of the local day of the year; no unit."
net_generation_mwh = "[at t] Net generation, MWh."
total_interchange_mwh = "[at t] Net interchange with all neighbors, MWh; positive = export."
solar_mwh = "[at t] Generation from solar, MWh."
wind_mwh = "[at t] Generation from wind, MWh."
hydro_mwh = "[at t] Generation from water with pumped storage, MWh."
storage_mwh = "[at t] Battery and other storage without pumped, MWh; positive = discharging."
share_renewable = "[at t] Solar, wind and hydro (renewable_mwh of normalized.grid: NULL while one that the region has is missing) over the sum of fuels; ratio."
share_solar = "[at t] Solar over the sum of fuels; ratio."
share_wind = "[at t] Wind over the sum of fuels; ratio."
share_hydro = "[at t] Hydro over the sum of fuels; ratio."
share_gas = "[at t] Natural gas over the sum of fuels; ratio."
share_coal = "[at t] Coal over the sum of fuels; ratio."
share_nuclear = "[at t] Nuclear over the sum of fuels; ratio."
interchange_share = "[at t] Total interchange over net generation; ratio, positive = export."
temperature_c = "[at t] Air temperature at 2 m at t, °C, weighted over the region's places."
dew_point_c = "[at t] Dew point at 2 m at t, °C."
wind_10m_m_per_s = "[at t] Wind speed at 10 m at t, m/s."
wind_100m_m_per_s = "[at t] Wind speed at 100 m at t, m/s."
cloud_cover_percent = "[at t] Cloud cover at t, %."
shortwave_w_per_m2 = "[at t] Mean shortwave radiation over the hour, W/m²."
precipitation_mm = "[at t] Precipitation over the hour, mm."
heating_degrees = "[at t] Degrees Celsius below 18.3 °C."
cooling_degrees = "[at t] Degrees Celsius above 18.3 °C."
caiso_load_forecast_mwh = "[ahead] CISO only: CAISO's day-ahead load forecast, MWh; NULL for other regions, as all of CAISO's columns are."
caiso_load_forecast_2da_mwh = "[ahead] CISO only: CAISO's load forecast of two days ahead, MWh."
caiso_solar_forecast_mwh = "[ahead] CISO only: CAISO's day-ahead solar forecast, MWh."
caiso_wind_forecast_mwh = "[ahead] CISO only: CAISO's day-ahead wind forecast, MWh."
price_np15_usd_per_mwh = "[ahead] CISO only: day-ahead price at NP15, USD/MWh; published the day before."
price_sp15_usd_per_mwh = "[ahead] CISO only: day-ahead price at SP15, USD/MWh."
price_zp26_usd_per_mwh = "[ahead] CISO only: day-ahead price at ZP26, USD/MWh."
price_spread_usd_per_mwh = "[ahead] CISO only: day-ahead price at SP15 less that at NP15, USD/MWh."
demand_lag_1h_mwh = "[past] Demand at t-1, MWh."
demand_lag_2h_mwh = "[past] Demand at t-2, MWh."
demand_lag_3h_mwh = "[past] Demand at t-3, MWh."
demand_lag_24h_mwh = "[past] Demand at t-24, MWh."
demand_lag_48h_mwh = "[past] Demand at t-48, MWh."
demand_lag_72h_mwh = "[past] Demand at t-72, MWh."
demand_lag_168h_mwh = "[past] Demand at t-168, MWh."
demand_ramp_1h_mwh = "[past] Demand at t-1 less demand at t-2, MWh."
demand_ramp_3h_mwh = "[past] Demand at t-1 less demand at t-4, MWh."
demand_ramp_6h_mwh = "[past] Demand at t-1 less demand at t-7, MWh."
demand_count_168h = "[past] Hours with a demand among t-168..t-1; count."
demand_mean_24h_mwh = "[past] Mean demand of t-24..t-1, MWh."
demand_std_24h_mwh = "[past] Sample standard deviation of demand in t-24..t-1, MWh; NULL with fewer than two values."
demand_min_24h_mwh = "[past] Least demand of t-24..t-1, MWh."
demand_max_24h_mwh = "[past] Greatest demand of t-24..t-1, MWh."
demand_mean_168h_mwh = "[past] Mean demand of t-168..t-1, MWh."
demand_std_168h_mwh = "[past] Sample standard deviation of demand in t-168..t-1, MWh; NULL with fewer than two values."
demand_min_168h_mwh = "[past] Least demand of t-168..t-1, MWh."
demand_max_168h_mwh = "[past] Greatest demand of t-168..t-1, MWh."
net_load_lag_1h_mwh = "[past] Net load (demand less solar and wind) at t-1, MWh."
net_load_lag_24h_mwh = "[past] Net load at t-24, MWh."
net_load_lag_168h_mwh = "[past] Net load at t-168, MWh."
net_load_ramp_3h_mwh = "[past] Net load at t-1 less net load at t-4, MWh."
solar_lag_24h_mwh = "[past] Solar at t-24, MWh."
wind_lag_24h_mwh = "[past] Wind at t-24, MWh."
forecast_error_lag_24h_mwh = "[past] Demand less its day-ahead forecast at t-24, MWh."
forecast_error_mean_24h_mwh = "[past] Mean of demand less its day-ahead forecast over t-24..t-1, MWh."
forecast_error_abs_mean_24h_mwh = "[past] Mean of the absolute difference between demand and its day-ahead forecast over t-24..t-1, MWh."
temperature_lag_24h_c = "[past] Temperature at t-24, °C."
temperature_mean_24h_c = "[past] Mean temperature of t-24..t-1, °C."
caiso_load_error_lag_24h_mwh = "[past] CISO only: CAISO's actual load less its day-ahead forecast at t-24, MWh."
price_rtm_sp15_lag_1h_usd_per_mwh = "[past] CISO only: mean real-time price at SP15 in t-1, USD/MWh."
price_rtm_sp15_lag_24h_usd_per_mwh = "[past] CISO only: mean real-time price at SP15 in t-24, USD/MWh."

[[audits]]
unique = ["region", "hour_utc"]
[[audits]]
not_null = ["region", "hour_utc"]
---*/
-- Means and deviations add up whole ten-thousandths of a MWh, the finest that is reported (by LGEE): integers give the same sum
-- in any order, so a row does not depend on how much history stands before its own 168 hours. Values of 1e12 MWh and
-- more, which no grid has, are left out of them: their squares would not fit.
with units as (
    select
        *,
        case when abs(demand_mwh) < 1e12 then cast(round(demand_mwh * 1e4) as bigint) end as demand_units,
        case
            when abs(demand_mwh - demand_forecast_mwh) < 1e12
                then cast(round((demand_mwh - demand_forecast_mwh) * 1e4) as bigint)
        end as error_units,
        cast(round(temperature_c * 1e4) as bigint) as temperature_units
    from normalized.grid
),

windowed as (
    select
        region,
        hour_utc,
        demand_mwh,
        demand_forecast_mwh,
        net_generation_mwh,
        total_interchange_mwh,
        solar_mwh,
        wind_mwh,
        hydro_mwh,
        storage_mwh,
        renewable_mwh,
        gas_mwh,
        coal_mwh,
        nuclear_mwh,
        nullif(fuel_sum_mwh, 0) as fuel_sum_mwh,
        temperature_c,
        dew_point_c,
        wind_10m_m_per_s,
        wind_100m_m_per_s,
        cloud_cover_percent,
        shortwave_w_per_m2,
        precipitation_mm,
        heating_degrees,
        cooling_degrees,
        caiso_load_forecast_mwh,
        caiso_load_forecast_2da_mwh,
        caiso_solar_forecast_mwh,
        caiso_wind_forecast_mwh,
        price_np15_usd_per_mwh,
        price_sp15_usd_per_mwh,
        price_zp26_usd_per_mwh,
        lag(demand_mwh, 1) over hours as demand_lag_1h_mwh,
        lag(demand_mwh, 2) over hours as demand_lag_2h_mwh,
        lag(demand_mwh, 3) over hours as demand_lag_3h_mwh,
        lag(demand_mwh, 4) over hours as demand_lag_4h_mwh,
        lag(demand_mwh, 7) over hours as demand_lag_7h_mwh,
        lag(demand_mwh, 24) over hours as demand_lag_24h_mwh,
        lag(demand_mwh, 48) over hours as demand_lag_48h_mwh,
        lag(demand_mwh, 72) over hours as demand_lag_72h_mwh,
        lag(demand_mwh, 168) over hours as demand_lag_168h_mwh,
        lag(net_load_mwh, 1) over hours as net_load_lag_1h_mwh,
        lag(net_load_mwh, 4) over hours as net_load_lag_4h_mwh,
        lag(net_load_mwh, 24) over hours as net_load_lag_24h_mwh,
        lag(net_load_mwh, 168) over hours as net_load_lag_168h_mwh,
        lag(solar_mwh, 24) over hours as solar_lag_24h_mwh,
        lag(wind_mwh, 24) over hours as wind_lag_24h_mwh,
        lag(demand_mwh - demand_forecast_mwh, 24) over hours as forecast_error_lag_24h_mwh,
        lag(temperature_c, 24) over hours as temperature_lag_24h_c,
        avg(temperature_units) over past_day as temperature_mean_24h,
        lag(caiso_load_mwh - caiso_load_forecast_mwh, 24) over hours as caiso_load_error_lag_24h_mwh,
        lag(price_rtm_sp15_usd_per_mwh, 1) over hours as price_rtm_sp15_lag_1h_usd_per_mwh,
        lag(price_rtm_sp15_usd_per_mwh, 24) over hours as price_rtm_sp15_lag_24h_usd_per_mwh,
        count(demand_units) over past_day as count_24h,
        sum(demand_units) over past_day as sum_24h,
        sum(cast(demand_units as hugeint) * demand_units) over past_day as square_sum_24h,
        min(demand_mwh) over past_day as demand_min_24h_mwh,
        max(demand_mwh) over past_day as demand_max_24h_mwh,
        avg(error_units) over past_day as error_mean_24h,
        avg(abs(error_units)) over past_day as error_abs_mean_24h,
        count(demand_units) over past_week as count_168h,
        sum(demand_units) over past_week as sum_168h,
        sum(cast(demand_units as hugeint) * demand_units) over past_week as square_sum_168h,
        min(demand_mwh) over past_week as demand_min_168h_mwh,
        max(demand_mwh) over past_week as demand_max_168h_mwh
    from units
    window
        hours as (partition by region order by hour_utc),
        past_day as (partition by region order by hour_utc rows between 24 preceding and 1 preceding),
        past_week as (partition by region order by hour_utc rows between 168 preceding and 1 preceding)
)

select
    w.region,
    w.hour_utc,
    w.demand_mwh,
    w.demand_forecast_mwh,
    c.hour_of_day,
    c.day_of_week,
    c.day_of_year,
    c.month,
    c.is_weekend,
    c.is_holiday,
    c.hour_sin,
    c.hour_cos,
    c.week_sin,
    c.week_cos,
    c.year_sin,
    c.year_cos,
    w.net_generation_mwh,
    w.total_interchange_mwh,
    w.solar_mwh,
    w.wind_mwh,
    w.hydro_mwh,
    w.storage_mwh,
    w.renewable_mwh / w.fuel_sum_mwh as share_renewable,
    w.solar_mwh / w.fuel_sum_mwh as share_solar,
    w.wind_mwh / w.fuel_sum_mwh as share_wind,
    w.hydro_mwh / w.fuel_sum_mwh as share_hydro,
    w.gas_mwh / w.fuel_sum_mwh as share_gas,
    w.coal_mwh / w.fuel_sum_mwh as share_coal,
    w.nuclear_mwh / w.fuel_sum_mwh as share_nuclear,
    w.total_interchange_mwh / nullif(w.net_generation_mwh, 0) as interchange_share,
    w.temperature_c,
    w.dew_point_c,
    w.wind_10m_m_per_s,
    w.wind_100m_m_per_s,
    w.cloud_cover_percent,
    w.shortwave_w_per_m2,
    w.precipitation_mm,
    w.heating_degrees,
    w.cooling_degrees,
    w.caiso_load_forecast_mwh,
    w.caiso_load_forecast_2da_mwh,
    w.caiso_solar_forecast_mwh,
    w.caiso_wind_forecast_mwh,
    w.price_np15_usd_per_mwh,
    w.price_sp15_usd_per_mwh,
    w.price_zp26_usd_per_mwh,
    w.price_sp15_usd_per_mwh - w.price_np15_usd_per_mwh as price_spread_usd_per_mwh,
    w.demand_lag_1h_mwh,
    w.demand_lag_2h_mwh,
    w.demand_lag_3h_mwh,
    w.demand_lag_24h_mwh,
    w.demand_lag_48h_mwh,
    w.demand_lag_72h_mwh,
    w.demand_lag_168h_mwh,
    w.demand_lag_1h_mwh - w.demand_lag_2h_mwh as demand_ramp_1h_mwh,
    w.demand_lag_1h_mwh - w.demand_lag_4h_mwh as demand_ramp_3h_mwh,
    w.demand_lag_1h_mwh - w.demand_lag_7h_mwh as demand_ramp_6h_mwh,
    cast(w.count_168h as smallint) as demand_count_168h,
    w.sum_24h / 1e4 / nullif(w.count_24h, 0) as demand_mean_24h_mwh,
    case
        when w.count_24h > 1
            then sqrt((w.count_24h * w.square_sum_24h - w.sum_24h * w.sum_24h) / (w.count_24h * (w.count_24h - 1.0))) / 1e4
    end as demand_std_24h_mwh,
    w.demand_min_24h_mwh,
    w.demand_max_24h_mwh,
    w.sum_168h / 1e4 / nullif(w.count_168h, 0) as demand_mean_168h_mwh,
    case
        when w.count_168h > 1
            then sqrt((w.count_168h * w.square_sum_168h - w.sum_168h * w.sum_168h) / (w.count_168h * (w.count_168h - 1.0))) / 1e4
    end as demand_std_168h_mwh,
    w.demand_min_168h_mwh,
    w.demand_max_168h_mwh,
    w.net_load_lag_1h_mwh,
    w.net_load_lag_24h_mwh,
    w.net_load_lag_168h_mwh,
    w.net_load_lag_1h_mwh - w.net_load_lag_4h_mwh as net_load_ramp_3h_mwh,
    w.solar_lag_24h_mwh,
    w.wind_lag_24h_mwh,
    w.forecast_error_lag_24h_mwh,
    w.error_mean_24h / 1e4 as forecast_error_mean_24h_mwh,
    w.error_abs_mean_24h / 1e4 as forecast_error_abs_mean_24h_mwh,
    w.temperature_lag_24h_c,
    w.temperature_mean_24h / 1e4 as temperature_mean_24h_c,
    w.caiso_load_error_lag_24h_mwh,
    w.price_rtm_sp15_lag_1h_usd_per_mwh,
    w.price_rtm_sp15_lag_24h_usd_per_mwh
from windowed as w
left join features.calendar as c on c.region = w.region and c.hour_utc = w.hour_utc
