/*---
description = """
Hours in which each respondent reports demand, one row a region and month: from its first to its last hour with a value, without
a gap. An hour without a value is missing if it is within them; before and after them the region does not report demand.
"""
materialized = "table"
refresh = "full"
grain = ["region", "month_utc"]
time_column = "month_utc"

[columns]
month_utc = "First hour of the month that the row describes, UTC."
first_hour_utc = "Start of the first hour covered in this month, UTC."
last_hour_utc = "Start of the last hour covered in this month, UTC."

[[audits]]
unique = ["region", "month_utc"]
[[audits]]
not_null = ["region", "month_utc", "first_hour_utc", "last_hour_utc"]
---*/
with whole as (
    select region, min(hour_utc) as first_hour_utc, max(hour_utc) as last_hour_utc
    from normalized.demand_reported
    where demand_mwh is not null
    group by region
),

months as (
    select
        *,
        unnest(generate_series(date_trunc('month', first_hour_utc), last_hour_utc, interval 1 month)) as month_utc
    from whole
)

select
    region,
    month_utc,
    greatest(first_hour_utc, month_utc) as first_hour_utc,
    least(last_hour_utc, month_utc + interval 1 month - interval 1 hour) as last_hour_utc
from months
