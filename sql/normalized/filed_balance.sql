/*---
description = """
Contents of EIA's half-year files of kind BALANCE, one row for each respondent and hour, including blank rows.
EIA cuts the files by local date, so an hour near New Year or midsummer can be in two of them; then the newest value is used.
"""
materialized = "inline"
grain = ["region", "period"]

[columns]
period = "End of the hour, UTC."
region = "Respondent, EIA code."
demand_mwh = "Demand as reported, MWh."
demand_forecast_mwh = "Demand forecast made the day before as reported, MWh."
net_generation_mwh = "Net generation as reported, MWh."
total_interchange_mwh = "Net interchange with all neighbors as reported, MWh; positive = export."
valid_interchange_sum_mwh = "Sum of the interchange with the neighbors that EIA counts as valid, MWh; positive = export."
demand_imputed_mwh = "EIA's estimate where demand was missing or implausible, MWh."
net_generation_imputed_mwh = "EIA's estimate where net generation was missing or implausible, MWh."
total_interchange_imputed_mwh = "EIA's estimate where total interchange was missing or implausible, MWh."
demand_adjusted_mwh = "Demand after EIA's adjustments, MWh."
net_generation_adjusted_mwh = "Net generation after EIA's adjustments, MWh."
total_interchange_adjusted_mwh = "Total interchange after EIA's adjustments, MWh."
col_mwh = "Generation from coal (COL) as reported, MWh."
ng_mwh = "Generation from natural gas (NG) as reported, MWh."
nuc_mwh = "Generation from nuclear (NUC) as reported, MWh."
oil_mwh = "Generation from petroleum (OIL) as reported, MWh."
wat_mwh = "Generation from hydro (WAT) as reported, MWh."
ps_mwh = "Generation from pumped storage (PS) as reported, MWh."
sun_mwh = "Generation from solar (SUN) as reported, MWh."
snb_mwh = "Generation from solar with integrated battery storage (SNB) as reported, MWh."
wnd_mwh = "Generation from wind (WND) as reported, MWh."
wnb_mwh = "Generation from wind with integrated battery storage (WNB) as reported, MWh."
geo_mwh = "Generation from geothermal (GEO) as reported, MWh."
bat_mwh = "Generation from battery storage (BAT) as reported, MWh."
oes_mwh = "Generation from other energy storage (OES) as reported, MWh."
ues_mwh = "Generation from unknown energy storage (UES) as reported, MWh."
oth_mwh = "Generation from other (OTH) as reported, MWh."
unk_mwh = "Generation from unknown (UNK) as reported, MWh."
col_imputed_mwh = "EIA's estimate of generation from coal (COL), MWh."
ng_imputed_mwh = "EIA's estimate of generation from natural gas (NG), MWh."
nuc_imputed_mwh = "EIA's estimate of generation from nuclear (NUC), MWh."
oil_imputed_mwh = "EIA's estimate of generation from petroleum (OIL), MWh."
wat_imputed_mwh = "EIA's estimate of generation from hydro (WAT), MWh."
ps_imputed_mwh = "EIA's estimate of generation from pumped storage (PS), MWh."
sun_imputed_mwh = "EIA's estimate of generation from solar (SUN), MWh."
snb_imputed_mwh = "EIA's estimate of generation from solar with integrated battery storage (SNB), MWh."
wnd_imputed_mwh = "EIA's estimate of generation from wind (WND), MWh."
wnb_imputed_mwh = "EIA's estimate of generation from wind with integrated battery storage (WNB), MWh."
geo_imputed_mwh = "EIA's estimate of generation from geothermal (GEO), MWh."
bat_imputed_mwh = "EIA's estimate of generation from battery storage (BAT), MWh."
oes_imputed_mwh = "EIA's estimate of generation from other energy storage (OES), MWh."
ues_imputed_mwh = "EIA's estimate of generation from unknown energy storage (UES), MWh."
oth_imputed_mwh = "EIA's estimate of generation from other (OTH), MWh."
unk_imputed_mwh = "EIA's estimate of generation from unknown (UNK), MWh."
col_adjusted_mwh = "Generation from coal (COL) after EIA's adjustments, MWh."
ng_adjusted_mwh = "Generation from natural gas (NG) after EIA's adjustments, MWh."
nuc_adjusted_mwh = "Generation from nuclear (NUC) after EIA's adjustments, MWh."
oil_adjusted_mwh = "Generation from petroleum (OIL) after EIA's adjustments, MWh."
wat_adjusted_mwh = "Generation from hydro (WAT) after EIA's adjustments, MWh."
ps_adjusted_mwh = "Generation from pumped storage (PS) after EIA's adjustments, MWh."
sun_adjusted_mwh = "Generation from solar (SUN) after EIA's adjustments, MWh."
snb_adjusted_mwh = "Generation from solar with integrated battery storage (SNB) after EIA's adjustments, MWh."
wnd_adjusted_mwh = "Generation from wind (WND) after EIA's adjustments, MWh."
wnb_adjusted_mwh = "Generation from wind with integrated battery storage (WNB) after EIA's adjustments, MWh."
geo_adjusted_mwh = "Generation from geothermal (GEO) after EIA's adjustments, MWh."
bat_adjusted_mwh = "Generation from battery storage (BAT) after EIA's adjustments, MWh."
oes_adjusted_mwh = "Generation from other energy storage (OES) after EIA's adjustments, MWh."
ues_adjusted_mwh = "Generation from unknown energy storage (UES) after EIA's adjustments, MWh."
oth_adjusted_mwh = "Generation from other (OTH) after EIA's adjustments, MWh."
unk_adjusted_mwh = "Generation from unknown (UNK) after EIA's adjustments, MWh."
known_from_utc = "Newest time at which a value of the row became known here, UTC."
---*/
-- arg_max ignores NULL: a value in either file is preferred to a blank in the other. But a fuel without
-- a separate second part in its file is the sum of both parts, as all were until 2024: the second part of another file would
-- count twice.
with overlap as (
    select
        region,
        period,
        max(known_from_utc) as known_from_utc,
        arg_max(columns('_mwh$'), (known_from_utc, file)),
        arg_max(wat_mwh, (known_from_utc, file)) filter (where ps_mwh is not null) as wat_beside,
        arg_max(wat_mwh, (known_from_utc, file)) filter (where ps_mwh is null) as wat_alone,
        arg_max(wat_imputed_mwh, (known_from_utc, file)) filter (where ps_imputed_mwh is not null) as wat_imputed_beside,
        arg_max(wat_imputed_mwh, (known_from_utc, file)) filter (where ps_imputed_mwh is null) as wat_imputed_alone,
        arg_max(wat_adjusted_mwh, (known_from_utc, file)) filter (where ps_adjusted_mwh is not null) as wat_adjusted_beside,
        arg_max(wat_adjusted_mwh, (known_from_utc, file)) filter (where ps_adjusted_mwh is null) as wat_adjusted_alone,
        arg_max(sun_mwh, (known_from_utc, file)) filter (where snb_mwh is not null) as sun_beside,
        arg_max(sun_mwh, (known_from_utc, file)) filter (where snb_mwh is null) as sun_alone,
        arg_max(sun_imputed_mwh, (known_from_utc, file)) filter (where snb_imputed_mwh is not null) as sun_imputed_beside,
        arg_max(sun_imputed_mwh, (known_from_utc, file)) filter (where snb_imputed_mwh is null) as sun_imputed_alone,
        arg_max(sun_adjusted_mwh, (known_from_utc, file)) filter (where snb_adjusted_mwh is not null) as sun_adjusted_beside,
        arg_max(sun_adjusted_mwh, (known_from_utc, file)) filter (where snb_adjusted_mwh is null) as sun_adjusted_alone,
        arg_max(wnd_mwh, (known_from_utc, file)) filter (where wnb_mwh is not null) as wnd_beside,
        arg_max(wnd_mwh, (known_from_utc, file)) filter (where wnb_mwh is null) as wnd_alone,
        arg_max(wnd_imputed_mwh, (known_from_utc, file)) filter (where wnb_imputed_mwh is not null) as wnd_imputed_beside,
        arg_max(wnd_imputed_mwh, (known_from_utc, file)) filter (where wnb_imputed_mwh is null) as wnd_imputed_alone,
        arg_max(wnd_adjusted_mwh, (known_from_utc, file)) filter (where wnb_adjusted_mwh is not null) as wnd_adjusted_beside,
        arg_max(wnd_adjusted_mwh, (known_from_utc, file)) filter (where wnb_adjusted_mwh is null) as wnd_adjusted_alone
    from staging.eia_files.balance
    where month(period) in (1, 6, 7, 12) and (day(period) <= 3 or day(period) >= 28)
    group by region, period
)

