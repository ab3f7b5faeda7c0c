"""Measure a scaler by SQL, in the hours of the train windows; `energywh.datasets.windows.scaler` has the rules."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from energywh.core.arguments import as_names
from energywh.core.query import ask
from energywh.core.sql_text import identifier
from energywh.core.time import hour_time
from energywh.core.warnings import warn
from energywh.core.wording import abbreviate
from energywh.datasets.windows.moments import Hours, HourStatistics, Moments, pooled
from energywh.datasets.windows.normalization import By, Kind, Normalization
from energywh.datasets.windows.scaler import Scaler
from energywh.datasets.windows.source import Bound
from energywh.errors import NoTrainValueError, UnknownNameError, UsageError, did_you_mean

if TYPE_CHECKING:
    import duckdb

SKEWED = 1.0  # skewness over which log="auto" takes the logarithm; that of an exponential distribution is 2
FAR = 50.0  # standard deviations from the mean at which a single value makes the scale of a column
LEFT_ALONE = re.compile(r"(^|_)(sin|cos)(_|$)|^is_|(^|_)(flag|mask)$")


class ColumnsSeen(Protocol):
    """The columns to measure, and where they have values: a frame, or a survey of the source."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    def with_values(self) -> set[tuple[str, str]]:
        """Return each (region, column) that has a value."""


@dataclass(frozen=True)
class _Measured:
    """Moments of columns in the hours of train.

    Attributes:
        by_region: by (region, column).
        pooled: by column, of all regions together.
    """

    regions: tuple[str, ...]
    by: By
    by_region: Mapping[tuple[str, str], Moments]
    pooled: Mapping[str, Moments]

    @classmethod
    def of(cls, regions: tuple[str, ...], by: By, moments: Mapping[tuple[str, str], Moments]) -> _Measured:
        columns = dict.fromkeys(name for _, name in moments)
        return cls(
            regions, by, moments, {name: pooled([moments[region, name] for region in regions]) for name in columns}
        )

    def scaled_by(self, name: str) -> list[tuple[str, Moments]]:
        """Return the moments that a column is scaled by, one a region, or those of "all"."""
        if self.by == "global":
            return [("all", self.pooled[name])]
        return [(region, self.by_region[region, name]) for region in self.regions]

    def skewed(self, name: str) -> bool:
        """Return whether log="auto" takes a column: never negative, and skewed, by region in more than half of them."""
        if not self.pooled[name].count or self.pooled[name].low < 0:
            return False
        varied = [part for _, part in self.scaled_by(name) if self.by == "global" or not part.constant]
        return 2 * sum(part.skewness > SKEWED for part in varied) > len(varied)

    def constant(self, name: str) -> bool:
        """Return whether a column has values, and in no region (by="global": in all together) more than one."""
        return self.pooled[name].count > 0 and all(part.constant for _, part in self.scaled_by(name))


def fit_scaler(
    connection: duckdb.DuckDBPyConnection,
    source: Bound,
    seen: ColumnsSeen,
    hours: Hours,
    wanted: Normalization,
) -> Scaler:
    """Measure the columns that were ``seen`` in ``hours`` by SQL.

    Raises:
        UnknownNameError, UsageError: a column for ``log`` that does not exist, or that is negative or left alone.
        NoTrainValueError: a column with values somewhere, but none in ``hours``.
    """
    columns = seen.columns
    alone = _left_alone(connection, source, columns)
    measurements = tuple(name for name in columns if name not in alone)
    auto = wanted.log == "auto"
    named = () if auto else as_names(wanted.log, "log")
    _check_log(named, columns, alone)
    statistics = HourStatistics(connection, source, hours)
    regions = tuple(dict.fromkeys(hours.regions))
    needed = measurements if wanted.kind != "none" or auto else named
    measured = _Measured.of(regions, wanted.by, statistics.moments(needed, third=auto))
    log = tuple(name for name in needed if measured.skewed(name)) if auto else named
    for name in log:
        if measured.pooled[name].low < 0:
            raise UsageError(
                f"the logarithm of column '{name}' cannot be taken: it is as low as {measured.pooled[name].low:g} in "
                "the train split; leave it out of log"
            )
    if log:
        logged = statistics.moments(log, logged=True)
        measured = _Measured.of(regions, wanted.by, {**measured.by_region, **logged})
    scaled = measurements if wanted.kind != "none" else ()
    constant = tuple(name for name in scaled if measured.constant(name))
    _report(seen, scaled, constant, measured)
    if wanted.kind in ("zscore", "minmax"):
        _report_far(scaled, measured)

    rows: tuple[str | None, ...] = regions if wanted.by == "region" else (None,)
    quartiles = statistics.quartiles(measurements, log, wanted.by) if wanted.kind == "robust" else {}
    center = np.zeros((len(rows), len(columns)))
    scale = np.ones((len(rows), len(columns)))
    for place, name in enumerate(columns):
        if name in alone or wanted.kind == "none":
            continue
        for row, region in enumerate(rows):
            own = measured.pooled[name] if region is None else measured.by_region[region, name]
            center[row, place], scale[row, place] = _parameters(
                wanted.kind, own, measured.pooled[name], quartiles.get((region, name))
            )
    return Scaler(
        wanted.kind,
        wanted.by,
        columns,
        regions if wanted.by == "region" else (),
        _rounded(center),
        _rounded(scale),
        tuple(name for name in columns if name in log),
        alone,
        constant,
        f"{hour_time(min(hours.first)):%Y-%m-%dT%H}",
        f"{hour_time(max(hours.end) - 1):%Y-%m-%dT%H}",
    )


