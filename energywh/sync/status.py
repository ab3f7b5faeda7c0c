"""What staging holds and what is still due, a line a dataset and region."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from energywh.durations import HOUR, utc_now
from energywh.regions import regions
from energywh.sources.base import Dataset

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class SliceStatus:
    """One dataset of one region. Hours are starts, UTC; None where nothing has come."""

    dataset: str
    region: str
    first_hour_utc: datetime | None
    last_hour_utc: datetime | None  # with a value, forecasts left out
    rows: int
    missing: int  # values that lack between the first and the last of each code: no row, or a row without a value
    chunks: int
    due_chunks: int
    failed_chunks: int
    last_sync_utc: datetime | None
    behind_hours: int | None  # whole hours since the end of the last hour with a value
    error: str | None  # of a failed chunk


def slice_statuses(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> list[SliceStatus]:
    """Return the state of each region that the ledger knows of."""
    offset = dataset.stamp_offset_hours
    stamp, codes = dataset.time_column, ", ".join(dataset.keys)
    reported = " or ".join(f"{value} is not null" for value in dataset.values)
    ahead = f"{dataset.ahead[0]} = '{dataset.ahead[1]}'" if dataset.ahead else "false"
    held = connection.execute(f"""
        with code as (
            select {codes}, min({stamp}) as first, max({stamp}) filter ({reported}) as last, count(*) as rows,
                count(*) filter ({reported}) as reported_values, min({stamp}) filter ({reported}) as begins
            from {dataset.name} group by {codes}
        )
        select {dataset.slice_key}, min(first), max(last) filter (not ({ahead})), sum(rows),
            coalesce(sum(date_diff('minute', begins, last) // {dataset.interval_minutes} + 1 - reported_values), 0)
        from code group by {dataset.slice_key}
    """).fetchall()
    by_slice = {
        slice_: (
            first - offset * HOUR,
            last and last - offset * HOUR,
            int(rows),
            int(missing),
            last and (utc_now() - last + (offset - 1) * HOUR) // HOUR,
        )
        for slice_, first, last, rows, missing in held
    }
    ledger = connection.execute(
        "select slice, count(*), count(*) filter (status in ('due', 'in progress')), "
        "count(*) filter (status = 'failed'), max(landed_at_utc), any_value(error) filter (status = 'failed') "
        "from sync.chunk where dataset = ? group by slice order by slice",
        [dataset.name],
    ).fetchall()
    found = []
    for slice_, chunks, due, failed, last_sync, error in ledger:
        first, last, rows, missing, behind = by_slice.get(slice_, (None, None, 0, 0, None))
        found.append(
            SliceStatus(dataset.name, slice_, first, last, rows, missing, chunks, due, failed, last_sync, behind, error)
        )
    return found


def is_late(status: SliceStatus, limit_hours: int) -> bool:
    """Say whether a region that has not stopped reporting is further behind than ``limit_hours``."""
    region = regions().get(status.region)
    ended = region is not None and region.last_date is not None
    return not ended and status.behind_hours is not None and status.behind_hours > limit_hours
