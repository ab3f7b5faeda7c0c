/*---
description = """
normalized.grid for features: without forecasts, net generation, interchange and fuels that data up to the end of the same
hour show to be wrong. If one fuel is wrong, all fuels of the hour are left out, because shares and sums need all of them.
"""
materialized = "inline"
grain = ["region", "hour_utc"]

[columns]
demand_forecast_mwh = "[day ahead] Demand forecast made the day before (type DF), MWh; NULL if data up to the end of the hour show that it is wrong."
net_generation_mwh = "[at t] Net generation (type NG), MWh; NULL if data up to the end of the hour show that it is wrong."
total_interchange_mwh = "[at t] Net interchange with all neighbors (type TI), MWh; positive = export; NULL if data up to the end of the hour show that it is wrong."
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
renewable_mwh = "[at t] Generation from solar, wind and hydro, MWh; without geothermal, which was part of other before 2024-25."
solar_wind_mwh = "[at t] Generation from solar and wind, MWh."
net_load_mwh = "[at t] Demand minus solar and wind, MWh."
---*/
select * replace (
    demand_forecast_screened_mwh as demand_forecast_mwh,
    net_generation_screened_mwh as net_generation_mwh,
    total_interchange_screened_mwh as total_interchange_mwh,
    if(is_generation_suspect, null, coal_mwh) as coal_mwh,
    if(is_generation_suspect, null, gas_mwh) as gas_mwh,
    if(is_generation_suspect, null, nuclear_mwh) as nuclear_mwh,
    if(is_generation_suspect, null, oil_mwh) as oil_mwh,
    if(is_generation_suspect, null, hydro_mwh) as hydro_mwh,
    if(is_generation_suspect, null, solar_mwh) as solar_mwh,
    if(is_generation_suspect, null, wind_mwh) as wind_mwh,
    if(is_generation_suspect, null, geothermal_mwh) as geothermal_mwh,
    if(is_generation_suspect, null, storage_mwh) as storage_mwh,
    if(is_generation_suspect, null, other_mwh) as other_mwh,
    if(is_generation_suspect, null, unknown_mwh) as unknown_mwh,
    if(is_generation_suspect, null, other_combined_mwh) as other_combined_mwh,
    if(is_generation_suspect, null, fuel_sum_mwh) as fuel_sum_mwh,
    if(is_generation_suspect, null, renewable_mwh) as renewable_mwh,
    if(is_generation_suspect, null, solar_wind_mwh) as solar_wind_mwh,
    if(is_generation_suspect, null, net_load_mwh) as net_load_mwh
)
from normalized.grid
