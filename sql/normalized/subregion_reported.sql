/*---
description = """
Hourly demand of the subregions by which eight authorities report (CISO by utility, PJM and NYIS by zone, ...). Their sum is close
to the authority's own demand, but need not equal it.
An hour that both the API and the half-year files have is one row. Its value is the one that became known last; in the newest six
weeks it is the API's. A value is preferred to a blank.
"""
materialized = "table"
grain = ["region", "subregion", "hour_utc"]
lookback = "0h"

[columns]
region = "Balancing authority, EIA code (parent)."
subregion = "Subregion, EIA code (subba); text, some with leading zeros."
hour_utc = "Start of the hour, UTC (EIA's period is its end)."
demand_mwh = "Demand as reported, MWh."
source = "Source of the value: eia (the API) or eia_files (the half-year files)."

[[audits]]
unique = ["region", "subregion", "hour_utc"]
[[audits]]
not_null = ["region", "subregion", "hour_utc"]
[[audits]]
sql = """
select distinct region, subregion from normalized.subregion_reported as d
where not exists (select 1 from seeds.subregion as s where s.region = d.region and s.subregion = d.subregion)
"""
severity = "warn"
description = "subregions that are not in seeds.subregion"
---*/
-- In the newest six weeks a file is days behind the API, even if it was read later, so the value of the API is used.
with met as (
    select
        coalesce(a.parent, f.region) as region,
        coalesce(a.subba, f.subregion) as subregion,
        coalesce(a.period, f.period) - interval 1 hour as hour_utc,
        a.period is not null as in_api,
        a.value as api_mwh,
        f.demand_mwh as file_mwh,
        f.demand_mwh is not null and (a.value is null or (f.known_from_utc >= f.period + interval 42 day and f.known_from_utc > a.known_from_utc)) as of_file
    from staging.eia.region_sub_ba_data as a
    full join normalized.filed_subregion as f
        on f.region = a.parent and f.subregion = a.subba and f.period = a.period
)

select
    region,
    subregion,
    hour_utc,
    if(of_file, file_mwh, api_mwh) as demand_mwh,
    if(of_file or not in_api, 'eia_files', 'eia') as source
from met
