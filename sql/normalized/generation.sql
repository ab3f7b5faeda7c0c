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
generation_screened_mwh = "Net generation as reported, MWh; NULL where by the end of that very hour it could be seen to be wrong. Looks at no later hour."
generation_clean_mwh = "[hindsight] Generation to use, MWh: as reported where there is no flag, else NULL."
---*/
select
    g.region,
    g.hour_utc,
    g.fuel,
    g.generation_mwh,
    s.generation_flag,
    if(s.is_known_at_once, null, g.generation_mwh) as generation_screened_mwh,
    if(s.generation_flag is null, g.generation_mwh, null) as generation_clean_mwh,
    g.generation_imputed_mwh,
    g.generation_adjusted_mwh,
    g.source,
    g.correction
from normalized.generation_reported as g
left join normalized.generation_screen as s on s.region = g.region and s.hour_utc = g.hour_utc and s.fuel = g.fuel
