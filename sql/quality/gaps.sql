/*---
description = """
Stretches of hours in which an authority has no value of a measure that it reports: from the hour after a value to the hour
before the next. An open gap lasts to the newest hour for which any authority has a value; an authority that has stopped reporting
(normalized.region) has no open gap. Only forecasts are reported ahead of time, so most regions have a short open gap of each measure
that arrives late; quality.freshness has the usual delays.
"""
materialized = "table"
refresh = "full"
may_be_empty = true
grain = ["region", "measure", "first_hour_utc"]

[columns]
region = "Balancing authority, EIA code."
measure = "demand, demand_forecast, net_generation, total_interchange, generation (the sum of fuels), interchange (the sum of neighbors), or a fuel family of normalized.fuel."
first_hour_utc = "Start of the first hour without a value, UTC."
last_hour_utc = "Start of the last hour without a value, UTC; for an open gap the newest hour for which any authority has a value."
gap_hours = "Hours of the gap."
partial_hours = "Of these, hours in which the authority has a value of another measure: its reporting did not fail entirely."
is_open = "True if no value has arrived since."

[[audits]]
unique = ["region", "measure", "first_hour_utc"]
[[audits]]
not_null = ["region", "measure", "first_hour_utc", "last_hour_utc", "gap_hours", "partial_hours", "is_open"]
[[audits]]
sql = "select * from quality.gaps where gap_hours < 1 or gap_hours <> date_diff('hour', first_hour_utc, last_hour_utc) + 1"
[[audits]]
name = "open_gap"
when = "check"
severity = "warn"
description = "no value has arrived for a long time, while other authorities have newer values"
sql = """
select region, measure, first_hour_utc, last_hour_utc, gap_hours, partial_hours from quality.gaps
where is_open and measure <> 'demand_forecast'
    and gap_hours >= (select value from seeds.check_limit where name = 'open_gap_hours')
    and gap_hours < 24 * (select value from seeds.check_limit where name = 'silent_days')
"""
---*/
with hours as not materialized (
    select
        region,
        hour_utc,
        coalesce(
            demand_mwh, net_generation_mwh, total_interchange_mwh, fuel_sum_mwh, interchange_sum_mwh
        ) is not null as reports,
        demand_mwh as demand,
        demand_forecast_mwh as demand_forecast,
        net_generation_mwh as net_generation,
        total_interchange_mwh as total_interchange,
        fuel_sum_mwh as generation,
        interchange_sum_mwh as interchange,
        coal_mwh as coal,
        gas_mwh as gas,
        nuclear_mwh as nuclear,
        oil_mwh as oil,
        hydro_mwh as hydro,
        solar_mwh as solar,
        wind_mwh as wind,
        geothermal_mwh as geothermal,
        storage_mwh as storage,
        other_mwh as other,
        unknown_mwh as unknown
    from normalized.grid
),

-- Only the hours without a value, which are few, are processed one by one.
unreported as (
    select region, hour_utc, reports, measure
    from hours unpivot include nulls (
        value for measure in (
            demand, demand_forecast, net_generation, total_interchange, generation, interchange,
            coal, gas, nuclear, oil, hydro, solar, wind, geothermal, storage, other, unknown
        )
    )
    where value is null
),

ends as (
    select
        region,
        unnest([
            {measure: 'demand', first: min(hour_utc) filter (demand is not null), last: max(hour_utc) filter (demand is not null)},
            {measure: 'demand_forecast', first: min(hour_utc) filter (demand_forecast is not null), last: max(hour_utc) filter (demand_forecast is not null)},
            {measure: 'net_generation', first: min(hour_utc) filter (net_generation is not null), last: max(hour_utc) filter (net_generation is not null)},
            {measure: 'total_interchange', first: min(hour_utc) filter (total_interchange is not null), last: max(hour_utc) filter (total_interchange is not null)},
            {measure: 'generation', first: min(hour_utc) filter (generation is not null), last: max(hour_utc) filter (generation is not null)},
            {measure: 'interchange', first: min(hour_utc) filter (interchange is not null), last: max(hour_utc) filter (interchange is not null)},
            {measure: 'coal', first: min(hour_utc) filter (coal is not null), last: max(hour_utc) filter (coal is not null)},
            {measure: 'gas', first: min(hour_utc) filter (gas is not null), last: max(hour_utc) filter (gas is not null)},
            {measure: 'nuclear', first: min(hour_utc) filter (nuclear is not null), last: max(hour_utc) filter (nuclear is not null)},
            {measure: 'oil', first: min(hour_utc) filter (oil is not null), last: max(hour_utc) filter (oil is not null)},
            {measure: 'hydro', first: min(hour_utc) filter (hydro is not null), last: max(hour_utc) filter (hydro is not null)},
            {measure: 'solar', first: min(hour_utc) filter (solar is not null), last: max(hour_utc) filter (solar is not null)},
            {measure: 'wind', first: min(hour_utc) filter (wind is not null), last: max(hour_utc) filter (wind is not null)},
            {measure: 'geothermal', first: min(hour_utc) filter (geothermal is not null), last: max(hour_utc) filter (geothermal is not null)},
            {measure: 'storage', first: min(hour_utc) filter (storage is not null), last: max(hour_utc) filter (storage is not null)},
            {measure: 'other', first: min(hour_utc) filter (other is not null), last: max(hour_utc) filter (other is not null)},
            {measure: 'unknown', first: min(hour_utc) filter (unknown is not null), last: max(hour_utc) filter (unknown is not null)}
        ]) as one
    from hours
    group by region
),

bounds as (
    select region, one.measure, one.first as first_utc, one.last as last_utc
    from ends
    where one.first is not null
),

-- Values are expected up to the newest hour that any authority has; for a fuel, up to the newest hour of any fuel.
newest as (
    select
        b.*,
        max(b.last_utc) over (
            partition by if(
                b.measure in ('demand', 'demand_forecast', 'net_generation', 'total_interchange', 'interchange'),
                b.measure,
                'generation'
            )
        ) as owed_utc
    from bounds as b
),

owed as (
    select n.* exclude (owed_utc), if(r.last_date <= n.owed_utc, n.last_utc, n.owed_utc) as owed_utc
    from newest as n
    left join normalized.region as r on r.region = n.region
),

empty as (
    select
        m.region,
        m.measure,
        m.hour_utc,
        m.reports,
        m.hour_utc - to_hours(row_number() over (partition by m.region, m.measure order by m.hour_utc)) as island
    from unreported as m
    inner join owed as o on o.region = m.region and o.measure = m.measure
    where m.hour_utc > o.first_utc and m.hour_utc <= o.owed_utc
),

stretches as (
    select
        region,
        measure,
        min(hour_utc) as first_hour_utc,
        max(hour_utc) as last_hour_utc,
        count(*) filter (where reports) as partial_hours
    from empty
    group by region, measure, island
)

select
    coalesce(s.region, o.region) as region,
    coalesce(s.measure, o.measure) as measure,
    coalesce(s.first_hour_utc, o.first_hour_utc) as first_hour_utc,
    coalesce(o.owed_utc, s.last_hour_utc) as last_hour_utc,
    date_diff('hour', coalesce(s.first_hour_utc, o.first_hour_utc), coalesce(o.owed_utc, s.last_hour_utc)) + 1 as gap_hours,
    coalesce(s.partial_hours, 0) as partial_hours,
    o.region is not null as is_open
from stretches as s
full join (
    select region, measure, last_utc + interval 1 hour as first_hour_utc, owed_utc from owed where last_utc < owed_utc
) as o
    on o.region = s.region and o.measure = s.measure and o.first_hour_utc = s.first_hour_utc
