"""Rolling-origin folds, to backtest: train on what was before an origin, forecast what came after it, move on.

    fold 1   train ............|purge| origin 1  test ...... |
    fold 2   train ...........................|purge| origin 2  test ...... |

A test window belongs to the fold in whose stretch, from its origin to before the next, all its targets lie; its inputs
reach back before the origin, as they do when a forecast is made. Of train, every hour lies before the origin, less the
look-ahead of the models (`purge`). So no target is in two folds' tests, and train knows nothing of its test.

The source is asked once and held once: folds are windows of the same array, whatever their number. Where they are
normalized, each has a scaler of its own train and a scaled copy of the array, which goes when the fold is let go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from energywh.datasets import fitting, scaling
from energywh.datasets import splits as cutting
from energywh.datasets.arrays import DType, Kind, arrays
from energywh.datasets.frame import Ahead
from energywh.datasets.plan import Gaps, Moment, Normalize, Static, as_hour, left_free
from energywh.datasets.survey import whole_hours
from energywh.datasets.windows import Windows, cut_windows
from energywh.durations import hour_time, parse_duration_hours
from energywh.errors import UsageError, WindowError

if TYPE_CHECKING:
    import duckdb


class FoldOptions(TypedDict, total=False):
    """What may be left out of a call of `energywh.Warehouse.folds`, and means what it does for windows."""

    regions: Sequence[str] | str | None
    features: Sequence[str] | str | None
    future: Sequence[str] | str | None
    static: Static
    gaps: Gaps
    as_: Kind
    since: Moment | None
    until: Moment | None


@dataclass(frozen=True)
class Fold:
    """Windows to train on and to test with; ``origin`` is the first hour of the test, naive UTC."""

    train: Windows
    test: Windows
    origin: datetime

    def __repr__(self) -> str:
        return f"<Fold {self.origin:%Y-%m-%dT%H}: {len(self.train):,} windows to train, {len(self.test):,} to test>"


class Folds:
    """All folds, in order; made one by one while they are gone through, and again each time."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: str,
        *,
        target: str | Sequence[str],
        length: int,
        stride: int,
        horizon: int,
        origins: Sequence[Moment] | None = None,
        first: Moment | None = None,
        every: str | None = None,
        history: str | None = None,
        purge: int | None = None,
        normalize: Normalize | None = None,
        dtype: DType = "float32",
        **options: Unpack[FoldOptions],
    ) -> None:
        """Load the array and find the origins; `energywh.Warehouse.folds` documents the arguments and errors."""
        self._normalize = scaling.choice(normalize)
        if horizon == 0:
            raise UsageError("folds need a horizon of 1 or more: the hours after the origin that are forecast")
        whole = cut_windows(
            connection,
            source,
            target=target,
            length=length,
            stride=stride,
            horizon=horizon,
            dtype="float32" if self._normalize is not None else dtype,  # narrowed once scaled
            **options,
        )
        assert isinstance(whole, Windows)
        assert whole.origin is not None
        self._whole = whole
        self._origin = whole.origin
        self._library = arrays(options.get("as_", "mlx"), dtype)
        self._told = cutting.targets_before(whole.frame)
        needed = whole.ahead if options.get("future") is not None else None
        self._usable = whole_hours(whole.frame, options.get("gaps", "mask"), self._told, needed)
        self._free = left_free(connection, self._origin.source, purge, "inputs")
        self._history = None if history is None else parse_duration_hours(history, "history")
        data = cutting.whole_time(whole.frame.axis)
        self._start = data.first
        self._edges = [*_origins(origins, first, every, data), data.end]
        for number in range(len(self)):  # before anything is trained for hours
            self._cut(number)

    @property
    def origins(self) -> tuple[datetime, ...]:
        """First hour of each test, naive UTC."""
        return tuple(map(hour_time, self._edges[:-1]))

    @property
    def nbytes(self) -> int:
        """Bytes of the array that all folds share; a normalized fold has as many of its own."""
        return self._whole.nbytes

    def __len__(self) -> int:
        return len(self._edges) - 1

    def __repr__(self) -> str:
        origins = self.origins
        return (
            f"<Folds: {len(self)} origins, {origins[0]:%Y-%m-%dT%H} to {origins[-1]:%Y-%m-%dT%H}, of {self._whole!r}>"
        )

    def __iter__(self) -> Iterator[Fold]:
        whole = self._whole
        for number in range(len(self)):
            starts = self._cut(number)
            frame, scaler = whole.frame, self._normalize
            if isinstance(scaler, scaling.Choice):
                hours = fitting.hours_of(frame.axis, whole.shape, starts[0])
                scaler = fitting.fit(self._origin.connection, self._origin.source, frame, hours, scaler)
            if scaler is not None:
                frame = scaling.scaled(frame, scaler, self._library)
            ahead = Ahead(frame.features if whole.ahead.picks is not None else frame.future, whole.ahead.picks)
            train, test = (
                Windows(
                    frame,
                    whole.shape,
                    rows,
                    self._library,
                    one_target=whole.one_target,
                    ahead=ahead,
                    one_hot=whole.one_hot,
                    name=name,
                    origin=self._origin,
                    normalization=scaler,
                )
                for name, rows in zip(cutting.NAMES[2], starts, strict=True)
            )
            yield Fold(train, test, self.origins[number])

    def _cut(self, number: int) -> list[list[NDArray[np.int64]]]:
        """Return, of train and test, the rows at which windows start, a list a region.

        Raises:
            WindowError: one of them holds no window.
        """
        shape, frame = self._whole.shape, self._whole.frame
        origin, end = self._edges[number : number + 2]
        behind = origin - self._free
        first = self._start if self._history is None else max(self._start, behind - self._history)
        stretches = ((first, behind), (max(origin - shape.length, self._start), end))
        found = []
        for name, (low, high) in zip(cutting.NAMES[2], stretches, strict=True):
            part = cutting.Part(name, low, high, low, high)
            starts = cutting.starts(frame.axis, shape, part, self._usable, self._told)
            if not any(map(len, starts)):
                raise WindowError(
                    f"the fold at {hour_time(origin):%Y-%m-%dT%H} has no window of {shape.span:,} hours with a target "
                    f"in its {name} part, {hour_time(low):%Y-%m-%dT%H} to before {hour_time(high):%Y-%m-%dT%H}; "
                    "move the origins, or take a shorter length or horizon"
                )
            found.append(starts)
        return found


