"""The lineage of the shipped models, compared with hand-written expectations and with the behavior of their SQL."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest

from energywh.core.paths import Home, sql_dir
from energywh.core.sql_text import quoted
from energywh.models.catalog.lineage import Lineage, LineageStep
from energywh.models.catalog.read_lineage import read_lineage
from energywh.models.tracing.traces import ROWS
from tests.sql.model_files import MODELS, NAMES, built_fixture, column_types, graph

SAMPLE = 4  # groups of columns of a model, each of which costs a query of the whole model
EXPECTED: dict[str, list[str]] = tomllib.loads(Path(__file__).with_name("lineage.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def lineage() -> Lineage:
    return read_lineage(Home(Path("/nonexistent")), sql=sql_dir())


def ends(step: LineageStep) -> set[str]:
    """What the value of a column comes from in the end: fields of sources, and columns of seeds."""
    return {str(each.field or each.name) for each in step.steps() if each.kind != "model"}


@pytest.mark.parametrize("column", EXPECTED)
def test_a_column_comes_from_what_a_person_says_it_does(lineage: Lineage, column: str) -> None:
    assert ends(lineage.step(lineage.pick(column))) == set(EXPECTED[column])


@pytest.mark.parametrize("name", NAMES)
def test_every_column_reaches_a_source_or_a_seed(lineage: Lineage, name: str) -> None:
    traced = lineage.models[name]
    assert not traced.note
    assert list(traced.columns) == list(column_types()[name])
    for column in traced.columns:
        step = lineage.step((name, column))
        # A constant says which of the tables read a row is from: its rows come from sources.
        reached = ends(step) or any(
            each.constants and ends(lineage.step((each.table, ROWS))) for each in step.steps() if each.kind == "model"
        )
        assert reached, f"{name}.{column}"
        assert all(each.field for each in step.steps() if each.kind == "staging")


def outcome(con: duckdb.DuckDBPyConnection, name: str) -> dict[str, Counter[str]]:
    """The values of each column that the model returns, without their order."""
    cursor = con.execute(MODELS[name].sql)
    names = [each[0] for each in cursor.description or []]
    return {column: Counter(map(repr, values)) for column, values in zip(names, _columns(cursor, names), strict=True)}


def _columns(cursor: duckdb.DuckDBPyConnection, names: list[str]) -> list[tuple[Any, ...]]:
    return list(zip(*cursor.fetchall(), strict=True)) or [()] * len(names)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", ["some columns", pytest.param("all columns", marks=pytest.mark.soak)])
def test_no_column_changes_with_what_its_lineage_leaves_out(lineage: Lineage, name: str, part: str) -> None:
    """Columns of the tables that a model reads are set to NULL in its fixture; those that the same columns are said to
    depend on, at once."""
    traced = lineage.models[name]
    con = built_fixture(name)
    before = outcome(con, name)
    groups: dict[tuple[str, frozenset[str]], list[str]] = {}
    for table in sorted(graph().parsed[name].tables):
        for column in column_types()[table]:
            place = (table, column)
            may_change = {
                output for output, trace in traced.columns.items() if place in trace.places or place in traced.rows
            }
            groups.setdefault((table, frozenset(may_change)), []).append(column)
    every = 1 if part == "all columns" else len(groups) // SAMPLE + 1
    for (table, may_change), columns in list(groups.items())[::every]:
        con.execute("begin")
        con.execute(f"update {table} set {', '.join(f'{quoted(column)} = null' for column in columns)}")
        after = outcome(con, name)
        con.execute("rollback")
        changed = {output for output in before if before[output] != after[output]}
        assert changed <= may_change, f"{', '.join(columns)} of {table} change {changed - may_change}"
