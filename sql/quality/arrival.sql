/*---
description = """
Delay of each dataset, one row a region and month: rows held, the newest hour, and the time from the end of an hour until its first
value became known here. The delay is known only for hours that arrived within ten days: history that was loaded later counts
as rows, not as delay. Later revisions do not count as delay.
"""
materialized = "table"
may_be_empty = true
grain = ["dataset", "measure", "region", "month_utc"]
time_column = "month_utc"
lookback = "0h"

[columns]
dataset = "Dataset of staging, such as eia.region_data."
measure = "Rows of the dataset that are counted: EIA's type (D, DF, NG, TI) or CAISO's market; all if it has neither."
region = "Respondent, EIA code; CISO for CAISO's own datasets."
month_utc = "First hour of the month, UTC."
held_rows = "Rows held; count."
value_rows = "Of these, rows with a value; count."
newest_hour_utc = "Start of the newest hour of the month with a row, UTC."
newest_value_hour_utc = "Start of the newest hour of the month with a value, UTC; NULL if no hour has one."
newest_value_known_utc = "Time when the values of that hour became known here, UTC; of several values the last."
fresh_hours = "Hours that arrived within ten days; count."
typical_delay_hours = "Median delay of these hours, from their end until the first value was known, whole hours; negative if it is published ahead."
greatest_delay_hours = "Maximum delay of these hours, whole hours."

[[audits]]
unique = ["dataset", "measure", "region", "month_utc"]
[[audits]]
not_null = ["dataset", "measure", "region", "month_utc", "held_rows", "value_rows", "newest_hour_utc", "fresh_hours"]
---*/
with held as (
    select
        dataset,
        measure,
        region,
        date_trunc('month', hour_utc) as month_utc,
        count(*) as held_rows,
        count(*) filter (where has_value) as value_rows,
        max(hour_utc) as newest_hour_utc,
        max(hour_utc) filter (where has_value) as newest_value_hour_utc,
        max((hour_utc, known_from_utc)) filter (where has_value) as newest
    from sources.arrived_row
    where is_current
    group by dataset, measure, region, date_trunc('month', hour_utc)
),

-- Whole hours from the end of an hour until its first value.
fresh as (
    select
        dataset,
        measure,
        region,
        date_trunc('month', hour_utc) as month_utc,
        cast(floor(epoch(min(known_from_utc) - hour_utc) / 3600) - 1 as integer) as delay_hours
    from sources.arrived_row
    where has_value and known_from_utc <= hour_utc + interval 241 hour
    group by dataset, measure, region, hour_utc
),

counted as (
    select
        dataset,
        measure,
        region,
        month_utc,
        delay_hours,
        count(*) as hours,
        sum(count(*)) over (partition by dataset, measure, region, month_utc order by delay_hours) as up_to,
        sum(count(*)) over (partition by dataset, measure, region, month_utc) as total
    from fresh
    group by dataset, measure, region, month_utc, delay_hours
),

delays as (
    select
        dataset,
        measure,
        region,
        month_utc,
        cast(sum(hours) as bigint) as fresh_hours,
        min(delay_hours) filter (where 2 * up_to >= total) as typical_delay_hours,
        max(delay_hours) as greatest_delay_hours
    from counted
    group by dataset, measure, region, month_utc
)

select
    h.dataset,
    h.measure,
    h.region,
    h.month_utc,
    h.held_rows,
    h.value_rows,
    h.newest_hour_utc,
    h.newest_value_hour_utc,
    h.newest[2] as newest_value_known_utc,
    coalesce(d.fresh_hours, 0) as fresh_hours,
    d.typical_delay_hours,
    d.greatest_delay_hours
from held as h
left join delays as d using (dataset, measure, region, month_utc)
