"""Measuring a scaler by SQL, in the hours that the train windows hold; `energywh.datasets.windows.scaler` says what."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from energywh.core.arguments import as_names
from energywh.core.query import ask
from energywh.core.sql_text import identifier, text, timestamp
from energywh.core.storage_errors import query_errors
from energywh.core.time import hour_time
from energywh.core.warnings import warn
from energywh.core.wording import abbreviate
from energywh.datasets.windows.matrix import Axis
from energywh.datasets.windows.scaler import By, Choice, Scaler
from energywh.datasets.windows.source import HOUR, REGION, Bound
from energywh.datasets.windows.spec import Kind
from energywh.datasets.windows.splits import Shape
from energywh.errors import NoTrainValueError, UnknownNameError, UsageError, did_you_mean

if TYPE_CHECKING:
    import duckdb

SKEWED = 1.0  # skewness over which log="auto" takes the logarithm; that of an exponential distribution is 2
LEVELS = 2**31  # parts of the range that moments add up: a square fits 64 bits, which are fast, and a sum of cubes 128
FAR = 50.0  # standard deviations from the mean at which a single value makes the scale of a column
MOMENT_COLUMNS = 32  # at once: DuckDB holds the values of a column, as they are needed twice
QUARTILE_COLUMNS = 16  # at once, as DuckDB holds all values of a column while it looks for them
LEFT_ALONE = re.compile(r"(^|_)(sin|cos)(_|$)|^is_|(^|_)(flag|mask)$")


class Known(Protocol):
    """What is known of the columns to measure: a frame, or a survey of the source."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    def heard(self) -> set[tuple[str, str]]:
        """Return each (region, column) that has a value."""


@dataclass(frozen=True)
class Hours:
    """Stretches of hours that windows hold: of ``regions[i]`` from ``first[i]`` to before ``end[i]``, since 1970."""

    regions: tuple[str, ...]
    first: tuple[int, ...]
    end: tuple[int, ...]


def hours_of(axis: Axis, shape: Shape, starts: Sequence[NDArray[np.int64]]) -> Hours:
    """Return the hours that the windows at ``starts`` (rows, a list a region) hold as input or target."""
    regions: list[str] = []
    first: list[int] = []
    end: list[int] = []
    for region, rows in enumerate(starts):
        if not len(rows):
            continue
        hours = np.sort(rows) - axis.offset[region] + axis.first_hour[region]
        apart = np.flatnonzero(np.diff(hours) > shape.span) + 1
        first += hours[np.concatenate(([0], apart))].tolist()
        end += (hours[np.concatenate((apart - 1, [len(hours) - 1]))] + shape.span).tolist()
        regions += [axis.regions[region]] * (len(apart) + 1)
    return Hours(tuple(regions), tuple(first), tuple(end))


@dataclass(frozen=True)
class Moments:
    """Of the values of one column in one region, or in all: central moments divided by the count."""

    count: int = 0
    low: float = math.inf
    high: float = -math.inf
    mean: float = 0.0
    second: float = 0.0
    third: float = 0.0

    @property
    def constant(self) -> bool:
        return self.low >= self.high

    @property
    def deviation(self) -> float:
        return math.sqrt(self.second)

    @property
    def skewness(self) -> float:
        return self.third / self.second**1.5 if self.second > 0 else 0.0


def pooled(moments: Sequence[Moments]) -> Moments:
    """Return the moments of all values together; exact sums, so in any order the same."""
    count = sum(part.count for part in moments)
    if not count:
        return Moments()
    heard = [part for part in moments if part.count]
    mean = math.fsum(part.count * part.mean for part in heard) / count
    away = [(part, part.mean - mean) for part in heard]
    return Moments(
        count,
        min(part.low for part in heard),
        max(part.high for part in heard),
        mean,
        math.fsum(part.count * (part.second + off**2) for part, off in away) / count,
        math.fsum(part.count * (part.third + 3 * off * part.second + off**3) for part, off in away) / count,
    )