select * exclude (file)
from staging.eia_files.balance
where not (month(period) in (1, 6, 7, 12) and (day(period) <= 3 or day(period) >= 28))
union all by name
select * exclude (wat_beside, wat_alone, wat_imputed_beside, wat_imputed_alone, wat_adjusted_beside, wat_adjusted_alone, sun_beside, sun_alone, sun_imputed_beside, sun_imputed_alone, sun_adjusted_beside, sun_adjusted_alone, wnd_beside, wnd_alone, wnd_imputed_beside, wnd_imputed_alone, wnd_adjusted_beside, wnd_adjusted_alone) replace (
    coalesce(wat_beside, wat_alone) as wat_mwh,
    if(wat_beside is null and wat_alone is not null, null, ps_mwh) as ps_mwh,
    coalesce(wat_imputed_beside, wat_imputed_alone) as wat_imputed_mwh,
    if(wat_imputed_beside is null and wat_imputed_alone is not null, null, ps_imputed_mwh) as ps_imputed_mwh,
    coalesce(wat_adjusted_beside, wat_adjusted_alone) as wat_adjusted_mwh,
    if(wat_adjusted_beside is null and wat_adjusted_alone is not null, null, ps_adjusted_mwh) as ps_adjusted_mwh,
    coalesce(sun_beside, sun_alone) as sun_mwh,
    if(sun_beside is null and sun_alone is not null, null, snb_mwh) as snb_mwh,
    coalesce(sun_imputed_beside, sun_imputed_alone) as sun_imputed_mwh,
    if(sun_imputed_beside is null and sun_imputed_alone is not null, null, snb_imputed_mwh) as snb_imputed_mwh,
    coalesce(sun_adjusted_beside, sun_adjusted_alone) as sun_adjusted_mwh,
    if(sun_adjusted_beside is null and sun_adjusted_alone is not null, null, snb_adjusted_mwh) as snb_adjusted_mwh,
    coalesce(wnd_beside, wnd_alone) as wnd_mwh,
    if(wnd_beside is null and wnd_alone is not null, null, wnb_mwh) as wnb_mwh,
    coalesce(wnd_imputed_beside, wnd_imputed_alone) as wnd_imputed_mwh,
    if(wnd_imputed_beside is null and wnd_imputed_alone is not null, null, wnb_imputed_mwh) as wnb_imputed_mwh,
    coalesce(wnd_adjusted_beside, wnd_adjusted_alone) as wnd_adjusted_mwh,
    if(wnd_adjusted_beside is null and wnd_adjusted_alone is not null, null, wnb_adjusted_mwh) as wnb_adjusted_mwh
)
from overlap
