/*---
description = """
Carbon intensity of the generation and of the consumption of each respondent, one row an hour. Consumption includes imports, and
the imports of the neighbors. Factors by fuel family are dated and have a source (seeds.emission_factor): combustion is CO2 of
burning alone, the mean of plants in the United States; lifecycle is CO2 equivalents from construction and fuel to waste, a median
of plants worldwide. They measure different things; for coal the lifecycle factor is the smaller one.
Consumption intensity solves a linear system over all authorities of the hour: it is the mean over a region's own generation and
its imports, where each import has the consumption intensity of the neighbor. Four Jacobi iterations solve it;
residual_co2_kg_per_mwh is the change in the last one.
Other and unknown fuels, and oil in lifecycle, have no factor and count with the mean of the rest (covered_ratio is the share with a
factor). Storage returns energy that was generated earlier: neither charging nor discharging counts. Imports from systems without
known generation, which includes all foreign systems, count with the mean of the rest (import_known_ratio is the share of the
others). An hour with a suspicious value of any fuel has no intensity.
"""
materialized = "table"
may_be_empty = true
grain = ["region", "hour_utc"]
lookback = "0h"

[columns]
region = "Respondent, EIA code; authorities and, where synced, aggregates, which have no imports here."
hour_utc = "Start of the hour, UTC."
generation_mwh = "[hindsight] Generation of all fuels except storage, MWh; negative values count as 0."
covered_ratio = "[hindsight] Share of generation_mwh with a combustion factor; ratio."
generation_co2_kg_per_mwh = "[hindsight] CO2 of combustion per MWh generated, kg/MWh."
generation_co2e_kg_per_mwh = "[hindsight] CO2 equivalents of the life cycle per MWh generated, kg/MWh."
import_mwh = "[hindsight] Sum of the imports that the region reports, MWh; NULL where it reports no interchange."
import_known_ratio = "[hindsight] Share of import_mwh from neighbors of known intensity; ratio, NULL where nothing is imported."
consumption_co2_kg_per_mwh = "[hindsight] CO2 of combustion per MWh consumed, kg/MWh; NULL where no interchange is reported, or where imports exceed twice the greater of generation and demand."
consumption_co2e_kg_per_mwh = "[hindsight] CO2 equivalents of the life cycle per MWh consumed, kg/MWh; NULL in the same hours."
residual_co2_kg_per_mwh = "[hindsight] Change of consumption_co2_kg_per_mwh in the last iteration, kg/MWh."

[[audits]]
unique = ["region", "hour_utc"]
[[audits]]
not_null = ["region", "hour_utc", "generation_mwh"]
[[audits]]
sql = """
select * from normalized.carbon
where generation_co2_kg_per_mwh not between 0 and 1200 or consumption_co2_kg_per_mwh not between 0 and 1200
"""
description = "intensities outside 0 to 1,200 kg/MWh, the range of all fuels"
[[audits]]
name = "carbon_residual"
when = "check"
severity = "warn"
description = "the iteration over neighbors has not converged"
sql = "select region, hour_utc, residual_co2_kg_per_mwh from normalized.carbon where residual_co2_kg_per_mwh > 5"
---*/
with factor as (
    select
        kind,
        family,
        first_date::timestamp as from_utc,
        coalesce(
            lead(first_date::timestamp) over (partition by kind, family order by first_date), timestamp '9999-01-01'
        ) as until_utc,
        kg_per_mwh
    from seeds.emission_factor
),

fuel as (
    select
        g.region,
        g.hour_utc,
        coalesce(f.family, 'unknown') as family,
        cast(greatest(g.generation_mwh, 0) as decimal(18, 4)) as mwh,
        g.generation_flag is not null as is_suspect
    from normalized.generation as g
    left join normalized.fuel as f on f.fuel = g.fuel
    where g.generation_mwh is not null and not coalesce(f.storage, false)
),

-- Sums of decimals are exact and do not depend on the order.
generated as (
    select
        m.region,
        m.hour_utc,
        cast(sum(m.mwh) as double) as generation_mwh,
        cast(sum(m.mwh) filter (where c.kg_per_mwh is not null) as double) as covered_mwh,
        cast(sum(m.mwh * cast(c.kg_per_mwh as decimal(9, 1))) as double) / nullif(covered_mwh, 0) as co2,
        cast(sum(m.mwh * cast(l.kg_per_mwh as decimal(9, 1))) as double)
        / nullif(cast(sum(m.mwh) filter (where l.kg_per_mwh is not null) as double), 0) as co2e,
        bool_or(m.is_suspect) as is_suspect
    from fuel as m
    left join factor as c
        on c.kind = 'combustion' and c.family = m.family and m.hour_utc >= c.from_utc and m.hour_utc < c.until_utc
    left join factor as l
        on l.kind = 'lifecycle' and l.family = m.family and m.hour_utc >= l.from_utc and m.hour_utc < l.until_utc
    group by m.region, m.hour_utc
),

known as (
    select region, hour_utc, generation_mwh, co2, co2e
    from generated
    where not is_suspect and co2 is not null
),

imported as (
    select region, neighbor, hour_utc, greatest(-interchange_mwh, 0) as mwh
    from normalized.interchange
    where interchange_mwh is not null
),

flow as (
    select i.region, i.neighbor, i.hour_utc, i.mwh
    from imported as i
    -- Not inner joins: DuckDB may join the regions of an hour first, each with each.
    where
        i.mwh > 0
        and (i.region, i.hour_utc) in (select (region, hour_utc) from known)
        and (i.neighbor, i.hour_utc) in (select (region, hour_utc) from known)
),

known_import as (
    select region, hour_utc, sum(cast(mwh as decimal(18, 4))) as mwh
    from flow
    group by region, hour_utc
),

