"""No feature may know at hour t what happens after t, nor more about t itself than it says.

Which columns there are, and what each claims, is read from the model files: of each model in sql/features every column
but the grain begins its description with [target], [ahead], [at t] or [past], or it does not depend on anything that
is measured, as the calendar.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import duckdb
import pytest

from tests.sql.filled_staging import LAST, fill_staging, read_datasets, stamps
from tests.sql.model_files import GRAPH, MODELS, ORDER, build, column_types, load_seeds, rows, warehouse

NOW = datetime(2024, 11, 20, 17)
REGION = "CISO"
TARGET = ("normalized.demand", "demand_mwh")
FEATURES = [name for name in ORDER if MODELS[name].schema == "features"]
SHIPPED = {name: MODELS[name].sql for name in FEATURES}
MARKS = ("target", "ahead", "at t", "past")

Column = tuple[str, str]  # model, column


def mark_of(column: Column) -> str | None:
    """What a column of a features model claims to know."""
    found = re.match(r"\[(.+?)\]", MODELS[column[0]].columns[column[1]])
    return found[1] if found else None


def marked(*marks: str) -> set[Column]:
    """Columns of features models with one of the marks."""
    return {(name, column) for name in FEATURES for column in MODELS[name].columns if mark_of((name, column)) in marks}


def measured(table: str) -> list[str]:
    """Columns of a table that hold measured numbers."""
    return [name for name, kind in column_types()[table].items() if kind in ("DOUBLE", "FLOAT")]


def sources() -> list[str]:
    """Models with measured hours that features read, other features apart."""
    read = {table for name in FEATURES for table in GRAPH.upstream(name) if table in MODELS}
    return [name for name in ORDER if name in read - {*FEATURES} and MODELS[name].time_column and measured(name)]


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """A warehouse built from filled staging."""
    con = warehouse()
    load_seeds(con)
    fill_staging(con)
    build(con, *ORDER)
    return con


@pytest.fixture
def narrow(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The same, but the sources of features hold one region around NOW only, with no measured value missing."""
    lookback = max(MODELS[name].lookback for name in FEATURES) + timedelta(hours=30)
    for table in sources():
        con.execute(
            f"delete from {table} where region <> '{REGION}' or hour_utc < '{NOW - lookback}' "
            f"or hour_utc > timestamp '{NOW}' + interval 30 hour"
        )
        filled = ", ".join(f"{column} = coalesce({column}, 50)" for column in measured(table))
        con.execute(f"update {table} set {filled}")
    return con


def values(con: duckdb.DuckDBPyConnection, sql: Mapping[str, str]) -> dict[Column, object]:
    """Every column of every features model at NOW, the models built from `sql`."""
    found: dict[Column, object] = {}
    for name in FEATURES:
        con.execute(f"create or replace table {name} as {sql[name]}")
        row = rows(con, f"from {name} where hour_utc = '{NOW}' and region = '{REGION}'", MODELS[name].grain)
        found |= {(name, column): value for column, value in row[REGION, NOW].items()}
    return found


def moved(
    con: duckdb.DuckDBPyConnection,
    columns: Mapping[str, list[str]],
    where: str,
    sql: Mapping[str, str] = SHIPPED,
    signs: Sequence[str] = ("+", "-"),  # up for what takes the greatest, down for what takes the least
) -> set[Column]:
    """Columns of features at NOW that move when `columns` of the sources are changed, each otherwise."""
    before = values(con, sql)
    found: set[Column] = set()
    for sign in signs:
        con.execute("begin")
        number = 1
        for table, names in columns.items():
            changes = []
            for name in names:
                number += 1
                changes.append(f"{name} = {sign}({number}.5 * abs({name}) + {number} * (1 + hour(hour_utc)))")
            con.execute(f"update {table} set {', '.join(changes)} where {where}")
        after = values(con, sql)
        con.execute("rollback")
        found |= {column for column in before if before[column] != after[column]}
    return found


