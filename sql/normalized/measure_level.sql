/*---
description = """
Usual forecast, net generation and total interchange of each respondent, and usual demand of its subregions, one row a month and
measure. The screening compares values with high_before_mwh, which uses no hour of its own month. Medians of monthly values are
robust: five wrong months among twelve change them little. Demand has its own model (normalized.demand_level).
"""
materialized = "table"
refresh = "full"
grain = ["measure", "region", "code", "month_utc"]
time_column = "month_utc"

[columns]
measure = "demand_forecast, net_generation, total_interchange or subregion_demand."
region = "Respondent, EIA code; authorities and, where synced, aggregates."
code = "Subregion of subregion_demand, else ALL."
month_utc = "First hour of the month that the row describes, UTC."
high_month_mwh = "High value of this month, MWh: for a forecast or a demand the median of values above zero; for the rest the 95th percentile of absolute values."
high_before_mwh = "Median of high_month_mwh over the twelve months before this one, MWh; NULL in the first month."

[[audits]]
unique = ["measure", "region", "code", "month_utc"]
[[audits]]
not_null = ["measure", "region", "code", "month_utc"]
---*/
with month as (
    select
        region,
        'ALL' as code,
        date_trunc('month', hour_utc) as month_utc,
        median(demand_forecast_mwh) filter (where demand_forecast_mwh > 0) as demand_forecast,
        quantile_disc(abs(net_generation_mwh), 0.95) as net_generation,
        quantile_disc(abs(total_interchange_mwh), 0.95) as total_interchange
    from normalized.demand_reported
    group by region, date_trunc('month', hour_utc)
),

high as (
    select measure, region, code, month_utc, high_month_mwh
    from month
    unpivot (high_month_mwh for measure in (demand_forecast, net_generation, total_interchange))
    union all
    select
        'subregion_demand',
        region,
        subregion,
        date_trunc('month', hour_utc),
        median(demand_mwh) filter (where demand_mwh > 0)
    from normalized.subregion_reported
    group by region, subregion, date_trunc('month', hour_utc)
),

-- Every month has a row, so that twelve rows are twelve months. One month is added, for which forecasts may already exist.
spans as (
    select
        measure,
        region,
        code,
        unnest(generate_series(min(month_utc), max(month_utc) + interval 1 month, interval 1 month)) as month_utc
    from high
    group by measure, region, code
)

select
    s.measure,
    s.region,
    s.code,
    s.month_utc,
    h.high_month_mwh,
    median(h.high_month_mwh) over (
        partition by s.measure, s.region, s.code order by s.month_utc rows between 12 preceding and 1 preceding
    ) as high_before_mwh
from spans as s
left join high as h
    on h.measure = s.measure and h.region = s.region and h.code = s.code and h.month_utc = s.month_utc