base as (
    select k.*, cast(coalesce(i.mwh, 0) as double) as import_mwh
    from known as k
    left join known_import as i on i.region = k.region and i.hour_utc = k.hour_utc
),

-- Generation and imports of a region in hours in which both are known. Each step uses the neighbors' intensities of the step
-- before.
step_1 as (
    select
        b.region,
        b.hour_utc,
        (b.generation_mwh * b.co2 + cast(coalesce(i.co2_kg, 0) as double)) / nullif(b.generation_mwh + b.import_mwh, 0) as co2,
        (b.generation_mwh * b.co2e + cast(coalesce(i.co2e_kg, 0) as double)) / nullif(b.generation_mwh + b.import_mwh, 0) as co2e
    from base as b
    left join (
        select
            f.region,
            f.hour_utc,
            sum(cast(f.mwh * c.co2 as decimal(18, 4))) as co2_kg,
            sum(cast(f.mwh * c.co2e as decimal(18, 4))) as co2e_kg
        from flow as f
        left join known as c on c.region = f.neighbor and c.hour_utc = f.hour_utc
        group by f.region, f.hour_utc
    ) as i on i.region = b.region and i.hour_utc = b.hour_utc
),

step_2 as (
    select
        b.region,
        b.hour_utc,
        (b.generation_mwh * b.co2 + cast(coalesce(i.co2_kg, 0) as double)) / nullif(b.generation_mwh + b.import_mwh, 0) as co2,
        (b.generation_mwh * b.co2e + cast(coalesce(i.co2e_kg, 0) as double)) / nullif(b.generation_mwh + b.import_mwh, 0) as co2e
    from base as b
    left join (
        select
            f.region,
            f.hour_utc,
            sum(cast(f.mwh * c.co2 as decimal(18, 4))) as co2_kg,
            sum(cast(f.mwh * c.co2e as decimal(18, 4))) as co2e_kg
        from flow as f
        left join step_1 as c on c.region = f.neighbor and c.hour_utc = f.hour_utc
        group by f.region, f.hour_utc
    ) as i on i.region = b.region and i.hour_utc = b.hour_utc
),

step_3 as (
    select
        b.region,
        b.hour_utc,
        (b.generation_mwh * b.co2 + cast(coalesce(i.co2_kg, 0) as double)) / nullif(b.generation_mwh + b.import_mwh, 0) as co2,
        (b.generation_mwh * b.co2e + cast(coalesce(i.co2e_kg, 0) as double)) / nullif(b.generation_mwh + b.import_mwh, 0) as co2e
    from base as b
    left join (
        select
            f.region,
            f.hour_utc,
            sum(cast(f.mwh * c.co2 as decimal(18, 4))) as co2_kg,
            sum(cast(f.mwh * c.co2e as decimal(18, 4))) as co2e_kg
        from flow as f
        left join step_2 as c on c.region = f.neighbor and c.hour_utc = f.hour_utc
        group by f.region, f.hour_utc
    ) as i on i.region = b.region and i.hour_utc = b.hour_utc
),

step_4 as (
    select
        b.region,
        b.hour_utc,
        (b.generation_mwh * b.co2 + cast(coalesce(i.co2_kg, 0) as double)) / nullif(b.generation_mwh + b.import_mwh, 0) as co2,
        (b.generation_mwh * b.co2e + cast(coalesce(i.co2e_kg, 0) as double)) / nullif(b.generation_mwh + b.import_mwh, 0) as co2e
    from base as b
    left join (
        select
            f.region,
            f.hour_utc,
            sum(cast(f.mwh * c.co2 as decimal(18, 4))) as co2_kg,
            sum(cast(f.mwh * c.co2e as decimal(18, 4))) as co2e_kg
        from flow as f
        left join step_3 as c on c.region = f.neighbor and c.hour_utc = f.hour_utc
        group by f.region, f.hour_utc
    ) as i on i.region = b.region and i.hour_utc = b.hour_utc
),

taken_in as (
    select region, hour_utc, cast(sum(cast(mwh as decimal(18, 4))) as double) as import_mwh
    from imported
    group by region, hour_utc
)

select
    g.region,
    g.hour_utc,
    g.generation_mwh,
    g.covered_mwh / nullif(g.generation_mwh, 0) as covered_ratio,
    round(k.co2, 3) as generation_co2_kg_per_mwh,
    round(k.co2e, 3) as generation_co2e_kg_per_mwh,
    t.import_mwh,
    cast(coalesce(i.mwh, 0) as double) / nullif(t.import_mwh, 0) as import_known_ratio,
    if(t.import_mwh <= 2 * greatest(g.generation_mwh, d.demand_clean_mwh), round(e.co2, 3), null) as consumption_co2_kg_per_mwh,
    if(t.import_mwh <= 2 * greatest(g.generation_mwh, d.demand_clean_mwh), round(e.co2e, 3), null) as consumption_co2e_kg_per_mwh,
    if(
        t.import_mwh <= 2 * greatest(g.generation_mwh, d.demand_clean_mwh), round(abs(e.co2 - b.co2), 3), null
    ) as residual_co2_kg_per_mwh
from generated as g
left join known as k on k.region = g.region and k.hour_utc = g.hour_utc
left join taken_in as t on t.region = g.region and t.hour_utc = g.hour_utc
left join known_import as i on i.region = g.region and i.hour_utc = g.hour_utc
left join step_4 as e on e.region = g.region and e.hour_utc = g.hour_utc
left join step_3 as b on b.region = g.region and b.hour_utc = g.hour_utc
left join normalized.demand as d on d.region = g.region and d.hour_utc = g.hour_utc
