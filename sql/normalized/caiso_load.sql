/*---
description = """
Load of CAISO's areas and its forecasts, from CAISO's OASIS (report SLD_FCST), one row an hour, area and market.
The area 'CA ISO-TAC' is CAISO's own total (is_total): use it or its parts, never both. The other areas ending in -TAC are
within it. Areas without -TAC belong to other authorities, whose load CAISO also forecasts: 'PGE' is Portland General
Electric and 'PGE-TAC' Pacific Gas & Electric. Areas that begin with the same letters, such as BANC and BANCSMUD, overlap.
"""
materialized = "table"
grain = ["tac_area", "hour_utc", "market"]
lookback = "0h"

[columns]
tac_area = "Area, CAISO's name (TAC_AREA_NAME)."
hour_utc = "Start of the hour, UTC."
market = "ACTUAL: metered; DAM, 2DA and 7DA: forecast for the day-ahead market, two and seven days ahead."
load_mwh = "Load or its forecast, MWh."
is_total = "True for CA ISO-TAC, the sum of CAISO's own areas."

[[audits]]
unique = ["tac_area", "hour_utc", "market"]
[[audits]]
not_null = ["tac_area", "hour_utc", "market"]
[[audits]]
accepted_values = { column = "market", values = ["ACTUAL", "DAM", "2DA", "7DA"] }
[[audits]]
sql = "select * from normalized.caiso_load where is_total and load_mwh not between 5000 and 100000"
severity = "warn"
description = "loads of CAISO outside 5,000 to 100,000 MWh; kept as reported"
---*/
select
    tac_area,
    interval_start as hour_utc,
    market,
    value as load_mwh,
    tac_area = 'CA ISO-TAC' as is_total
from staging.caiso.load
