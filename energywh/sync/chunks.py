"""Which chunks are due. Pure functions over hour numbers; no clock, file or network.

The hours of a slice are cut on a fixed grid (the cells of its source, `Source.cell`), so that chunks stay the
same from one sync to the next. Hours that the ledger holds as settled, and hours that a
running process is at work on, are left out. An unsettled chunk that the range touches is fetched again whole:
one request answers it either way, and the ledger does not splinter.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from energywh.sources.base import Chunk

Cell = Callable[[int], tuple[int, int]]  # first and last hour of the cell that holds an hour


@dataclass(frozen=True)
class LedgerSpan:
    """What the ledger says of hours `first` to `last` (inclusive) of one slice."""

    first: int
    last: int
    settled: bool = False
    busy: bool = False  # a running process has taken it up
    failed: bool = False  # when it was last asked for, the source did not give it
    empty: bool = False  # it was answered with no rows
    fetched_hour: int | None = None  # when it was last answered


@dataclass(frozen=True)
class SlicePlan:
    """The chunks to fetch, and the ledger rows that they replace."""

    chunks: tuple[Chunk, ...]
    replaced: tuple[LedgerSpan, ...]

    def failed_before(self, chunk: Chunk) -> bool:
        """Return whether hours of ``chunk`` failed when they were last asked for."""
        place = bisect_right(self._failed, chunk.last, key=lambda row: row.first)
        return place > 0 and self._failed[place - 1].last >= chunk.first

    @cached_property
    def _failed(self) -> list[LedgerSpan]:
        """Rows that failed, in the order of time; rows are disjoint."""
        return sorted((row for row in self.replaced if row.failed), key=lambda row: row.first)


def settled(last: int, fetched_hour: int | None, settling_hours: int) -> bool:
    """Return whether a chunk ending with hour ``last`` was fetched long enough after its end."""
    return fetched_hour is not None and fetched_hour >= last + 1 + settling_hours


def plan_slice(
    dataset: str, slice_: str, first: int, last: int, cell: Cell, history: Sequence[LedgerSpan]
) -> SlicePlan:
    """Return what to fetch so that every hour from ``first`` to ``last`` is known.

    Args:
        first, last: hour numbers, both inclusive; an empty range (last < first) plans nothing.
        cell: the grid on which chunks are cut.
        history: disjoint ledger rows of this slice, in any order.
    """
    if last < first:
        return SlicePlan((), ())
    touching = [known for known in history if known.first <= last and known.last >= first]
    kept = [known for known in touching if known.settled or known.busy]
    replaced = tuple(known for known in touching if not (known.settled or known.busy))
    wanted = _merge([(first, last), *((known.first, known.last) for known in replaced)])
    pieces = _subtract(wanted, sorted((known.first, known.last) for known in kept))
    chunks = tuple(Chunk(dataset, slice_, low, high) for piece in pieces for low, high in _cut(*piece, cell))
    return SlicePlan(chunks, replaced)


def _merge(intervals: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(intervals):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged


def _subtract(intervals: list[tuple[int, int]], holes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    left: list[tuple[int, int]] = []
    for low, high in intervals:
        start = low
        for hole_low, hole_high in holes:
            if hole_high < start or hole_low > high:
                continue
            if hole_low > start:
                left.append((start, hole_low - 1))
            start = hole_high + 1
        if start <= high:
            left.append((start, high))
    return left


def _cut(low: int, high: int, cell: Cell) -> Iterable[tuple[int, int]]:
    """Cut where one cell ends and the next begins."""
    while low <= high:
        end = min(high, cell(low)[1])
        yield low, end
        low = end + 1
