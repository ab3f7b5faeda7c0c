"""At which rows windows may start: within their split, by their stride, and not over a gap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from energywh.datasets.windows.matrix import Axis, Frame
from energywh.datasets.windows.splits import Shape, Split


def usable(frame: Frame) -> NDArray[np.bool_]:
    """Return per row two booleans (2, rows): no feature is missing, no target is missing."""
    whole = np.ones((2, frame.axis.rows), np.bool_)
    whole[0, frame.features.missing.rows] = False
    whole[1, frame.targets.missing.rows] = False
    return whole


def targets_before(frame: Frame) -> NDArray[np.int64]:
    """Return (rows + 1): in how many rows before each any target has a value."""
    there = np.ones(frame.axis.rows, np.bool_)
    missing = frame.targets.missing
    there[missing.rows] = ~missing.unpack(slice(None)).all(axis=1)
    return np.concatenate(([0], np.cumsum(there)))


def starts(
    split: Split, shape: Shape, whole: NDArray[np.bool_] | None, before: NDArray[np.int64]
) -> tuple[NDArray[np.int64], ...]:
    """Return, by region of the split's axis, the rows at which its windows start.

    Within each stretch of consecutive rows where a window could start, every ``stride``-th is taken, from the first;
    of these, a window without a single target value is left out: there is nothing to learn from it.

    Args:
        whole: what `usable` returned, to drop every window that misses a value; None to keep them.
        before: what `targets_before` returned.
    """
    axis, found = split.axis, []
    for region in range(len(axis.regions)):
        offset, first = int(axis.offset[region]), int(axis.first_hour[region])
        low = max(split.first - first, 0)
        high = min(split.end - first, axis.hours(region)) - shape.span  # last possible start
        if high < low or region in split.without:
            found.append(np.empty(0, np.int64))
        elif whole is None:
            rows = np.arange(offset + low, offset + high + 1, shape.stride, dtype=np.int64)
            targets = rows + shape.target_offset
            found.append(rows[before[targets + shape.target_length] > before[targets]])
        else:
            possible = _possible(whole[:, offset + low : offset + high + shape.span], shape)
            found.append(offset + low + _every(possible, shape.stride))
    return tuple(found)


def _possible(whole: NDArray[np.bool_], shape: Shape) -> NDArray[np.bool_]:
    """Return per start whether a window from there has all its inputs and targets."""
    good = []
    for line, start, length in ((0, 0, shape.length), (1, shape.target_offset, shape.target_length)):
        holes = np.concatenate(([0], np.cumsum(~whole[line])))
        count = whole.shape[1] - shape.span + 1
        good.append(holes[start + length : start + length + count] == holes[start : start + count])
    return np.asarray(good[0] & good[1], np.bool_)


def _every(possible: NDArray[np.bool_], stride: int) -> NDArray[np.int64]:
    """Return every ``stride``-th index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], possible, [False]))))
    runs = [np.arange(low, high, stride, dtype=np.int64) for low, high in edges.reshape(-1, 2).tolist()]
    return np.concatenate(runs) if runs else np.empty(0, np.int64)


def longest_runs(axis: Axis, whole: NDArray[np.bool_] | None) -> list[int]:
    """Return per region the longest run of hours that miss nothing; its whole history where gaps do not matter."""
    if whole is None:
        return [axis.hours(region) for region in range(len(axis.regions))]
    longest = []
    for region in range(len(axis.regions)):
        good = whole[:, axis.offset[region] : axis.offset[region + 1]].all(axis=0)
        edges = np.flatnonzero(np.diff(np.concatenate(([False], good, [False])))).reshape(-1, 2)
        longest.append(int((edges[:, 1] - edges[:, 0]).max(initial=0)))
    return longest
