/*---
description = """
Solar and wind of CAISO by trading hub, and their day-ahead forecast, as CAISO's OASIS gives them (report SLD_REN_FCST), one
row an hour, hub, fuel and market. The hubs NP15, SP15 and ZP26 make up CAISO: there is no row of their total. Rooftop solar is not
included. Actual solar is a little below zero at night.
"""
materialized = "table"
grain = ["hub", "hour_utc", "fuel", "market"]
lookback = "0h"

[columns]
hub = "Trading hub: NP15 (north), SP15 (south) or ZP26 (between them)."
hour_utc = "Start of the hour, UTC."
fuel = "Solar or Wind, as CAISO writes it (RENEWABLE_TYPE)."
market = "ACTUAL, or DAM: as forecast for the day-ahead market."
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
description = "hubs or fuels that are new: are they in the sum of the three hubs, or beside it?"
---*/
select
    hub,
    interval_start as hour_utc,
    fuel,
    market,
    value as generation_mwh
from staging.caiso.renewable
