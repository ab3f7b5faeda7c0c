/*---
description = """
Meaning of each flag: its rule in words, its parameters and its source. demand_flag holds codes of kind screen, demand_repair
codes of kind repair, generation_flag codes of kind generation, and all other flags codes of kind measure.
"""
materialized = "table"
grain = ["kind", "flag"]

[columns]
flag = "Code of the flag; the same code in two kinds means two rules."
kind = "screen: an error of reported demand; generation: of generation by fuel; measure: of a forecast, net generation, total interchange or a subregion's demand; repair: the method of an estimate."
name = "Readable name."
rule = "The rule in words. A value that breaks several rules has the flag of the first in the order of the screening."
parameters = "Numbers of the rule: limits and lengths of windows; NULL where it has none."
looks_ahead = "True if the rule uses later hours: the flag of a new hour can appear or change as they arrive."
source = "Source of the rule: the paper, a function of public code, or ours."

[[audits]]
unique = ["kind", "flag"]
[[audits]]
not_null = ["flag", "kind", "name", "rule", "looks_ahead", "source"]
[[audits]]
accepted_values = { column = "kind", values = ["screen", "repair", "generation", "measure"] }
---*/
select flag, kind, name, rule, parameters, looks_ahead, source
from seeds.flag
