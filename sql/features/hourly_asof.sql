/*---
description = """
Values of each authority that are published at the start of hour t, the origin of a forecast: one row an hour. At t an hour counts as
published if its end is at least the publication lag of its dataset before t (seeds.publication_lag, the latest time that the sources'
rules allow). Windows and lags of late data count back from the newest published hour (columns *_until_utc): u for demand, v for
generation; lags of demand count from t. The marks in brackets: [published] by t; [day ahead], published the day before; or [ahead],
known at any time before.
Values that the half-year files repeat later count as published when EIA's API publishes them. Values include later revisions;
build --as-of uses the values known at a time. Weather is from the archive: forecasts for t made at the time are not kept. The
target is not included: join features.hourly or normalized.demand at the hours to be forecast, and features.calendar, whose columns
are known ahead.
"""
materialized = "table"
grain = ["region", "hour_utc"]
lookback = "144h"  # the longest publication lag, of weather

[columns]
hour_utc = "The origin t: the start of this hour, UTC."
demand_until_utc = "[ahead] Start of the newest hour whose demand counts as published at t, UTC."
forecast_until_utc = "[ahead] Start of the newest hour whose demand and forecast count as published at t, UTC."
supply_until_utc = "[ahead] Start of the newest hour whose generation counts as published at t, UTC."
interchange_until_utc = "[ahead] Start of the newest hour whose total interchange counts as published at t, UTC."
pairs_until_utc = "[ahead] Start of the newest hour whose interchange with each neighbor counts as published at t, UTC."
weather_until_utc = "[ahead] Start of the newest hour whose observed weather counts as published at t, UTC."
demand_newest_mwh = "[published] Demand of the newest published hour (u), MWh."
demand_lag_24h_mwh = "[published] Demand at t-24, MWh; NULL if not yet published."
demand_lag_48h_mwh = "[published] Demand at t-48, MWh; NULL if not yet published."
demand_lag_72h_mwh = "[published] Demand at t-72, MWh; NULL if not yet published."
demand_lag_96h_mwh = "[published] Demand at t-96, MWh; NULL if not yet published."
demand_lag_120h_mwh = "[published] Demand at t-120, MWh; NULL if not yet published."
demand_lag_144h_mwh = "[published] Demand at t-144, MWh; NULL if not yet published."
demand_lag_168h_mwh = "[published] Demand at t-168, MWh; NULL if not yet published."
demand_lag_336h_mwh = "[published] Demand at t-336, MWh; NULL if not yet published."
demand_same_hour_mean_7d_mwh = "[published] Mean demand of t-24, t-48, .. t-168, MWh."
demand_ramp_1h_mwh = "[published] Demand at u minus demand one hour before, MWh."
demand_ramp_3h_mwh = "[published] Demand at u minus demand three hours before, MWh."
demand_ramp_6h_mwh = "[published] Demand at u minus demand six hours before, MWh."
demand_count_168h = "[published] Hours with a demand among the 168 hours up to u; count."
demand_mean_6h_mwh = "[published] Mean demand of the 6 hours up to u, MWh."
demand_mean_24h_mwh = "[published] Mean demand of the 24 hours up to u, MWh."
demand_mean_168h_mwh = "[published] Mean demand of the 168 hours up to u, MWh."
demand_std_24h_mwh = "[published] Sample standard deviation of demand in the 24 hours up to u, MWh."
demand_min_24h_mwh = "[published] Minimum demand of the 24 hours up to u, MWh."
demand_max_24h_mwh = "[published] Maximum demand of the 24 hours up to u, MWh."
demand_std_168h_mwh = "[published] Sample standard deviation of demand in the 168 hours up to u, MWh."
demand_min_168h_mwh = "[published] Minimum demand of the 168 hours up to u, MWh."
demand_max_168h_mwh = "[published] Maximum demand of the 168 hours up to u, MWh."
demand_growth_24h_ratio = "[published] Demand at u over demand 24 hours before, minus 1."
demand_growth_168h_ratio = "[published] Demand at u over demand 168 hours before, minus 1."
demand_growth_8760h_ratio = "[published] Demand at u over demand 8,760 hours before, minus 1."
demand_zscore_168h = "[published] Demand at u minus the mean of the 168 hours up to u, over their standard deviation; no unit."
demand_of_max_365d_ratio = "[published] Demand at u over the maximum of the 365 whole days, UTC, before it."
load_factor_24h_ratio = "[published] Load factor: mean over maximum demand of the 24 hours up to u."
forecast_error_mean_24h_mwh = "[published] Mean of demand minus its day-ahead forecast over the 24 newest hours that have both published, MWh."
forecast_error_abs_mean_24h_mwh = "[published] Mean absolute difference of demand and its day-ahead forecast over the same hours, MWh."
forecast_error_abs_mean_168h_mwh = "[published] Mean absolute difference of demand and its day-ahead forecast over the 168 newest hours that have both published, MWh."
net_load_newest_mwh = "[published] Net load (demand minus solar and wind) of the newest hour with published generation (v), MWh."
net_load_ramp_3h_mwh = "[published] Net load at v minus net load three hours before, MWh."
net_load_mean_24h_mwh = "[published] Mean net load of the 24 hours up to v, MWh."
net_load_max_24h_mwh = "[published] Maximum net load of the 24 hours up to v, MWh."
net_generation_newest_mwh = "[published] Net generation at v, MWh."
renewable_mean_24h_ratio = "[published] Sum of solar, wind and hydro over the sum of all fuels, of the 24 hours up to v."
solar_wind_mean_24h_mwh = "[published] Mean of solar and wind over the 24 hours up to v, MWh."
solar_wind_ramp_std_168h_mwh = "[published] Intermittency: sample standard deviation of the hourly changes of solar and wind in the 168 hours up to v, MWh."
interchange_newest_mwh = "[published] Total interchange of the newest published hour, MWh; positive = export."
interchange_ramp_3h_mwh = "[published] interchange_newest_mwh minus total interchange three hours before, MWh."
import_newest_mwh = "[published] Sum of the imports from neighbors in the newest published hour, MWh; positive."
export_newest_mwh = "[published] Sum of the exports to neighbors in the newest published hour, MWh; positive."
neighbor_count_newest = "[published] Neighbors with a demand at u; count."
neighbor_demand_newest_mwh = "[published] Sum of the demand at u of the neighbors with a value, MWh."
neighbor_demand_growth_24h_ratio = "[published] Sum of the demand at u over that 24 hours before, for the neighbors with both, minus 1."
temperature_newest_c = "[published] Temperature of the newest published hour (weather_until_utc), °C."
temperature_mean_24h_c = "[published] Mean temperature of the 24 hours up to weather_until_utc, °C."
temperature_mean_72h_c = "[published] Mean temperature of the 72 hours up to weather_until_utc, °C."
heating_degrees_mean_24h_c = "[published] Mean heating degrees of the 24 hours up to weather_until_utc, °C."
cooling_degrees_mean_24h_c = "[published] Mean cooling degrees of the 24 hours up to weather_until_utc, °C."
caiso_load_forecast_mwh = "[day ahead] CISO only: CAISO's day-ahead load forecast for hour t, MWh."
caiso_net_load_forecast_mwh = "[day ahead] CISO only: CAISO's day-ahead load forecast minus its day-ahead forecasts of solar and wind for hour t, MWh."
price_sp15_usd_per_mwh = "[day ahead] CISO only: day-ahead price at SP15 for hour t, USD/MWh."
price_spread_usd_per_mwh = "[day ahead] CISO only: day-ahead price at SP15 minus that at NP15 for hour t, USD/MWh."
price_sp15_mean_24h_usd_per_mwh = "[published] CISO only: mean day-ahead price at SP15 of t-24..t-1, USD/MWh."
price_rtm_sp15_newest_usd_per_mwh = "[published] CISO only: real-time price at SP15 of the newest published hour, USD/MWh."
price_rtm_dam_sp15_newest_usd_per_mwh = "[published] CISO only: real-time minus day-ahead price at SP15 of the newest published hour, USD/MWh."

[[audits]]
unique = ["region", "hour_utc"]
[[audits]]
not_null = ["region", "hour_utc"]
---*/
-- The [past] columns of hour h in features.hourly are computed from hours before h. The row that counts as published at t is that of
-- t minus the publication lag: its newest hour ended when the lag began. Without a lag in the seed nothing counts as published.
with lag as (
    select
        max(lag_hours) filter (where dataset = 'eia.region_data' and measure = 'D') as demand,
        max(lag_hours) filter (where dataset = 'eia.region_data' and measure in ('D', 'DF')) as forecast,
        max(lag_hours) filter (where dataset = 'eia.fuel_type_data' or (dataset = 'eia.region_data' and measure in ('D', 'NG'))) as supply,
        max(lag_hours) filter (where dataset = 'eia.region_data' and measure = 'TI') as interchange,
        max(lag_hours) filter (where dataset = 'eia.interchange_data') as pairs,
        max(lag_hours) filter (where dataset = 'open_meteo.hourly') as weather,
        max(lag_hours) filter (where dataset in ('caiso.price_dam', 'caiso.price_rtm')) as market,
        max(lag_hours) filter (where dataset = 'caiso.load' and measure = 'DAM') as load_forecast,
        max(lag_hours) filter (where dataset = 'caiso.renewable' and measure = 'DAM') as renewable_forecast,
        max(lag_hours) filter (where dataset = 'caiso.price_dam') as price
    from seeds.publication_lag
),

