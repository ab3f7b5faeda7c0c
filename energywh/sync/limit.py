"""One request limit for all processes that use the same key.

The counting is pyrate-limiter's, in an SQLite file of the user's state folder; so two syncs, of two
warehouses even, stay together within what the source allows.
"""

from __future__ import annotations

import hashlib
import math
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from energywh.errors import StorageError

if TYPE_CHECKING:
    from pyrate_limiter import SQLiteBucket

# Requests are counted when they leave, and the source counts them when they arrive. So they leave one by one: of a
# burst, the first may be held up (a new connection, a busy machine) and arrive together with the next burst. The
# margin is how much longer one may take than another without the source seeing more than its limit in a second.
MARGIN_MS = 200
HOUR_MS = 3_600_000


class Stopped(Exception):
    """Waiting was ended because the run is to stop."""


class RequestLimit:
    """Lets requests go at the pace that all processes share. Thread-safe."""

    def __init__(
        self, folder: Path, source: str, identity: str, requests_per_second: float, requests_per_hour: int
    ) -> None:
        """Open the shared count.

        Args:
            identity: what shares the limit (address and key); only its hash is used, as the file's name.
            requests_per_second, requests_per_hour: 0 for no limit.

        Raises:
            StorageError: the folder cannot be written to.
        """
        from pyrate_limiter import Rate, SQLiteBucket

        rates = []
        if requests_per_second:
            rates.append(Rate(1, math.ceil(_apart_seconds(requests_per_second) * 1000)))
        if requests_per_hour:
            rates.append(Rate(requests_per_hour, HOUR_MS))
        self._source, self._folder = source, folder
        self._lock = threading.Lock()
        self._bucket: SQLiteBucket | None = None
        if not rates:
            return
        name = f"{source}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.sqlite"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._bucket = SQLiteBucket.init_from_file(rates, db_path=str(folder / name), use_file_lock=True)
        except Exception as error:
            raise self._cannot_keep(error) from None
        self._bucket.leak(int(self._bucket.now()))  # type: ignore[no-untyped-call]

    def wait(self, stop: threading.Event) -> None:
        """Return when the next request may go.

        Raises:
            Stopped: ``stop`` was set meanwhile.
            StorageError: the shared count cannot be written.
        """
        while not stop.is_set():
            if self._bucket is None:
                return
            try:
                pause_ms = self._ask(self._bucket)
            except (sqlite3.Error, OSError) as error:
                raise self._cannot_keep(error) from None
            if pause_ms is None:
                return
            stop.wait(max(pause_ms, 5) / 1000)
        raise Stopped

    def _ask(self, bucket: SQLiteBucket) -> int | None:
        """Count a request and return None, or return how many milliseconds to wait before asking again."""
        from pyrate_limiter import RateItem

        with self._lock, bucket.lock:
            item = RateItem("request", int(bucket.now()))  # type: ignore[no-untyped-call]
            if bucket.put(item):
                return None
            pause_ms = bucket.waiting(item)
            assert isinstance(pause_ms, int)  # awaitable for async buckets only
            return pause_ms

    def _cannot_keep(self, error: Exception) -> StorageError:
        return StorageError(
            f"cannot keep the request limit of {self._source} in {self._folder}: {error}; "
            "make it writable, or set ENERGYWH_STATE_FOLDER"
        )

    def close(self) -> None:
        """Close the shared count."""
        if self._bucket is not None:
            self._bucket.close()  # type: ignore[no-untyped-call]


def duration_seconds(requests: int, requests_per_second: float, requests_per_hour: int) -> float:
    """Return how long ``requests`` take at the limit, at the least."""
    seconds = 0.0
    if requests_per_hour and requests > requests_per_hour:
        full_hours = (requests - 1) // requests_per_hour
        seconds, requests = full_hours * 3600.0, requests - full_hours * requests_per_hour
    return seconds + (requests * _apart_seconds(requests_per_second) if requests_per_second else 0.0)


def _apart_seconds(requests_per_second: float) -> float:
    """Return how long after one request the next may leave."""
    return (1 + MARGIN_MS / 1000) / requests_per_second


def state_folder(setting: str) -> Path:
    """Return the folder of the shared counts: as set, else the user's state folder."""
    if setting:
        return Path(setting)
    from platformdirs import user_state_path

    return user_state_path("energywh")
