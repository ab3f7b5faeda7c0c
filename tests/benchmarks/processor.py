"""What a piece of work takes of the processor, the clock and memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Usage:
    """CPU seconds (user and system, all threads), elapsed seconds, and the peak memory of the process so far."""

    cpu_seconds: float = 0.0
    seconds: float = 0.0
    peak_gb: float = 0.0

    @classmethod
    def now(cls) -> Usage:
        """Return what this process has taken until now; of time, a clock."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        return cls(time.process_time(), time.monotonic(), peak)

    def __str__(self) -> str:
        return f"{self.cpu_seconds:.2f} CPU-s, {self.seconds:.1f} s, {self.peak_gb:.1f} GB at most"


@contextmanager
def measured() -> Iterator[Usage]:
    """Measure the block; the result is filled in when it ends."""
    usage, begun = Usage(), Usage.now()
    yield usage
    ended = Usage.now()
    usage.cpu_seconds = ended.cpu_seconds - begun.cpu_seconds
    usage.seconds = ended.seconds - begun.seconds
    usage.peak_gb = ended.peak_gb
