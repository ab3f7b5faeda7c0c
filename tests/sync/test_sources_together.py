"""All sources in one sync: concurrent, each at its own rate, and independent of each other's failures."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from energywh.sync.runner import SyncResult
from tests.support.desk import Desk, desk_with_simulator
from tests.support.staging import query, values

SOURCES = ("eia", "caiso", "open_meteo")
DATASETS = {"eia": ("eia",), "caiso": ("caiso.load", "caiso.renewable"), "open_meteo": ("open_meteo",)}
PACES = {"eia": 6.0, "caiso": 4.0, "open_meteo": 3.0}  # so that each takes some seconds alone
MONTHS = {"since": "2024-03-01", "until": "2024-03-20", "regions": ["CISO", "BPAT"]}


def paced(desk: Desk) -> Desk:
    """The desk with a pace for each source, quicker than the real ones so that a test takes seconds."""
    return desk.having(**{f"{name.upper()}_REQUESTS_PER_SECOND": str(pace) for name, pace in PACES.items()})


def timed(desk: Desk, *names: str) -> tuple[SyncResult, float]:
    began = time.monotonic()
    result = desk.sync(*names, **MONTHS)  # type: ignore[arg-type]
    return result, time.monotonic() - began


@pytest.mark.soak
def test_all_at_once_keep_each_pace_and_take_as_long_as_the_slowest_alone(tmp_path: Path) -> None:
    # What leaves at its pace may arrive in less time, if the machine is busy; without one it would be many times more.
    paces = {name: (1.5 * pace, None) for name, pace in PACES.items()}
    with desk_with_simulator(tmp_path, paces=paces) as (desk, sim):
        facing = paced(desk.facing(sim, *SOURCES))
        alone = {}
        for name in SOURCES:
            result, alone[name] = timed(facing.another(name), *DATASETS[name])
            assert result.ok, result.errors
        sim.requests.clear()
        everything = [dataset for names in DATASETS.values() for dataset in names]
        result, together = timed(facing.another("together"), *everything)
        assert result.ok, result.errors
        assert sim.counters.over_rate == 0
        assert {served.source for served in sim.requests} == set(SOURCES)
        assert together < 0.8 * sum(alone.values()), "they waited for each other"
        for name in SOURCES:
            times = [served.at for served in sim.requests if served.source == name]
            most = max(sum(at <= other < at + 1.0 for other in times) for at in times)
            assert most <= 1.5 * PACES[name]
        held = values(facing.another("together").staging)
        for name in SOURCES:
            by_itself = values(facing.another(name).staging)
            assert all(rows == held[table] for table, rows in by_itself.items() if table.startswith(f"{name}."))


def test_a_source_that_is_down_does_not_stop_the_others_and_is_named(tmp_path: Path) -> None:
    with desk_with_simulator(tmp_path) as (desk, sim):
        down = desk.facing(sim, *SOURCES).having(CAISO_URL="http://127.0.0.1:9/oasisapi", SYNC_RETRIES="0")
        done = down.run("sync", "--since", "2024-03-01", "--until", "2024-03-03", "--region", "CISO")
    assert done.returncode == 1
    assert "caiso" in done.stderr
    assert "eia.region_data: 1 of 1 chunk" in done.stdout
    assert "open_meteo.hourly: 1 of 1 chunk" in done.stdout
    answered = "select distinct split_part(dataset, '.', 1) from sync.chunk where status = 'done' order by all"
    assert query(down.staging, answered) == [("eia",), ("open_meteo",)]


def test_a_source_that_allows_no_more_today_ends_its_part_without_a_failure(tmp_path: Path) -> None:
    with desk_with_simulator(tmp_path) as (desk, sim):
        facing = desk.facing(sim, "eia", "open_meteo").having(
            OPEN_METEO_REQUESTS_PER_HOUR="0", OPEN_METEO_REQUESTS_PER_DAY="7"
        )
        done = facing.run("sync", "eia.region_data", "open_meteo", "--since", "2024-03-01", "--until", "2024-03-03")
    assert done.returncode == 0, done.stderr
    assert "what open_meteo allows in a day is used up" in done.stdout
    assert "chunks left, the next sync continues from here" in done.stdout
    assert query(facing.staging, "select count(*) > 0 from open_meteo.hourly") == [(True,)]
    (count,) = query(facing.staging, "select count(*) from sync.chunk where status = 'in progress'")
    assert count == (0,)