def _parameters(kind: Kind, own: Moments, together: Moments, quartiles: Sequence[float] | None) -> tuple[float, float]:
    """Return center and scale, by the rules in `energywh.datasets.windows.scaler`."""
    if not own.count:
        own, quartiles = together, None
    if kind == "minmax":
        center, scale = own.low, own.high - own.low
    elif kind == "robust" and quartiles is not None:
        center, scale = quartiles[1], quartiles[2] - quartiles[0]
    else:
        center, scale = own.mean, own.deviation
    if not own.count:
        return 0.0, 1.0
    if own.constant:
        return own.low, (together.deviation or 1.0)
    return center, scale or own.deviation


def _rounded(table: NDArray[Any]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(f"{value:.9g}") + 0.0 for value in row) for row in table.tolist())


def _left_alone(connection: duckdb.DuckDBPyConnection, source: Bound, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that are not scaled, by their type or name."""
    shown = ", ".join(map(identifier, columns))
    types = ask(connection, f"SELECT {shown} FROM {source.sql} AS source").types
    return tuple(
        name
        for name, kind in zip(columns, types, strict=True)
        if str(kind.id) == "boolean" or LEFT_ALONE.search(name.lower())
    )


def _check_log(named: Sequence[str], columns: Sequence[str], alone: Sequence[str]) -> None:
    for name in named:
        if name not in columns:
            raise UnknownNameError(
                f"the windows have no column '{name}' to take the log of{did_you_mean(name, columns)}"
            )
        if name in alone:
            raise UsageError(f"column '{name}' is a flag, mask, sine or cosine and left as it is; leave it out of log")


def _report(seen: ColumnsSeen, scaled: Sequence[str], constant: Sequence[str], measured: _Measured) -> None:
    """Warn of what cannot be scaled by its own values.

    Raises:
        NoTrainValueError: columns have no value in train, though elsewhere.
    """
    with_values = seen.with_values()
    columns = {name for _, name in with_values}
    if missing := [name for name in scaled if not measured.pooled[name].count and name in columns]:
        raise NoTrainValueError(missing)
    if constant:
        where = "in the train split" if measured.by == "global" else "within any region of the train split"
        warn(f"{', '.join(constant)} does not vary {where}: moved to 0, and not divided")
    by_all_regions: dict[str, list[str]] = {}
    for region, name in sorted(with_values):
        if (
            measured.by == "region"
            and name in scaled
            and region in measured.regions
            and not measured.by_region[region, name].count
        ):
            by_all_regions.setdefault(name, []).append(region)
    if by_all_regions:
        shown = "; ".join(f"{name} of {', '.join(where)}" for name, where in by_all_regions.items())
        warn(f"no value in the train split, so scaled by the statistics of all regions: {shown}")


def _report_far(scaled: Sequence[str], measured: _Measured) -> None:
    """Warn of columns whose scale is that of a single value."""
    far: dict[str, list[str]] = {}
    for name in scaled:
        for region, part in measured.scaled_by(name):
            if max(part.high - part.mean, part.mean - part.low) > FAR * part.deviation > 0:
                far.setdefault(region, []).append(name)
    if far:
        shown = "; ".join(f"of {region} {abbreviate(names, 6)}" for region, names in far.items())
        warn(
            f"values more than {FAR:g} standard deviations from the mean of train: {shown}. Single values make their "
            "scale, and all others stand close together: take kind 'robust', or leave out the column or the time"
        )
