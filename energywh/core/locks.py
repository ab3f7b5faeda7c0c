"""Locks between processes: one process at a time holds a lock; the others wait and name the holder."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from energywh.errors import LockedError

DEFAULT_WAIT_SECONDS = 600.0
SAY_AFTER_SECONDS = 2.0

OnWait = Callable[[str], None]
GiveUp = Callable[[], bool]
T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long to wait for what another process holds, and whom to tell."""

    wait_seconds: float = DEFAULT_WAIT_SECONDS
    on_wait: OnWait | None = None


_patience: ContextVar[Callable[[], Patience]] = ContextVar("patience", default=Patience)


@contextmanager
def patient(find: Callable[[], Patience]) -> Iterator[None]:
    """In this block, wait as ``find`` says wherever no other time is given; it is called if something is locked."""
    before = _patience.set(find)
    try:
        yield
    finally:
        _patience.reset(before)


def wait_while_locked(
    attempt: Callable[[], T],
    wait_seconds: float | None = None,
    on_wait: OnWait | None = None,
    give_up: GiveUp | None = None,
) -> T:
    """Return what ``attempt`` returns; call it again while it raises LockedError.

    Args:
        attempt: the text of its LockedError names what is held, and by whom.
        wait_seconds: None for what `patient` says.
        on_wait: called once with a sentence for the user when the wait gets long; None for the one of `patient` where
            that says how long to wait.
        give_up: called again and again while waiting; True ends the wait at once.

    Raises:
        LockedError: it was still locked after ``wait_seconds``, or ``give_up`` returned True.
    """
    began = time.monotonic()
    while True:
        try:
            return attempt()
        except LockedError as error:
            held = str(error)
        if wait_seconds is None:
            patience = _patience.get()()
            wait_seconds, on_wait = patience.wait_seconds, on_wait or patience.on_wait
        waited = time.monotonic() - began
        if give_up is not None and give_up():
            raise LockedError(f"interrupted while waiting for {held}")
        if on_wait is not None and waited >= min(SAY_AFTER_SECONDS, wait_seconds):
            on_wait(f"waiting for {held}")
            on_wait = None
        if waited >= wait_seconds:
            raise LockedError(
                f"waited {wait_seconds:.0f} s for {held}; wait for it to end, or end it, and run this again"
            )
        time.sleep(random.uniform(0.01, 0.06))  # noqa: S311 - jitter, not a secret


@contextmanager
def file_lock(
    file: Path,
    holder: str,
    wait_seconds: float | None,
    on_wait: OnWait | None = None,
    give_up: GiveUp | None = None,
) -> Iterator[None]:
    """Hold the lock ``file``, whose folder is made. The system releases it when the process dies.

    Args:
        holder: what another process that holds it is called, such as "another build".
        wait_seconds, on_wait, give_up: as of `wait_while_locked`.

    Raises:
        LockedError: another process held it for longer than ``wait_seconds``.
        OSError: the file cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(file)
    # A file of its own: a process that waits empties the lock file each time it tries.
    process = _process_file(file)

    def attempt() -> None:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise LockedError(holder + _process(process)) from None

    file.parent.mkdir(parents=True, exist_ok=True)
    wait_while_locked(attempt, wait_seconds, on_wait, give_up)
    try:
        process.write_text(str(os.getpid()))
        yield
    finally:
        process.unlink(missing_ok=True)
        lock.release()


def remove_if_free(file: Path) -> bool:
    """Delete a lock file unless a process holds it; return whether it was free."""
    from filelock import FileLock, Timeout

    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    file.unlink(missing_ok=True)
    _process_file(file).unlink(missing_ok=True)
    lock.release()
    return True


def _process_file(file: Path) -> Path:
    return file.with_name(f"{file.name}.pid")


def _process(file: Path) -> str:
    """Return the process in the file, such as " (process 12)"; nothing where it was not written yet."""
    with suppress(OSError):
        return f" (process {file.read_text().strip()})"
    return ""


def holder_of(file: Path) -> str | None:
    """Return who holds a lock file, such as "process 12"; None where nobody does.

    Raises:
        OSError: the file cannot be opened.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return _process(_process_file(file)).strip(" ()") or "a process"
    lock.release()
    return None
