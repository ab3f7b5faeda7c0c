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
with spine as (
    select region, min(first_hour_utc) as first_hour_utc, max(last_hour_utc) as last_hour_utc
    from normalized.span
    group by region
),

-- Stretches that follow each other, across the end of a month or where other measures begin or stop, are one.
parts as (
    select
        *,
        sum(if(first_hour_utc = after_utc, 0, 1)) over by_hour as island
    from (
        select *, lag(last_hour_utc) over by_hour + interval 1 hour as after_utc
        from quality.unreported
        window by_hour as (partition by region, measure order by first_hour_utc)
    )
    window by_hour as (partition by region, measure order by first_hour_utc)
),

empty as (
    select region, measure, island, min(first_hour_utc) as first_hour_utc, max(last_hour_utc) as last_hour_utc
    from parts
    group by region, measure, island
),

-- Hours before the first value and after the last one are stretches at the ends of the spine. A measure without any value has none.
bounds as (
    select
        s.region,
        m.measure,
        coalesce(max(e.last_hour_utc) filter (where e.first_hour_utc = s.first_hour_utc) + interval 1 hour, s.first_hour_utc) as first_utc,
        coalesce(min(e.first_hour_utc) filter (where e.last_hour_utc = s.last_hour_utc) - interval 1 hour, s.last_hour_utc) as last_utc
    from spine as s
    cross join (
        select unnest([
            'demand', 'demand_forecast', 'net_generation', 'total_interchange', 'generation', 'interchange',
            'coal', 'gas', 'nuclear', 'oil', 'hydro', 'solar', 'wind', 'geothermal', 'storage', 'other', 'unknown'
        ]) as measure
    ) as m
    left join empty as e on e.region = s.region and e.measure = m.measure
    group by s.region, m.measure, s.first_hour_utc, s.last_hour_utc
    having first_utc <= last_utc
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

stretches as (
    select
        p.region,
        p.measure,
        min(p.first_hour_utc) as first_hour_utc,
        max(least(p.last_hour_utc, o.owed_utc)) as last_hour_utc,
        coalesce(
            sum(date_diff('hour', p.first_hour_utc, least(p.last_hour_utc, o.owed_utc)) + 1) filter (where p.reports), 0
        )::bigint as partial_hours
    from parts as p
    inner join owed as o on o.region = p.region and o.measure = p.measure
    where p.first_hour_utc > o.first_utc and p.first_hour_utc <= o.owed_utc
    group by p.region, p.measure, p.island
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
