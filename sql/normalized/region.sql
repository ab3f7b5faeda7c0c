/*---
description = "Every EIA-930 balancing authority, every aggregate of them, and the foreign systems they trade with."
materialized = "table"
grain = ["region"]

[columns]
region = "EIA code of the balancing authority, aggregate or foreign system."
name = "Name as EIA publishes it."
kind = "authority, aggregate (a sum of authorities that EIA publishes) or foreign (appears only as a neighbor)."
time_zone = "IANA zone the region reports in; chosen by the reporter, not by geography (EPE and PNM report Arizona time, MISO fixed EST)."
civil_time_zone = "IANA zone of the people in the region: equal to time_zone except for MISO, LGEE, EPE, PNM and IPCO, whose demand follows another clock (docs/data-quality.md)."
region_group = "Aggregate the region belongs to (CAL, NW, ...); NULL for aggregates and where EIA's table is not known."
first_date = "Date of the first hour known to be reported; NULL where not known."
last_date = "Date on which the region stopped reporting; its last local hours may begin on the following UTC date; NULL while it reports. For HGMA and WWA the latest possible date."
successor = "Region that reports the area since this one stopped; NULL while it reports, and if no region does. normalized.continued_demand joins both series."
generation_only = "True for authorities that serve no load and report no demand."

[[audits]]
unique = ["region"]
[[audits]]
not_null = ["region", "name", "kind", "time_zone", "civil_time_zone", "generation_only"]
[[audits]]
accepted_values = { column = "kind", values = ["authority", "aggregate", "foreign"] }
[[audits]]
sql = """
select region, time_zone, civil_time_zone from normalized.region
where time_zone not in (select name from pg_timezone_names()) or civil_time_zone not in (select name from pg_timezone_names())
"""
[[audits]]
sql = "select * from normalized.region where successor is not null and (last_date is null or successor not in (select region from normalized.region))"
[[audits]]
sql = """
select region, region_group from normalized.region
where kind = 'authority' and region_group not in (select region from normalized.region where kind = 'aggregate')
"""
---*/
select
    region,
    name,
    kind,
    time_zone,
    coalesce(civil_time_zone, time_zone) as civil_time_zone,
    region_group,
    cast(first_date as date) as first_date,
    cast(last_date as date) as last_date,
    successor,
    cast(generation_only as boolean) as generation_only
from seeds.region
