/*---
description = """
One row for every hour of every authority, without gaps (see normalized.span): demand, forecast, generation by fuel family,
interchange, net load, weather and, for CISO, CAISO's own figures side by side. Authorities only: aggregates would count
everything twice. Columns of a source that is not synced are NULL; the catalog lists empty columns.
Missing is NULL, never 0. A family's sum leaves out codes without a value and is NULL if none has one.
net_load_mwh, solar_wind_mwh and renewable_mwh count solar, wind or hydro as 0 only in hours in which the region reports other
fuels and has not yet reported that one; after it has, a missing value makes them NULL. Codes that are not in normalized.fuel
count as unknown. Marks in brackets mean when a value is known; the description of features.hourly explains them.
The identities of form EIA-930 hold only approximately; the residuals are the differences in each hour.
"""
materialized = "table"
grain = ["region", "hour_utc"]
lookback = "0h"

[columns]
hour_utc = "Start of the hour, UTC."
demand_mwh = "[target] Demand as reported (type D), MWh."
demand_screened_mwh = "[at t] Demand as reported, MWh; NULL if data up to the end of the same hour show that it is wrong. Uses no later hour."
demand_forecast_mwh = "[day ahead] Demand forecast made the day before (type DF), MWh."
net_generation_mwh = "[at t] Net generation (type NG), MWh."
total_interchange_mwh = "[at t] Net interchange with all neighbors (type TI), MWh; positive = export."
demand_forecast_screened_mwh = "[day ahead] Demand forecast, MWh; NULL if data up to the end of the same hour show that it is wrong. Uses earlier forecasts only."
net_generation_screened_mwh = "[at t] Net generation, MWh; NULL if data up to the end of the same hour show that it is wrong. Uses no later hour."
total_interchange_screened_mwh = "[at t] Total interchange, MWh; positive = export; NULL if data up to the end of the same hour show that it is wrong. Uses no later hour."
is_generation_suspect = "[at t] True if data up to the end of the same hour show that the value of a fuel is wrong: the fuel columns keep it, features leave out all fuels of the hour."
coal_mwh = "[at t] Generation from coal, MWh."
gas_mwh = "[at t] Generation from natural gas, MWh."
nuclear_mwh = "[at t] Generation from nuclear, MWh."
oil_mwh = "[at t] Generation from petroleum, MWh."
hydro_mwh = "[at t] Generation from water, with pumped storage, MWh; may be negative while pumping."
solar_mwh = "[at t] Generation from solar, with or without integrated battery, MWh."
wind_mwh = "[at t] Generation from wind, with or without integrated battery, MWh."
geothermal_mwh = "[at t] Generation from geothermal, MWh; NULL while it was still reported under other."
storage_mwh = "[at t] Battery and other storage without pumped, MWh; positive = discharging; NULL while it was still reported under other."
other_mwh = "[at t] Generation from other fuels, MWh; includes geothermal and storage until the codes were split in 2024-25."
unknown_mwh = "[at t] Generation from unknown fuels and from codes that are not in normalized.fuel, MWh."
other_combined_mwh = "[at t] other, geothermal and storage together, MWh: comparable before and after the codes were split."
fuel_sum_mwh = "[at t] Sum of all fuels, MWh."
interchange_sum_mwh = "[at t] Sum of the interchange with each neighbor as the region reports it, MWh; positive = export."
import_mwh = "[at t] Sum of the imports that the region reports from its neighbors, MWh; positive."
export_mwh = "[at t] Sum of the exports that the region reports to its neighbors, MWh; positive."
renewable_mwh = "[at t] Generation from solar, wind and hydro, MWh; without geothermal, which was part of other before 2024-25."
solar_wind_mwh = "[at t] Generation from solar and wind, MWh."
net_load_mwh = "[at t] Demand minus solar and wind, MWh."
balance_residual_mwh = "[at t] Demand minus (net generation minus total interchange), MWh."
fuel_residual_mwh = "[at t] Net generation minus the sum of all fuels, MWh."
interchange_residual_mwh = "[at t] Total interchange minus the sum over neighbors, MWh."
temperature_c = "[at t] Air temperature at 2 m at the start of the hour, °C; weather is weighted over the places of the region by population."
dew_point_c = "[at t] Dew point at 2 m at the start of the hour, °C."
wind_10m_m_per_s = "[at t] Wind speed at 10 m at the start of the hour, m/s."
wind_100m_m_per_s = "[at t] Wind speed at 100 m at the start of the hour, m/s."
cloud_cover_percent = "[at t] Cloud cover at the start of the hour, %."
shortwave_w_per_m2 = "[at t] Mean shortwave radiation over the hour, W/m²."
precipitation_mm = "[at t] Precipitation over the hour, mm."
heating_degrees = "[at t] Degrees Celsius below 18.3 °C (65 °F), computed for each place, then averaged by weight."
cooling_degrees = "[at t] Degrees Celsius above 18.3 °C (65 °F), computed for each place, then averaged by weight."
caiso_load_mwh = "[at t] CISO only: actual load of CAISO's own area (CA ISO-TAC), MWh."
caiso_load_forecast_mwh = "[day ahead] CISO only: CAISO's day-ahead forecast of the load of its own area, MWh; NULL for other regions, as are all columns of CAISO."
caiso_load_forecast_2da_mwh = "[day ahead] CISO only: CAISO's forecast of that load two days ahead, MWh."
caiso_load_forecast_7da_mwh = "[day ahead] CISO only: CAISO's forecast of that load seven days ahead, MWh."
caiso_solar_mwh = "[at t] CISO only: actual solar over CAISO's three hubs, MWh; NULL unless all three have a value."
caiso_wind_mwh = "[at t] CISO only: actual wind over CAISO's three hubs, MWh; NULL unless all three have a value."
caiso_solar_forecast_mwh = "[day ahead] CISO only: day-ahead forecast of solar over the three hubs, MWh."
caiso_wind_forecast_mwh = "[day ahead] CISO only: day-ahead forecast of wind over the three hubs, MWh."
price_np15_usd_per_mwh = "[day ahead] CISO only: day-ahead price (LMP) at the trading hub NP15, USD/MWh."
price_sp15_usd_per_mwh = "[day ahead] CISO only: day-ahead price (LMP) at the trading hub SP15, USD/MWh."
price_zp26_usd_per_mwh = "[day ahead] CISO only: day-ahead price (LMP) at the trading hub ZP26, USD/MWh."
price_rtm_np15_usd_per_mwh = "[at t] CISO only: mean of the hour's five-minute real-time prices (LMP) at NP15, USD/MWh."
price_rtm_sp15_usd_per_mwh = "[at t] CISO only: mean of the hour's five-minute real-time prices (LMP) at SP15, USD/MWh."

[[audits]]
unique = ["region", "hour_utc"]
[[audits]]
not_null = ["region", "hour_utc"]
[[audits]]
name = "spine"
when = "check"
description = "regions with missing or duplicate hours"
sql = """
select region, min(hour_utc) as first_hour_utc, max(hour_utc) as last_hour_utc, count(*) as hours,
    date_diff('hour', min(hour_utc), max(hour_utc)) + 1 as hours_owed
from normalized.grid
group by region
having count(*) <> date_diff('hour', min(hour_utc), max(hour_utc)) + 1
"""
---*/
with spine as (
    select
        region,
        unnest(generate_series(first_hour_utc, last_hour_utc, interval 1 hour)) as hour_utc,
        solar_from_utc,
        wind_from_utc,
        hydro_from_utc
    from normalized.span
),

