/*---
description = """
Demand of each respondent together with the authorities whose area it took over, one row an hour: a series that continues where an
authority stopped (seeds.region names its successor). Before the change it is the sum over all authorities that reported the area,
NULL if one of them has no value; reported_by lists them. Hours before and after a region's demand have no row. Demand of a
retired authority is in the rows of its last successor.
"""
materialized = "view"
grain = ["region", "hour_utc"]
lookback = "0h"

[columns]
region = "Respondent that reports the area today, EIA code; authorities and, where synced, aggregates."
demand_mwh = "Demand as reported by all of reported_by, MWh; NULL if one of them has no value."
demand_clean_mwh = "[hindsight] Demand to use of all of reported_by, MWh (see normalized.demand); NULL if one of them has no value."
demand_screened_mwh = "Demand as reported by all of reported_by, MWh; NULL if one of them has no value, or a value that data up to the end of the same hour show to be wrong."
reported_by = "Authorities that reported the hour, in alphabetical order with + between them, such as WACM+WAUW; the region itself if only it did."
is_continued = "True if an authority other than the region reported, alone or together with it."

[[audits]]
unique = ["region", "hour_utc"]
[[audits]]
not_null = ["region", "hour_utc", "reported_by", "is_continued"]
---*/
-- The last successor in a chain; no chain is longer than three.
with heir as (
    select a.region, coalesce(c.successor, b.successor, a.successor) as heir
    from normalized.region as a
    left join normalized.region as b on b.region = a.successor
    left join normalized.region as c on c.region = b.successor
    where a.successor is not null
),

-- Sums of decimals are exact and do not depend on the order.
taken_over as (
    select
        coalesce(h.heir, d.region) as region,
        d.hour_utc,
        d.region as reported_by,
        try_cast(d.demand_mwh as decimal(18, 4)) as demand_mwh,
        try_cast(d.demand_clean_mwh as decimal(18, 4)) as demand_clean_mwh,
        try_cast(d.demand_screened_mwh as decimal(18, 4)) as demand_screened_mwh
    from normalized.demand as d
    left join heir as h on h.region = d.region
    -- An hour of a region's demand span has a value or a flag. Hours outside it, as of a region that only generates, are not missing.
    where (d.region in (select region from heir) or d.region in (select heir from heir))
        and (d.demand_mwh is not null or d.demand_flag is not null)
)

select
    region,
    hour_utc,
    demand_mwh,
    demand_clean_mwh,
    demand_screened_mwh,
    region as reported_by,
    false as is_continued
from normalized.demand
where region not in (select region from heir)
    and region not in (select heir from heir)
    and (demand_mwh is not null or demand_flag is not null)
union all
select
    region,
    hour_utc,
    if(count(demand_mwh) = count(*), cast(sum(demand_mwh) as double), null),
    if(count(demand_clean_mwh) = count(*), cast(sum(demand_clean_mwh) as double), null),
    if(count(demand_screened_mwh) = count(*), cast(sum(demand_screened_mwh) as double), null),
    string_agg(reported_by, '+' order by reported_by),
    bool_or(reported_by <> region)
from taken_over
group by region, hour_utc
