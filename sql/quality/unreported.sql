/*---
description = """
Stretches of hours of one month in which an authority has no value of a measure, split where it begins or stops to report other
measures: quality.gaps is made from them, so that a build reads the whole grid only once.
"""
materialized = "table"
may_be_empty = true
grain = ["region", "measure", "month_utc", "first_hour_utc"]
time_column = "month_utc"

[columns]
region = "Balancing authority, EIA code."
measure = "A measure of quality.gaps, also one that the authority never reports."
month_utc = "First hour of the month that the stretch is part of, UTC."
first_hour_utc = "Start of the first hour without a value, UTC."
last_hour_utc = "Start of the last hour without a value, UTC."
reports = "True if the authority has a value of another measure in all of these hours, false if in none."

[[audits]]
unique = ["region", "measure", "month_utc", "first_hour_utc"]
[[audits]]
not_null = ["region", "measure", "month_utc", "first_hour_utc", "last_hour_utc", "reports"]
---*/
with hours as not materialized (
    select
        region,
        hour_utc,
        date_trunc('month', hour_utc) as month_utc,
        coalesce(
            demand_mwh, net_generation_mwh, total_interchange_mwh, fuel_sum_mwh, interchange_sum_mwh
        ) is not null as reports,
        demand_mwh as demand,
        demand_forecast_mwh as demand_forecast,
        net_generation_mwh as net_generation,
        total_interchange_mwh as total_interchange,
        fuel_sum_mwh as generation,
        interchange_sum_mwh as interchange,
        coal_mwh as coal,
        gas_mwh as gas,
        nuclear_mwh as nuclear,
        oil_mwh as oil,
        hydro_mwh as hydro,
        solar_mwh as solar,
        wind_mwh as wind,
        geothermal_mwh as geothermal,
        storage_mwh as storage,
        other_mwh as other,
        unknown_mwh as unknown
    from normalized.grid
),

held as (
    select region, month_utc, measure, held
    from (
        select
            region,
            month_utc,
            count(demand) as demand,
            count(demand_forecast) as demand_forecast,
            count(net_generation) as net_generation,
            count(total_interchange) as total_interchange,
            count(generation) as generation,
            count(interchange) as interchange,
            count(coal) as coal,
            count(gas) as gas,
            count(nuclear) as nuclear,
            count(oil) as oil,
            count(hydro) as hydro,
            count(solar) as solar,
            count(wind) as wind,
            count(geothermal) as geothermal,
            count(storage) as storage,
            count(other) as other,
            count(unknown) as unknown
        from hours
        group by region, month_utc
    ) unpivot (
        held for measure in (
            demand, demand_forecast, net_generation, total_interchange, generation, interchange,
            coal, gas, nuclear, oil, hydro, solar, wind, geothermal, storage, other, unknown
        )
    )
),

-- Hours without a value of a measure that the month has are few. A month without any value of a measure is not taken apart by
-- measure: measure is 'NONE' for all of its hours.
missing as (
    select u.region, u.month_utc, u.measure, u.hour_utc, u.reports
    from (
        select region, month_utc, hour_utc, reports, measure
        from hours unpivot include nulls (
            value for measure in (
                demand, demand_forecast, net_generation, total_interchange, generation, interchange,
                coal, gas, nuclear, oil, hydro, solar, wind, geothermal, storage, other, unknown
            )
        )
        where value is null
    ) as u
    where (u.region, u.month_utc, u.measure) in (select (region, month_utc, measure) from held where held > 0)
    union all
    select region, month_utc, 'NONE', hour_utc, reports
    from hours
),

stretches as (
    select
        region,
        month_utc,
        measure,
        reports,
        min(hour_utc) as first_hour_utc,
        max(hour_utc) as last_hour_utc
    from (
        select
            *,
            hour_utc - to_hours(row_number() over (partition by region, measure, month_utc, reports order by hour_utc)) as island
        from missing
    )
    group by region, month_utc, measure, reports, island
)

select region, measure, month_utc, first_hour_utc, last_hour_utc, reports
from stretches
where measure <> 'NONE'
union all
select h.region, h.measure, h.month_utc, s.first_hour_utc, s.last_hour_utc, s.reports
from held as h
inner join stretches as s on s.region = h.region and s.month_utc = h.month_utc and s.measure = 'NONE'
where h.held = 0
