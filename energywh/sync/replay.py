"""Rebuild staging from the payloads that were kept, without a network.

Where payloads have been pruned, the rebuild starts from what the present staging held before the oldest
remaining payload; without a readable staging file, it starts empty. Once complete, the new file replaces the
old one in one step.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from energywh.config.settings import Settings
from energywh.core.database import one_row
from energywh.core.locks import file_lock
from energywh.core.paths import Home
from energywh.core.time import hour_number, hour_time, utc_now
from energywh.core.wording import count
from energywh.errors import CorruptError, LockedError, StorageError
from energywh.sources import all_datasets, sources
from energywh.sources.base import ALL_SLICES, Chunk, Response
from energywh.sources.printable_keys import drop_unprintable_keys
from energywh.sync.answers import gap_of
from energywh.sync.chunks import LedgerSpan, SlicePlan
from energywh.sync.fetcher import FetchedChunk
from energywh.sync.journals import Journal, JournalEntry
from energywh.sync.landing import land_again
from energywh.sync.ledger import REPLAY_LOCK, Outcome, living_owners, write_plan
from energywh.sync.merge import Counts, in_scope, scope_of
from energywh.sync.payload_index import PayloadIndex
from energywh.sync.schema import bring_up_to_date, columns, datasets_in, open_staging

if TYPE_CHECKING:
    import duckdb


@dataclass
class ReplayResult:
    """What a replay did."""

    landings: int = 0
    payloads: int = 0
    counts: Counts = field(default_factory=Counts)
    carried_rows: int = 0  # from the old staging: their payloads are pruned
    lost_chunks: int = 0  # neither payload nor old staging has them: sync fetches them again
    seconds: float = 0.0


def replay(settings: Settings, on_say: Callable[[str], None] = lambda _: None) -> ReplayResult:
    """Rebuild `staging.duckdb` from payloads.

    Raises:
        StorageError: there are no payloads, or the new file cannot be written.
        CorruptError: a payload or journal is damaged.
        PayloadError: a payload cannot be read any more as it was then.
        LockedError: a sync is running.
    """
    home = settings.home
    started = time.monotonic()
    store = PayloadIndex.of(home.payloads)
    journals = store.journals()
    if store.damages:
        raise CorruptError(f"{store.damages[0]}; move it away and sync its hours again")
    if not journals:
        raise StorageError(f"there are no payloads in {home.payloads} to replay; run 'energywh sync'")
    home.create()
    new_file = home.path / "staging.replay.duckdb"
    with _exclude_syncs(home):
        _sweep(new_file)
        try:
            result = _rebuild(settings, new_file, journals, store, on_say)
            _make_replaceable(settings, on_say)
            new_file.replace(home.staging)
        finally:
            _sweep(new_file)
    result.seconds = time.monotonic() - started
    return result


def _sweep(new_file: Path) -> None:
    """Delete what a replay that failed or was killed left behind."""
    for leftover in new_file.parent.glob(f"*{new_file.name}*"):
        leftover.unlink()


@contextmanager
def _exclude_syncs(home: Home) -> Iterator[None]:
    """Hold off syncs and other replays."""
    with file_lock(home.locks / REPLAY_LOCK, "another 'energywh replay'", wait_seconds=0):
        running = living_owners(home.locks)
        if running:
            pids = ", ".join(sorted(name.split("-")[0] for name in running))
            raise LockedError(f"a sync is running (process {pids}); wait for it to end, and run this again")
        yield


def _make_replaceable(settings: Settings, on_say: Callable[[str], None]) -> None:
    """See to it that the old file can be replaced by rename, and is whole until then."""
    staging = settings.home.staging
    log = staging.with_name(staging.name + ".wal")
    if staging.exists() and _damaged(settings, on_say):
        # Under both names until the new file takes its place: a process killed before must not leave the name free,
        # or the next sync would begin anew.
        aside = staging.with_name(f"staging.damaged-{utc_now():%Y%m%dT%H%M%S}.duckdb")
        _link_or_copy(staging, aside)
        if log.exists():
            log.replace(aside.with_name(aside.name + ".wal"))
        on_say(f"the damaged staging file was moved to {aside}")
    elif log.exists():  # of a process that was killed: opening for writing takes it into the file
        with _open(settings, staging, on_say):
            pass
        log.unlink(missing_ok=True)


def _link_or_copy(file: Path, other: Path) -> None:
    """Give a file a second name; a copy of it where the file system has no links."""
    try:
        os.link(file, other)
    except OSError:
        shutil.copyfile(file, other)


def _open(
    settings: Settings, path: Path, on_say: Callable[[str], None], *, read_only: bool = False
) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    wait_seconds = float(settings.get("lock.wait_seconds"))
    return open_staging(path, read_only=read_only, wait_seconds=wait_seconds, on_wait=on_say)


def _damaged(settings: Settings, on_say: Callable[[str], None]) -> bool:
    """Return whether the staging file is not a database. Any other reason not to open it ends the replay."""
    try:
        with _open(settings, settings.home.staging, on_say, read_only=True):
            return False
    except CorruptError:
        return True


def _rebuild(
    settings: Settings,
    new_file: Path,
    journals: dict[str, Journal],
    store: PayloadIndex,
    on_say: Callable[[str], None],
) -> ReplayResult:
    result = ReplayResult()
    old = settings.home.staging
    with _open(settings, new_file, on_say) as connection:
        todo = list(journals.items())
        held = old.exists() and not _damaged(settings, on_say)
        if held:
            bring_up_to_date(old, wait_seconds=float(settings.get("lock.wait_seconds")), on_wait=on_say)
            connection.execute(f"attach '{str(old).replace(chr(39), chr(39) * 2)}' as old (read_only)")
            earlier = _earlier_journals(connection, journals)
            if earlier:
                on_say(f"first replaying {count(len(earlier), 'landing')} of an earlier staging file")
            for name, journal in earlier:
                _land(connection, name, journal, store, result, with_ledger=True)
            todo = _carry_over(connection, journals, store, result)
        elif old.exists():
            on_say(f"{old} is damaged; rebuilding from payloads alone")
        for name, journal in todo:
            _land(connection, name, journal, store, result, with_ledger=not held)
        if held:
            _copy_ledger(connection)
            connection.execute("detach old")
        connection.execute("checkpoint")
    return result


def _earlier_journals(connection: duckdb.DuckDBPyConnection, by_name: dict[str, Journal]) -> list[tuple[str, Journal]]:
    """Return the journals of a staging file that was lost: they are older than anything in the present one."""
    (begin,) = one_row(connection, "select min(landed_at_utc) from old.sync.landing")
    return [(name, journal) for name, journal in by_name.items() if begin is None or journal.landed_at_utc < begin]


def _carry_over(
    connection: duckdb.DuckDBPyConnection,
    by_name: dict[str, Journal],
    store: PayloadIndex,
    result: ReplayResult,
) -> list[tuple[str, Journal]]:
    """Copy what cannot be replayed from the old staging, and return those of its journals that can.

    In hours that it has asked for, its rows stand alone: what a file before it held of them (see `_earlier_journals`)
    is older.

    A journal whose landing did not commit is left out: the old staging never held it.
    """
    landings = connection.execute("select landing_id, journal from old.sync.landing order by landing_id").fetchall()
    first = len(landings)
    while first > 0 and _complete(by_name.get(landings[first - 1][1]), store):
        first -= 1
    todo = [(name, by_name[name]) for _, name in landings[first:]]
    connection.execute("begin")
    if first:
        watermark = landings[first - 1][0]
        (before,) = one_row(connection, "select coalesce(max(landing_id), 0) from sync.landing")
        _delete_asked_for(connection)
        _copy_rows(connection, [entry for _, journal in todo for entry in journal.entries], result)
        for table in ("landing", "change"):
            connection.execute(
                f"insert into sync.{table} by name select * replace (landing_id + ? as landing_id) "
                f"from old.sync.{table} where landing_id <= ?",
                [before, watermark],
            )
    connection.execute("commit")
    return todo


def _copy_ledger(connection: duckdb.DuckDBPyConnection) -> None:
    """Take the ledger as it was: beside the answers that were replayed it knows of failures and of what is due.

    What it does not know stays as replayed: chunks of a staging file before it.
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
    connection.execute("commit")


