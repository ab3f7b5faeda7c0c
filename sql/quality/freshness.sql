/*---
description = """
Newest hour of each dataset and region, the time when it became known, and the usual delay of hours: that of the newest month that
has delays. behind_hours is counted from the time of the query; energywh check --now sets another time.
"""
materialized = "view"
may_be_empty = true
grain = ["dataset", "measure", "region"]

[columns]
newest_row_utc = "Start of the newest hour with a row, UTC."
newest_value_utc = "Start of the newest hour with a value, UTC; NULL if there has never been one."
newest_known_utc = "Time when the values of that hour became known here, UTC; of several values the last."
behind_hours = "Hours that are due and missing: from the end of the newest hour with a value to the present, minus the publication lag; 0 if none is due, NULL if the region has stopped or has never had a value."
behind_others_hours = "Hours by which the newest value is behind the newest of any region in the same dataset and measure."
typical_delay_hours = "Median delay in the newest month with hours that arrived within ten days, whole hours (see quality.arrival); NULL without one."
greatest_delay_hours = "Maximum delay in the newest two months with hours that arrived within ten days, whole hours; NULL without one."
publication_lag_hours = "Time after the end of an hour within which the source should publish it, hours (seeds.publication_lag)."
is_stand_in = "True for a half-year file whose data the API also has for this region: the file may be behind."

[[audits]]
unique = ["dataset", "measure", "region"]
[[audits]]
not_null = ["dataset", "measure", "region", "newest_row_utc"]
[[audits]]
name = "stale"
when = "check"
severity = "error"
description = "a whole dataset has had no new value for a long time; check that energywh sync runs and succeeds"
sql = """
select dataset, measure, max(newest_value_utc) + interval 1 hour as first_hour_utc, max(newest_known_utc) as newest_known_utc
from quality.freshness
where last_date is null and not is_stand_in
group by dataset, measure
having max(newest_value_utc) + to_hours(cast(max(publication_lag_hours) as integer) + 1)
    + to_hours(cast((select value from seeds.check_limit where name = 'stale_hours') as integer))
    < getvariable('now_utc')
order by dataset, measure
"""
[[audits]]
name = "late"
when = "check"
severity = "warn"
description = "the newest value of a region is overdue, while other regions of the dataset have newer values"
sql = """
select region, dataset, measure, newest_value_utc + interval 1 hour as first_hour_utc, typical_delay_hours, publication_lag_hours
from quality.freshness
where last_date is null and not is_stand_in
    and newest_value_utc + to_hours(cast(publication_lag_hours as integer) + 1)
        + to_hours(cast((select value from seeds.check_limit where name = 'late_hours') as integer))
        < getvariable('now_utc')
    and behind_others_hours > 0
    and behind_others_hours < 24 * (select value from seeds.check_limit where name = 'silent_days')
"""
[[audits]]
name = "silent"
when = "check"
severity = "warn"
description = "a region has stopped reporting; if it has ended, enter its last_date in seeds.region"
sql = """
select region, max(newest_value_utc) + interval 1 hour as first_hour_utc, min(behind_others_hours) as behind_others_hours
from quality.freshness
where starts_with(dataset, 'eia') and last_date is null
group by region
having min(behind_others_hours) >= 24 * (select value from seeds.check_limit where name = 'silent_days')
"""
[[audits]]
name = "after_its_end"
when = "check"
severity = "warn"
description = "a region reports after the date on which it stopped; its last_date in seeds.region is wrong"
sql = """
select region, max(last_date) as last_date, max(newest_value_utc) as last_hour_utc from quality.freshness
where starts_with(dataset, 'eia') and newest_value_utc > last_date + interval 3 day
group by region
"""
---*/
with newest as (
    select
        dataset,
        measure,
        region,
        max(newest_hour_utc) as newest_row_utc,
        max(newest_value_hour_utc) as newest_value_utc,
        arg_max(newest_value_known_utc, newest_value_hour_utc) as newest_known_utc,
        arg_max(typical_delay_hours, month_utc) filter (where fresh_hours > 0) as typical_delay_hours,
        list_max(list(greatest_delay_hours order by month_utc desc) filter (where fresh_hours > 0)[:2]) as greatest_delay_hours
    from quality.arrival
    group by dataset, measure, region
)

select
    n.dataset,
    n.measure,
    n.region,
    n.newest_row_utc,
    n.newest_value_utc,
    n.newest_known_utc,
    case
        when r.last_date is null and n.newest_value_utc is not null
            then greatest(
                date_diff('hour', n.newest_value_utc, coalesce(getvariable('now_utc')::timestamp, timezone('UTC', now())))
                - 1 - coalesce(l.lag_hours, d.lag_hours, 0),
                0
            )
    end as behind_hours,
    date_diff(
        'hour', n.newest_value_utc, max(n.newest_value_utc) over (partition by n.dataset, n.measure)
    ) as behind_others_hours,
    n.typical_delay_hours,
    n.greatest_delay_hours,
    coalesce(l.lag_hours, d.lag_hours) as publication_lag_hours,
    r.last_date,
    coalesce(
        starts_with(n.dataset, 'eia_files.')
        and n.region in (select region from quality.arrival where starts_with(dataset, 'eia.')),
        false
    ) as is_stand_in
from newest as n
left join seeds.publication_lag as l on l.dataset = n.dataset and l.measure = n.measure
left join seeds.publication_lag as d on d.dataset = n.dataset and d.measure is null
left join normalized.region as r on r.region = n.region
