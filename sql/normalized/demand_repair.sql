/*---
description = """
Estimated demand for hours whose reported demand is missing or flagged, one row for each hour in a gap of at most 168 hours with a
good value at both ends. The usual demand of the hour (mean of the same hour in the three weeks before and after) is adjusted by the
days around the gap, the neighbors' demand and the day-ahead forecast, and joined to the good values at both ends.
docs/data-quality.md describes the method and its measured error. It uses later hours, so features do not use it.
"""
materialized = "table"
may_be_empty = true
grain = ["region", "hour_utc"]
lookback = "1008h"
lookahead = "1008h"

[columns]
hour_utc = "Start of the hour, UTC."
demand_repaired_mwh = "Estimate for a missing or suspicious demand, MWh."
demand_repair = "Method of the estimate, a code of normalized.flag (kind repair)."
demand_gap_hours = "Length of the gap that the hour is in, hours."

[[audits]]
unique = ["region", "hour_utc"]
[[audits]]
not_null = ["region", "hour_utc", "demand_repaired_mwh", "demand_repair", "demand_gap_hours"]
[[audits]]
sql = """
select * from normalized.demand_repair
where demand_repair not in (select flag from normalized.flag where kind = 'repair')
"""
description = "codes that are not in normalized.flag"
[[audits]]
sql = "select * from normalized.demand_repair where demand_repaired_mwh <= 0"
description = "repaired demand that is not above zero"
---*/
-- Computed in the logarithm of demand, in whole millionths: differences are ratios, so small and large authorities have equal
-- weight and no estimate is negative; sums of integers are exact. An hour uses data up to 972 h away: 84 h to the middle of its
-- gap, 24 h to the edge of that day, 15 days for the fit there, 504 h for the usual demand of these days.
with hour as (
    select
        s.region,
        s.hour_utc,
        date_trunc('day', s.hour_utc) as day_utc,
        case when s.demand_flag is null and s.demand_mwh > 0 then cast(round(ln(s.demand_mwh) * 1e6) as bigint) end as level,
        case when d.demand_forecast_mwh > 0 then cast(round(ln(d.demand_forecast_mwh) * 1e6) as bigint) end as forecast_level
    from normalized.demand_screen as s
    left join normalized.demand_reported as d on d.region = s.region and d.hour_utc = s.hour_utc
),

