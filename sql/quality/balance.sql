/*---
description = """
Residuals of the identities of form EIA-930 in each hour of each authority. The identities hold approximately; residuals are
published and not corrected. Demand is net generation minus total interchange; net generation is the sum of fuels; total interchange
is the sum over neighbors; and the export that one side of a pair reports is the import that the other side reports. An hour has a row
if at least one residual can be computed; a residual is NULL if a term is missing. Shares are of the demand to use
(demand_clean_mwh), and NULL without it.
"""
materialized = "table"
grain = ["region", "hour_utc"]
lookback = "0h"

[columns]
pair_residual_mwh = "Sum over neighbors of |what the region reports + what the neighbor reports|, MWh; over pairs that both sides report."
pairs = "Pairs that both sides report in this hour; count."
worst_neighbor = "Neighbor with which the two reports differ most; NULL if all agree."
worst_pair_mwh = "Difference of these two reports, MWh: the region's report plus that neighbor's report."
balance_residual_share = "|balance_residual_mwh| as a share of demand, no unit."
fuel_residual_share = "|fuel_residual_mwh| as a share of demand, no unit."
interchange_residual_share = "|interchange_residual_mwh| as a share of demand, no unit."
pair_residual_share = "pair_residual_mwh as a share of demand, no unit."

[[audits]]
unique = ["region", "hour_utc"]
[[audits]]
not_null = ["region", "hour_utc"]
---*/
-- Sums of decimals are exact: a row is the same however a month is built.
with pairs as (
    select
        a.region,
        a.neighbor,
        a.hour_utc,
        try_cast(a.interchange_mwh as decimal(18, 4)) + try_cast(b.interchange_mwh as decimal(18, 4)) as apart_mwh
    from normalized.interchange as a
    inner join normalized.interchange as b
        on b.region = a.neighbor and b.neighbor = a.region and b.hour_utc = a.hour_utc
    where a.interchange_mwh is not null and b.interchange_mwh is not null
),

asymmetry as (
    select
        region,
        hour_utc,
        cast(sum(abs(apart_mwh)) as double) as pair_residual_mwh,
        cast(count(*) as smallint) as pairs,
        arg_max((neighbor, apart_mwh), (abs(apart_mwh), neighbor)) filter (where apart_mwh <> 0) as worst
    from pairs
    group by region, hour_utc
),

joined as (
    select
        g.region,
        g.hour_utc,
        g.balance_residual_mwh,
        g.fuel_residual_mwh,
        g.interchange_residual_mwh,
        a.pair_residual_mwh,
        a.pairs,
        a.worst[1] as worst_neighbor,
        a.worst[2] as worst_pair_mwh,
        nullif(abs(g.demand_clean_mwh), 0) as demand_mwh
    from normalized.grid as g
    left join asymmetry as a on a.region = g.region and a.hour_utc = g.hour_utc
)

select
    * exclude (demand_mwh),
    round(abs(balance_residual_mwh) / demand_mwh, 4) as balance_residual_share,
    round(abs(fuel_residual_mwh) / demand_mwh, 4) as fuel_residual_share,
    round(abs(interchange_residual_mwh) / demand_mwh, 4) as interchange_residual_share,
    round(pair_residual_mwh / demand_mwh, 4) as pair_residual_share
from joined
where coalesce(balance_residual_mwh, fuel_residual_mwh, interchange_residual_mwh, pair_residual_mwh) is not null
