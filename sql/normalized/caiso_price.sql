/*---
description = """
Prices of CAISO's day-ahead and real-time markets by node, from CAISO's OASIS (reports PRC_LMP and PRC_INTVL_LMP), one row an
hour, node and market. The price (LMP) is the sum of its components: energy, congestion, loss and, where published, greenhouse
gas. Real-time prices are for five-minute intervals: a row has the mean over the intervals of the hour that have a value, and
their number (intervals). CAISO corrects prices for up to two weeks.
"""
materialized = "table"
grain = ["node", "hour_utc", "market"]
lookback = "0h"

[columns]
node = "Price node, CAISO's name: trading hubs TH_…, default load aggregation points DLAP_…, and any other."
hour_utc = "Start of the hour, UTC."
market = "DAM: day-ahead, hourly; RTM: real-time, five minutes."
lmp_usd_per_mwh = "Locational marginal price, USD/MWh."
energy_usd_per_mwh = "Energy component of the price (MCE), the same at all nodes, USD/MWh."
congestion_usd_per_mwh = "Congestion component of the price (MCC), USD/MWh."
loss_usd_per_mwh = "Loss component of the price (MCL), USD/MWh."
ghg_usd_per_mwh = "Greenhouse-gas component of the price (MGHG), USD/MWh; NULL where it was not published."
intervals = "Number of intervals of the hour with a price: 1 in DAM, up to 12 in RTM; 0 if only components were published."

[[audits]]
unique = ["node", "hour_utc", "market"]
[[audits]]
not_null = ["node", "hour_utc", "market", "intervals"]
[[audits]]
sql = """
select * from normalized.caiso_price
where abs(lmp_usd_per_mwh - energy_usd_per_mwh - congestion_usd_per_mwh - loss_usd_per_mwh - coalesce(ghg_usd_per_mwh, 0)) > 0.01
"""
severity = "warn"
description = "prices that are not the sum of their components"
[[audits]]
name = "hub_missing"
when = "check"
severity = "warn"
description = "a trading hub has no day-ahead prices in hours of the newest days for which other nodes have them"
sql = """
with dam as (
    select node, hour_utc, lmp_usd_per_mwh from normalized.caiso_price where market = 'DAM'
),
owed as (
    select n.node, h.hour_utc
    from (
        select distinct hour_utc from dam
        where hour_utc > (select max(hour_utc) from dam)
            - to_days(cast((select value from seeds.check_limit where name = 'recent_days') as integer))
    ) as h
    cross join (select distinct node from dam where starts_with(node, 'TH_')) as n
)
select 'CISO' as region, o.node, min(o.hour_utc) as first_hour_utc, max(o.hour_utc) as last_hour_utc, count(*) as hours
from owed as o
left join dam as d on d.node = o.node and d.hour_utc = o.hour_utc
where d.lmp_usd_per_mwh is null
group by o.node
"""
---*/
-- Means use decimals with five decimal places, the finest published. A single value is used unchanged. Prices of 1e9 USD/MWh
-- and more do not fit and are left out of means.
with priced as (
    select node, interval_start, component, value, 'DAM' as market from staging.caiso.price_dam
    union all
    select node, interval_start, component, value, 'RTM' as market from staging.caiso.price_rtm
),

means as (
    select
        node,
        date_trunc('hour', interval_start) as hour_utc,
        market,
        component,
        count(value) as intervals,
        case
            when count(value) = 1 then max(value)
            else avg(try_cast(value as decimal(14, 5)))
        end as mean_usd_per_mwh
    from priced
    group by node, date_trunc('hour', interval_start), market, component
)

select
    node,
    hour_utc,
    market,
    max(mean_usd_per_mwh) filter (where component = 'LMP') as lmp_usd_per_mwh,
    max(mean_usd_per_mwh) filter (where component = 'MCE') as energy_usd_per_mwh,
    max(mean_usd_per_mwh) filter (where component = 'MCC') as congestion_usd_per_mwh,
    max(mean_usd_per_mwh) filter (where component = 'MCL') as loss_usd_per_mwh,
    max(mean_usd_per_mwh) filter (where component = 'MGHG') as ghg_usd_per_mwh,
    cast(coalesce(max(intervals) filter (where component = 'LMP'), 0) as smallint) as intervals
from means
group by node, hour_utc, market
