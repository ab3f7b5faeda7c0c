/*---
description = """
A high but usual generation of each fuel, one row a region, fuel and month; the screening compares values with it. It is the value
that a fifth of the month's hours exceed, so that up to five wrong days do not change it. A month with fewer than 600 values, such
as the current one, has the level of the month before if that month has more values.
"""
materialized = "table"
grain = ["region", "fuel", "month_utc"]
time_column = "month_utc"
lookback = "744h"

[columns]
month_utc = "First hour of the month that the row describes, UTC."
level_mwh = "80th percentile of the absolute hourly values of the fuel, MWh; NULL if no hour has a value."
region_level_mwh = "Sum of the levels of all fuels of the region, MWh."

[[audits]]
unique = ["region", "fuel", "month_utc"]
[[audits]]
not_null = ["region", "fuel", "month_utc"]
---*/
with months as (
    select
        region,
        fuel,
        date_trunc('month', hour_utc) as month_utc,
        count(generation_mwh) as hours,
        quantile_disc(abs(generation_mwh), 0.8) as high_mwh
    from normalized.generation_reported
    group by region, fuel, date_trunc('month', hour_utc)
),

levels as (
    select
        m.region,
        m.fuel,
        m.month_utc,
        -- A fifth of 600 values is five days; of fewer values, one or two wrong days would be a fifth.
        if(m.hours >= 600 or coalesce(b.hours, 0) <= m.hours, m.high_mwh, b.high_mwh) as level_mwh
    from months as m
    left join months as b
        on b.region = m.region and b.fuel = m.fuel and b.month_utc = m.month_utc - interval 1 month
)

-- Sums of decimals are exact and do not depend on the order.
select
    region,
    fuel,
    month_utc,
    level_mwh,
    cast(sum(try_cast(level_mwh as decimal(18, 0))) over (partition by region, month_utc) as double) as region_level_mwh
from levels
