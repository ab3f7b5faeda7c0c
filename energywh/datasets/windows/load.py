"""Run one query and fill the arrays that windows are cut from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from energywh.core.query import ask
from energywh.core.sql_text import identifier, text
from energywh.core.storage_errors import query_errors
from energywh.core.time import hour_time
from energywh.datasets.windows.backends import Arrays
from energywh.datasets.windows.matrix import BLOCK_ROWS, Axis, Frame, Matrix, Missing, check_range
from energywh.datasets.windows.source import HOUR, REGION, Bound, aggregates, unknown_region
from energywh.errors import WindowError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

# Measured for ten years of six regions x 32 features (525,600 rows, 67 MB as float32) on 2 cores: DuckDB to Arrow
# columns 0.16 s without ORDER BY and 0.22 s with, `fetchnumpy` 0.25 and 0.29 s, record batches streamed 0.35 s,
# one ARRAY column 0.7 s; Arrow columns into the C-order matrix 0.05 s in blocks of rows that stay in the cache, against
# 0.3 s a column at a time. So rows are read in any order, and each is put into its place by its hour.
STREAMED_ROWS = 65_536
MICROSECONDS = 3_600_000_000

# Batches of rows, with each row's place among the regions and its hour since 1970.
Arriving = Iterator[tuple["pa.RecordBatch", NDArray[np.int32], NDArray[np.int32]]]


@dataclass(frozen=True)
class Wanted:
    """Which rows and columns to take from a source; hours are numbers since 1970, both ends inclusive."""

    regions: tuple[str, ...] | None  # None: all but aggregates, and regions without a value of some target
    features: tuple[str, ...]
    targets: tuple[str, ...] = ()
    future_covariates: tuple[str, ...] = ()  # where they need a matrix of their own
    first_hour: int | None = None
    last_hour: int | None = None
    newest: int | None = None  # only this many hours up to the newest row of each region

    @property
    def columns(self) -> tuple[str, ...]:
        """Each column once."""
        return tuple(dict.fromkeys((*self.features, *self.targets, *self.future_covariates)))


def load(
    connection: duckdb.DuckDBPyConnection, source: Bound, wanted: Wanted, arrays: Arrays, *, streamed: bool = False
) -> Frame:
    """Run the query and return its rows as a frame.

    Args:
        streamed: never hold all rows in memory: a first query reads regions, hours and targets only, and a second
            query's rows are put into their places as they arrive.

    Raises:
        UnknownNameError: the source has no row of a region.
        UsageError: the query fails while it runs.
        WindowError: two rows for one region and hour, a time that is not a whole hour, or no row.
    """
    table = _fetch(connection, source, replace(wanted, features=(), future_covariates=()) if streamed else wanted)
    if table.num_rows == 0:
        wrong = wanted.regions[0] if wanted.regions else None
        if wrong is not None:
            raise unknown_region(connection, wrong, source)
        raise WindowError(f"{source.name} has no rows of any authority in the requested time; set regions=[...]")
    batches = table.to_batches()
    del table  # frees each batch once its rows are in their places
    names, codes, hours = _keys(batches, source)
    without_target = _without_target(batches, names, codes, wanted.targets) if wanted.regions is None else ()
    if without_target:
        _leave_out(batches, codes, hours, [names.index(region) for region in without_target])
    regions = wanted.regions if wanted.regions is not None else tuple(sorted({*names} - {*without_target}))
    for region in regions:
        if region not in names:
            raise unknown_region(connection, region, source)
    place_of = {region: place for place, region in enumerate(regions)}
    codes = [_places(names, place_of)[batch] for batch in codes]
    axis = _axis(regions, codes, hours)
    arriving = _taken(batches, codes, hours)
    if streamed:
        batches.clear()
        arriving = _streamed(connection, source, replace(wanted, regions=regions), place_of)

    frame, twice = fill(axis, wanted, arrays, arriving)
    if twice:
        raise WindowError(_twice(axis, codes, hours, source))
    return replace(frame, without_target=without_target)


def load_stretch(
    connection: duckdb.DuckDBPyConnection,
    asked: Iterable[tuple[Bound, int, int]],
    wanted: Wanted,
    axis: Axis,
    arrays: Arrays,
) -> Frame:
    """Return the rows of several queries as a frame over a given axis, without holding all rows in memory.

    Args:
        asked: sources with their first and last hours; they must not overlap.
        wanted: columns.

    Raises:
        UsageError: a query fails while it runs.
    """
    place_of = {region: place for place, region in enumerate(axis.regions)}
    wanted = replace(wanted, regions=axis.regions)
    arriving = chain.from_iterable(
        _streamed(connection, source, replace(wanted, first_hour=first, last_hour=last), place_of)
        for source, first, last in asked
    )
    frame, _ = fill(axis, wanted, arrays, arriving)
    return frame


def fill(axis: Axis, wanted: Wanted, arrays: Arrays, arriving: Arriving) -> tuple[Frame, bool]:
    """Put rows into their places as they arrive; return the frame and whether any place received two rows."""
    every = wanted.columns
    matrices = [
        _Filling(names, [every.index(name) for name in names], axis.rows, arrays)
        for names in (wanted.features, wanted.targets, wanted.future_covariates)
    ]
    filled = np.zeros(axis.rows, np.bool_)
    shift = axis.offset[:-1] - axis.first_hour
    count = 0
    for batch, code, hour in arriving:
        rows = shift[code] + hour
        columns = [column.to_numpy(zero_copy_only=False) for column in batch.columns[2:]]
        for start in range(0, len(rows), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            for matrix in matrices:
                matrix.fill(columns, block, rows[block])
        filled[rows] = True
        count += len(rows)
    absent = np.flatnonzero(~filled)
    features, targets, future_covariates = (matrix.done(absent) for matrix in matrices)
    return Frame(axis, features, targets, future_covariates), count + len(absent) > axis.rows


def _taken(
    batches: list[pa.RecordBatch], codes: Sequence[NDArray[np.int32]], hours: Sequence[NDArray[np.int32]]
) -> Arriving:
    """Yield each batch with its rows' places among the regions and their hours, and free it."""
    for number in range(len(batches)):
        batch, batches[number] = batches[number], None
        yield batch, codes[number], hours[number]


