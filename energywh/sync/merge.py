"""The rows of answered chunks into a staging table: only what changed is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from energywh.core.database import one_row
from energywh.core.time import hour_time
from energywh.sources.base import ALL_SLICES, Chunk, Dataset

if TYPE_CHECKING:
    import duckdb


# An answer with rows may always withdraw this number of rows of its chunk, or this share of the stored ones.
FEW_ROWS = 24
SMALL_SHARE = 0.05


@dataclass(frozen=True)
class Arrival:
    """The rows of one answered chunk, in the staging column order, and when they were fetched.

    Attributes:
        may_withdraw_all: the answer may withdraw any number of rows of its chunk.
    """

    chunk: Chunk
    rows: pa.Table
    fetched_at_utc: datetime
    may_withdraw_all: bool = True


@dataclass(frozen=True)
class Withdrawal:
    """What a rejected answer would have withdrawn of the rows held of its chunk."""

    withdrawn: int
    held: int


@dataclass(frozen=True)
class Counts:
    """What a landing did to the rows of a dataset."""

    rows: int = 0
    new: int = 0
    changed: int = 0
    withdrawn: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.rows + other.rows,
            self.new + other.new,
            self.changed + other.changed,
            self.withdrawn + other.withdrawn,
        )


def merge(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, arrivals: Sequence[Arrival], landing_id: int
) -> tuple[Counts, dict[Chunk, Withdrawal]]:
    """Update the dataset's table with the arrivals.

    New rows are inserted. A row with another value gets the new value, and the old one moves to the revision table with
    the time span in which it was known. A row of a chunk's hours that is missing in the arrival was withdrawn: it moves
    to the revision table. Equal rows are not written.

    Returns:
        The counts, and for each rejected arrival what it would have withdrawn. An arrival that withdraws all rows or
        many is rejected, because a fault of the source is more likely; nothing of it is written.
    """
    connection.register("incoming", _numbered(arrivals))
    fetched_at = pa.array([arrival.fetched_at_utc for arrival in arrivals], pa.timestamp("us"))
    scope = scope_of(dataset, [arrival.chunk for arrival in arrivals])
    connection.register("scope", scope.append_column("fetched_at_utc", fetched_at))
    everything = any(arrival.chunk.slice == ALL_SLICES for arrival in arrivals)
    rejected: dict[Chunk, Withdrawal] = {}
    if _holds_any(connection, dataset, everything):
        _find_changes(connection, dataset, everything)
        rejected = _reject_large_withdrawals(connection, dataset, arrivals, everything)
        counts = _land_changes(connection, dataset, landing_id)
    else:
        counts = _land_new(connection, dataset, landing_id)
    connection.unregister("incoming")
    connection.unregister("scope")
    rows = sum(len(arrival.rows) for arrival in arrivals if arrival.chunk not in rejected)
    return replace(counts, rows=rows), rejected


def _numbered(arrivals: Sequence[Arrival]) -> pa.Table:
    """Return all rows with the number of their arrival."""
    return pa.concat_tables(
        arrival.rows.append_column("arrival", pa.repeat(pa.scalar(number, pa.int32()), len(arrival.rows)))
        for number, arrival in enumerate(arrivals)
    )


def _holds_any(connection: duckdb.DuckDBPyConnection, dataset: Dataset, everything: bool) -> bool:
    (found,) = one_row(
        connection, f"select exists (from {dataset.name} s join scope c on {in_scope(dataset, everything)})"
    )
    return bool(found)


def in_scope(dataset: Dataset, everything: bool) -> str:
    """Return the condition that row `s` lies in chunk `c`.

    Args:
        everything: some chunks hold every value of the slice key. Said only where it is so: without, DuckDB joins
            by the key, which is many times faster.
    """
    key = f"s.{dataset.slice_key} = c.slice"
    stamp = f"s.{dataset.time_column}"
    where = f"(c.slice = '{ALL_SLICES}' or {key})" if everything else key
    return f"{where} and {stamp} >= c.first_stamp and {stamp} < c.end_stamp"


def _land_new(connection: duckdb.DuckDBPyConnection, dataset: Dataset, landing_id: int) -> Counts:
    """Insert everything: nothing is held of these chunks, as in the first fetch of history."""
    names = ", ".join([dataset.time_column, *dataset.keys, *dataset.values])
    (new,) = one_row(
        connection,
        f"insert into {dataset.name} ({names}, known_from_utc) "
        f"select {names}, {_NEW_AT} from incoming join scope using (arrival) {_gone_until(dataset)}",
    )
    _record_change(connection, dataset, landing_id, "incoming")
    return Counts(new=new)


def _find_changes(connection: duckdb.DuckDBPyConnection, dataset: Dataset, everything: bool) -> None:
    """Make the table `delta` of what differs from what is held."""
    keys = [dataset.time_column, *dataset.keys]
    same_key = " and ".join(f"i.{key} = h.{key}" for key in keys)
    either_key = ", ".join(f"coalesce(i.{key}, h.{key}) as {key}" for key in keys)
    differs = " or ".join(f"i.{value} is distinct from h.{value}" for value in dataset.values)
    connection.execute(f"""
        create or replace temp table delta as
        with held as (
            select s.rowid as held_rowid, s.*, c.arrival from {dataset.name} s
            join scope c on {in_scope(dataset, everything)}
        )
        select coalesce(i.arrival, h.arrival) as arrival, h.held_rowid, i.arrival is null as withdrawn, {either_key},
            {", ".join(f"i.{value}, h.{value} as held_{value}" for value in dataset.values)},
            h.known_from_utc as held_from_utc
        from incoming i full join held h on {same_key}
        where h.held_rowid is null or i.arrival is null or {differs}
    """)


def _reject_large_withdrawals(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, arrivals: Sequence[Arrival], everything: bool
) -> dict[Chunk, Withdrawal]:
    """Remove the changes of rejected arrivals from `delta`. Costs nothing if no row is withdrawn."""
    withdrawn = connection.execute(
        "select arrival, count(*) from delta where withdrawn group by arrival order by arrival"
    ).fetchall()
    suspects = {
        arrival: count
        for arrival, count in withdrawn
        if not arrivals[arrival].may_withdraw_all and (count > FEW_ROWS or not len(arrivals[arrival].rows))
    }
    if not suspects:
        return {}
    held = _rows_held(connection, dataset, list(suspects), everything)
    losses = {arrival: Withdrawal(count, held[arrival]) for arrival, count in suspects.items()}
    rejected = {arrival: loss for arrival, loss in losses.items() if loss.withdrawn > SMALL_SHARE * loss.held}
    connection.execute("delete from delta where arrival in (select unnest(?))", [list(rejected)])
    return {arrivals[arrival].chunk: loss for arrival, loss in rejected.items()}


def _rows_held(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, arrivals: Sequence[int], everything: bool
) -> dict[int, int]:
    """Return how many rows staging holds of the chunk of each of these arrivals, which are in `scope`."""
    counted = connection.execute(
        f"select arrival, count(*) from {dataset.name} s join (from scope where arrival in (select unnest(?))) c "
        f"on {in_scope(dataset, everything)} group by arrival",
        [list(arrivals)],
    ).fetchall()
    return dict(counted)


def _land_changes(connection: duckdb.DuckDBPyConnection, dataset: Dataset, landing_id: int) -> Counts:
    """Write what `delta` says."""
    key_list = ", ".join([dataset.time_column, *dataset.keys])
    values = ", ".join(dataset.values)
    new, changed, withdrawn = one_row(
        connection,
        "select count(*) filter (held_rowid is null), count(*) filter (held_rowid is not null and not withdrawn), "
        "count(*) filter (withdrawn) from delta",
    )
    # A clock may be set back: a value holds until another is known, and never two at once.
    changed_at = "greatest(fetched_at_utc, held_from_utc)"
    if changed or withdrawn:
        connection.execute(f"""
            insert into {dataset.name}_revision ({key_list}, {values}, known_from_utc, known_until_utc)
            select {key_list}, {", ".join(f"held_{value}" for value in dataset.values)}, held_from_utc, {changed_at}
            from delta join scope using (arrival) where held_rowid is not null
        """)
    if changed:
        connection.execute(f"""
            update {dataset.name} s
            set {", ".join(f"{value} = d.{value}" for value in dataset.values)}, known_from_utc = d.changed_at_utc
            from (
                select *, {changed_at} as changed_at_utc from delta join scope using (arrival)
                where held_rowid is not null and not withdrawn
            ) d
            where s.rowid = d.held_rowid
        """)
    if withdrawn:
        connection.execute(f"delete from {dataset.name} where rowid in (select held_rowid from delta where withdrawn)")
    if new:
        connection.execute(f"""
            insert into {dataset.name} ({key_list}, {values}, known_from_utc)
            select {key_list}, {values}, {_NEW_AT}
            from delta join scope using (arrival) {_gone_until(dataset)} where held_rowid is null
        """)
    if new or changed or withdrawn:
        _record_change(connection, dataset, landing_id, "delta")
    connection.execute("drop table delta")
    return Counts(new=new, changed=changed, withdrawn=withdrawn)


# When a new row became known. A clock may be set back: not before the same row was withdrawn.
_NEW_AT = "greatest(fetched_at_utc, gone_until_utc)"


def _gone_until(dataset: Dataset) -> str:
    """Return the join that tells of new rows until when they were known before, if that is later than now."""
    keys = ", ".join([dataset.time_column, *dataset.keys])
    return (
        f"left join (select {keys}, max(known_until_utc) as gone_until_utc from {dataset.name}_revision "
        f"where known_until_utc > (select min(fetched_at_utc) from scope) group by all) using ({keys})"
    )


def _record_change(connection: duckdb.DuckDBPyConnection, dataset: Dataset, landing_id: int, rows: str) -> None:
    """Note the months whose rows changed: a build computes only these again."""
    start = f"{dataset.time_column} - interval {int(dataset.stamp_offset_hours)} hour"
    connection.execute(
        f"insert into sync.change select distinct ?, ?, date_trunc('month', {start})::date from {rows}",
        [landing_id, dataset.name],
    )


def scope_of(dataset: Dataset, chunks: Sequence[Chunk]) -> pa.Table:
    """Return what each chunk covers, in the source's own stamps: from the first to before the end."""
    offset = dataset.stamp_offset_hours
    return pa.table(
        {
            "arrival": pa.array(range(len(chunks)), pa.int32()),
            "slice": pa.array([chunk.slice for chunk in chunks], pa.string()),
            "first_stamp": pa.array([hour_time(chunk.first + offset) for chunk in chunks], pa.timestamp("us")),
            "end_stamp": pa.array([hour_time(chunk.last + offset + 1) for chunk in chunks], pa.timestamp("us")),
        }
    )
