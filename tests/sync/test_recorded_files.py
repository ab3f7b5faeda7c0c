"""Recorded data as half-year files, synced over HTTP by the real command, are equal hour by hour in the warehouse."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.support.desk import Desk
from tests.support.half_year import (
    BALANCE_HEADERS,
    HOUR,
    INTERCHANGE_HEADERS,
    Wide,
    as_csv,
    half_of,
    key_cells,
    number,
    serving,
    stamp,
    wide_files,
    wide_values,
)
from tests.support.scripted import scripted
from tests.support.staging import has_twins, query

# What the tests read: hours of 2016 to 2022 span years, of which the features would be long in the making.
READ = ("normalized.demand", "normalized.generation", "normalized.interchange")
TYPES = {"D": "demand_mwh", "NG": "net_generation_mwh", "TI": "total_interchange_mwh"}


def synced(folder: Path, files: dict[str, bytes], days: list[str], *tables: str) -> Desk:
    """Serve ``files``, sync those that hold ``days`` by the command, and build."""
    with scripted(serving(files)) as server:
        desk = Desk(folder, "", key="").having(EIA_FILES_URL=server.url, EIA_FILES_REQUESTS_PER_SECOND="0")
        for day in days:
            done = desk.run("sync", *(f"eia_files.{table}" for table in tables), "--since", day, "--until", day)
            assert done.returncode == 0, done.stderr
    built = desk.run("build", *READ)
    assert built.returncode == 0, built.stderr
    assert not has_twins(desk.staging)
    return desk


def warehouse(desk: Desk, sql: str) -> list[tuple[Any, ...]]:
    return query(desk.home.energy.resolve(), sql)


@pytest.mark.parametrize("every", [24, pytest.param(1, marks=pytest.mark.soak)])
def test_the_wide_tables_of_all_authorities_come_out_hour_by_hour(recorded: Path, tmp_path: Path, every: int) -> None:
    """Of a few authorities in the daily suite."""
    paths = sorted((recorded / "eia").glob("gridemissions_*_wide_*.csv"))
    values: Wide = wide_values(paths)
    assert len(paths) >= 3
    assert len(values) > 200_000
    taken = sorted({region for region, *_ in values})[::every]
    values = {key: value for key, value in values.items() if key[0] in taken}
    files = wide_files(values)
    days = sorted({f"{path.stem.split('wide_')[1][:10]}" for path in paths})
    desk = synced(tmp_path, files, days, "balance", "interchange")

    demand: dict[str, dict[tuple[str, datetime], float]] = {code: {} for code in TYPES}
    fuels: dict[tuple[str, str, datetime], float] = {}
    pairs: dict[tuple[str, str, datetime], float] = {}
    for (region, neighbor, code, fuel, end), value in values.items():
        if neighbor is not None:
            pairs[region, neighbor, end - HOUR] = value
        elif code is not None:
            demand[code][region, end - HOUR] = value
        else:
            fuels[region, "NG" if fuel == "GAS" else str(fuel), end - HOUR] = value
    for code, column in TYPES.items():
        sql = f"select region, hour_utc, {column} from normalized.demand where {column} is not null"
        assert {row[:2]: row[2] for row in warehouse(desk, sql)} == demand[code]
    found = warehouse(desk, "select region, fuel, hour_utc, generation_mwh from normalized.generation")
    assert {row[:3]: row[3] for row in found} == fuels
    found = warehouse(desk, "select region, neighbor, hour_utc, interchange_mwh from normalized.interchange")
    assert {row[:3]: row[3] for row in found} == pairs
    assert len(found) == len(pairs) > 20_000 / every / 4


def test_the_recorded_excerpts_come_out_hour_by_hour(recorded: Path, tmp_path: Path) -> None:
    (balance,) = (recorded / "eia").glob("EIA930_BALANCE_excerpt_*.csv")
    (pairs,) = (recorded / "eia").glob("EIA930_INTERCHANGE_excerpt_*.csv")
    files = {
        "EIA930_BALANCE_2020_Jul_Dec.csv": balance.read_bytes(),
        "EIA930_INTERCHANGE_2022_Jan_Jun.csv": pairs.read_bytes(),
    }
    synced(tmp_path, files, ["2020-07-05"], "balance")
    desk = synced(tmp_path, files, ["2022-01-05"], "interchange")
    columns = {
        "demand_mwh": "Demand (MW)",
        "demand_forecast_mwh": "Demand Forecast (MW)",
        "net_generation_mwh": "Net Generation (MW)",
        "total_interchange_mwh": "Total Interchange (MW)",
        "demand_imputed_mwh": "Demand (MW) (Imputed)",
        "demand_adjusted_mwh": "Demand (MW) (Adjusted)",
        "net_generation_adjusted_mwh": "Net Generation (MW) (Adjusted)",
        "total_interchange_adjusted_mwh": "Total Interchange (MW) (Adjusted)",
    }
    with balance.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    expected = [
        (
            datetime.strptime(row["UTC Time at End of Hour"], "%m/%d/%Y %I:%M:%S %p") - HOUR,
            *(float(row[name].replace(",", "")) if row[name] else None for name in columns.values()),
        )
        for row in rows
    ]
    sql = f"select hour_utc, {', '.join(columns)} from normalized.demand where region = 'AEC' order by hour_utc"
    assert warehouse(desk, sql) == expected
    with pairs.open(newline="", encoding="utf-8") as file:
        wanted = {
            (row["Directly Interconnected Balancing Authority"], row["UTC Time at End of Hour"]): float(
                row["Interchange (MW)"]
            )
            for row in csv.DictReader(file)
        }
    found = warehouse(desk, "select neighbor, hour_utc, interchange_mwh from normalized.interchange")
    assert {(neighbor, stamp(hour + HOUR)): value for neighbor, hour, value in found} == wanted


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["two_weeks", "year"])
def test_a_year_of_recorded_interchange_comes_out_with_its_days_of_23_and_25_hours(
    recorded: Path, tmp_path: Path, whole: bool
) -> None:
    """Of the two weeks in which the clock changes in the daily suite."""
    (path,) = (recorded / "eia").glob("caisotrends_interchange_*.parquet")
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select period_end_utc, fromba, toba, value, hour_number, local_time_at_end_of_hour, region, diba_region "
            "from read_parquet(?) where ? or period_end_utc between '2024-03-08' and '2024-03-13' "
            "or period_end_utc between '2024-11-01' and '2024-11-06'",
            [str(path), whole],
        ).fetchall()
    lines: dict[str, list[dict[str, str]]] = {}
    for end, one, other, value, hour, local, region, diba_region in rows:
        date = datetime.strptime(local, "%m/%d/%Y %I:%M:%S %p") - timedelta(minutes=1)
        cells = (one, f"{date:%m/%d/%Y}", str(hour), other, number(value), local, stamp(end), region, diba_region)
        lines.setdefault(half_of(end, one), []).append(dict(zip(INTERCHANGE_HEADERS, cells, strict=True)))
    files = {f"EIA930_INTERCHANGE_{half}.csv": as_csv(INTERCHANGE_HEADERS, cells) for half, cells in lines.items()}
    assert sorted(lines) == ["2024_Jan_Jun", "2024_Jul_Dec"]
    desk = synced(tmp_path, files, ["2024-03-09", "2024-11-03"], "interchange")
    found = warehouse(desk, "select region, neighbor, hour_utc, interchange_mwh from normalized.interchange")
    assert {row[:3]: row[3] for row in found} == {
        (one, other, end - HOUR): None if value is None else float(value) for end, one, other, value, *_ in rows
    }
    assert len(found) == len(rows) > 2_500
    if whole:
        assert len(found) == 96_624
        assert sum(row[3] is None for row in found) == 802


def test_the_helper_writes_what_the_excerpt_has(recorded: Path) -> None:
    """The header and the clock of the files that the tests write are those of the recorded excerpt."""
    (path,) = (recorded / "eia").glob("EIA930_BALANCE_excerpt_*.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == set(BALANCE_HEADERS)
    for row in rows:
        end = datetime.strptime(row["UTC Time at End of Hour"], "%m/%d/%Y %I:%M:%S %p")
        cells = key_cells("AEC", end)
        assert {name: row[name] for name in cells} == cells
