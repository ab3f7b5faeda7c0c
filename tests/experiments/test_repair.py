"""The repair of demand is better than simple alternatives, for every length of a gap."""

from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from energywh.simulate.grid import Grid
from energywh.simulate.hours import Calendar, parse_period
from tests.experiments import repair

# Small and large, with and without neighbors among them.
AUTHORITIES = ("BPAT", "CISO", "ERCO", "IID", "PACW", "SCL", "TIDC", "TPWR")
FIRST, END = datetime(2017, 1, 1), datetime(2019, 1, 1)


def assert_best_at_every_length(con: duckdb.DuckDBPyConnection) -> None:
    """The repair beats each rival and fills nearly all hours, also without the forecast."""
    for forecast in (True, False):
        repair.estimate(con, forecast=forecast)
        assert repair.filled(con) > 98
        for length in repair.LENGTHS:
            ours, *rivals = repair.scores(con, f"length = {length}")
            assert ours.hours >= 20 * length
            assert ours.mape < min(rival.mape for rival in rivals), (length, forecast)


def test_the_repair_of_real_demand_is_better_than_its_rivals_at_every_length(recorded: Path) -> None:
    data = next((recorded / "eia").glob("truggles_demand-and-forecast_*.parquet"))
    con = repair.load(data, f"region in {AUTHORITIES} and hour_utc >= '{FIRST}' and hour_utc < '{END}'")
    repair.hide(con, AUTHORITIES, seed=0)
    assert_best_at_every_length(con)


@pytest.fixture
def simulated(tmp_path: Path) -> Path:
    first, count = parse_period("2017-01-01T00"), 2 * 8766
    calendar = Calendar(np.arange(first, first + count))
    reported = Grid(0).region_data(AUTHORITIES, calendar, ["D", "DF"])
    demand, forecast = (np.where(present, values, np.nan) for values, present in (reported["D"], reported["DF"]))
    table = {
        "period_end_utc": [FIRST + timedelta(hours=hour) for hour in range(count)] * len(AUTHORITIES),
        "respondent": np.repeat(AUTHORITIES, count),
        "d": pa.array(demand.ravel(), from_pandas=True),
        "df": pa.array(forecast.ravel(), from_pandas=True),
    }
    pq.write_table(pa.table(table), tmp_path / "demand.parquet")
    return tmp_path / "demand.parquet"


@pytest.mark.soak
def test_the_repair_of_simulated_demand_is_better_than_its_rivals_at_every_length(simulated: Path) -> None:
    con = repair.load(simulated)
    repair.hide(con, AUTHORITIES, seed=0)
    assert_best_at_every_length(con)
