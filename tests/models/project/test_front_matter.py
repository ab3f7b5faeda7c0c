"""A model file is read completely, or rejected with file and line."""

from datetime import timedelta
from pathlib import Path

import pytest

from energywh.errors import ModelError
from energywh.models.project.graph import link
from energywh.models.project.project import load_project
from tests.models.folder import write_models

GOOD = '''/*---
description = """
Hourly demand,
one row an hour.
"""
grain = ["region", "hour_utc"]
lookback = "2d"

[columns]
region = "Authority."
hour_utc = "Hour."
demand_mwh = "Demand, MWh."

[[audits]]
unique = ["region", "hour_utc"]
[[audits]]
accepted_values = { column = "region", values = ["CISO", "BPAT"] }
[[audits]]
range = { column = "demand_mwh", min = 0 }
severity = "warn"
[[audits]]
sql = "select * from normalized.demand where demand_mwh > 200000;"
description = "No authority is that large."
---*/
select 1 as region -- the end
;
'''


def read(tmp_path: Path, text: str, name: str = "normalized/demand.sql"):
    return link(load_project(write_models(tmp_path, {name: text}))).models[name.removesuffix(".sql").replace("/", ".")]


def test_a_model_file_is_read(tmp_path: Path) -> None:
    model = read(tmp_path, GOOD)
    assert model.name == "normalized.demand"
    assert model.description == "Hourly demand, one row an hour."
    assert (model.materialized, model.refresh, model.time_column) == ("table", "incremental", "hour_utc")
    assert model.lookback == timedelta(hours=48)
    assert list(model.columns) == ["region", "hour_utc", "demand_mwh"]
    assert model.sql == "select 1 as region -- the end"
    assert model.sql_line == 25
    assert [(audit.name, audit.severity, audit.line) for audit in model.audits] == [
        ("unique(region, hour_utc)", "error", 15),
        ("accepted_values(region)", "error", 17),
        ("range(demand_mwh)", "warn", 19),
        ("sql 4", "error", 22),
    ]
    assert model.audits[3].sql.endswith("200000")


def test_an_audit_may_have_a_name_that_no_other_of_its_model_has_and_be_left_to_check(tmp_path: Path) -> None:
    named = GOOD.replace('severity = "warn"', 'severity = "warn"\nname = "low"\nwhen = "check"')
    audits = read(tmp_path, named).audits
    assert [(audit.name, audit.when) for audit in audits][1:3] == [
        ("accepted_values(region)", "build"),
        ("low", "check"),
    ]
    twice = named.replace('description = "No authority', 'name = "low"\ndescription = "No authority')
    with pytest.raises(ModelError, match=r":23: two audits are named 'low'"):
        read(tmp_path, twice)


