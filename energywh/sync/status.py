"""What staging holds and what is still due, one line per dataset and slice (usually a region)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from energywh.core.database import one_row
from energywh.core.time import HOUR, hour_number, hour_time
from energywh.regions import regions
from energywh.sources import sources
from energywh.sources.base import ALL_SLICES, Dataset, Source
from energywh.sync.ledger import gap_may_fill

if TYPE_CHECKING:
    import duckdb

CLOCK_TOLERANCE = timedelta(minutes=5)  # that clocks of machines which share a folder may differ


@dataclass(frozen=True)
class SliceStatus:
    """One dataset of one region. Hours are starts, UTC; None where nothing has come."""

    dataset: str
    slice: str
    slice_key: str  # what the slice is a value of, such as respondent, market or file
    region: str | None  # the slice, where it is a region
    first_hour_utc: datetime | None
    last_hour_utc: datetime | None  # with a value, forecasts left out
    rows: int
    missing: int  # values that lack in hours that were fetched: no row, or a row without a value
    unfetched_hours: int  # hours that are due or failed, or between others, and were never answered
    chunks: int
    due_chunks: int
    failed_chunks: int
    last_sync_utc: datetime | None
    # Whole hours that should be there by now and are not: from the end of the newest value to the present, less the
    # publication lag; None where the slice has ended, or has never had a value.
    behind_hours: int | None
    lag_hours: int  # the publication lag of what has the last hour
    ended: bool  # it has stopped reporting, or is a file of hours gone by
    error: str | None  # of a failed chunk


@dataclass
class _Ledger:
    """The ledger's rows of one slice; hours as numbers."""

    answered: list[tuple[int, int]] = field(default_factory=list)
    chunks: int = 0
    due: int = 0
    failed: int = 0
    last_sync_utc: datetime | None = None
    error: str | None = None
    first: int | None = None
    last: int | None = None

    def gaps(self) -> list[tuple[int, int]]:
        """Return the hours from the first to the last of the ledger that no answer covers."""
        if self.first is None or self.last is None:
            return []
        found, start = [], self.first
        for low, high in sorted(self.answered):
            if low > start:
                found.append((start, low - 1))
            start = max(start, high + 1)
        if start <= self.last:
            found.append((start, self.last))
        return found


@dataclass(frozen=True)
class _CodeSeries:
    """What is held of one code; stamps as hour numbers of the start of the hour."""

    first: int
    begins: int | None  # the first and last hour with a value
    last: int | None
    rows: int
    values: int
    ahead: bool


