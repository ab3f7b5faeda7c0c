/*---
description = """
Calendar of every hour of every authority in the time zone it reports in, one row an hour of the spine (normalized.span).
Local time has a gap in spring and repeats an hour in autumn; hour_utc does neither. All columns are known ahead.
Federal holidays of the United States count on their own date and on the weekday on which they are observed.
"""
materialized = "table"
grain = ["region", "hour_utc"]
lookback = "0h"

[columns]
region = "Balancing authority, EIA code."
hour_utc = "Start of the hour, UTC."
local_time = "Start of the hour on the wall clock of the region's reporting time zone."
utc_offset_hours = "Local time less UTC, hours; differs by one in daylight saving time."
hour_of_day = "Local hour, 0 to 23."
day_of_week = "Local day of the week, 1 = Monday to 7 = Sunday."
day_of_year = "Local day of the year, 1 to 366."
month = "Local month, 1 to 12."
is_weekend = "True on local Saturday and Sunday."
is_holiday = "True on a federal holiday, or on the weekday on which one is observed, local date."
hour_sin = "Sine of the local hour, one turn a day; no unit."
hour_cos = "Cosine of the local hour, one turn a day; no unit."
week_sin = "Sine of the local hour of the week, one turn from Monday 0 h; no unit."
week_cos = "Cosine of the local hour of the week, one turn from Monday 0 h; no unit."
year_sin = "Sine of the local day of the year, one turn a year; no unit."
year_cos = "Cosine of the local day of the year, one turn a year; no unit."

[[audits]]
unique = ["region", "hour_utc"]
[[audits]]
not_null = ["region", "hour_utc"]
[[audits]]
range = { column = "hour_of_day", min = 0, max = 23 }
[[audits]]
sql = "select distinct region from features.calendar where local_time is null"
severity = "warn"
description = "regions without a time zone"
---*/
with spine as (
    select
        s.region,
        r.time_zone,
        unnest(generate_series(s.first_hour_utc, s.last_hour_utc, interval 1 hour)) as hour_utc
    from normalized.span as s
    left join normalized.region as r on r.region = s.region
),

-- There are some ten time zones for some eighty regions: each zone's hour is worked out once.
clock as (
    select
        time_zone,
        hour_utc,
        timezone(time_zone, timezone('UTC', hour_utc)) as local_time
    from (select distinct time_zone, hour_utc from spine)
    where time_zone is not null
),

fields as (
    select
        *,
        cast(date_diff('minute', hour_utc, local_time) as double) / 60 as utc_offset_hours,
        cast(hour(local_time) as smallint) as hour_of_day,
        cast(isodow(local_time) as smallint) as day_of_week,
        cast(dayofyear(local_time) as smallint) as day_of_year,
        cast(month(local_time) as smallint) as month,
        day(local_time) as day,
        year(local_time) as year,
        dayofyear(make_date(year(local_time), 12, 31)) as days_in_year
    from clock
),

marked as (
    select
        *,
        case
            when month = 1 and day = 1 then true
            when month = 1 and day_of_week = 1 then day between 15 and 21 or day = 2
            when month = 2 and day_of_week = 1 then day between 15 and 21
            when month = 5 and day_of_week = 1 then day between 25 and 31
            when month = 6 and year >= 2021 then
                day = 19 or (day_of_week = 5 and day = 18) or (day_of_week = 1 and day = 20)
            when month = 7 then day = 4 or (day_of_week = 5 and day = 3) or (day_of_week = 1 and day = 5)
            when month = 9 and day_of_week = 1 then day between 1 and 7
            when month = 10 and day_of_week = 1 then day between 8 and 14
            when month = 11 and day_of_week = 4 and day between 22 and 28 then true
            when month = 11 then day = 11 or (day_of_week = 5 and day = 10) or (day_of_week = 1 and day = 12)
            when month = 12 and day_of_week = 5 and day = 31 then true
            when month = 12 then day = 25 or (day_of_week = 5 and day = 24) or (day_of_week = 1 and day = 26)
            else false
        end as is_holiday,
        2 * pi() * hour_of_day / 24 as hour_angle,
        2 * pi() * (24 * (day_of_week - 1) + hour_of_day) / 168 as week_angle,
        2 * pi() * (day_of_year - 1) / days_in_year as year_angle
    from fields
)

select
    s.region,
    s.hour_utc,
    m.local_time,
    m.utc_offset_hours,
    m.hour_of_day,
    m.day_of_week,
    m.day_of_year,
    m.month,
    m.day_of_week >= 6 as is_weekend,
    m.is_holiday,
    sin(m.hour_angle) as hour_sin,
    cos(m.hour_angle) as hour_cos,
    sin(m.week_angle) as week_sin,
    cos(m.week_angle) as week_cos,
    sin(m.year_angle) as year_sin,
    cos(m.year_angle) as year_cos
from spine as s
left join marked as m on m.time_zone = s.time_zone and m.hour_utc = s.hour_utc
