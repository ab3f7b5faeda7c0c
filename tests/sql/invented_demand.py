"""Invented hourly demand that resembles real demand, and the models of its screening built from it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tests.sql.model_files import build, graph, warehouse

FIRST = datetime(2021, 1, 1)  # start of the first hour of every series
SCREENING = (
    *("normalized.demand_span", "normalized.demand_level", "normalized.flag"),
    *("normalized.filed_subregion", "normalized.subregion_reported", "normalized.measure_level"),
    *("normalized.measure_screen", "normalized.demand_screen"),
)
OTHER_MEASURES = ", ".join(
    f"null::double as {measure}_mwh" for measure in ("demand_forecast", "net_generation", "total_interchange")
)

Series = npt.NDArray[np.float64]  # MWh of consecutive hours from FIRST on; NaN is a null, infinite is no row


def usual(days: int, level_mwh: float = 20_000, seed: int = 0, *, decimals: int = 0) -> Series:
    """Demand with a day (two peaks), a week, a season and some weather, around `level_mwh`."""
    chance = np.random.default_rng(seed)
    hours = np.arange(24 * days)
    local = hours - 6
    day = 0.16 * np.sin(2 * np.pi * (local - 9) / 24) + 0.06 * np.sin(4 * np.pi * (local - 5) / 24)
    week = np.where((local // 24) % 7 >= 5, -0.06, 0.0)
    season = 0.08 * np.cos(2 * np.pi * hours / 8766)
    weather = np.interp(hours, np.arange(0, 24 * days + 48, 24), chance.normal(0, 0.04, days + 2))
    noise = chance.normal(0, 0.004, len(hours))
    return np.round(level_mwh * (1 + day + week + season + weather + noise), decimals)


def store(con: duckdb.DuckDBPyConnection, series: Mapping[str, Series]) -> None:
    """Make normalized.demand_reported of `series`, by region."""
    parts = []
    for region, values in series.items():
        there = np.flatnonzero(~np.isinf(values))
        hours = np.datetime64(FIRST, "us") + there * np.timedelta64(1, "h")
        mwh = pa.array(values[there], mask=np.isnan(values[there]))
        parts.append(pa.table({"region": [region] * len(there), "hour_utc": hours, "demand_mwh": mwh}))
    con.register("invented", pa.concat_tables(parts))
    con.execute(f"create or replace table normalized.demand_reported as select *, {OTHER_MEASURES} from invented")
    con.unregister("invented")


def screened_warehouse(series: Mapping[str, Series]) -> duckdb.DuckDBPyConnection:
    """A warehouse with the screening of `series`."""
    con = warehouse()
    con.execute("create table seeds.flag as from read_csv(?)", [str(graph().seeds["seeds.flag"].path)])
    store(con, series)
    build(con, *SCREENING)
    return con


def flags(con: duckdb.DuckDBPyConnection, region: str) -> list[str | None]:
    """The flag of each hour of a region, from its first with a value to its last."""
    found = con.execute("select demand_flag from normalized.demand_screen where region = ? order by hour_utc", [region])
    return [row[0] for row in found.fetchall()]


def hour(number: int) -> datetime:
    return FIRST + timedelta(hours=number)
