"""Rebuild staging from the payloads that were kept, without a network.

Where payloads have been pruned or are damaged, the rebuild starts from what the present staging held before the oldest
payload from which on all can be read; without a readable staging file, it starts empty and leaves out what is damaged.
Once complete, the new file replaces the old one in one step.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from energywh.config.settings import Settings
from energywh.core.files import move_into_place
from energywh.core.locks import file_lock
from energywh.core.paths import Home
from energywh.core.time import hour_number, hour_time, utc_now
from energywh.core.wording import abbreviate, count
from energywh.errors import CorruptError, LockedError, SourceError, StorageError
from energywh.sources import all_datasets, sources
from energywh.sources.base import Chunk, Page, Response
from energywh.sources.printable_keys import drop_unprintable_keys
from energywh.sync.answers import gap_of, reading
from energywh.sync.carry_over import (
    Carried,
    carry_over,
    chunk_of,
    copy_ledger,
    copy_rows,
    earlier_journals,
    fewer_rows,
    has_whole_ledger,
    lost_by_table,
)
from energywh.sync.chunks import LedgerSpan, SlicePlan
from energywh.sync.fetcher import FetchedChunk
from energywh.sync.journals import Journal, JournalEntry
from energywh.sync.landing import land_again
from energywh.sync.ledger import REPLAY_LOCK, Outcome, living_owners, write_plan
from energywh.sync.merge import Counts
from energywh.sync.payload_index import PayloadIndex, payload_name
from energywh.sync.schema import bring_up_to_date, open_staging

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
    skipped: list[str] = field(default_factory=list)  # what is damaged or missing, and where
    set_aside: Path | None = None  # where the old staging file is kept, if it was damaged
    damaged: bool = False  # the old staging file could not be read as a whole
    fewer: list[str] = field(default_factory=list)  # months with fewer rows than the old staging file has

    @property
    def ok(self) -> bool:
        """Whether nothing was skipped."""
        return not self.skipped


def replay(settings: Settings, on_say: Callable[[str], None] = lambda _: None, *, force: bool = False) -> ReplayResult:
    """Rebuild `staging.duckdb` from payloads, past what is damaged. A damaged staging file is put aside.

    Args:
        force: replace a staging file that can be read by one that has fewer rows.

    Raises:
        StorageError: there are no payloads, the new file cannot be written, or it would have fewer rows.
        LockedError: a sync is running.
    """
    home = settings.home
    started = time.monotonic()
    nothing = f"there are no payloads in {home.payloads} to replay; run 'energywh sync'"
    if not home.payloads.is_dir():  # so that a mistaken path is not made into a home
        raise StorageError(nothing)
    home.create()
    new_file = home.path / "staging.replay.duckdb"
    with exclude_syncs(home):
        _sweep(new_file)
        index = PayloadIndex.of(home.payloads)
        journals = index.journals()
        if not journals:
            raise StorageError(nothing + "".join(f"; {damage}" for damage in index.damages))
        lost_log = _put_damaged_log_aside(settings, on_say)
        unreadable: dict[tuple[str, str], str] = {}
        try:
            while (result := _rebuild(settings, new_file, journals, _Reader(index, unreadable), on_say)) is None:
                _sweep(new_file)
            if result.fewer and not result.damaged and not force:
                raise StorageError(
                    f"the rebuilt staging has fewer rows than {home.staging}: {abbreviate(result.fewer)}; nothing was "
                    "replaced. 'energywh replay --force' replaces it"
                )
            result.set_aside = _make_replaceable(settings, result.damaged or bool(result.fewer), on_say)
            move_into_place(new_file, home.staging)
        finally:
            _sweep(new_file)
    result.skipped += [str(damage) for damage in index.damages]
    if lost_log is not None:
        result.skipped.append(f"{lost_log}: what landed last is in it, damaged; 'energywh sync' fetches it again")
    result.seconds = time.monotonic() - started
    return result


def _sweep(new_file: Path) -> None:
    """Delete what a replay that failed or was killed left behind."""
    for leftover in new_file.parent.glob(f"*{new_file.name}*"):
        leftover.unlink()


@contextmanager
def exclude_syncs(home: Home) -> Iterator[None]:
    """Hold off syncs, replays and compactions.

    Raises:
        LockedError: one is running.
    """
    # Not at once: doctor and du hold a lock for a moment to see whether it is free.
    with file_lock(home.locks / REPLAY_LOCK, "another 'energywh replay' or 'prune'", wait_seconds=0.5):
        running = living_owners(home.locks)
        if running:
            pids = ", ".join(sorted(name.split("-")[0] for name in running))
            raise LockedError(f"a sync is running (process {pids}); wait for it to end, and run this again")
        yield


def _make_replaceable(settings: Settings, damaged: bool, on_say: Callable[[str], None]) -> Path | None:
    """See to it that the old file can be replaced by rename, and is whole until then.

    Returns:
        where the old file is kept; None if it is not.
    """
    staging = settings.home.staging
    log = staging.with_name(staging.name + ".wal")
    if staging.exists() and damaged:
        # Under both names until the new file takes its place: a process killed before must not leave the name free,
        # or the next sync would begin anew.
        aside = staging.with_name(f"staging.damaged-{utc_now():%Y%m%dT%H%M%S}.duckdb")
        _link_or_copy(staging, aside)
        if log.exists():
            log.replace(aside.with_name(aside.name + ".wal"))
        on_say(f"the old staging file was moved to {aside}")
        return aside
    if log.exists():  # of a process that was killed: opening for writing takes it into the file
        with _open(settings, staging, on_say):
            pass
        log.unlink(missing_ok=True)
    return None


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


def _can_be_read(settings: Settings, on_say: Callable[[str], None]) -> bool:
    """Return whether the staging file is a database. Any other reason not to open it ends the replay."""
    wait_seconds = float(settings.get("lock.wait_seconds"))
    try:
        bring_up_to_date(settings.home.staging, wait_seconds=wait_seconds, on_wait=on_say)
    except CorruptError:
        return False
    return True


def _put_damaged_log_aside(settings: Settings, on_say: Callable[[str], None]) -> Path | None:
    """Put the log of a killed process aside where staging can be opened without it alone; return where it is."""
    staging = settings.home.staging
    log = staging.with_name(f"{staging.name}.wal")
    if not staging.exists() or not log.exists() or _can_be_read(settings, on_say):
        return None
    aside = log.with_name(f"staging.damaged-{utc_now():%Y%m%dT%H%M%S}.wal")
    log.rename(aside)
    if _can_be_read(settings, on_say):
        on_say(f"the damaged log of the staging file was moved to {aside}")
        return aside
    aside.rename(log)
    return None


class _Reader:
    """Reads journal entries, and remembers which payloads cannot be read."""

    def __init__(self, index: PayloadIndex, unreadable: dict[tuple[str, str], str]) -> None:
        self._index = index
        self.unreadable = unreadable  # why, by dataset and payload

    def complete(self, journal: Journal) -> bool:
        """Return whether all payloads of a journal are there, and none is known to be unreadable."""
        return all(
            entry.payloads
            and all(
                self._index.has(entry.dataset, payload) and (entry.dataset, payload) not in self.unreadable
                for payload in entry.payloads
            )
            for entry in journal.entries
        )

    def is_whole_history(self, journals: dict[str, Journal]) -> bool:
        """Return whether every landing since the first can be replayed."""
        numbers = [journal.landing_id for journal in journals.values()]
        return numbers == list(range(1, len(numbers) + 1)) and all(map(self.complete, journals.values()))

    def verify(self, journals: Iterable[Journal]) -> None:
        """Find all damaged payloads of the journals."""
        for journal in journals:
            for entry in journal.entries:
                for payload in entry.payloads:
                    if self._index.has(entry.dataset, payload):
                        damage = self._index.verify(payload_name(entry.dataset, payload))
                        if damage is not None:
                            self.unreadable.setdefault((entry.dataset, payload), f"{chunk_of(entry)}: {damage}")

    def read(self, entry: JournalEntry) -> FetchedChunk | None:
        """Return the rows of a journal entry; None when a payload of it is no longer there, or cannot be read."""
        chunk = chunk_of(entry)
        source = sources()[entry.dataset.split(".")[0]]
        dataset = source.dataset(entry.dataset)
        pages: list[Page] = []
        for payload in entry.payloads:
            if (entry.dataset, payload) in self.unreadable:
                return None
            try:
                if dataset.is_file:
                    file = self._index.file(entry.dataset, payload)
                    if damage := self._index.verify(payload_name(entry.dataset, payload)):
                        raise CorruptError(str(damage))
                    with reading(chunk):
                        pages.append(source.read_file(chunk, file))
                else:
                    response = Response(f"payload {payload}", 200, self._index.read(entry.dataset, payload))
                    with reading(chunk):
                        pages.append(source.read(chunk, response))
            except FileNotFoundError:
                return None
            except (CorruptError, SourceError) as error:
                self.unreadable[entry.dataset, payload] = f"{chunk}: {error}"
                return None
        if not pages:
            return None
        pages = [drop_unprintable_keys(dataset, page) for page in pages]
        rows = pa.concat_tables([page.rows for page in pages])
        warnings = tuple(warning for page in pages for warning in page.warnings)
        gap = gap_of(source, chunk, rows, hour_number(entry.fetched_at_utc))
        outcome = Outcome(
            chunk, entry.attempts, entry.fetched_at_utc, len(rows), None, entry.payloads, gap=gap, warnings=warnings
        )
        return FetchedChunk(outcome, rows)


def _rebuild(
    settings: Settings,
    new_file: Path,
    journals: dict[str, Journal],
    reader: _Reader,
    on_say: Callable[[str], None],
) -> ReplayResult | None:
    """Write the new file; None where a payload turned out to be unreadable whose rows the present file can give."""
    result = ReplayResult()
    old = settings.home.staging
    with _open(settings, new_file, on_say) as connection:
        todo = list(journals.items())
        held = old.exists() and _can_be_read(settings, on_say)
        whole_ledger = False
        carried = Carried()
        if held:
            connection.execute(f"attach '{str(old).replace(chr(39), chr(39) * 2)}' as old (read_only)")
            whole_ledger = has_whole_ledger(connection)
            if not whole_ledger and reader.is_whole_history(journals):
                on_say(f"{old} is damaged; rebuilding from payloads alone, which are complete")
                connection.execute("detach old")
                held = False
            elif whole_ledger:
                earlier = earlier_journals(connection, journals)
                if earlier:
                    on_say(f"first replaying {count(len(earlier), 'landing')} of an earlier staging file")
                for name, journal in earlier:
                    _land(connection, name, journal, reader, result, with_ledger=True)
                todo, carried = carry_over(connection, journals, reader.complete)
            else:
                result.skipped.append(f"{old}: its ledger is damaged; what it knew of older chunks is fetched again")
                todo = [(name, journal) for name, journal in todo if reader.complete(journal)]
                carried = copy_rows(connection, [entry for _, journal in todo for entry in journal.entries])
            result.carried_rows = carried.rows
        elif old.exists():
            on_say(f"{old} is damaged; rebuilding from payloads alone")
        known_unreadable = len(reader.unreadable)
        for name, journal in todo:
            _land(connection, name, journal, reader, result, with_ledger=not whole_ledger)
            if held and len(reader.unreadable) > known_unreadable:
                on_say("a payload cannot be read: beginning anew, with its rows as the present staging file has them")
                reader.verify(journal for _, journal in todo)
                return None
        if whole_ledger:
            copy_ledger(connection, carried.lost)
        if held:
            result.fewer = fewer_rows(connection)
            connection.execute("detach old")
        connection.execute("checkpoint")
    result.damaged = old.exists() and not (whole_ledger and not carried.lost)
    result.skipped += [*reader.unreadable.values(), *(f"{old}: {text}" for text in lost_by_table(carried.lost))]
    first = next(iter(journals.values()))
    if not held and first.landing_id > 1:
        result.skipped.append(
            f"{count(first.landing_id - 1, 'landing')} before {first.landed_at_utc:%Y-%m-%d %H:%M}: payloads of that "
            "time are pruned, and no staging file has their rows"
        )
    return result


def _land(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    journal: Journal,
    reader: _Reader,
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
        answer = reader.read(entry)
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


def _ledger_row(connection: duckdb.DuckDBPyConnection, chunk: Chunk) -> SlicePlan:
    """Return the plan that puts ``chunk`` into the ledger in the place of the rows that it overlaps."""
    rows = connection.execute(
        "select first_hour_utc, last_hour_utc from sync.chunk "
        "where dataset = ? and slice = ? and first_hour_utc <= ? and last_hour_utc >= ?",
        [chunk.dataset, chunk.slice, hour_time(chunk.last), hour_time(chunk.first)],
    ).fetchall()
    return SlicePlan((chunk,), tuple(LedgerSpan(hour_number(first), hour_number(last)) for first, last in rows))
