/*---
description = """
Flags of suspicious demand, one row for every hour of a respondent from its first to its last demand. The rules are those of Ruggles
et al., Sci Data 2020 (s41597-020-0483-x), in a different order: the first rule that a value breaks is its flag. normalized.flag
describes each; docs/data-quality.md lists the differences from the published rules. The screening uses the next four weeks and the
median of the whole month, so flags of the newest 59 days can still change. Only demand_screened_mwh uses no later hour, so
features may use it.
"""
materialized = "table"
grain = ["region", "hour_utc"]
lookback = "672h"
lookahead = "672h"

[columns]
hour_utc = "Start of the hour, UTC."
demand_flag = "[hindsight] Why demand_mwh is suspicious, a code of normalized.flag; NULL if it is not."
demand_screened_mwh = "Demand as reported, MWh; NULL if data up to the end of the same hour show that it is wrong. Uses no later hour."

[[audits]]
unique = ["region", "hour_utc"]
[[audits]]
not_null = ["region", "hour_utc"]
[[audits]]
sql = "select * from normalized.demand_screen where demand_flag not in (select flag from normalized.flag)"
description = "flags that are not in normalized.flag"
---*/
-- Each hour of a region has a row, so row offsets are hours, and a window of days holds the hours of whole days (UTC). No
-- floats are added: medians and quartiles of the same values are the same to the bit, however a month is built.
--
-- An hour uses data up to 649 h away in either direction: 264 h for its expected value (10 days, and half of 48 h), the same
-- for each hour of 5 days and the rest of a day for the spreads (407 h), 144 h for a lasting jump (three times 48), 48 h for an
-- anomalous region, 50 h for neighbors and runs. Backwards also 21 days, the rest of a day and a run for the earlier usual demand.
with parameter as (
    select
        3 as equal_values,  -- identical_run: the third of them is flagged
        120.0 as equal_mwh,  -- identical_run: below 40 MWh, where rounding makes neighbors equal, as many as add up to 120 MWh
        10.0 as extreme_medians,  -- global_extreme: times the usual demand
        3.5 as high_spreads,  -- local_extreme_high: times the spread of demand around its median of 48 hours
        2.5 as low_spreads,  -- local_extreme_low: times the same
        2.0 as double_jump_spreads,  -- double_jump: times the spread of changes from hour to hour
        5.0 as single_jump_spreads,  -- single_jump: times the same
        15.0 as single_jump_ratio_spreads,  -- single_jump: times the spread of changes of the ratio to the expected value
        8 as anomalous_hours,  -- anomalous_region: flagged hours among 49, more than 15 %
        1.0 as least_spread_mwh  -- values are whole MWh: a smaller spread has no meaning
),

spine as (
    select region, unnest(generate_series(first_hour_utc, last_hour_utc, interval 1 hour)) as hour_utc
    from normalized.demand_span
),

reported as (
    select
        s.region,
        s.hour_utc,
        date_trunc('day', s.hour_utc) as day_utc,
        d.demand_mwh,
        d.region is not null as has_row,
        l.median_mwh,
        l.median_before_mwh,
        d.demand_mwh is distinct from lag(d.demand_mwh) over (partition by s.region order by s.hour_utc) as is_new
    from spine as s
    left join normalized.demand_reported as d on d.region = s.region and d.hour_utc = s.hour_utc
    left join normalized.demand_level as l on l.region = s.region and l.month_utc = date_trunc('month', s.hour_utc)
),

-- Length of the run of equal values that ends at the hour, capped at 49.
equal as (
    select
        *,
        date_diff('hour', coalesce(
            max(case when is_new then hour_utc end) over (hours rows between 48 preceding and current row),
            hour_utc - interval 48 hour
        ), hour_utc) + 1 as equal_values
    from reported
    window hours as (partition by region order by hour_utc)
),

simple as (
    select
        e.* exclude (has_row, is_new),
        case
            when not e.has_row then 'missing'
            when e.demand_mwh is null then 'no_value'
            when e.demand_mwh <= 0 then 'negative_or_zero'
            when e.equal_values >= least(greatest(p.equal_values, p.equal_mwh / e.median_mwh), 49) then 'identical_run'
        end as flag
    from equal as e
    cross join parameter as p
),

-- The usual demand of the 21 days around a day. It follows lasting steps, so these are not extremes. The values left out of it
-- are found without later hours, so the median of earlier days uses no later hour.
day_values as (
    select
        e.region,
        e.day_utc,
        list(e.demand_mwh) filter (where e.demand_mwh > 0 and e.equal_values < p.equal_values) as mwh
    from equal as e
    cross join parameter as p
    group by e.region, e.day_utc
),

