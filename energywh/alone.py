"""One process at a time: a lock file that others wait for with a message, and that the system frees when we die."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from energywh.database import SAY_AFTER_SECONDS, OnWait
from energywh.errors import LockedError


@contextmanager
def alone(lock_file: Path, work: str, wait_seconds: float, on_wait: OnWait | None) -> Iterator[None]:
    """Hold ``lock_file``, whose folder must be there, while the block runs.

    Args:
        work: what the holder does, such as "export into parquet", for messages.
        on_wait: called once with a sentence for the user when the wait gets long.

    Raises:
        LockedError: another process still held it after ``wait_seconds``.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(lock_file)
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
