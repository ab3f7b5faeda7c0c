/*---
description = """
Values that each respondent reports about itself, one row an hour: demand, day-ahead forecast, net generation, total interchange.
A row exists if the source has a row of any of the four types, even one without a value. Aggregates are included if they were
synced; to leave them out, join normalized.region and filter by kind. Values are as reported: absurd values are kept, missing
values are NULL. An hour that both the API and the half-year files have is one row. Each of its values is the one that became
known last; in the newest six weeks it is the API's. A value is preferred to a blank. normalized.source_conflict lists the
differences. A row of a file without any value counts as no row.
Known clock errors stay unless the setting build.corrections is on (see normalized.correction).
"""
materialized = "table"
grain = ["region", "hour_utc"]
lookback = "8h"    # how far a clock is corrected
lookahead = "8h"

[columns]
region = "Respondent, EIA code; authorities and, where synced, aggregates."
hour_utc = "Start of the hour, UTC (EIA's period is its end)."
demand_mwh = "Demand as reported (type D), MWh."
demand_forecast_mwh = "Demand forecast made the day before (type DF), MWh; runs up to a day and a half beyond the actuals."
net_generation_mwh = "Net generation (type NG), MWh."
total_interchange_mwh = "Net interchange with all neighbors (type TI), MWh; positive = export."
demand_imputed_mwh = "EIA's estimate where demand was missing or implausible, MWh; only in the half-year files."
demand_adjusted_mwh = "Demand after EIA's adjustments, MWh; only in the half-year files."
net_generation_imputed_mwh = "EIA's estimate of net generation, MWh; only in the half-year files."
net_generation_adjusted_mwh = "Net generation after EIA's adjustments, MWh; only in the half-year files."
total_interchange_imputed_mwh = "EIA's estimate of total interchange, MWh; only in the half-year files."
total_interchange_adjusted_mwh = "Total interchange after EIA's adjustments, MWh; only in the half-year files."
source = "Source of the reported values: eia (the API), eia_files (the half-year files), or both, some from each."
correction = "clock if a value of this row was moved here from the hour for which it was reported; NULL if none was."

[[audits]]
unique = ["region", "hour_utc"]
[[audits]]
not_null = ["region", "hour_utc"]
[[audits]]
name = "unknown_region"
sql = """
select region, min(hour_utc) as first_hour_utc, max(hour_utc) as last_hour_utc, count(*) as hours
from normalized.demand_reported
where region not in (select region from normalized.region)
group by region
"""
severity = "warn"
description = "respondents that are not in normalized.region"
---*/
-- A clock is corrected for each measure on its own: the other measures of an hour may be right.
with corrected as (
    select
        measure,
        region,
        hour_utc + interval 1 hour as period,
        corrected_hour_utc + interval 1 hour as corrected_period,
        correction
    from normalized.correction
    where neighbor = 'ALL'
),

filed_measures as (
    select
        region,
        period,
        known_from_utc,
        'demand' as measure,
        demand_mwh as reported,
        demand_imputed_mwh as imputed,
        demand_adjusted_mwh as adjusted
    from normalized.filed_balance
    where region in (select region from corrected)
    union all
    select
        region,
        period,
        known_from_utc,
        'demand_forecast',
        demand_forecast_mwh,
        null,
        null
    from normalized.filed_balance
    where region in (select region from corrected)
    union all
    select
        region,
        period,
        known_from_utc,
        'net_generation',
        net_generation_mwh,
        net_generation_imputed_mwh,
        net_generation_adjusted_mwh
    from normalized.filed_balance
    where region in (select region from corrected)
    union all
    select
        region,
        period,
        known_from_utc,
        'total_interchange',
        total_interchange_mwh,
        total_interchange_imputed_mwh,
        total_interchange_adjusted_mwh
    from normalized.filed_balance
    where region in (select region from corrected)
),

placed as (
    select
        region,
        period,
        known_from_utc,
        demand_mwh,
        demand_forecast_mwh,
        net_generation_mwh,
        total_interchange_mwh,
        demand_imputed_mwh,
        demand_adjusted_mwh,
        net_generation_imputed_mwh,
        net_generation_adjusted_mwh,
        total_interchange_imputed_mwh,
        total_interchange_adjusted_mwh,
        null as correction
    from normalized.filed_balance
    where region not in (select region from corrected)
    union all
    select
        f.region,
        coalesce(c.corrected_period, f.period) as period,
        max(f.known_from_utc),
        max(f.reported) filter (where f.measure = 'demand'),
        max(f.reported) filter (where f.measure = 'demand_forecast'),
        max(f.reported) filter (where f.measure = 'net_generation'),
        max(f.reported) filter (where f.measure = 'total_interchange'),
        max(f.imputed) filter (where f.measure = 'demand'),
        max(f.adjusted) filter (where f.measure = 'demand'),
        max(f.imputed) filter (where f.measure = 'net_generation'),
        max(f.adjusted) filter (where f.measure = 'net_generation'),
        max(f.imputed) filter (where f.measure = 'total_interchange'),
        max(f.adjusted) filter (where f.measure = 'total_interchange'),
        max(c.correction)
    from filed_measures as f
    left join corrected as c on c.measure = f.measure and c.region = f.region and c.period = f.period
    where c.period is null or c.corrected_period is not null
    group by f.region, coalesce(c.corrected_period, f.period)
),

