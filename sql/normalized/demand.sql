/*---
description = """
Values that each respondent reports about itself, one row an hour, with flags and repaired values of its demand. Each hour from the
region's first to its last demand has a row, even if the source has none. Before and after, only hours that the source has have a
row: day-ahead forecasts, and respondents that only generate. Reported values are unchanged. demand_flag is the reason why
demand_mwh is suspicious; demand_clean_mwh is the value to use instead: repaired if possible (see normalized.demand_repair), else
NULL. It uses later hours, so features do not use it. Aggregates are included if they were synced; to leave them out, join
normalized.region and filter by kind.
"""
materialized = "table"
grain = ["region", "hour_utc"]
lookback = "0h"

[columns]
region = "Respondent, EIA code; authorities and, where synced, aggregates."
hour_utc = "Start of the hour, UTC (EIA's period is its end)."
demand_flag = "[hindsight] Why demand_mwh is suspicious, a code of normalized.flag; NULL if it is not."
demand_clean_mwh = "[hindsight] Demand to use, MWh: as reported if there is no flag or only clock_error (wrong hour, right amount); an estimate if demand_repair names its method; else NULL."
demand_repair = "[hindsight] Method that filled a missing or flagged demand in demand_clean_mwh, a code of normalized.flag (kind repair); NULL if it was not filled."
demand_gap_hours = "[hindsight] Length of the gap that was filled, hours; NULL where demand_repair is NULL."
demand_forecast_flag = "[hindsight] Why demand_forecast_mwh is suspicious, a code of normalized.flag (kind measure); NULL if it is not."
demand_forecast_screened_mwh = "Demand forecast, MWh; NULL if data up to the end of the same hour show that it is wrong. Uses earlier forecasts only."
net_generation_flag = "[hindsight] Why net_generation_mwh is suspicious, a code of normalized.flag (kind measure); NULL if it is not."
net_generation_screened_mwh = "Net generation, MWh; NULL if data up to the end of the same hour show that it is wrong. Uses no later hour."
total_interchange_flag = "[hindsight] Why total_interchange_mwh is suspicious, a code of normalized.flag (kind measure); NULL if it is not."
total_interchange_screened_mwh = "Total interchange, MWh; positive = export; NULL if data up to the end of the same hour show that it is wrong. Uses no later hour."
source = "Source of the reported values: eia (the API), eia_files (the half-year files), or both; NULL where the source has no row."

[[audits]]
unique = ["region", "hour_utc"]
[[audits]]
not_null = ["region", "hour_utc"]
[[audits]]
sql = "select * from normalized.demand where demand_flag is null and demand_clean_mwh is distinct from demand_mwh"
description = "hours without a flag whose clean demand differs from the reported one"
[[audits]]
sql = """
select * from normalized.demand
where (demand_repair is null) <> (demand_gap_hours is null)
    or (demand_repair is not null) <> (coalesce(demand_flag, 'clock_error') <> 'clock_error' and demand_clean_mwh is not null)
"""
description = "filled hours without demand_repair, or hours with demand_repair that are not filled"
[[audits]]
name = "impossible_demand"
sql = """
select d.* from normalized.demand d join normalized.region r using (region)
where r.kind = 'authority' and d.demand_clean_mwh not between 0 and 250000
"""
severity = "warn"
description = "demand_clean_mwh outside 0 to 250,000 MWh, which the screening missed"
---*/
with measures as (
    select
        region,
        hour_utc,
        max(flag) filter (where measure = 'demand_forecast') as demand_forecast_flag,
        bool_or(is_known_at_once) filter (where measure = 'demand_forecast') as forecast_at_once,
        max(flag) filter (where measure = 'net_generation') as net_generation_flag,
        bool_or(is_known_at_once) filter (where measure = 'net_generation') as generation_at_once,
        max(flag) filter (where measure = 'total_interchange') as total_interchange_flag,
        bool_or(is_known_at_once) filter (where measure = 'total_interchange') as interchange_at_once
    from normalized.measure_screen
    where measure in ('demand_forecast', 'net_generation', 'total_interchange')
    group by region, hour_utc
)

select
    coalesce(s.region, d.region) as region,
    coalesce(s.hour_utc, d.hour_utc) as hour_utc,
    d.demand_mwh,
    coalesce(s.demand_flag, if(k.region is not null, 'clock_error', null)) as demand_flag,
    if(s.demand_flag is null, d.demand_mwh, r.demand_repaired_mwh) as demand_clean_mwh,
    r.demand_repair,
    r.demand_gap_hours,
    s.demand_screened_mwh,
    d.demand_forecast_mwh,
    d.net_generation_mwh,
    d.total_interchange_mwh,
    m.demand_forecast_flag,
    if(m.forecast_at_once, null, d.demand_forecast_mwh) as demand_forecast_screened_mwh,
    m.net_generation_flag,
    if(m.generation_at_once, null, d.net_generation_mwh) as net_generation_screened_mwh,
    m.total_interchange_flag,
    if(m.interchange_at_once, null, d.total_interchange_mwh) as total_interchange_screened_mwh,
    d.demand_imputed_mwh,
    d.demand_adjusted_mwh,
    d.net_generation_imputed_mwh,
    d.net_generation_adjusted_mwh,
    d.total_interchange_imputed_mwh,
    d.total_interchange_adjusted_mwh,
    d.source,
    d.correction
from normalized.demand_screen as s
full join normalized.demand_reported as d on d.region = s.region and d.hour_utc = s.hour_utc
left join measures as m on m.region = d.region and m.hour_utc = d.hour_utc
left join normalized.demand_repair as r
    on r.region = s.region and r.hour_utc = s.hour_utc and s.demand_flag is not null
left join seeds.clock_correction as k
    on k.measure = 'demand'
    and k.region = s.region
    and s.hour_utc between k.first_hour_utc::timestamp and k.last_hour_utc::timestamp
    and exists (from seeds.option where name = 'corrections' and not enabled)
