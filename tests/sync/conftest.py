"""A simulator with a fixed clock, a separate desk for each test, and a clock that tests can move."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from energywh.simulate.reporting import Reporting
from energywh.simulate.server import Simulator
from tests.support.desk import KEY, Desk


@pytest.fixture(scope="session")
def still_simulator() -> Iterator[Simulator]:
    """A simulator whose clock is fixed at the start of 2026: all of 2024 is published and settled."""
    with Simulator(seed=5, now="2026-01-01T00", api_key=KEY) as simulator:
        yield simulator


@pytest.fixture
def sim(still_simulator: Simulator) -> Simulator:
    """The still simulator, with an empty record of requests."""
    still_simulator.requests.clear()
    return still_simulator


@pytest.fixture
def desk(tmp_path: Path, sim: Simulator) -> Desk:
    return Desk(tmp_path, sim.url)


class MovableClock:
    """The present of a sync: a running clock, so that no two readings are equal, which tests can advance."""

    def __init__(self, start: datetime) -> None:
        self._start, self._began = start, time.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=time.monotonic() - self._began)

    def set(self, moment: datetime) -> None:
        self._start, self._began = moment, time.monotonic()

    def advance(self, hours: float) -> None:
        self._start += timedelta(hours=hours)


def clock_of(patch: pytest.MonkeyPatch) -> MovableClock:
    """Return the present, for `Desk.sync` and `Desk.run` while ``patch`` holds: 2025-06-15T06 at first."""
    clock = MovableClock(datetime(2025, 6, 15, 6))
    patch.setattr("energywh.core.time.utc_now", clock.now)
    return clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MovableClock:
    """The present, for syncs of this process."""
    return clock_of(monkeypatch)


@pytest.fixture
def live(tmp_path: Path, clock: MovableClock) -> Iterator[tuple[Desk, Simulator]]:
    """A simulator with the time of `clock`, and with revisions, late values and withdrawn rows."""
    reporting = Reporting(revision_rate=0.1, withdrawn_rate=0.02, null_rate=0.02, gap_rate=0.02)
    with Simulator(seed=9, now=clock.now(), api_key=KEY, reporting=reporting) as simulator:
        yield Desk(tmp_path, simulator.url), simulator
