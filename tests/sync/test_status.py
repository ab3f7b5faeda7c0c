"""Status: gaps, age, and hours never fetched."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from energywh.core import time
from energywh.core.time import HOUR
from energywh.simulate.server import Simulator
from energywh.sources import all_datasets
from energywh.sources.base import Dataset
from energywh.sources.eia import SOURCE
from energywh.sync.schema import open_staging
from energywh.sync.status import SliceStatus, is_late, slice_statuses
from tests.support.desk import Desk
from tests.sync.conftest import MovableClock

REGION_DATA, INTERCHANGE = SOURCE.dataset("eia.region_data"), SOURCE.dataset("eia.interchange_data")


def only(desk: Desk, dataset: Dataset = REGION_DATA) -> SliceStatus:
    with open_staging(desk.staging, read_only=True) as connection:
        (found,) = slice_statuses(connection, dataset, now=time.utc_now())
    return found


def test_values_that_lack_count_and_hours_that_were_not_fetched_are_counted_apart(desk: Desk, sim: Simulator) -> None:
    for day in ("2024-03-12", "2024-03-15"):
        assert desk.sync("eia.region_data", regions=["CISO"], since=day, until=day).ok
    between = only(desk)
    assert (between.rows, between.missing, between.unfetched_hours) == (192, 0, 48)
    with duckdb.connect(desk.staging) as connection:
        connection.execute("delete from eia.region_data where period = '2024-03-12 05:00'")
        connection.execute("update eia.region_data set value = null where period = '2024-03-15 05:00' and type = 'D'")
    assert only(desk).missing == 5
    # A chunk that is cut anew is not answered yet, though its rows are held.
    with duckdb.connect(desk.staging) as connection:
        connection.execute("update sync.chunk set fetched_at_utc = null where first_hour_utc = '2024-03-15'")
    assert (only(desk).missing, only(desk).unfetched_hours) == (4, 72)


def test_a_region_keeps_its_last_sync_while_its_chunk_is_asked_for_again(
    live: tuple[Desk, Simulator], clock: MovableClock
) -> None:
    desk, sim = live
    assert desk.sync("eia.region_data", regions=["CISO"], since="2025-06-14").ok
    landed = only(desk).last_sync_utc
    assert landed is not None
    clock.advance(3)
    broken = Desk(desk.folder, sim.url.replace("/v2", "/v1"))
    assert not broken.sync("eia.region_data", regions=["CISO"], since="2025-06-14").ok
    assert only(desk).last_sync_utc == landed


@pytest.mark.parametrize(
    ("dataset", "behind", "late"),
    [(REGION_DATA, 2, False), (REGION_DATA, 3, True), (INTERCHANGE, 2, False), (INTERCHANGE, 3, True)],
)
def test_late_is_what_exceeds_the_publication_lag_that_the_dataset_declares(
    live: tuple[Desk, Simulator], clock: MovableClock, dataset: Dataset, behind: int, late: bool
) -> None:
    desk, _ = live
    assert desk.sync(dataset.name, regions=["CISO"], since="2025-06-10", until="2025-06-14").ok
    last = only(desk, dataset).last_hour_utc
    assert last is not None
    lag = {"eia.region_data": 2, "eia.interchange_data": 55}[dataset.name]
    clock.advance((last + timedelta(hours=behind + lag, minutes=1) + HOUR - clock.now()) / HOUR)
    found = only(desk, dataset)
    assert found.behind_hours == behind
    assert is_late(found, 2) == late


def test_weather_and_prices_are_behind_by_what_they_should_have_by_now_whenever_they_were_synced(
    tmp_path: Path, clock: MovableClock
) -> None:
    """Their newest hours run ahead of the present, and a sync of today may bring none of them."""
    with open_staging(tmp_path / "staging.duckdb") as connection:
        now = clock.now()
        for dataset, slice_, rows in (
            ("open_meteo.hourly", "SCL", "select ?, 'SCL', 'Seattle', 1, 1, 1, 1, 1, 1, 1, ?"),
            ("caiso.price_dam", "NODE", "select ?, 'NODE', 'LMP', 1, ?"),
            ("caiso.load", "DAM", "select ?, 'CA ISO-TAC', 'DAM', 1, ?"),
        ):
            connection.execute(f"insert into {dataset} {rows}", [datetime(2024, 7, 1), now])
            connection.execute(
                "insert into sync.chunk (dataset, slice, first_hour_utc, last_hour_utc, status, rows, fetched_at_utc, "
                "landed_at_utc) values (?, ?, '2024-07-01', '2024-07-01', 'done', 1, ?, ?)",
                [dataset, slice_, now, now],
            )
        found = [
            slice_statuses(connection, all_datasets()[name], now=now)[0]
            for name in ("open_meteo.hourly", "caiso.price_dam")
        ]
        (load,) = slice_statuses(connection, all_datasets()["caiso.load"], now=now)
    hours = (now - datetime(2024, 7, 1, 1)) // HOUR
    assert [one.behind_hours for one in found] == [hours + 1 - 144, hours + 11]
    assert (load.slice_key, load.slice, load.region, load.behind_hours) == ("market", "DAM", None, hours + 15)
    assert found[0].region == "SCL"


def test_a_slice_that_runs_ahead_of_the_present_owes_nothing(tmp_path: Path, clock: MovableClock) -> None:
    with open_staging(tmp_path / "staging.duckdb") as connection:
        ahead = clock.now().replace(minute=0, second=0, microsecond=0) + 30 * HOUR
        connection.execute("insert into caiso.load values (?, 'CA ISO-TAC', 'DAM', 1, ?)", [ahead, clock.now()])
        connection.execute(
            "insert into sync.chunk (dataset, slice, first_hour_utc, last_hour_utc, status) "
            "values ('caiso.load', 'DAM', ?, ?, 'due')",
            [ahead, ahead],
        )
        (found,) = slice_statuses(connection, all_datasets()["caiso.load"], now=time.utc_now())
    assert found.behind_hours == 0
    assert found.last_hour_utc is not None
    assert found.last_hour_utc < clock.now()


def test_a_region_that_has_stopped_owes_nothing_from_its_last_day_on(tmp_path: Path, clock: MovableClock) -> None:
    clock.set(datetime(2023, 12, 10))
    with open_staging(tmp_path / "staging.duckdb") as connection:
        connection.execute(
            "insert into eia.region_data values ('2023-11-30', 'GRIF', 'NG', 1, ?)", [datetime(2023, 12, 1)]
        )
        connection.execute(
            "insert into sync.chunk (dataset, slice, first_hour_utc, last_hour_utc, status) "
            "values ('eia.region_data', 'GRIF', '2023-11-30', '2023-11-30', 'due')"
        )
        (found,) = slice_statuses(connection, REGION_DATA, now=time.utc_now())
    assert (found.ended, found.behind_hours) == (True, None)
    assert not is_late(found, 0)


def test_a_clock_that_was_set_back_is_said(desk: Desk, sim: Simulator) -> None:
    desk.sync("eia.region_data", regions=["CISO"], since="2024-03-01", until="2024-03-01")
    assert "the clock says" not in desk.run("status").stderr
    with duckdb.connect(str(desk.staging)) as connection:
        connection.execute("update sync.landing set landed_at_utc = landed_at_utc + interval 30 day")
    said = desk.run("status").stderr
    assert "the clock says" in said
    assert "h later: the clock was set back, or was ahead then" in said
