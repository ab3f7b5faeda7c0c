"""Two concurrent syncs: within one rate limit, each chunk once, and without a lock error."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from energywh.core.time import hour_number, utc_now
from energywh.simulate.server import Simulator
from energywh.simulate.traffic import Served
from energywh.sync import ledger
from energywh.sync import worker as lane
from energywh.sync.planner import plan_fetch
from energywh.sync.progress import SilentReporter, Tally
from energywh.sync.rate_limit import MARGIN_MS
from energywh.sync.runner import sync
from energywh.sync.schema import open_staging
from energywh.sync.selection import parse_selection
from tests.support.desk import Desk, desk_with_simulator
from tests.support.staging import has_twins, query, statuses
from tests.support.victims import start
from tests.sync.conftest import MovableClock


def busiest_second(requests: Sequence[Served]) -> int:
    """Return the most requests that came within any one second."""
    times = sorted(served.at for served in requests)
    return max(sum(begin <= moment < begin + 1.0 for moment in times) for begin in times)


@pytest.mark.parametrize(
    ("limit", "days", "homes"),
    [(5, 2, 1), *(pytest.param(20, 30, homes, marks=pytest.mark.soak) for homes in (1, 2))],
)
def test_two_syncs_with_one_key_stay_within_its_limit(tmp_path: Path, limit: int, days: int, homes: int) -> None:
    regions = ("CISO", "BPAT", "PACW", "AVA", "NEVP")
    with desk_with_simulator(tmp_path) as (plain, sim):
        desk = plain.having(EIA_REQUESTS_PER_SECOND=str(limit), EIA_REQUESTS_PER_HOUR="9000")
        desks = [desk.another(f"home-{number % homes}") for number in range(2)]
        words = ("sync", "--region", ",".join(regions), "--since", "2024-03-01", "--until", f"2024-03-{days:02}")
        began = time.monotonic()
        processes = [start(each.environment, *words) for each in desks]
        for process in processes:
            process.join(120)
        assert [process.exitcode for process in processes] == [0, 0]
    # The first cannot have left before `began`; those of one second may arrive in less, if the machine is busy.
    apart_seconds = (1 + MARGIN_MS / 1000) / limit
    assert sim.requests[-1].at - began >= (len(sim.requests) - 1) * apart_seconds
    assert busiest_second(sim.requests) <= 1.5 * limit
    chunks = query(desks[0].staging, "select count(*) from sync.chunk")[0][0]
    assert len(sim.requests) == chunks * homes, "a chunk was fetched twice, or not at all"
    assert len({served.path for served in sim.requests}) == chunks
    for each in desks:
        assert set(statuses(each.staging)) == {"done", "empty"}, "some authorities have no subregions"
        assert query(each.staging, "select max(attempts) from sync.chunk") == [(1,)]
        assert not has_twins(each.staging)


def test_syncs_that_start_together_on_a_new_folder_do_not_trip_over_each_other(tmp_path: Path) -> None:
    with desk_with_simulator(tmp_path) as (desk, sim):
        regions = "CISO,BPAT,PACW,AVA,NEVP,PSEI,IPCO,AZPS,SRP,PJM"
        words = ("sync", "--region", regions, "--since", "2024-03-01", "--until", "2024-03-01")
        processes = [start(desk.environment, *words) for _ in range(4)]
        for process in processes:
            process.join(120)
        assert [process.exitcode for process in processes] == [0] * 4
    (chunks,) = query(desk.staging, "select count(*) from sync.chunk")[0]
    assert len(sim.requests) == chunks
    assert not has_twins(desk.staging)
    assert not list(desk.home.locks.glob("sync-*"))


def test_what_another_sync_is_at_work_on_is_named_as_such(tmp_path: Path) -> None:
    with desk_with_simulator(tmp_path, latency_seconds=0.1) as (desk, sim):
        march = ("sync", "eia.region_data", "--region", "CISO,BPAT,PACW,AVA", "--since", "2024-03-01")
        other = Desk.start(desk, *march, "--until", "2024-03-05", "--jobs", "1")
        while not sim.requests:
            assert other.poll() is None
            time.sleep(0.01)
        result = desk.sync("eia.region_data", regions=["CISO,BPAT,PACW,AVA"], since="2024-03-01", until="2024-03-05")
        other.communicate()
    assert other.returncode == 0
    assert result.ok
    assert len(sim.requests) == 4


class Meanwhile(SilentReporter):
    """Runs a function between the planning of a run and its fetching."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act

    def start(self, tallies: list[Tally]) -> None:
        self._act()


def test_what_an_interrupted_sync_gives_back_is_fetched_by_the_one_beside_it(
    live: tuple[Desk, Simulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have planned to fetch chunks again; the first had claimed some of them and is interrupted."""
    desk, sim = live
    june = {"since": "2025-06-12", "until": "2025-06-14"}
    regions = ["CISO,BPAT,PACW,AVA,NEVP"]
    assert desk.sync("eia.region_data", regions=regions, **june).ok
    sim.requests.clear()
    selection = parse_selection(["eia.region_data"], regions=regions, **june)
    monkeypatch.setattr(lane, "CLAIMS_AHEAD", 0)

    with open_staging(desk.staging) as connection:
        due = plan_fetch(connection, selection, desk.settings(), set(), None, hour_number(utc_now()))
        connection.execute("begin")
        ledger.write_plan(connection, due.slices)
        connection.execute("commit")

    def claim_some_and_be_interrupted() -> None:
        with open_staging(desk.staging) as connection:
            ledger.claim(connection, due.chunks[-2:], "another", utc_now(), utc_now())
            ledger.release(connection, "another", due.chunks)
        assert statuses(desk.staging) == {"done": 4, "in progress": 1}

    settings = desk.having(SYNC_JOBS="1").settings()
    result = sync(settings, selection, reporter=Meanwhile(claim_some_and_be_interrupted))
    assert result.ok
    assert (result.tallies[0].done, result.tallies[0].elsewhere) == (5, 0)
    assert len(sim.requests) == 5


def test_what_another_sync_has_fetched_meanwhile_is_not_fetched_again(
    live: tuple[Desk, Simulator], clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, sim = live
    june = {"since": "2025-06-12", "until": "2025-06-14"}
    regions = ["CISO,BPAT,PACW,AVA,NEVP"]
    assert desk.sync("eia.region_data", regions=regions, **june).ok
    sim.requests.clear()
    selection = parse_selection(["eia.region_data"], regions=regions, **june)
    monkeypatch.setattr(lane, "CLAIMS_AHEAD", 0)

    def fetch_all() -> None:
        assert desk.sync("eia.region_data", regions=regions, **june).ok

    result = sync(desk.having(SYNC_JOBS="1").settings(), selection, reporter=Meanwhile(fetch_all), now=clock.now())
    assert result.ok
    assert (result.tallies[0].done, result.tallies[0].elsewhere) == (1, 4)
    assert len(sim.requests) == 5