fuels as (
    select
        g.region,
        g.hour_utc,
        sum(g.generation_mwh) filter (where f.family = 'coal') as coal_mwh,
        sum(g.generation_mwh) filter (where f.family = 'gas') as gas_mwh,
        sum(g.generation_mwh) filter (where f.family = 'nuclear') as nuclear_mwh,
        sum(g.generation_mwh) filter (where f.family = 'oil') as oil_mwh,
        sum(g.generation_mwh) filter (where f.family = 'hydro') as hydro_mwh,
        sum(g.generation_mwh) filter (where f.family = 'solar') as solar_mwh,
        sum(g.generation_mwh) filter (where f.family = 'wind') as wind_mwh,
        sum(g.generation_mwh) filter (where f.family = 'geothermal') as geothermal_mwh,
        sum(g.generation_mwh) filter (where f.family = 'storage') as storage_mwh,
        sum(g.generation_mwh) filter (where f.family = 'other') as other_mwh,
        sum(g.generation_mwh) filter (where coalesce(f.family, 'unknown') = 'unknown') as unknown_mwh,
        sum(g.generation_mwh) as fuel_sum_mwh,
        bool_or(g.generation_mwh is not null and g.is_left_out) as is_generation_suspect
    from (
        select region, hour_utc, fuel, try_cast(generation_mwh as decimal(18, 4)) as generation_mwh, generation_screened_mwh is null as is_left_out
        from normalized.generation
    ) as g
    left join normalized.fuel as f on f.fuel = g.fuel
    group by g.region, g.hour_utc
),

