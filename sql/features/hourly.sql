/*---
description = """
The training table: one row for every hour of every authority, without gaps, with the target and its inputs.
The mark in brackets means when a column may be used at hour t:
[target] demand_mwh itself;
[hindsight] computed also from later hours, such as screened and repaired demand: for targets and evaluation, never an input;
[ahead] known at any time before (calendar);
[day ahead] made or published the day before, so not known earlier: forecasts of demand, made the day before and posted by
7:00 Eastern of the day itself at the latest; CAISO's forecasts of solar and wind, of load, and prices, published at 7:00, 9:10
and 13:00 Pacific of the day before (seeds.publication_lag);
[at t] measured in hour t, except demand, or computed from such values: usable up to t, never for hours to be forecast
(net generation minus total interchange is nearly demand);
[past] computed from hours before t only; the models past_* have the formulas.
Windows count hours, not values: a missing value stays NULL and is left out of a mean; it is never filled.
At the start of a region's history windows are shorter; demand_count_168h gives the number of values.
features.hourly_asof has the values that are published by the start of hour t.
"""
materialized = "table"
grain = ["region", "hour_utc"]
lookback = "0h"

[columns]
share_renewable = "[at t] Solar, wind and hydro (renewable_mwh of normalized.grid: NULL if one that the region has is missing) over the sum of fuels; ratio."
share_solar = "[at t] Solar over the sum of fuels; ratio."
share_wind = "[at t] Wind over the sum of fuels; ratio."
share_hydro = "[at t] Hydro over the sum of fuels; ratio."
share_gas = "[at t] Natural gas over the sum of fuels; ratio."
share_coal = "[at t] Coal over the sum of fuels; ratio."
share_nuclear = "[at t] Nuclear over the sum of fuels; ratio."
interchange_share = "[at t] Total interchange over net generation; ratio, positive = export."
dew_point_spread_c = "[at t] Temperature minus dew point at t, °C: a measure of dry air."
temperature_change_24h_c = "[at t] Temperature at t minus that at t-24, °C."
forecast_margin_ratio = "[at t] Adequacy against the day-ahead forecast of t: net_generation_max_365d_mwh, measured in the days before, over demand_forecast_mwh, minus 1."
caiso_net_load_forecast_mwh = "[day ahead] CISO only: CAISO's day-ahead load forecast minus its solar and wind forecasts, MWh."
price_spread_usd_per_mwh = "[day ahead] CISO only: day-ahead price at SP15 minus that at NP15, USD/MWh."

[[audits]]
unique = ["region", "hour_utc"]
[[audits]]
not_null = ["region", "hour_utc"]
---*/
select
    g.region,
    g.hour_utc,
    g.demand_mwh,
    g.demand_flag,
    g.demand_clean_mwh,
    g.demand_forecast_mwh,
    c.hour_of_day,
    c.day_of_week,
    c.day_of_year,
    c.month,
    c.is_dst,
    c.is_weekend,
    c.is_holiday,
    c.is_before_holiday,
    c.is_after_holiday,
    c.is_working_hour,
    c.hour_sin,
    c.hour_cos,
    c.week_sin,
    c.week_cos,
    c.year_sin,
    c.year_cos,
    c.trend_years,
    g.net_generation_mwh,
    g.total_interchange_mwh,
    g.solar_mwh,
    g.wind_mwh,
    g.hydro_mwh,
    g.storage_mwh,
    g.renewable_mwh / nullif(g.fuel_sum_mwh, 0) as share_renewable,
    g.solar_mwh / nullif(g.fuel_sum_mwh, 0) as share_solar,
    g.wind_mwh / nullif(g.fuel_sum_mwh, 0) as share_wind,
    g.hydro_mwh / nullif(g.fuel_sum_mwh, 0) as share_hydro,
    g.gas_mwh / nullif(g.fuel_sum_mwh, 0) as share_gas,
    g.coal_mwh / nullif(g.fuel_sum_mwh, 0) as share_coal,
    g.nuclear_mwh / nullif(g.fuel_sum_mwh, 0) as share_nuclear,
    g.total_interchange_mwh / nullif(g.net_generation_mwh, 0) as interchange_share,
    g.temperature_c,
    g.dew_point_c,
    g.temperature_c - g.dew_point_c as dew_point_spread_c,
    g.temperature_c - w.temperature_lag_24h_c as temperature_change_24h_c,
    g.wind_10m_m_per_s,
    g.wind_100m_m_per_s,
    g.cloud_cover_percent,
    g.shortwave_w_per_m2,
    g.precipitation_mm,
    g.heating_degrees,
    g.cooling_degrees,
    y.net_generation_max_365d_mwh / nullif(g.demand_forecast_mwh, 0) - 1 as forecast_margin_ratio,
    g.caiso_load_forecast_mwh,
    g.caiso_load_forecast_2da_mwh,
    g.caiso_solar_forecast_mwh,
    g.caiso_wind_forecast_mwh,
    g.caiso_load_forecast_mwh - g.caiso_solar_forecast_mwh - g.caiso_wind_forecast_mwh as caiso_net_load_forecast_mwh,
    g.price_np15_usd_per_mwh,
    g.price_sp15_usd_per_mwh,
    g.price_zp26_usd_per_mwh,
    g.price_sp15_usd_per_mwh - g.price_np15_usd_per_mwh as price_spread_usd_per_mwh,
    d.* exclude (region, hour_utc),
    s.* exclude (region, hour_utc),
    x.* exclude (region, hour_utc),
    w.* exclude (region, hour_utc),
    m.* exclude (region, hour_utc),
    y.* exclude (region, hour_utc)
from normalized.grid_screened as g
left join features.calendar as c on c.region = g.region and c.hour_utc = g.hour_utc
left join features.past_demand as d on d.region = g.region and d.hour_utc = g.hour_utc
left join features.past_supply as s on s.region = g.region and s.hour_utc = g.hour_utc
left join features.past_exchange as x on x.region = g.region and x.hour_utc = g.hour_utc
left join features.past_weather as w on w.region = g.region and w.hour_utc = g.hour_utc
left join features.past_market as m on m.region = g.region and m.hour_utc = g.hour_utc
left join features.past_year as y on y.region = g.region and y.hour_utc = g.hour_utc
