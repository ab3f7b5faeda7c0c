/*---
description = """
Number, delay and size of the sources' revisions that were observed here, one row for each dataset, region, measure
and month. A revision is a value that was replaced or withdrawn between two fetches. Changes before an hour was first fetched, or
after it was last fetched, are not observed.
"""
materialized = "table"
grain = ["dataset", "region", "measure", "month_utc"]
time_column = "month_utc"
lookback = "0h"

[columns]
dataset = "Dataset of staging, such as eia.region_data."
region = "Place of the values: a respondent of EIA, a region of the weather, or CAISO's area, hub, node or zone."
measure = "EIA's type (also for the files: D, DF, NG, TI), fuel, neighbor or subregion; CAISO's market, component or schedule; for weather, temperature only."
month_utc = "First hour of the month that the row describes, UTC."
rows_held = "Rows that staging holds, with or without a value; one for each five minutes in CAISO's real-time data; count."
rows_gone = "Rows, with or without a value, that were held once and were withdrawn for good; count."
rows_revised = "Rows of both kinds whose value was revised at least once, which includes withdrawn values; count."
revisions = "Revisions of values; count."
withdrawn = "Count of revisions that withdrew a value with its row, for a time or for good."
filled = "Count of revisions that gave a value to a row without one."
median_delay_hours = "Median time from the end of the hour until a revision was observed here; negative before it, as for forecasts. Rows first fetched more than 14 days after their hour are left out, here and in max_delay_hours, because the time of their revision is not known."
max_delay_hours = "Maximum of these delays."
mean_change = "Mean absolute change by a revision, over those with a value before and after, in the unit of the dataset."
max_change = "Maximum of these changes, in the unit of the dataset."
mean_change_percent = "Mean of these changes as a percentage of the value before (if it is not 0)."
newest_revision_utc = "Time when the newest revision was observed here, UTC; NULL if there is none."

[[audits]]
unique = ["dataset", "region", "measure", "month_utc"]
[[audits]]
not_null = ["dataset", "region", "measure", "month_utc", "rows_held", "rows_gone", "rows_revised", "revisions"]
---*/
with followed as (
    select
        *,
        lead(value) over one as next_value,
        lead(known_from_utc) over one as next_from_utc,
        min(known_from_utc) over (partition by dataset, region, measure, part, stamp_utc) as first_known_utc
    from sources.revised_value
    window one as (
        partition by dataset, region, measure, part, stamp_utc
        order by known_from_utc, known_until_utc nulls last
    )
),

-- A row of many values (the half-year files) may have changed in some of them only; if it is withdrawn, only its values count.
revised as (
    select
        *,
        value is not null and next_from_utc is distinct from known_until_utc as is_withdrawn,
        case
            when first_known_utc <= start_utc + interval 337 hour
                then (epoch(known_until_utc) - epoch(start_utc)) / 3600 - 1
        end as delay_hours,
        -- Sums of decimals are exact and do not depend on the order. A value that does not fit counts as NULL.
        if(is_withdrawn, null, try_cast(abs(next_value - value) as decimal(18, 5))) as change,
        if(is_withdrawn or value = 0, null, try_cast(100 * abs(next_value - value) / abs(value) as decimal(18, 3)))
            as change_percent
    from followed
    where known_until_utc is not null
        and (is_withdrawn or next_value is distinct from value)
),

gone as (
    select dataset, region, measure, date_trunc('month', start_utc) as month_utc, count(*) as rows_gone
    from followed
    where known_until_utc is not null and next_from_utc is null
    group by all
),

counted as (
    select
        dataset,
        region,
        measure,
        date_trunc('month', start_utc) as month_utc,
        count(distinct (part, stamp_utc)) as rows_revised,
        count(*) as revisions,
        count(*) filter (is_withdrawn) as withdrawn,
        count(*) filter (not is_withdrawn and value is null) as filled,
        median(delay_hours) as median_delay_hours,
        max(delay_hours) as max_delay_hours,
        cast(sum(change) as double) / count(change) as mean_change,
        cast(max(change) as double) as max_change,
        cast(sum(change_percent) as double) / count(change_percent) as mean_change_percent,
        max(known_until_utc) as newest_revision_utc
    from revised
    group by all
)

select
    dataset,
    region,
    measure,
    month_utc,
    coalesce(rows_held, 0) as rows_held,
    coalesce(rows_gone, 0) as rows_gone,
    coalesce(rows_revised, 0) as rows_revised,
    coalesce(revisions, 0) as revisions,
    coalesce(withdrawn, 0) as withdrawn,
    coalesce(filled, 0) as filled,
    median_delay_hours,
    max_delay_hours,
    mean_change,
    max_change,
    mean_change_percent,
    newest_revision_utc
from sources.held_month
full join gone using (dataset, region, measure, month_utc)
full join counted using (dataset, region, measure, month_utc)
