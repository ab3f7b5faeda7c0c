/*---
description = """
Solar and wind generation of CAISO by trading hub and its day-ahead forecast, from CAISO's OASIS (report SLD_REN_FCST), one
row an hour, hub, fuel and market. The hubs NP15, SP15 and ZP26 add up to CAISO; their total has no row. Rooftop solar is not
included. Actual solar is slightly negative at night.
"""
materialized = "table"
grain = ["hub", "hour_utc", "fuel", "market"]
lookback = "0h"

[columns]
hub = "Trading hub: NP15 (north), SP15 (south) or ZP26 (between them)."
hour_utc = "Start of the hour, UTC."
fuel = "Solar or Wind, as CAISO writes it (RENEWABLE_TYPE)."
market = "ACTUAL, or DAM: forecast for the day-ahead market."
generation_mwh = "Generation or its forecast, MWh."

[[audits]]
unique = ["hub", "hour_utc", "fuel", "market"]
[[audits]]
not_null = ["hub", "hour_utc", "fuel", "market"]
[[audits]]
accepted_values = { column = "market", values = ["ACTUAL", "DAM"] }
[[audits]]
sql = "select distinct hub, fuel from normalized.caiso_renewable where hub not in ('NP15', 'SP15', 'ZP26') or fuel not in ('Solar', 'Wind')"
severity = "warn"
description = "new hubs or fuels; check whether the sum of the three hubs includes them"
---*/
select
    hub,
    interval_start as hour_utc,
    fuel,
    market,
    value as generation_mwh
from staging.caiso.renewable
