"""Moments and quartiles of columns, measured by SQL in the hours of windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from energywh.core.query import ask
from energywh.core.sql_text import identifier, text, timestamp
from energywh.core.storage_errors import query_errors
from energywh.core.time import hour_time
from energywh.datasets.windows.matrix import Axis
from energywh.datasets.windows.normalization import By
from energywh.datasets.windows.source import HOUR, REGION, Bound
from energywh.datasets.windows.splits import Shape

if TYPE_CHECKING:
    import duckdb

LEVELS = 2**31  # parts of the range that moments add up: a square fits 64 bits, which are fast, and a sum of cubes 128
MOMENT_COLUMNS = 32  # per query: DuckDB keeps the values of a column, as they are needed twice
QUARTILE_COLUMNS = 16  # per query, as DuckDB keeps all values of a column while it searches


@dataclass(frozen=True)
class Hours:
    """Stretches of hours in windows: of ``regions[i]`` from ``first[i]`` to before ``end[i]``, since 1970."""

    regions: tuple[str, ...]
    first: tuple[int, ...]
    end: tuple[int, ...]


def hours_of(axis: Axis, shape: Shape, starts: Sequence[NDArray[np.int64]]) -> Hours:
    """Return the hours that the windows at ``starts`` (rows, one list per region) hold as input or target."""
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
    filled = [part for part in moments if part.count]
    mean = math.fsum(part.count * part.mean for part in filled) / count
    away = [(part, part.mean - mean) for part in filled]
    return Moments(
        count,
        min(part.low for part in filled),
        max(part.high for part in filled),
        mean,
        math.fsum(part.count * (part.second + off**2) for part, off in away) / count,
        math.fsum(part.count * (part.third + 3 * off * part.second + off**3) for part, off in away) / count,
    )


class HourStatistics:
    """Asks a source for statistics of its columns in some hours, those of train."""

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