def _streamed(
    connection: duckdb.DuckDBPyConnection, source: Bound, wanted: Wanted, place_of: dict[str, int]
) -> Arriving:
    """Yield the same as `_taken`, as the rows come from the query."""
    with query_errors():
        for batch in _query(connection, source, wanted).to_arrow_reader(STREAMED_ROWS):
            names, (code,), (hour,) = _keys([batch], source)
            yield batch, _places(names, place_of)[code], hour


def _places(names: Sequence[str], place_of: dict[str, int]) -> NDArray[np.int32]:
    """Return the place of each name, -1 without one."""
    return np.array([place_of.get(name, -1) for name in names], np.int32)


def _fetch(connection: duckdb.DuckDBPyConnection, source: Bound, wanted: Wanted) -> pa.Table:
    """Return region, hour_utc and the wanted columns as float32, in no particular order."""
    with query_errors():
        return _query(connection, source, wanted).to_arrow_table()


def _query(connection: duckdb.DuckDBPyConnection, source: Bound, wanted: Wanted) -> duckdb.DuckDBPyRelation:
    """Bind the query that `_fetch` runs."""
    region, hour = identifier(REGION), identifier(HOUR)
    rows, kept = source.sql, selection(connection, wanted)
    if wanted.newest is not None:
        rows = f"(SELECT * FROM {rows} AS source WHERE {kept})"
        kept = (
            f"{hour} > (SELECT max(latest.{hour}) FROM {rows} AS latest WHERE latest.{region} = source.{region})"
            f" - INTERVAL {wanted.newest} HOUR"
        )
    columns = [f"CAST({region} AS VARCHAR) AS {region}", f"CAST({hour} AS TIMESTAMP) AS {hour}"]
    columns += [f"{as_float(name)} AS {identifier(name)}" for name in wanted.columns]
    return ask(connection, f"SELECT {', '.join(columns)} FROM {rows} AS source WHERE {kept}")