def _origins(
    origins: Sequence[Moment] | None, first: Moment | None, every: str | None, data: cutting.Part
) -> list[int]:
    """Return the origins as hours since 1970.

    Raises:
        UsageError: neither or both ways of naming them, or origins that do not ascend.
        WindowError: an origin outside the data.
    """
    if (origins is None) == (first is None and every is None):
        raise UsageError(
            "folds take origins=[...], or the first of them and every, such as first='2024-01-01', every='30d'"
        )
    if origins is None:
        if first is None or every is None:
            raise UsageError("first and every go together, such as first='2024-01-01', every='30d'")
        start, step = as_hour(first, "first"), parse_duration_hours(every, "every")
        if not step:
            raise UsageError("every must be an hour or more, not '0h'")
        found = list(range(start, data.end, step)) or [start]
    else:
        if isinstance(origins, str) or not isinstance(origins, Sequence) or not origins:
            raise UsageError(f"origins must be a list of days or hours, not {origins!r}")
        found = [as_hour(origin, "an origin") for origin in origins]
    if found != sorted(set(found)):
        shown = ", ".join(f"{hour_time(origin):%Y-%m-%dT%H}" for origin in found)
        raise UsageError(f"origins must be ascending points in time, not {shown}")
    for origin in found:
        if not data.first < origin < data.end:
            raise WindowError(
                f"the origin {hour_time(origin):%Y-%m-%dT%H} leaves no hour on one of its sides: the data go from "
                f"{hour_time(data.first):%Y-%m-%dT%H} to {hour_time(data.end - 1):%Y-%m-%dT%H}"
            )
    return found