gap as (
    select
        region,
        min(hour_utc) as first_utc,
        max(hour_utc) as last_utc,
        count(*) as hours,
        date_trunc('day', min(hour_utc) + to_hours(cast(count(*) // 2 as integer))) as middle_utc
    from (
        select region, hour_utc, hour_utc - to_hours(cast(row_number() over (partition by region order by hour_utc) as integer)) as run
        from hour
        where level is null
    )
    group by region, run
    having count(*) <= 168
),

-- The usual demand of the hour. Each hour of a region has a row, so row offsets are hours. If the weeks differ by more than a
-- factor of two, the least and the greatest are left out.
week as (
    select
        *,
        lag(level, 168) over hours as a1,
        lag(level, 336) over hours as a2,
        lag(level, 504) over hours as a3,
        lead(level, 168) over hours as b1,
        lead(level, 336) over hours as b2,
        lead(level, 504) over hours as b3
    from hour
    window hours as (partition by region order by hour_utc)
),

summed as (
    select
        * exclude (a1, a2, a3, b1, b2, b3),
        coalesce(a1, 0) + coalesce(a2, 0) + coalesce(a3, 0) + coalesce(b1, 0) + coalesce(b2, 0) + coalesce(b3, 0) as total,
        (a1 is not null)::int + (a2 is not null)::int + (a3 is not null)::int
        + (b1 is not null)::int + (b2 is not null)::int + (b3 is not null)::int as weeks,
        least(a1, a2, a3, b1, b2, b3) as lowest,
        greatest(a1, a2, a3, b1, b2, b3) as highest
    from week
),

usual as (
    select
        region,
        hour_utc,
        day_utc,
        level,
        forecast_level,
        case
            when weeks >= 4 and highest - lowest > 700000 then (total - lowest - highest) // (weeks - 2)
            when weeks >= 2 then total // weeks
        end as usual_level
    from summed
),

-- Deviations of demand and of its forecast from the usual demand, limited to a factor of 1.6 and of 2.7, so that one absurd
-- value that the screening missed cannot dominate a fit.
moved as (
    select
        region,
        hour_utc,
        day_utc,
        usual_level,
        level - usual_level as demand_move,
        if(level is not null, greatest(-500000, least(500000, level - usual_level)), null) as bounded_move,
        case when abs(forecast_level - usual_level) < 1000000 then forecast_level - usual_level end as forecast_move
    from usual
    where usual_level is not null
),

-- Days that need neighbors and fits.
near as (
    select distinct region, unnest(generate_series(middle_utc - interval 15 day, middle_utc + interval 15 day, interval 1 day)) as day_utc
    from gap
),

asked as materialized (
    select n.region, n.day_utc, p.neighbor
    from near as n
    join seeds.interchange_pair as p on p.region = n.region
),

neighbors as (
    select a.region, m.hour_utc, sum(m.bounded_move) // count(*) as neighbors_move
    from asked as a
    join moved as m on m.region = a.neighbor and m.day_utc = a.day_utc
    where m.bounded_move is not null
    group by a.region, m.hour_utc
),

around as (
    select m.*, o.neighbors_move
    from moved as m
    semi join near as n on n.region = m.region and n.day_utc = m.day_utc
    left join neighbors as o on o.region = m.region and o.hour_utc = m.hour_utc
),

-- Least squares of the region's moves on those of its neighbors (n) and of its forecast (f), over 29 days around the gap.
daily as (
    select
        region,
        day_utc,
        count(n) as n_count,
        sum(n) as n_sum,
        sum(d) filter (where n is not null) as dn_sum,
        sum(n::hugeint * n) as nn_sum,
        sum(n::hugeint * d) as nd_sum,
        count(f) as f_count,
        sum(f) as f_sum,
        sum(d) filter (where f is not null) as df_sum,
        sum(f::hugeint * f) as ff_sum,
        sum(f::hugeint * d) as fd_sum,
        count(n + f) as nf_count,
        sum(n) filter (where f is not null) as nf_n_sum,
        sum(f) filter (where n is not null) as nf_f_sum,
        sum(n::hugeint * f) as nf_sum
    from (
        select region, day_utc, bounded_move as d, neighbors_move as n, forecast_move as f
        from around
        where bounded_move is not null
    )
    group by region, day_utc
),

fitted as (
    select
        g.region,
        g.first_utc,
        any_value(g.last_utc) as last_utc,
        any_value(g.hours) as hours,
        sum(f_sum) / nullif(sum(f_count), 0) as forecast_mean,
        case when sum(n_count) >= 168 then sum(nn_sum) / sum(n_count) - (sum(n_sum) / sum(n_count)) ** 2 end as nn,
        case when sum(n_count) >= 168 then sum(nd_sum) / sum(n_count) - (sum(n_sum) / sum(n_count)) * (sum(dn_sum) / sum(n_count)) end as nd,
        case when sum(f_count) >= 168 then sum(ff_sum) / sum(f_count) - (sum(f_sum) / sum(f_count)) ** 2 end as ff,
        case when sum(f_count) >= 168 then sum(fd_sum) / sum(f_count) - (sum(f_sum) / sum(f_count)) * (sum(df_sum) / sum(f_count)) end as fd,
        case when sum(nf_count) >= 168 then sum(nf_sum) / sum(nf_count) - (sum(nf_n_sum) / sum(nf_count)) * (sum(nf_f_sum) / sum(nf_count)) end as nf
    from gap as g
    left join daily as d
        on d.region = g.region and d.day_utc between g.middle_utc - interval 14 day and g.middle_utc + interval 14 day
    group by g.region, g.first_utc
),

-- The hours of each gap, and two on either side of it.
place as (
    select
        *,
        date_diff('hour', first_utc, hour_utc) + 1 as hours_in,
        date_diff('hour', hour_utc, last_utc) + 1 as hours_out
    from (
        select *, unnest(generate_series(first_utc - interval 2 hour, last_utc + interval 2 hour, interval 1 hour)) as hour_utc
        from fitted
    )
),

-- Neighbors and forecast are used if they have values for all of the gap and for the good hour at each end; both together only if
-- their covariance is known.
predictors as (
    select
        p.region,
        p.first_utc,
        any_value(p.hours) as hours,
        coalesce(count(a.neighbors_move) = any_value(p.hours) + 2 and any_value(p.nn) > 0, false) as has_neighbors,
        coalesce(count(a.forecast_move) = any_value(p.hours) + 2 and any_value(p.ff) > 0, false)
        and (any_value(p.nf) is not null or not has_neighbors) as has_forecast,
        any_value(p.nn) as nn,
        any_value(p.nd) as nd,
        any_value(p.ff) as ff,
        any_value(p.fd) as fd,
        any_value(p.nf) as nf
    from place as p
    join around as a on a.region = p.region and a.hour_utc = p.hour_utc
    where p.hours_in >= 0 and p.hours_out >= 0
    group by p.region, p.first_utc
    having count(a.usual_level) = any_value(p.hours) + 2
),

-- Variances are raised by 1 % (ridge), so that two correlated predictors share the weight. A fit over all hours overstates the
-- effect in one hour, to which neighbors and forecast add noise.
weighted as (
    select
        region,
        first_utc,
        has_neighbors,
        has_forecast,
        hours / (hours + 1) * greatest(0, least(1.5, case
            when has_neighbors and has_forecast then (nd * ff * 1.01 - fd * nf) / (nn * ff * 1.0201 - nf * nf)
            when has_neighbors then nd / nn
            else 0
        end)) as neighbors_weight,
        hours / (hours + 1) * greatest(0, least(1.5, case
            when has_neighbors and has_forecast then (fd * nn * 1.01 - nd * nf) / (nn * ff * 1.0201 - nf * nf)
            when has_forecast then fd / ff
            else 0
        end)) as forecast_weight
    from predictors
),

-- Days whose same hour is used; nearer days have more weight.
days as (
    select unnest([-7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7]) as days, unnest([1, 1, 1, 2, 2, 4, 4, 0, 4, 4, 2, 2, 1, 1, 1]) as weight
),

-- The hours of and around the gap and the same hours of the seven days before and after, each with the move that neighbors and
-- forecast predict and the residual.
predicted as (
    select
        p.region,
        p.first_utc,
        p.hours,
        p.hour_utc,
        p.hours_in,
        p.hours_out,
        w.has_neighbors,
        w.has_forecast,
        d.days,
        d.weight,
        a.usual_level,
        a.demand_move,
        if(w.has_neighbors, w.neighbors_weight * a.neighbors_move, 0) as neighbors_prediction,
        case
            when not w.has_forecast then 0
            when a.forecast_move is not null
                then w.forecast_weight * greatest(-500000, least(500000, a.forecast_move - p.forecast_mean))
        end as forecast_prediction,
        cast(round(neighbors_prediction + forecast_prediction) as bigint) as predicted_move,
        if(predicted_move + demand_move is not null, greatest(-700000, least(700000, demand_move - predicted_move)), null) as residual_move
    from place as p
    join weighted as w on w.region = p.region and w.first_utc = p.first_utc
    cross join days as d
    join around as a on a.region = p.region and a.hour_utc = p.hour_utc + to_days(d.days)
),

-- Weighted mean of the residuals of these days, shrunk towards 0.
settled as (
    select
        region,
        first_utc,
        hours,
        hour_utc,
        hours_in,
        hours_out,
        has_neighbors,
        has_forecast,
        max(usual_level + predicted_move) filter (where days = 0) as predicted_level,
        coalesce(sum(weight * residual_move), 0) / (12 + coalesce(sum(weight) filter (where residual_move is not null), 0)) as day_move,
        max(residual_move) filter (where days = 0) - day_move as rest
    from predicted
    group by all
),

-- The residual of the good hours at both ends. If an end hour differs from the one beyond it, the latter is used: an outage often
-- begins or ends within the hour.
ends as (
    select
        *,
        max(rest) filter (where hours_in = 0) over gap_hours as before_1,
        max(rest) filter (where hours_in = -1) over gap_hours as before_2,
        max(rest) filter (where hours_out = 0) over gap_hours as after_1,
        max(rest) filter (where hours_out = -1) over gap_hours as after_2,
        if(abs(before_1 - before_2) > 150000, before_2, before_1) as before_rest,
        if(abs(after_1 - after_2) > 150000, after_2, after_1) as after_rest
    from settled
    window gap_hours as (partition by region, first_utc)
),

-- The residuals of the ends fade into the gap, by half in about 6 hours: the middle of a long gap depends only on the days around it.
profiled as (
    select
        region,
        hour_utc,
        predicted_level + day_move
        + before_rest * sinh(hours_out / 8) / sinh((hours + 1) / 8)
        + after_rest * sinh(hours_in / 8) / sinh((hours + 1) / 8) as level,
        concat_ws('_', 'profile', if(has_forecast, 'forecast', null), if(has_neighbors, 'neighbors', null)) as demand_repair,
        hours
    from ends
    where hours_in > 0 and hours_out > 0 and before_rest is not null and after_rest is not null
),

-- If too few weeks are known for a usual demand, gaps of up to three hours are interpolated linearly.
bridged as (
    select
        p.region,
        p.hour_utc,
        (b.level * p.hours_out + a.level * p.hours_in) / (p.hours + 1) as level,
        'interpolated' as demand_repair,
        p.hours
    from place as p
    join hour as b on b.region = p.region and b.hour_utc = p.first_utc - interval 1 hour and b.level is not null
    join hour as a on a.region = p.region and a.hour_utc = p.last_utc + interval 1 hour and a.level is not null
    anti join profiled as r on r.region = p.region and r.hour_utc = p.hour_utc
    where p.hours <= 3 and p.hours_in > 0 and p.hours_out > 0
)

select
    region,
    hour_utc,
    round(exp(level / 1e6), 2) as demand_repaired_mwh,
    demand_repair,
    cast(hours as smallint) as demand_gap_hours
from (from profiled union all from bridged)
