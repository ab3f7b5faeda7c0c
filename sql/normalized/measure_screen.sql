/*---
description = """
Suspicious hours of day-ahead forecast, net generation, total interchange and subregion demand, with the reason; an hour without a
row passed every rule. Demand has rows of the rule repeat only; normalized.demand_screen has its flags.
Limits are multiples of the usual level: the greater (for low values the lesser) of the twelve months before and the four weeks before.
Only the rule repeat uses later hours.
"""
materialized = "table"
may_be_empty = true
grain = ["measure", "region", "code", "hour_utc"]
lookback = "840h"   # four weeks before the week of the hour
lookahead = "48h"   # of a repeated block

[columns]
measure = "demand, demand_forecast, net_generation, total_interchange or subregion_demand."
region = "Respondent, EIA code; authorities and, where synced, aggregates."
code = "Subregion of subregion_demand, else ALL."
hour_utc = "Start of the hour, UTC."
flag = "[hindsight] Why the value is suspicious, a code of normalized.flag (kind measure)."
is_known_at_once = "True if data up to the end of the same hour show the error; features leave these values out."

[[audits]]
unique = ["measure", "region", "code", "hour_utc"]
[[audits]]
not_null = ["measure", "region", "code", "hour_utc", "flag", "is_known_at_once"]
[[audits]]
sql = "select * from normalized.measure_screen where flag not in (select flag from normalized.flag where kind = 'measure')"
description = "flags that are not in normalized.flag"
---*/
with parameter as (
    select
        4.0 as extreme_highs,  -- global_extreme: times the usual level
        0.2 as low_highs,  -- global_low: times the same, of forecasts and demand
        0.1 as small_low_highs,  -- global_low: where the usual level is below small_mwh
        100.0 as small_mwh,
        2000.0 as least_extreme_mwh,  -- global_extreme of measures that may be around zero: generation and interchange
        2000000.0 as impossible_mwh,  -- more than the 48 states together have ever used
        12 as repeated_hours,  -- repeat: consecutive values equal to those a day or a week before
        6 as moving_hours,  -- repeat: changes from hour to hour in the block
        28 as usual_repeats  -- repeat: equal values in the 23 days until four days before the hour, from which they are usual: 5 %
),

reported as (
    select measure, region, 'ALL' as code, hour_utc, mwh
    from normalized.demand_reported
    unpivot (
        mwh for measure in (
            demand_forecast_mwh as 'demand_forecast',
            net_generation_mwh as 'net_generation',
            total_interchange_mwh as 'total_interchange'
        )
    )
    union all
    select 'subregion_demand', region, subregion, hour_utc, demand_mwh
    from normalized.subregion_reported
    where demand_mwh is not null
),

-- The usual level of forecasts and demand, which are above zero, is their median; that of measures around zero is a high percentile.
week as (
    select
        measure,
        region,
        code,
        date_trunc('week', hour_utc) as week_utc,
        if(
            measure in ('demand_forecast', 'subregion_demand'),
            if(count(*) filter (where mwh > 0) >= 24, median(mwh) filter (where mwh > 0), null),
            if(count(*) >= 24, quantile_disc(abs(mwh), 0.95), null)
        ) as high_mwh
    from reported
    group by measure, region, code, date_trunc('week', hour_utc)
),

recent as (
    select
        measure,
        region,
        code,
        week_utc,
        median(high_mwh) over (
            partition by measure, region, code
            order by week_utc range between interval 28 day preceding and interval 7 day preceding
        ) as recent_mwh
    from week
),

usual as (
    select
        r.measure,
        r.region,
        r.code,
        r.hour_utc,
        r.mwh,
        greatest(w.recent_mwh, l.high_before_mwh) as most_mwh,
        least(coalesce(w.recent_mwh, l.high_before_mwh), coalesce(l.high_before_mwh, w.recent_mwh)) as least_mwh
    from reported as r
    left join recent as w
        on w.measure = r.measure and w.region = r.region and w.code = r.code and w.week_utc = date_trunc('week', r.hour_utc)
    left join normalized.measure_level as l
        on l.measure = r.measure and l.region = r.region and l.code = r.code and l.month_utc = date_trunc('month', r.hour_utc)
),

absurd as (
    select
        u.measure,
        u.region,
        u.code,
        u.hour_utc,
        case
            when u.measure in ('demand_forecast', 'subregion_demand') then case
                when u.mwh <= 0 then 'negative_or_zero'
                when u.mwh > p.extreme_highs * u.most_mwh or u.mwh > p.impossible_mwh then 'global_extreme'
                when u.mwh < if(u.least_mwh < p.small_mwh, p.small_low_highs, p.low_highs) * u.least_mwh then 'global_low'
            end
            -- Without a usual level most_mwh is NULL, which greatest() would ignore.
            when (abs(u.mwh) > p.extreme_highs * u.most_mwh and abs(u.mwh) > p.least_extreme_mwh) or abs(u.mwh) > p.impossible_mwh
                then 'global_extreme'
        end as flag
    from usual as u
    cross join parameter as p
),

