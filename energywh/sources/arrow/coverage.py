"""Which hours of a chunk an answer lacks although the source has the hours around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from energywh.core.time import hour_time

_MICROSECONDS_PER_HOUR = 3_600_000_000
Hours = npt.NDArray[np.int64]


def hours_of_stamps(stamps: pa.ChunkedArray, stamp_offset_hours: int) -> Hours:
    """Return the hour, as number of its start, of each stamp."""
    numbers: Any = stamps.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
    hours: Hours = numbers // _MICROSECONDS_PER_HOUR - stamp_offset_hours
    return hours


def has_arrived(rows: pa.Table, values: Sequence[str], ahead: tuple[str, str] | None) -> npt.NDArray[np.bool_]:
    """Return of each row whether any of the columns ``values`` has a value.

    Args:
        ahead: a key and the value of it whose rows do not count: forecasts would hide that the measured values end.
    """
    found = np.zeros(len(rows), np.bool_)
    for name in values:
        found |= pc.is_valid(rows[name]).to_numpy(zero_copy_only=False)
    if ahead is not None:
        found &= pc.not_equal(rows[ahead[0]], ahead[1]).to_numpy(zero_copy_only=False)
    return found


def gap(valued: Hours, last_hour: int, *, ends_early: bool, holes: bool = True) -> str:
    """Return the gaps of an answer, for people; empty where it has none, or no value at all.

    A gap is an hour without a value while later hours have one, or the end of the chunk. Hours before the first value
    are none: there a series begins.

    Args:
        valued: the hours that have a value, in any order, repeated or not.
        last_hour: of the chunk.
        ends_early: the series is known to end, so that its end is no gap.
        holes: hours between others count as gaps.
    """
    if not len(valued):
        return ""
    present = np.unique(valued)
    steps = np.diff(present)
    lacking = int((steps - 1).sum())
    if lacking and holes:
        first = int(present[int(np.argmax(steps > 1))]) + 1
        return f"no value in {lacking:,} of its hours, the first {hour_time(first):%Y-%m-%dT%H}"
    if present[-1] < last_hour and not ends_early:
        return f"no value after {hour_time(int(present[-1])):%Y-%m-%dT%H}"
    return ""
