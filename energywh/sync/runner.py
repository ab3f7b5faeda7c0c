"""A run of sync: plan, claim, fetch in threads, land in one thread, and keep the ledger consistent at every instant.

Each source has a pool with its own threads and rate limit. Only the thread that called `sync` opens staging, for one
transaction at a time, which lands the fetched chunks and claims the next ones.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from energywh.config.settings import Settings
from energywh.core.database import one_row
from energywh.core.locks import file_lock
from energywh.core.time import RunClock, parse_duration_hours, utc_now
from energywh.errors import EnergywhError, LockedError
from energywh.sources.base import Chunk
from energywh.sync import ledger
from energywh.sync.events import SyncEnded, SyncFailed, SyncListener, SyncStarted
from energywh.sync.fetcher import FetchedChunk
from energywh.sync.landing import land
from energywh.sync.ledger import REPLAY_LOCK, Owner, living_owners
from energywh.sync.payloads import PayloadStore
from energywh.sync.planner import FetchPlan, empty_plan, plan_fetch, refresh_from
from energywh.sync.progress import Reporter, SilentReporter, Speed, Tally
from energywh.sync.result import SyncResult
from energywh.sync.schema import open_staging, sweep
from energywh.sync.selection import Selection, check_source, resolve
from energywh.sync.simulation_guard import SimulationGuard
from energywh.sync.worker import CLAIMS_AHEAD, WorkerPool

if TYPE_CHECKING:
    import duckdb

LAND_EVERY_SECONDS = 1.0  # longest time that an answer waits for its landing
LAND_ROWS = 250_000  # lands earlier from this number of rows: more than a row group, so that they bypass the log


def sync(
    settings: Settings,
    selection: Selection,
    *,
    reporter: Reporter | None = None,
    stop: threading.Event | None = None,
    listeners: Iterable[SyncListener] = (),
    now: datetime | None = None,
) -> SyncResult:
    """Fetch and land what is due. A source that fails stops no other; why it did is in the result.

    Args:
        stop: when set, the landing in hand is finished, the rest given back, and the run ends.
        listeners: take the events of the sync, in this order.
        now: the present, naive UTC; by default that of the system's clock, which is read once.

    Raises:
        SettingsError: a source lacks a setting, such as its key, or a setting is wrong.
        StorageError: staging cannot be opened, so that nothing could begin.
    """
    stop = stop or threading.Event()
    reporter = reporter or SilentReporter()
    clock = RunClock(utc_now() if now is None else now)
    selection = resolve(selection, settings, clock.present_hour)
    for source in selection.sources.values():
        check_source(source, settings)
    for note in selection.notes:
        reporter.say(note)
    if (nothing := empty_plan(selection, settings, clock.present_hour)) is not None:
        return SyncResult([], why_nothing=nothing.why_nothing)
    listeners = list(listeners)
    for listener in listeners:
        listener(SyncStarted(settings, selection))
    try:
        result = _sync(settings, selection, reporter, stop, clock)
    except BaseException as error:
        for listener in listeners:
            listener(SyncFailed(error))
        raise
    for listener in listeners:
        listener(SyncEnded(result))
    return result


def _sync(
    settings: Settings, selection: Selection, reporter: Reporter, stop: threading.Event, clock: RunClock
) -> SyncResult:
    home = settings.home
    home.create()
    sweep(home.staging)
    with Owner(home.locks) as owner:
        if not wait_for_replay(settings, reporter, stop):
            return SyncResult([], interrupted=True)
        return _Run(settings, selection, reporter, stop, owner, clock).run()


def wait_for_replay(settings: Settings, reporter: Reporter, stop: threading.Event) -> bool:
    """Return True when no replay is rebuilding staging, and False when ``stop`` is set before.

    Raises:
        LockedError: the replay did not end within `lock.wait_seconds`.
    """
    file, wait_seconds = settings.home.locks / REPLAY_LOCK, float(settings.get("lock.wait_seconds"))
    try:
        with file_lock(file, "'energywh replay'", wait_seconds, reporter.say, stop.is_set):
            return not stop.is_set()
    except LockedError:
        if stop.is_set():
            return False
        raise


@dataclass(frozen=True)
class _Claim:
    """What was wanted of a pool's pending chunks, from the first on, and what of it was still to be had."""

    wanted: list[Chunk]
    claimed: list[Chunk]