-- Values equal to those a day or a week before: few rows, so the next steps are cheap.
pair as (
    select
        a.region,
        a.hour_utc,
        24 as apart_hours,
        if(a.demand_mwh = b.demand_mwh, a.demand_mwh, null) as demand,
        if(a.demand_forecast_mwh = b.demand_forecast_mwh, a.demand_forecast_mwh, null) as demand_forecast,
        if(a.net_generation_mwh = b.net_generation_mwh, a.net_generation_mwh, null) as net_generation,
        if(a.total_interchange_mwh = b.total_interchange_mwh, a.total_interchange_mwh, null) as total_interchange
    from normalized.demand_reported as a
    inner join normalized.demand_reported as b on b.region = a.region and b.hour_utc = a.hour_utc - interval 24 hour
    union all
    select
        a.region,
        a.hour_utc,
        168,
        if(a.demand_mwh = b.demand_mwh, a.demand_mwh, null),
        if(a.demand_forecast_mwh = b.demand_forecast_mwh, a.demand_forecast_mwh, null),
        if(a.net_generation_mwh = b.net_generation_mwh, a.net_generation_mwh, null),
        if(a.total_interchange_mwh = b.total_interchange_mwh, a.total_interchange_mwh, null)
    from normalized.demand_reported as a
    inner join normalized.demand_reported as b on b.region = a.region and b.hour_utc = a.hour_utc - interval 168 hour
),

equal as (
    select measure, region, 'ALL' as code, hour_utc, apart_hours, mwh
    from pair
    unpivot (mwh for measure in (demand, demand_forecast, net_generation, total_interchange))
    where mwh <> 0
    union all
    select 'subregion_demand', a.region, a.subregion, a.hour_utc, 24, a.demand_mwh
    from normalized.subregion_reported as a
    inner join normalized.subregion_reported as b
        on b.region = a.region and b.subregion = a.subregion and b.hour_utc = a.hour_utc - interval 24 hour
    where a.demand_mwh = b.demand_mwh and a.demand_mwh <> 0
    union all
    select 'subregion_demand', a.region, a.subregion, a.hour_utc, 168, a.demand_mwh
    from normalized.subregion_reported as a
    inner join normalized.subregion_reported as b
        on b.region = a.region and b.subregion = a.subregion and b.hour_utc = a.hour_utc - interval 168 hour
    where a.demand_mwh = b.demand_mwh and a.demand_mwh <> 0
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
            mwh <> lag(mwh) over series as moves,
            count(*) over (
                partition by measure, region, code, apart_hours
                order by hour_utc range between interval 648 hour preceding and interval 97 hour preceding
            ) as usual_repeats
        from equal
        window series as (partition by measure, region, code, apart_hours order by hour_utc)
    )
    window block as (partition by measure, region, code, apart_hours, start_utc order by hour_utc)
),

-- The usual level is unknown in the first 27 days of a series.
begun as (
    select measure, region, code, min(hour_utc) + interval 648 hour as known_utc
    from (
        select measure, region, code, hour_utc from reported
        union all
        select 'demand', region, 'ALL', hour_utc from normalized.demand_reported where demand_mwh is not null
    )
    group by measure, region, code
),

repeated as (
    select
        i.measure,
        i.region,
        i.code,
        i.hour_utc,
        bool_or(i.place >= p.repeated_hours and i.moves_before >= p.moving_hours) as is_known_at_once
    from island as i
    inner join begun as b on b.measure = i.measure and b.region = i.region and b.code = i.code and i.hour_utc >= b.known_utc
    cross join parameter as p
    where i.hours >= p.repeated_hours
        and i.moves_in_all >= p.moving_hours
        and i.usual_repeats < p.usual_repeats
    group by i.measure, i.region, i.code, i.hour_utc
)

select
    coalesce(a.measure, r.measure) as measure,
    coalesce(a.region, r.region) as region,
    coalesce(a.code, r.code) as code,
    coalesce(a.hour_utc, r.hour_utc) as hour_utc,
    coalesce(a.flag, 'repeat') as flag,
    a.flag is not null or r.is_known_at_once as is_known_at_once
from (from absurd where flag is not null) as a
full join repeated as r
    on r.measure = a.measure and r.region = a.region and r.code = a.code and r.hour_utc = a.hour_utc
