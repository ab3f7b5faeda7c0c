"""Which hours the screening of demand flags: invented and recorded series, compared with the published method."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import duckdb
import numpy as np
import pytest

from tests.sql.invented_demand import OTHER_MEASURES, SCREENING, Series, flags, hour, screened_warehouse, usual
from tests.sql.model_files import MODELS, build, load_seeds, warehouse
from tests.sql.screening_reference import screen

DAYS = 120
NO_ROW, NULL = np.inf, np.nan


def after(series: Series, first: int, factor: float) -> Series:
    """The series at another level from hour `first` on."""
    return np.concatenate([series[:first], np.round(factor * series[first:])])


def invented() -> dict[str, Series]:
    """One region per case; hours are counted from the first."""
    hours = np.arange(24 * DAYS)
    cases = {f"USUAL_{seed}": usual(DAYS, seed=seed) for seed in range(4)}
    cases["CONSTANT"] = np.full(24 * DAYS, 64.0)
    cases["SMALL"] = usual(DAYS, 20, seed=10)
    cases["SMALL_WITH_DECIMALS"] = usual(DAYS, 20, seed=10, decimals=4)

    # Values that stood in EIA's data for PJM, LGEE and PACW, among demand of their sizes.
    for region, level, value in (
        ("PJM", 90_000, 2_147_480_000),
        ("LGEE", 4_000, -16_773_374),
        ("PACW", 2_300, 3_340_061),
    ):
        cases[region] = usual(DAYS, level, seed=1)
        cases[region][1500] = value
    cases["EXTREME_AT_THE_ENDS"] = usual(DAYS, seed=2)
    cases["EXTREME_AT_THE_ENDS"][[0, -1]] = 2_147_480_000, 600_000

    # Three days of deep cold; and the same with a third of the load shed at its peak and given back in half a day.
    cold = np.round(usual(DAYS, 40_000, seed=2) * (1 + 0.55 * np.exp(-(((hours - 1500) / 40) ** 2))))
    cases["COLD_SNAP"] = cold
    cases["LOAD_SHED"] = np.round(cold * np.interp(hours, [1507, 1511, 1570, 1582], [1, 0.68, 0.75, 1]))

    year = usual(DAYS, 40_000, seed=3)
    cases["SPRING_FORWARD"] = np.delete(year, 1700)
    cases["FALL_BACK"] = np.insert(year, 1700, year[1699] + 10)
    cases["OUTAGE_OF_ROWS"] = usual(DAYS, 3_000, seed=4)
    cases["OUTAGE_OF_ROWS"][1000:1720] = NO_ROW
    cases["OUTAGE_OF_VALUES"] = usual(DAYS, 3_000, seed=4)
    cases["OUTAGE_OF_VALUES"][1000:1720] = NULL

    cases["MERGED"] = after(usual(DAYS, 3_000, seed=5), 1500, 1.35)
    cases["SPLIT"] = after(usual(DAYS, 3_000, seed=5), 1500, 0.5)
    cases["FIFTEENFOLD"] = after(usual(DAYS, 300, seed=6), 700, 15)
    # A year of other units would begin like this: thousandths for two months.
    cases["GARBAGE_FIRST"] = after(usual(DAYS, 30, seed=7, decimals=3), 1440, 1000)

    wrong = usual(DAYS, 3_000, seed=8)
    wrong[800] *= 0.5
    wrong[1200:1206] *= 0.5
    wrong[2000:2016:2] *= 0.6
    wrong[2300:2320] *= 0.55
    cases["WRONG"] = np.round(wrong)
    return cases


@pytest.fixture(scope="module")
def cases() -> dict[str, Series]:
    return invented()


@pytest.fixture(scope="module")
def con(cases: dict[str, Series]) -> duckdb.DuckDBPyConnection:
    return screened_warehouse(cases)


def flagged(con: duckdb.DuckDBPyConnection, region: str) -> dict[int, str]:
    """Flags by hour, of hours that were reported."""
    return {i: f for i, f in enumerate(flags(con, region)) if f not in (None, "missing", "no_value")}


@pytest.mark.parametrize(
    "region",
    ["USUAL_0", "USUAL_1", "USUAL_2", "USUAL_3", "SMALL_WITH_DECIMALS", "COLD_SNAP", "LOAD_SHED", "SPRING_FORWARD",
     "FALL_BACK", "OUTAGE_OF_ROWS", "OUTAGE_OF_VALUES"],
)  # fmt: skip
def test_real_looking_demand_keeps_every_hour(con: duckdb.DuckDBPyConnection, region: str) -> None:
    """Also the peak of a cold snap, load shed at it, the day of a clock change, the hours about a month without any."""
    assert flagged(con, region) == {}
    kept = "count(*) filter (where demand_mwh is distinct from demand_screened_mwh)"
    found = con.execute(f"select {kept} from normalized.demand_screen where region = ?", [region]).fetchall()
    assert found == [(0,)]


@pytest.mark.parametrize(
    ("region", "flag"), [("PJM", "global_extreme"), ("LGEE", "negative_or_zero"), ("PACW", "global_extreme")]
)
def test_an_absurd_value_is_flagged_with_its_neighbors_and_nothing_else(
    con: duckdb.DuckDBPyConnection, region: str, flag: str
) -> None:
    beside = {1499: "global_extreme_neighbor", 1501: "global_extreme_neighbor"} if flag == "global_extreme" else {}
    assert flagged(con, region) == {1500: flag} | beside
    at_once = con.execute(
        "select hour_utc from normalized.demand_screen where region = ? and demand_screened_mwh is null", [region]
    ).fetchall()
    assert at_once == [(hour(1500),)]


def test_an_extreme_in_the_first_or_last_hour_of_a_region_is_flagged(con: duckdb.DuckDBPyConnection) -> None:
    last = 24 * DAYS - 1
    found = flagged(con, "EXTREME_AT_THE_ENDS")
    assert {i: found.get(i) for i in (0, 1, last - 1, last)} == {
        0: "global_extreme", 1: "global_extreme_neighbor", last - 1: "global_extreme_neighbor", last: "global_extreme",
    }  # fmt: skip


def test_a_constant_series_is_an_identical_run_from_its_third_hour(con: duckdb.DuckDBPyConnection) -> None:
    assert flags(con, "CONSTANT") == [None, None, *["identical_run"] * (24 * DAYS - 2)]


def test_a_small_region_may_repeat_values(con: duckdb.DuckDBPyConnection) -> None:
    """At 20 MWh, rounding makes three neighbors equal for a quarter of all hours; six of them for some percent."""
    assert 0 < len(flagged(con, "SMALL")) < 0.08 * 24 * DAYS


def test_a_month_without_rows_is_missing_and_one_without_values_null(con: duckdb.DuckDBPyConnection) -> None:
    assert Counter(flags(con, "OUTAGE_OF_ROWS")) == {None: 24 * DAYS - 720, "missing": 720}
    assert Counter(flags(con, "OUTAGE_OF_VALUES")) == {None: 24 * DAYS - 720, "no_value": 720}


@pytest.mark.parametrize(
    ("region", "first"), [("MERGED", 1500), ("SPLIT", 1500), ("FIFTEENFOLD", 700), ("GARBAGE_FIRST", 1440)]
)
def test_a_step_that_lasts_is_doubted_for_hours_not_for_months(
    con: duckdb.DuckDBPyConnection, region: str, first: int
) -> None:
    doubted = [i for i, flag in flagged(con, region).items() if flag != "identical_run"]
    assert doubted
    assert all(abs(i - first) <= 24 for i in doubted)


def test_the_screen_of_the_hour_itself_takes_a_new_level_for_usual_within_two_weeks(
    con: duckdb.DuckDBPyConnection,
) -> None:
    found = con.execute("""
        select min(hour_utc), max(hour_utc) from normalized.demand_screen
        where region = 'GARBAGE_FIRST' and demand_screened_mwh is null
    """).fetchall()
    assert found[0][0] == hour(1440)
    assert found[0][1] < hour(1440 + 14 * 24)


def test_dips_jumps_and_what_lies_between_are_flagged_by_kind(con: duckdb.DuckDBPyConnection) -> None:
    found = flagged(con, "WRONG")
    assert found[800] == "double_jump"
    assert {found.get(i) for i in range(1200, 1206)} == {"single_jump"}
    assert {found.get(i) for i in range(2000, 2015)} == {"double_jump"}
    assert {found.get(i) for i in range(2300, 2320)} == {"single_jump"}
    others = set(found) - {800, *range(1200, 1206), *range(1999, 2017), *range(2300, 2320)}
    assert {found[i] for i in others} <= {"identical_run"}


def test_flags_of_invented_series_are_those_of_the_published_method(
    con: duckdb.DuckDBPyConnection, cases: dict[str, Series]
) -> None:
    """Except small regions and lasting steps, where the published method flags right values."""
    hours, same = 0, 0
    for region, series in cases.items():
        if region in ("SMALL", "MERGED", "SPLIT", "FIFTEENFOLD", "GARBAGE_FIRST"):
            continue
        theirs = screen(np.where(np.isinf(series), np.nan, series), ~np.isinf(series))
        ours = flags(con, region)
        hours += len(ours)
        same += sum(a == b for a, b in zip(ours, theirs, strict=True))
    assert hours - same <= 2


def test_every_flag_that_a_rule_gives_is_described(con: duckdb.DuckDBPyConnection) -> None:
    given = {row[0] for row in con.execute("select distinct demand_flag from normalized.demand_screen").fetchall()}
    described = {row[0] for row in con.execute("select flag from normalized.flag where kind = 'screen'").fetchall()}
    assert given - {None} <= described
    assert all(f"'{flag}'" in MODELS["normalized.demand_screen"].sql for flag in described - {"clock_error", "repeat"})


@pytest.fixture(scope="module")
def real(recorded: Path) -> duckdb.DuckDBPyConnection:
    """The screening of what four authorities reported from July 2015 to August 2019."""
    con = warehouse()
    con.execute(f"""
        create table normalized.demand_reported as
        select respondent as region, period_end_utc - interval 1 hour as hour_utc, cast(d as double) as demand_mwh,
            {OTHER_MEASURES}
        from '{recorded}/eia/truggles_demand-and-forecast_*.parquet'
        where respondent in ('ERCO', 'PACW', 'PJM', 'TVA') and d_status is distinct from 'MISSING'
    """)
    load_seeds(con)
    build(con, *SCREENING)
    return con


def test_real_demand_is_flagged_as_by_the_published_method(real: duckdb.DuckDBPyConnection) -> None:
    both, different = 0, 0
    for region in ("ERCO", "PACW", "PJM", "TVA"):
        found = real.execute(
            "select s.demand_mwh, d.region is not null, s.demand_flag from normalized.demand_screen s "
            "left join normalized.demand_reported d using (region, hour_utc) where region = ? order by hour_utc",
            [region],
        ).fetchall()
        demand, has_row, ours = zip(*found, strict=True)
        theirs = screen(np.array(demand, dtype=float), np.array(has_row))
        both += sum(a is not None and b is not None for a, b in zip(ours, theirs, strict=True))
        different += sum((a is None) != (b is None) for a, b in zip(ours, theirs, strict=True))
    assert both > 4000
    assert different <= 0.005 * both


def test_absurd_recorded_values_are_flagged_and_the_peaks_of_the_cold_of_january_2018_are_not(
    real: duckdb.DuckDBPyConnection,
) -> None:
    absurd = real.execute("""
        select region, max(demand_mwh), count(*), count(demand_flag), count(demand_screened_mwh)
        from normalized.demand_screen
        where demand_mwh <= 0 or demand_mwh > case region when 'PACW' then 30000 else 250000 end group by region
    """).fetchall()
    assert {row[0] for row in absurd} == {"PACW", "TVA"}
    assert max(row[1] for row in absurd) == 3_340_061
    assert all(row[2] == row[3] and row[4] == 0 for row in absurd)
    cold = real.execute("""
        select count(*) filter (where demand_flag is not null), count(*) from normalized.demand_screen
        where region in ('ERCO', 'PJM', 'TVA') and demand_mwh is not null
            and hour_utc between '2017-12-28' and '2018-01-22'
    """).fetchall()
    assert cold[0][0] == 0
    assert cold[0][1] > 1700


def test_a_flag_marked_as_using_no_later_hour_is_set_at_once_and_stays() -> None:
    """Immediate flags at the end of a series cut at some hour equal those of the full series."""
    small = usual(60, 20, seed=10)
    small[200:204] = small[200]  # four equal values: a run, unless its usual demand is below 40 MWh
    small[300:] *= 3  # and it is not, once the month has more of these
    broken = usual(60, 3_000, seed=4)
    broken[1300:1302], broken[1302:1304], broken[1305] = NO_ROW, NULL, 0
    whole = screened_warehouse({"SMALL": small, "BROKEN": broken})
    ahead = dict(whole.execute("select flag, looks_ahead from seeds.flag where kind = 'screen'").fetchall())
    changed = set()
    for end in (300, 1301, 1303):
        cut = screened_warehouse({"SMALL": small[:end], "BROKEN": broken[:end]})
        for region in ("SMALL", "BROKEN"):
            later, now = flags(whole, region)[:end], flags(cut, region)
            now += [None] * (end - len(now))
            changed |= {flag for pair in zip(now, later, strict=True) if len({*pair}) == 2 for flag in pair if flag}
    assert {"missing", "no_value", "identical_run"} <= changed
    assert {flag for flag in changed if not ahead[flag]} == set()
