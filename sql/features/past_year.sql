/*---
description = """
Lags and statistics of the year before t: one row for every hour t of every authority. All columns are [past]: computed from hours before
t only. Demand is demand_screened_mwh (see features.past_demand). The past 365 days are the whole days, UTC, before that of t.
Form EIA-930 does not report capacities: the maximum generation of the past 365 days is used instead. A maximum must be held for two
consecutive hours, so that a single wrong hour does not lower a capacity factor for a year. At the start of a region's history
windows are shorter, and lags are NULL.
"""
materialized = "inline"
grain = ["region", "hour_utc"]
lookback = "8784h"  # 365 whole days before the day of t, and the hour before them

[columns]
demand_lag_8760h_mwh = "[past] Demand at t-8760, 365 days before, MWh."
demand_growth_8760h_ratio = "[past] Demand at t-1 over demand at t-8761, minus 1."
demand_max_365d_mwh = "[past] Maximum demand of the past 365 days, MWh."
demand_of_max_365d_ratio = "[past] Demand at t-1 over the maximum of the past 365 days."
load_factor_365d_ratio = "[past] Load factor: mean over maximum demand of the past 365 days."
net_generation_max_365d_mwh = "[past] Maximum net generation held for two hours in the past 365 days, MWh: demonstrated capability, not a measure of present availability."
net_import_max_365d_mwh = "[past] Maximum net import (total interchange with the sign reversed) held for two hours in the past 365 days, MWh; negative if the region always exports."
generation_headroom_lag_1h_mwh = "[past] net_generation_max_365d_mwh minus net generation at t-1, MWh: demonstrated but unused generation, which is not the operators' reserve."
adequacy_365d_ratio = "[past] Demonstrated adequacy: net_generation_max_365d_mwh over demand_max_365d_mwh; below 1, the region's own generation has not reached its peak demand."
solar_capacity_factor_lag_1h_ratio = "[past] Demonstrated capacity factor: solar at t-1 over the maximum solar held for two hours in the past 365 days; NULL if that is not above 0."
wind_capacity_factor_lag_1h_ratio = "[past] Demonstrated capacity factor: wind at t-1 over the maximum wind held for two hours in the past 365 days; NULL if that is not above 0."
hydro_capacity_factor_lag_1h_ratio = "[past] Demonstrated capacity factor: hydro at t-1 over the maximum hydro held for two hours in the past 365 days; NULL if that is not above 0."
gas_capacity_factor_lag_1h_ratio = "[past] Demonstrated capacity factor: gas at t-1 over the maximum gas held for two hours in the past 365 days; NULL if that is not above 0."
coal_capacity_factor_lag_1h_ratio = "[past] Demonstrated capacity factor: coal at t-1 over the maximum coal held for two hours in the past 365 days; NULL if that is not above 0."
nuclear_capacity_factor_lag_1h_ratio = "[past] Demonstrated capacity factor: nuclear at t-1 over the maximum nuclear held for two hours in the past 365 days; NULL if that is not above 0."
---*/
-- Maxima and sums are taken over days, because a window of 8,760 hours costs four times as much. Sums use decimals, as in
-- features.past_demand.
with hourly as (
    select
        region,
        hour_utc,
        date_trunc('day', hour_utc) as day_utc,
        demand_screened_mwh as demand_mwh,
        try_cast(demand_screened_mwh as decimal(16, 4)) as demand_exact,
        lag(demand_screened_mwh, 1) over hours as demand_lag_1h_mwh,
        lag(demand_screened_mwh, 8760) over hours as demand_lag_8760h_mwh,
        lag(demand_screened_mwh, 8761) over hours as demand_lag_8761h_mwh,
        net_generation_mwh,
        -total_interchange_mwh as net_import_mwh,
        solar_mwh,
        wind_mwh,
        hydro_mwh,
        gas_mwh,
        coal_mwh,
        nuclear_mwh,
        lag(net_generation_mwh, 1) over hours as net_generation_lag_1h_mwh,
        lag(solar_mwh, 1) over hours as solar_lag_1h_mwh,
        lag(wind_mwh, 1) over hours as wind_lag_1h_mwh,
        lag(hydro_mwh, 1) over hours as hydro_lag_1h_mwh,
        lag(gas_mwh, 1) over hours as gas_lag_1h_mwh,
        lag(coal_mwh, 1) over hours as coal_lag_1h_mwh,
        lag(nuclear_mwh, 1) over hours as nuclear_lag_1h_mwh,
        lag(-total_interchange_mwh, 1) over hours as net_import_lag_1h_mwh
    from normalized.grid_screened
    window hours as (partition by region order by hour_utc)
),

