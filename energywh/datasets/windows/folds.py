"""Rolling-origin folds for a backtest: train on the hours before an origin, test on the hours after it, repeat.

    fold 1   train ............|purge| origin 1  test ...... |
    fold 2   train ...........................|purge| origin 2  test ...... |

All targets of a test window lie between the origin of its fold and the next origin; its inputs reach back before the
origin, as they do when a forecast is made. Every hour of train lies before the origin, less the look-ahead of the
models (`purge`). So no target is in the tests of two folds, and train knows nothing of its test.

One query loads one array, and all folds are windows of it. With normalization, each fold has a scaler of its own train
and a scaled copy of the array, which is freed with the fold.

Sources revise what they have published, so a train cut from today's warehouse holds values that did not exist at its
origin. With ``as_of`` the train of each fold comes from a warehouse as it could have been built at its origin
(`energywh.datasets.windows.as_of_warehouse`); it is loaded and scaled by itself. Known is what had been fetched
by then ("landed"), or for history loaded later what had been published by then ("published-lag"), with the first value
fetched: earlier revisions are not known. The test comes from the warehouse that is open: its targets are the truth as
known today, and its inputs are as known today as well, with later revisions. A build as of the origin cannot give the
inputs of a forecast made at a later hour; `features.hourly_asof` applies publication lags, though not revisions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from energywh.core.time import hour_time, parse_duration_hours
from energywh.core.wording import count
from energywh.datasets.windows import scaler as scaling
from energywh.datasets.windows.backends import Backend, Memmap, arrays, folder_of
from energywh.datasets.windows.find_splits import held_out
from energywh.datasets.windows.matrix import Ahead, Axis, Frame
from energywh.datasets.windows.moments import hours_of
from energywh.datasets.windows.normalization import Normalization
from energywh.datasets.windows.plan import left_free
from energywh.datasets.windows.scaler_fit import fit_scaler
from energywh.datasets.windows.spec import Moment, WindowSpec, as_hour
from energywh.datasets.windows.splits import Split, whole_time
from energywh.datasets.windows.survey import whole_hours
from energywh.datasets.windows.window_starts import starts, targets_before
from energywh.datasets.windows.windows import SourceConnection, Windows, cut_windows
from energywh.errors import UsageError, WindowError

if TYPE_CHECKING:
    import duckdb

    from energywh.datasets.windows.as_of_warehouse import AsOfWarehouses

Starts = tuple[NDArray[np.int64], ...]  # by region, the rows at which windows start


@dataclass(frozen=True)
class FoldOrigins:
    """Which origins folds have, and on what they train; `energywh.Warehouse.folds` documents the fields."""

    origins: Sequence[Moment] | None = None
    first: Moment | None = None
    every: str | None = None
    history: str | None = None


@dataclass(frozen=True)
class Fold:
    """Windows to train on and to test on; ``origin`` is the first hour of the test, naive UTC."""

    train: Windows
    test: Windows
    origin: datetime

    def __repr__(self) -> str:
        return (
            f"<Fold {self.origin:%Y-%m-%dT%H}: {count(len(self.train), 'window')} to train, {len(self.test):,} to test>"
        )


class Folds:
    """All folds, in order; each iteration makes them one by one."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        spec: WindowSpec,
        origins: FoldOrigins,
        *,
        known: AsOfWarehouses | None = None,
        backend: Backend = "mlx",
        memmap: Memmap = False,
        cache: Path | None = None,
    ) -> None:
        """Load the array and find the origins; `energywh.Warehouse.folds` documents the arguments and errors.

        Args:
            known: opens the warehouse as it was known at an origin, for train; by default that of ``connection``.
            cache: folder for memmap=True; by default that for temporary files.
        """
        if spec.splits is not None:
            raise UsageError("folds are split by their origins: leave out splits")
        if spec.horizon == 0:
            raise UsageError("folds need a horizon of 1 or more: the hours after the origin that are forecast")
        spec = msgspec.structs.replace(spec, borrow_context=True)
        holdout = spec.holdout_regions or ()
        self._normalize = scaling.as_normalization(spec.normalize)
        scaling.check_held_out(self._normalize, holdout)
        self._narrow = self._normalize is not None and spec.dtype != "float32"
        # All windows of the source, neither split nor scaled: folds select from them.
        self._spec = msgspec.structs.replace(
            spec,
            dtype="float32" if self._narrow else spec.dtype,
            normalize=None,
            holdout_regions=None,
            purge=None,
        )
        self._backend, self._memmap, self._cache = backend, memmap, cache
        whole = self._cut(connection, self._spec)
        self._library = arrays(backend, spec.dtype, folder_of(memmap, cache))
        self._now = self._loaded(whole)
        self._known = known
        columns = (*whole.columns, *whole.targets, *whole.future_covariates)
        self._free = left_free(connection, self._now.origin.source, columns, spec.purge)
        self._history = None if origins.history is None else parse_duration_hours(origins.history, "history")
        self._without = held_out(whole.regions, holdout, self._now.origin.source)
        data = whole_time(whole.frame.axis)
        self._start = data.first
        self._edges = [*_origins(origins, data), data.end]
        for check in (self._test, self._train):  # before anything is built for minutes, or trained for hours
            for number in range(len(self)):
                check(number)

    @property
    def origins(self) -> tuple[datetime, ...]:
        """First hour of each test, naive UTC."""
        return tuple(map(hour_time, self._edges[:-1]))

    @property
    def nbytes(self) -> int:
        """Bytes of the array that all folds share; with ``normalize`` or ``as_of``, each fold has its own as well."""
        return self._now.whole.nbytes

    def __len__(self) -> int:
        return len(self._edges) - 1

    def __repr__(self) -> str:
        origins = self.origins
        return (
            f"<Folds: {len(self)} origins, {origins[0]:%Y-%m-%dT%H} to {origins[-1]:%Y-%m-%dT%H}, "
            f"of {self._now.whole!r}>"
        )

    def __iter__(self) -> Iterator[Fold]:
        for number in range(len(self)):
            yield self._fold(number)

    def _fold(self, number: int) -> Fold:
        now, test, (source, train) = self._now, self._test(number), self._train(number)
        shared, own, scaler = now.whole.frame, source.whole.frame, self._normalize
        if isinstance(scaler, Normalization):
            origin, hours = source.origin, hours_of(own.axis, source.whole.shape, train)
            scaler = fit_scaler(origin.connection, origin.source, own, hours, scaler)
        if scaler is not None:
            shared = scaling.scaled(shared, scaler, self._library)
            own = shared if source is now else scaling.scaled(own, scaler, self._library if self._narrow else None)
        return Fold(
            self._windows("train", source.whole, own, train, scaler),
            self._windows("test", now.whole, shared, test, scaler),
            self.origins[number],
        )

    def _windows(
        self, name: str, whole: Windows, frame: Frame, starts: Starts, scaler: scaling.Scaler | None
    ) -> Windows:
        """Return those of the windows ``whole`` that start at ``starts``, over ``frame``."""
        picks = whole.view.ahead.picks
        ahead = Ahead(frame.features if picks is not None else frame.future_covariates, picks)
        view = replace(whole.view, frame=frame, library=self._library, ahead=ahead)
        return Windows(view, starts, name=name, origin=whole.origin, normalization=scaler)

    def _loaded(self, whole: Windows) -> _LoadedWindows:
        assert whole.origin is not None  # they come from a warehouse
        before = targets_before(whole.frame)
        needed = whole.view.ahead if self._spec.future_covariates is not None else None
        return _LoadedWindows(whole, whole.origin, whole_hours(whole.frame, self._spec.gaps, before, needed), before)

    def _cut(self, connection: duckdb.DuckDBPyConnection, spec: WindowSpec) -> Windows:
        """Return all windows of the source."""
        return cut_windows(connection, spec, backend=self._backend, memmap=self._memmap, cache=self._cache).all

    def _train_source(self, number: int) -> _LoadedWindows:
        """Return what the train of a fold is cut from.

        Raises:
            UsageError, WindowError: what was known then has not the same regions and columns, or no window.
            Others as `energywh.datasets.windows.as_of_warehouse.AsOfWarehouses.open`.
        """
        if self._known is None:
            return self._now
        now, origin = self._now.whole, self.origins[number]
        spec = msgspec.structs.replace(self._spec, regions=now.regions, features=now.columns)
        try:
            whole = self._cut(self._known.open(self._edges[number]), spec)
        except (UsageError, WindowError) as error:
            raise type(error)(f"the fold at {origin:%Y-%m-%dT%H}, by what was known then: {error}") from None
        if whole.future_covariates != now.future_covariates:
            raise UsageError(
                f"the models mark other columns as known ahead since {self._known.version} was built: name the columns "
                "with future_covariates=[...], or run 'energywh build' and open the newest version"
            )
        return self._loaded(whole)

    def _train(self, number: int) -> tuple[_LoadedWindows, Starts]:
        """Return what the train of a fold is cut from, and where its windows start; raises as `_train_source` does."""
        origin, source = self._edges[number], self._train_source(number)
        behind = origin - self._free
        first = self._start if self._history is None else max(self._start, behind - self._history)
        split = Split("train", first, behind, source.axis, first, behind, without=self._without)
        return source, self._starts(source, split, origin)

    def _test(self, number: int) -> Starts:
        """Return where the windows of the test of a fold start; raises as `_starts` does."""
        origin, end = self._edges[number : number + 2]
        first = max(origin - self._now.whole.length, self._start)
        return self._starts(self._now, Split("test", first, end, self._now.axis, first, end), origin)

    def _starts(self, loaded: _LoadedWindows, split: Split, origin: int) -> Starts:
        """Return the rows at which the windows of a split of the fold at ``origin`` start.

        Raises:
            WindowError: there are none.
        """
        shape = loaded.whole.shape
        found = starts(split, shape, loaded.usable, loaded.targets_before)
        if not any(map(len, found)):
            raise WindowError(
                f"the fold at {hour_time(origin):%Y-%m-%dT%H} has no window of {count(shape.span, 'hour')} with a "
                f"target in its {split.name} split, {hour_time(split.first):%Y-%m-%dT%H} to before "
                f"{hour_time(split.end):%Y-%m-%dT%H}; move the origins, or take a shorter length or horizon"
            )
        return found


@dataclass(frozen=True)
class _LoadedWindows:
    """All windows of an array; which rows they may use, and in how many rows before each a target has a value."""

    whole: Windows
    origin: SourceConnection
    usable: NDArray[np.bool_] | None
    targets_before: NDArray[np.int64]

    @property
    def axis(self) -> Axis:
        return self.whole.frame.axis


def _origins(asked: FoldOrigins, data: Split) -> list[int]:
    """Return the origins as hours since 1970.

    Raises:
        UsageError: neither or both ways of naming them, or origins that do not ascend.
        WindowError: an origin outside the data.
    """
    origins, first, every = asked.origins, asked.first, asked.every
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
