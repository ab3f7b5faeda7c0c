"""Windows: slices of consecutive hours of one region, as training samples over one resident array.

Shapes: B windows, L = length, F features, T targets, h = horizon.

    inputs   (B, L, F)      mask         (B, L, F)     True where the source has the value; elsewhere inputs are 0
    targets  (B, L[, T])    target_mask  like targets  horizon=0: targets[:, i] is the hour after inputs[:, i]
             (B, h[, T])                               horizon=h: the h hours after the last input
    future   (B, L or h, K) future_mask  like future   K columns known before, of the hours of the targets: with
                                                       horizon=0, future[:, i] too is the hour after inputs[:, i]
    static   (B,) or (B, R)                            which of R regions: its number, or with static="one-hot" 0 and 1

What is to be done with gaps, hours without a row or without a value of any target:

| gaps    | such an hour                       | another value that is missing | strides count from           |
|---------|------------------------------------|-------------------------------|------------------------------|
| "mask"  | 0, masked; a window needs 1 target | 0, masked                     | first hour in the part       |
| "split" | in no window: it ends a stretch    | 0, masked                     | first hour of each stretch   |
| "drop"  | among no window's targets          | in no window that would use it| first start that is possible |

T is there when `target` was given as a list. By default the features are all numeric columns of the source, and so
hold the target's own past: inputs[:, i] knows the target up to hour i, never the hours that are to be forecast.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from energywh import regions as eia
from energywh.datasets import fitting, scaling
from energywh.datasets import splits as cutting
from energywh.datasets.arrays import Arrays, DType, Kind, arrays
from energywh.datasets.batches import Batches, cut_batches, whole_number
from energywh.datasets.cut import Batch, Window, few
from energywh.datasets.frame import Frame, Matrix, Wanted, load, missing_by_region
from energywh.datasets.source import Bound, as_names, bind, lookahead, lookback, told_by
from energywh.durations import hour_number, parse_hour
from energywh.errors import UnknownNameError, UsageError, WindowError, did_you_mean

if TYPE_CHECKING:
    import duckdb

    from energywh.datasets.shard import Layout, Shard

Gaps = Literal["mask", "split", "drop"]
Memory = Literal["ram", "disk"] | Path
Static = Literal["index", "one-hot"]
Overlap = Literal["none", "inputs"]
Purge = int | Literal["lookback"]
Moment = str | date | datetime
LATER = ("valid", "test")
Normalize = scaling.Kind | Mapping[str, Any] | scaling.Scaler


class Options(TypedDict, total=False):
    """What may be left out of a call of `energywh.Warehouse.windows`; `cut_windows` has the defaults."""

    regions: Sequence[str] | str | None
    horizon: int
    features: Sequence[str] | str | None
    future: Sequence[str] | str | None
    static: Static
    overlap: Overlap
    purge: Purge | None
    gaps: Gaps
    dtype: DType
    as_: Kind
    memory: Memory
    since: Moment | None
    until: Moment | None
    normalize: Normalize | None
    holdout: Sequence[str] | str | None


@dataclass(frozen=True)
class Origin:
    """Where the values of windows come from, to be asked again."""

    connection: duckdb.DuckDBPyConnection
    source: Bound


@dataclass(frozen=True)
class Ahead:
    """The columns known ahead: some of the matrix of features, or all of a matrix of their own."""

    matrix: Matrix
    picks: list[int] | None

    @property
    def columns(self) -> tuple[str, ...]:
        return self.matrix.columns if self.picks is None else tuple(self.matrix.columns[pick] for pick in self.picks)


class Windows:
    """Training windows over one resident array. Made by `energywh.Warehouse.windows`.

    Attributes:
        regions: regions, in the order in which they are stacked.
        columns: features, in the order of the last axis of inputs.
        targets: target columns.
        future: columns known ahead, in the order of the last axis of future.
        name: "train", "valid", "test"; "all" without splits.
        rows: (len,) row of the array at which each window starts.
        frame: the array itself, with the record of what is missing.
        normalization: the scaler that the array was normalized with, None where values are those of the source.
        origin: what was asked for the values.
    """

    def __init__(
        self,
        frame: Frame,
        shape: cutting.Shape,
        starts: Sequence[NDArray[np.int64]],
        library: Arrays,
        *,
        one_target: bool,
        ahead: Ahead,
        one_hot: bool,
        name: str,
        origin: Origin,
        normalization: scaling.Scaler | None = None,
    ) -> None:
        self.frame = frame
        self.shape = shape
        self.library = library
        self.one_target = one_target
        self.ahead = ahead
        self.one_hot = one_hot
        self.name = name
        self.normalization = normalization
        self.origin = origin
        self._starts = tuple(starts)
        self.rows = np.concatenate([*starts, np.empty(0, np.int64)]).astype(np.int64)
        self._counts = [len(rows) for rows in starts]

    @property
    def regions(self) -> tuple[str, ...]:
        return self.frame.axis.regions

    @property
    def columns(self) -> tuple[str, ...]:
        return self.frame.features.columns

    @property
    def targets(self) -> tuple[str, ...]:
        return self.frame.targets.columns

    @property
    def future(self) -> tuple[str, ...]:
        return self.ahead.columns

    @property
    def length(self) -> int:
        return self.shape.length

    @property
    def stride(self) -> int:
        return self.shape.stride

    @property
    def horizon(self) -> int:
        return self.shape.horizon

    @property
    def nbytes(self) -> int:
        """Bytes of values and masks held in memory, shared by all splits of one call; a window adds 8 for its place."""
        return self.frame.nbytes

    @property
    def disk_nbytes(self) -> int:
        """Bytes of values that lie in a file, with memory="disk"; 0 without."""
        return self.frame.disk_nbytes

    @cached_property
    def starts(self) -> NDArray[np.void]:
        """Region and first hour of each window: (len,) with fields ``region`` and ``hour_utc`` (UTC)."""
        axis = self.frame.axis
        width = max(map(len, axis.regions))
        table = np.empty(len(self), np.dtype([("region", f"U{width}"), ("hour_utc", "datetime64[h]")]))
        region = np.repeat(np.arange(len(axis.regions)), self._counts)
        table["region"] = np.array(axis.regions)[region]
        table["hour_utc"] = (self.rows - axis.offset[region] + axis.first_hour[region]).view("datetime64[h]")
        return table

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return (
            f"<Windows {self.name}: {len(self):,} of {self.length:,} hours x {len(self.columns)} features, "
            f"horizon {self.horizon}, stride {self.stride}, {len(self.regions)} regions ({few(self.regions)}), "
            f"{self.nbytes / 1e6:,.1f} MB>"
        )

    def __getitem__(self, index: int) -> Window:
        return self.window(index)

    def window(self, index: int) -> Window:
        """Return window number ``index``, as views.

        Raises:
            IndexError: there are not so many windows.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        return Window(self, index % len(self))

    def scaler(
        self, kind: scaling.Kind = "zscore", by: scaling.By = "region", log: Sequence[str] | str = ()
    ) -> scaling.Scaler:
        """Measure the hours of these windows, those of the train part, by SQL; `energywh.datasets.scaling` says how.

        Pass it as ``normalize`` to `energywh.Warehouse.windows`, keep it with `Scaler.to_dict`, and take predictions
        back to MWh with `Scaler.inverse`.

        Args:
            kind: "zscore", "robust", "minmax" or "none".
            by: "region", or "global" for all regions alike.
            log: columns to take the logarithm of first; "auto" for those never negative and skewed.

        Raises:
            UsageError: these are the windows of a later part; or a wrong argument, or a negative column to take the
                log of.
            WindowError: a column without any value in the train part.
            StorageError: the warehouse was closed.
        """
        if self.name in LATER:
            raise UsageError(
                f"statistics come from the train part alone, or they would give the {self.name} part away: fit the "
                "scaler on train"
            )
        hours = fitting.hours_of(self.frame.axis, self.shape, self._starts)
        chosen = scaling.Choice(kind, by, log)
        return fitting.fit(self.origin.connection, self.origin.source, self.frame, hours, chosen, stacklevel=3)

    def region_of(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the number of the region of each row."""
        return (np.searchsorted(self.frame.axis.offset, rows, side="right") - 1).astype(np.int32)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Return the windows ``indices`` as one batch."""
        return Batch(self, indices)

    def squeezes(self, matrix: Matrix) -> bool:
        """Say whether the last axis of the matrix is left out: the one target was not given as a list."""
        return self.one_target and matrix is self.frame.targets

    def shard(self, rank: int, world: int, layout: Layout = "contiguous", overlap: int = 0) -> Shard:
        """Return the share of ``rank`` of each window, for a ring of ``world`` devices that work on it together.

        Shapes, padding and layouts are told in `energywh.datasets.shard`.

        Args:
            layout: "contiguous"; "striped" or "zigzag", which even out the work under a causal mask.
            overlap: hours before its own that a contiguous shard repeats, as a convolution needs.

        Raises:
            UsageError: no such rank or layout, or an overlap that cannot be.
        """
        from energywh.datasets.shard import Ring, Shard

        return Shard(self, Ring(self.length, world, layout, overlap), rank)

    def batches(
        self,
        size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        epoch: int = 0,
        drop_last: bool = False,
        rank: int = 0,
        world: int = 1,
        start: int = 0,
        prefetch: int = 0,
    ) -> Batches[Batch]:
        """Return the batches of one epoch, each window once, or the share of ``rank`` of them.

        `energywh.datasets.batches` tells who takes which, and what happens where windows do not divide. On CPU, MLX
        gives all freed memory but 32 MB back to the system; batches raise that to twice their size for the process,
        unless `mx.set_cache_limit` was called before.

        Args:
            size: windows a batch and rank; the last may be smaller, unless ``drop_last``.
            shuffle: in an order that follows from ``seed`` and ``epoch`` alone, on every machine and release.
            rank, world: which of how many processes this is, each of which takes other windows.
            start: batches to leave out from the beginning, as they were taken before: with the same other arguments
                exactly those after them come.
            prefetch: batches that a thread makes ahead, complete with masks, while the last one is worked on; 2 will
                do. `energywh.datasets.prefetch.Prefetch`, which is what iterates then, also says how much was waited.

        Raises:
            UsageError: ``seed``, ``epoch`` or another argument is not a whole number, or not in its range.
        """
        return cut_batches(
            self,
            size,
            shuffle=shuffle,
            seed=seed,
            epoch=epoch,
            drop_last=drop_last,
            rank=rank,
            world=world,
            start=start,
            prefetch=prefetch,
        )


def cut_windows(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    *,
    regions: Sequence[str] | str | None = None,
    target: str | Sequence[str],
    length: int,
    stride: int,
    horizon: int = 0,
    features: Sequence[str] | str | None = None,
    future: Sequence[str] | str | None = None,
    static: Static = "index",
    splits: Moment | Sequence[Moment] | None = None,
    overlap: Overlap = "none",
    purge: Purge | None = None,
    gaps: Gaps = "mask",
    dtype: DType = "float32",
    as_: Kind = "mlx",
    memory: Memory = "ram",
    since: Moment | None = None,
    until: Moment | None = None,
    cache: Path | None = None,
    normalize: Normalize | None = None,
    holdout: Sequence[str] | str | None = None,
) -> Windows | tuple[Windows, ...]:
    """Cut the windows; `energywh.Warehouse.windows` documents the arguments and errors.

    Args:
        cache: folder for memory="disk"; by default that for temporary files.
    """
    shape = _shape(length, stride, horizon)
    if gaps not in ("mask", "split", "drop"):
        raise UsageError(f"gaps must be 'mask', 'split' or 'drop', not {gaps!r}")
    if static not in ("index", "one-hot"):
        raise UsageError(f"static must be 'index' or 'one-hot', not {static!r}")
    if not isinstance(memory, Path) and memory not in ("ram", "disk"):
        raise UsageError(f"memory must be 'ram', 'disk' or the Path of a folder, not {memory!r}")
    folder = memory if isinstance(memory, Path) else (cache or Path(tempfile.gettempdir()))
    library = arrays(as_, dtype, None if memory == "ram" else folder)
    normalization = scaling.choice(normalize)
    # Narrowed only once scaled: of 20,000 MWh, a bfloat16 tells steps of 128 apart.
    narrow = normalization is not None and dtype != "float32"
    wide = arrays(as_, "float32", None if memory == "ram" else folder) if narrow else library
    bound = bind(connection, source)
    named = named_regions(regions)
    inputs = (
        # A column of CAISO's alone says nothing of another region.
        told_by(connection, bound, named, each=gaps == "drop") if features is None else bound.features(features)
    )
    targets = bound.pick(target, "target")
    known = bound.ahead(future, inputs, targets)
    wanted = Wanted(
        regions=named,
        features=inputs,
        targets=targets,
        future=() if set(known) <= set(inputs) else known,
        first_hour=None if since is None else as_hour(since, "since"),
        last_hour=None if until is None else as_hour(until, "until", end_of_day=True),
    )
    if not wanted.features:
        raise UsageError(f"{bound.name} has no numeric column to use as feature")
    points = (splits,) if isinstance(splits, str | date) else splits or ()
    if not isinstance(points, Sequence):
        raise UsageError(f"splits must be a day or hour, or a list of them, not {splits!r}")
    if holdout is not None and splits is None:
        raise UsageError("holdout parts the windows: give splits too; splits=() parts them by region alone")
    cuts = [as_hour(moment, "a split") for moment in points]
    free = left_free(connection, bound, purge, overlap) if cuts or purge is not None else 0
    frame = load(connection, bound, wanted, wide, streamed=memory != "ram")
    _report_empty(frame, bound, drop=gaps == "drop")

    ahead = Ahead(frame.future, None) if wanted.future else Ahead(frame.features, [*map(inputs.index, known)])
    told = cutting.targets_before(frame)
    whole = whole_hours(frame, gaps, told, ahead if future is not None else None)
    if not any(map(len, cutting.starts(frame, shape, cutting.whole_time(frame.axis), whole, told))):
        runs = cutting.longest_runs(frame.axis, whole)
        if max(runs) >= shape.span:
            raise WindowError(
                f"of the windows of {shape.span:,} hours that {bound.name} has, a stride of {shape.stride:,} apart, "
                f"none holds a value of {' or '.join(wanted.targets)} to learn from; take a smaller stride"
            )
        shown = ", ".join(f"{name} {run:,}" for name, run in zip(frame.axis.regions, runs, strict=True))
        unbroken = "unbroken " if whole is not None else ""
        less = {"drop": ", fewer features, or gaps='mask'", "split": ", or gaps='mask'"}
        advice = "take a shorter length" + less.get(gaps, "")
        raise WindowError(
            f"no region of {bound.name} has {shape.span:,} {unbroken}hours, as length {length:,} and its targets "
            f"need; the longest {unbroken}run by region, in hours: {shown}; {advice}"
        )
    parts = cutting.parts(frame.axis, shape, cuts, overlap, free, _held_out(frame.axis.regions, holdout, bound))
    starts = [cutting.starts(frame, shape, part, whole, told) for part in parts]
    for part, rows in zip(parts, starts, strict=True):
        if not any(map(len, rows)):
            raise WindowError(
                f"the {part.name} part holds no window of {shape.span:,} "
                f"{'unbroken ' if whole is not None else ''}hours with a target in any region; move the cuts, take a "
                f"shorter length{', or gaps=' + repr('mask') if whole is not None else ''}"
            )
    if isinstance(normalization, scaling.Choice):
        hours = fitting.hours_of(frame.axis, shape, starts[0])
        normalization = fitting.fit(connection, bound, frame, hours, normalization, stacklevel=4)
    if normalization is not None:
        frame = scaling.scaled(frame, normalization, library if narrow else None)
        ahead = Ahead(frame.future if wanted.future else frame.features, ahead.picks)
    made = tuple(
        Windows(
            frame,
            shape,
            rows,
            library,
            one_target=isinstance(target, str),
            ahead=ahead,
            one_hot=static == "one-hot",
            name=part.name,
            origin=Origin(connection, bound),
            normalization=normalization,
        )
        for part, rows in zip(parts, starts, strict=True)
    )
    _report_given_up(
        shape,
        [
            (part, len(windows), sum(map(len, cutting.starts(frame, shape, part.unshortened, whole, told))))
            for part, windows in zip(parts, made, strict=True)
            if part.given_up
        ],
    )
    return made if splits is not None else made[0]


def left_free(connection: duckdb.DuckDBPyConnection, source: Bound, purge: Purge | None, overlap: Overlap) -> int:
    """Return how many hours are left free before a split; `energywh.datasets.splits` has the table."""
    if purge is None:
        return lookahead(connection, source)
    if purge != "lookback":
        return whole_number(purge, "purge", 0)
    if overlap == "inputs":
        raise UsageError("purge='lookback' keeps apart the hours that overlap='inputs' shares; choose one of them")
    return lookahead(connection, source) + lookback(connection, source)


def _held_out(regions: Sequence[str], holdout: Sequence[str] | str | None, source: Bound) -> frozenset[int]:
    """Return the numbers of the regions to hold out.

    Raises:
        UnknownNameError: one that is not among the windows' regions.
        UsageError: all of them.
    """
    named = named_regions(holdout, "holdout") if holdout is not None else ()
    for region in named or ():
        if region not in regions:
            near = did_you_mean(region, regions) or f"; they are of {', '.join(regions)}"
            raise UnknownNameError(f"the windows of {source.name} have no region '{region}' to hold out{near}")
    if named and set(named) == set(regions):
        raise UsageError(f"holdout names every region ({', '.join(regions)}): none is left to train on")
    return frozenset(regions.index(region) for region in named or ())


def _report_given_up(shape: cutting.Shape, shortened: Sequence[tuple[cutting.Part, int, int]]) -> None:
    """Warn of parts that end early, with how many windows they have and would have had."""
    if not shortened:
        return
    lost = ", ".join(
        f"{part.name} gives up its last {part.given_up:,} hours ({have:,} windows instead of {would_have:,})"
        for part, have, would_have in shortened
    )
    short = " and ".join(part.lends_to for part, _, _ in shortened)
    reach = "let inputs reach back into earlier parts with overlap='inputs'" + (
        "" if shape.horizon else " (and a horizon)"
    )
    warnings.warn(
        f"{lost}: {short} would hold no window of {shape.span:,} hours otherwise, and no hour is in windows of two "
        f"parts. No window has a target in the hours given up. To keep them, {reach}, take a shorter length, or move "
        "the cuts",
        UserWarning,
        stacklevel=4,
    )


def whole_hours(frame: Frame, gaps: Gaps, told: NDArray[np.int64], ahead: Ahead | None) -> NDArray[np.bool_] | None:
    """Return per row whether windows may use it as an input, and as a target (2, rows); None where all may be used.

    Args:
        told: what `splits.targets_before` returned.
        ahead: columns known ahead that must not be missing either where gaps are dropped.
    """
    if gaps == "drop":
        whole = cutting.usable(frame)
        if ahead is not None:
            whole[1, _missing_rows(ahead)] = False
        return whole
    if gaps == "split":
        there = np.diff(told) > 0
        return np.stack([there, there])
    return None


def _missing_rows(ahead: Ahead) -> NDArray[np.int64]:
    """Return the rows that miss a value of some column known ahead."""
    missing = ahead.matrix.missing
    bad = missing.unpack(slice(None))
    return missing.rows[(bad if ahead.picks is None else bad[:, ahead.picks]).any(axis=1)]


def _shape(length: int, stride: int, horizon: int) -> cutting.Shape:
    """Return the shape of a window, its numbers checked."""
    return cutting.Shape(
        whole_number(length, "length", 1),
        whole_number(stride, "stride", 1),
        whole_number(horizon, "horizon", 0),
    )


def named_regions(regions: Sequence[str] | str | None, what: str = "regions") -> tuple[str, ...] | None:
    """Return the regions asked for, each once; None for all authorities.

    The codes of form EIA-930 are taken in any case of letters; other regions, which a query may make, as they are.
    """
    if regions is None:
        return None
    codes = {code.casefold(): code for code in eia.regions()}
    given = as_names(regions, what)
    named = tuple(dict.fromkeys(codes.get(region.strip().casefold(), region) for region in given))
    if not named:
        for_all = " for all authorities" if what == "regions" else ""
        raise UsageError(f"{what} is empty; name at least one, or leave it out{for_all}")
    return named


def as_hour(moment: Moment, what: str, *, end_of_day: bool = False) -> int:
    """Return the number of the UTC hour that ``moment`` names.

    Args:
        end_of_day: a bare day means its last hour.

    Raises:
        UsageError: not a day or an hour.
    """
    if isinstance(moment, datetime):
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        if moment != moment.replace(minute=0, second=0, microsecond=0):
            raise UsageError(f"{what} must be a whole hour, not {moment}")
        return hour_number(moment)
    if isinstance(moment, date):
        moment = moment.isoformat()
    return hour_number(parse_hour(str(moment), end_of_day=end_of_day, what=what))


def _report_empty(frame: Frame, source: Bound, *, drop: bool) -> None:
    """Refuse a target, and point out a feature or a region left out, without a single value.

    Raises:
        WindowError: a target that a region named, or every region, never reports; with gaps='drop' also a feature
            that none reports.
    """
    names = frame.axis.regions
    if frame.silent:
        warnings.warn(
            f"{', '.join(frame.silent)} left out: no value at all of {' or '.join(frame.targets.columns)} "
            f"in the time asked for; name the regions wanted to be without this warning",
            UserWarning,
            stacklevel=4,
        )
    silent = [(names[region], column) for region, column in missing_by_region(frame, frame.targets)]
    if silent:
        shown = ", ".join(f"{column} of {region}" for region, column in silent)
        raise WindowError(
            f"{source.name} has no value at all of {shown} in the time asked for; "
            "leave such regions out, or choose another target"
        )
    by_column: dict[str, list[str]] = {}
    for region, column in missing_by_region(frame, frame.features):
        by_column.setdefault(column, []).append(names[region])
    for column, regions in by_column.items():
        everywhere = len(regions) == len(names)
        text = f"feature '{column}' has no value at all in {'any region' if everywhere else ', '.join(regions)}"
        if drop and everywhere:
            raise WindowError(f"{text}, and gaps='drop' drops every window that misses one; leave it out")
        if drop or everywhere:
            effect = "no window of such a region is kept" if drop else "it is 0 and masked throughout"
            warnings.warn(f"{text}: {effect}", UserWarning, stacklevel=4)
