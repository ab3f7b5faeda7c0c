/*---
description = """
Usual demand of each respondent, one row a month. The screening of demand compares values with it to find absurd ones. The
published method uses the median of the whole series; here no value depends on reports of a year later, and a new month does not
change ten years. Medians of monthly medians are robust: five wrong months among twelve change them little.
"""
materialized = "table"
refresh = "full"
grain = ["region", "month_utc"]
time_column = "month_utc"

[columns]
median_month_mwh = "Median of the positive demand reported for the hours of this month, MWh; NULL where there is none."
median_mwh = "Median of median_month_mwh over this month and the eleven before, MWh."
median_before_mwh = "Median of median_month_mwh over the twelve months before this one, MWh; uses no hour of this month. NULL in a region's first month."

[[audits]]
unique = ["region", "month_utc"]
[[audits]]
not_null = ["region", "month_utc"]
---*/
with month as (
    select region, date_trunc('month', hour_utc) as month_utc, median(demand_mwh) filter (where demand_mwh > 0) as median_month_mwh
    from normalized.demand_reported
    group by all
),

-- Every month of a region has a row, so that twelve rows are twelve months.
spine as (
    select s.region, s.month_utc, m.median_month_mwh
    from normalized.demand_span as s
    left join month as m on m.region = s.region and m.month_utc = s.month_utc
)

select
    region,
    month_utc,
    median_month_mwh,
    median(median_month_mwh) over (months rows between 11 preceding and current row) as median_mwh,
    median(median_month_mwh) over (months rows between 12 preceding and 1 preceding) as median_before_mwh
from spine
window months as (partition by region order by month_utc)