def slice_statuses(connection: duckdb.DuckDBPyConnection, dataset: Dataset, *, now: datetime) -> list[SliceStatus]:
    """Return the state of each slice that the ledger knows of, at the moment ``now`` (naive UTC)."""
    ledger = _read_ledger(connection, dataset, now)
    series = _read_series(connection, dataset)
    gaps = {slice_: rows.gaps() for slice_, rows in ledger.items()}
    in_gaps = _values_in_gaps(connection, dataset, gaps)
    source = sources()[dataset.source]
    found = []
    for slice_, rows in sorted(ledger.items()):
        codes = {key: one for key, one in series.items() if slice_ in (ALL_SLICES, key[0])}
        # Of the measures that have the last hour, the one that is published first.
        lasts = [
            (one.last, -_lag_hours(dataset, key))
            for key, one in codes.items()
            if one.last is not None and not one.ahead
        ]
        last, lead = max(lasts, default=(None, -_lag_hours(dataset, (slice_,))))
        first = min((one.first for one in codes.values()), default=None)
        ended = _has_ended(source, dataset, slice_, now)
        behind = None
        if last is not None and not ended:
            behind = max(0, (now - hour_time(last) - HOUR) // HOUR + lead)
        if last is not None:
            last = min(last, hour_number(now) - 1)  # of forecasts, the hour that is over
        found.append(
            SliceStatus(
                dataset.name,
                slice_,
                dataset.slice_key,
                slice_ if dataset.slice_key == dataset.region_column and not dataset.region else None,
                None if first is None else hour_time(first),
                None if last is None else hour_time(last),
                sum(one.rows for one in codes.values()),
                sum(_missing(dataset, one, gaps[slice_], in_gaps.get((slice_, *key), 0)) for key, one in codes.items()),
                sum(high - low + 1 for low, high in gaps[slice_]),
                rows.chunks,
                rows.due,
                rows.failed,
                rows.last_sync_utc,
                behind,
                -lead,
                ended,
                rows.error,
            )
        )
    return found


def _has_ended(source: Source, dataset: Dataset, slice_: str, now: datetime) -> bool:
    """Return whether a slice gets no new hours: its authority stopped reporting, or its file is of a past half-year."""
    ends = source.span(dataset, slice_)[1]
    region = regions().get(slice_)
    stopped = region is not None and region.last_date is not None and region.last_date < now.date()
    return stopped or (ends is not None and ends < hour_number(now))


def clock_warning(connection: duckdb.DuckDBPyConnection, now: datetime) -> str:
    """Return what is wrong with the clock where staging was written later than ``now`` (naive UTC); else empty."""
    (newest,) = one_row(connection, "select max(landed_at_utc) from sync.landing")
    if newest is None or newest - now <= CLOCK_TOLERANCE:
        return ""
    hours = (newest - now) / HOUR
    return (
        f"the clock says {now:%Y-%m-%dT%H:%M} UTC, and the last landing is of {newest:%Y-%m-%dT%H:%M}, {hours:,.1f} h "
        "later: the clock was set back, or was ahead then. Set it right: what is due and behind is counted by it"
    )


def _read_ledger(connection: duckdb.DuckDBPyConnection, dataset: Dataset, now: datetime) -> dict[str, _Ledger]:
    found: dict[str, _Ledger] = defaultdict(_Ledger)
    rows = connection.execute(
        "select slice, first_hour_utc, last_hour_utc, status, fetched_at_utc is not null, landed_at_utc, error, "
        "gap is not null from sync.chunk where dataset = ?",
        [dataset.name],
    ).fetchall()
    for slice_, first_time, last_time, status, answered, landed_at, error, has_gap in rows:
        ledger, first, last = found[slice_], hour_number(first_time), hour_number(last_time)
        if answered:
            ledger.answered.append((first, last))
        ledger.chunks += 1
        waits = has_gap and last < hour_number(now) and gap_may_fill(dataset, last, hour_number(now))
        ledger.due += status in ("due", "in progress") or (waits and status != "failed")
        ledger.failed += status == "failed"
        ledger.error = error if status == "failed" else ledger.error
        ledger.last_sync_utc = max(filter(None, (ledger.last_sync_utc, landed_at)), default=None)
        ledger.first = first if ledger.first is None else min(first, ledger.first)
        ledger.last = last if ledger.last is None else max(last, ledger.last)
    return found


def _reported(dataset: Dataset) -> str:
    return " or ".join(f"{value} is not null" for value in dataset.values) or "false"


def _code_keys(dataset: Dataset) -> list[str]:
    """Return the keys of a series, that of the slice first."""
    return [dataset.slice_key, *(key for key in dataset.keys if key != dataset.slice_key)]


def _lag_hours(dataset: Dataset, code: tuple[str, ...]) -> int:
    """Return the publication lag of a code: the values of the first of `_code_keys`, or of all."""
    held = dict(zip(_code_keys(dataset), code, strict=False))
    return dataset.publication_lag_hours(held.get(dataset.measure_key, ""))


def _read_series(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> dict[tuple[str, ...], _CodeSeries]:
    stamp, codes = dataset.time_column, ", ".join(_code_keys(dataset))
    reported, offset = _reported(dataset), dataset.stamp_offset_hours
    ahead = f"{dataset.ahead[0]} = '{dataset.ahead[1]}'" if dataset.ahead else "false"
    rows = connection.execute(
        f"select min({stamp}), min({stamp}) filter ({reported}), max({stamp}) filter ({reported}), count(*), "
        f"count(*) filter ({reported}), bool_and({ahead}), {codes} from {dataset.name} group by {codes}"
    ).fetchall()

    def hour(moment: datetime | None) -> int | None:
        return None if moment is None else hour_number(moment) - offset

    return {
        tuple(key): _CodeSeries(hour_number(first) - offset, hour(begins), hour(last), count, reported_values, ahead_)
        for first, begins, last, count, reported_values, ahead_, *key in rows
    }


def _values_in_gaps(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, gaps: dict[str, list[tuple[int, int]]]
) -> dict[tuple[str, ...], int]:
    """Return, by slice and code, the number of stored values in hours that the ledger does not list as answered.

    Such values exist where a chunk got new bounds and its answer has not arrived yet.
    """
    rows = [(slice_, low, high) for slice_, spans in gaps.items() for low, high in spans]
    if not rows:
        return {}
    offset = dataset.stamp_offset_hours
    codes = ", ".join(f"s.{key}" for key in _code_keys(dataset))
    found = connection.execute(
        "with gap as (select unnest(?::varchar[]) as slice, unnest(?::timestamp[]) as first, "
        'unnest(?::timestamp[]) as "end") '
        f"select g.slice, {codes}, count(*) from {dataset.name} s join gap g "
        f"on (g.slice = '{ALL_SLICES}' or s.{dataset.slice_key} = g.slice) "
        f'and s.{dataset.time_column} >= g.first and s.{dataset.time_column} < g."end" '
        f"where {_reported(dataset)} group by all",
        [
            [slice_ for slice_, _, _ in rows],
            [hour_time(low + offset) for _, low, _ in rows],
            [hour_time(high + offset + 1) for _, _, high in rows],
        ],
    ).fetchall()
    return {tuple(key): count for *key, count in found}


def _missing(dataset: Dataset, series: _CodeSeries, gaps: list[tuple[int, int]], values_in_gaps: int) -> int:
    """Return how many values lack between the first and the last of a series, in hours that were answered."""
    if series.begins is None or series.last is None:
        return 0
    begins, last = series.begins, series.last
    hours = last - begins + 1 - sum(max(0, min(high, last) - max(low, begins) + 1) for low, high in gaps)
    return max(0, hours * 60 // dataset.interval_minutes - (series.values - values_in_gaps))


def is_late(status: SliceStatus, limit_hours: int) -> bool:
    """Return whether a region that has not stopped reporting is behind by more than ``limit_hours``.

    One that has never delivered a value, and of which chunks are due or failed, is behind without limit.
    """
    if status.ended:
        return False
    if status.behind_hours is None:
        return status.due_chunks > 0 or status.failed_chunks > 0
    return status.behind_hours > limit_hours