def as_float(column: str) -> str:
    """Return SQL for the column as float32; the caller treats NaN and infinities as missing."""
    # TRY_CAST makes a value beyond float32, which is no measurement, missing; CAST would fail the query.
    return f"TRY_CAST({identifier(column)} AS FLOAT)"


def selection(connection: duckdb.DuckDBPyConnection, wanted: Wanted) -> str:
    """Return the SQL condition of the wanted rows, without that of ``newest``."""
    region, hour = identifier(REGION), identifier(HOUR)
    where = [f"{hour} IS NOT NULL"]
    if wanted.regions is not None:
        where.append(f"{region} IN ({', '.join(map(text, wanted.regions))})")
    else:
        where.append(f"{region} IS NOT NULL")
        if left_out := aggregates(connection):
            where.append(f"{region} NOT IN ({', '.join(map(text, left_out))})")
    if wanted.first_hour is not None:
        where.append(f"{hour} >= TIMESTAMP '{hour_time(wanted.first_hour)}'")
    if wanted.last_hour is not None:
        where.append(f"{hour} <= TIMESTAMP '{hour_time(wanted.last_hour)}'")
    return " AND ".join(where)


def _keys(
    batches: Sequence[pa.RecordBatch], source: Bound
) -> tuple[list[str], list[NDArray[np.int32]], list[NDArray[np.int32]]]:
    """Return the distinct regions as they come, and by batch each row's index among them and its hour since 1970."""
    names: dict[str, int] = {}
    codes, hours = [], []
    for batch in batches:
        encoded = batch.column(0).dictionary_encode()
        here = [names.setdefault(name, len(names)) for name in encoded.dictionary.to_pylist()]
        codes.append(np.array(here, np.int32)[encoded.indices.to_numpy()])
        moments = batch.column(1).to_numpy().astype("datetime64[us]", copy=False).view(np.int64)
        numbers, rest = np.divmod(moments, MICROSECONDS)
        if rest.any():
            wrong = moments[np.flatnonzero(rest)[0]].view("datetime64[us]")
            raise WindowError(
                f"{source.name} has hour_utc {wrong}, which does not start an hour; use date_trunc('hour', hour_utc)"
            )
        hours.append(numbers.astype(np.int32))
    return list(names), codes, hours


def _without_target(
    batches: Sequence[pa.RecordBatch], names: Sequence[str], codes: Sequence[NDArray[np.int32]], targets: Sequence[str]
) -> tuple[str, ...]:
    """Return the regions without a value of some target, sorted; none when that would leave no region."""
    has_value = np.zeros((len(targets), len(names)), np.bool_)
    for batch, code in zip(batches, codes, strict=True):
        for line, target in enumerate(targets):
            values = batch.column(target).to_numpy(zero_copy_only=False)
            has_value[line, code[np.isfinite(values)]] = True
    complete = has_value.all(axis=0)
    return tuple(sorted(names[int(place)] for place in np.flatnonzero(~complete))) if complete.any() else ()


def _leave_out(
    batches: list[pa.RecordBatch],
    codes: list[NDArray[np.int32]],
    hours: list[NDArray[np.int32]],
    regions: Sequence[int],
) -> None:
    """Remove the rows of ``regions`` from the batches."""
    import pyarrow as pa

    for number, code in enumerate(codes):  # batch by batch, to bound memory
        kept = ~np.isin(code, regions)
        batches[number] = batches[number].filter(pa.array(kept))
        codes[number], hours[number] = code[kept], hours[number][kept]


