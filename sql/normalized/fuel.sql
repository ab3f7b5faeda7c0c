/*---
description = """
EIA-930 fuel codes, old and new, and the family each belongs to. In 2024-25 EIA split codes, each authority at its own date:
WAT lost PS, SUN lost SNB, WND lost WNB, OTH lost GEO and the storage codes. The families coal, gas, nuclear, oil, hydro
(with pumped storage, which could not be told apart before), solar, wind and unknown mean the same on both sides of the split.
other, geothermal and storage do not: what they hold now was in OTH before, so only their sum is continuous
(other_combined_mwh in normalized.grid).
"""
materialized = "table"
grain = ["fuel"]

[columns]
fuel = "EIA fuel code (facet fueltype)."
name = "Name of the fuel; EIA's labels change case over time, the code does not."
family = "Family the code counts towards in normalized.grid."
renewable = "True for water, sun, wind and geothermal; pumped and other storage are not sources."
storage = "True where the value may be negative because it is charging."
may_be_negative = "True where the value may be far below zero: storage, and what may hold some (WAT and OTH did until 2024-25)."
steady = "True if plants neither stop nor start within an hour."
split_from = "Code this one was reported under before it existed; NULL for original codes."

[[audits]]
unique = ["fuel"]
[[audits]]
not_null = ["fuel", "name", "family", "renewable", "storage", "may_be_negative", "steady"]
[[audits]]
accepted_values = { column = "family", values = ["coal", "gas", "nuclear", "oil", "hydro", "solar", "wind", "geothermal", "storage", "other", "unknown"] }
[[audits]]
sql = "select * from normalized.fuel where split_from not in (select fuel from normalized.fuel)"
---*/
select
    fueltype as fuel,
    name,
    family,
    cast(renewable as boolean) as renewable,
    cast(storage as boolean) as storage,
    cast(may_be_negative as boolean) as may_be_negative,
    cast(steady as boolean) as steady,
    split_from
from seeds.fuel
