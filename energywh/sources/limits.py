"""How much a source may send, and how often it may be asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RateLimits:
    """What a source allows in a second, an hour and a day; 0 for no limit. Hours and days count costs."""

    requests_per_second: float = 0.0
    requests_per_hour: int = 0
    requests_per_day: int = 0


@dataclass(frozen=True, kw_only=True)
class AnswerLimits:
    """The most that the answer to one chunk may be, all its pages together; what is beyond it is a fault of the source.

    Real answers stay far below. They bound what a hostile or broken server can cost.
    """

    received_bytes: int = 32 * 2**20  # as they come, heads included
    unpacked_bytes: int = 8 * 2**20  # of one page; one of EIA is under 1 MB. Read, it takes 20 times the memory
    rows: int = 100_000
    pages: int = 20
    timeouts: int = 10  # how many times the setting 'sync.timeout_seconds' the source may take to send it
    bytes_per_second: int = 100  # least speed, measured over 'sync.timeout_seconds'
