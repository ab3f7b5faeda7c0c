"""What a replay takes from the present staging file, which is attached as `old`: what no payload can give again.

A damaged file is read month by month, so that one damaged block costs the months that lie in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from energywh.core.database import one_row
from energywh.core.storage_errors import cause_of
from energywh.core.time import hour_number
from energywh.core.wording import abbreviate, count
from energywh.sources import all_datasets
from energywh.sources.base import ALL_SLICES, Chunk, Dataset
from energywh.sync.journals import Journal, JournalEntry
from energywh.sync.merge import in_scope, scope_of
from energywh.sync.schema import columns, datasets_in

if TYPE_CHECKING:
    import duckdb

_EVER = (datetime(1, 1, 1), datetime(9999, 12, 31))
_LEDGER = ("landing", "change", "chunk", "payload_warning")


@dataclass
class Carried:
    """What was copied: how many rows of the present values, and what could not be read."""

    rows: int = 0
    lost: list[LostMonth] = field(default_factory=list)


@dataclass(frozen=True)
class LostMonth:
    """Hours of a table that the old file has and that cannot be read."""

    table: str
    dataset: str
    since: datetime
    until: datetime

    def __str__(self) -> str:
        if self.since == _EVER[0]:
            return f"before {self.until:%Y-%m}"
        return f"{self.since:%Y-%m}{' and later' if self.until == _EVER[1] else ''}"


def lost_by_table(lost: Iterable[LostMonth]) -> list[str]:
    """Return a line for each table that has lost months."""
    months: dict[str, list[str]] = {}
    for month in lost:
        months.setdefault(month.table, []).append(str(month))
    return [
        f"rows of up to {count(len(texts), 'month')} of {table} cannot be read: {abbreviate(texts, 12)}"
        for table, texts in months.items()
    ]


def has_whole_ledger(connection: duckdb.DuckDBPyConnection) -> bool:
    """Return whether the ledger of the old file can be read."""
    # A hash needs each value; a count would need none.
    return all(_reads(connection, f"select bit_xor(hash(t)) from old.sync.{table} t") for table in _LEDGER)


def _reads(connection: duckdb.DuckDBPyConnection, query: str) -> bool:
    import duckdb

    try:
        connection.execute(query).fetchall()
    except duckdb.Error as error:
        if not _is_damage(error):
            raise
        return False
    return True


def _is_damage(error: Exception) -> bool:
    return cause_of(error) in ("damaged", "system")


def earlier_journals(connection: duckdb.DuckDBPyConnection, by_name: dict[str, Journal]) -> list[tuple[str, Journal]]:
    """Return the journals of a staging file that was lost: they are older than anything in the present one."""
    (begin,) = one_row(connection, "select min(landed_at_utc) from old.sync.landing")
    return [(name, journal) for name, journal in by_name.items() if begin is None or journal.landed_at_utc < begin]


def carry_over(
    connection: duckdb.DuckDBPyConnection, by_name: dict[str, Journal], complete: Callable[[Journal], bool]
) -> tuple[list[tuple[str, Journal]], Carried]:
    """Copy what cannot be replayed from the old file.

    In hours that it has asked for, its rows stand alone: what a file before it held of them (see `earlier_journals`)
    is older.

    A journal whose landing did not commit, or was lost with a damaged log, is left out: the old file does not hold it,
    and its ledger has its chunks fetched again.

    Args:
        complete: whether all payloads of a journal can be read.

    Returns:
        those of its journals that can be replayed, and what was copied.
    """
    landings = connection.execute("select landing_id, journal from old.sync.landing order by landing_id").fetchall()
    first = len(landings)
    while first > 0 and landings[first - 1][1] in by_name and complete(by_name[landings[first - 1][1]]):
        first -= 1
    todo = [(name, by_name[name]) for _, name in landings[first:]]
    if not first:
        return todo, Carried()
    watermark = landings[first - 1][0]
    (before,) = one_row(connection, "select coalesce(max(landing_id), 0) from sync.landing")
    connection.execute("begin")
    _delete_asked_for(connection)
    connection.execute("commit")
    carried = copy_rows(connection, [entry for _, journal in todo for entry in journal.entries])
    connection.execute("begin")
    for table in ("landing", "change"):
        connection.execute(
            f"insert into sync.{table} by name select * replace (landing_id + ? as landing_id) "
            f"from old.sync.{table} where landing_id <= ?",
            [before, watermark],
        )
    connection.execute("commit")
    return todo, carried


def _delete_asked_for(connection: duckdb.DuckDBPyConnection) -> None:
    """Delete what landings before the present file brought of the hours that it has an answer for."""
    for dataset in all_datasets().values():
        rows = connection.execute(
            "select slice, first_hour_utc, last_hour_utc from old.sync.chunk "
            "where dataset = ? and fetched_at_utc is not null",
            [dataset.name],
        ).fetchall()
        chunks = [Chunk(dataset.name, slice_, hour_number(first), hour_number(last)) for slice_, first, last in rows]
        connection.register("asked", scope_of(dataset, chunks))
        row = in_scope(dataset, any(chunk.slice == ALL_SLICES for chunk in chunks))
        for table in (dataset.name, f"{dataset.name}_revision"):
            connection.execute(f"delete from {table} s where exists (select 1 from asked c where {row})")
        connection.unregister("asked")


def chunk_of(entry: JournalEntry) -> Chunk:
    """Return the chunk that an entry answers."""
    return Chunk(entry.dataset, entry.slice, hour_number(entry.first_hour_utc), hour_number(entry.last_hour_utc))


def copy_rows(connection: duckdb.DuckDBPyConnection, again: Sequence[JournalEntry]) -> Carried:
    """Copy the rows and revisions as they were before the entries that will land again.

    Each row has the time of its fetch, which identifies the rows that an entry landed or superseded.
    """
    import pyarrow as pa

    carried = Carried()
    for dataset in datasets_in(connection, "old"):
        entries = [entry for entry in again if entry.dataset == dataset.name]
        scope = scope_of(dataset, [chunk_of(entry) for entry in entries])
        fetched = pa.array([entry.fetched_at_utc for entry in entries], pa.timestamp("us"))
        connection.register("again", scope.append_column("fetched", fetched))
        names = ", ".join(columns(dataset))
        row = in_scope(dataset, any(entry.slice == ALL_SLICES for entry in entries))
        brought = f"(select 1 from again c where {row} and s.known_from_utc = c.fetched)"
        superseded = f"(select 1 from again c where {row} and s.known_until_utc = c.fetched)"
        for table, into, columns_, which in (
            (dataset.name, dataset.name, names, f"not exists {brought}"),
            (f"{dataset.name}_revision", dataset.name, names, f"not exists {brought} and exists {superseded}"),
            (
                f"{dataset.name}_revision",
                f"{dataset.name}_revision",
                f"{names}, known_until_utc",
                f"not exists {brought} and not exists {superseded}",
            ),
        ):
            insert = f"insert into {into} ({columns_}) select {columns_} from old.{table} s where {which}"
            copied = _copy(connection, dataset, table, insert)
            carried.rows += copied.rows if into == dataset.name else 0
            carried.lost += [month for month in copied.lost if month not in carried.lost]
        connection.unregister("again")
    return carried


def _copy(connection: duckdb.DuckDBPyConnection, dataset: Dataset, table: str, insert: str) -> Carried:
    """Run an insert from a table of the old file: as a whole, or where that fails, month by month."""
    import duckdb

    try:
        return Carried(one_row(connection, insert)[0])
    except duckdb.Error as error:
        if not _is_damage(error):
            raise
    carried = Carried()
    for since, until in _months(connection, dataset):
        try:
            within = f"{insert} and {dataset.time_column} >= ? and {dataset.time_column} < ?"
            carried.rows += one_row(connection, within, [since, until])[0]
        except duckdb.Error as error:
            if not _is_damage(error):
                raise
            if not _is_empty(connection, dataset, table, since, until):
                carried.lost.append(LostMonth(table, dataset.name, since, until))
    return carried


def _is_empty(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, table: str, since: datetime, until: datetime
) -> bool:
    """Return whether the old file surely has no rows of these hours: times may be whole where values are not."""
    import duckdb

    within = f"select count(*) from old.{table} where {dataset.time_column} >= ? and {dataset.time_column} < ?"
    try:
        return one_row(connection, within, [since, until]) == (0,)
    except duckdb.Error:
        return False


def _months(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> Iterator[tuple[datetime, datetime]]:
    """Yield the months that a dataset can have rows of, with all time before and after them."""
    import duckdb

    try:
        first, last = one_row(
            connection,
            "select min(first_hour_utc), max(last_hour_utc) from old.sync.chunk where dataset = ?",
            [dataset.name],
        )
    except duckdb.Error:
        first = last = None
    year, month = (first.year, first.month) if first else (1990, 1)
    end = last or datetime(2100, 1, 1)
    since, until = _EVER[0], datetime(year, month, 1)
    while since <= end:
        yield since, until
        since, until = until, datetime(until.year + until.month // 12, until.month % 12 + 1, 1)
    yield since, _EVER[1]


def copy_ledger(connection: duckdb.DuckDBPyConnection, lost: Iterable[LostMonth]) -> None:
    """Take the ledger as it was: beside the answers that were replayed it knows of failures and of what is due.

    What it does not know stays as replayed: chunks of a staging file before it. Chunks of lost months are due again.
    """
    connection.execute("begin")
    connection.execute(
        "delete from sync.chunk n where exists (from old.sync.chunk o where o.dataset = n.dataset "
        "and o.slice = n.slice and o.first_hour_utc <= n.last_hour_utc and o.last_hour_utc >= n.first_hour_utc)"
    )
    names = [name for (name,) in connection.execute("select column_name from (describe sync.chunk)").fetchall()]
    connection.execute(
        f"insert into sync.chunk by name select {', '.join(names)} from (select * replace "
        "(case when status = 'in progress' then 'due' else status end as status, null as owner) from old.sync.chunk)"
    )
    for month in lost:
        connection.execute(
            "update sync.chunk set status = 'due', rows = null, started_at_utc = null, fetched_at_utc = null, "
            "landed_at_utc = null, payloads = null where dataset = ? and first_hour_utc < ? and last_hour_utc >= ?",
            [month.dataset, month.until, month.since],
        )
    connection.execute("commit")


def fewer_rows(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the months of which the old file holds more rows than the new one, such as `eia.region_data 2024-03`."""
    found = []
    for dataset in datasets_in(connection, "old"):
        for table in (dataset.name, f"{dataset.name}_revision"):
            by_month = f"select date_trunc('month', {dataset.time_column}) as month, count(*) as rows from"
            query = (
                f"select month, o.rows, coalesce(n.rows, 0) as held from ({by_month} old.{table} group by 1) o "
                f"left join ({by_month} {table} group by 1) n using (month) where held < o.rows order by 1"
            )
            if _reads(connection, query):
                found += [
                    f"{table} {month:%Y-%m} ({new:,} instead of {old:,})"
                    for month, old, new in connection.execute(query).fetchall()
                ]
    return found
