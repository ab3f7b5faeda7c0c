"""How far the screening of demand reads: a month needs its lookback and lookahead, a flag no hour beyond, and what is
said at once no later hour at all. On series so rough that many an hour stands at the edge of a rule."""

from __future__ import annotations

from datetime import datetime, timedelta

import duckdb
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.sql.invented_demand import Series, hour, screened_warehouse, usual
from tests.sql.model_files import MODELS, build
from tests.support.examples import examples

MODEL = MODELS["normalized.demand_screen"]
DAYS = 150
MONTH, NEXT = datetime(2021, 3, 1), datetime(2021, 4, 1)
IN_MONTH = f"hour_utc >= '{MONTH}' and hour_utc < '{NEXT}'"
SEED = st.integers(0, 10_000)
FEW = settings(
    max_examples=examples(5), deadline=None, phases=(Phase.explicit, Phase.generate)
)  # shrinking would say nothing more


def rough(level_mwh: float, noise: float, seed: int) -> Series:
    """Growth, noise with long tails, values about ten times the usual, jumps that last, runs, repeats, gaps, zeros."""
    chance = np.random.default_rng(seed)
    series = usual(DAYS, level_mwh, seed)
    size = len(series)
    series *= np.exp(np.arange(size) / size + noise * chance.standard_t(2, size).clip(-20, 20))
    tenfold = chance.random(size) < noise
    series[tenfold] *= chance.uniform(7, 13, tenfold.sum())
    for first in chance.integers(0, size - 60, 40):
        series[first : first + chance.choice([1, 2, 7, 30, 50])] *= chance.choice([0.4, 0.6, 1.6, 2.2])
    for first in chance.integers(0, size - 60, 15):
        series[first : first + chance.choice([3, 7, 30])] = series[first]
    series = np.round(series)
    for first in chance.integers(24, size - 60, 6):
        series[first : first + 30] = series[first - 24 : first + 6]
    for value in (0, np.nan, np.inf):  # an infinite one is no row
        series[chance.integers(0, size, 25)] = value
    return series


def rough_warehouse(seed: int) -> duckdb.DuckDBPyConnection:
    kinds = ((15, 0.1), (30, 0.05), (300, 0.1), (300, 0.0), (20_000, 0.1))  # level in MWh, noise
    return screened_warehouse({f"R{n}": rough(*kind, seed + n) for n, kind in enumerate(kinds)})


def rows(con: duckdb.DuckDBPyConnection, where: str, columns: str = "*") -> list[tuple[object, ...]]:
    return con.execute(f"select region, hour_utc, {columns} from {MODEL.name} where {where} order by all").fetchall()


@FEW
@given(seed=SEED)
def test_a_month_needs_no_hour_beyond_its_lookback_and_lookahead(seed: int) -> None:
    con = rough_warehouse(seed)
    whole = rows(con, IN_MONTH)
    assert len(whole) == 5 * 31 * 24
    first, end = MONTH - MODEL.lookback, NEXT + MODEL.lookahead
    # As in a build, tables with one row a month are read from the start of a month on.
    con.execute(f"delete from normalized.demand_reported where hour_utc < '{first}' or hour_utc >= '{end}'")
    for table in ("normalized.demand_span", "normalized.demand_level"):
        con.execute(f"delete from {table} where month_utc < '{first.replace(day=1)}' or month_utc >= '{end}'")
    build(con, MODEL.name)
    assert rows(con, IN_MONTH) == whole


@FEW
@given(seed=SEED, now=st.integers(24 * 20, 24 * (DAYS - 65)))
def test_immediate_flags_use_no_later_hour_and_other_flags_none_beyond_the_lookahead(seed: int, now: int) -> None:
    con = rough_warehouse(seed)
    until = f"hour_utc <= '{hour(now)}'"
    at_once, flags = rows(con, until, "demand_screened_mwh"), rows(con, until, "demand_flag")

    # Less, as demand grows in these series: what is greater already would not move a median by being greater still.
    changed = "update normalized.demand_reported set demand_mwh = abs(demand_mwh) / 40 + 1 where hour_utc > "
    # A month's level is that of all its hours: a flag can move with the rest of its month.
    seen = max(hour(now) + MODEL.lookahead, (hour(now).replace(day=1) + timedelta(days=32)).replace(day=1))
    con.execute(f"{changed} '{seen}'")
    build(con, "normalized.demand_level", "normalized.measure_screen", MODEL.name)
    assert rows(con, until, "demand_flag") == flags

    con.execute(f"{changed} '{hour(now)}'")
    build(con, "normalized.demand_level", "normalized.measure_screen", MODEL.name)
    assert rows(con, until, "demand_screened_mwh") == at_once


@pytest.mark.parametrize("now", [24 * 60, 24 * 60 + 23])  # the first and the last hour of a day
def test_ten_times_the_usual_of_the_21_days_before_a_day_is_the_most_that_passes_at_once(now: int) -> None:
    """Demand that only grows: a median of any other days would be another."""
    growing = 1000 + np.arange(24 * 80.0)
    most = 10 * np.median(growing[24 * 39 : 24 * 60])
    series = {"MOST": growing.copy(), "MORE": growing.copy()}
    series["MOST"][now], series["MORE"][now] = most, most + 1
    con = screened_warehouse(series)
    assert rows(con, "demand_screened_mwh is null", "demand_mwh") == [("MORE", hour(now), most + 1)]


def test_the_rough_series_raise_every_flag_often() -> None:
    """Without such hours the tests above would prove little."""
    con = rough_warehouse(0)
    found = dict(con.execute(f"select demand_flag, count(*) from {MODEL.name} group by all").fetchall())
    described = {row[0] for row in con.execute("select flag from normalized.flag where kind = 'screen'").fetchall()}
    assert found.keys() - {None} == described - {"clock_error"}
    assert min(found.values()) >= 20