class _Run:
    """The state of one call of `sync`."""

    def __init__(
        self,
        settings: Settings,
        selection: Selection,
        reporter: Reporter,
        stop: threading.Event,
        owner: Owner,
        clock: RunClock,
    ) -> None:
        self._settings = settings
        self._selection = selection
        self._reporter = reporter
        self._stop = stop
        self._owner = owner
        self._clock = clock
        self._speed = Speed()
        # Bounded: while staging is held by a build, fetching waits instead of filling the memory.
        self._answers: queue.Queue[FetchedChunk] = queue.Queue(maxsize=4 * CLAIMS_AHEAD)
        self._pools: dict[str, WorkerPool] = {}
        self._due: FetchPlan | None = None  # until it is known
        self._refresh_from = refresh_from(selection, clock.present_hour)
        self._tallies: dict[str, Tally] = {}
        self._datasets = {dataset.name: dataset for dataset in selection.datasets}
        self._retention = parse_duration_hours(settings.get("payloads.retention"))
        self._store = PayloadStore(settings.home.payloads, clock.now) if self._retention else None
        self._planned_at: datetime | None = None
        self._failures: list[str] = []
        self._fatal: dict[str, EnergywhError] = {}

    def _staging(self, *, patient: bool = True) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        return open_staging(
            self._settings.home.staging,
            wait_seconds=float(self._settings.get("lock.wait_seconds")) if patient else 5.0,
            on_wait=self._reporter.say,
            give_up=self._stop.is_set if patient else None,
        )

    def run(self) -> SyncResult:
        started = time.monotonic()
        try:
            self._plan()
            self._reporter.start(list(self._tallies.values()))
            for pool in self._pools.values():
                pool.start()
            self._loop()
        except EnergywhError as error:
            if isinstance(error, LockedError) and self._stop.is_set():
                pass  # stopped while it waited for staging
            elif self._planned_at is None:
                raise
            else:
                self._fatal[""] = error
        finally:
            for pool in self._pools.values():
                pool.close()
            self._release()
            self._reporter.stop()
            if self._store is not None:
                self._store.close()
        self._prune()
        self._fatal |= {name: pool.fatal for name, pool in self._pools.items() if pool.fatal is not None}
        return SyncResult(
            list(self._tallies.values()),
            time.monotonic() - started,
            self._speed.requests,
            self._stop.is_set(),
            "" if self._due is None or self._due.slices else self._due.why_nothing,
            self._failures,
            self._fatal,
            [pool.limit_message for pool in self._pools.values() if pool.limit_message],
        )

    def _plan(self) -> None:
        with self._staging() as connection:
            living = living_owners(self._settings.home.locks)
            due = self._due = plan_fetch(
                connection, self._selection, self._settings, living, self._refresh_from, self._clock.present_hour
            )
            for note in due.notes if due.slices else ():
                self._reporter.say(note)
            (holds_data,) = one_row(connection, "select exists (from sync.landing)")
            simulation_guard = SimulationGuard(self._settings.home, holds_data)
            for name, source in self._selection.sources.items():
                self._pools[name] = WorkerPool(
                    source,
                    self._settings,
                    self._answers,
                    store=self._store,
                    simulation_guard=simulation_guard,
                    speed=self._speed,
                    say=self._reporter.say,
                    clock=self._clock,
                )
            # What is asked for again by --refresh is read again, changed or not.
            landed = (
                None if self._refresh_from is not None else ledger.landed_files(connection, self._datasets.values())
            )
            for pool in self._pools.values():
                pool.set_landed_files(landed)
            planned_at = self._clock.now()
            connection.execute("begin")
            ledger.write_plan(connection, due.slices)
            self._tallies = {name: Tally(name) for name in self._datasets}
            for chunk in due.chunks:
                self._tallies[chunk.dataset].due += 1
                self._pool(chunk).pending.append(chunk)
            claimed = self._claim(connection, planned_at)
            connection.execute("commit")
            self._planned_at = planned_at
        self._dispatch(claimed)

    def _loop(self) -> None:
        last_landing = time.monotonic()
        waiting: list[FetchedChunk] = []
        while True:
            if self._stop.is_set():
                for pool in self._pools.values():
                    pool.stop.set()
            waiting += self._collect()
            running = self._running()
            here = sum(not self._pool(fetched.outcome.chunk).stop.is_set() for fetched in waiting)
            ending = sum(pool.outstanding + len(pool.pending) for pool in running) == here
            needs_chunks = any(pool.needs_chunks for pool in running)
            full = sum(fetched.outcome.rows for fetched in waiting) >= LAND_ROWS
            overdue = time.monotonic() - last_landing >= LAND_EVERY_SECONDS
            if needs_chunks or (waiting and (full or overdue or ending)):
                self._land(waiting)
                waiting = []
                last_landing = time.monotonic()
            self._reporter.update(list(self._tallies.values()), self._speed)
            if ending and not waiting and self._answers.empty():
                return

    def _running(self) -> list[WorkerPool]:
        return [pool for pool in self._pools.values() if not pool.stop.is_set()]

    def _collect(self) -> list[FetchedChunk]:
        """Return the answers that came, waiting a moment for the first."""
        arrived: list[FetchedChunk] = []
        try:
            arrived.append(self._answers.get(timeout=0.1))
            while len(arrived) < CLAIMS_AHEAD:
                arrived.append(self._answers.get_nowait())
        except queue.Empty:
            pass
        return arrived

    def _pool(self, chunk: Chunk) -> WorkerPool:
        return self._pools[self._datasets[chunk.dataset].source]

    def _land(self, waiting: list[FetchedChunk]) -> None:
        """Land answers and ledger rows in one transaction, and claim the next chunks in the same."""
        assert self._planned_at is not None
        with self._staging() as connection:
            connection.execute("begin")
            mine = ledger.owned_chunks(connection, self._owner.name)
            done = land(
                connection,
                self._datasets,
                [fetched for fetched in waiting if fetched.outcome.chunk in mine],
                self._clock.now(),
                store=self._store,
                may_withdraw_all=lambda chunk: self._refresh_from is not None and chunk.last >= self._refresh_from,
            )
            claimed = self._claim(connection, self._planned_at)
            connection.execute("commit")
        self._dispatch(claimed)
        for fetched in waiting:
            self._pool(fetched.outcome.chunk).outstanding -= 1
            self._tallies[fetched.outcome.chunk.dataset].elsewhere += fetched.outcome.chunk not in mine
        for outcome in done.outcomes:
            self._count(outcome)
        for name, counts in done.counts.items():
            self._tallies[name].counts += counts
            self._speed.add(rows=counts.rows)

    def _count(self, outcome: ledger.Outcome) -> None:
        tally = self._tallies[outcome.chunk.dataset]
        tally.gaps += bool(outcome.gap)
        if outcome.later:
            tally.later += 1
        elif outcome.error is not None:
            tally.failed += 1
            self._failures.append(f"{outcome.chunk}: {outcome.error}")
        elif outcome.rows:
            tally.done += 1
            tally.unchanged += outcome.unchanged
        else:
            tally.empty += 1
        self._pool(outcome.chunk).record(outcome)

    def _claim(self, connection: duckdb.DuckDBPyConnection, planned_at: datetime) -> list[tuple[WorkerPool, _Claim]]:
        """Claim the next chunks of each pool, in the caller's transaction."""
        if self._stop.is_set():
            return []
        claims = []
        for pool in self._running():
            room = pool.jobs + pool.claims_ahead - pool.outstanding
            wanted = [pool.pending[place] for place in range(min(room, len(pool.pending)))]
            claimed = ledger.claim(connection, wanted, self._owner.name, self._clock.now(), planned_at)
            claims.append((pool, _Claim(wanted, claimed)))
        return claims

    def _dispatch(self, claims: list[tuple[WorkerPool, _Claim]]) -> None:
        """Give the threads what was claimed: once it is committed, so that nothing is fetched that is not ours."""
        for pool, claim in claims:
            for _ in claim.wanted:
                pool.pending.popleft()
            for chunk in claim.claimed:
                pool.claimed.put(chunk)
            pool.outstanding += len(claim.claimed)
            for chunk in set(claim.wanted) - set(claim.claimed):
                self._tallies[chunk.dataset].elsewhere += 1

    def _release(self) -> None:
        """Give back what was planned or claimed and not fetched. If even that fails, the next sync does it."""
        left = [chunk for pool in self._pools.values() for chunk in pool.pending]
        if not left and not any(pool.outstanding for pool in self._pools.values()):
            return
        try:
            with self._staging(patient=False) as connection:
                ledger.release(connection, self._owner.name, left)
        except EnergywhError as error:
            self._reporter.say(f"could not give back claimed chunks ({error}); the next sync takes them up")

    def _prune(self) -> None:
        """Delete payloads that are older than they are to be kept."""
        try:
            before = self._clock.now() - timedelta(hours=self._retention) if self._retention else datetime.max
            PayloadStore(self._settings.home.payloads).prune(before)
        except OSError as error:
            self._reporter.say(f"could not delete old payloads: {error.strerror or error}")
