"""Injected faults: a hash decides which request gets which fault, so that a run can be repeated."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from energywh.simulate.noise import key_of

KINDS = ("429", "500", "503", "hang", "truncated", "html")  # of every API
OWN_KINDS = ("wrong-total",)  # of single APIs, see `SimulatedApi.kinds`
ALL_KINDS = (*KINDS, *OWN_KINDS)


@dataclass(frozen=True)
class Faults:
    """The rate and the kinds of injected faults.

    Attributes:
        rate: share of requests with a fault.
        kinds: faults out of ALL_KINDS, all equally likely.
        hang_seconds: time after which a ``hang`` closes the connection without an answer.
        retry_after: seconds in the Retry-After header of every other 429; None omits the header.
        most_in_a_row: after this many consecutive faults the next request for a URL succeeds.
    """

    rate: float = 0.0
    kinds: Sequence[str] = ALL_KINDS
    hang_seconds: float = 30.0
    retry_after: int | None = 1
    most_in_a_row: int = 5

    def __post_init__(self) -> None:
        if not 0.0 <= self.rate <= 1.0:
            raise ValueError(f"a fault rate is between 0 and 1, not {self.rate}")
        unknown = [kind for kind in self.kinds if kind not in ALL_KINDS]
        if unknown or not self.kinds:
            raise ValueError(f"unknown faults {', '.join(unknown) or '(none given)'}; known are {', '.join(ALL_KINDS)}")


class FaultDraw:
    """Draws the fault, if any, of each request. Thread-safe.

    The draw depends on the seed, the URL and the number of earlier requests for that URL, not on the order of
    different URLs, so clients with several connections get the same faults in every run.
    """

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults, self.seed = faults, seed
        self._asked: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def next(self, url: str, own_kinds: Sequence[str] = OWN_KINDS) -> tuple[str | None, int]:
        """Return the fault, if any, of the next request for a URL, and a number by which the fault can vary.

        Args:
            own_kinds: additional faults of the requested API.
        """
        if self.faults.rate <= 0:
            return None, 0
        with self._lock:
            asked, in_a_row = self._asked.get(url, (0, 0))
            word = key_of(self.seed, "fault", url, str(asked))
            hit = word % 2**32 < self.faults.rate * 2**32 and in_a_row < self.faults.most_in_a_row
            self._asked[url] = (asked + 1, in_a_row + 1 if hit else 0)
        kinds = [kind for kind in self.faults.kinds if kind in KINDS or kind in own_kinds]
        which = word >> 32
        if not hit or not kinds:
            return None, which
        return kinds[which % len(kinds)], which // len(kinds)