def fit(
    connection: duckdb.DuckDBPyConnection,
    source: Bound,
    known: Known,
    hours: Hours,
    chosen: Choice,
) -> Scaler:
    """Measure the columns that are ``known`` in ``hours`` by SQL.

    Raises:
        UnknownNameError, UsageError: a column for ``log`` that there is not, or that is negative or left alone.
        NoTrainValueError: a column with values somewhere, but none in ``hours``.
    """
    columns = known.columns
    alone = _left_alone(connection, source, columns)
    measured = tuple(name for name in columns if name not in alone)
    auto = chosen.log == "auto"
    named = () if auto else as_names(chosen.log, "log")
    _check_log(named, columns, alone)
    ask_for = _Asking(connection, source, hours)
    regions = tuple(dict.fromkeys(hours.regions))
    needed = measured if chosen.kind != "none" or auto else named
    moments = ask_for.moments(needed, third=auto)
    heard = {name: pooled([moments[region, name] for region in regions]) for name in needed}
    log = tuple(name for name in needed if _skewed(moments, heard, regions, name, chosen.by)) if auto else named
    for name in log:
        if heard[name].low < 0:
            raise UsageError(
                f"the logarithm of column '{name}' cannot be taken: it is as low as {heard[name].low:g} in the train "
                "part; leave it out of log"
            )
    if log:
        moments |= ask_for.moments(log, logged=True)
        heard |= {name: pooled([moments[region, name] for region in regions]) for name in log}
    scaled = measured if chosen.kind != "none" else ()
    same = tuple(name for name in scaled if _constant(moments, heard, regions, name, chosen.by))
    _report(known, regions, scaled, same, moments, heard, chosen.by)
    if chosen.kind in ("zscore", "minmax"):
        _report_far(scaled, regions, moments, heard, chosen.by)

    rows: tuple[str | None, ...] = regions if chosen.by == "region" else (None,)
    quartiles = ask_for.quartiles(measured, log, chosen.by) if chosen.kind == "robust" else {}
    center = np.zeros((len(rows), len(columns)))
    scale = np.ones((len(rows), len(columns)))
    for place, name in enumerate(columns):
        if name in alone or chosen.kind == "none":
            continue
        for row, region in enumerate(rows):
            own = heard[name] if region is None else moments[region, name]
            center[row, place], scale[row, place] = _parameters(
                chosen.kind, own, heard[name], quartiles.get((region, name))
            )
    return Scaler(
        chosen.kind,
        chosen.by,
        columns,
        regions if chosen.by == "region" else (),
        _rounded(center),
        _rounded(scale),
        tuple(name for name in columns if name in log),
        alone,
        same,
        f"{hour_time(min(hours.first)):%Y-%m-%dT%H}",
        f"{hour_time(max(hours.end) - 1):%Y-%m-%dT%H}",
    )


def _parameters(kind: Kind, own: Moments, together: Moments, quartiles: Sequence[float] | None) -> tuple[float, float]:
    """Return center and scale; see the module for what stands in where the region's own values tell nothing."""
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
    """Return the columns that are no measurements, by their type or name."""
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


def _skewed(
    moments: Mapping[tuple[str, str], Moments],
    heard: Mapping[str, Moments],
    regions: Sequence[str],
    name: str,
    by: By,
) -> bool:
    """Say whether log="auto" takes a column: never negative, and skewed, by region in more than half of them."""
    if not heard[name].count or heard[name].low < 0:
        return False
    varied = [part for part in (moments[region, name] for region in regions) if not part.constant]
    parts = varied if by == "region" else [heard[name]]
    return 2 * sum(part.skewness > SKEWED for part in parts) > len(parts)


def _constant(
    moments: Mapping[tuple[str, str], Moments],
    heard: Mapping[str, Moments],
    regions: Sequence[str],
    name: str,
    by: By,
) -> bool:
    """Say whether a column has values, and in no region (by="global": in all together) more than one."""
    parts = [moments[region, name] for region in regions] if by == "region" else [heard[name]]
    return heard[name].count > 0 and all(part.constant for part in parts)


def _report(
    known: Known,
    regions: Sequence[str],
    measured: Sequence[str],
    same: Sequence[str],
    moments: Mapping[tuple[str, str], Moments],
    heard: Mapping[str, Moments],
    by: By,
) -> None:
    """Refuse columns without a value in train, and warn of what cannot be scaled by its own values."""
    told = known.heard()
    told_of = {name for _, name in told}
    if unheard := [name for name in measured if not heard[name].count and name in told_of]:
        raise NoTrainValueError(unheard)
    if same:
        where = "in the train split" if by == "global" else "within any region of the train split"
        warn(f"{', '.join(same)} does not vary {where}: moved to 0, and not divided")
    lent: dict[str, list[str]] = {}
    for region, name in sorted(told):
        if by == "region" and name in measured and region in regions and not moments[region, name].count:
            lent.setdefault(name, []).append(region)
    if lent:
        shown = "; ".join(f"{name} of {', '.join(where)}" for name, where in lent.items())
        warn(f"no value in the train split, so scaled by the statistics of all regions: {shown}")


def _report_far(
    scaled: Sequence[str],
    regions: Sequence[str],
    moments: Mapping[tuple[str, str], Moments],
    heard: Mapping[str, Moments],
    by: By,
) -> None:
    """Warn of columns whose scale is that of a single value."""
    far: dict[str, list[str]] = {}
    for name in scaled:
        parts = [(region, moments[region, name]) for region in regions] if by == "region" else [("all", heard[name])]
        for region, part in parts:
            if max(part.high - part.mean, part.mean - part.low) > FAR * part.deviation > 0:
                far.setdefault(region, []).append(name)
    if far:
        shown = "; ".join(f"of {region} {abbreviate(names, 6)}" for region, names in far.items())
        warn(
            f"values more than {FAR:g} standard deviations from the mean of train: {shown}. Single values make their "
            "scale, and all others stand close together: take kind 'robust', or leave out the column or the time"
        )


