/*---
description = """
Net generation of each respondent by EIA fuel code, one row an hour and code; normalized.fuel has each code's family.
An hour and code that both the API and the half-year files have is one row. Its value is the one that became known last; in the
newest six weeks it is the API's. A value is preferred to a blank. normalized.source_conflict lists the differences. A blank in a
file counts as no row.
Known clock errors stay unless the setting build.corrections is on (see normalized.correction).
"""
materialized = "table"
grain = ["region", "hour_utc", "fuel"]
lookback = "8h"    # how far a clock is corrected
lookahead = "8h"

[columns]
region = "Respondent, EIA code; authorities and, where synced, aggregates."
hour_utc = "Start of the hour, UTC (EIA's period is its end)."
fuel = "EIA fuel code as reported, old or new."
generation_mwh = "Net generation, MWh; storage is negative while it charges, and small negative values of other fuels are self-use."
generation_imputed_mwh = "EIA's estimate where the value was missing or implausible, MWh; only in the half-year files."
generation_adjusted_mwh = "Net generation after EIA's adjustments, MWh; only in the half-year files."
source = "Source of the value: eia (the API) or eia_files (the half-year files)."
correction = "clock if the row was moved here from the hour for which it was reported; NULL if it is as reported."

[[audits]]
not_null = ["region", "hour_utc", "fuel"]
[[audits]]
unique = ["region", "hour_utc", "fuel"]
when = "check"
[[audits]]
name = "unknown_fuel"
sql = """
select region, fuel, min(hour_utc) as first_hour_utc, max(hour_utc) as last_hour_utc, count(*) as hours
from normalized.generation_reported
where fuel not in (select fuel from normalized.fuel)
group by region, fuel
"""
severity = "warn"
description = "fuel codes that are not in normalized.fuel; they count as unknown"
[[audits]]
name = "unknown_region"
sql = """
select region, min(hour_utc) as first_hour_utc, max(hour_utc) as last_hour_utc, count(*) as hours
from normalized.generation_reported
where region not in (select region from normalized.region)
group by region
"""
severity = "warn"
description = "respondents that are not in normalized.region"
---*/
with files as (
    select region, period, fuel, known_from_utc, generation_mwh, generation_imputed_mwh, generation_adjusted_mwh
    from normalized.filed_balance
    unpivot include nulls (
        (generation_mwh, generation_imputed_mwh, generation_adjusted_mwh) for fuel in (
            (col_mwh, col_imputed_mwh, col_adjusted_mwh) as 'COL',
            (ng_mwh, ng_imputed_mwh, ng_adjusted_mwh) as 'NG',
            (nuc_mwh, nuc_imputed_mwh, nuc_adjusted_mwh) as 'NUC',
            (oil_mwh, oil_imputed_mwh, oil_adjusted_mwh) as 'OIL',
            (wat_mwh, wat_imputed_mwh, wat_adjusted_mwh) as 'WAT',
            (ps_mwh, ps_imputed_mwh, ps_adjusted_mwh) as 'PS',
            (sun_mwh, sun_imputed_mwh, sun_adjusted_mwh) as 'SUN',
            (snb_mwh, snb_imputed_mwh, snb_adjusted_mwh) as 'SNB',
            (wnd_mwh, wnd_imputed_mwh, wnd_adjusted_mwh) as 'WND',
            (wnb_mwh, wnb_imputed_mwh, wnb_adjusted_mwh) as 'WNB',
            (geo_mwh, geo_imputed_mwh, geo_adjusted_mwh) as 'GEO',
            (bat_mwh, bat_imputed_mwh, bat_adjusted_mwh) as 'BAT',
            (oes_mwh, oes_imputed_mwh, oes_adjusted_mwh) as 'OES',
            (ues_mwh, ues_imputed_mwh, ues_adjusted_mwh) as 'UES',
            (oth_mwh, oth_imputed_mwh, oth_adjusted_mwh) as 'OTH',
            (unk_mwh, unk_imputed_mwh, unk_adjusted_mwh) as 'UNK'
        )
    )
    where coalesce(generation_mwh, generation_imputed_mwh, generation_adjusted_mwh) is not null
),

-- In the newest six weeks a file is days behind the API, even if it was read later, so the value of the API is used.
met as (
    select
        coalesce(a.respondent, f.region) as region,
        coalesce(a.fueltype, f.fuel) as fuel,
        coalesce(a.period, f.period) - interval 1 hour as hour_utc,
        a.period is not null as in_api,
        a.value as api_mwh,
        f.generation_mwh as file_mwh,
        f.generation_mwh is not null and (a.value is null or (f.known_from_utc >= f.period + interval 42 day and f.known_from_utc > a.known_from_utc)) as of_file,
        f.generation_imputed_mwh,
        f.generation_adjusted_mwh
    from staging.eia.fuel_type_data as a
    full join files as f
        on f.region = a.respondent and f.fuel = a.fueltype and f.period = a.period
),

-- The API or the files may report solar, wind or hydro in two parts where the other has one value for the whole. Both codes are
-- then taken from the source with the parts, or from the other if a value is blank there. A whole and a part would count twice.
part as (
    select respondent as region, period, fueltype as part, true as is_api
    from staging.eia.fuel_type_data
    where fueltype in ('PS', 'SNB', 'WNB') and value is not null
    union all
    select region, period, part, false
    from normalized.filed_balance
    unpivot (mwh for part in (ps_mwh as 'PS', snb_mwh as 'SNB', wnb_mwh as 'WNB'))
),

one_sided as (
    select
        p.region,
        p.period,
        p.part,
        f.split_from as whole,
        bool_or(p.is_api) as is_api
    from part as p
    inner join seeds.fuel as f on f.fueltype = p.part
    group by p.region, p.period, p.part, f.split_from
    having count(*) = 1
),

mixed as (
    select
        o.*,
        if(o.is_api, a.value, b.mwh) as whole_beside_mwh,
        if(o.is_api, b.mwh, a.value) as whole_alone_mwh
    from one_sided as o
    left join staging.eia.fuel_type_data as a
        on a.respondent = o.region and a.period = o.period and a.fueltype = o.whole
    left join (
        select region, period, whole, mwh
        from normalized.filed_balance
        unpivot (mwh for whole in (wat_mwh as 'WAT', sun_mwh as 'SUN', wnd_mwh as 'WND'))
    ) as b on b.region = o.region and b.period = o.period and b.whole = o.whole
    where whole_alone_mwh is not null
),

settled as (
    select region, period - interval 1 hour as hour_utc, whole as fuel, whole_beside_mwh is not null = is_api as is_api, false as is_left_out
    from mixed
    union all
    select region, period - interval 1 hour, part, is_api, true
    from mixed
    where whole_beside_mwh is null
)

select
    m.region,
    coalesce(c.corrected_hour_utc, m.hour_utc) as hour_utc,
    m.fuel,
    case
        when s.is_left_out then null
        when s.is_api then m.api_mwh
        when not s.is_api then m.file_mwh
        when m.of_file then m.file_mwh
        else m.api_mwh
    end as generation_mwh,
    m.generation_imputed_mwh,
    m.generation_adjusted_mwh,
    if(coalesce(not s.is_api, m.of_file or not m.in_api), 'eia_files', 'eia') as source,
    c.correction
from met as m
left join settled as s on s.region = m.region and s.hour_utc = m.hour_utc and s.fuel = m.fuel
left join normalized.correction as c on c.measure = 'generation' and c.region = m.region and c.hour_utc = m.hour_utc
where c.hour_utc is null or c.corrected_hour_utc is not null