day_median as (
    select
        region,
        day_utc,
        list_aggregate(flatten(list(mwh) over (
            partition by region order by day_utc rows between 10 preceding and 10 following
        )), 'median') as mwh
    from day_values
),

day as (
    select
        region,
        day_utc,
        mwh as long_median_mwh,
        lag(mwh, 11) over (partition by region order by day_utc) as before_mwh  -- of the 21 days before this one
    from day_median
),

extreme as (
    select
        s.region,
        s.hour_utc,
        s.day_utc,
        s.demand_mwh,
        d.long_median_mwh,
        coalesce(s.flag, case
            when s.demand_mwh > p.extreme_medians * greatest(s.median_mwh, d.long_median_mwh) then 'global_extreme'
        end) as flag,
        -- The same without later hours. A value without an earlier level to compare with passes.
        coalesce(
            s.demand_mwh > 0
            and s.equal_values < least(greatest(p.equal_values, p.equal_mwh / coalesce(s.median_before_mwh, d.before_mwh)), 49)
            and s.demand_mwh <= p.extreme_medians * greatest(s.median_before_mwh, d.before_mwh),
            s.demand_mwh > 0
        ) as passes_at_once
    from simple as s
    left join day as d on d.region = s.region and d.day_utc = s.day_utc
    cross join parameter as p
),

neighbor as (
    select
        * exclude (flag),
        coalesce(flag, case
            when 'global_extreme' in (lag(flag) over hours, lead(flag) over hours) then 'global_extreme_neighbor'
        end) as flag
    from extreme
    window hours as (partition by region order by hour_utc)
),

-- From here on `mwh` is NULL for values that have a flag.
short as (
    select
        *,
        median(mwh) over (
            partition by region order by hour_utc rows between 24 preceding and 23 following
        ) as short_median_mwh
    from (select *, case when flag is null then demand_mwh end as mwh from neighbor)
),

-- Median difference of the same hour of the 21 days around from its own median of 48 hours.
shape as (
    select
        *,
        mwh - short_median_mwh as offset_mwh,
        1 + median(mwh - short_median_mwh) over (
            partition by region, hour(hour_utc) order by hour_utc rows between 10 preceding and 10 following
        ) / long_median_mwh as hour_factor
    from short
),

expected as (
    select
        *,
        short_median_mwh * hour_factor as expected_mwh,
        mwh / nullif(short_median_mwh * hour_factor, 0) as ratio,
        mwh / nullif(long_median_mwh * hour_factor, 0) as long_ratio
    from shape
),

change as (
    select
        *,
        mwh - lag(mwh) over hours as change_mwh,
        mwh - lead(mwh) over hours as change_back_mwh,
        ratio - lag(ratio) over hours as ratio_change
    from expected
    window hours as (partition by region order by hour_utc)
),

-- Spread: interquartile range of the eleven days around.
spread_values as (
    select
        region,
        day_utc,
        list(offset_mwh) filter (where offset_mwh is not null) as offset_mwh,
        list(change_mwh) filter (where change_mwh is not null) as change_mwh,
        list(ratio_change) filter (where ratio_change is not null) as ratio_change
    from change
    group by region, day_utc
),

quartile as (
    select
        region,
        day_utc,
        list_aggregate(flatten(list(offset_mwh) over days), 'quantile_cont', [0.25, 0.75]) as offset_mwh,
        list_aggregate(flatten(list(change_mwh) over days), 'quantile_cont', [0.25, 0.75]) as change_mwh,
        list_aggregate(flatten(list(ratio_change) over days), 'quantile_cont', [0.25, 0.75]) as ratio_change
    from spread_values
    window days as (partition by region order by day_utc rows between 5 preceding and 5 following)
),

spread as (
    select
        q.region,
        q.day_utc,
        greatest(q.offset_mwh[2] - q.offset_mwh[1], p.least_spread_mwh) as offset_spread_mwh,
        greatest(q.change_mwh[2] - q.change_mwh[1], p.least_spread_mwh) as change_spread_mwh,
        q.ratio_change[2] - q.ratio_change[1] as ratio_spread
    from quartile as q
    cross join parameter as p
),