class _Asking:
    """Asks the source about the hours of train."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, source: Bound, hours: Hours) -> None:
        self._connection = connection
        self._source = source
        self._hours = hours

    def moments(
        self, columns: Sequence[str], *, logged: bool = False, third: bool = False
    ) -> dict[tuple[str, str], Moments]:
        """Return the moments of each column in each region, of its logarithm if ``logged``; the third if asked for."""
        found = {(region, name): Moments() for region in self._hours.regions for name in columns}
        for low in range(0, len(columns), MOMENT_COLUMNS):
            found |= self._some_moments(columns[low : low + MOMENT_COLUMNS], columns if logged else (), third)
        return found

    def _some_moments(self, columns: Sequence[str], log: Sequence[str], third: bool) -> dict[tuple[str, str], Moments]:
        places = range(len(columns))
        cubes = "sum(q{0} * q{0} * CAST(q{0} AS HUGEINT))" if third else "0"
        limits = ", ".join(f"min(c{i}) AS low{i}, max(c{i}) AS high{i}" for i in places)
        levels = ", ".join(
            f"CAST(round((c{i} - low{i}) / nullif(high{i} - low{i}, 0) * {LEVELS}) AS BIGINT) AS q{i}" for i in places
        )
        sums = ", ".join(
            f"count(c{i}), any_value(low{i}), any_value(high{i}), sum(q{i}), sum(q{i} * q{i}), {cubes.format(i)}"
            for i in places
        )
        rows = self._rows(
            f"""
            , limits AS (SELECT region, {limits} FROM hours GROUP BY region)
            , levels AS (SELECT *, {levels} FROM hours JOIN limits USING (region))
            SELECT region, {sums} FROM levels GROUP BY region
            """,
            columns,
            log,
        )
        return {
            (region, name): _moments(*numbers[place * 6 : place * 6 + 6])
            for region, *numbers in rows
            for place, name in enumerate(columns)
        }

    def quartiles(
        self, columns: Sequence[str], log: Sequence[str], by: By
    ) -> dict[tuple[str | None, str], list[float]]:
        """Return the 25th, 50th and 75th percentile, interpolated, of each column with a value."""
        found: dict[tuple[str | None, str], list[float]] = {}
        group = "region" if by == "region" else "NULL"
        for low in range(0, len(columns), QUARTILE_COLUMNS):
            some = columns[low : low + QUARTILE_COLUMNS]
            asked = ", ".join(f"quantile_cont(c{i}, [0.25, 0.5, 0.75])" for i in range(len(some)))
            for region, *lists in self._rows(f"SELECT {group}, {asked} FROM hours GROUP BY 1", some, log):
                found |= {(region, name): three for name, three in zip(some, lists, strict=True) if three is not None}
        return found

    def _rows(self, query: str, columns: Sequence[str], log: Sequence[str]) -> list[tuple[Any, ...]]:
        """Run ``query`` over ``hours (region, c0, c1, ...)``: the columns in the hours of train, as windows hold them.

        NULL is what is missing: no value, NaN and infinities, and what is too great for a float.
        """

        hours = self._hours
        picked = ", ".join(
            f"TRY_CAST(source.{identifier(name)} AS FLOAT)::DOUBLE AS x{place}" for place, name in enumerate(columns)
        )
        shown = ", ".join(
            f"CASE WHEN isfinite(x{place}) THEN {f'ln(1 + x{place})' if name in log else f'x{place}'} END AS c{place}"
            for place, name in enumerate(columns)
        )
        sql = f"""
            WITH stretch AS (
                SELECT unnest($regions) AS region, unnest($first) AS first_hour, unnest($end) AS end_hour
            )
            , held AS (
                SELECT region, TIMESTAMP '1970-01-01' + to_hours(unnest(range(first_hour, end_hour))) AS hour_utc
                FROM stretch
            )
            , picked AS NOT MATERIALIZED (
                SELECT CAST({REGION} AS VARCHAR) AS region, CAST({HOUR} AS TIMESTAMP) AS hour_utc, {picked}
                FROM {self._source.sql} AS source
                WHERE {REGION} IN ({", ".join(map(text, dict.fromkeys(hours.regions)))})
                AND {HOUR} >= {timestamp(hour_time(min(hours.first)))}
                AND {HOUR} < {timestamp(hour_time(max(hours.end)))}
            )
            , hours AS NOT MATERIALIZED (SELECT region, {shown} FROM picked SEMI JOIN held USING (region, hour_utc))
            {query}
        """
        values = {"regions": list(hours.regions), "first": list(hours.first), "end": list(hours.end)}
        asked = ask(self._connection, sql, values)
        with query_errors():
            return asked.fetchall()


def _moments(
    count: int, low: float | None, high: float | None, one: int | None, two: int | None, three: int | None
) -> Moments:
    """Return the moments from the sums of levels, of their squares and cubes; exact until the last step."""
    if low is None or high is None:
        return Moments()
    if one is None or two is None:
        return Moments(count, low, high, low)
    one, two, three = int(one), int(two), int(three or 0)
    unit = (high - low) / LEVELS
    second = Fraction(count * two - one * one, count**2)
    third = Fraction(count**2 * three - 3 * count * one * two + 2 * one**3, count**3)
    return Moments(
        count, low, high, low + float(Fraction(one, count)) * unit, float(second) * unit**2, float(third) * unit**3
    )
