/*---
description = """
How often, how late and by how much the sources change what they had said, as far as it was seen here: one row for each dataset,
region, measure and month of the hours spoken of. A revision is a value that another took the place of, or none, between two
fetches. What a source changed before its hour was fetched first, or long after it was fetched last, is not seen.
"""
materialized = "table"
grain = ["dataset", "region", "measure", "month_utc"]
time_column = "month_utc"
lookback = "0h"

[columns]
dataset = "Dataset of staging, such as eia.region_data."
region = "Whom a row is of: a respondent of EIA, a region of the weather, or CAISO's area, hub, node or zone."
measure = "EIA's type (of the files too: D, DF, NG, TI), fuel, neighbor or subregion; CAISO's market, component or schedule; of weather the temperature alone."
month_utc = "First hour of the month for which the row speaks, UTC."
rows_held = "Rows that staging holds, with or without a value; one a five minutes in CAISO's real-time data; count."
rows_revised = "Rows whose value was revised at least once, those withdrawn for good among them; count."
revisions = "How often a value was revised; count."
withdrawn = "How many of the revisions took the row away."
filled = "How many of the revisions gave a value to a row that had none."
median_delay_hours = "From the end of the hour until a revision was seen here, median; negative before it, as of forecasts. Rows that were fetched first more than 14 days after their hour are left out (they were loaded later: when they were revised is not known), here and in the longest."
max_delay_hours = "The longest of these delays."
mean_change = "By how much a revision changed a value, absolute, mean over those with a value before and after, in the unit of the dataset."
max_change = "The greatest of these changes, in the unit of the dataset."
mean_change_percent = "These changes as a share of the value before (where it is not 0), mean."
newest_revision_utc = "When the newest revision was seen here, UTC; NULL where there is none."

[[audits]]
unique = ["dataset", "region", "measure", "month_utc"]
[[audits]]
not_null = ["dataset", "region", "measure", "month_utc", "rows_held", "rows_revised", "revisions"]
---*/
with held as (
    select
        'eia.region_data' as dataset,
        respondent as region,
        type as measure,
        date_trunc('month', period - interval 1 hour) as month_utc,
        count(*) as rows_held
    from staging.eia.region_data
    group by all
    union all
    select 'eia.fuel_type_data', respondent, fueltype, date_trunc('month', period - interval 1 hour), count(*)
    from staging.eia.fuel_type_data
    group by all
    union all
    select 'eia.interchange_data', fromba, toba, date_trunc('month', period - interval 1 hour), count(*)
    from staging.eia.interchange_data
    group by all
    union all
    select 'eia.region_sub_ba_data', parent, subba, date_trunc('month', period - interval 1 hour), count(*)
    from staging.eia.region_sub_ba_data
    group by all
    union all
    select 'eia_files.interchange', region, neighbor, date_trunc('month', period - interval 1 hour), count(*)
    from staging.eia_files.interchange
    group by all
    union all
    select 'eia_files.subregion', region, subregion, date_trunc('month', period - interval 1 hour), count(*)
    from staging.eia_files.subregion
    group by all
    union all
    select 'caiso.load', tac_area, market, date_trunc('month', interval_start), count(*)
    from staging.caiso.load
    group by all
    union all
    select 'caiso.renewable', hub, concat_ws(' ', fuel, market), date_trunc('month', interval_start), count(*)
    from staging.caiso.renewable
    group by all
    union all
    select 'caiso.price_dam', node, component, date_trunc('month', interval_start), count(*)
    from staging.caiso.price_dam
    group by all
    union all
    select 'caiso.price_rtm', node, component, date_trunc('month', interval_start), count(*)
    from staging.caiso.price_rtm
    group by all
    union all
    select 'caiso.schedule_dam', zone, concat_ws(' ', schedule, slrs_type, market), date_trunc('month', interval_start), count(*)
    from staging.caiso.schedule_dam
    group by all
    union all
    select 'caiso.schedule_rtm', zone, concat_ws(' ', schedule, slrs_type, market), date_trunc('month', interval_start), count(*)
    from staging.caiso.schedule_rtm
    group by all
    union all
    select 'open_meteo.hourly', region, 'temperature', date_trunc('month', time - interval 1 hour), count(*)
    from staging.open_meteo.hourly
    group by all
    union all
    select 'eia_files.balance', region, unnest(['D', 'DF', 'NG', 'TI']), month_utc, rows_held
    from (
        select region, date_trunc('month', period - interval 1 hour) as month_utc, count(*) as rows_held
        from staging.eia_files.balance
        group by all
    )
),