-- `good` is a value without a flag, with the data to measure a jump from or to it.
local as (
    select
        *,
        case
            when flag is null
                then {hour_utc: hour_utc, mwh: mwh, ratio: ratio, off: greatest(abs(1 - ratio), abs(1 - long_ratio))}
        end as good
    from (
        select
            c.region,
            c.hour_utc,
            c.demand_mwh,
            c.passes_at_once,
            c.mwh,
            c.ratio,
            c.long_ratio,
            p.single_jump_spreads * s.change_spread_mwh as jump_mwh,
            p.single_jump_ratio_spreads * s.ratio_spread as jump_ratio,
            coalesce(c.flag, case
                when c.mwh > c.expected_mwh + p.high_spreads * s.offset_spread_mwh then 'local_extreme_high'
                when c.mwh < c.expected_mwh - p.low_spreads * s.offset_spread_mwh then 'local_extreme_low'
                when (c.change_mwh > p.double_jump_spreads * s.change_spread_mwh
                    and c.change_back_mwh > p.double_jump_spreads * s.change_spread_mwh)
                    or (c.change_mwh < -p.double_jump_spreads * s.change_spread_mwh
                    and c.change_back_mwh < -p.double_jump_spreads * s.change_spread_mwh)
                    then 'double_jump'
            end) as flag
        from change as c
        left join spread as s on s.region = c.region and s.day_utc = c.day_utc
        cross join parameter as p
    )
),

-- A jump that lasts. An hour that differs much from the last good hour, and is further from the expected value than that hour,
-- begins a stretch of wrong hours. The stretch lasts while its hours differ in this way, up to 48 hours. The same is done
-- backwards in time.
near as (
    select
        *,
        last_value(good ignore nulls) over (hours rows between 48 preceding and 1 preceding) as before,
        first_value(good ignore nulls) over (hours rows between 1 following and 48 following) as after
    from local
    window hours as (partition by region order by hour_utc)
),

stretch as (
    select
        *,
        last_value(case when begins then {hour_utc: hour_utc, good: before} end ignore nulls) over (
            hours rows between 47 preceding and current row
        ) as opened,
        first_value(case when ends then {hour_utc: hour_utc, good: after} end ignore nulls) over (
            hours rows between current row and 47 following
        ) as closed
    from (
        select
            *,
            abs(good.mwh - before.mwh) > jump_mwh and abs(good.ratio - before.ratio) > jump_ratio
                and good.off > before.off as begins,
            abs(good.mwh - after.mwh) > jump_mwh and abs(good.ratio - after.ratio) > jump_ratio
                and good.off > after.off as ends
        from near
    )
    window hours as (partition by region order by hour_utc)
),

jump as (
    select
        *,
        max(case when good is not null and not lasts_on then hour_utc end) over (
            hours rows between 48 preceding and 1 preceding
        ) as broken_before_utc,
        min(case when good is not null and not lasts_back then hour_utc end) over (
            hours rows between 1 following and 48 following
        ) as broken_after_utc
    from (
        select
            *,
            coalesce(abs(good.mwh - opened.good.mwh) > jump_mwh and abs(good.ratio - opened.good.ratio) > jump_ratio
                and good.off > opened.good.off, false) as lasts_on,
            coalesce(abs(good.mwh - closed.good.mwh) > jump_mwh and abs(good.ratio - closed.good.ratio) > jump_ratio
                and good.off > closed.good.off, false) as lasts_back
        from stretch
    )
    window hours as (partition by region order by hour_utc)
),

-- Good hours between flagged hours are flagged too if they are a stretch of at most a day and more than 15 % of the two days
-- around are flagged. Hours that were not reported do not count as flagged.
wrong as (
    select
        region,
        hour_utc,
        demand_mwh,
        passes_at_once,
        flag,
        flag not in ('missing', 'no_value') as is_wrong
    from (
        select
            * exclude (flag),
            coalesce(flag, case
                when (lasts_on and coalesce(broken_before_utc < opened.hour_utc, true))
                    or (lasts_back and coalesce(broken_after_utc > closed.hour_utc, true)) then 'single_jump'
            end) as flag
        from jump
    )
),

crowd as (
    select
        *,
        count(case when is_wrong then 1 end) over (hours rows between 24 preceding and 24 following) as wrong_hours,
        max(case when is_wrong then hour_utc end) over (hours rows between 24 preceding and current row) as wrong_before_utc,
        min(case when is_wrong then hour_utc end) over (hours rows between current row and 24 following) as wrong_after_utc
    from wrong
    window hours as (partition by region order by hour_utc)
),

most_crowded as (
    select
        *,
        max(wrong_hours) over (
            partition by region order by hour_utc rows between 23 preceding and 24 following
        ) as most_wrong_hours
    from crowd
)

select
    c.region,
    c.hour_utc,
    c.demand_mwh,
    coalesce(c.flag, case
        when c.most_wrong_hours >= p.anomalous_hours and c.wrong_after_utc - c.wrong_before_utc <= interval 25 hour
            then 'anomalous_region'
    end, r.flag) as demand_flag,
    case when c.passes_at_once and not coalesce(r.is_known_at_once, false) then c.demand_mwh end as demand_screened_mwh
from most_crowded as c
left join normalized.measure_screen as r on r.measure = 'demand' and r.region = c.region and r.hour_utc = c.hour_utc
cross join parameter as p
