"""features.hourly may not know at hour t what happens after t, nor its own target at t."""

import re
from datetime import datetime

import duckdb
import pytest

from tests.sql.model_files import MODELS, ORDER, build, load_seeds, rows, warehouse
from tests.sql.test_incremental import fill_staging

MODEL = MODELS["features.hourly"]
NOW = datetime(2024, 11, 20, 17)
KEY = ("CISO", NOW)


def marked(*marks: str) -> set[str]:
    """Columns whose description begins with one of the marks in brackets."""
    found = {c: re.match(r"\[(.+?)\]", text) for c, text in MODEL.meta["columns"].items()}
    return {c for c, m in found.items() if m and m[1] in marks}


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    con = warehouse()
    load_seeds(con)
    fill_staging(con)
    build(con, *ORDER)
    return con


def measured(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Columns of normalized.grid that hold MWh."""
    return [c for c in con.table("normalized.grid").columns if c.endswith("_mwh")]


def moved(con: duckdb.DuckDBPyConnection, change: str, where: str) -> set[str]:
    """Columns of features.hourly at KEY that move when normalized.grid is changed where nothing is missing."""
    con.execute("update normalized.grid set " + ", ".join(f"{c} = coalesce({c}, 50)" for c in measured(con)))
    before = rows(con, MODEL.sql, MODEL.grain)[KEY]
    con.execute(f"update normalized.grid set {change} where region = '{KEY[0]}' and {where}")
    after = rows(con, MODEL.sql, MODEL.grain)[KEY]
    return {c for c in before if before[c] != after[c]}


def test_every_column_but_the_grain_says_when_it_is_known() -> None:
    assert set(MODEL.meta["columns"]) - set(MODEL.grain) == marked("target", "ahead", "at t", "past")
    assert marked("target") == {"demand_mwh"}


def test_nothing_moves_when_the_future_of_every_source_changes(con: duckdb.DuckDBPyConnection) -> None:
    before = rows(con, f"select * from features.hourly where hour_utc <= '{NOW}'", MODEL.grain)
    period = NOW.replace(hour=NOW.hour + 1)  # the end of hour NOW
    for table in ("region_data", "fuel_type_data", "interchange_data"):
        con.execute(f"update staging.eia.{table} set value = -3 * value - 77 where period > ?", [period])
    con.execute(
        "delete from staging.eia.region_data where period > ? and respondent = 'LGEE'", [period]
    )  # what was known ends, too
    con.execute(
        "insert into staging.eia.fuel_type_data values (?, 'AVRN', 'SNB', 5, now()::timestamp)",
        [datetime(2024, 12, 1)],
    )
    build(con, *ORDER)
    after = rows(con, f"select * from features.hourly where hour_utc <= '{NOW}'", MODEL.grain)
    assert len(before) > 2000
    assert before == after


def test_only_the_target_moves_when_the_target_changes(con: duckdb.DuckDBPyConnection) -> None:
    change = "demand_mwh = demand_mwh + 1000, net_load_mwh = net_load_mwh + 1000"
    assert moved(con, change, f"hour_utc = '{NOW}'") == {"demand_mwh"}


def test_just_the_columns_marked_at_t_move_with_what_else_is_reported_at_t(con: duckdb.DuckDBPyConnection) -> None:
    others = [c for c in measured(con) if not c.startswith("demand")]
    change = ", ".join(f"{c} = {i}.5 * {c} + {i * i}" for i, c in enumerate(others, 2))
    assert moved(con, change, f"hour_utc = '{NOW}'") == marked("at t")


def test_every_past_column_and_no_other_moves_when_the_past_changes(con: duckdb.DuckDBPyConnection) -> None:
    change = ", ".join(f"{c} = {i}.5 * {c} + {i} * hour(hour_utc)" for i, c in enumerate(measured(con), 2))
    found = moved(con, change, f"hour_utc < '{NOW}'")
    assert found == marked("past") - {"demand_count_168h"}  # no value was added or taken away
