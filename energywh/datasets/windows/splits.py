"""Where windows may start: within their part of time, by their stride, and not over a gap.

Splits are in time. By default no hour is in windows of two parts, inputs or targets: a window
belongs to the part that holds its last hour, and its hours all lie between the cuts. A part that is itself shorter
than one window (a test year, windows of a year and a day) cannot hold any: it borrows the hours of inputs before
its cut, and the part before ends that much earlier; as that may be most of it, `energywh.Warehouse.windows` warns and
says how much.

With `borrow_context=True` a window belongs to the part that holds its targets, and its inputs may reach back into
earlier parts, as they may when a forecast is made.

Features look back only, and a later part may know what was before it. What must not happen is that an earlier part
knows of a later one: columns made in hindsight, as a repaired demand, are computed from later hours as well.
So before each part hours are left free (`purge`):

| borrow_context | purge | hours free before a cut | source hours behind the cut | source hours of train |
|---|---|---|---|---|
| False | None | the look-ahead | nowhere in train | in lags and means of test |
| False | "lookback" | the look-ahead and the look-back | nowhere in train | nowhere in test |
| False | n | n | in train, if n is less than the look-ahead | in lags and means of test |
| True | None | the look-ahead | nowhere in train | in inputs of test |

Look-ahead and look-back are those that models declare, added up along what they read; with lags of a year,
"lookback" leaves more than a year free. The look-ahead counts only where a column is used that may be made of later
hours: by the marks of the model, such as [hindsight], or because it has none.

Regions held out (`holdout_regions`) have windows in the last part alone, in its time as the others; with no cut in
time, the first part has the other regions and the last those held out, both over the whole time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, SupportsIndex, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from energywh.core.time import hour_time
from energywh.datasets.windows.matrix import Axis, Frame
from energywh.errors import UnknownNameError, UsageError, WindowError, did_you_mean

NAMES = {1: ("all",), 2: ("train", "test"), 3: ("train", "valid", "test")}


class Named(Protocol):
    """What has the name of a split."""

    @property
    def name(self) -> str: ...


Item = TypeVar("Item", bound=Named)


class Splits(tuple[Item, ...]):
    """The splits in order of time, by name: ``train, valid, test = splits``, ``splits.train``, ``splits["train"]``.

    Without cuts in time and regions held out, there is the one split ``splits.all``. With four splits or more they are
    named "part 1", "part 2", ...
    """

    __slots__ = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the splits, in order of time."""
        return tuple(split.name for split in self)

    @property
    def all(self) -> Item:
        """The one split of windows that were not split."""
        return self._named("all")

    @property
    def train(self) -> Item:
        return self._named("train")

    @property
    def valid(self) -> Item:
        return self._named("valid")

    @property
    def test(self) -> Item:
        return self._named("test")

    def _named(self, name: str) -> Item:
        """Return a split as an attribute.

        Raises:
            AttributeError: there is no such split.
        """
        if name not in self.names:
            raise AttributeError(f"there is no split '{name}'; there {_are(self.names)}", name=name, obj=self)
        return self[self.names.index(name)]

    @overload
    def __getitem__(self, key: SupportsIndex | str) -> Item: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Item, ...]: ...
    def __getitem__(self, key: SupportsIndex | slice | str) -> Item | tuple[Item, ...]:
        """Return a split by its name or place.

        Raises:
            UnknownNameError: no split has that name.
        """
        if not isinstance(key, str):
            return super().__getitem__(key)
        if key not in self.names:
            raise UnknownNameError(
                f"there is no split '{key}'{did_you_mean(key, self.names) or f'; there {_are(self.names)}'}"
            )
        return self[self.names.index(key)]

    def __repr__(self) -> str:
        return f"<Splits {', '.join(map(repr, self))}>"


def _are(names: Sequence[str]) -> str:
    return f"{'is' if len(names) == 1 else 'are'} {', '.join(names)}"


@dataclass(frozen=True)
class Shape:
    """The hours of one window: ``length`` of inputs, then ``horizon`` of targets.

    With horizon 0 the targets are the inputs' hours moved on by one.
    """

    length: int
    stride: int
    horizon: int

    @property
    def span(self) -> int:
        """Hours from the first input to the last target."""
        return self.length + max(self.horizon, 1)

    @property
    def target_offset(self) -> int:
        """Hours from the first input to the first target."""
        return self.length if self.horizon else 1

    @property
    def target_length(self) -> int:
        return self.horizon or self.length


@dataclass(frozen=True)
class Part:
    """A stretch of time; the hours of its windows lie from ``first`` to before ``end`` (hours since 1970)."""

    name: str
    first: int
    end: int
    cut: int  # where it nominally begins
    cut_end: int
    given_up: int = 0  # hours before its end, and the purge, that the part after it has taken for its inputs
    lends_to: str = ""  # name of that part
    without: frozenset[int] = frozenset()  # numbers of the regions that have no windows in it

    @property
    def unshortened(self) -> Part:
        """The part as it would be if it gave nothing up."""
        return replace(self, end=self.end + self.given_up, given_up=0)


