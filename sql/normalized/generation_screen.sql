/*---
description = """
Suspicious hours of generation, with the reason; an hour without a row passed every rule. A rule compares with the month's level
of the fuel, or with that of all fuels of the region for a fuel that is idle most of the time (oil, storage): a peak in a cold snap
or a day of charging is not an error. Hours that the source does not have are left out.
"""
materialized = "table"
may_be_empty = true
grain = ["region", "hour_utc", "fuel"]
lookback = "840h"   # usual repeats: 27 days before, and a week
lookahead = "72h"   # steady fuels that run again

[columns]
generation_flag = "[hindsight] Why the hour's generation is suspicious, a code of normalized.flag (kind generation)."
is_known_at_once = "True if data up to the end of the same hour show the error; features leave these values out."

[[audits]]
unique = ["region", "hour_utc", "fuel"]
[[audits]]
not_null = ["region", "hour_utc", "fuel", "generation_flag", "is_known_at_once"]
[[audits]]
sql = "select * from normalized.generation_screen where generation_flag not in (select flag from normalized.flag where kind = 'generation')"
description = "flags that are not in normalized.flag"
---*/
with parameter as (
    select
        25 as zero_mwh,  -- all_zero: absolute net generation above which fuels at 0 are wrong
        100 as steady_mwh,  -- steady_zero: level above which a fuel counts
        24 as stuck_hours,  -- stuck: equal values of gas, hydro, solar or wind
        10 as stuck_mwh,  -- stuck: below it, rounding makes neighbors equal
        12 as repeated_hours,  -- repeat: hours in which all fuels equal those a day or a week before
        6 as moving_hours,  -- repeat: changes from hour to hour in the block
        28 as usual_equals  -- stuck, repeat: equal values in the 23 days until four days before the hour, from which they are usual: 5 %
),

hours as (
    select
        region,
        hour_utc,
        fuel,
        generation_mwh,
        if(lag(hour_utc) over by_hour = hour_utc - interval 1 hour, lag(generation_mwh) over by_hour, null) as before_mwh,
        if(lead(hour_utc) over by_hour = hour_utc + interval 1 hour, lead(generation_mwh) over by_hour, null) as after_mwh
    from normalized.generation_reported
    window by_hour as (partition by region, fuel order by hour_utc)
),

-- Rules without later hours use the level of the month before.
measured as (
    select
        h.region,
        h.hour_utc,
        h.fuel,
        h.generation_mwh,
        f.steady and l.level_mwh > p.steady_mwh as is_steady,
        f.steady and b.level_mwh > p.steady_mwh as was_steady,
        -- More than twice the region's high generation, and more than one plant can generate (Grand Coulee has 6,800 MW, but
        -- belongs to a region of three times that): no single fuel, even a new one, reaches this.
        greatest(2 * l.region_level_mwh, 5 * l.level_mwh, 3000) as extreme_mwh,
        if(b.region is null, null, greatest(2 * b.region_level_mwh, 5 * b.level_mwh, 3000)) as extreme_at_once_mwh,
        -- Self-use: idle plants use a few percent of their capacity. Where no plant runs, level_mwh is this use.
        if(coalesce(f.may_be_negative, true), null, -greatest(0.2 * l.level_mwh, 100)) as least_mwh,
        if(coalesce(f.may_be_negative, true) or b.level_mwh is null, null, -greatest(0.2 * b.level_mwh, 100)) as least_at_once_mwh,
        -- Steady fuels do not drop by half within an hour and return in the next. Other fuels may, up to the greater of their
        -- own level and a quarter of the region's.
        if(f.steady, 0.5 * l.level_mwh, greatest(l.level_mwh, 0.25 * l.region_level_mwh)) as jump_mwh,
        h.generation_mwh - h.before_mwh as up_mwh,
        h.generation_mwh - h.after_mwh as down_mwh
    from hours as h
    inner join normalized.generation_level as l
        on l.region = h.region and l.fuel = h.fuel and l.month_utc = date_trunc('month', h.hour_utc)
    left join normalized.generation_level as b
        on b.region = h.region and b.fuel = h.fuel and b.month_utc = date_trunc('month', h.hour_utc) - interval 1 month
    left join normalized.fuel as f on f.fuel = h.fuel
    cross join parameter as p
),

-- All fuels of a region in an hour. An XOR of hashes represents their values: it is equal only if all values are.
whole as (
    select
        region,
        hour_utc,
        bool_and(generation_mwh = 0) as is_zero,
        bit_xor(hash(fuel, generation_mwh)) as mix,
        count(*) filter (where is_steady) as steady_fuels,
        count(*) filter (where was_steady) as were_steady_fuels,
        max(abs(generation_mwh)) filter (where is_steady) as steady_mwh,
        max(abs(generation_mwh)) filter (where was_steady) as were_steady_mwh
    from measured
    where generation_mwh is not null
    group by region, hour_utc
),

all_zero as (
    select w.region, w.hour_utc
    from whole as w
    inner join normalized.demand_reported as d on d.region = w.region and d.hour_utc = w.hour_utc
    cross join parameter as p
    where w.is_zero and abs(d.net_generation_mwh) > p.zero_mwh
),

