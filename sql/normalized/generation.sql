/*---
description = """
Net generation of each respondent by EIA fuel code, as reported and flagged, one row for each hour and code that the source has;
normalized.fuel has each code's family. Reported values are unchanged: generation_flag is the reason why a value is suspicious,
and generation_clean_mwh is NULL there. Gaps are not filled.
"""
materialized = "view"
grain = ["region", "hour_utc", "fuel"]
lookback = "0h"

[columns]
generation_screened_mwh = "Net generation as reported, MWh; NULL if data up to the end of the same hour show that it is wrong. Uses no later hour."
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
