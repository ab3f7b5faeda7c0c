/*---
description = """
What is suspicious about the demand of each respondent, one row for every hour from its first to its last demand. The rules are
those of Ruggles et al., Sci Data 2020 (s41597-020-0483-x), in an order of their own: the first that a value breaks is its flag;
normalized.flag describes each, docs/data-quality.md says where they differ from the published ones. The screening looks at the
hours around as well, so flags of the newest four weeks can still change; demand_screened_mwh alone looks at no later hour, so that
features may use it.
"""
materialized = "table"
grain = ["region", "hour_utc"]
lookback = "672h"
lookahead = "672h"

[columns]
region = "Respondent, EIA code; authorities and, where synced, aggregates."
hour_utc = "Start of the hour, UTC."
demand_mwh = "Demand as reported (type D), MWh."
demand_flag = "Why demand_mwh is not to be trusted, a code of normalized.flag; NULL where nothing is known against it."
demand_screened_mwh = "Demand as reported, MWh; NULL where by the end of that very hour it could be seen to be wrong. Looks at no later hour."

[[audits]]
unique = ["region", "hour_utc"]
[[audits]]
not_null = ["region", "hour_utc"]
[[audits]]
sql = "select * from normalized.demand_screen where demand_flag not in (select flag from normalized.flag)"
description = "flags that normalized.flag does not describe"
---*/
-- Every hour of a region has a row, so that rows count hours. Windows of days hold the hours of whole days, and no float is
-- ever added up: medians and quantiles of the same values are the same to the bit, however much stands before and after.
--
-- How far an hour t reads: 264 h for its usual shape (10 days and half of 48 h), and as far again as the shapes of 5 days
-- and their 23 other hours for the spread of changes (407 h); a jump 144 h further (three times 48), an anomalous region
-- 49 h further: 600 h, and 3 h for runs and neighbors.
with
parameter as (
    select
        10.0 as extreme_medians,  -- global_extreme: times the usual demand
        3.5 as high_iqr,  -- local_extreme_high: times the spread about the shape of the day
        2.5 as low_iqr,  -- local_extreme_low
        2.0 as double_jump_iqr,  -- double_jump: times the spread of changes from hour to hour
        5.0 as single_jump_iqr,  -- single_jump: the same
        15.0 as single_jump_relative_iqr,  -- single_jump: times the spread of changes relative to what is expected
        8 as anomalous_hours  -- anomalous_region: flagged hours among 49 (more than 15 %)
),

spine as (
    select region, unnest(generate_series(first_hour_utc, last_hour_utc, interval 1 hour)) as hour_utc
    from normalized.demand_span
),

hour as (
    select
        s.region,
        s.hour_utc,
        date_trunc('day', s.hour_utc) as day_utc,
        d.demand_mwh,
        case
            when d.region is null then 'missing'
            when d.demand_mwh is null then 'null'
            when d.demand_mwh <= 0 then 'negative_or_zero'
        end as flag,
        case when d.demand_mwh > 0 then d.demand_mwh end as positive_mwh
    from spine as s
    left join normalized.demand_reported as d on d.region = s.region and d.hour_utc = s.hour_utc
),

run as (
    select
        * exclude (flag),
        coalesce(flag, case
            when positive_mwh = lag(positive_mwh, 1) over hours and positive_mwh = lag(positive_mwh, 2) over hours then 'identical_run'
        end) as flag
    from hour
    window hours as (partition by region order by hour_utc)
),

-- The usual demand of the 20 days about a day, and of the 20 days before it: a step that lasts is no extreme.
day_values as (
    select region, day_utc, list(positive_mwh) filter (where flag is null) as mwh
    from run
    group by region, day_utc
),

day as (
    select
        region,
        day_utc,
        list_aggregate(flatten(list(mwh) over (days rows between 10 preceding and 10 following)), 'median') as around_mwh,
        list_aggregate(flatten(list(mwh) over (days rows between 20 preceding and 1 preceding)), 'median') as before_mwh
    from day_values
    window days as (partition by region order by day_utc)
),

