"""The screening of day-ahead forecasts, on recorded ones with absurd values inserted."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.sql.invented_demand import SCREENING
from tests.sql.model_files import build, load_seeds, warehouse

NEEDED = [name for name in SCREENING if not name.startswith("normalized.demand_")]
ABSURD = {  # none of them is recorded
    ("TVA", "2018-06-05 14:00"): (-99_913_317, "negative_or_zero"),
    ("PJM", "2018-06-06 14:00"): (2_147_480_000, "global_extreme"),
    ("PJM", "2018-06-07 14:00"): (417_669, "global_extreme"),
    ("ERCO", "2018-06-08 14:00"): (412, "global_low"),
}


@pytest.fixture(scope="module")
def con(recorded: Path) -> duckdb.DuckDBPyConnection:
    con = warehouse()
    load_seeds(con)
    con.execute(f"""
        create table normalized.demand_reported as
        select
            respondent as region, period_end_utc - interval 1 hour as hour_utc, cast(d as double) as demand_mwh,
            cast(df as double) as demand_forecast_mwh, null::double as net_generation_mwh,
            null::double as total_interchange_mwh
        from '{recorded}/eia/truggles_demand-and-forecast_*.parquet'
        where respondent in ('ERCO', 'FPL', 'LGEE', 'PJM', 'TVA', 'WALC') and period_end_utc >= '2017-06-01'
    """)
    for (region, hour), (value, _) in ABSURD.items():
        con.execute(
            "update normalized.demand_reported set demand_forecast_mwh = ? where region = ? and hour_utc = ?",
            [value, region, hour],
        )
    # A day of forecasts that is filed a second time.
    con.execute("""
        update normalized.demand_reported as d set demand_forecast_mwh = y.demand_forecast_mwh
        from normalized.demand_reported as y
        where d.region = 'PJM' and y.region = 'PJM' and y.hour_utc = d.hour_utc - interval 24 hour
            and d.hour_utc between '2018-09-12 04:00' and '2018-09-13 03:00'
    """)
    build(con, *NEEDED)
    return con


def flags(con: duckdb.DuckDBPyConnection, where: str, columns: str = "flag") -> list[tuple[object, ...]]:
    return con.execute(
        f"select {columns} from normalized.measure_screen where measure = 'demand_forecast' and {where} order by all"
    ).fetchall()


def test_absurd_forecasts_are_flagged_at_once(con: duckdb.DuckDBPyConnection) -> None:
    for (region, hour), (_, flag) in ABSURD.items():
        found = flags(con, f"region = '{region}' and hour_utc = '{hour}'", "flag, is_known_at_once")
        assert found == [(flag, True)], region
    walc = flags(con, "region = 'WALC' and hour_utc between '2018-06-01' and '2018-07-01'", "flag, count(*) over ()")
    assert ("global_extreme", len(walc)) in walc


def test_true_peaks_and_falls_are_kept(con: duckdb.DuckDBPyConnection) -> None:
    """The cold of January 2018, and hurricane Irma in Florida."""
    assert flags(con, "region in ('ERCO', 'PJM', 'TVA') and hour_utc between '2017-12-28' and '2018-01-22'") == []
    assert flags(con, "region = 'FPL' and hour_utc between '2017-09-08' and '2017-09-20'") == []


def test_few_forecasts_are_lost(con: duckdb.DuckDBPyConnection) -> None:
    ((hours,),) = con.execute("select count(demand_forecast_mwh) from normalized.demand_reported").fetchall()
    assert hours > 100_000
    assert len(flags(con, "flag <> 'repeat'")) < 0.002 * hours


def test_a_day_that_is_filed_twice_is_a_repeat_from_its_twelfth_hour_on_at_once(con: duckdb.DuckDBPyConnection) -> None:
    found = flags(con, "region = 'PJM' and flag = 'repeat' and year(hour_utc) = 2018", "hour_utc, is_known_at_once")
    assert [known for _, known in found] == [False] * 11 + [True] * 13


def test_what_is_known_at_once_needs_no_later_hour(con: duckdb.DuckDBPyConnection) -> None:
    until = "hour_utc <= timestamp '2018-09-12 18:00'"
    whole = flags(con, f"is_known_at_once and {until}", "region, hour_utc, flag")
    con.execute("begin")
    con.execute(f"delete from normalized.demand_reported where not {until}")
    build(con, "normalized.measure_level", "normalized.measure_screen")
    assert flags(con, "is_known_at_once", "region, hour_utc, flag") == whole
    assert len(whole) > 40
    con.execute("rollback")
