"""Replay rebuilds the same staging from the payloads."""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest

from energywh.core.locks import file_lock
from energywh.core.paths import Home
from energywh.core.time import utc_now
from energywh.errors import LockedError, StorageError
from energywh.simulate.server import Simulator
from energywh.sync.journals import Journal
from energywh.sync.ledger import REPLAY_LOCK, Owner
from energywh.sync.payload_index import PayloadIndex
from energywh.sync.payloads import PayloadStore
from energywh.sync.replay import ReplayResult, exclude_syncs, replay
from tests.support.desk import Desk
from tests.support.packs import bodies, drop, journals, packs
from tests.support.staging import everything, has_twins, query, statuses, values
from tests.sync.conftest import MovableClock

REGIONS = ["CISO"]
SINCE = {"since": "2025-06-12", "until": "2025-06-14"}


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `sync_three_times` keeps the home that it has made, for the next test."""
    return tmp_path_factory.mktemp("synced") / "home"


def payloads_of(journal: Journal) -> set[str]:
    """Return the names of the payloads that a landing took."""
    return {f"{entry.dataset}/{payload}.zst" for entry in journal.entries for payload in entry.payloads}


def sync_three_times(live: tuple[Desk, Simulator], clock: MovableClock, synced: Path) -> Desk:
    """Sync with a day between each: there are revisions, withdrawn rows and a chunk without rows."""
    desk, sim = live
    made = synced.exists()
    for _ in range(3):
        assert made or desk.sync(regions=[*REGIONS, "SIKE"], **SINCE).ok
        clock.advance(24)
        sim.clock.advance(24)
    shutil.copytree(*((synced, desk.home.path) if made else (desk.home.path, synced)), dirs_exist_ok=True)
    revisions = query(desk.staging, "select count(*) from eia.region_data_revision")
    assert revisions[0][0] > 0
    return desk


@pytest.mark.parametrize("state", ["whole", "deleted", "damaged"])
def test_replay_gives_the_same_tables(
    live: tuple[Desk, Simulator], clock: MovableClock, synced: Path, state: str
) -> None:
    desk = sync_three_times(live, clock, synced)
    expected, ledger = everything(desk.staging), statuses(desk.staging)
    asked = len(live[1].requests)
    if state == "deleted":
        desk.staging.unlink()
    elif state == "damaged":
        content = bytearray(desk.staging.read_bytes())
        content[: len(content) // 2] = os.urandom(len(content) // 2)
        desk.staging.write_bytes(content)
    said: list[str] = []
    result = replay(desk.settings(), said.append)
    assert everything(desk.staging) == expected
    assert statuses(desk.staging) == ledger
    assert (result.landings, result.carried_rows, result.lost_chunks) == (len(expected["sync.landing"]), 0, 0)
    assert len(live[1].requests) == asked
    assert any("moved to" in text for text in said) == (state == "damaged")
    if state == "whole":  # once more, from the staging that the replay made
        replay(desk.settings())
        assert everything(desk.staging) == expected


def test_the_ledger_stays_as_it_was_with_its_failures_and_what_is_due(
    live: tuple[Desk, Simulator], clock: MovableClock, synced: Path
) -> None:
    desk = sync_three_times(live, clock, synced)
    broken = Desk(desk.folder, desk.url.replace("/v2", "/v1"))
    assert not broken.sync("eia.region_data", regions=["CISO,PACW"], refresh="30d", **SINCE).ok
    ledger = query(desk.staging, "select * from sync.chunk order by all")
    assert set(statuses(desk.staging)) == {"done", "empty", "failed"}
    replay(desk.settings())
    assert query(desk.staging, "select * from sync.chunk order by all") == ledger


def test_a_sync_after_a_replay_continues_as_without_one(
    live: tuple[Desk, Simulator], clock: MovableClock, synced: Path
) -> None:
    desk = sync_three_times(live, clock, synced)
    replay(desk.settings())
    assert desk.sync(regions=REGIONS, **SINCE).ok
    assert not has_twins(desk.staging)
    landings = query(desk.staging, "select landing_id from sync.landing order by landed_at_utc")
    assert landings == [(number,) for number in range(1, len(landings) + 1)]


def test_what_a_sync_lands_until_replay_excludes_it_is_replayed_too(
    live: tuple[Desk, Simulator], clock: MovableClock, synced: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    desk = sync_three_times(live, clock, synced)
    expected = everything(desk.staging)
    desk.staging.unlink()
    newest = max(packs(desk.home.payloads))
    shutil.move(newest, tmp_path / "newest")

    def end_the_sync(home: Home) -> AbstractContextManager[None]:
        shutil.move(tmp_path / "newest", newest)
        return exclude_syncs(home)

    monkeypatch.setattr("energywh.sync.replay.exclude_syncs", end_the_sync)
    assert replay(desk.settings()).landings == len(expected["sync.landing"])
    assert everything(desk.staging) == expected


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_what_was_pruned_is_carried_over(
    live: tuple[Desk, Simulator], clock: MovableClock, synced: Path, gone: int
) -> None:
    desk = sync_three_times(live, clock, synced)
    expected = everything(desk.staging)
    listed = journals(desk.home.payloads)
    assert len(listed) == 3
    kept = {name for _, journal in listed[gone:] for name in payloads_of(journal)}
    for name, journal in listed[:gone]:
        drop(desk.home.payloads, {name, *(payloads_of(journal) - kept)})
    if gone == 3:
        with pytest.raises(StorageError, match="no payloads"):
            replay(desk.settings())
    else:
        result: ReplayResult = replay(desk.settings())
        assert result.landings == 3 - gone
        assert result.carried_rows > 0
    assert everything(desk.staging) == expected


def test_a_payload_that_is_gone_makes_its_landing_and_all_before_be_carried_over(
    live: tuple[Desk, Simulator], clock: MovableClock, synced: Path
) -> None:
    desk = sync_three_times(live, clock, synced)
    expected = everything(desk.staging)
    _, (_, middle), (_, last) = journals(desk.home.payloads)
    drop(desk.home.payloads, {min(payloads_of(middle) - payloads_of(last))})
    result = replay(desk.settings())
    assert result.landings == 1
    assert everything(desk.staging) == expected


def test_payloads_lost_together_with_staging_are_counted_and_fetched_again(
    live: tuple[Desk, Simulator], clock: MovableClock
) -> None:
    desk, _ = live
    assert desk.sync(regions=REGIONS, **SINCE).ok
    expected = values(desk.staging)
    desk.staging.unlink()
    ((_, journal),) = journals(desk.home.payloads)
    drop(desk.home.payloads, {f"{entry.dataset}/{entry.payloads[0]}.zst" for entry in journal.entries[:2]})
    assert replay(desk.settings()).lost_chunks == 2
    assert desk.sync(regions=REGIONS, **SINCE).ok
    assert values(desk.staging) == expected


def test_replay_after_two_lives_of_staging_keeps_the_order_of_time(
    live: tuple[Desk, Simulator], clock: MovableClock, synced: Path
) -> None:
    """Staging deleted and fetched anew: landings are numbered from 1 again beside journals of the same numbers."""
    desk = sync_three_times(live, clock, synced)
    desk.staging.unlink()
    for _ in range(2):
        clock.advance(24)
        live[1].clock.advance(24)
        assert desk.sync(regions=REGIONS, **SINCE).ok
    newest = values(desk.staging)
    desk.staging.unlink()
    result = replay(desk.settings())
    assert result.landings == 5
    assert {table: [row for row in rows if row[1] != "SIKE"] for table, rows in values(desk.staging).items()} == newest
    identities = query(desk.staging, "select count(distinct landing_id), count(*) from sync.landing")
    assert identities == [(5, 5)]
    ordered = query(desk.staging, "select landing_id from sync.landing order by landed_at_utc")
    assert ordered == sorted(ordered)


def test_rows_withdrawn_on_refresh_stay_withdrawn(live: tuple[Desk, Simulator], clock: MovableClock) -> None:
    desk, _ = live
    day = {"since": "2025-06-12", "until": "2025-06-12"}
    assert desk.sync("eia.region_data", regions=["CISO"], **day).ok
    with Simulator(now="2019-01-02T00", api_key=desk.key) as before:
        empty = Desk(desk.folder, before.url)
        assert empty.sync("eia.region_data", regions=["CISO"], refresh="30d", **day).ok
    expected = everything(desk.staging)
    assert expected["eia.region_data"] == []
    assert len(expected["eia.region_data_revision"]) > 0
    desk.staging.unlink()
    replay(desk.settings())
    assert everything(desk.staging) == expected


def test_replay_does_not_start_beside_a_sync_or_a_replay(desk: Desk, sim: Simulator) -> None:
    desk.sync("eia.region_data", regions=["CISO"], since="2024-03-01", until="2024-03-02")
    with Owner(desk.home.locks), pytest.raises(LockedError, match=rf"a sync is running \(process {os.getpid()}\)"):
        replay(desk.settings())
    from filelock import FileLock

    with FileLock(desk.home.locks / "replay.lock"):
        with pytest.raises(LockedError, match="waited 0 s for another 'energywh replay'"):
            replay(desk.settings())
        impatient = desk.having(LOCK_WAIT_SECONDS="0")
        with pytest.raises(LockedError, match=r"waited .* for 'energywh replay'.*run this again"):
            impatient.sync("eia.region_data", regions=["CISO"], since="2024-03-01", until="2024-03-02")


def test_without_payloads_there_is_nothing_to_replay(desk: Desk, sim: Simulator) -> None:
    with pytest.raises(StorageError, match=r"no payloads in .* to replay; run 'energywh sync'"):
        replay(desk.settings())
    keeps_none = desk.having(PAYLOADS_RETENTION="0h")
    keeps_none.sync("eia.region_data", regions=["CISO"], since="2024-03-01", until="2024-03-02")
    assert not desk.home.payloads.exists()
    assert query(desk.staging, "select journal from sync.landing") == [(None,)]


def test_a_lock_that_is_held_for_a_moment_to_see_whether_it_is_free_stops_no_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    looking = file_lock(home.locks / REPLAY_LOCK, "doctor", wait_seconds=0)
    looking.__enter__()
    monkeypatch.setattr("energywh.core.locks.time.sleep", lambda _: looking.__exit__(None, None, None))
    with exclude_syncs(home):
        pass


def test_payloads_are_kept_as_long_as_is_set_and_no_longer(live: tuple[Desk, Simulator], clock: MovableClock) -> None:
    desk, _ = live
    week = desk.having(PAYLOADS_RETENTION="7d")
    week.sync("eia.region_data", regions=["CISO"], since="2025-06-01", until="2025-06-01")
    (old,) = packs(desk.home.payloads)
    clock.advance(7 * 24)
    week.sync("eia.region_data", regions=["BPAT"], since="2025-06-01", until="2025-06-01")
    assert old.exists()
    clock.advance(24)
    week.sync("eia.region_data", regions=["BPAT"], since="2025-06-02", until="2025-06-02")
    assert not old.parent.exists()
    assert len(packs(desk.home.payloads)) == 2


def test_payloads_kept_before_are_deleted_once_none_are_to_be_kept(desk: Desk, sim: Simulator) -> None:
    day = {"since": "2024-03-01", "until": "2024-03-01"}
    desk.sync("eia.region_data", regions=["CISO"], **day)
    assert packs(desk.home.payloads)
    desk.having(PAYLOADS_RETENTION="0h").sync("eia.region_data", regions=["BPAT"], **day)
    assert [path for path in desk.home.payloads.glob("*/**/*") if path.is_file()] == []


def test_an_answer_that_is_the_same_again_is_kept_once_a_day(live: tuple[Desk, Simulator], clock: MovableClock) -> None:
    desk, _ = live
    day = {"since": "2025-06-14", "until": "2025-06-14"}
    for expected in (1, 1, 2):
        desk.sync("eia.region_data", regions=["CISO"], **day)
        assert len(bodies(desk.home.payloads)) == expected
        clock.advance(9 if expected == 1 else 0)
    assert len(packs(desk.home.payloads)) == 2
    assert len(journals(desk.home.payloads)) == 3


def test_a_payload_is_the_body_but_for_the_key(tmp_path: Path) -> None:
    store = PayloadStore(tmp_path)
    body = b'{"response": {"data": []}}'
    name = store.keep("eia.region_data", body)
    assert PayloadIndex.of(tmp_path).read("eia.region_data", name) == body
    assert store.keep("eia.region_data", body) == name
    with pytest.raises(FileNotFoundError):
        PayloadIndex.of(tmp_path).read("eia.region_data", "0" * 64)


MARCH = {"since": "2024-03-01", "until": "2024-03-02"}


@pytest.mark.parametrize("pruned", [False, True])
def test_what_a_staging_file_held_that_was_lost_comes_back_beside_the_present_one(
    desk: Desk, sim: Simulator, pruned: bool
) -> None:
    """Staging is lost, a sync makes a new one, and replay runs only later."""
    assert desk.sync(regions=["CISO"], **MARCH).ok
    before = values(desk.staging)
    desk.staging.unlink()
    assert desk.sync("eia.region_data", regions=["BPAT"], **MARCH).ok
    assert desk.sync("eia.region_data", regions=["PACW"], **MARCH).ok
    after = values(desk.staging)
    listed = journals(desk.home.payloads)
    assert len(listed) == 3
    if pruned:
        drop(desk.home.payloads, {listed[1][0]})
    replay(desk.settings())
    found = values(desk.staging)
    assert found == {table: sorted([*before[table], *after[table]]) for table in found}
    assert not has_twins(desk.staging)
    assert query(desk.staging, "select count(*), count(distinct landing_id) from sync.landing") == [(3, 3)]
    assert set(statuses(desk.staging)) == {"done"}
    sim.requests.clear()
    assert desk.sync(regions=["CISO"], **MARCH).ok
    assert sim.requests == [], "the ledger knows it again"
    again = everything(desk.staging)
    replay(desk.settings())
    assert everything(desk.staging) == again


@pytest.mark.parametrize("pruned", [False, True])
def test_of_hours_that_both_files_asked_for_the_present_one_holds_the_truth(
    live: tuple[Desk, Simulator], clock: MovableClock, pruned: bool
) -> None:
    desk, sim = live
    assert desk.sync("eia.region_data", regions=["CISO"], **SINCE).ok
    desk.staging.unlink()
    for _ in range(2):
        clock.advance(24)
        sim.clock.advance(24)
        assert desk.sync("eia.region_data", regions=["CISO"], **SINCE).ok
    expected = values(desk.staging)
    if pruned:
        drop(desk.home.payloads, {journals(desk.home.payloads)[1][0]})
    replay(desk.settings())
    assert values(desk.staging) == expected
    assert not has_twins(desk.staging)


def test_a_replay_that_dies_at_the_end_leaves_the_damaged_file_in_its_place(
    desk: Desk, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the file were moved away, the next sync would start an empty one."""
    assert desk.sync("eia.region_data", regions=["CISO"], **MARCH).ok
    expected = values(desk.staging)
    desk.staging.write_bytes(b"nothing of a database" * 1000)
    really = Path.replace

    def die(self: Path, target: Path) -> Path:
        if self.name == "staging.replay.duckdb":
            raise KeyboardInterrupt
        return really(self, target)

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        replay(desk.settings())
    assert desk.staging.exists()
    monkeypatch.undo()
    later = utc_now() + timedelta(seconds=1)  # the name of the damaged file that is put aside holds the second
    monkeypatch.setattr("energywh.sync.replay.utc_now", lambda: later)
    replay(desk.settings())
    assert values(desk.staging) == expected
    assert len(list(desk.home.path.glob("staging.damaged-*"))) == 2
