"""A column that a model passes on unchanged inherits its description."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from energywh.errors import ModelError
from energywh.models.project.graph import link
from energywh.models.project.project import load_project
from tests.models.folder import MODELS, Desk, write_models

BASE = """/*---
description = "Base."
grain = ["region", "hour_utc"]
[columns]
region = "Authority."
hour_utc = "Start of the hour, UTC."
demand_mwh = "[past] Demand, MWh."
clean_mwh = "[hindsight] Clean demand, MWh."
is_holiday = "[ahead] True on a holiday."
---*/
select 'A' as region, timestamp '2024-01-01' as hour_utc, 1.0 as demand_mwh, 2.0 as clean_mwh, true as is_holiday
"""


def reader(sql: str, *described: str, head: str = "") -> str:
    columns = "\n".join(f'{name} = "Own words of {name}."' for name in ("double_mwh", *described))
    return (
        f'/*---\ndescription = "Reader."\ngrain = ["region", "hour_utc"]\n{head}\n[columns]\n{columns}\n---*/\n{sql}\n'
    )


def columns(folder: Path, sql: str, *described: str) -> dict[str, str]:
    models = {"a/base.sql": BASE, "a/reader.sql": reader(sql, *described)}
    return dict(link(load_project(write_models(folder, models))).models["a.reader"].columns)


OWN = {"double_mwh": "Own words of double_mwh."}
KEYS = {"region": "Authority.", "hour_utc": "Start of the hour, UTC."}


@pytest.mark.parametrize(
    "sql",
    [
        "select region, hour_utc, 2 * demand_mwh as double_mwh, demand_mwh from a.base",
        "select b.region, b.hour_utc, 2 * b.demand_mwh as double_mwh, c.demand_mwh from a.base as b "
        "left join a.base as c on c.region = b.region and c.hour_utc = b.hour_utc",
        "with x as (select * exclude (clean_mwh, is_holiday) from a.base) "
        "select region, hour_utc, 2 * demand_mwh as double_mwh, demand_mwh from x",
        "select region, hour_utc, 2 * demand_mwh as double_mwh, demand_mwh from a.base "
        "union all select region, hour_utc, 0, demand_mwh from a.base",
    ],
)
def test_what_is_passed_on_unchanged_inherits_in_the_order_of_the_select(tmp_path: Path, sql: str) -> None:
    found = columns(tmp_path, sql)
    assert found == KEYS | OWN | {"demand_mwh": "[past] Demand, MWh."}
    assert list(found) == ["region", "hour_utc", "double_mwh", "demand_mwh"]


@pytest.mark.parametrize(
    "column",
    [
        "abs(demand_mwh) as demand_mwh",
        "demand_mwh as other_mwh",
        "clean_mwh as demand_mwh",
        "lag(demand_mwh) over (order by hour_utc) as demand_mwh",
        "coalesce(demand_mwh, clean_mwh) as demand_mwh",
    ],
)
def test_what_is_changed_or_renamed_needs_words_of_its_own(tmp_path: Path, column: str) -> None:
    found = columns(tmp_path, f"select region, hour_utc, 1 as double_mwh, {column} from a.base")
    assert found == KEYS | OWN


def test_own_words_stand_before_those_upstream(tmp_path: Path) -> None:
    found = columns(tmp_path, "select region, hour_utc, 1 as double_mwh from a.base", "region")
    assert found["region"] == "Own words of region."


@pytest.mark.parametrize(
    "on",
    [
        "b.hour_utc = a.hour_utc + interval 24 hour",
        "b.hour_utc - interval 24 hour = a.hour_utc",
        "b.hour_utc >= a.hour_utc",
        "b.hour_utc between a.hour_utc and a.hour_utc",
    ],
)
def test_values_of_other_hours_inherit_no_mark_that_would_be_wrong_there(tmp_path: Path, on: str) -> None:
    found = columns(
        tmp_path,
        "select a.region, a.hour_utc, 1 as double_mwh, b.demand_mwh, b.clean_mwh, b.is_holiday "
        f"from a.base as a join a.base as b on {on}",
    )
    assert found.keys() == {"region", "hour_utc", "double_mwh", "clean_mwh", "is_holiday"}


def test_a_promise_about_a_column_that_is_neither_described_nor_inherited_is_refused(tmp_path: Path) -> None:
    text = reader("select region, hour_utc, 1 as double_mwh from a.base", head='time_column = "hours_utc"')
    with pytest.raises(ModelError, match=r"reader\.sql:4: 'time_column' names 'hours_utc', .* did you mean hour_utc"):
        link(load_project(write_models(tmp_path, {"a/base.sql": BASE, "a/reader.sql": text})))


def test_an_hour_that_is_inherited_places_the_rows_in_time(tmp_path: Path) -> None:
    text = reader("select region, hour_utc, 1 as double_mwh from a.base").replace(', "hour_utc"]', "]")
    found = link(load_project(write_models(tmp_path, {"a/base.sql": BASE, "a/reader.sql": text})))
    assert found.models["a.reader"].time_column == "hour_utc"


def test_new_words_upstream_reach_the_database_without_building_anything(tmp_path: Path) -> None:
    shifted = "features/shifted.sql"
    desk = Desk(tmp_path)
    desk.write(shifted, MODELS[shifted].replace('region = "Authority."\n', ""))
    desk.land_demand(date(2024, 1, 1), 100)
    desk.build()
    comment = "select comment from duckdb_columns() where table_name = 'shifted' and column_name = 'region'"
    assert desk.query(comment) == [("Authority.",)]
    desk.write("normalized/grid.sql", MODELS["normalized/grid.sql"].replace('"Authority."', '"Balancing authority."'))
    report = desk.build()
    assert desk.query(comment) == [("Balancing authority.",)]
    assert not any(result.changed for result in report.models)
    assert not desk.build().published


def test_a_column_that_neither_is_described_nor_inherits_ends_the_build(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.write("features/shifted.sql", MODELS["features/shifted.sql"].replace("as before_mwh", "as earlier_mwh"))
    with pytest.raises(ModelError, match=r"does not return before_mwh; \[columns\] does not list earlier_mwh"):
        desk.build()