def _complete(journal: Journal | None, store: PayloadIndex) -> bool:
    return journal is not None and all(
        entry.payloads and all(store.has(entry.dataset, payload) for payload in entry.payloads)
        for entry in journal.entries
    )


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


def _chunk(entry: JournalEntry) -> Chunk:
    return Chunk(entry.dataset, entry.slice, hour_number(entry.first_hour_utc), hour_number(entry.last_hour_utc))


def _copy_rows(connection: duckdb.DuckDBPyConnection, again: list[JournalEntry], result: ReplayResult) -> None:
    """Copy the rows and revisions as they were before the entries that will land again.

    Each row has the time of its fetch, which identifies the rows that an entry landed or superseded.
    """
    for dataset in datasets_in(connection, "old"):
        entries = [entry for entry in again if entry.dataset == dataset.name]
        scope = scope_of(dataset, [_chunk(entry) for entry in entries])
        fetched = pa.array([entry.fetched_at_utc for entry in entries], pa.timestamp("us"))
        connection.register("again", scope.append_column("fetched", fetched))
        names = ", ".join(columns(dataset))
        row = in_scope(dataset, any(entry.slice == ALL_SLICES for entry in entries))
        brought = f"(select 1 from again c where {row} and s.known_from_utc = c.fetched)"
        superseded = f"(select 1 from again c where {row} and s.known_until_utc = c.fetched)"
        connection.execute(
            f"insert into {dataset.name} ({names}) "
            f"select {names} from old.{dataset.name} s where not exists {brought} union all "
            f"select {names} from old.{dataset.name}_revision s where not exists {brought} and exists {superseded}"
        )
        connection.execute(
            f"insert into {dataset.name}_revision by name select * from old.{dataset.name}_revision s "
            f"where not exists {brought} and not exists {superseded}"
        )
        connection.unregister("again")
        result.carried_rows += one_row(connection, f"select count(*) from {dataset.name}")[0]


