/*---
description = """
What each flag means: the rule in words, its parameters and its source. Codes of demand_flag are those of kind screen, of
demand_repair those of kind repair, of generation_flag those of kind generation, of all other flags those of kind measure.
"""
materialized = "table"
grain = ["kind", "flag"]

[columns]
flag = "The code; the same code in two kinds stands for two rules."
kind = "screen: what is wrong with a reported demand; generation: with a value of generation; measure: with a forecast, net generation, total interchange or a subregion's demand; repair: how an estimate was made."
name = "What people call it."
rule = "The rule in words. Of several rules that a value breaks, the first in the order of the screening is its flag."
parameters = "Numbers of the rule: limits and lengths of windows; NULL where it has none."
looks_ahead = "True where the rule reads later hours: the flag of a new hour can appear or change as they arrive."
source = "Where the rule is from: the paper, a function of public code, or ours."

[[audits]]
unique = ["kind", "flag"]
[[audits]]
not_null = ["flag", "kind", "name", "rule", "looks_ahead", "source"]
[[audits]]
accepted_values = { column = "kind", values = ["screen", "repair", "generation", "measure"] }
---*/
select flag, kind, name, rule, parameters, looks_ahead, source
from seeds.flag
