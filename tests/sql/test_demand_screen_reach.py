"""How far the screening of demand reads: a month needs its lookback and lookahead, a flag no hour beyond, and what is
said at once no later hour at all. On series with every kind of error, at places that hypothesis chooses."""

from __future__ import annotations

from datetime import datetime, timedelta

import duckdb
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sql.invented_demand import Series, hour, screened_warehouse, usual
from tests.sql.model_files import MODELS, build

MODEL = MODELS["normalized.demand_screen"]
DAYS = 150
MONTH, NEXT = datetime(2021, 3, 1), datetime(2021, 4, 1)
IN_MONTH = f"hour_utc >= '{MONTH}' and hour_utc < '{NEXT}'"

ERRORS = st.lists(
    st.tuples(
        st.integers(0, 24 * DAYS - 60),  # first hour
        st.sampled_from([1, 1, 2, 7, 30, 50]),  # hours
        st.sampled_from([0.5, 0.6, 1.6, 2.0, 40.0, -1.0, 0.0, np.nan, np.inf]),  # factor
        st.sampled_from([1, 1, 2]),  # every hour, or every other
    ),
    min_size=10,
    max_size=40,
)


def spoiled(errors: list[tuple[int, int, float, int]], level_mwh: float) -> Series:
    series = usual(DAYS, level_mwh, seed=1)
    for first, hours, factor, step in errors:
        with np.errstate(invalid="ignore"):
            series[first : first + hours : step] *= factor
    return np.where(np.isneginf(series), np.inf, np.round(series))


def rows(con: duckdb.DuckDBPyConnection, where: str, columns: str = "*") -> list[tuple[object, ...]]:
    return con.execute(
        f"select region, hour_utc, {columns} from {MODEL.name} where {where} order by hour_utc"
    ).fetchall()


@settings(max_examples=12, deadline=None)
@given(errors=ERRORS, level_mwh=st.sampled_from([15.0, 60.0, 20_000.0]))
def test_a_month_needs_no_hour_beyond_its_lookback_and_lookahead(
    errors: list[tuple[int, int, float, int]], level_mwh: float
) -> None:
    con = screened_warehouse({"A": spoiled(errors, level_mwh)})
    whole = rows(con, IN_MONTH)
    assert len(whole) == 744
    first, end = MONTH - MODEL.lookback, NEXT + MODEL.lookahead
    # As in a build, tables with one row a month are read from the start of a month on.
    con.execute(f"delete from normalized.demand_reported where hour_utc < '{first}' or hour_utc >= '{end}'")
    for table in ("normalized.demand_span", "normalized.demand_level"):
        con.execute(f"delete from {table} where month_utc < '{first.replace(day=1)}' or month_utc >= '{end}'")
    build(con, MODEL.name)
    assert rows(con, IN_MONTH) == whole


@settings(max_examples=12, deadline=None)
@given(errors=ERRORS, level_mwh=st.sampled_from([15.0, 20_000.0]), now=st.integers(24 * 20, 24 * (DAYS - 65)))
def test_what_is_said_at_once_knows_no_later_hour_and_a_flag_none_beyond_the_lookahead(
    errors: list[tuple[int, int, float, int]], level_mwh: float, now: int
) -> None:
    con = screened_warehouse({"A": spoiled(errors, level_mwh)})
    until = f"hour_utc <= '{hour(now)}'"
    at_once, flags = rows(con, until, "demand_screened_mwh"), rows(con, until, "demand_flag")

    changed = "update normalized.demand_reported set demand_mwh = 30 * abs(demand_mwh) + 7 where hour_utc > "
    # A month's level is that of all its hours: a flag can move with the rest of its month.
    seen = max(hour(now) + MODEL.lookahead, (hour(now).replace(day=1) + timedelta(days=32)).replace(day=1))
    con.execute(f"{changed} '{seen}'")
    build(con, "normalized.demand_level", MODEL.name)
    assert rows(con, until, "demand_flag") == flags

    con.execute(f"{changed} '{hour(now)}'")
    build(con, "normalized.demand_level", MODEL.name)
    assert rows(con, until, "demand_screened_mwh") == at_once


def test_the_invented_errors_raise_every_flag() -> None:
    """Else the tests above would prove little."""
    chance = np.random.default_rng(3)
    factors = chance.choice([0.5, 0.6, 1.6, 2.0, 40.0, -1.0, np.nan, np.inf], 60)
    firsts, hours, steps = chance.integers(0, 24 * DAYS - 60, 60), chance.choice([1, 2, 7, 30], 60), [1, 2] * 30
    errors = list(zip(firsts.tolist(), hours.tolist(), factors.tolist(), steps, strict=True))
    con = screened_warehouse({"A": spoiled(errors, 60)})
    found = {row[0] for row in con.execute(f"select distinct demand_flag from {MODEL.name}").fetchall()}
    described = {row[0] for row in con.execute("select flag from normalized.flag where kind = 'screen'").fetchall()}
    assert found - {None} == described - {"clock_error"}
