/*---
description = """
Load of CAISO's areas and its forecasts, as CAISO's OASIS gives them (report SLD_FCST), one row an hour, area and market.
The area 'CA ISO-TAC' is CAISO's own total (is_total): take it, or its parts, never both. The other areas ending in -TAC lie
within it. Those without -TAC belong to other authorities, whose load CAISO forecasts beside its own: 'PGE' is Portland General
Electric and 'PGE-TAC' Pacific Gas & Electric; areas that begin with the same letters, such as BANC and BANCSMUD, overlap.
"""
materialized = "table"
grain = ["tac_area", "hour_utc", "market"]
lookback = "0h"

[columns]
tac_area = "Area, CAISO's name (TAC_AREA_NAME)."
hour_utc = "Start of the hour, UTC."
market = "ACTUAL: metered; DAM, 2DA and 7DA: as forecast for the day-ahead market, two and seven days ahead."
load_mwh = "Load or its forecast, MWh."
is_total = "True of CA ISO-TAC, which is the sum of CAISO's own areas."

[[audits]]
unique = ["tac_area", "hour_utc", "market"]
[[audits]]
not_null = ["tac_area", "hour_utc", "market"]
[[audits]]
accepted_values = { column = "market", values = ["ACTUAL", "DAM", "2DA", "7DA"] }
[[audits]]
sql = "select * from normalized.caiso_load where is_total and load_mwh not between 5000 and 100000"
severity = "warn"
description = "loads that CAISO cannot have; kept as reported"
---*/
select
    tac_area,
    interval_start as hour_utc,
    market,
    value as load_mwh,
    tac_area = 'CA ISO-TAC' as is_total
from staging.caiso.load
