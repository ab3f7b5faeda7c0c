/*---
description = """
Calendar of every hour of every authority in the time zone it reports in, one row an hour of the spine (normalized.span).
Local time has a gap in spring and repeats an hour in autumn; hour_utc does neither. All columns are known ahead.
Federal holidays of the United States (5 U.S.C. 6103) count on their own date and on the weekday on which they are observed.
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
week_of_year = "Local ISO week of the year, 1 to 53."
month = "Local month, 1 to 12."
quarter = "Local quarter, 1 to 4."
is_dst = "True while the wall clock is ahead of the zone's standard time (that of local January 1)."
is_weekend = "True on local Saturday and Sunday."
holiday = "Name of the federal holiday kept on the local date; NULL on other days."
is_holiday = "True on a federal holiday, or on the weekday on which one is observed, local date."
is_before_holiday = "True on the local day before a holiday."
is_after_holiday = "True on the local day after a holiday."
is_bridge_day = "True on a local Monday before or a Friday after a holiday that is not itself one."
is_working_hour = "True from 8:00 to 18:00 local time, Monday to Friday, holidays apart."
hour_sin = "Sine of the local hour, one turn a day; no unit."
hour_cos = "Cosine of the local hour, one turn a day; no unit."
week_sin = "Sine of the local hour of the week, one turn from Monday 0 h; no unit."
week_cos = "Cosine of the local hour of the week, one turn from Monday 0 h; no unit."
year_sin = "Sine of the local day of the year, one turn a year; no unit."
year_cos = "Cosine of the local day of the year, one turn a year; no unit."
trend_years = "Years of 8,766 hours from 2015-07-01T00 UTC, when the form began, to the hour."

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
        cast(local_time as date) as local_date,
        cast(date_diff('minute', hour_utc, local_time) as double) / 60 as utc_offset_hours,
        date_diff('minute', timezone('UTC', timezone(time_zone, new_year)), new_year) / 60.0 as standard_offset_hours,
        cast(hour(local_time) as smallint) as hour_of_day,
        cast(isodow(local_time) as smallint) as day_of_week,
        cast(dayofyear(local_time) as smallint) as day_of_year,
        dayofyear(make_date(year(local_time), 12, 31)) as days_in_year
    from (select *, date_trunc('year', local_time) as new_year from clock)
),

-- One day more at either end, so that the first and last know what is next to them.
dates as (
    select unnest(generate_series(min(local_date) - 1, max(local_date) + 1, interval 1 day))::date as local_date
    from fields
),

parts as (
    select local_date, month(local_date) as m, day(local_date) as d, isodow(local_date) as w, year(local_date) as y
    from dates
),

-- A holiday on a Saturday is observed on the Friday before, one on a Sunday on the Monday after.
days as (
    select
        local_date,
        case
            when (m = 1 and (d = 1 or (d = 2 and w = 1))) or (m = 12 and d = 31 and w = 5) then 'New Year''s Day'
            when m = 1 and w = 1 and d between 15 and 21 then 'Birthday of Martin Luther King, Jr.'
            when m = 2 and w = 1 and d between 15 and 21 then 'Washington''s Birthday'
            when m = 5 and w = 1 and d >= 25 then 'Memorial Day'
            when m = 6 and y >= 2021 and (d = 19 or (d = 18 and w = 5) or (d = 20 and w = 1))
                then 'Juneteenth National Independence Day'
            when m = 7 and (d = 4 or (d = 3 and w = 5) or (d = 5 and w = 1)) then 'Independence Day'
            when m = 9 and w = 1 and d <= 7 then 'Labor Day'
            when m = 10 and w = 1 and d between 8 and 14 then 'Columbus Day'
            when m = 11 and (d = 11 or (d = 10 and w = 5) or (d = 12 and w = 1)) then 'Veterans Day'
            when m = 11 and w = 4 and d between 22 and 28 then 'Thanksgiving Day'
            when m = 12 and (d = 25 or (d = 24 and w = 5) or (d = 26 and w = 1)) then 'Christmas Day'
        end as holiday
    from parts
),

neighbored as (
    select
        local_date,
        holiday,
        holiday is not null as is_holiday,
        coalesce(lead(holiday) over in_turn is not null, false) as is_before_holiday,
        coalesce(lag(holiday) over in_turn is not null, false) as is_after_holiday
    from days
    window in_turn as (order by local_date)
),

marked as (
    select
        f.*,
        d.* exclude (local_date),
        2 * pi() * f.hour_of_day / 24 as hour_angle,
        2 * pi() * (24 * (f.day_of_week - 1) + f.hour_of_day) / 168 as week_angle,
        2 * pi() * (f.day_of_year - 1) / f.days_in_year as year_angle
    from fields as f
    inner join neighbored as d on d.local_date = f.local_date
)

select
    s.region,
    s.hour_utc,
    m.local_time,
    m.utc_offset_hours,
    m.hour_of_day,
    m.day_of_week,
    m.day_of_year,
    cast(weekofyear(m.local_time) as smallint) as week_of_year,
    cast(month(m.local_time) as smallint) as month,
    cast(quarter(m.local_time) as smallint) as quarter,
    m.utc_offset_hours > m.standard_offset_hours as is_dst,
    m.day_of_week >= 6 as is_weekend,
    m.holiday,
    m.is_holiday,
    m.is_before_holiday,
    m.is_after_holiday,
    not m.is_holiday and ((m.day_of_week = 1 and m.is_before_holiday) or (m.day_of_week = 5 and m.is_after_holiday)) as is_bridge_day,
    m.day_of_week <= 5 and not m.is_holiday and m.hour_of_day between 8 and 17 as is_working_hour,
    sin(m.hour_angle) as hour_sin,
    cos(m.hour_angle) as hour_cos,
    sin(m.week_angle) as week_sin,
    cos(m.week_angle) as week_cos,
    sin(m.year_angle) as year_sin,
    cos(m.year_angle) as year_cos,
    date_diff('hour', timestamp '2015-07-01', s.hour_utc) / 8766 as trend_years
from spine as s
left join marked as m on m.time_zone = s.time_zone and m.hour_utc = s.hour_utc