neighbors as (
    select
        region,
        hour_utc,
        sum(interchange_mwh) as interchange_sum_mwh,
        sum(greatest(-interchange_mwh, 0)) as import_mwh,
        sum(greatest(interchange_mwh, 0)) as export_mwh
    from (
        select region, hour_utc, try_cast(interchange_mwh as decimal(18, 4)) as interchange_mwh
        from normalized.interchange
        where interchange_mwh is not null
    )
    group by region, hour_utc
),

-- CAISO's areas, hubs and nodes, all of authority CISO.
caiso_load as (
    select
        hour_utc,
        max(load_mwh) filter (where market = 'ACTUAL') as caiso_load_mwh,
        max(load_mwh) filter (where market = 'DAM') as caiso_load_forecast_mwh,
        max(load_mwh) filter (where market = '2DA') as caiso_load_forecast_2da_mwh,
        max(load_mwh) filter (where market = '7DA') as caiso_load_forecast_7da_mwh
    from normalized.caiso_load
    where is_total
    group by hour_utc
),

-- The three hubs add up to the area: a sum without one of them is not a total.
caiso_hubs as (
    select
        hour_utc,
        market,
        fuel,
        case when count(generation_mwh) = 3 then cast(sum(try_cast(generation_mwh as decimal(18, 4))) as double) end as generation_mwh
    from normalized.caiso_renewable
    group by hour_utc, market, fuel
),

caiso_renewable as (
    select
        hour_utc,
        max(generation_mwh) filter (where market = 'ACTUAL' and fuel = 'Solar') as caiso_solar_mwh,
        max(generation_mwh) filter (where market = 'ACTUAL' and fuel = 'Wind') as caiso_wind_mwh,
        max(generation_mwh) filter (where market = 'DAM' and fuel = 'Solar') as caiso_solar_forecast_mwh,
        max(generation_mwh) filter (where market = 'DAM' and fuel = 'Wind') as caiso_wind_forecast_mwh
    from caiso_hubs
    group by hour_utc
),

caiso_price as (
    select
        hour_utc,
        max(lmp_usd_per_mwh) filter (where market = 'DAM' and node = 'TH_NP15_GEN-APND') as price_np15_usd_per_mwh,
        max(lmp_usd_per_mwh) filter (where market = 'DAM' and node = 'TH_SP15_GEN-APND') as price_sp15_usd_per_mwh,
        max(lmp_usd_per_mwh) filter (where market = 'DAM' and node = 'TH_ZP26_GEN-APND') as price_zp26_usd_per_mwh,
        max(lmp_usd_per_mwh) filter (where market = 'RTM' and node = 'TH_NP15_GEN-APND') as price_rtm_np15_usd_per_mwh,
        max(lmp_usd_per_mwh) filter (where market = 'RTM' and node = 'TH_SP15_GEN-APND') as price_rtm_sp15_usd_per_mwh
    from normalized.caiso_price
    group by hour_utc
),

joined as (
    select
        s.region,
        s.hour_utc,
        s.solar_from_utc is not null and s.hour_utc >= s.solar_from_utc as has_solar,
        s.wind_from_utc is not null and s.hour_utc >= s.wind_from_utc as has_wind,
        s.hydro_from_utc is not null and s.hour_utc >= s.hydro_from_utc as has_hydro,
        d.demand_mwh,
        d.demand_flag,
        d.demand_clean_mwh,
        d.demand_screened_mwh,
        d.demand_forecast_mwh,
        d.net_generation_mwh,
        d.total_interchange_mwh,
        d.demand_forecast_screened_mwh,
        d.net_generation_screened_mwh,
        d.total_interchange_screened_mwh,
        f.* exclude (region, hour_utc),
        n.interchange_sum_mwh,
        n.import_mwh,
        n.export_mwh,
        w.* exclude (region, hour_utc, places),
        l.* exclude (hour_utc),
        r.* exclude (hour_utc),
        p.* exclude (hour_utc)
    from spine as s
    left join normalized.demand as d on d.region = s.region and d.hour_utc = s.hour_utc
    left join fuels as f on f.region = s.region and f.hour_utc = s.hour_utc
    left join neighbors as n on n.region = s.region and n.hour_utc = s.hour_utc
    left join normalized.weather as w on w.region = s.region and w.hour_utc = s.hour_utc
    left join caiso_load as l on s.region = 'CISO' and l.hour_utc = s.hour_utc
    left join caiso_renewable as r on s.region = 'CISO' and r.hour_utc = s.hour_utc
    left join caiso_price as p on s.region = 'CISO' and p.hour_utc = s.hour_utc
)

