"""What windows or a dataset are asked for: the arguments read and checked before any row is."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from energywh import regions as eia
from energywh.core.time import hour_number, parse_hour
from energywh.core.warnings import warn
from energywh.datasets.windows.backends import DType, Kind
from energywh.datasets.windows.matrix import Ahead, Frame, Wanted
from energywh.datasets.windows.sampler import whole_number
from energywh.datasets.windows.scaler import Kind as ScalerKind
from energywh.datasets.windows.scaler import Scaler
from energywh.datasets.windows.source import Bound, as_names, bind, lookahead, lookback, told_by
from energywh.datasets.windows.splits import Shape
from energywh.errors import NoTrainValueError, UsageError

if TYPE_CHECKING:
    import duckdb

Gaps = Literal["mask", "split", "drop"]
Memory = Literal["ram", "disk"] | Path
Static = Literal["index", "one-hot"]
Overlap = Literal["none", "inputs"]
Purge = int | Literal["lookback"]
Moment = str | date | datetime
Normalize = ScalerKind | Mapping[str, Any] | Scaler


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
class Plan:
    """What to cut, from what, and how to part it.

    Attributes:
        wanted: rows and columns; ``wanted.future`` is empty where all columns known ahead are features as well.
        ahead: columns known ahead.
        ahead_named: they were named, so that gaps="drop" must not miss one.
        features_named: the features were named, so that none may be left out.
        cuts: first hour of every part but the first, since 1970.
        free: hours left free before every cut.
        holdout: regions with windows in the last part alone.
    """

    source: Bound
    shape: Shape
    wanted: Wanted
    ahead: tuple[str, ...]
    ahead_named: bool
    gaps: Gaps
    overlap: Overlap
    cuts: tuple[int, ...]
    free: int
    holdout: tuple[str, ...]
    features_named: bool

    def ahead_of(self, frame: Frame) -> Ahead:
        """Return the columns known ahead, where ``frame`` has them."""
        if self.wanted.future:
            return Ahead(frame.future, None)
        return Ahead(frame.features, [self.wanted.features.index(name) for name in self.ahead])

    def without(self, error: NoTrainValueError) -> Plan:
        """Return it without the features that train has no value to scale by, with a warning.

        Raises:
            NoTrainValueError: one of them was named, is a target, or nothing is left.
        """
        left = tuple(name for name in self.wanted.features if name not in error.columns)
        if self.features_named or self.ahead_named or not left or set(error.columns) & set(self.wanted.targets):
            raise error
        warn(
            f"{', '.join(error.columns)} left out of the features: no value in the train part to scale by, though "
            "later or elsewhere"
        )
        ahead = tuple(name for name in self.ahead if name in left)
        return replace(self, wanted=replace(self.wanted, features=left), ahead=ahead)


def make_plan(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    *,
    target: str | Sequence[str],
    length: int,
    stride: int,
    horizon: int = 0,
    regions: Sequence[str] | str | None = None,
    features: Sequence[str] | str | None = None,
    future: Sequence[str] | str | None = None,
    splits: Moment | Sequence[Moment] | None = None,
    overlap: Overlap = "none",
    purge: Purge | None = None,
    gaps: Gaps = "mask",
    since: Moment | None = None,
    until: Moment | None = None,
    holdout: Sequence[str] | str | None = None,
) -> Plan:
    """Read the arguments; `energywh.Warehouse.windows` documents them.

    Raises:
        UnknownNameError: no such model or column.
        UsageError: wrong SQL or arguments.
    """
    shape = Shape(
        whole_number(length, "length", 1), whole_number(stride, "stride", 1), whole_number(horizon, "horizon", 0)
    )
    if gaps not in ("mask", "split", "drop"):
        raise UsageError(f"gaps must be 'mask', 'split' or 'drop', not {gaps!r}")
    bound = bind(connection, source)
    named = named_regions(regions)
    inputs = (
        # A column of CAISO's alone says nothing of another region.
        told_by(connection, bound, named, each=gaps == "drop") if features is None else bound.features(features)
    )
    targets = bound.pick(target, "target")
    known = bound.ahead(future, inputs, targets)
    if not inputs:
        raise UsageError(f"{bound.name} has no numeric column to use as feature")
    wanted = Wanted(
        regions=named,
        features=inputs,
        targets=targets,
        future=() if set(known) <= set(inputs) else known,
        first_hour=None if since is None else as_hour(since, "since"),
        last_hour=None if until is None else as_hour(until, "until", end_of_day=True),
    )
    if holdout is not None and splits is None:
        raise UsageError("holdout parts the windows: give splits too; splits=() parts them by region alone")
    cuts = tuple(as_hour(moment, "a split") for moment in as_moments(splits))
    free = left_free(connection, bound, wanted.columns, purge, overlap) if cuts or purge is not None else 0
    held_out = named_regions(holdout, "holdout") or ()
    return Plan(
        source=bound,
        shape=shape,
        wanted=wanted,
        ahead=known,
        ahead_named=future is not None,
        gaps=gaps,
        overlap=overlap,
        cuts=cuts,
        free=free,
        holdout=held_out,
        features_named=features is not None,
    )


def as_moments(splits: Moment | Sequence[Moment] | None) -> Sequence[Moment]:
    """Return the points in time that part windows, as a sequence.

    Raises:
        UsageError: it is none.
    """
    points = (splits,) if isinstance(splits, str | date) else splits or ()
    if not isinstance(points, Sequence):
        raise UsageError(f"splits must be a day or hour, or a list of them, not {splits!r}")
    return points


def left_free(
    connection: duckdb.DuckDBPyConnection,
    source: Bound,
    columns: Sequence[str],
    purge: Purge | None,
    overlap: Overlap,
) -> int:
    """Return how many hours are left free before a split; `energywh.datasets.windows.splits` has the table."""
    if purge is not None and purge != "lookback":
        return whole_number(purge, "purge", 0)
    if purge == "lookback" and overlap == "inputs":
        raise UsageError("purge='lookback' keeps apart the hours that overlap='inputs' shares; choose one of them")
    ahead = lookahead(connection, source) if source.may_know_later(columns) else 0
    return ahead if purge is None else ahead + lookback(connection, source)


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


def folder_of(memory: Memory, cache: Path | None) -> Path | None:
    """Return the folder that values are laid into, None for memory="ram".

    Args:
        cache: folder for memory="disk"; by default that for temporary files.

    Raises:
        UsageError: it is neither "ram" nor "disk" nor a Path.
    """
    if not isinstance(memory, Path) and memory not in ("ram", "disk"):
        raise UsageError(f"memory must be 'ram', 'disk' or the Path of a folder, not {memory!r}")
    if isinstance(memory, Path):
        return memory
    return None if memory == "ram" else cache or Path(tempfile.gettempdir())


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
