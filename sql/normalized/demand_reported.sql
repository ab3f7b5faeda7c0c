/*---
description = """
What each respondent reports about itself, one row an hour: demand, day-ahead forecast, net generation, total interchange.
A row exists where the source has a row of any of the four types, even one without a value. Aggregates are here when they were
synced; join normalized.region on kind to leave them out. Values are as reported: absurd ones are kept, missing ones are NULL.
An hour that both the API and the half-year files have is one row: of each value the one that became known last (of the
newest six weeks the API's), and any value before none. normalized.source_conflict lists where they differ. A row of a file that is blank throughout counts as no row.
"""
materialized = "table"
grain = ["region", "hour_utc"]
lookback = "0h"

[columns]
region = "Respondent, EIA code; authorities and, where synced, aggregates."
hour_utc = "Start of the hour, UTC (EIA's period is its end)."
demand_mwh = "Demand as reported (type D), MWh."
demand_forecast_mwh = "Demand forecast made the day before (type DF), MWh; runs up to a day and a half beyond the actuals."
net_generation_mwh = "Net generation (type NG), MWh."
total_interchange_mwh = "Net interchange with all neighbors (type TI), MWh; positive = export."
demand_imputed_mwh = "What EIA imputed where demand was missing or beyond belief, MWh; only in the half-year files."
demand_adjusted_mwh = "Demand after EIA's adjustments, MWh; only in the half-year files."
net_generation_imputed_mwh = "What EIA imputed for net generation, MWh; only in the half-year files."
net_generation_adjusted_mwh = "Net generation after EIA's adjustments, MWh; only in the half-year files."
total_interchange_imputed_mwh = "What EIA imputed for total interchange, MWh; only in the half-year files."
total_interchange_adjusted_mwh = "Total interchange after EIA's adjustments, MWh; only in the half-year files."
source = "Where the reported values are from: eia (the API), eia_files (the half-year files), or both, some from each."

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
description = "respondents that normalized.region does not know"
[[audits]]
sql = """
select d.* from normalized.demand_reported d join normalized.region r using (region)
where r.kind = 'authority' and d.demand_mwh not between 0 and 250000
"""
severity = "warn"
description = "demand that no authority can have; kept as reported"
---*/
-- Files are cut by local date: in the days about New Year and midsummer an hour can be in two of them. There, the newest
-- value that is one counts (arg_max passes over NULL).
with filed as (
    select * exclude (file)
    from staging.eia_files.balance
    where not (month(period) in (1, 6, 7, 12) and (day(period) <= 3 or day(period) >= 28))
    union all by name
    select
        region,
        period,
        max(known_from_utc) as known_from_utc,
        arg_max(columns('_mwh$'), (known_from_utc, file))
    from staging.eia_files.balance
    where month(period) in (1, 6, 7, 12) and (day(period) <= 3 or day(period) >= 28)
    group by region, period
),

files as (
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
        total_interchange_adjusted_mwh
    from filed
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
        respondent as region,
        period,
        max(value) filter (where type = 'D') as demand_mwh,
        max(known_from_utc) filter (where type = 'D') as demand_from_utc,
        max(value) filter (where type = 'DF') as demand_forecast_mwh,
        max(known_from_utc) filter (where type = 'DF') as demand_forecast_from_utc,
        max(value) filter (where type = 'NG') as net_generation_mwh,
        max(known_from_utc) filter (where type = 'NG') as net_generation_from_utc,
        max(value) filter (where type = 'TI') as total_interchange_mwh,
        max(known_from_utc) filter (where type = 'TI') as total_interchange_from_utc
    from staging.eia.region_data
    where type in ('D', 'DF', 'NG', 'TI')
    group by respondent, period
),

-- Of the newest six weeks a file is days behind the API, however late it was read: there a value of the API stands.
met as (
    select
        coalesce(a.region, f.region) as region,
        coalesce(a.period, f.period) - interval 1 hour as hour_utc,
        a.region is not null as in_api,
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
    end as source
from met
