/*---
description = """
Energy scheduled in CAISO's markets by zone: generation, imports, exports and, day-ahead, load; from CAISO's OASIS (report
ENE_SLRS), one row an hour, zone, market, schedule and type. It is not a fuel mix. The zone 'Caiso_Totals' holds totals (is_total):
never add them to other zones. They are the sum of CAISO's own zones: TAC_ECNTR, TAC_NCNTR, TAC_NORTH and TAC_SOUTH. The other
TAC_ zones belong to authorities in the western energy imbalance market. Day-ahead schedules are hourly; real-time schedules
are for five-minute intervals, and a row has the mean over the intervals of the hour that have a value.
"""
materialized = "table"
grain = ["zone", "hour_utc", "market", "schedule", "slrs_type"]
lookback = "0h"

[columns]
zone = "Zone, CAISO's name (TAC_ZONE_NAME)."
hour_utc = "Start of the hour, UTC."
market = "DAM: day-ahead; RTM: real-time."
schedule = "Export, Generation, Import or Load, as CAISO writes it."
slrs_type = "CAISO's code of what is scheduled: ALL (totals), GEN (generators), ETIE (export ties), ITIE (import ties)."
mwh = "Scheduled energy, MWh; exports and imports are both positive."
is_total = "True for Caiso_Totals."
intervals = "Number of intervals of the hour with a value: 1 in DAM, up to 12 in RTM."

[[audits]]
unique = ["zone", "hour_utc", "market", "schedule", "slrs_type"]
[[audits]]
not_null = ["zone", "hour_utc", "market", "schedule", "slrs_type", "intervals"]
---*/
-- Means use decimals with four decimal places. A single value is used unchanged. Values of 1e9 and more do not fit and are
-- left out of means.
with scheduled as (
    select zone, interval_start, market, schedule, slrs_type, value from staging.caiso.schedule_dam
    union all
    select zone, interval_start, market, schedule, slrs_type, value from staging.caiso.schedule_rtm
)

select
    zone,
    date_trunc('hour', interval_start) as hour_utc,
    market,
    schedule,
    slrs_type,
    case
        when count(value) = 1 then max(value)
        else avg(try_cast(value as decimal(13, 4)))
    end as mwh,
    zone = 'Caiso_Totals' as is_total,
    cast(count(value) as smallint) as intervals
from scheduled
group by zone, date_trunc('hour', interval_start), market, schedule, slrs_type
