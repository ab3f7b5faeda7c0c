/*---
description = """
Hourly weather of each authority: means over its places (seeds.weather_place) weighted by population. Weather data by
Open-Meteo.com (https://open-meteo.com), licence CC BY 4.0, averaged here. Temperature, dew point, wind and cloud cover are values
at the start of the hour; radiation and precipitation are over the hour, from hour_utc to the next. A place without a value
is left out of the mean; a value that no place has is NULL. Future hours, and up to four past weeks, hold forecasts; the archive
replaces them later (a revision in staging). Weights are populations of the 2020 Census, rounded to thousands: of the
metropolitan area, county or city, or of the part that the authority serves (column counted of the seed).
"""
materialized = "table"
grain = ["region", "hour_utc"]
lookback = "1h"  # instants are stamped an hour before the means of the same hour

[columns]
region = "Balancing authority that reports demand, EIA code."
hour_utc = "Start of the hour, UTC."
temperature_c = "Air temperature 2 m above ground at the start of the hour, °C."
dew_point_c = "Dew point 2 m above ground at the start of the hour, °C."
wind_10m_m_per_s = "Wind speed 10 m above ground at the start of the hour, m/s."
wind_100m_m_per_s = "Wind speed 100 m above ground at the start of the hour, m/s; forecasts may lack it."
shortwave_w_per_m2 = "Solar radiation on level ground, mean of the hour, W/m²."
cloud_cover_percent = "Share of the sky that is clouded at the start of the hour, %."
precipitation_mm = "Rain, showers and melted snow, sum of the hour, mm."
heating_degrees = "Degrees below 18.3 °C (65 °F) at the start of the hour, computed for each place, then averaged, °C."
cooling_degrees = "Degrees above 18.3 °C (65 °F) at the start of the hour, computed for each place, then averaged, °C."
places = "Count of places with a temperature at the start of the hour."

[[audits]]
unique = ["region", "hour_utc"]
[[audits]]
not_null = ["region", "hour_utc", "places"]
[[audits]]
range = { column = "temperature_c", min = -60, max = 60 }
severity = "warn"
[[audits]]
range = { column = "shortwave_w_per_m2", min = 0, max = 1400 }
severity = "warn"
[[audits]]
sql = "select distinct region from normalized.weather where region not in (select region from normalized.region)"
---*/
-- Sums use decimals and are exact: a month built alone equals that month of a full build to the bit. Values and weights have three
-- decimal places, finer than the source, so that a product fits 64 bits. A value with more than four digits before the point
-- is not weather and is left out.
with observed as (
    select
        s.region,
        s.time as stamp_utc,
        cast(p.weight as decimal(11, 3)) as weight,
        try_cast(s.temperature_2m as decimal(7, 3)) as temperature,
        try_cast(s.dew_point_2m as decimal(7, 3)) as dew_point,
        try_cast(s.wind_speed_10m as decimal(7, 3)) as wind_10m,
        try_cast(s.wind_speed_100m as decimal(7, 3)) as wind_100m,
        try_cast(s.shortwave_radiation as decimal(7, 3)) as shortwave,
        try_cast(s.cloud_cover as decimal(7, 3)) as cloud_cover,
        try_cast(s.precipitation as decimal(7, 3)) as precipitation
    from staging.open_meteo.hourly as s
    inner join seeds.weather_place as p on p.region = s.region and p.place = s.place
),

weighed as (
    select
        region,
        stamp_utc,
        sum(temperature * weight) as temperature,
        sum(weight) filter (where temperature is not null) as temperature_weight,
        sum(dew_point * weight) as dew_point,
        sum(weight) filter (where dew_point is not null) as dew_point_weight,
        sum(wind_10m * weight) as wind_10m,
        sum(weight) filter (where wind_10m is not null) as wind_10m_weight,
        sum(wind_100m * weight) as wind_100m,
        sum(weight) filter (where wind_100m is not null) as wind_100m_weight,
        sum(shortwave * weight) as shortwave,
        sum(weight) filter (where shortwave is not null) as shortwave_weight,
        sum(cloud_cover * weight) as cloud_cover,
        sum(weight) filter (where cloud_cover is not null) as cloud_cover_weight,
        sum(precipitation * weight) as precipitation,
        sum(weight) filter (where precipitation is not null) as precipitation_weight,
        sum(greatest(18.3 - temperature, 0) * weight) filter (where temperature is not null) as heating,
        sum(greatest(temperature - 18.3, 0) * weight) filter (where temperature is not null) as cooling,
        count(temperature) as places
    from observed
    group by region, stamp_utc
),

-- The stamp is the start of the hour for instantaneous values, and its end for means and sums over the hour.
begun as (
    select
        region,
        stamp_utc as hour_utc,
        round(cast(temperature as double) / cast(temperature_weight as double), 2) as temperature_c,
        round(cast(dew_point as double) / cast(dew_point_weight as double), 2) as dew_point_c,
        round(cast(wind_10m as double) / cast(wind_10m_weight as double), 2) as wind_10m_m_per_s,
        round(cast(wind_100m as double) / cast(wind_100m_weight as double), 2) as wind_100m_m_per_s,
        round(cast(cloud_cover as double) / cast(cloud_cover_weight as double), 1) as cloud_cover_percent,
        round(cast(heating as double) / cast(temperature_weight as double), 2) as heating_degrees,
        round(cast(cooling as double) / cast(temperature_weight as double), 2) as cooling_degrees,
        places
    from weighed
),

ended as (
    select
        region,
        stamp_utc - interval 1 hour as hour_utc,
        round(cast(shortwave as double) / cast(shortwave_weight as double), 1) as shortwave_w_per_m2,
        round(cast(precipitation as double) / cast(precipitation_weight as double), 3) as precipitation_mm
    from weighed
)

select
    region,
    hour_utc,
    b.temperature_c,
    b.dew_point_c,
    b.wind_10m_m_per_s,
    b.wind_100m_m_per_s,
    e.shortwave_w_per_m2,
    b.cloud_cover_percent,
    e.precipitation_mm,
    b.heating_degrees,
    b.cooling_degrees,
    cast(coalesce(b.places, 0) as integer) as places
from begun as b
full join ended as e using (region, hour_utc)