files as (
    select
        region,
        period,
        correction,
        known_from_utc,
        demand_mwh,
        demand_forecast_mwh,
        net_generation_mwh,
        total_interchange_mwh,
        demand_imputed_mwh,
        demand_adjusted_mwh,
        net_generation_imputed_mwh,
        net_generation_adjusted_mwh,
        total_interchange_imputed_mwh,
        total_interchange_adjusted_mwh
    from placed
    where coalesce(
        demand_mwh,
        demand_forecast_mwh,
        net_generation_mwh,
        total_interchange_mwh,
        demand_imputed_mwh,
        demand_adjusted_mwh,
        net_generation_imputed_mwh,
        net_generation_adjusted_mwh,
        total_interchange_imputed_mwh,
        total_interchange_adjusted_mwh
    ) is not null
),

api as (
    select
        r.respondent as region,
        coalesce(c.corrected_period, r.period) as period,
        max(c.correction) as correction,
        max(r.value) filter (where r.type = 'D') as demand_mwh,
        max(r.known_from_utc) filter (where r.type = 'D') as demand_from_utc,
        max(r.value) filter (where r.type = 'DF') as demand_forecast_mwh,
        max(r.known_from_utc) filter (where r.type = 'DF') as demand_forecast_from_utc,
        max(r.value) filter (where r.type = 'NG') as net_generation_mwh,
        max(r.known_from_utc) filter (where r.type = 'NG') as net_generation_from_utc,
        max(r.value) filter (where r.type = 'TI') as total_interchange_mwh,
        max(r.known_from_utc) filter (where r.type = 'TI') as total_interchange_from_utc
    from staging.eia.region_data as r
    left join corrected as c
        on c.region = r.respondent
        and c.period = r.period
        and c.measure = case r.type
            when 'D' then 'demand'
            when 'DF' then 'demand_forecast'
            when 'NG' then 'net_generation'
            when 'TI' then 'total_interchange'
        end
    where r.type in ('D', 'DF', 'NG', 'TI') and (c.period is null or c.corrected_period is not null)
    group by r.respondent, coalesce(c.corrected_period, r.period)
),

-- In the newest six weeks a file is days behind the API, even if it was read later, so the value of the API is used.
met as (
    select
        coalesce(a.region, f.region) as region,
        coalesce(a.period, f.period) - interval 1 hour as hour_utc,
        a.region is not null as in_api,
        coalesce(a.correction, f.correction) as correction,
        a.demand_mwh as api_demand_mwh,
        f.demand_mwh as file_demand_mwh,
        f.demand_mwh is not null
            and (a.demand_mwh is null or (f.known_from_utc >= f.period + interval 42 day and f.known_from_utc > a.demand_from_utc)) as demand_of_file,
        a.demand_forecast_mwh as api_demand_forecast_mwh,
        f.demand_forecast_mwh as file_demand_forecast_mwh,
        f.demand_forecast_mwh is not null
            and (a.demand_forecast_mwh is null or (f.known_from_utc >= f.period + interval 42 day and f.known_from_utc > a.demand_forecast_from_utc)) as demand_forecast_of_file,
        a.net_generation_mwh as api_net_generation_mwh,
        f.net_generation_mwh as file_net_generation_mwh,
        f.net_generation_mwh is not null
            and (a.net_generation_mwh is null or (f.known_from_utc >= f.period + interval 42 day and f.known_from_utc > a.net_generation_from_utc)) as net_generation_of_file,
        a.total_interchange_mwh as api_total_interchange_mwh,
        f.total_interchange_mwh as file_total_interchange_mwh,
        f.total_interchange_mwh is not null
            and (a.total_interchange_mwh is null or (f.known_from_utc >= f.period + interval 42 day and f.known_from_utc > a.total_interchange_from_utc)) as total_interchange_of_file,
        f.demand_imputed_mwh,
        f.demand_adjusted_mwh,
        f.net_generation_imputed_mwh,
        f.net_generation_adjusted_mwh,
        f.total_interchange_imputed_mwh,
        f.total_interchange_adjusted_mwh
    from api as a
    full join files as f on f.region = a.region and f.period = a.period
)

select
    region,
    hour_utc,
    if(demand_of_file, file_demand_mwh, api_demand_mwh) as demand_mwh,
    if(demand_forecast_of_file, file_demand_forecast_mwh, api_demand_forecast_mwh) as demand_forecast_mwh,
    if(net_generation_of_file, file_net_generation_mwh, api_net_generation_mwh) as net_generation_mwh,
    if(total_interchange_of_file, file_total_interchange_mwh, api_total_interchange_mwh) as total_interchange_mwh,
    demand_imputed_mwh,
    demand_adjusted_mwh,
    net_generation_imputed_mwh,
    net_generation_adjusted_mwh,
    total_interchange_imputed_mwh,
    total_interchange_adjusted_mwh,
    case
        when not (demand_of_file or demand_forecast_of_file or net_generation_of_file or total_interchange_of_file)
            then if(in_api, 'eia', 'eia_files')
        when (api_demand_mwh is not null and not demand_of_file)
            or (api_demand_forecast_mwh is not null and not demand_forecast_of_file)
            or (api_net_generation_mwh is not null and not net_generation_of_file)
            or (api_total_interchange_mwh is not null and not total_interchange_of_file)
            then 'both'
        else 'eia_files'
    end as source,
    correction
from met