-- One plant may trip; two steady fuels do not stop within the same hour.
steady_zero as (
    select region, hour_utc, is_known_at_once
    from (
        select
            *,
            were_steady_fuels >= 2
            and were_steady_mwh = 0
            and count(*) filter (where were_steady_mwh > 0) over hours_before > 0 as is_known_at_once,
            steady_fuels >= 2
            and steady_mwh = 0
            and count(*) filter (where steady_mwh > 0) over hours_before > 0
            and count(*) filter (where steady_mwh > 0) over hours_after > 0 as is_seen_later
        from whole
        where steady_fuels >= 2 or were_steady_fuels >= 2
        window
            hours_before as (
                partition by region order by hour_utc range between interval 72 hour preceding and current row
            ),
            hours_after as (
                partition by region order by hour_utc range between current row and interval 72 hour following
            )
    )
    where is_known_at_once or is_seen_later
),

-- Values equal to the one an hour before, and hours equal to those a day or a week before: few rows, so the next steps are cheap.
equal as (
    select m.region, m.fuel, m.hour_utc, 1 as apart_hours, cast(null as ubigint) as mix
    from measured as m
    inner join normalized.fuel as f on f.fuel = m.fuel
    cross join parameter as p
    where m.up_mwh = 0 and abs(m.generation_mwh) >= p.stuck_mwh and f.family in ('gas', 'hydro', 'solar', 'wind')
    union all
    select a.region, 'ALL', a.hour_utc, 24, a.mix
    from whole as a
    inner join whole as b on b.region = a.region and b.hour_utc = a.hour_utc - interval 24 hour
    where a.mix = b.mix and not a.is_zero
    union all
    select a.region, 'ALL', a.hour_utc, 168, a.mix
    from whole as a
    inner join whole as b on b.region = a.region and b.hour_utc = a.hour_utc - interval 168 hour
    where a.mix = b.mix and not a.is_zero
),

island as (
    select
        *,
        row_number() over block as place,
        count(*) over (block rows between unbounded preceding and unbounded following) as hours,
        count(*) filter (where moves) over block as moves_before,
        count(*) filter (where moves) over (block rows between unbounded preceding and unbounded following) as moves_in_all
    from (
        select
            *,
            hour_utc - to_hours(row_number() over series) as start_utc,
            mix <> lag(mix) over series as moves,
            count(*) over (
                partition by region, fuel, apart_hours
                order by hour_utc range between interval 648 hour preceding and interval 97 hour preceding
            ) as usual_equals
        from equal
        window series as (partition by region, fuel, apart_hours order by hour_utc)
    )
    window block as (partition by region, fuel, apart_hours, start_utc order by hour_utc)
),

-- The usual level is unknown in the first 27 days of a series.
begun as (
    select region, fuel, min(hour_utc) + interval 648 hour as known_utc
    from measured
    group by region, fuel
    union all
    select region, 'ALL', min(hour_utc) + interval 648 hour
    from whole
    group by region
),

stuck as (
    select i.region, i.fuel, i.hour_utc, i.place >= p.stuck_hours - 1 as is_known_at_once
    from island as i
    inner join begun as b on b.region = i.region and b.fuel = i.fuel and i.hour_utc >= b.known_utc
    cross join parameter as p
    where i.apart_hours = 1 and i.hours >= p.stuck_hours - 1 and i.usual_equals < p.usual_equals
),

repeated as (
    select
        i.region,
        i.hour_utc,
        bool_or(i.place >= p.repeated_hours and i.moves_before >= p.moving_hours) as is_known_at_once
    from island as i
    inner join begun as b on b.region = i.region and b.fuel = i.fuel and i.hour_utc >= b.known_utc
    cross join parameter as p
    where i.apart_hours > 1
        and i.hours >= p.repeated_hours
        and i.moves_in_all >= p.moving_hours
        and i.usual_equals < p.usual_equals
    group by i.region, i.hour_utc
),

flagged as (
    select
        m.region,
        m.hour_utc,
        m.fuel,
        case
            when m.generation_mwh is null then 'no_value'
            when abs(m.generation_mwh) > least(m.extreme_mwh, m.extreme_at_once_mwh) then 'global_extreme'
            when m.generation_mwh < greatest(m.least_mwh, m.least_at_once_mwh) then 'negative'
            when z.region is not null then 'all_zero'
            when y.region is not null and (m.is_steady or m.was_steady) then 'steady_zero'
            when
                sign(m.up_mwh) = sign(m.down_mwh)
                and least(abs(m.up_mwh), abs(m.down_mwh)) > greatest(m.jump_mwh, 100)
                and abs(m.up_mwh - m.down_mwh) < 0.25 * least(abs(m.up_mwh), abs(m.down_mwh))
                then 'single_jump'
            when s.region is not null then 'stuck'
            when r.region is not null then 'repeat'
        end as generation_flag,
        m.generation_mwh is null
        or coalesce(abs(m.generation_mwh) > m.extreme_at_once_mwh, false)
        or coalesce(m.generation_mwh < m.least_at_once_mwh, false)
        or z.region is not null
        or coalesce(y.is_known_at_once and m.was_steady, false)
        or coalesce(s.is_known_at_once, false)
        or coalesce(r.is_known_at_once, false) as is_known_at_once
    from measured as m
    left join all_zero as z on z.region = m.region and z.hour_utc = m.hour_utc
    left join steady_zero as y on y.region = m.region and y.hour_utc = m.hour_utc
    left join stuck as s on s.region = m.region and s.fuel = m.fuel and s.hour_utc = m.hour_utc
    left join repeated as r on r.region = m.region and r.hour_utc = m.hour_utc
)

select
    region,
    hour_utc,
    fuel,
    generation_flag,
    is_known_at_once
from flagged
where generation_flag is not null
