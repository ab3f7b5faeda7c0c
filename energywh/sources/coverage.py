"""Which hours of a chunk an answer lacks although the source has the hours around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from energywh.core.time import hour_time

if TYPE_CHECKING:
    import numpy.typing as npt

    from energywh.sources.base import Chunk, Dataset

_MICROSECONDS_PER_HOUR = 3_600_000_000


def hours_of_rows(dataset: Dataset, rows: pa.Table) -> npt.NDArray[np.int64]:
    """Return the hour, as number of its start, of each row."""
    stamps: Any = rows[dataset.time_column].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
    return stamps // _MICROSECONDS_PER_HOUR - dataset.stamp_offset_hours  # type: ignore[no-any-return]


def gap(dataset: Dataset, chunk: Chunk, rows: pa.Table, *, ends_early: bool, holes: bool = True) -> str:
    """Return the gaps of an answer, for people; empty where it has none, or no row at all.

    A gap is an hour without a value of any row while later hours have one, or the end of the chunk. Hours before the
    first value are none: there a series begins.

    Args:
        ends_early: the series is known to end, so that its end is no gap.
        holes: hours between others count as gaps.
    """
    hours = hours_of_rows(dataset, rows)
    has_value = np.zeros(len(hours), np.bool_)
    for name in dataset.values:
        has_value |= pc.is_valid(rows[name]).to_numpy(zero_copy_only=False)
    return gap_of_hours(chunk, hours[has_value], ends_early=ends_early, holes=holes)


def gap_of_hours(chunk: Chunk, valued: npt.NDArray[np.int64], *, ends_early: bool, holes: bool = True) -> str:
    """Return the gaps of the hours that have a value, as `gap` does."""
    if not len(valued):
        return ""
    present = np.unique(valued)
    steps = np.diff(present)
    lacking = int((steps - 1).sum())
    if lacking and holes:
        first = int(present[int(np.argmax(steps > 1))]) + 1
        return f"no value in {lacking:,} of its hours, the first {hour_time(first):%Y-%m-%dT%H}"
    if present[-1] < chunk.last and not ends_early:
        return f"no value after {hour_time(int(present[-1])):%Y-%m-%dT%H}"
    return ""
