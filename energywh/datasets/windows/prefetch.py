"""Batches made by a thread while a training step runs."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from queue import Empty, Queue
from types import TracebackType
from typing import Generic, TypeVar

from energywh.core.arguments import whole_number

B = TypeVar("B")


class Prefetch(Generic[B]):
    """An iterator over ``batches`` that has up to ``depth`` of them ready, in the same order.

    Errors are raised in place of the batch. The thread ends with the last batch, at `close` (also as a context
    manager), when the iterator is freed, as by leaving a loop early, and when Python exits.

    Attributes:
        waited: seconds spent waiting for batches so far, without the first, which nothing could run beside.
    """

    def __init__(self, batches: Iterable[B], depth: int = 2) -> None:
        depth = whole_number(depth, "depth", 1, "batches made ahead")
        self.waited = 0.0
        self._began: float | None = None
        self._queue: Queue[tuple[B | None, BaseException | None]] = Queue(depth)
        stop = threading.Event()
        # The thread must not refer to the iterator, which would never be freed then.
        thread = threading.Thread(target=_make, args=(batches, self._queue, stop), daemon=True, name="energywh batches")
        self._end = weakref.finalize(self, _finish, thread, self._queue, stop)
        thread.start()

    @property
    def waiting(self) -> float:
        """Share of the time since the first batch that was spent waiting, 0 to 1."""
        return 0.0 if self._began is None else self.waited / max(time.perf_counter() - self._began, 1e-9)

    def __iter__(self) -> Iterator[B]:
        return self

    def __next__(self) -> B:
        if not self._end.alive:
            raise StopIteration
        began = time.perf_counter()
        batch, error = self._queue.get()
        now = time.perf_counter()
        if self._began is None:
            self._began = now
        else:
            self.waited += now - began
        if batch is None:
            self.close()
            raise error or StopIteration
        return batch

    def close(self) -> None:
        """End the thread; there are no more batches."""
        self._end()

    def __enter__(self) -> Prefetch[B]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _make(batches: Iterable[B], queue: Queue[tuple[B | None, BaseException | None]], stop: threading.Event) -> None:
    """Put batch after batch into the queue, then None with the error that ended them, if any."""
    error: BaseException | None = None
    try:
        for batch in batches:
            ready = getattr(batch, "ready", None)
            if ready is not None:
                ready()
            queue.put((batch, None))
            if stop.is_set():
                return
    except BaseException as raised:  # whatever it is, it is raised in the loop of the user
        error = raised
    queue.put((None, error))


def _finish(
    thread: threading.Thread, queue: Queue[tuple[B | None, BaseException | None]], stop: threading.Event
) -> None:
    """Stop the thread; empty the queue, as the thread may be waiting to put a batch into it."""
    stop.set()
    while thread.is_alive():
        try:
            queue.get(timeout=0.01)
        except Empty:
            continue
