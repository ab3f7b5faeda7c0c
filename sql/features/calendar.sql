/*---
description = """
Calendar of every hour of every authority in civil local time (civil_time_zone of normalized.region, which is not always the zone
that the authority reports in), one row an hour of the spine (normalized.span). Local time has a gap in spring and repeats an
hour in autumn; hour_utc does neither. All columns are known ahead.
Federal holidays of the United States (5 U.S.C. 6103) count on their own date and on the weekday on which they are observed.
"""
materialized = "table"
grain = ["region", "hour_utc"]
lookback = "0h"

[columns]
hour_utc = "Start of the hour, UTC."
local_time = "[ahead] Start of the hour on the wall clock of the people in the region."
utc_offset_hours = "[ahead] Local time minus UTC, hours; differs by one in daylight saving time."
hour_of_day = "[ahead] Local hour, 0 to 23."
day_of_week = "[ahead] Local day of the week, 1 = Monday to 7 = Sunday."
day_of_year = "[ahead] Local day of the year, 1 to 366."
week_of_year = "[ahead] Local ISO week of the year, 1 to 53."
month = "[ahead] Local month, 1 to 12."
quarter = "[ahead] Local quarter, 1 to 4."
is_dst = "[ahead] True while the wall clock is ahead of the zone's standard time (that of local January 1)."
is_weekend = "[ahead] True on local Saturday and Sunday."
holiday = "[ahead] Name of the federal holiday on the local date; NULL on other days."
is_holiday = "[ahead] True on a federal holiday, or on the weekday on which one is observed, local date."
is_before_holiday = "[ahead] True on the local day before a holiday."
is_after_holiday = "[ahead] True on the local day after a holiday."
is_bridge_day = "[ahead] True on a local Monday before or Friday after a holiday, if the day is not a holiday itself."
is_working_hour = "[ahead] True from 8:00 to 18:00 local time, Monday to Friday, except holidays."
hour_sin = "[ahead] Sine of the local hour, one turn a day; no unit."
hour_cos = "[ahead] Cosine of the local hour, one turn a day; no unit."
week_sin = "[ahead] Sine of the local hour of the week, one turn from Monday 0 h; no unit."
week_cos = "[ahead] Cosine of the local hour of the week, one turn from Monday 0 h; no unit."
year_sin = "[ahead] Sine of the local day of the year, one turn a year; no unit."
year_cos = "[ahead] Cosine of the local day of the year, one turn a year; no unit."
trend_years = "[ahead] Time since 2015-07-01T00 UTC, when form EIA-930 began, in years of 8,766 hours."

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
[[audits]]
sql = "select max(local_time) as last_local_time from features.calendar having max(local_time) > (select max(date) from seeds.holiday)"
severity = "warn"
description = "hours after the last holiday in seeds.holiday"
---*/
with spine as (
    select
        s.region,
        r.civil_time_zone as time_zone,
        unnest(generate_series(s.first_hour_utc, s.last_hour_utc, interval 1 hour)) as hour_utc
    from normalized.span as s
    left join normalized.region as r on r.region = s.region
),

-- About ten time zones serve about eighty regions: each zone's hours are computed once.
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

-- One more day at each end, because the first and the last day need their neighbors.
dates as (
    select unnest(generate_series(min(local_date) - 1, max(local_date) + 1, interval 1 day))::date as local_date
    from fields
),

-- A holiday on a weekend is in the seed on its own date and on the weekday on which it is observed.
days as (
    select d.local_date, h.holiday
    from dates as d
    left join seeds.holiday as h on h.date = d.local_date
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
