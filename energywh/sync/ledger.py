"""The ledger of chunks, in `staging.duckdb`: planned, claimed, settled.

A process claims chunks before it fetches them, under a name whose lock file it holds as long as it lives; so
another process shares the rest of the work, and takes up what a dead one left. Each function is one step of a
transaction that the caller opens.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energywh.core.locks import file_lock, remove_if_free
from energywh.core.storage_errors import storage_errors
from energywh.core.time import hour_number, hour_time
from energywh.regions import regions
from energywh.sources.base import Chunk, Dataset, PayloadWarning
from energywh.sync.chunks import LedgerSpan, SlicePlan, settled

if TYPE_CHECKING:
    import duckdb


REPLAY_LOCK = "replay.lock"  # in the folder of locks: held while a replay rebuilds staging


class Owner:
    """A running sync, known by a lock file that the system releases when the process dies."""

    def __init__(self, folder: Path) -> None:
        self.name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._file = folder / f"sync-{self.name}.lock"
        # Another sync may hold the file for a moment, to find out whether its owner lives.
        self._lock = file_lock(self._file, "another sync", wait_seconds=10)

    def __enter__(self) -> Owner:
        with storage_errors("write the lock file", self._file):
            self._lock.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.__exit__(None, None, None)
        self._file.unlink(missing_ok=True)


def living_owners(folder: Path) -> set[str]:
    """Return the names of the running syncs, and delete the lock files of dead ones."""
    return {
        file.name.removeprefix("sync-").removesuffix(".lock")
        for file in folder.glob("sync-*.lock")
        if not remove_if_free(file)
    }


@dataclass(frozen=True)
class Outcome:
    """How the fetching of a chunk ended; `error` is None when it was answered."""

    chunk: Chunk
    attempts: int
    fetched_at_utc: datetime
    rows: int = 0
    error: str | None = None
    payloads: tuple[str, ...] = ()
    later: bool = False  # the source does not have it yet, and `error` is what it said
    unavailable: bool = False  # the source failed, could not be reached or asked to slow down, to the last try
    unchanged: bool = False  # it is the file that was landed last: staging holds its rows already
    gap: str = ""  # which hours the answer lacks though the source should have them
    warnings: tuple[PayloadWarning, ...] = ()

    @property
    def status(self) -> str:
        """What the ledger says of the chunk from now on."""
        if self.later:
            return "due"
        return "failed" if self.error is not None else "done" if self.rows else "empty"


def history(
    connection: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    slices: Sequence[str],
    living: set[str],
    refresh_from: int | None,
) -> dict[str, list[LedgerSpan]]:
    """Return what is known of each slice.

    Args:
        refresh_from: hour number; chunks that end at or after it count as unsettled.
    """
    found: dict[str, list[LedgerSpan]] = {slice_: [] for slice_ in slices}
    rows = connection.execute(
        "select slice, first_hour_utc, last_hour_utc, status, fetched_at_utc, owner, error is not null, "
        "gap is not null from sync.chunk "
        "where dataset = ? and slice in (select unnest(?))",
        [dataset.name, list(slices)],
    ).fetchall()
    for slice_, first_time, last_time, status, fetched_at, owner, failed, has_gap in rows:
        first, last = hour_number(first_time), hour_number(last_time)
        answered = status in ("done", "empty")
        is_settled = (
            answered
            and settled(last, hour_number(fetched_at), dataset.settling_hours)
            and not (has_gap and gap_may_fill(dataset, last, hour_number(fetched_at)))
            and (refresh_from is None or last < refresh_from)
        )
        busy = status == "in progress" and owner in living
        asked = None if fetched_at is None else hour_number(fetched_at)
        found[slice_].append(LedgerSpan(first, last, is_settled, busy, failed, status == "empty", asked))
    return found


def gap_may_fill(dataset: Dataset, last: int, fetched_hour: int) -> bool:
    """Return whether a gap may still fill, for an answer of hour ``fetched_hour`` to a chunk that ends at ``last``."""
    return dataset.gap_retry_hours is None or fetched_hour < last + 1 + dataset.gap_retry_hours


def found_slices(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> list[str]:
    """Return the slices, without aggregates, that have rows in the ledger or in the newest half-year files."""
    files = dataset.slices_found_in
    rows = connection.execute(
        f"select slice from sync.chunk where dataset = ? and rows > 0 union select region from {files} "
        f"where file in (select distinct file from {files} order by file desc limit 2) order by 1",
        [dataset.name],
    ).fetchall()
    return [slice_ for (slice_,) in rows if slice_ not in regions() or regions()[slice_].kind == "authority"]


@dataclass(frozen=True)
class LandedFile:
    """The file that staging holds of a chunk: the id of its payload, how many rows it had, and what they lack."""

    payload: str
    rows: int
    gap: str = ""


def landed_files(connection: duckdb.DuckDBPyConnection, datasets: Iterable[Dataset]) -> dict[Chunk, LandedFile]:
    """Return the files that staging holds, by chunk."""
    names = [dataset.name for dataset in datasets if dataset.is_file]
    rows = connection.execute(
        "select dataset, slice, first_hour_utc, last_hour_utc, payloads[1], rows, "
        "coalesce(gap, '') from sync.chunk "
        "where dataset in (select unnest(?)) and status in ('done', 'due', 'empty') and len(payloads) = 1",
        [names],
    ).fetchall()
    return {
        Chunk(dataset, slice_, hour_number(first), hour_number(last)): LandedFile(payload, count, gap)
        for dataset, slice_, first, last, payload, count, gap in rows
    }


def write_plan(connection: duckdb.DuckDBPyConnection, plans: Iterable[SlicePlan]) -> None:
    """Replace ledger rows by the chunks that are due in their place."""
    import pyarrow as pa

    replaced: list[dict[str, Any]] = []
    due: list[dict[str, Any]] = []
    for plan in plans:
        due += [_key(chunk) for chunk in plan.chunks]
        if plan.chunks:
            dataset, slice_ = plan.chunks[0].dataset, plan.chunks[0].slice
            replaced += [_key(Chunk(dataset, slice_, known.first, known.last)) for known in plan.replaced]
    if not due:
        return
    schema = pa.schema(
        {"dataset": pa.string(), "slice": pa.string(), "first": pa.timestamp("us"), "last": pa.timestamp("us")}
    )
    connection.register("replaced", pa.Table.from_pylist(replaced, schema))
    connection.register("due", pa.Table.from_pylist(due, schema))
    # A chunk that is requested again keeps its attempts and its last error until the new answer arrives. A chunk with
    # new bounds keeps the time at which any of its hours last landed.
    connection.execute(
        "create or replace temp table again as select c.* from sync.chunk c semi join replaced r "
        "on c.dataset = r.dataset and c.slice = r.slice and c.first_hour_utc = r.first and c.last_hour_utc = r.last"
    )
    connection.execute(
        "delete from sync.chunk c using replaced r "
        "where c.dataset = r.dataset and c.slice = r.slice and c.first_hour_utc = r.first and c.last_hour_utc = r.last"
    )
    connection.execute(
        "insert into sync.chunk (dataset, slice, first_hour_utc, last_hour_utc, status, attempts, "
        "error, gap, rows, fetched_at_utc, landed_at_utc, payloads) "
        "select d.dataset, d.slice, d.first, d.last, 'due', "
        "case when a.status in ('done', 'empty') then 0 else coalesce(a.attempts, 0) end, a.error, "
        "a.gap, a.rows, a.fetched_at_utc, l.landed_at_utc, a.payloads from due d left join again a "
        "on d.dataset = a.dataset and d.slice = a.slice and d.first = a.first_hour_utc and d.last = a.last_hour_utc "
        "left join ("
        "    select d.dataset, d.slice, d.first, max(a.landed_at_utc) as landed_at_utc from due d join again a "
        "    on d.dataset = a.dataset and d.slice = a.slice and a.first_hour_utc <= d.last "
        "    and a.last_hour_utc >= d.first group by all"
        ") l on d.dataset = l.dataset and d.slice = l.slice and d.first = l.first",
    )
    connection.execute("drop table again")
    connection.unregister("replaced")
    connection.unregister("due")


def claim(
    connection: duckdb.DuckDBPyConnection, wanted: Sequence[Chunk], owner: str, now: datetime, planned_at: datetime
) -> list[Chunk]:
    """Claim those of the wanted chunks that no other process has claimed since they were planned.

    Not only those that are still due: another process that had planned them too, and was interrupted, gave them back
    as they were (see `release`), and has not fetched them.

    Args:
        planned_at: when `write_plan` made them due.
    """
    import pyarrow as pa

    if not wanted:
        return []
    connection.register("wanted", pa.Table.from_pylist([_key(chunk) for chunk in wanted]))
    rows = connection.execute(
        "update sync.chunk c set status = 'in progress', owner = ?, started_at_utc = ? from wanted w "
        "where (c.status = 'due' or (c.status <> 'in progress' and coalesce(c.started_at_utc < ?, true))) "
        "and c.dataset = w.dataset and c.slice = w.slice and c.first_hour_utc = w.first "
        "and c.last_hour_utc = w.last returning c.dataset, c.slice, c.first_hour_utc, c.last_hour_utc",
        [owner, now, planned_at],
    ).fetchall()
    connection.unregister("wanted")
    claimed = {Chunk(dataset, slice_, hour_number(first), hour_number(last)) for dataset, slice_, first, last in rows}
    return [chunk for chunk in wanted if chunk in claimed]


def owned_chunks(connection: duckdb.DuckDBPyConnection, owner: str) -> set[Chunk]:
    """Return the chunks that ``owner`` holds."""
    rows = connection.execute(
        "select dataset, slice, first_hour_utc, last_hour_utc from sync.chunk "
        "where status = 'in progress' and owner = ?",
        [owner],
    ).fetchall()
    return {Chunk(dataset, slice_, hour_number(first), hour_number(last)) for dataset, slice_, first, last in rows}


def settle(connection: duckdb.DuckDBPyConnection, outcomes: Sequence[Outcome], now: datetime) -> None:
    """Write how the chunks ended: done, empty or failed; or still due, where the source has nothing yet."""
    import pyarrow as pa

    if not outcomes:
        return
    table = pa.Table.from_pylist(
        [
            {
                **_key(outcome.chunk),
                "status": outcome.status,
                "rows": outcome.rows,
                "attempts": outcome.attempts,
                "fetched_at_utc": outcome.fetched_at_utc,
                "error": None if outcome.later else outcome.error,  # what waits for the source has not failed
                "gap": outcome.gap or None,
                "payloads": list(outcome.payloads),
            }
            for outcome in outcomes
        ],
        pa.schema(
            {
                "dataset": pa.string(),
                "slice": pa.string(),
                "first": pa.timestamp("us"),
                "last": pa.timestamp("us"),
                "status": pa.string(),
                "rows": pa.int64(),
                "attempts": pa.int32(),
                "fetched_at_utc": pa.timestamp("us"),
                "error": pa.string(),
                "gap": pa.string(),
                "payloads": pa.list_(pa.string()),
            }
        ),
    )
    connection.register("outcome", table)
    # No answer keeps the rows and the fetch time of the answer before it: that answer still stands in staging.
    connection.execute(
        "update sync.chunk c set status = o.status, attempts = c.attempts + o.attempts, error = o.error, "
        "rows = case when o.status in ('failed', 'due') then c.rows else o.rows end, "
        "fetched_at_utc = case when o.status in ('failed', 'due') then c.fetched_at_utc else o.fetched_at_utc end, "
        "landed_at_utc = case when o.status in ('failed', 'due') then c.landed_at_utc else ? end, "
        "gap = case when o.status in ('failed', 'due') then c.gap else o.gap end, "
        "payloads = case when o.status in ('failed', 'due') then c.payloads else o.payloads end, owner = null "
        "from outcome o where c.dataset = o.dataset and c.slice = o.slice and c.first_hour_utc = o.first "
        "and c.last_hour_utc = o.last",
        [now],
    )
    connection.unregister("outcome")


def write_warnings(connection: duckdb.DuckDBPyConnection, outcomes: Sequence[Outcome]) -> None:
    """Write what is wrong with the payloads of answered chunks, in place of what was wrong with those before.

    What was there before keeps the time at which it was first seen.
    """
    answered = [outcome for outcome in outcomes if outcome.error is None and not outcome.unchanged]
    for outcome in answered:
        chunk, seen = outcome.chunk, outcome.fetched_at_utc
        where = "dataset = ? and slice = ? and first_hour_utc between ? and ?"
        scope = [chunk.dataset, chunk.slice, hour_time(chunk.first), hour_time(chunk.last)]
        before = connection.execute(
            f"delete from sync.payload_warning where {where} returning rule, subject, first_seen_utc", scope
        ).fetchall()
        since = {(rule, subject): first for rule, subject, first in before}
        for warning in outcome.warnings:
            first = min(since.get((warning.rule, warning.subject), seen), seen)
            connection.execute(
                "insert into sync.payload_warning values (?, ?, ?, ?, ?, ?, ?, ?)",
                [*scope[:3], warning.rule, warning.subject, warning.count, first, seen],
            )


def release(connection: duckdb.DuckDBPyConnection, owner: str, left: Sequence[Chunk]) -> None:
    """Give back what ``owner`` claimed and did not fetch, and what it planned and left.

    A chunk that had been answered before it became due again goes back to how that answer left it.
    """
    import pyarrow as pa

    connection.execute(
        "update sync.chunk set status = 'due', owner = null, started_at_utc = null "
        "where status = 'in progress' and owner = ? "
        "returning dataset, slice, first_hour_utc as first, last_hour_utc as last",
        [owner],
    )
    given_back = connection.fetchall()
    schema = pa.schema(
        {"dataset": pa.string(), "slice": pa.string(), "first": pa.timestamp("us"), "last": pa.timestamp("us")}
    )
    rows = [_key(chunk) for chunk in left]
    rows += [dict(zip(schema.names, row, strict=True)) for row in given_back]
    connection.register("left_chunk", pa.Table.from_pylist(rows, schema))
    connection.execute(
        "update sync.chunk c set status = case when error is not null then 'failed' when rows > 0 then 'done' "
        "else 'empty' end from left_chunk l where c.status = 'due' and c.fetched_at_utc is not null "
        "and c.dataset = l.dataset and c.slice = l.slice and c.first_hour_utc = l.first and c.last_hour_utc = l.last"
    )
    connection.unregister("left_chunk")


def _key(chunk: Chunk) -> dict[str, Any]:
    return {
        "dataset": chunk.dataset,
        "slice": chunk.slice,
        "first": hour_time(chunk.first),
        "last": hour_time(chunk.last),
    }