def _land(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    journal: Journal,
    store: PayloadIndex,
    result: ReplayResult,
    *,
    with_ledger: bool,
) -> None:
    """Land the payloads of one journal as they were landed then.

    Args:
        with_ledger: write ledger rows too; not needed where the old ledger is taken over.
    """
    datasets = all_datasets()
    fetched = []
    for entry in journal.entries:
        if entry.dataset not in datasets:
            continue
        answer = _read(entry, store)
        if answer is None:
            result.lost_chunks += 1
            continue
        fetched.append(answer)
        result.payloads += len(entry.payloads)
    connection.execute("begin")
    if with_ledger:
        write_plan(connection, [_ledger_row(connection, f.outcome.chunk) for f in fetched])
    report = land_again(connection, datasets, fetched, name, journal)
    connection.execute("commit")
    result.landings += 1
    result.counts = sum(report.counts.values(), result.counts)


def _read(entry: JournalEntry, store: PayloadIndex) -> FetchedChunk | None:
    """Return the rows of a journal entry, or None when a payload of it is no longer there."""
    chunk = _chunk(entry)
    source = sources()[entry.dataset.split(".")[0]]
    if not entry.payloads:
        return None
    try:
        if source.dataset(entry.dataset).is_file:
            pages = [source.read_file(chunk, store.file(entry.dataset, name)) for name in entry.payloads]
        else:
            bodies = [(name, store.read(entry.dataset, name)) for name in entry.payloads]
            pages = [source.read(chunk, Response(f"payload {name}", 200, body)) for name, body in bodies]
    except FileNotFoundError:
        return None
    pages = [drop_unprintable_keys(source.dataset(entry.dataset), page) for page in pages]
    rows = pa.concat_tables([page.rows for page in pages])
    warnings = tuple(warning for page in pages for warning in page.warnings)
    gap = gap_of(source, chunk, rows, hour_number(entry.fetched_at_utc))
    outcome = Outcome(
        chunk, entry.attempts, entry.fetched_at_utc, len(rows), None, entry.payloads, gap=gap, warnings=warnings
    )
    return FetchedChunk(outcome, rows)


def _ledger_row(connection: duckdb.DuckDBPyConnection, chunk: Chunk) -> SlicePlan:
    """Return the plan that puts ``chunk`` into the ledger in the place of the rows that it overlaps."""
    rows = connection.execute(
        "select first_hour_utc, last_hour_utc from sync.chunk "
        "where dataset = ? and slice = ? and first_hour_utc <= ? and last_hour_utc >= ?",
        [chunk.dataset, chunk.slice, hour_time(chunk.last), hour_time(chunk.first)],
    ).fetchall()
    return SlicePlan((chunk,), tuple(LedgerSpan(hour_number(first), hour_number(last)) for first, last in rows))
