"""One request limit for all processes that use the same key.

The counting is pyrate-limiter's, in an SQLite file of the user's state folder; so two syncs, of two
warehouses even, stay together within what the source allows.
"""

from __future__ import annotations

import hashlib
import math
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from energywh.core.schema_number import check_known
from energywh.core.wording import count
from energywh.errors import LimitSpentError, SourceError, StorageError
from energywh.sources.limits import RateLimits

if TYPE_CHECKING:
    from pyrate_limiter import Rate, SQLiteBucket

# Requests are counted when they leave, and the source counts them when they arrive. So they leave one by one: of a
# burst, the first may be held up (a new connection, a busy machine) and arrive together with the next burst. The
# margin is how much longer one may take than another without the source seeing more than its limit in a second.
MARGIN_MS = 200
CLOCK_TOLERANCE_MS = 1000  # a stamp so little ahead is of another process's reading of the same clock
SCHEMA = 1  # of the files, in SQLite's user_version; 0 in those of before there was a number, which are alike
HOUR_SECONDS = 3600
DAY_SECONDS = 86_400


SAY_AFTER_SECONDS = 30  # a longer pause is reported
LONGEST_PAUSE_SECONDS = 2 * 3600  # wait for an hourly limit, not for a daily one


class Stopped(Exception):
    """Waiting was ended because the run is to stop."""


class RequestLimit:
    """Lets requests go at the pace that all processes share. Thread-safe."""

    def __init__(
        self,
        folder: Path,
        source: str,
        identity: str,
        limits: RateLimits,
        say: Callable[[str], None] = lambda message: None,
    ) -> None:
        """Open the shared counts.

        Args:
            identity: what shares the limit (address and key); only its hash is used, as the file's name.
            say: takes a sentence about a long pause.

        Raises:
            StorageError: the folder cannot be written to.
        """
        from pyrate_limiter import Rate

        self._source, self._folder, self._say = source, folder, say
        self._told_until = 0.0
        self._lock = threading.Lock()
        self._pace = self._budget = None
        name = f"{source}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
        if limits.requests_per_second:
            apart_ms = math.ceil(_apart_seconds(limits.requests_per_second) * 1000)
            self._pace = self._open(f"{name}.sqlite", [Rate(1, apart_ms)])
        spans = _binding(limits)
        self._most = min((most for most, _ in spans), default=0)
        if spans:
            rates = [Rate(most, seconds * 1000) for most, seconds in spans]
            self._budget = self._open(f"{name}-budget.sqlite", rates)

    def _open(self, name: str, rates: list[Rate]) -> SQLiteBucket:
        """Open a count; one that cannot be read is replaced, and stamps of a clock that was ahead are dropped."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                bucket = self._opened(name, rates)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._replace(name)
                bucket = self._opened(name, rates)
        except StorageError:
            raise
        except Exception as error:
            raise self._cannot_keep(error) from None
        return bucket

    def _opened(self, name: str, rates: list[Rate]) -> SQLiteBucket:
        from pyrate_limiter import SQLiteBucket

        bucket = SQLiteBucket.init_from_file(rates, db_path=str(self._folder / name), use_file_lock=True)
        try:
            if bucket.conn.execute("pragma quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("damaged")
            (number,) = bucket.conn.execute("pragma user_version").fetchone()
            check_known(self._folder / name, number, SCHEMA)
            if number < SCHEMA:
                with bucket.lock:
                    bucket.conn.execute(f"pragma user_version = {SCHEMA}")
            bucket.leak(int(bucket.now()))  # type: ignore[no-untyped-call]
            self._drop_future(bucket)
        except BaseException:
            bucket.close()  # type: ignore[no-untyped-call]
            raise
        return bucket

    def _replace(self, name: str) -> None:
        """Replace a damaged count. Other processes that have it open use the old file until they end."""
        for file in (name, f"{name}-wal", f"{name}-shm"):
            (self._folder / file).unlink(missing_ok=True)
        self._say(
            f"{self._source}: the shared count of requests was damaged and restarts at 0 ({self._folder / name}); "
            "if the source asks to slow down, that ends within its limits"
        )

    def _drop_future(self, bucket: SQLiteBucket) -> bool:
        """Delete stamps ahead of now, of a clock that was set back since, and say so; return whether there were any.

        They would count until the clock gets there.
        """
        limit = int(bucket.now()) + CLOCK_TOLERANCE_MS  # type: ignore[no-untyped-call]
        with bucket.lock:
            dropped = bucket.conn.execute(f"delete from '{bucket.table}' where item_timestamp > ?", [limit]).rowcount
            bucket.conn.commit()
        if dropped:
            self._say(
                f"{self._source}: the shared count held {count(dropped, 'request')} of the future, made while the "
                "clock was ahead; dropped. Check the clock if it should be right now"
            )
        return dropped > 0

    def wait(self, stop: threading.Event, cost: int = 1) -> None:
        """Return when the next request, which the source counts as ``cost``, may go.

        Raises:
            Stopped: ``stop`` was set meanwhile.
            LimitSpentError: it may go in more than two hours only.
            SourceError: it may go in clearly more than a day only, which no limit of a source says.
            StorageError: the shared count cannot be written.
        """
        if self._budget is not None:
            self._wait(self._budget, min(cost, self._most), stop)
        if self._pace is not None:
            self._wait(self._pace, 1, stop)
        if stop.is_set():
            raise Stopped

    def _wait(self, bucket: SQLiteBucket, weight: int, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                pause_ms = self._ask(bucket, weight)
            except (sqlite3.Error, OSError) as error:
                raise self._cannot_keep(error) from None
            if pause_ms is None:
                return
            # The clock may be set back while this runs: then all that was counted lies in the future.
            if pause_ms > SAY_AFTER_SECONDS * 1000 and self._heal(bucket):
                continue
            # A whole day may come with some milliseconds: the library rounds them up.
            if pause_ms > (DAY_SECONDS + SAY_AFTER_SECONDS) * 1000:
                raise SourceError(
                    f"the count of requests to {self._source} in {self._folder} allows none for "
                    f"{math.ceil(pause_ms / 3_600_000):,} h, which no limit of it says: check the clock, and delete "
                    "the files there if it is right"
                )
            if pause_ms > LONGEST_PAUSE_SECONDS * 1000:
                raise LimitSpentError(
                    f"what {self._source} allows in a day is used up for the next "
                    f"{min(24, math.ceil(pause_ms / 3_600_000))} h; "
                    "what is left is for the syncs after that"
                )
            if pause_ms > SAY_AFTER_SECONDS * 1000:
                self._tell(pause_ms / 1000)
            stop.wait(max(pause_ms, 5) / 1000)
        raise Stopped

    def _tell(self, pause_seconds: float) -> None:
        """Report a pause, with its length, once for all threads."""
        with self._lock:
            now = time.monotonic()
            if now < self._told_until:
                return
            self._told_until = now + pause_seconds
        minutes = max(1, round(pause_seconds / 60))  # rounded: 60 minutes and a few milliseconds are not 61
        self._say(
            f"{self._source}: the hourly request limit is used up; continuing in {count(minutes, 'minute')}. "
            "Ctrl-C loses nothing: the next sync continues from here"
        )

    def _ask(self, bucket: SQLiteBucket, weight: int) -> int | None:
        """Count a request and return None, or return how many milliseconds to wait before asking again."""
        from pyrate_limiter import RateItem

        with self._lock, bucket.lock:
            item = RateItem("request", int(bucket.now()), weight)  # type: ignore[no-untyped-call]
            if bucket.put(item):
                return None
            pause_ms = bucket.waiting(item)
            assert isinstance(pause_ms, int)  # awaitable for async buckets only
            return pause_ms

    def _heal(self, bucket: SQLiteBucket) -> bool:
        with self._lock:
            return self._drop_future(bucket)

    def _cannot_keep(self, error: Exception) -> StorageError:
        return StorageError(
            f"cannot keep the request limit of {self._source} in {self._folder}: {error}; "
            "make room or make it writable, or set ENERGYWH_STATE_FOLDER"
        )

    def close(self) -> None:
        """Close the shared counts."""
        for bucket in (self._pace, self._budget):
            if bucket is not None:
                bucket.close()  # type: ignore[no-untyped-call]


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Return whether a file is not a database, or none of ours, and not only locked, full or forbidden."""
    code = getattr(error, "sqlite_errorcode", None)
    damaged = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_FORMAT)
    return code is None or code & 0xFF in damaged


