/*---
description = """
Values that differ between EIA's API and its half-year files, both as known now. The other normalized models use the one that
became known last. A value that only one of the two has is not a conflict.
"""
materialized = "table"
may_be_empty = true
grain = ["region", "hour_utc", "measure", "code"]
lookback = "0h"

[columns]
region = "Respondent, EIA code."
hour_utc = "Start of the hour, UTC."
measure = "demand, demand_forecast, net_generation, total_interchange, generation, interchange or subregion_demand."
code = "EIA's code: the type of a measure of the whole region, the fuel, the neighbor or the subregion."
eia_mwh = "Value of the API, MWh."
eia_files_mwh = "Value of the half-year file, MWh."
eia_known_from_utc = "When the API's value became known here, UTC."
eia_files_known_from_utc = "When the file's value became known here, UTC."

[[audits]]
unique = ["region", "hour_utc", "measure", "code"]
[[audits]]
not_null = ["region", "hour_utc", "measure", "code", "eia_mwh", "eia_files_mwh"]
[[audits]]
name = "source_conflict"
when = "check"
severity = "warn"
description = "EIA's API and its files differ in hours of the newest year that should be final in both"
sql = """
with newest as (select max(hour_utc) as newest_utc from normalized.demand_reported where demand_mwh is not null)
select region, measure, code, min(hour_utc) as first_hour_utc, max(hour_utc) as last_hour_utc, count(*) as hours,
    max(abs(eia_mwh - eia_files_mwh)) as greatest_mwh
from normalized.source_conflict, newest
where hour_utc between newest_utc - interval 1 year
        and newest_utc - to_days(cast((select value from seeds.check_limit where name = 'conflict_days') as integer))
    and abs(eia_mwh - eia_files_mwh) > greatest(
        (select value from seeds.check_limit where name = 'conflict_mwh'),
        (select value from seeds.check_limit where name = 'conflict_share') * greatest(abs(eia_mwh), abs(eia_files_mwh))
    )
group by region, measure, code
"""
---*/
with compared as (
    select
        a.respondent as region,
        a.period,
        case a.type
            when 'D' then 'demand'
            when 'DF' then 'demand_forecast'
            when 'NG' then 'net_generation'
            when 'TI' then 'total_interchange'
        end as measure,
        a.type as code,
        a.value as eia_mwh,
        case a.type
            when 'D' then f.demand_mwh
            when 'DF' then f.demand_forecast_mwh
            when 'NG' then f.net_generation_mwh
            when 'TI' then f.total_interchange_mwh
        end as eia_files_mwh,
        a.known_from_utc as eia_known_from_utc,
        f.known_from_utc as eia_files_known_from_utc
    from staging.eia.region_data as a
    inner join normalized.filed_balance as f on f.region = a.respondent and f.period = a.period
    where a.type in ('D', 'DF', 'NG', 'TI')
    union all
    select
        a.respondent,
        a.period,
        'generation',
        a.fueltype,
        a.value,
        case a.fueltype
            when 'COL' then f.col_mwh
            when 'NG' then f.ng_mwh
            when 'NUC' then f.nuc_mwh
            when 'OIL' then f.oil_mwh
            when 'WAT' then f.wat_mwh
            when 'PS' then f.ps_mwh
            when 'SUN' then f.sun_mwh
            when 'SNB' then f.snb_mwh
            when 'WND' then f.wnd_mwh
            when 'WNB' then f.wnb_mwh
            when 'GEO' then f.geo_mwh
            when 'BAT' then f.bat_mwh
            when 'OES' then f.oes_mwh
            when 'UES' then f.ues_mwh
            when 'OTH' then f.oth_mwh
            when 'UNK' then f.unk_mwh
        end,
        a.known_from_utc,
        f.known_from_utc
    from staging.eia.fuel_type_data as a
    inner join normalized.filed_balance as f on f.region = a.respondent and f.period = a.period
    union all
    select a.fromba, a.period, 'interchange', a.toba, a.value, f.interchange_mwh, a.known_from_utc, f.known_from_utc
    from staging.eia.interchange_data as a
    inner join normalized.filed_interchange as f on f.region = a.fromba and f.neighbor = a.toba and f.period = a.period
    union all
    select a.parent, a.period, 'subregion_demand', a.subba, a.value, f.demand_mwh, a.known_from_utc, f.known_from_utc
    from staging.eia.region_sub_ba_data as a
    inner join normalized.filed_subregion as f on f.region = a.parent and f.subregion = a.subba and f.period = a.period
)

select
    region,
    period - interval 1 hour as hour_utc,
    measure,
    code,
    eia_mwh,
    eia_files_mwh,
    eia_known_from_utc,
    eia_files_known_from_utc
from compared
where eia_mwh <> eia_files_mwh
