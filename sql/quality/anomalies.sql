/*---
description = """
Stretches of hours with the same flag, one row a stretch: the reported values, the values used instead, and the usual level of the
region at that time. normalized.flag explains the flags.
"""
materialized = "table"
refresh = "full"
may_be_empty = true
grain = ["region", "measure", "first_hour_utc"]

[columns]
region = "Respondent, EIA code; authorities and, where synced, aggregates."
measure = "What is flagged: demand, or generation with EIA's fuel code, such as generation SUN."
flag = "Why the values are suspicious, a code of normalized.flag."
first_hour_utc = "Start of the first hour with the flag, UTC."
last_hour_utc = "Start of the last hour with the flag, UTC."
flagged_hours = "Hours of the stretch."
repaired_hours = "Of these, hours with a value to use instead."
reported_min_mwh = "Minimum value reported in the stretch, MWh; NULL if none was."
reported_max_mwh = "Maximum value reported in the stretch, MWh; NULL if none was."
clean_min_mwh = "Minimum value used instead, MWh; NULL if there is none."
clean_max_mwh = "Maximum value used instead, MWh; NULL if there is none."
usual_mwh = "Usual demand of the region in the month of the first hour (median_mwh of normalized.demand_level), MWh; NULL for generation."

[[audits]]
unique = ["region", "measure", "first_hour_utc"]
[[audits]]
not_null = ["region", "measure", "flag", "first_hour_utc", "last_hour_utc", "flagged_hours", "repaired_hours"]
[[audits]]
name = "recent_anomaly"
when = "check"
severity = "warn"
description = "values reported in the newest days are suspicious"
sql = """
select region, measure, flag, first_hour_utc, last_hour_utc, reported_min_mwh, reported_max_mwh, usual_mwh from quality.anomalies
where reported_max_mwh is not null
    and last_hour_utc > (select max(hour_utc) from normalized.demand where demand_mwh is not null)
        - to_days(cast((select value from seeds.check_limit where name = 'recent_days') as integer))
"""
---*/
with flagged as (
    select
        region,
        'demand' as measure,
        demand_flag as flag,
        hour_utc,
        demand_mwh as reported_mwh,
        demand_clean_mwh as clean_mwh
    from normalized.demand
    where demand_flag is not null
    union all
    select region, concat('generation ', fuel), generation_flag, hour_utc, generation_mwh, generation_clean_mwh
    from normalized.generation
    where generation_flag is not null
),

islands as (
    select
        *,
        hour_utc - to_hours(row_number() over (partition by region, measure, flag order by hour_utc)) as island
    from flagged
),

stretches as (
    select
        region,
        measure,
        flag,
        min(hour_utc) as first_hour_utc,
        max(hour_utc) as last_hour_utc,
        count(*) as flagged_hours,
        count(clean_mwh) as repaired_hours,
        min(reported_mwh) as reported_min_mwh,
        max(reported_mwh) as reported_max_mwh,
        min(clean_mwh) as clean_min_mwh,
        max(clean_mwh) as clean_max_mwh
    from islands
    group by region, measure, flag, island
)

select
    s.region,
    s.measure,
    s.flag,
    s.first_hour_utc,
    s.last_hour_utc,
    s.flagged_hours,
    s.repaired_hours,
    s.reported_min_mwh,
    s.reported_max_mwh,
    s.clean_min_mwh,
    s.clean_max_mwh,
    l.median_mwh as usual_mwh
from stretches as s
left join normalized.demand_level as l
    on s.measure = 'demand' and l.region = s.region and l.month_utc = date_trunc('month', s.first_hour_utc)