def test_words_change_the_file_hash_and_the_query_changes_both(tmp_path: Path) -> None:
    model = read(tmp_path, GOOD)
    worded = read(tmp_path, GOOD.replace("Demand, MWh.", "Demand as reported, MWh."))
    queried = read(tmp_path, GOOD.replace("select 1", "select 2"))
    looking = read(tmp_path, GOOD.replace('"2d"', '"3d"'))
    assert worded.sql_hash == model.sql_hash
    assert worded.file_hash != model.file_hash
    assert len({model.sql_hash, queried.sql_hash, looking.sql_hash}) == 3


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (("lookback", "lookbak"), 7, "unknown key 'lookbak'; did you mean lookback or lookahead?"),
        (('"2d"', '"2 moons"'), 7, "'lookback' must be a number and h, d or w"),
        (('grain = ["region", "hour_utc"]', 'grain = ["region", "hour"]'), 6, "'grain' names 'hour'"),
        (("grain", "materialised"), 6, "unknown key 'materialised'; did you mean materialized?"),
        (
            ("lookback", 'materialized = "tabel"\nlookback'),
            7,
            "must be table, view or inline, not 'tabel'",
        ),
        (("lookback", 'refresh = "never"\nlookback'), 7, "'refresh' must be incremental or full"),
        (("lookback", 'time_column = "houre_utc"\nlookback'), 7, "did you mean hour_utc?"),
        (('"Hour."', '""'), 11, "'hour_utc' must be a text that is not empty"),
        (('"Demand, MWh."', "5"), 12, "'demand_mwh' must be a text that is not empty, not 5"),
        (('unique = ["region"', 'uniqe = ["region"'), 15, "unknown key 'uniqe' in an audit; did you mean unique?"),
        (('unique = ["region"', 'unique = ["regio"'), 15, "'unique' names 'regio'"),
        (
            ('severity = "warn"', 'severity = "wran"'),
            20,
            "'severity' must be error or warn, not 'wran'; did you",
        ),
        (('severity = "warn"', 'when = "chek"'), 20, "'when' must be build or check, not 'chek'; did you mean check?"),
        (
            ('severity = "warn"', 'name = "Too low"'),
            20,
            "'name' must be made of lower-case letters",
        ),
        (("lookback", 'may_be_empty = "yes"\nlookback'), 7, "'may_be_empty' must be true or false, not 'yes'"),
        (('range = { column = "demand_mwh", min = 0 }', 'range = { column = "demand_mwh" }'), 19, "'range' needs"),
        (('unique = ["region", "hour_utc"]', 'unique = "region"'), 15, "'unique' must be a list of column names"),
        (('unique = ["region", "hour_utc"]', "not_null = []"), 15, "'not_null' must be a list of column names"),
        (('unique = ["region", "hour_utc"]', 'not_null = ["hour"]'), 15, "'not_null' names 'hour', which is not in"),
        (('column = "region", ', ""), 17, "'accepted_values' needs 'column': the name of a column"),
        (('column = "region"', 'column = "regio"'), 17, "'accepted_values' names 'regio', which is not in [columns]"),
        (('values = ["CISO", "BPAT"]', 'values = "CISO"'), 17, "'values' must be a list of texts"),
        (
            ('values = ["CISO", "BPAT"]', "values = [[" + '"CISO"]]'),
            17,
            "'values' must be a list of texts",
        ),
        (
            ('{ column = "region", values = ["CISO", "BPAT"] }', '["CISO"]'),
            17,
            "must be a table with column and values",
        ),
        (('column = "demand_mwh"', 'column = ["demand_mwh"]'), 19, "'column' must be the name of a column, not ["),
        (('column = "demand_mwh"', 'column = "demand"'), 19, "did you mean demand_mwh?"),
        (("min = 0", 'min = "0"'), 19, "'min' must be a number, not '0'"),
        (("min = 0", "min = true"), 19, "'min' must be a number, not True"),
        (("min = 0", "max = nan"), 19, "'range' needs numbers"),
        (("min = 0", "min = 5, max = 1"), 19, "'range' has a 'min' of 5 above its 'max' of 1"),
        (
            ('range = { column = "demand_mwh", min = 0 }', "range = 5"),
            19,
            "'range' must be a table with column, min and max",
        ),
        (
            ('sql = "select * from normalized.demand where demand_mwh > 200000;"', "sql = 5"),
            22,
            "'sql' must be a SELECT",
        ),
        (('sql = "select * from normalized.demand where demand_mwh > 200000;"', 'sql = " "'), 22, "'sql' must be"),
        (('description = "No authority is that large."', "description = 5"), 23, "'description' must be a text"),
        (('severity = "warn"', 'severity = ["warn"]'), 20, "'severity' must be error or warn"),
        (("lookback", 'time_column = ["hour_utc"]\nlookback'), 7, "'time_column' must be the name of a column"),
        (('values = ["CISO", "BPAT"]', "values = []"), 17, "'values' must be a list of texts"),
        (("min = 0", "mini = 0"), 19, "unknown key 'mini' in 'range'; did you mean min?"),
        (('severity = "warn"', 'unique = ["region"]'), 18, "an audit has exactly one of"),
        (('"Authority."', "Authority."), 10, "not valid TOML"),
        (('"Authority."', '"*/"'), 10, "'*/' inside the front matter"),
        (("---*/", "--*/"), 1, "not closed"),
        (("/*---", "/*--"), 1, "a model begins with its front matter"),
        (("select 1 as region -- the end", ""), 26, "no SELECT"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(
    tmp_path: Path, change: tuple[str, str], line: int, message: str
) -> None:
    with pytest.raises(ModelError) as caught:
        read(tmp_path, GOOD.replace(*change, 1))
    assert str(caught.value).startswith(f"{tmp_path}/normalized/demand.sql:{line}: ")
    assert message in str(caught.value)


def test_columns_description_and_grain_are_required(tmp_path: Path) -> None:
    for missing in ("description", "grain", "columns"):
        lines = {
            "description": 'description = "D."',
            "grain": 'grain = ["a"]',
            "columns": '[columns]\na = "A."',
        }
        del lines[missing]
        with pytest.raises(ModelError, match=f"{missing}"):
            read(tmp_path, "/*---\n" + "\n".join(lines.values()) + "\n---*/\nselect 1 as a")


def test_a_file_name_that_cannot_name_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'Demand-2' cannot name a table"):
        read(tmp_path, GOOD, "normalized/Demand-2.sql")
