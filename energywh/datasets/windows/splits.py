"""Splits in time, and by region: which hours the windows of train, valid and test may use.

By default no hour, as input or target, is in windows of two splits: a window belongs to the split of its last hour, and
all its hours lie between the cuts. A split shorter than one window (a test year, windows of a year and a day) borrows
the hours of inputs before its cut, and the split before ends that much earlier; `energywh.Warehouse.windows` warns, and
says how much the earlier split loses.

With `borrow_context=True` a window belongs to the split of its targets, and its inputs may reach back into earlier
splits, as they may in a real forecast.

Features look back only, and a later split may use earlier data. An earlier split must not depend on a later one, but
columns made in hindsight, such as a repaired demand, are computed from later hours too. So hours are left free before
each split (`purge`):

| borrow_context | purge | hours free before a cut | source hours behind the cut | source hours of train |
|---|---|---|---|---|
| False | None | the look-ahead | nowhere in train | in lags and means of test |
| False | "lookback" | the look-ahead and the look-back | nowhere in train | nowhere in test |
| False | n | n | in train, if n is less than the look-ahead | in lags and means of test |
| True | None | the look-ahead | nowhere in train | in inputs of test |

Look-ahead and look-back are those that models declare, added up along what they read; with lags of a year,
"lookback" leaves more than a year free. The look-ahead counts only where a column is used that may be made of later
hours: by the marks of the model, such as [hindsight], or because it has none.

Regions held out (`holdout_regions`) have windows in the last split alone, in its time as the others; with no cut in
time, the first split has the other regions and the last those held out, both over the whole time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, SupportsIndex, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from energywh.core.time import hour_time
from energywh.core.wording import count
from energywh.datasets.windows.matrix import Axis
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
    named "split 1", "split 2", ...
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
class Split:
    """A stretch of time, and where its windows start.

    Attributes:
        first, end: the hours of its windows lie from ``first`` to before ``end``, since 1970.
        axis: rows that windows are cut from.
        cut, cut_end: where the split begins and ends by the cuts in time.
        given_up: hours before its end, and the purge, that the split after it has taken for its inputs.
        lends_to: name of that split.
        without: numbers of the regions of the axis that have no windows in it.
        starts: by region of the axis, the rows at which windows start.
    """

    name: str
    first: int
    end: int
    axis: Axis
    cut: int
    cut_end: int
    given_up: int = 0
    lends_to: str = ""
    without: frozenset[int] = frozenset()
    starts: tuple[NDArray[np.int64], ...] = ()

    @property
    def unshortened(self) -> Split:
        """The split as it would be if it gave nothing up."""
        return replace(self, end=self.end + self.given_up, given_up=0)

    @property
    def windows(self) -> int:
        """How many windows start in it."""
        return sum(map(len, self.starts))

    @property
    def regions(self) -> tuple[str, ...]:
        return self.axis.regions

    @property
    def ends(self) -> NDArray[np.int64]:
        """By region of the axis, the hour after its last, since 1970."""
        return self.axis.ends

    def on_its_own(self) -> Split:
        """Return it with an axis of the hours that its windows may use, of the regions that may have windows in it."""
        axis = self.axis
        first, end = np.maximum(axis.first_hour, self.first), np.minimum(axis.ends, self.end)
        kept = [
            region for region in range(len(axis.regions)) if region not in self.without and first[region] < end[region]
        ]
        offset = np.concatenate(([0], np.cumsum(end[kept] - first[kept])))
        clipped = Axis(tuple(axis.regions[region] for region in kept), first[kept], offset)
        # The hour of a window is the same in both axes.
        moved = offset[:-1] - first[kept] + axis.first_hour[kept] - axis.offset[kept]
        starts = tuple(self.starts[region] + by for region, by in zip(kept, moved.tolist(), strict=True))
        return replace(self, axis=clipped, without=frozenset(), starts=starts)


def whole_time(axis: Axis) -> Split:
    """Return the one split that holds every hour of the axis."""
    start, end = int(axis.first_hour.min()), int(axis.ends.max())
    return Split(NAMES[1][0], start, end, axis, start, end)


def split_time(
    axis: Axis,
    shape: Shape,
    cuts: Sequence[int],
    borrow_context: bool = False,
    purge: int = 0,
    held_out: frozenset[int] = frozenset(),
) -> list[Split]:
    """Return the splits in time that ``cuts`` make, in order, before their windows are known.

    Args:
        cuts: first hour of every split but the first, ascending.
        borrow_context: let inputs of later splits reach back, see the module.
        purge: hours left free before every cut.
        held_out: numbers of the regions with windows in the last split alone.

    Raises:
        UsageError: cuts that do not ascend, or borrow_context without a horizon.
        WindowError: a cut outside the data, or a split that cannot hold a window.
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
    names = NAMES.get(len(cuts) + 1, tuple(f"split {number + 1}" for number in range(len(cuts) + 1)))
    found: list[Split] = []
    until, given_up = end, 0
    for number in reversed(range(len(names))):
        cut, cut_end = edges[number], edges[number + 1]
        borrows = number > 0 and (borrow_context or until - cut < shape.span)
        first = max(cut - shape.length, start) if borrows else cut
        after = names[number + 1] if given_up else ""
        without = held_out if number < len(names) - 1 else frozenset()
        split = Split(names[number], first, until, axis, cut, cut_end, given_up, after, without)
        if split.end - split.first < shape.span:
            raise WindowError(_too_short(split, shape, start, end))
        found.append(split)
        given_up = 0 if borrow_context else cut - first
        until = cut - given_up - purge
    return found[::-1]


def _too_short(split: Split, shape: Shape, start: int, end: int) -> str:
    """Return why a split holds no window, with numbers."""
    times = [f"{hour_time(hour):%Y-%m-%dT%H}" for hour in (split.cut, split.cut_end, start, end - 1)]
    left = max(split.end - split.first, 0)
    taken = split.cut_end - split.end
    why = (
        f" ({count(taken, 'hour')} before the next cut kept free for the split after it, whose windows reach back)"
        if taken > 0
        else ""
    )
    return (
        f"the {split.name} split, {times[0]} to {times[1]}, has {count(left, 'hour')} for its windows{why}, and one "
        f"needs {shape.span:,} (length {shape.length:,} and targets); the data go from {times[2]} to {times[3]}. "
        "Move the cuts, take a shorter length, or let inputs reach back into earlier splits with borrow_context=True"
    )
