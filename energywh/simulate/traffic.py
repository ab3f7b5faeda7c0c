"""The clock, received requests, counters and rate limits of a simulator."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from energywh.simulate.hours import hour_number


class Clock:
    """The simulator's time, naive UTC. It is constant unless scaled or advanced.

    Args:
        now: start time.
        scale: simulated seconds per real second.
    """

    def __init__(self, now: datetime, scale: float = 0.0) -> None:
        self.scale = scale
        self._start, self._started = now, time.monotonic()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._start + timedelta(seconds=(time.monotonic() - self._started) * self.scale)

    def hour(self) -> int:
        """Return the number of the last full hour."""
        return hour_number(self.now())

    def advance(self, hours: float) -> datetime:
        """Advance by ``hours`` and return the new time."""
        with self._lock:
            self._start += timedelta(hours=hours)
        return self.now()


class Served(NamedTuple):
    """One request: its time (``time.monotonic()``), key, path (without the key) and source."""

    at: float
    api_key: str
    path: str
    source: str


@dataclass
class Counters:
    """Counts of the simulator's requests and answers so far."""

    requests: int = 0
    rows: int = 0
    bytes_sent: int = 0
    over_rate: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


class RateLimit:
    """Limits the requests of a key in any second and any hour; 0.2 per second means one in five seconds."""

    def __init__(self, per_second: float | None, per_hour: float | None) -> None:
        second = (1.0, 1.0 / per_second) if per_second and per_second < 1 else (per_second, 1.0)
        self._limits = [(limit, span) for limit, span in (second, (per_hour, 3600.0)) if limit]
        self._seen: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def admits(self, api_key: str, at: float) -> bool:
        if not self._limits:
            return True
        with self._lock:
            seen = self._seen.setdefault(api_key, deque())
            while seen and at - seen[0] >= max(span for _, span in self._limits):
                seen.popleft()
            for limit, span in self._limits:
                most = max(1, math.floor(limit))
                if len(seen) >= most and at - seen[-most] < span:
                    return False
            seen.append(at)
            return True
