"""One process at a time does a piece of work; the next waits, and says for what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from energywh.core.database import SAY_AFTER_SECONDS, OnWait
from energywh.errors import LockedError


@contextmanager
def only_one(file: Path, work: str, wait_seconds: float, on_wait: OnWait | None) -> Iterator[None]:
    """Hold the lock ``file``, whose folder is made.

    Args:
        work: what is done, such as "export into FOLDER".
        on_wait: called once with a sentence when another holds it.

    Raises:
        LockedError: another held it for longer than ``wait_seconds``.
    """
    from filelock import FileLock, Timeout

    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    try:
        lock.acquire(timeout=min(wait_seconds, SAY_AFTER_SECONDS))
    except Timeout:
        if on_wait is not None:
            on_wait(f"waiting for another {work}")
        try:
            lock.acquire(timeout=max(wait_seconds - SAY_AFTER_SECONDS, 0.0))
        except Timeout:
            raise LockedError(
                f"another {work} did not end within {wait_seconds:.0f} s; wait for it, or end it, and run this again"
            ) from None
    try:
        yield
    finally:
        lock.release()