def moving_with_the_target(con: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Columns of the sources that hold the target of their own hour, as demand less solar and wind does."""
    table, target = TARGET
    downstream = [name for name in ORDER if name in sources() and table in GRAPH.ancestors([name])]

    def hours() -> dict[str, dict[tuple[object, ...], dict[str, object]]]:
        build(con, *downstream)
        of_hour = f"where hour_utc = '{NOW}'"
        return {name: rows(con, f"from {name} {of_hour}", MODELS[name].grain) for name in downstream}

    con.execute("begin")
    before = hours()
    con.execute(f"update {table} set {target} = 3 * {target} + 1000 where hour_utc = '{NOW}'")
    after = hours()
    con.execute("rollback")
    return {
        name: sorted({c for key, row in before[name].items() for c in row if row[c] != after[name][key][c]})
        for name in downstream
    }


def leaks(con: duckdb.DuckDBPyConnection, holds_target: Mapping[str, list[str]], sql: Mapping[str, str]) -> set[Column]:
    """Columns that know more than they say."""
    every = {table: measured(table) for table in sources()}
    at_now = f"hour_utc = '{NOW}'"
    found = moved(con, every, f"hour_utc > '{NOW}'", sql)
    found |= moved(con, holds_target, at_now, sql) - marked("target")
    found |= moved(con, every, at_now, sql) - marked("target", "at t", "ahead")
    for table, names in every.items():
        for name in names:  # what is known ahead may move only with what is known ahead
            for column in moved(con, {table: [name]}, at_now, sql, "+") & marked("ahead"):
                if (column[0], name) not in marked("ahead"):
                    found.add(column)
    return found


def test_a_column_says_when_it_is_known_or_depends_on_nothing_measured(con: duckdb.DuckDBPyConnection) -> None:
    for name in FEATURES:
        marks = {column: mark_of((name, column)) for column in MODELS[name].columns if column not in MODELS[name].grain}
        wrong = [column for column, mark in marks.items() if mark not in (MARKS if any(marks.values()) else (None,))]
        assert not wrong, f"{name}: {', '.join(wrong)} must begin with one of {MARKS} in brackets"
    assert {column for _, column in marked("target")} == {TARGET[1]}
    before = {name: con.sql(f"from {name} order by region, hour_utc").fetchall() for name in FEATURES}
    for dataset in read_datasets():
        changed = ", ".join(f"{value} = -3 * {value} - 77" for value in dataset.values)
        con.execute(f"update staging.{dataset.name} set {changed}")
    build(con, *ORDER)
    for name in FEATURES:
        after = con.sql(f"from {name} order by region, hour_utc").fetchall()
        for place, column in enumerate(MODELS[name].columns):
            if mark_of((name, column)) is None:
                assert [row[place] for row in before[name]] == [row[place] for row in after], f"{name}.{column}"


def test_nothing_moves_when_the_future_of_every_source_changes(con: duckdb.DuckDBPyConnection) -> None:
    until = f"where hour_utc <= '{NOW}'"
    before = {name: rows(con, f"from {name} {until}", MODELS[name].grain) for name in FEATURES}
    for dataset in read_datasets():
        future = stamps(dataset, NOW + timedelta(hours=1), datetime(2100, 1, 1))
        changed = ", ".join(f"{value} = -3 * {value} - 77" for value in dataset.values)
        con.execute(f"update staging.{dataset.name} set {changed} where {future}")
        if dataset.source == "eia" and "respondent" in dataset.keys:  # what was known ends, too
            con.execute(f"delete from staging.{dataset.name} where {future} and respondent = 'LGEE'")
    con.execute(
        "insert into staging.eia.fuel_type_data values (?, 'AVRN', 'SNB', 5, now()::timestamp)",
        [LAST - timedelta(days=19)],
    )
    build(con, *ORDER)
    for name in FEATURES:
        assert len(before[name]) > 2000
        assert before[name] == rows(con, f"from {name} {until}", MODELS[name].grain)


def test_no_column_knows_more_than_it_says(narrow: duckdb.DuckDBPyConnection) -> None:
    holds_target = moving_with_the_target(narrow)
    assert {"demand_mwh", "net_load_mwh", "balance_residual_mwh"} <= set(holds_target["normalized.grid"])
    assert leaks(narrow, holds_target, SHIPPED) == set()


def test_every_column_that_claims_to_know_the_hour_or_the_past_does(narrow: duckdb.DuckDBPyConnection) -> None:
    every = {table: measured(table) for table in sources()}
    assert marked("target", "at t") <= moved(narrow, every, f"hour_utc = '{NOW}'")
    counts = {column for column in marked("past") if "_count_" in column[1]}  # no value is added or taken away
    assert moved(narrow, every, f"hour_utc < '{NOW}'") == marked("past") - counts


@pytest.mark.parametrize(
    ("written", "leaking", "columns"),
    [
        ("lag(demand_mwh, 1) over hours", "lead(demand_mwh, 1) over hours",
         {"demand_lag_1h_mwh", "demand_ramp_1h_mwh", "demand_ramp_3h_mwh", "demand_ramp_6h_mwh"}),
        ("lag(demand_mwh, 24) over hours", "demand_mwh", {"demand_lag_24h_mwh"}),
        ("lag(solar_mwh, 24) over hours", "lead(solar_mwh, 24) over hours", {"solar_lag_24h_mwh"}),
        ("between 24 preceding and 1 preceding", "between 24 preceding and current row",
         {f"demand_{what}_24h_mwh" for what in ("mean", "std", "min", "max")}
         | {"forecast_error_mean_24h_mwh", "forecast_error_abs_mean_24h_mwh"}),
        ("    w.solar_mwh,\n", "    w.solar_mwh + 1e-3 * w.demand_mwh as solar_mwh,\n", {"solar_mwh"}),
        ("    w.demand_forecast_mwh,\n", "    w.demand_forecast_mwh + w.wind_mwh as demand_forecast_mwh,\n",
         {"demand_forecast_mwh"}),
        ("    c.hour_sin,\n", "    c.hour_sin + w.net_generation_mwh as hour_sin,\n", {"hour_sin"}),
    ],
)  # fmt: skip
def test_a_leak_would_be_found(
    narrow: duckdb.DuckDBPyConnection, written: str, leaking: str, columns: set[str]
) -> None:
    assert written in SHIPPED["features.hourly"]
    sql = SHIPPED | {"features.hourly": SHIPPED["features.hourly"].replace(written, leaking, 1)}
    found = leaks(narrow, moving_with_the_target(narrow), sql)
    assert columns <= {column for _, column in found}
    assert {name for name, _ in found} == {"features.hourly"}
