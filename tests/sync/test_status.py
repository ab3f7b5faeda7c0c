"""What status says of gaps, of age, and of what was never fetched."""

from __future__ import annotations

from datetime import timedelta

import duckdb
import pytest

from energywh.core.time import HOUR
from energywh.simulate.server import Simulator
from energywh.sources.base import Dataset
from energywh.sources.eia import SOURCE
from energywh.sync.schema import open_staging
from energywh.sync.status import SliceStatus, is_late, slice_statuses
from tests.support.desk import Desk
from tests.sync.conftest import MovableClock

REGION_DATA, INTERCHANGE = SOURCE.dataset("eia.region_data"), SOURCE.dataset("eia.interchange_data")


def only(desk: Desk, dataset: Dataset = REGION_DATA) -> SliceStatus:
    with open_staging(desk.staging, read_only=True) as connection:
        (found,) = slice_statuses(connection, dataset)
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
    [(REGION_DATA, 4, False), (REGION_DATA, 5, True), (INTERCHANGE, 57, False), (INTERCHANGE, 58, True)],
)
def test_late_is_what_exceeds_the_publication_lag_that_the_dataset_declares(
    live: tuple[Desk, Simulator], clock: MovableClock, dataset: Dataset, behind: int, late: bool
) -> None:
    desk, _ = live
    assert desk.sync(dataset.name, regions=["CISO"], since="2025-06-10", until="2025-06-14").ok
    last = only(desk, dataset).last_hour_utc
    assert last is not None
    clock.advance((last + timedelta(hours=behind, minutes=1) + HOUR - clock.now()) / HOUR)
    found = only(desk, dataset)
    assert found.behind_hours == behind
    assert is_late(found, 2) == late