-- Every value that a row had which was revised, the present one among them; its end is NULL.
known as (
    select
        'eia.region_data' as dataset,
        respondent as region,
        type as measure,
        '' as part,  -- what else identifies a row
        period as stamp_utc,
        period - interval 1 hour as hour_utc,
        value,
        known_from_utc,
        known_until_utc
    from staging.eia.region_data_revision
    union all
    select 'eia.region_data', respondent, type, '', period, period - interval 1 hour,
        value, known_from_utc, null
    from staging.eia.region_data semi join staging.eia.region_data_revision using (period, respondent, type)
    union all
    select 'eia.fuel_type_data', respondent, fueltype, '', period, period - interval 1 hour,
        value, known_from_utc, known_until_utc
    from staging.eia.fuel_type_data_revision
    union all
    select 'eia.fuel_type_data', respondent, fueltype, '', period, period - interval 1 hour,
        value, known_from_utc, null
    from staging.eia.fuel_type_data semi join staging.eia.fuel_type_data_revision using (period, respondent, fueltype)
    union all
    select 'eia.interchange_data', fromba, toba, '', period, period - interval 1 hour,
        value, known_from_utc, known_until_utc
    from staging.eia.interchange_data_revision
    union all
    select 'eia.interchange_data', fromba, toba, '', period, period - interval 1 hour,
        value, known_from_utc, null
    from staging.eia.interchange_data semi join staging.eia.interchange_data_revision using (period, fromba, toba)
    union all
    select 'eia.region_sub_ba_data', parent, subba, '', period, period - interval 1 hour,
        value, known_from_utc, known_until_utc
    from staging.eia.region_sub_ba_data_revision
    union all
    select 'eia.region_sub_ba_data', parent, subba, '', period, period - interval 1 hour,
        value, known_from_utc, null
    from staging.eia.region_sub_ba_data semi join staging.eia.region_sub_ba_data_revision using (period, parent, subba)
    union all
    select 'eia_files.interchange', region, neighbor, file, period, period - interval 1 hour,
        interchange_mwh, known_from_utc, known_until_utc
    from staging.eia_files.interchange_revision
    union all
    select 'eia_files.interchange', region, neighbor, file, period, period - interval 1 hour,
        interchange_mwh, known_from_utc, null
    from staging.eia_files.interchange semi join staging.eia_files.interchange_revision using (period, file, region, neighbor)
    union all
    select 'eia_files.subregion', region, subregion, file, period, period - interval 1 hour,
        demand_mwh, known_from_utc, known_until_utc
    from staging.eia_files.subregion_revision
    union all
    select 'eia_files.subregion', region, subregion, file, period, period - interval 1 hour,
        demand_mwh, known_from_utc, null
    from staging.eia_files.subregion semi join staging.eia_files.subregion_revision using (period, file, region, subregion)
    union all
    select 'caiso.load', tac_area, market, '', interval_start, interval_start,
        value, known_from_utc, known_until_utc
    from staging.caiso.load_revision
    union all
    select 'caiso.load', tac_area, market, '', interval_start, interval_start,
        value, known_from_utc, null
    from staging.caiso.load semi join staging.caiso.load_revision using (interval_start, tac_area, market)
    union all
    select 'caiso.renewable', hub, concat_ws(' ', fuel, market), '', interval_start, interval_start,
        value, known_from_utc, known_until_utc
    from staging.caiso.renewable_revision
    union all
    select 'caiso.renewable', hub, concat_ws(' ', fuel, market), '', interval_start, interval_start,
        value, known_from_utc, null
    from staging.caiso.renewable semi join staging.caiso.renewable_revision using (interval_start, hub, fuel, market)
    union all
    select 'caiso.price_dam', node, component, '', interval_start, interval_start,
        value, known_from_utc, known_until_utc
    from staging.caiso.price_dam_revision
    union all
    select 'caiso.price_dam', node, component, '', interval_start, interval_start,
        value, known_from_utc, null
    from staging.caiso.price_dam semi join staging.caiso.price_dam_revision using (interval_start, node, component)
    union all
    select 'caiso.price_rtm', node, component, '', interval_start, interval_start,
        value, known_from_utc, known_until_utc
    from staging.caiso.price_rtm_revision
    union all
    select 'caiso.price_rtm', node, component, '', interval_start, interval_start,
        value, known_from_utc, null
    from staging.caiso.price_rtm semi join staging.caiso.price_rtm_revision using (interval_start, node, component)
    union all
    select 'caiso.schedule_dam', zone, concat_ws(' ', schedule, slrs_type, market), '', interval_start, interval_start,
        value, known_from_utc, known_until_utc
    from staging.caiso.schedule_dam_revision
    union all
    select 'caiso.schedule_dam', zone, concat_ws(' ', schedule, slrs_type, market), '', interval_start, interval_start,
        value, known_from_utc, null
    from staging.caiso.schedule_dam semi join staging.caiso.schedule_dam_revision using (interval_start, zone, schedule, slrs_type, market)
    union all
    select 'caiso.schedule_rtm', zone, concat_ws(' ', schedule, slrs_type, market), '', interval_start, interval_start,
        value, known_from_utc, known_until_utc
    from staging.caiso.schedule_rtm_revision
    union all
    select 'caiso.schedule_rtm', zone, concat_ws(' ', schedule, slrs_type, market), '', interval_start, interval_start,
        value, known_from_utc, null
    from staging.caiso.schedule_rtm semi join staging.caiso.schedule_rtm_revision using (interval_start, zone, schedule, slrs_type, market)
    union all
    select 'open_meteo.hourly', region, 'temperature', place, time, time - interval 1 hour,
        temperature_2m, known_from_utc, known_until_utc
    from staging.open_meteo.hourly_revision
    union all
    select 'open_meteo.hourly', region, 'temperature', place, time, time - interval 1 hour,
        temperature_2m, known_from_utc, null
    from staging.open_meteo.hourly semi join staging.open_meteo.hourly_revision using (time, region, place)
    union all
    select 'eia_files.balance', region, unnest(['D', 'DF', 'NG', 'TI']), file, period, period - interval 1 hour,
        unnest([demand_mwh, demand_forecast_mwh, net_generation_mwh, total_interchange_mwh]), known_from_utc, known_until_utc
    from staging.eia_files.balance_revision
    union all
    select 'eia_files.balance', region, unnest(['D', 'DF', 'NG', 'TI']), file, period, period - interval 1 hour,
        unnest([demand_mwh, demand_forecast_mwh, net_generation_mwh, total_interchange_mwh]), known_from_utc, null
    from staging.eia_files.balance semi join staging.eia_files.balance_revision using (period, file, region)
),

