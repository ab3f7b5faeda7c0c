"""The threads that fetch from one source, within its rate limits."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from energywh.config.settings import Settings
from energywh.core.time import RunClock
from energywh.errors import EnergywhError, LimitSpentError, SourceError
from energywh.sources.base import Chunk, Source
from energywh.sync.fetcher import FetchedChunk, Fetcher
from energywh.sync.ledger import LandedFile, Outcome
from energywh.sync.payloads import PayloadStore
from energywh.sync.progress import Speed
from energywh.sync.rate_limit import RequestLimit, Stopped, state_folder
from energywh.sync.simulation_guard import SimulationGuard

CLAIMS_AHEAD = 64  # chunks held by a process, beyond its threads; the rest is free for others
FAILURES_IN_A_ROW = 20  # the source counts as down after this number of consecutive unavailable chunks
FAILURES_AT_FIRST = 3  # the same before its first answer in a run
SLICES_AT_FIRST = 20  # failed slices, without a single good answer, after which the source is not asked again
PATIENCE_AT_END_SECONDS = 1.0  # for threads to notice that the run is over


class WorkerPool:
    """The threads that fetch from one source."""

    def __init__(
        self,
        source: Source,
        settings: Settings,
        answers: queue.Queue[FetchedChunk],
        *,
        store: PayloadStore | None,
        simulation_guard: SimulationGuard,
        speed: Speed,
        say: Callable[[str], None],
        clock: RunClock,
    ) -> None:
        self.source = source
        self.stop = threading.Event()
        self.pending: deque[Chunk] = deque()  # due, not claimed
        self.claimed: queue.SimpleQueue[Chunk] = queue.SimpleQueue()
        self.outstanding = 0  # claimed, and not landed
        self.fatal: EnergywhError | None = None
        self.limit_message = ""  # what is said when the source allows no more today
        self._unavailable_in_a_row = 0
        self._failed_slices: set[tuple[str, str]] = set()  # until it first answers well
        self._answered = False
        self.jobs = min(int(settings.get("sync.jobs")), source.max_jobs)
        # Files are large: as many are in memory as are being read, and no more.
        self.claims_ahead = 0 if any(dataset.is_file for dataset in source.datasets) else CLAIMS_AHEAD
        self._answers = answers
        folder = state_folder(settings.get("state.folder"))
        self._limit = RequestLimit(folder, source.name, source.identity(settings), source.rate_limits(settings), say)
        self._fetcher = Fetcher(
            source,
            settings,
            self._limit,
            store,
            self.stop,
            simulation_guard,
            clock,
            speed,
        )
        self._threads = [
            threading.Thread(target=self._work, name=f"{source.name}-{number}", daemon=True)
            for number in range(self.jobs)
        ]

    @property
    def needs_chunks(self) -> bool:
        """Whether threads will soon have nothing to do, though chunks are pending."""
        room = self.jobs + self.claims_ahead - self.outstanding
        return bool(self.pending) and room > 0 and self.claimed.qsize() < self.jobs

    def set_landed_files(self, landed: Mapping[Chunk, LandedFile] | None) -> None:
        """Set which files staging holds: the source need not send them again. None: it is to send all."""
        self._fetcher.landed = landed

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while not self.stop.is_set():
            try:
                chunk = self.claimed.get(timeout=0.1)
            except queue.Empty:
                continue
            try:
                self._answers.put(self._fetcher.fetch(chunk))
            except Stopped:
                return
            except LimitSpentError as error:
                self.limit_message = str(error)
                self.stop.set()
            except EnergywhError as error:
                self.fatal = self.fatal or error
                self.stop.set()
            except Exception as error:
                self.fatal = self.fatal or SourceError(f"{chunk}: unexpected {type(error).__name__}; please report it")
                self.stop.set()
                raise

    def record(self, outcome: Outcome) -> None:
        """Record how a chunk ended; stop requests to a source that is down.

        Refused, rejected or unreadable answers do not count against the source: one bad slice must not prevent the
        others from being fetched.
        """
        if outcome.error is None or outcome.later:
            self._unavailable_in_a_row = 0
            self._answered = True
            return
        if outcome.unavailable:
            self._unavailable_in_a_row += 1
            if self._unavailable_in_a_row >= (FAILURES_IN_A_ROW if self._answered else FAILURES_AT_FIRST):
                self._stop_asking(f"{self._unavailable_in_a_row} chunks of {self.source.name} failed in a row", outcome)
        elif not self._answered:
            self._failed_slices.add((outcome.chunk.dataset, outcome.chunk.slice))
            if len(self._failed_slices) >= SLICES_AT_FIRST:
                self._stop_asking(
                    f"{self.source.name} answered none of {len(self._failed_slices)} slices with data", outcome
                )

    def _stop_asking(self, why: str, outcome: Outcome) -> None:
        self.fatal = self.fatal or SourceError(
            f"{why}; stopped asking it. What is done is kept; run this again later. Last: {outcome.error}"
        )
        self.stop.set()

    def close(self) -> None:
        """End the threads. One that waits for an answer is left to itself; it writes nothing any more."""
        self.stop.set()
        deadline = time.monotonic() + PATIENCE_AT_END_SECONDS
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=max(0.0, deadline - time.monotonic()))
        self._fetcher.close()
        self._limit.close()
