/*---
description = """
The training table: one row for every hour of every authority, without gaps, with the target and what may be known about it.
Each column says in brackets from when on it may be used at hour t:
[target] demand_mwh itself;
[hindsight] made with later hours as well, as the screening and repair of demand are: to learn or to judge by, never an input;
[ahead] known at any time before (calendar);
[day ahead] made or published the day before, so not known long before: forecasts of demand, made the day before and posted by
7:00 Eastern of the day itself at the latest; CAISO's forecasts of solar and wind, of load, and prices, published at 7:00, 9:10
and 13:00 Pacific of the day before (seeds.publication_lag);
[at t] what is measured in hour t other than its demand, or computed with what is: usable up to t, never for hours still to be
forecast (net generation less total interchange is nearly demand);
[past] computed from hours before t only; the models past_* have the formulas.
Windows count hours, not rows with a value: what is missing stays NULL and is left out of a mean, never filled.
At the start of a region's history windows hold what there is; demand_count_168h says how much.
What of the past is published by the start of hour t is another question: features.hourly_asof answers it.
"""
materialized = "view"
grain = ["region", "hour_utc"]
lookback = "0h"

[columns]
region = "Balancing authority, EIA code."
hour_utc = "Start of the hour t, UTC."
demand_mwh = "[target] Demand as reported, MWh."
demand_flag = "[hindsight] Why demand_mwh is not to be trusted, a code of normalized.flag; NULL where nothing is known against it."
demand_clean_mwh = "[hindsight] Demand to use instead of the reported one, MWh (see normalized.demand)."
demand_forecast_mwh = "[day ahead] Demand forecast made the day before, MWh."
hour_of_day = "[ahead] Local hour, 0 to 23."
day_of_week = "[ahead] Local day of the week, 1 = Monday to 7 = Sunday."
day_of_year = "[ahead] Local day of the year, 1 to 366."
month = "[ahead] Local month, 1 to 12."
is_dst = "[ahead] True while the wall clock is ahead of the zone's standard time (that of local January 1)."
is_weekend = "[ahead] True on local Saturday and Sunday."
is_holiday = "[ahead] True on a federal holiday, or on the weekday on which one is observed, local date."
is_before_holiday = "[ahead] True on the local day before a holiday."
is_after_holiday = "[ahead] True on the local day after a holiday."
is_working_hour = "[ahead] True from 8:00 to 18:00 local time, Monday to Friday, holidays apart."
hour_sin = "[ahead] Sine of the local hour, one turn a day; no unit."
hour_cos = "[ahead] Cosine of the local hour, one turn a day; no unit."
week_sin = "[ahead] Sine of the local hour of the week, one turn from Monday 0 h; no unit."
week_cos = "[ahead] Cosine of the local hour of the week, one turn from Monday 0 h; no unit."
year_sin = "[ahead] Sine of the local day of the year, one turn a year; no unit."
year_cos = "[ahead] Cosine of the local day of the year, one turn a year; no unit."
trend_years = "[ahead] Time since 2015-07-01T00 UTC, when the form began, in years of 8,766 hours."
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
dew_point_spread_c = "[at t] Temperature less dew point at t, °C: how dry the air is."
temperature_change_24h_c = "[at t] Temperature at t less that at t-24, °C."
wind_10m_m_per_s = "[at t] Wind speed at 10 m at t, m/s."
wind_100m_m_per_s = "[at t] Wind speed at 100 m at t, m/s."
cloud_cover_percent = "[at t] Cloud cover at t, %."
shortwave_w_per_m2 = "[at t] Mean shortwave radiation over the hour, W/m²."
precipitation_mm = "[at t] Precipitation over the hour, mm."
heating_degrees = "[at t] Degrees Celsius below 18.3 °C."
cooling_degrees = "[at t] Degrees Celsius above 18.3 °C."
forecast_margin_ratio = "[at t] Adequacy against the day-ahead forecast of t: net_generation_max_365d_mwh, measured in the days before, over demand_forecast_mwh, less 1."
caiso_load_forecast_mwh = "[day ahead] CISO only: CAISO's day-ahead load forecast, MWh; NULL for other regions, as all of CAISO's columns are."
caiso_load_forecast_2da_mwh = "[day ahead] CISO only: CAISO's load forecast of two days ahead, made a day before that of the day ahead, MWh."
caiso_solar_forecast_mwh = "[day ahead] CISO only: CAISO's day-ahead solar forecast, MWh."
caiso_wind_forecast_mwh = "[day ahead] CISO only: CAISO's day-ahead wind forecast, MWh."
caiso_net_load_forecast_mwh = "[day ahead] CISO only: CAISO's day-ahead load forecast less its solar and wind forecasts, MWh."
price_np15_usd_per_mwh = "[day ahead] CISO only: day-ahead price at NP15, USD/MWh; published the day before."
price_sp15_usd_per_mwh = "[day ahead] CISO only: day-ahead price at SP15, USD/MWh."
price_zp26_usd_per_mwh = "[day ahead] CISO only: day-ahead price at ZP26, USD/MWh."
price_spread_usd_per_mwh = "[day ahead] CISO only: day-ahead price at SP15 less that at NP15, USD/MWh."
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
demand_ramp_1h_mwh = "[past] Demand at t-1 less demand at t-2, MWh."
demand_ramp_3h_mwh = "[past] Demand at t-1 less demand at t-4, MWh."
demand_ramp_6h_mwh = "[past] Demand at t-1 less demand at t-7, MWh."
demand_count_168h = "[past] Hours with a demand among t-168..t-1; count."
demand_mean_3h_mwh = "[past] Mean demand of t-3..t-1, MWh."
demand_std_3h_mwh = "[past] Sample standard deviation of demand in t-3..t-1, MWh; NULL with fewer than two values."
demand_min_3h_mwh = "[past] Least demand of t-3..t-1, MWh."
demand_max_3h_mwh = "[past] Greatest demand of t-3..t-1, MWh."
demand_mean_6h_mwh = "[past] Mean demand of t-6..t-1, MWh."
demand_std_6h_mwh = "[past] Sample standard deviation of demand in t-6..t-1, MWh; NULL with fewer than two values."
demand_min_6h_mwh = "[past] Least demand of t-6..t-1, MWh."
demand_max_6h_mwh = "[past] Greatest demand of t-6..t-1, MWh."
demand_mean_12h_mwh = "[past] Mean demand of t-12..t-1, MWh."
demand_std_12h_mwh = "[past] Sample standard deviation of demand in t-12..t-1, MWh; NULL with fewer than two values."
demand_min_12h_mwh = "[past] Least demand of t-12..t-1, MWh."
demand_max_12h_mwh = "[past] Greatest demand of t-12..t-1, MWh."
demand_mean_24h_mwh = "[past] Mean demand of t-24..t-1, MWh."
demand_std_24h_mwh = "[past] Sample standard deviation of demand in t-24..t-1, MWh; NULL with fewer than two values."
demand_min_24h_mwh = "[past] Least demand of t-24..t-1, MWh."
demand_max_24h_mwh = "[past] Greatest demand of t-24..t-1, MWh."
demand_mean_48h_mwh = "[past] Mean demand of t-48..t-1, MWh."
demand_std_48h_mwh = "[past] Sample standard deviation of demand in t-48..t-1, MWh; NULL with fewer than two values."
demand_min_48h_mwh = "[past] Least demand of t-48..t-1, MWh."
demand_max_48h_mwh = "[past] Greatest demand of t-48..t-1, MWh."
demand_mean_72h_mwh = "[past] Mean demand of t-72..t-1, MWh."
demand_std_72h_mwh = "[past] Sample standard deviation of demand in t-72..t-1, MWh; NULL with fewer than two values."
demand_min_72h_mwh = "[past] Least demand of t-72..t-1, MWh."
demand_max_72h_mwh = "[past] Greatest demand of t-72..t-1, MWh."
demand_mean_168h_mwh = "[past] Mean demand of t-168..t-1, MWh."
demand_std_168h_mwh = "[past] Sample standard deviation of demand in t-168..t-1, MWh; NULL with fewer than two values."
demand_min_168h_mwh = "[past] Least demand of t-168..t-1, MWh."
demand_max_168h_mwh = "[past] Greatest demand of t-168..t-1, MWh."
demand_same_hour_mean_7d_mwh = "[past] Mean demand of the same hour of the past seven days, t-24, t-48, .. t-168, MWh."
demand_growth_24h_ratio = "[past] Demand at t-1 over demand at t-25, less 1."
demand_growth_168h_ratio = "[past] Demand at t-1 over demand at t-169, less 1."
demand_zscore_168h = "[past] Demand at t-1 less the mean of t-168..t-1, over their standard deviation; no unit."
demand_is_peak_24h = "[past] True if demand at t-1 was the greatest of t-24..t-1."
demand_is_peak_168h = "[past] True if demand at t-1 was the greatest of t-168..t-1."
demand_of_max_24h_ratio = "[past] Demand at t-1 over the greatest of t-24..t-1."
demand_of_max_168h_ratio = "[past] Demand at t-1 over the greatest of t-168..t-1."
load_factor_24h_ratio = "[past] Load factor: mean over greatest demand of t-24..t-1."
load_factor_168h_ratio = "[past] Load factor: mean over greatest demand of t-168..t-1."
forecast_error_lag_24h_mwh = "[past] Demand less its day-ahead forecast at t-24, MWh."
forecast_error_lag_168h_mwh = "[past] Demand less its day-ahead forecast at t-168, MWh."
forecast_error_mean_24h_mwh = "[past] Mean of demand less its day-ahead forecast over t-24..t-1, MWh."
forecast_error_abs_mean_24h_mwh = "[past] Mean of the absolute difference between demand and its day-ahead forecast over t-24..t-1, MWh."
forecast_error_mean_168h_mwh = "[past] Mean of demand less its day-ahead forecast over t-168..t-1, MWh."
forecast_error_abs_mean_168h_mwh = "[past] Mean of the absolute difference between demand and its day-ahead forecast over t-168..t-1, MWh."
forecast_bias_same_hour_7d_mwh = "[past] Mean of demand less its day-ahead forecast at the same hour of the past seven days, t-24, t-48, .. t-168, MWh."
net_load_lag_1h_mwh = "[past] Net load (demand less solar and wind) at t-1, MWh."
net_load_lag_24h_mwh = "[past] Net load (demand less solar and wind) at t-24, MWh."
net_load_lag_168h_mwh = "[past] Net load (demand less solar and wind) at t-168, MWh."
net_load_ramp_1h_mwh = "[past] Net load at t-1 less that at t-2, MWh."
net_load_ramp_3h_mwh = "[past] Net load at t-1 less that at t-4, MWh."
net_load_ramp_6h_mwh = "[past] Net load at t-1 less that at t-7, MWh."
net_load_mean_24h_mwh = "[past] Mean net load of t-24..t-1, MWh."
net_load_std_24h_mwh = "[past] Sample standard deviation of net load in t-24..t-1, MWh; NULL with fewer than two values."
net_load_max_24h_mwh = "[past] Greatest net load of t-24..t-1, MWh."
solar_lag_24h_mwh = "[past] Solar at t-24, MWh."
wind_lag_24h_mwh = "[past] Wind at t-24, MWh."
solar_wind_ramp_1h_mwh = "[past] Solar and wind at t-1 less that at t-2, MWh."
solar_wind_ramp_3h_mwh = "[past] Solar and wind at t-1 less that at t-4, MWh."
solar_wind_ramp_6h_mwh = "[past] Solar and wind at t-1 less that at t-7, MWh."
renewable_lag_1h_ratio = "[past] Solar, wind and hydro over the sum of fuels at t-1."
renewable_lag_24h_ratio = "[past] Solar, wind and hydro over the sum of fuels at t-24."
renewable_mean_24h_ratio = "[past] Sum of solar, wind and hydro over the sum of all fuels, of those hours of t-24..t-1 that have both."
solar_wind_mean_24h_mwh = "[past] Mean of solar and wind over t-24..t-1, MWh."
solar_wind_ramp_std_24h_mwh = "[past] Intermittency: sample standard deviation of the hourly changes of solar and wind in t-24..t-1, MWh."
solar_wind_ramp_std_168h_mwh = "[past] Intermittency: sample standard deviation of the hourly changes of solar and wind in t-168..t-1, MWh."
intermittency_24h_ratio = "[past] Intermittency: solar_wind_ramp_std_24h_mwh over solar_wind_mean_24h_mwh."
net_generation_lag_1h_mwh = "[past] Net generation at t-1, MWh."
net_generation_lag_24h_mwh = "[past] Net generation at t-24, MWh."
interchange_lag_1h_mwh = "[past] Total interchange at t-1, MWh; positive = export."
interchange_lag_24h_mwh = "[past] Total interchange at t-24, MWh; positive = export."
interchange_lag_168h_mwh = "[past] Total interchange at t-168, MWh; positive = export."
interchange_ramp_1h_mwh = "[past] Total interchange at t-1 less that at t-2, MWh; positive = export."
interchange_ramp_3h_mwh = "[past] Total interchange at t-1 less that at t-4, MWh; positive = export."
import_dependence_24h_ratio = "[past] Sum of net imports (total interchange with the other sign) over the sum of demand, of those hours of t-24..t-1 that have both; negative where the region exports."
import_lag_24h_mwh = "[past] Sum over the neighbors imported from at t-24, MWh; positive."
export_lag_24h_mwh = "[past] Sum over the neighbors exported to at t-24, MWh; positive."
neighbor_count_lag_1h = "[past] How many neighbors have a demand at t-1."
neighbor_demand_lag_1h_mwh = "[past] Sum of the neighbors' demand at t-1, of those that have one, MWh."
neighbor_demand_lag_24h_mwh = "[past] Sum of the neighbors' demand at t-24, of those that have one, MWh."
neighbor_demand_growth_24h_ratio = "[past] Sum of the demand at t-1 over that at t-25, of those neighbors that have both, less 1."
temperature_lag_1h_c = "[past] Temperature at t-1, °C."
temperature_lag_24h_c = "[past] Temperature at t-24, °C."
temperature_lag_168h_c = "[past] Temperature at t-168, °C."
temperature_mean_24h_c = "[past] Mean temperature of t-24..t-1, °C."
temperature_mean_72h_c = "[past] Mean temperature of t-72..t-1, °C."
temperature_min_24h_c = "[past] Least temperature of t-24..t-1, °C."
temperature_max_24h_c = "[past] Greatest temperature of t-24..t-1, °C."
heating_degrees_mean_24h_c = "[past] Mean heating degrees of t-24..t-1, °C."
cooling_degrees_mean_24h_c = "[past] Mean cooling degrees of t-24..t-1, °C."
wind_100m_lag_24h_m_per_s = "[past] Wind speed at 100 m at t-24, m/s."
wind_100m_mean_24h_m_per_s = "[past] Mean wind speed at 100 m of t-24..t-1, m/s."
shortwave_lag_24h_w_per_m2 = "[past] Shortwave radiation over the hour at t-24, W/m²."
precipitation_sum_24h_mm = "[past] Precipitation over t-24..t-1, of the hours that have a value, mm."
caiso_load_error_lag_24h_mwh = "[past] CISO only: CAISO's actual load less its day-ahead forecast at t-24, MWh."
price_sp15_lag_24h_usd_per_mwh = "[past] CISO only: day-ahead price at SP15 at t-24, USD/MWh."
price_sp15_lag_168h_usd_per_mwh = "[past] CISO only: day-ahead price at SP15 at t-168, USD/MWh."
price_sp15_mean_24h_usd_per_mwh = "[past] CISO only: mean day-ahead price at SP15 of t-24..t-1, USD/MWh."
price_sp15_mean_168h_usd_per_mwh = "[past] CISO only: mean day-ahead price at SP15 of t-168..t-1, USD/MWh."
price_rtm_sp15_lag_1h_usd_per_mwh = "[past] CISO only: mean real-time price at SP15 in the hour at t-1, USD/MWh."
price_rtm_sp15_lag_24h_usd_per_mwh = "[past] CISO only: mean real-time price at SP15 in the hour at t-24, USD/MWh."
price_rtm_dam_sp15_lag_1h_usd_per_mwh = "[past] CISO only: real-time less day-ahead price at SP15 at t-1, USD/MWh."
price_rtm_dam_sp15_lag_24h_usd_per_mwh = "[past] CISO only: real-time less day-ahead price at SP15 at t-24, USD/MWh."
demand_lag_8760h_mwh = "[past] Demand at t-8760, 365 days before, MWh."
demand_growth_8760h_ratio = "[past] Demand at t-1 over demand at t-8761, less 1."
demand_max_365d_mwh = "[past] Greatest demand of the past 365 days, MWh."
demand_of_max_365d_ratio = "[past] Demand at t-1 over the greatest of the past 365 days."
load_factor_365d_ratio = "[past] Load factor: mean over greatest demand of the past 365 days."
net_generation_max_365d_mwh = "[past] Greatest net generation held for two hours in the past 365 days, MWh: what the region has shown it can generate, no measure of what is available now."
net_import_max_365d_mwh = "[past] Greatest net import (total interchange with the other sign) held for two hours in the past 365 days, MWh; negative where the region always exports."
generation_headroom_lag_1h_mwh = "[past] net_generation_max_365d_mwh less net generation at t-1, MWh: shown and not in use, which is not the reserve that operators hold."
adequacy_365d_ratio = "[past] Adequacy as shown: net_generation_max_365d_mwh over demand_max_365d_mwh; below 1 the region's own generation has not reached its peak."
solar_capacity_factor_lag_1h_ratio = "[past] Capacity factor as shown: solar at t-1 over the greatest solar held for two hours in the past 365 days; NULL where that is not above 0."
wind_capacity_factor_lag_1h_ratio = "[past] Capacity factor as shown: wind at t-1 over the greatest wind held for two hours in the past 365 days; NULL where that is not above 0."
hydro_capacity_factor_lag_1h_ratio = "[past] Capacity factor as shown: hydro at t-1 over the greatest hydro held for two hours in the past 365 days; NULL where that is not above 0."
gas_capacity_factor_lag_1h_ratio = "[past] Capacity factor as shown: gas at t-1 over the greatest gas held for two hours in the past 365 days; NULL where that is not above 0."
coal_capacity_factor_lag_1h_ratio = "[past] Capacity factor as shown: coal at t-1 over the greatest coal held for two hours in the past 365 days; NULL where that is not above 0."
nuclear_capacity_factor_lag_1h_ratio = "[past] Capacity factor as shown: nuclear at t-1 over the greatest nuclear held for two hours in the past 365 days; NULL where that is not above 0."

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
from normalized.grid as g
left join features.calendar as c on c.region = g.region and c.hour_utc = g.hour_utc
left join features.past_demand as d on d.region = g.region and d.hour_utc = g.hour_utc
left join features.past_supply as s on s.region = g.region and s.hour_utc = g.hour_utc
left join features.past_exchange as x on x.region = g.region and x.hour_utc = g.hour_utc
left join features.past_weather as w on w.region = g.region and w.hour_utc = g.hour_utc
left join features.past_market as m on m.region = g.region and m.hour_utc = g.hour_utc
left join features.past_year as y on y.region = g.region and y.hour_utc = g.hour_utc