followed as (
    select
        *,
        lead(value) over one as next_value,
        lead(known_from_utc) over one as next_from_utc,
        min(known_from_utc) over (partition by dataset, region, measure, part, stamp_utc) as first_known_utc
    from known
    window one as (
        partition by dataset, region, measure, part, stamp_utc
        order by known_from_utc, known_until_utc nulls last
    )
),

-- Of a row of many values (the half-year files) only some may have changed.
revised as (
    select
        *,
        next_from_utc is distinct from known_until_utc as is_withdrawn,
        case
            when first_known_utc <= hour_utc + interval 337 hour
                then (epoch(known_until_utc) - epoch(hour_utc)) / 3600 - 1
        end as delay_hours,
        -- Decimals are added exactly, in whatever order. A value that does not fit is no value.
        if(is_withdrawn, null, try_cast(abs(next_value - value) as decimal(18, 5))) as change,
        if(is_withdrawn or value = 0, null, try_cast(100 * abs(next_value - value) / abs(value) as decimal(18, 3)))
            as change_percent
    from followed
    where known_until_utc is not null
        and (next_from_utc is distinct from known_until_utc or next_value is distinct from value)
),

counted as (
    select
        dataset,
        region,
        measure,
        date_trunc('month', hour_utc) as month_utc,
        count(distinct (part, stamp_utc)) as rows_revised,
        count(*) as revisions,
        count(*) filter (is_withdrawn) as withdrawn,
        count(*) filter (not is_withdrawn and value is null) as filled,
        median(delay_hours) as median_delay_hours,
        max(delay_hours) as max_delay_hours,
        cast(sum(change) as double) / count(change) as mean_change,
        cast(max(change) as double) as max_change,
        cast(sum(change_percent) as double) / count(change_percent) as mean_change_percent,
        max(known_until_utc) as newest_revision_utc
    from revised
    group by all
)

select
    dataset,
    region,
    measure,
    month_utc,
    coalesce(rows_held, 0) as rows_held,
    coalesce(rows_revised, 0) as rows_revised,
    coalesce(revisions, 0) as revisions,
    coalesce(withdrawn, 0) as withdrawn,
    coalesce(filled, 0) as filled,
    median_delay_hours,
    max_delay_hours,
    mean_change,
    max_change,
    mean_change_percent,
    newest_revision_utc
from held
full join counted using (dataset, region, measure, month_utc)
