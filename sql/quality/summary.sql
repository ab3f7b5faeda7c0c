/*---
description = """
Quality of the data of each region, one row a region and month: hours of demand that were reported, flagged, repaired or are still
unknown, and residuals of the identities of form EIA-930 (quality.balance). Hours by flag are in quality.anomalies.
"""
materialized = "table"
grain = ["region", "month_utc"]
time_column = "month_utc"
lookback = "0h"

[columns]
region = "Respondent, EIA code; authorities and, where synced, aggregates."
month_utc = "First hour of the month, UTC."
demand_hours = "Hours of the month from the region's first to its last demand."
reported_hours = "Of these, hours with a reported demand, flagged or not."
flagged_hours = "Of these, hours whose demand is flagged: missing or suspicious."
repaired_hours = "Of the flagged hours, those with a value to use instead."
unknown_hours = "Of the flagged hours, those without one."
flagged_share = "Flagged hours as a share of demand_hours, no unit."
balance_hours = "Hours in which the balance of demand, net generation and interchange can be computed."
balance_residual_mwh = "Median of |demand minus (net generation minus total interchange)|, MWh."
fuel_residual_mwh = "Median of |net generation minus the sum of fuels|, MWh."
interchange_residual_mwh = "Median of |total interchange minus the sum over neighbors|, MWh."
pair_residual_mwh = "Median of the hours' pair_residual_mwh (quality.balance), MWh."
balance_residual_share = "Median of the balance residual as a share of demand, no unit."
fuel_residual_share = "Median of the fuel residual as a share of demand, no unit."
interchange_residual_share = "Median of the interchange residual as a share of demand, no unit."
pair_residual_share = "Median of the pair residual as a share of demand, no unit."

[[audits]]
unique = ["region", "month_utc"]
[[audits]]
not_null = ["region", "month_utc", "demand_hours", "balance_hours"]
[[audits]]
name = "flagged_share"
when = "check"
severity = "warn"
description = "a large share of the demand of the newest two months is flagged or missing"
sql = """
select region, month_utc, demand_hours, flagged_hours, unknown_hours, flagged_share from quality.summary
where flagged_share > (select value from seeds.check_limit where name = 'flagged_share')
    and month_utc >= (select max(month_utc) from quality.summary where demand_hours > 0) - interval 1 month
"""
[[audits]]
name = "residual_jump"
when = "check"
severity = "warn"
description = "residuals of a region in the newest two months are much larger than in the twelve months before"
sql = """
with monthly as (
    from quality.summary unpivot (residual_share for identity in (
        balance_residual_share, fuel_residual_share, interchange_residual_share, pair_residual_share
    ))
),
compared as (
    select
        region, month_utc, identity, residual_share,
        median(residual_share) over (
            partition by region, identity order by month_utc range between interval 14 month preceding and interval 2 month preceding
        ) as usual_share
    from monthly
)
select region, month_utc, identity, residual_share, usual_share from compared
where residual_share > (select value from seeds.check_limit where name = 'residual_share')
    and residual_share > usual_share * (select value from seeds.check_limit where name = 'residual_ratio')
    and month_utc >= (select max(month_utc) from quality.summary where balance_hours > 0) - interval 1 month
"""
---*/
with demand as (
    select
        region,
        date_trunc('month', hour_utc) as month_utc,
        count(*) as demand_hours,
        count(demand_mwh) as reported_hours,
        count(demand_flag) as flagged_hours,
        count(demand_clean_mwh) filter (where demand_flag is not null) as repaired_hours
    from normalized.demand
    where demand_mwh is not null or demand_flag is not null
    group by region, date_trunc('month', hour_utc)
),

residuals as (
    select
        region,
        date_trunc('month', hour_utc) as month_utc,
        count(balance_residual_mwh) as balance_hours,
        round(median(abs(balance_residual_mwh)), 4) as balance_residual_mwh,
        round(median(abs(fuel_residual_mwh)), 4) as fuel_residual_mwh,
        round(median(abs(interchange_residual_mwh)), 4) as interchange_residual_mwh,
        round(median(pair_residual_mwh), 4) as pair_residual_mwh,
        round(median(balance_residual_share), 4) as balance_residual_share,
        round(median(fuel_residual_share), 4) as fuel_residual_share,
        round(median(interchange_residual_share), 4) as interchange_residual_share,
        round(median(pair_residual_share), 4) as pair_residual_share
    from quality.balance
    group by region, date_trunc('month', hour_utc)
)

select
    coalesce(d.region, r.region) as region,
    coalesce(d.month_utc, r.month_utc) as month_utc,
    coalesce(d.demand_hours, 0) as demand_hours,
    coalesce(d.reported_hours, 0) as reported_hours,
    coalesce(d.flagged_hours, 0) as flagged_hours,
    coalesce(d.repaired_hours, 0) as repaired_hours,
    coalesce(d.flagged_hours - d.repaired_hours, 0) as unknown_hours,
    round(d.flagged_hours / d.demand_hours, 4) as flagged_share,
    coalesce(r.balance_hours, 0) as balance_hours,
    r.* exclude (region, month_utc, balance_hours)
from demand as d
full join residuals as r on r.region = d.region and r.month_utc = d.month_utc
