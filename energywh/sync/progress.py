"""Progress of a run: bars on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from energywh.core.wording import count
from energywh.sources.base import Chunk
from energywh.sync.merge import Counts

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LINE_EVERY_SECONDS = 10.0


@dataclass
class Tally:
    """The state of one dataset in a run."""

    dataset: str
    due: int = 0
    done: int = 0  # answered with rows
    unchanged: int = 0  # of these, files that were the same as before
    empty: int = 0
    gaps: int = 0  # of those answered, such as lack hours that the source should have
    failed: int = 0
    later: int = 0  # the source does not have them yet
    elsewhere: int = 0  # taken up by another process
    counts: Counts = field(default_factory=Counts)

    @property
    def finished(self) -> int:
        return self.done + self.empty + self.failed + self.later + self.elsewhere


class Speed:
    """Requests and rows a second over the last half minute."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int, int]] = deque([(time.monotonic(), 0, 0)])
        self._requests = 0
        self._rows = 0
        self._downloads: dict[Chunk, tuple[int, int | None]] = {}
        self._lock = threading.Lock()

    @property
    def requests(self) -> int:
        return self._requests

    def add(self, *, requests: int = 0, rows: int = 0) -> None:
        with self._lock:
            self._requests += requests
            self._rows += rows

    def download(self, chunk: Chunk, came: int, size: int | None) -> None:
        """Record the received and total bytes of a file; a size of 0 ends it."""
        with self._lock:
            if size == 0:
                self._downloads.pop(chunk, None)
            else:
                self._downloads[chunk] = (came, size)

    def downloading(self, dataset: str) -> str:
        """Return how far the files of a dataset under way have come, such as ``12 of 40 MB``; empty if none is."""
        with self._lock:
            under_way = [part for chunk, part in self._downloads.items() if chunk.dataset == dataset]
        if not under_way:
            return ""
        came = sum(part[0] for part in under_way) / 1e6
        sizes = [size for _, size in under_way if size is not None]
        return f"{came:,.0f} of {sum(sizes) / 1e6:,.0f} MB" if len(sizes) == len(under_way) else f"{came:,.0f} MB"

    def per_second(self) -> tuple[float, float]:
        """Return requests a second and rows a second."""
        now = time.monotonic()
        with self._lock:
            self._marks.append((now, self._requests, self._rows))
            while len(self._marks) > 2 and now - self._marks[0][0] > 30:
                self._marks.popleft()
            then, requests, rows = self._marks[0]
            span = max(now - then, 0.5)
            return (self._requests - requests) / span, (self._rows - rows) / span


class Reporter(Protocol):
    """Shows the state of a run."""

    def start(self, tallies: list[Tally]) -> None: ...
    def update(self, tallies: list[Tally], speed: Speed) -> None: ...
    def say(self, message: str) -> None: ...
    def stop(self) -> None: ...


class SilentReporter:
    """Shows nothing; for callers that only want the result."""

    def start(self, tallies: list[Tally]) -> None: ...
    def update(self, tallies: list[Tally], speed: Speed) -> None: ...
    def say(self, message: str) -> None: ...
    def stop(self) -> None: ...


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{max(1, round(seconds))} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class LineReporter:
    """Plain lines on standard error, per dataset and in total: every ten seconds, and when a dataset is complete."""

    def __init__(self) -> None:
        self._last = self._started = time.monotonic()
        self._complete: set[str] = set()

    def start(self, tallies: list[Tally]) -> None:
        self._last = self._started = time.monotonic()

    def update(self, tallies: list[Tally], speed: Speed) -> None:
        news = [t for t in tallies if t.finished == t.due and t.due and t.dataset not in self._complete]
        self._complete |= {tally.dataset for tally in news}
        regular = time.monotonic() - self._last >= LINE_EVERY_SECONDS
        if regular:
            self._last = time.monotonic()
            news += [tally for tally in tallies if tally.dataset not in self._complete and tally.due]
        for tally in news:
            self.say(
                f"{tally.dataset}: {tally.finished:,}/{count(tally.due, 'chunk')}, {count(tally.counts.rows, 'row')}"
                + (f", {tally.failed:,} failed" if tally.failed else "")
                + (f", downloading {downloading}" if (downloading := speed.downloading(tally.dataset)) else "")
            )
        due, finished = sum(tally.due for tally in tallies), sum(tally.finished for tally in tallies)
        if regular and finished < due:
            requests, rows = speed.per_second()
            elapsed = time.monotonic() - self._started
            left = f"; about {_duration((due - finished) * elapsed / finished)} left" if finished else ""
            self.say(f"all: {finished:,}/{due:,} chunks; {requests:.1f} requests/s, {rows:,.0f} rows/s{left}")

    def say(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)

    def stop(self) -> None: ...


class BarReporter:
    """One bar a dataset, with rows, rows/s, requests/s and the time that is left."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def start(self, tallies: list[Tally]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rows]:>12,} rows"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._progress.start()
        for tally in tallies:
            self._tasks[tally.dataset] = self._progress.add_task(tally.dataset, total=tally.due, rows=0, speed="")

    def update(self, tallies: list[Tally], speed: Speed) -> None:
        if self._progress is None:
            return
        requests, rows = speed.per_second()
        for tally in tallies:
            running = tally.finished < tally.due
            self._progress.update(
                self._tasks[tally.dataset],
                completed=tally.finished,
                rows=tally.counts.rows,
                speed=f"{rows:,.0f} rows/s {speed.downloading(tally.dataset) or f'{requests:.1f} req/s'}"
                if running
                else "",
            )

    def say(self, message: str) -> None:
        if self._progress is None:
            print(message, file=sys.stderr, flush=True)
        else:
            self._progress.console.print(message, highlight=False, markup=False)

    def stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()


def reporter() -> Reporter:
    """Return bars for a terminal, lines for anything else."""
    return BarReporter() if sys.stderr.isatty() else LineReporter()