-- least() ignores NULL, so both hours must have a value.
daily as (
    select
        region,
        day_utc,
        max(demand_mwh) as demand_max_mwh,
        sum(demand_exact) as demand_exact,
        count(demand_exact) as demand_count,
        max(least(net_generation_mwh, net_generation_lag_1h_mwh)) filter (where net_generation_mwh is not null and net_generation_lag_1h_mwh is not null) as net_generation_max_mwh,
        max(least(solar_mwh, solar_lag_1h_mwh)) filter (where solar_mwh is not null and solar_lag_1h_mwh is not null) as solar_max_mwh,
        max(least(wind_mwh, wind_lag_1h_mwh)) filter (where wind_mwh is not null and wind_lag_1h_mwh is not null) as wind_max_mwh,
        max(least(hydro_mwh, hydro_lag_1h_mwh)) filter (where hydro_mwh is not null and hydro_lag_1h_mwh is not null) as hydro_max_mwh,
        max(least(gas_mwh, gas_lag_1h_mwh)) filter (where gas_mwh is not null and gas_lag_1h_mwh is not null) as gas_max_mwh,
        max(least(coal_mwh, coal_lag_1h_mwh)) filter (where coal_mwh is not null and coal_lag_1h_mwh is not null) as coal_max_mwh,
        max(least(nuclear_mwh, nuclear_lag_1h_mwh)) filter (where nuclear_mwh is not null and nuclear_lag_1h_mwh is not null) as nuclear_max_mwh,
        max(least(net_import_mwh, net_import_lag_1h_mwh)) filter (where net_import_mwh is not null and net_import_lag_1h_mwh is not null) as net_import_max_mwh
    from hourly
    group by region, day_utc
),

past_days as (
    select
        region,
        day_utc,
        sum(demand_exact) over past_365d / nullif(sum(demand_count) over past_365d, 0) as demand_mean_365d_mwh,
        max(demand_max_mwh) over past_365d as demand_max_365d_mwh,
        max(net_generation_max_mwh) over past_365d as net_generation_max_365d_mwh,
        max(solar_max_mwh) over past_365d as solar_max_365d_mwh,
        max(wind_max_mwh) over past_365d as wind_max_365d_mwh,
        max(hydro_max_mwh) over past_365d as hydro_max_365d_mwh,
        max(gas_max_mwh) over past_365d as gas_max_365d_mwh,
        max(coal_max_mwh) over past_365d as coal_max_365d_mwh,
        max(nuclear_max_mwh) over past_365d as nuclear_max_365d_mwh,
        max(net_import_max_mwh) over past_365d as net_import_max_365d_mwh
    from daily
    window past_365d as (partition by region order by day_utc rows between 365 preceding and 1 preceding)
)

select
    h.region,
    h.hour_utc,
    h.demand_lag_8760h_mwh,
    h.demand_lag_1h_mwh / nullif(h.demand_lag_8761h_mwh, 0) - 1 as demand_growth_8760h_ratio,
    t.demand_max_365d_mwh,
    h.demand_lag_1h_mwh / nullif(t.demand_max_365d_mwh, 0) as demand_of_max_365d_ratio,
    t.demand_mean_365d_mwh / nullif(t.demand_max_365d_mwh, 0) as load_factor_365d_ratio,
    t.net_generation_max_365d_mwh,
    t.net_import_max_365d_mwh,
    t.net_generation_max_365d_mwh - h.net_generation_lag_1h_mwh as generation_headroom_lag_1h_mwh,
    t.net_generation_max_365d_mwh / nullif(t.demand_max_365d_mwh, 0) as adequacy_365d_ratio,
    h.solar_lag_1h_mwh / nullif(greatest(t.solar_max_365d_mwh, 0), 0) as solar_capacity_factor_lag_1h_ratio,
    h.wind_lag_1h_mwh / nullif(greatest(t.wind_max_365d_mwh, 0), 0) as wind_capacity_factor_lag_1h_ratio,
    h.hydro_lag_1h_mwh / nullif(greatest(t.hydro_max_365d_mwh, 0), 0) as hydro_capacity_factor_lag_1h_ratio,
    h.gas_lag_1h_mwh / nullif(greatest(t.gas_max_365d_mwh, 0), 0) as gas_capacity_factor_lag_1h_ratio,
    h.coal_lag_1h_mwh / nullif(greatest(t.coal_max_365d_mwh, 0), 0) as coal_capacity_factor_lag_1h_ratio,
    h.nuclear_lag_1h_mwh / nullif(greatest(t.nuclear_max_365d_mwh, 0), 0) as nuclear_capacity_factor_lag_1h_ratio
from hourly as h
inner join past_days as t on t.region = h.region and t.day_utc = h.day_utc