def _axis(regions: tuple[str, ...], codes: Sequence[NDArray[np.int32]], hours: Sequence[NDArray[np.int32]]) -> Axis:
    """Return the gap-free axis that spans all rows."""
    first = np.full(len(regions), np.iinfo(np.int64).max)
    last = np.full(len(regions), np.iinfo(np.int64).min)
    for code, hour in zip(codes, hours, strict=True):
        if not len(code):  # a batch without remaining rows
            continue
        runs = np.concatenate(([0], np.flatnonzero(np.diff(code)) + 1))  # where a run of one region starts
        np.minimum.at(first, code[runs], np.minimum.reduceat(hour, runs))
        np.maximum.at(last, code[runs], np.maximum.reduceat(hour, runs))
    return Axis(regions, first, np.concatenate(([0], np.cumsum(last - first + 1))))


def _twice(axis: Axis, codes: Sequence[NDArray[np.int32]], hours: Sequence[NDArray[np.int32]], source: Bound) -> str:
    """Return the message for a region and hour with more than one row."""
    rows = np.sort((axis.offset[:-1] - axis.first_hour)[np.concatenate(codes)] + np.concatenate(hours))
    twice = int(rows[np.flatnonzero(np.diff(rows) == 0)[0]])
    region = int(np.searchsorted(axis.offset, twice, side="right")) - 1
    hour = hour_time(int(axis.first_hour[region]) + twice - int(axis.offset[region]))
    return (
        f"{source.name} has more than one row of {axis.regions[region]} at {hour:%Y-%m-%dT%H} UTC; "
        "windows need one row per hour and region: select or sum rows in the SQL"
    )


class _Filling:
    """A matrix while it is filled, block by block; missing values are set to 0 and recorded."""

    def __init__(self, columns: tuple[str, ...], picks: list[int], rows: int, arrays: Arrays) -> None:
        self._columns = columns
        self._picks = picks
        self._arrays = arrays
        self._array, self._view = arrays.allocate((rows, len(columns)))
        self._rows: list[NDArray[np.int64]] = []
        self._bits: list[NDArray[np.uint8]] = []

    def fill(self, columns: Sequence[NDArray[Any]], lines: slice, rows: NDArray[np.int64]) -> None:
        """Put ``lines`` of the columns into the places ``rows``; NULL, NaN and infinities are missing."""
        if not self._columns:
            return
        in_order = len(rows) == 1 or bool((np.diff(rows) == 1).all())
        direct = in_order and self._view.dtype == np.float32
        block = (
            self._view[rows[0] : rows[0] + len(rows)]
            if direct
            else np.empty((len(rows), len(self._columns)), np.float32)
        )
        for place, pick in enumerate(self._picks):
            block[:, place] = columns[pick][lines]
        with np.errstate(invalid="ignore"):
            whole = bool(np.isfinite(block.sum(dtype=np.float64)))
        if not whole:
            bad = ~np.isfinite(block)
            block[bad] = 0
            some = np.flatnonzero(bad.any(axis=1))
            self._rows.append(rows[some])
            self._bits.append(np.packbits(bad[some], axis=1))
        if not direct:
            check_range(self._columns, block, self._view.dtype)
            self._view[rows] = block

    def done(self, absent: NDArray[np.int64]) -> Matrix:
        """Return the matrix; every column of the rows ``absent`` is missing."""
        width = len(self._columns)
        everything = np.packbits(np.ones((1, width), np.bool_), axis=1)
        rows = np.concatenate([*self._rows, absent]).astype(np.int64)
        bits = np.concatenate([*self._bits, np.repeat(everything, len(absent), axis=0)])
        order = np.argsort(rows, kind="stable")
        return Matrix(self._columns, self._arrays.settle(self._array), Missing(width, rows[order], bits[order]))