-- The rows moved by each lag: hour_utc is the origin at which the row is the newest published one.
demand as (
    select h.* replace (h.hour_utc + to_hours(lag.demand) as hour_utc)
    from features.hourly as h
    cross join lag
),

error as (
    select h.* replace (h.hour_utc + to_hours(lag.forecast) as hour_utc)
    from features.hourly as h
    cross join lag
),

supply as (
    select h.* replace (h.hour_utc + to_hours(lag.supply) as hour_utc)
    from features.hourly as h
    cross join lag
),

interchange as (
    select h.* replace (h.hour_utc + to_hours(lag.interchange) as hour_utc)
    from features.hourly as h
    cross join lag
),

weather as (
    select h.* replace (h.hour_utc + to_hours(lag.weather) as hour_utc)
    from features.hourly as h
    cross join lag
),

market as (
    select h.* replace (h.hour_utc + to_hours(lag.market) as hour_utc)
    from features.hourly as h
    cross join lag
),

pairs as (
    select g.region, g.hour_utc + to_hours(lag.pairs + 1) as hour_utc, g.import_mwh, g.export_mwh
    from normalized.grid_screened as g
    cross join lag
)

select
    o.region,
    o.hour_utc,
    o.hour_utc - to_hours(lag.demand + 1) as demand_until_utc,
    o.hour_utc - to_hours(lag.forecast + 1) as forecast_until_utc,
    o.hour_utc - to_hours(lag.supply + 1) as supply_until_utc,
    o.hour_utc - to_hours(lag.interchange + 1) as interchange_until_utc,
    o.hour_utc - to_hours(lag.pairs + 1) as pairs_until_utc,
    o.hour_utc - to_hours(lag.weather + 1) as weather_until_utc,
    o.hour_of_day,
    o.day_of_week,
    o.is_holiday,
    o.is_working_hour,
    o.hour_sin,
    o.hour_cos,
    o.week_sin,
    o.week_cos,
    o.year_sin,
    o.year_cos,
    d.demand_lag_1h_mwh as demand_newest_mwh,
    case when lag.demand < 24 then o.demand_lag_24h_mwh end as demand_lag_24h_mwh,
    case when lag.demand < 48 then o.demand_lag_48h_mwh end as demand_lag_48h_mwh,
    case when lag.demand < 72 then o.demand_lag_72h_mwh end as demand_lag_72h_mwh,
    case when lag.demand < 96 then o.demand_lag_96h_mwh end as demand_lag_96h_mwh,
    case when lag.demand < 120 then o.demand_lag_120h_mwh end as demand_lag_120h_mwh,
    case when lag.demand < 144 then o.demand_lag_144h_mwh end as demand_lag_144h_mwh,
    case when lag.demand < 168 then o.demand_lag_168h_mwh end as demand_lag_168h_mwh,
    case when lag.demand < 336 then o.demand_lag_336h_mwh end as demand_lag_336h_mwh,
    case when lag.demand < 24 then o.demand_same_hour_mean_7d_mwh end as demand_same_hour_mean_7d_mwh,
    d.demand_ramp_1h_mwh,
    d.demand_ramp_3h_mwh,
    d.demand_ramp_6h_mwh,
    d.demand_count_168h,
    d.demand_mean_6h_mwh,
    d.demand_mean_24h_mwh,
    d.demand_mean_168h_mwh,
    d.demand_std_24h_mwh,
    d.demand_min_24h_mwh,
    d.demand_max_24h_mwh,
    d.demand_std_168h_mwh,
    d.demand_min_168h_mwh,
    d.demand_max_168h_mwh,
    d.demand_growth_24h_ratio,
    d.demand_growth_168h_ratio,
    d.demand_growth_8760h_ratio,
    d.demand_zscore_168h,
    d.demand_of_max_365d_ratio,
    d.load_factor_24h_ratio,
    e.forecast_error_mean_24h_mwh,
    e.forecast_error_abs_mean_24h_mwh,
    e.forecast_error_abs_mean_168h_mwh,
    s.net_load_lag_1h_mwh as net_load_newest_mwh,
    s.net_load_ramp_3h_mwh,
    s.net_load_mean_24h_mwh,
    s.net_load_max_24h_mwh,
    s.net_generation_lag_1h_mwh as net_generation_newest_mwh,
    s.renewable_mean_24h_ratio,
    s.solar_wind_mean_24h_mwh,
    s.solar_wind_ramp_std_168h_mwh,
    x.interchange_lag_1h_mwh as interchange_newest_mwh,
    x.interchange_ramp_3h_mwh,
    p.import_mwh as import_newest_mwh,
    p.export_mwh as export_newest_mwh,
    d.neighbor_count_lag_1h as neighbor_count_newest,
    d.neighbor_demand_lag_1h_mwh as neighbor_demand_newest_mwh,
    d.neighbor_demand_growth_24h_ratio,
    w.temperature_lag_1h_c as temperature_newest_c,
    w.temperature_mean_24h_c,
    w.temperature_mean_72h_c,
    w.heating_degrees_mean_24h_c,
    w.cooling_degrees_mean_24h_c,
    case when lag.load_forecast < 0 then o.caiso_load_forecast_mwh end as caiso_load_forecast_mwh,
    case
        when lag.load_forecast < 0 and lag.renewable_forecast < 0
            then o.caiso_load_forecast_mwh - o.caiso_solar_forecast_mwh - o.caiso_wind_forecast_mwh
    end as caiso_net_load_forecast_mwh,
    case when lag.price < 0 then o.price_sp15_usd_per_mwh end as price_sp15_usd_per_mwh,
    case when lag.price < 0 then o.price_sp15_usd_per_mwh - o.price_np15_usd_per_mwh end as price_spread_usd_per_mwh,
    case when lag.price <= 0 then o.price_sp15_mean_24h_usd_per_mwh end as price_sp15_mean_24h_usd_per_mwh,
    m.price_rtm_sp15_lag_1h_usd_per_mwh as price_rtm_sp15_newest_usd_per_mwh,
    m.price_rtm_dam_sp15_lag_1h_usd_per_mwh as price_rtm_dam_sp15_newest_usd_per_mwh
from features.hourly as o
cross join lag
left join demand as d on d.region = o.region and d.hour_utc = o.hour_utc
left join error as e on e.region = o.region and e.hour_utc = o.hour_utc
left join supply as s on s.region = o.region and s.hour_utc = o.hour_utc
left join interchange as x on x.region = o.region and x.hour_utc = o.hour_utc
left join weather as w on w.region = o.region and w.hour_utc = o.hour_utc
left join market as m on m.region = o.region and m.hour_utc = o.hour_utc
left join pairs as p on p.region = o.region and p.hour_utc = o.hour_utc