extreme as (
    select
        r.* exclude (flag),
        coalesce(r.flag, case
            when r.positive_mwh > p.extreme_medians * greatest(l.median_mwh, d.around_mwh) then 'global_extreme'
        end) as flag,
        r.flag is null and not coalesce(
            r.positive_mwh > p.extreme_medians * greatest(l.median_before_mwh, d.before_mwh), false
        ) as passes_at_once,
        d.around_mwh as long_median_mwh
    from run as r
    left join normalized.demand_level as l on l.region = r.region and l.month_utc = date_trunc('month', r.hour_utc)
    left join day as d on d.region = r.region and d.day_utc = r.day_utc
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

-- From here on `mwh` is what the first rules have left. Its distance from the median of 48 hours shows the shape of the day; the
-- median of that distance at the same hour of the 21 days around is what the hour usually has.
short as (
    select
        *,
        case when flag is null then positive_mwh end as mwh,
        median(case when flag is null then positive_mwh end) over (
            partition by region order by hour_utc rows between 24 preceding and 23 following
        ) as short_median_mwh
    from neighbor
),

shape as (
    select
        *,
        mwh - short_median_mwh as offset_mwh,
        mwh - lag(mwh) over hours as change_mwh,
        mwh - lead(mwh) over hours as change_back_mwh,
        median(mwh - short_median_mwh) over (
            partition by region, hour(hour_utc) order by hour_utc rows between 10 preceding and 10 following
        ) / long_median_mwh as usual_offset
    from short
    window hours as (partition by region order by hour_utc)
),

relative as (
    select
        *,
        short_median_mwh * (1 + usual_offset) as expected_mwh,
        mwh / (short_median_mwh * (1 + usual_offset)) as ratio,
        mwh / (long_median_mwh * (1 + usual_offset)) as long_ratio
    from shape
),

relative_change as (
    select *, ratio - lag(ratio) over (partition by region order by hour_utc) as ratio_change
    from relative
),

-- How much each of these spreads in the eleven days about a day: third quartile less first.
spread_values as (
    select
        region,
        day_utc,
        list(offset_mwh) filter (where offset_mwh is not null) as offset_mwh,
        list(change_mwh) filter (where change_mwh is not null) as change_mwh,
        list(ratio_change) filter (where ratio_change is not null) as ratio_change
    from relative_change
    group by region, day_utc
),

quartiles as (
    select
        region,
        day_utc,
        list_aggregate(flatten(list(offset_mwh) over days), 'quantile_cont', [0.25, 0.75]) as offset_mwh,
        list_aggregate(flatten(list(change_mwh) over days), 'quantile_cont', [0.25, 0.75]) as change_mwh,
        list_aggregate(flatten(list(ratio_change) over days), 'quantile_cont', [0.25, 0.75]) as ratio_change
    from spread_values
    window days as (partition by region order by day_utc rows between 5 preceding and 5 following)
),

local as (
    select
        h.region,
        h.hour_utc,
        h.demand_mwh,
        h.passes_at_once,
        h.mwh,
        h.ratio,
        q.change_mwh[2] - q.change_mwh[1] as change_iqr_mwh,
        q.ratio_change[2] - q.ratio_change[1] as ratio_change_iqr,
        greatest(abs(1 - h.ratio), abs(1 - h.long_ratio)) as deviation,
        coalesce(h.flag, case
            when h.mwh > h.expected_mwh + p.high_iqr * (q.offset_mwh[2] - q.offset_mwh[1]) then 'local_extreme_high'
            when h.mwh < h.expected_mwh - p.low_iqr * (q.offset_mwh[2] - q.offset_mwh[1]) then 'local_extreme_low'
            when least(h.change_mwh, h.change_back_mwh) > p.double_jump_iqr * (q.change_mwh[2] - q.change_mwh[1])
                and h.change_mwh is not null and h.change_back_mwh is not null then 'double_jump'
            when greatest(h.change_mwh, h.change_back_mwh) < -p.double_jump_iqr * (q.change_mwh[2] - q.change_mwh[1])
                and h.change_mwh is not null and h.change_back_mwh is not null then 'double_jump'
        end) as flag
    from relative_change as h
    left join quartiles as q on q.region = h.region and q.day_utc = h.day_utc
    cross join parameter as p
),

-- A jump that lasts. An hour that lies far from the last good hour before it, and further from what is expected than that
-- one, begins a stretch of wrong hours, which goes on for as long as each hour is so: for 48 hours at most. The same
-- backwards in time, for stretches that end with a jump.
good as (
    select
        *,
        case
            when flag is null and mwh is not null
                then {hour_utc: hour_utc, mwh: mwh, ratio: ratio, deviation: deviation}
        end as good
    from local
),

begin as (
    select
        *,
        last_value(good ignore nulls) over (hours rows between 48 preceding and 1 preceding) as before,
        first_value(good ignore nulls) over (hours rows between 1 following and 48 following) as after
    from good
    window hours as (partition by region order by hour_utc)
),

far as (
    select
        b.*,
        good is not null
            and abs(b.mwh - before.mwh) > p.single_jump_iqr * change_iqr_mwh
            and abs(b.ratio - before.ratio) > p.single_jump_relative_iqr * ratio_change_iqr
            and b.deviation > before.deviation as begins,
        good is not null
            and abs(b.mwh - after.mwh) > p.single_jump_iqr * change_iqr_mwh
            and abs(b.ratio - after.ratio) > p.single_jump_relative_iqr * ratio_change_iqr
            and b.deviation > after.deviation as ends
    from begin as b
    cross join parameter as p
),

stretch as (
    select
        *,
        last_value(case when begins then {hour_utc: hour_utc, good: before} end ignore nulls) over (hours rows between 47 preceding and current row) as opened,
        first_value(case when ends then {hour_utc: hour_utc, good: after} end ignore nulls) over (hours rows between current row and 47 following) as closed
    from far
    window hours as (partition by region order by hour_utc)
),

stays as (
    select
        s.*,
        coalesce(
            abs(s.mwh - opened.good.mwh) > p.single_jump_iqr * change_iqr_mwh
            and abs(s.ratio - opened.good.ratio) > p.single_jump_relative_iqr * ratio_change_iqr
            and s.deviation > opened.good.deviation, false) as stays_open,
        coalesce(
            abs(s.mwh - closed.good.mwh) > p.single_jump_iqr * change_iqr_mwh
            and abs(s.ratio - closed.good.ratio) > p.single_jump_relative_iqr * ratio_change_iqr
            and s.deviation > closed.good.deviation, false) as stays_closed
    from stretch as s
    cross join parameter as p
),

jump as (
    select
        region,
        hour_utc,
        demand_mwh,
        passes_at_once,
        coalesce(flag, case
            when good is not null and stays_open and coalesce(
                max(case when good is not null and not stays_open then hour_utc end) over (hours rows between 48 preceding and 1 preceding) < opened.hour_utc, true)
                then 'single_jump'
            when good is not null and stays_closed and coalesce(
                min(case when good is not null and not stays_closed then hour_utc end) over (hours rows between 1 following and 48 following) > closed.hour_utc, true)
                then 'single_jump'
        end) as flag
    from stays
    window hours as (partition by region order by hour_utc)
),

-- Between flagged hours, even those that look well are not trusted: a good stretch of a day at most, in a surrounding
-- of two days of which more than 15 % is flagged. Hours that were not reported do not count against the others.
wrong as (
    select *, flag is not null and flag not in ('missing', 'null') as is_wrong
    from jump
),

crowd as (
    select
        *,
        count_if(is_wrong) over (hours rows between 24 preceding and 24 following) as wrong_hours,
        max(case when is_wrong then hour_utc end) over (hours rows between 24 preceding and current row) as wrong_before,
        min(case when is_wrong then hour_utc end) over (hours rows between current row and 24 following) as wrong_after
    from wrong
    window hours as (partition by region order by hour_utc)
),

region_of_wrong as (
    select
        c.*,
        max(wrong_hours) over (hours rows between 23 preceding and 24 following) >= p.anomalous_hours
            and wrong_after - wrong_before <= interval 25 hour as is_anomalous
    from crowd as c
    cross join parameter as p
    window hours as (partition by region order by hour_utc)
)

select
    region,
    hour_utc,
    demand_mwh,
    coalesce(flag, case when is_anomalous then 'anomalous_region' end) as demand_flag,
    case when passes_at_once then demand_mwh end as demand_screened_mwh
from region_of_wrong