-- Sums use decimals with four decimal places, the finest reported (by LGEE). They are exact: a month built alone equals that
-- month of a full build to the bit.
select
    region,
    hour_utc,
    demand_mwh,
    demand_flag,
    demand_clean_mwh,
    demand_screened_mwh,
    demand_forecast_mwh,
    net_generation_mwh,
    total_interchange_mwh,
    demand_forecast_screened_mwh,
    net_generation_screened_mwh,
    total_interchange_screened_mwh,
    coalesce(is_generation_suspect, false) as is_generation_suspect,
    cast(coal_mwh as double) as coal_mwh,
    cast(gas_mwh as double) as gas_mwh,
    cast(nuclear_mwh as double) as nuclear_mwh,
    cast(oil_mwh as double) as oil_mwh,
    cast(hydro_mwh as double) as hydro_mwh,
    cast(solar_mwh as double) as solar_mwh,
    cast(wind_mwh as double) as wind_mwh,
    cast(geothermal_mwh as double) as geothermal_mwh,
    cast(storage_mwh as double) as storage_mwh,
    cast(other_mwh as double) as other_mwh,
    cast(unknown_mwh as double) as unknown_mwh,
    case
        when coalesce(other_mwh, geothermal_mwh, storage_mwh) is not null
            then cast(coalesce(other_mwh, 0) + coalesce(geothermal_mwh, 0) + coalesce(storage_mwh, 0) as double)
    end as other_combined_mwh,
    cast(fuel_sum_mwh as double) as fuel_sum_mwh,
    cast(interchange_sum_mwh as double) as interchange_sum_mwh,
    cast(import_mwh as double) as import_mwh,
    cast(export_mwh as double) as export_mwh,
    case
        when fuel_sum_mwh is not null
            and (solar_mwh is not null or not has_solar)
            and (wind_mwh is not null or not has_wind)
            and (hydro_mwh is not null or not has_hydro)
            then cast(coalesce(solar_mwh, 0) + coalesce(wind_mwh, 0) + coalesce(hydro_mwh, 0) as double)
    end as renewable_mwh,
    case
        when fuel_sum_mwh is not null and (solar_mwh is not null or not has_solar) and (wind_mwh is not null or not has_wind)
            then cast(coalesce(solar_mwh, 0) + coalesce(wind_mwh, 0) as double)
    end as solar_wind_mwh,
    round(demand_mwh - solar_wind_mwh, 4) as net_load_mwh,
    round(demand_mwh - (net_generation_mwh - total_interchange_mwh), 4) as balance_residual_mwh,
    round(net_generation_mwh - fuel_sum_mwh, 4) as fuel_residual_mwh,
    round(total_interchange_mwh - interchange_sum_mwh, 4) as interchange_residual_mwh,
    temperature_c,
    dew_point_c,
    wind_10m_m_per_s,
    wind_100m_m_per_s,
    cloud_cover_percent,
    shortwave_w_per_m2,
    precipitation_mm,
    heating_degrees,
    cooling_degrees,
    caiso_load_mwh,
    caiso_load_forecast_mwh,
    caiso_load_forecast_2da_mwh,
    caiso_load_forecast_7da_mwh,
    caiso_solar_mwh,
    caiso_wind_mwh,
    caiso_solar_forecast_mwh,
    caiso_wind_forecast_mwh,
    price_np15_usd_per_mwh,
    price_sp15_usd_per_mwh,
    price_zp26_usd_per_mwh,
    price_rtm_np15_usd_per_mwh,
    price_rtm_sp15_usd_per_mwh
from joined
