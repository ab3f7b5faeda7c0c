/*---
description = """
EIA-930 fuel codes, old and new, and the family of each. In 2024-25 EIA split codes, at a different date for each authority:
PS from WAT, SNB from SUN, WNB from WND, GEO and the storage codes from OTH. The families coal, gas, nuclear, oil, hydro
(with pumped storage, which was not separate before), solar, wind and unknown mean the same before and after the split.
other, geothermal and storage do not: all were in OTH before, so only their sum is continuous
(other_combined_mwh in normalized.grid).
"""
materialized = "table"
grain = ["fuel"]

[columns]
fuel = "EIA fuel code (facet fueltype)."
name = "Name of the fuel; EIA's labels change case over time, the code does not."
family = "Family to which normalized.grid adds the code."
renewable = "True for hydro, solar, wind and geothermal; pumped and other storage are not energy sources."
storage = "True if the value may be negative because of charging."
may_be_negative = "True if the value may be far below zero: storage, and codes that may include storage (WAT and OTH did until 2024-25)."
steady = "True if plants neither stop nor start within an hour."
split_from = "Code that included this one before the split; NULL for original codes."

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
