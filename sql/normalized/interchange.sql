/*---
description = """
Hourly interchange of each respondent with each neighbor, as that respondent reports it. Most pairs are in the table twice, once from
each side, and the two sides often differ: never add both.
An hour and pair that both the API and the half-year files have is one row. Its value is the one that became known last; in the
newest six weeks it is the API's. A value is preferred to a blank. normalized.source_conflict lists the differences.
Known clock and sign errors stay unless the setting build.corrections is on (see normalized.correction).
"""
materialized = "table"
grain = ["region", "neighbor", "hour_utc"]
lookback = "8h"    # how far a clock is corrected
lookahead = "8h"

[columns]
region = "Respondent that reports the value, EIA code (fromba)."
neighbor = "Its neighbor, EIA code, which may be a foreign system (toba)."
hour_utc = "Start of the hour, UTC (EIA's period is its end)."
interchange_mwh = "Net interchange from region to neighbor, MWh; positive = export."
source = "Source of the value: eia (the API) or eia_files (the half-year files)."
correction = "What was corrected in the row: clock, sign or clock+sign; NULL if it is as reported."

[[audits]]
not_null = ["region", "neighbor", "hour_utc"]
[[audits]]
unique = ["region", "neighbor", "hour_utc"]
when = "check"
[[audits]]
name = "unknown_region"
sql = """
select region, neighbor, min(hour_utc) as first_hour_utc, max(hour_utc) as last_hour_utc, count(*) as hours
from normalized.interchange
where region not in (select region from normalized.region) or neighbor not in (select region from normalized.region)
group by region, neighbor
"""
severity = "warn"
description = "regions or neighbors that are not in normalized.region"
---*/
-- In the newest six weeks a file is days behind the API, even if it was read later, so the value of the API is used.
with met as (
    select
        coalesce(a.fromba, f.region) as region,
        coalesce(a.toba, f.neighbor) as neighbor,
        coalesce(a.period, f.period) - interval 1 hour as hour_utc,
        a.period is not null as in_api,
        a.value as api_mwh,
        f.interchange_mwh as file_mwh,
        f.interchange_mwh is not null and (a.value is null or (f.known_from_utc >= f.period + interval 42 day and f.known_from_utc > a.known_from_utc)) as of_file
    from staging.eia.interchange_data as a
    full join normalized.filed_interchange as f
        on f.region = a.fromba and f.neighbor = a.toba and f.period = a.period
)

select
    m.region,
    m.neighbor,
    coalesce(c.corrected_hour_utc, m.hour_utc) as hour_utc,
    case
        when c.reversed then 0 - if(m.of_file, m.file_mwh, m.api_mwh)
        else if(m.of_file, m.file_mwh, m.api_mwh)
    end as interchange_mwh,
    if(m.of_file or not m.in_api, 'eia_files', 'eia') as source,
    c.correction
from met as m
left join normalized.correction as c
    on c.measure = 'interchange' and c.region = m.region and c.neighbor = m.neighbor and c.hour_utc = m.hour_utc
where c.hour_utc is null or c.corrected_hour_utc is not null
