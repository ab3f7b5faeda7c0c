/*---
description = """
Net generation of each respondent by EIA fuel code, as reported and with what is to be thought of it, one row an hour and code that the
source has; normalized.fuel gives each code's family. Reported values are kept as they are: generation_flag says what is
suspicious, and generation_clean_mwh is NULL there. Nothing is filled: a gap in generation is not invented.
"""
materialized = "view"
grain = ["region", "hour_utc", "fuel"]
lookback = "0h"

[columns]
region = "Respondent, EIA code; authorities and, where synced, aggregates."
hour_utc = "Start of the hour, UTC (EIA's period is its end)."
fuel = "EIA fuel code as reported, old or new."
generation_mwh = "Net generation as reported, MWh; storage is negative while it charges, and small negative values of other fuels are self-use."
generation_flag = "Why generation_mwh is not to be trusted, a code of normalized.flag; NULL where nothing is known against it."
generation_clean_mwh = "Generation to use, MWh: as reported where there is no flag, else NULL."
generation_imputed_mwh = "What EIA imputed where the value was missing or beyond belief, MWh; only in the half-year files."
generation_adjusted_mwh = "Net generation after EIA's adjustments, MWh; only in the half-year files."
source = "Where the value is from: eia (the API) or eia_files (the half-year files)."
correction = "clock where the row was moved here from the hour for which it was reported; NULL where it is as reported."

---*/
select
    g.region,
    g.hour_utc,
    g.fuel,
    g.generation_mwh,
    s.generation_flag,
    if(s.generation_flag is null, g.generation_mwh, null) as generation_clean_mwh,
    g.generation_imputed_mwh,
    g.generation_adjusted_mwh,
    g.source,
    g.correction
from normalized.generation_reported as g
left join normalized.generation_screen as s on s.region = g.region and s.hour_utc = g.hour_utc and s.fuel = g.fuel
