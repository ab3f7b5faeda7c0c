/*---
description = """
Corrections of clocks and signs, one row for each hour of their spans; empty unless the setting build.corrections is on. Spans,
sources and evidence are in seeds.clock_correction and seeds.sign_correction. A value is dropped if its corrected hour already has
one, so that each hour has one value. This happens where a wrong clock was set right (the last wrong value and the first right one
are for the same hour), and where clocks change in autumn (an earlier value moves to the same hour). Values outside a span count as
right: a value that would move out of its span is dropped even if the source has no value there. Dropped values stay in the
staging database. Hours to which no value moves have no value.
"""
materialized = "table"
may_be_empty = true
refresh = "full"
grain = ["measure", "region", "neighbor", "hour_utc"]

[columns]
measure = "demand, net_generation, total_interchange, generation (all fuels) or interchange."
region = "Respondent that reports the value, EIA code."
neighbor = "Its neighbor, EIA code; ALL for a measure without neighbors (the name that EIA's own series had)."
hour_utc = "Start of the hour as reported, UTC."
corrected_hour_utc = "Start of the hour to which the value belongs, UTC; NULL if the value is dropped."
reversed = "True if the sign is reversed."
correction = "What is corrected: clock, sign or clock+sign."

[[audits]]
unique = ["measure", "region", "neighbor", "hour_utc"]
[[audits]]
not_null = ["measure", "region", "neighbor", "hour_utc", "reversed", "correction"]
[[audits]]
sql = """
select measure, region, neighbor, corrected_hour_utc from normalized.correction
where corrected_hour_utc is not null group by all having count(*) > 1
"""
description = "hours to which two values are moved"
---*/
with applied as (
    select enabled from seeds.option where name = 'corrections' and enabled
),

clock as (
    select
        measure,
        region,
        coalesce(neighbor, 'ALL') as neighbor,
        unnest(generate_series(first_hour_utc::timestamp, last_hour_utc::timestamp, interval 1 hour)) as hour_utc,
        shift_hours::bigint as shift_hours,
        utc_offset_of
    from seeds.clock_correction
    where exists (from applied)
),

-- The offset of local time is taken at the hour as reported.
moved as (
    select
        measure,
        region,
        neighbor,
        hour_utc,
        hour_utc + to_hours(shift_hours + case
            when utc_offset_of is not null
                then date_diff('hour', hour_utc, timezone(utc_offset_of, timezone('UTC', hour_utc)))
            else 0
        end) as corrected_hour_utc
    from clock
),

placed as (
    select
        m.measure,
        m.region,
        m.neighbor,
        m.hour_utc,
        case
            when row_number() over (
                partition by m.measure, m.region, m.neighbor, m.corrected_hour_utc
                order by m.hour_utc
            ) = 1 and (leaves.hour_utc is not null or m.corrected_hour_utc = m.hour_utc)
                then m.corrected_hour_utc
        end as corrected_hour_utc
    from moved as m
    left join moved as leaves
        on leaves.measure = m.measure
        and leaves.region = m.region
        and leaves.neighbor = m.neighbor
        and leaves.hour_utc = m.corrected_hour_utc
),

signed as (
    select
        measure,
        region,
        coalesce(neighbor, 'ALL') as neighbor,
        unnest(generate_series(first_hour_utc::timestamp, last_hour_utc::timestamp, interval 1 hour)) as hour_utc
    from seeds.sign_correction
    where exists (from applied)
)

select
    measure,
    region,
    neighbor,
    hour_utc,
    if(p.hour_utc is null, s.hour_utc, p.corrected_hour_utc) as corrected_hour_utc,
    s.hour_utc is not null as reversed,
    concat_ws('+', if(p.hour_utc is not null, 'clock', null), if(s.hour_utc is not null, 'sign', null)) as correction
from placed as p
full join signed as s using (measure, region, neighbor, hour_utc)
