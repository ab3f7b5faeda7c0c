/*---
description = """
Hourly demand of the subregions by which some authorities report (CISO by utility, PJM and NYIS by zone, ...), as reported and
flagged. Their sum is close to the authority's own demand, but need not equal it.
"""
materialized = "view"
grain = ["region", "subregion", "hour_utc"]
lookback = "0h"

[columns]
region = "Balancing authority, EIA code (parent)."
subregion = "Subregion, EIA code (subba); text, some with leading zeros."
hour_utc = "Start of the hour, UTC (EIA's period is its end)."
demand_mwh = "Demand as reported, MWh."
demand_flag = "[hindsight] Why demand_mwh is suspicious, a code of normalized.flag (kind measure); NULL if it is not."
demand_clean_mwh = "[hindsight] Demand to use, MWh: as reported where there is no flag, else NULL."
demand_screened_mwh = "Demand as reported, MWh; NULL if data up to the end of the same hour show that it is wrong. Uses no later hour."
source = "Source of the value: eia (the API) or eia_files (the half-year files)."

[[audits]]
unique = ["region", "subregion", "hour_utc"]
when = "check"
[[audits]]
not_null = ["region", "subregion", "hour_utc"]
when = "check"
---*/
select
    d.region,
    d.subregion,
    d.hour_utc,
    d.demand_mwh,
    s.flag as demand_flag,
    if(s.flag is null, d.demand_mwh, null) as demand_clean_mwh,
    if(s.is_known_at_once, null, d.demand_mwh) as demand_screened_mwh,
    d.source
from normalized.subregion_reported as d
left join normalized.measure_screen as s
    on s.measure = 'subregion_demand' and s.region = d.region and s.code = d.subregion and s.hour_utc = d.hour_utc
