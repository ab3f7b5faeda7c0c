/*---
description = """
The hours of generation that are not to be trusted, with the reason; an hour that is not here has nothing against it. A rule
measures by the month's level of the fuel, or of all fuels of the region where the fuel stands still most of the time (oil,
storage): a peak in a cold snap or a day of charging is no error. Hours without a row are not here: a gap is not invented.
"""
materialized = "table"
grain = ["region", "hour_utc", "fuel"]
lookback = "1h"
lookahead = "1h"

[columns]
generation_flag = "Why the hour's generation is not to be trusted, a code of normalized.flag."

[[audits]]
unique = ["region", "hour_utc", "fuel"]
[[audits]]
not_null = ["region", "hour_utc", "fuel", "generation_flag"]
[[audits]]
accepted_values = { column = "generation_flag", values = ["no_value", "global_extreme", "negative", "single_jump"] }
---*/
with hours as (
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

measured as (
    select
        h.region,
        h.hour_utc,
        h.fuel,
        h.generation_mwh,
        -- Beyond twice all that the region generates when it generates much, and beyond what one plant can (Grand Coulee
        -- has 6,800 MW, but belongs to a region of three times that): no fuel alone, nor a new one, comes there.
        greatest(2 * l.region_level_mwh, 5 * l.level_mwh, 3000) as extreme_mwh,
        -- Self-use: plants at rest draw some percent of their capacity. Where no plant runs, level_mwh is that draw itself.
        if(coalesce(f.may_be_negative, true), null, -greatest(0.2 * l.level_mwh, 100)) as least_mwh,
        -- Steady fuels do not drop by half within an hour and come back in the next; others may, short of as much as
        -- their own level, or a quarter of the region's.
        if(f.steady, 0.5 * l.level_mwh, greatest(l.level_mwh, 0.25 * l.region_level_mwh)) as jump_mwh,
        h.generation_mwh - h.before_mwh as up_mwh,
        h.generation_mwh - h.after_mwh as down_mwh
    from hours as h
    inner join normalized.generation_level as l
        on l.region = h.region and l.fuel = h.fuel and l.month_utc = date_trunc('month', h.hour_utc)
    left join normalized.fuel as f on f.fuel = h.fuel
),

flagged as (
    select
        region,
        hour_utc,
        fuel,
        case
            when generation_mwh is null then 'no_value'
            when abs(generation_mwh) > extreme_mwh then 'global_extreme'
            when generation_mwh < least_mwh then 'negative'
            when
                sign(up_mwh) = sign(down_mwh)
                and least(abs(up_mwh), abs(down_mwh)) > greatest(jump_mwh, 100)
                and abs(up_mwh - down_mwh) < 0.25 * least(abs(up_mwh), abs(down_mwh))
                then 'single_jump'
        end as generation_flag
    from measured
)

select
    region,
    hour_utc,
    fuel,
    generation_flag
from flagged
where generation_flag is not null