def _binding(limits: RateLimits) -> list[tuple[int, int]]:
    """Return the limits of an hour and a day, with their seconds, without one that the other always keeps.

    pyrate-limiter refuses a list that holds such a one.
    """
    hour, day = limits.requests_per_hour, limits.requests_per_day
    if hour and day and day >= hour * (DAY_SECONDS // HOUR_SECONDS):
        day = 0
    if hour and day and hour >= day:
        hour = 0
    return [(most, seconds) for most, seconds in ((hour, HOUR_SECONDS), (day, DAY_SECONDS)) if most]


def duration_seconds(requests: int, limits: RateLimits) -> float:
    """Return how long ``requests`` of cost 1 take at the limit, at the least."""
    seconds = 0.0
    for most, span in ((limits.requests_per_day, DAY_SECONDS), (limits.requests_per_hour, HOUR_SECONDS)):
        if most and requests > most:
            full = (requests - 1) // most
            seconds, requests = seconds + full * float(span), requests - full * most
    return seconds + (requests * _apart_seconds(limits.requests_per_second) if limits.requests_per_second else 0.0)


def _apart_seconds(requests_per_second: float) -> float:
    """Return the seconds between two requests; below one request a second, that is one in a longer time."""
    return (max(1.0, 1.0 / requests_per_second) + MARGIN_MS / 1000) / max(1.0, requests_per_second)


def state_folder(setting: str) -> Path:
    """Return the folder of the shared counts: as set, else the user's state folder."""
    if setting:
        return Path(setting)
    from platformdirs import user_state_path

    return user_state_path("energywh")
