"""Recorded answers of EIA's API, served over HTTP and synced by the real command, equal the recording."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from energywh.simulate.server import Simulator
from energywh.sources.eia import DATASETS
from energywh.sync.runner import sync
from energywh.sync.selection import parse_selection
from tests.support.desk import KEY, Desk
from tests.support.recorded import RecordedBackend
from tests.support.staging import has_twins, query

HOUR = timedelta(hours=1)
TABLES = {
    "region-data": "eia.region_data",
    "fuel-type-data": "eia.fuel_type_data",
    "interchange-data": "eia.interchange_data",
}
Recorded = dict[tuple[datetime, str, str], float | None]


@pytest.fixture(scope="module")
def backend(recorded: Path) -> RecordedBackend:
    return RecordedBackend(recorded / "eia")


@pytest.fixture(scope="module")
def synced(backend: RecordedBackend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A warehouse into which all recordings were synced: everyone's 2022-07-10, PACW's first weeks of 2023 and 2024,
    and what else was recorded in single days."""
    with Simulator(api_key=KEY, backend=backend) as sim:
        desk = Desk(tmp_path_factory.mktemp("recorded"), sim.url)
        for words in (
            ("--since", "2022-07-09T23", "--until", "2022-07-10T23"),
            ("--region", "PACW", "--since", "2022-12-31T23", "--until", "2024-04-01"),
            ("eia.fuel_type_data", "--region", "AECI", "--since", "2022-12-31", "--until", "2023-01-02"),
            ("eia.interchange_data", "--region", "FPC", "--since", "2020-01-05", "--until", "2020-01-08"),
            ("eia.interchange_data", "--region", "SWPP", "--since", "2022-02-28", "--until", "2022-03-03"),
        ):
            done = desk.run("sync", *words)
            assert done.returncode == 0, done.stderr
        yield desk


def held(desk: Desk, table: str) -> list[tuple[datetime, str, str, float | None]]:
    return query(desk.staging, f"select * exclude (known_from_utc) from {table}")


def expected(backend: RecordedBackend, route: str) -> Recorded:
    """Return the recorded values by stamp and codes."""
    epoch = datetime(1970, 1, 1)
    return {(epoch + key[0] * HOUR, *key[1:]): value for key, value in backend.rows[route].items()}


def test_staging_and_the_built_warehouse_hold_each_recorded_value_and_no_other(
    synced: Desk, backend: RecordedBackend
) -> None:
    """One test, so that the recordings are synced once however many processes run the tests."""
    check_staging(synced, backend)
    check_warehouse(synced, backend)


def check_staging(synced: Desk, backend: RecordedBackend) -> None:
    for route, table in TABLES.items():
        rows = held(synced, table)
        assert len(rows) > 4_000
        assert {row[:3]: row[3] for row in rows} == expected(backend, route)
    assert not has_twins(synced.staging)
    day = "period between '2022-07-10' and '2022-07-11'"
    found = query(synced.staging, f"select count(distinct respondent), count(*) from eia.region_data where {day}")
    assert found == [(62, 4425)]


def test_a_quarter_of_five_fuels_was_fetched_page_by_page_where_a_page_did_not_hold_it(
    backend: RecordedBackend, tmp_path: Path
) -> None:
    """Five fuels of 2,500 hours do not fit a page: that is what two codes an hour would make the planner believe."""
    fuel = replace(DATASETS[1], codes=2)
    with Simulator(api_key=KEY, backend=backend) as sim:
        desk = Desk(tmp_path, sim.url)
        selection = parse_selection((fuel.name,), regions=["PACW"], since="2023-12-31T23", until="2024-04-01")
        result = sync(desk.settings(), replace(selection, datasets=(fuel,)))
    assert result.ok
    assert result.requests > result.tallies[0].due
    quarter = {key: value for key, value in expected(backend, "fuel-type-data").items() if key[1] == "PACW"}
    wanted = {key: value for key, value in quarter.items() if datetime(2024, 1, 1) <= key[0] <= datetime(2024, 4, 2)}
    rows = held(desk, fuel.name)
    assert len(rows) == len(wanted) > 8_000
    assert {row[:3]: row[3] for row in rows} == wanted


def check_warehouse(synced: Desk, backend: RecordedBackend) -> None:
    """Build, and find each value at the start of its hour, where EIA stamps the end."""
    done = synced.run("build", "normalized.demand", "normalized.generation", "normalized.interchange")
    assert done.returncode == 0, done.stderr
    demand = expected(backend, "region-data")
    columns = {
        "D": "demand_mwh",
        "DF": "demand_forecast_mwh",
        "NG": "net_generation_mwh",
        "TI": "total_interchange_mwh",
    }
    found: Recorded = {
        (hour + HOUR, region, code): value
        for code, column in columns.items()
        for region, hour, value in query(
            synced.home.energy.resolve(),
            f"select region, hour_utc, {column} from normalized.demand where {column} is not null",
        )
    }
    assert found == {key: value for key, value in demand.items() if value is not None}
    for route, model, code, value in (
        ("fuel-type-data", "normalized.generation", "fuel", "generation_mwh"),
        ("interchange-data", "normalized.interchange", "neighbor", "interchange_mwh"),
    ):
        rows = query(synced.home.energy.resolve(), f"select hour_utc, region, {code}, {value} from {model}")
        assert len(rows) == len(backend.rows[route])
        assert {(hour + HOUR, *codes): number for hour, *codes, number in rows} == expected(backend, route)