def whole_time(axis: Axis) -> Part:
    """Return the one part that holds every hour of the axis."""
    start = int(axis.first_hour.min())
    end = int((axis.first_hour + np.diff(axis.offset)).max())
    return Part(NAMES[1][0], start, end, start, end)


def parts(
    axis: Axis,
    shape: Shape,
    cuts: Sequence[int],
    borrow_context: bool = False,
    purge: int = 0,
    held_out: frozenset[int] = frozenset(),
) -> list[Part]:
    """Return the parts of time that ``cuts`` make, in order.

    Args:
        cuts: first hour of every part but the first, ascending.
        borrow_context: let inputs of later splits reach back, see the module.
        purge: hours left free before every cut.
        held_out: numbers of the regions with windows in the last part alone.

    Raises:
        UsageError: cuts that do not ascend, or borrow_context without a horizon.
        WindowError: a cut outside the data, or a part that cannot hold a window.
    """
    if borrow_context and not shape.horizon:
        raise UsageError(
            "borrow_context=True needs a horizon of 1 or more: with horizon=0 each hour after the first is a target"
        )
    if list(cuts) != sorted(set(cuts)):
        shown = ", ".join(f"{hour_time(cut):%Y-%m-%dT%H}" for cut in cuts)
        raise UsageError(f"splits must be ascending points in time, not {shown}")
    everything = whole_time(axis)
    if held_out and not cuts:
        others = frozenset(range(len(axis.regions))) - held_out
        named = zip(NAMES[2], (held_out, others), strict=True)
        return [replace(everything, name=name, without=without) for name, without in named]
    start, end = everything.first, everything.end
    for cut in cuts:
        if not start < cut < end:
            raise WindowError(
                f"the split {hour_time(cut):%Y-%m-%dT%H} leaves no hour on one of its sides: "
                f"the data go from {hour_time(start):%Y-%m-%dT%H} to {hour_time(end - 1):%Y-%m-%dT%H}"
            )
    edges = [start, *cuts, end]
    names = NAMES.get(len(cuts) + 1, tuple(f"part {number + 1}" for number in range(len(cuts) + 1)))
    found: list[Part] = []
    until, given_up = end, 0
    for number in reversed(range(len(names))):
        cut, cut_end = edges[number], edges[number + 1]
        borrows = number > 0 and (borrow_context or until - cut < shape.span)
        first = max(cut - shape.length, start) if borrows else cut
        after = names[number + 1] if given_up else ""
        without = held_out if number < len(names) - 1 else frozenset()
        part = Part(names[number], first, until, cut, cut_end, given_up, after, without)
        if part.end - part.first < shape.span:
            raise WindowError(_too_short(part, shape, start, end))
        found.append(part)
        given_up = 0 if borrow_context else cut - first
        until = cut - given_up - purge
    return found[::-1]


def _too_short(part: Part, shape: Shape, start: int, end: int) -> str:
    """Say with numbers why a part holds no window."""
    times = [f"{hour_time(hour):%Y-%m-%dT%H}" for hour in (part.cut, part.cut_end, start, end - 1)]
    left = max(part.end - part.first, 0)
    taken = part.cut_end - part.end
    why = (
        f" ({taken:,} hours before the next cut are kept free for the part after it, whose windows reach back)"
        if taken > 0
        else ""
    )
    return (
        f"the {part.name} part, {times[0]} to {times[1]}, has {left:,} hours for its windows{why}, and one needs "
        f"{shape.span:,} (length {shape.length:,} and targets); the data go from {times[2]} to {times[3]}. "
        "Move the cuts, take a shorter length, or let inputs reach back into earlier parts with borrow_context=True"
    )


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
    axis: Axis, shape: Shape, part: Part, whole: NDArray[np.bool_] | None, told: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """Return, per region, the rows at which the windows of ``part`` start.

    Within each stretch of consecutive rows where a window could start, every ``stride``-th is taken, from the first;
    of these, a window without a single target value is left out: there is nothing to learn from it.

    Args:
        whole: what `usable` returned, to drop every window that misses a value; None to keep them.
        told: what `targets_before` returned.
    """
    found = []
    for region in range(len(axis.regions)):
        offset, first = int(axis.offset[region]), int(axis.first_hour[region])
        low = max(part.first - first, 0)
        high = min(part.end - first, axis.hours(region)) - shape.span  # last possible start
        if high < low or region in part.without:
            found.append(np.empty(0, np.int64))
        elif whole is None:
            rows = np.arange(offset + low, offset + high + 1, shape.stride, dtype=np.int64)
            targets = rows + shape.target_offset
            found.append(rows[told[targets + shape.target_length] > told[targets]])
        else:
            possible = _possible(whole[:, offset + low : offset + high + shape.span], shape)
            found.append(offset + low + _every(possible, shape.stride))
    return found


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
