"""Checks of the staging file and of the ledger in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from energywh.core.database import one_row
from energywh.core.locks import holder_of
from energywh.core.storage_errors import cause_of
from energywh.core.wording import abbreviate, count
from energywh.errors import CorruptError, EnergywhError, LockedError
from energywh.sync.schema import open_staging
from energywh.sync.status import clock_warning
from energywh.upkeep.diagnosis import Diagnosis, Examined, reason

if TYPE_CHECKING:
    import duckdb

WAIT_SECONDS = 2.0
_REPLAY = "energywh replay"
_LEDGER = ("meta", "dataset", "chunk", "payload_warning", "landing", "change")


@contextmanager
def _opened(examined: Examined) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_staging(examined.home.staging, read_only=True, wait_seconds=WAIT_SECONDS) as connection:
        yield connection


def check_staging(examined: Examined) -> Iterator[Diagnosis]:
    """It opens, this energywh knows its schema, and its tables can be read (with ``full`` all of them)."""
    file = examined.home.staging
    where = examined.name(file)
    if not file.exists():
        if any(examined.home.payloads.glob("*/*.tar")):
            yield Diagnosis("staging", "problem", "it is missing, and payloads are kept", where, "", _REPLAY)
        elif examined.home.energy.is_symlink():
            yield Diagnosis(
                "staging",
                "problem",
                "it is missing",
                where,
                "the next build has nothing to build from",
                "energywh sync",
            )
        return
    try:
        with _opened(examined) as connection:
            damaged = _damaged_tables(connection, examined.full)
            (number,) = one_row(connection, "select any_value(schema_version) from sync.meta")
    except LockedError as error:
        yield Diagnosis("staging", "note", f"it is in use: {reason(error)}", where, "", "run this again later")
        return
    except CorruptError as error:
        lost = "rows older than the kept payloads are lost, unless a copy of the file exists"
        what = reason(error).split("; a staging file is")[0]  # `todo` says it
        yield Diagnosis("staging", "problem", what, where, lost, _REPLAY)
        return
    except EnergywhError as error:
        yield Diagnosis("staging", "problem", reason(error), where, "sync and build fail")
        return
    if damaged:
        yield Diagnosis(
            "staging",
            "problem",
            f"{count(len(damaged), 'table')} cannot be read: {abbreviate(damaged)}",
            where,
            "builds fail; replay keeps every month that can be read",
            _REPLAY,
        )
    else:
        read = "all tables can be read" if examined.full else "it opens"
        yield Diagnosis("staging", "ok", f"{read}, schema {number}, {file.stat().st_size / 1e6:,.1f} MB", where)


def _damaged_tables(connection: duckdb.DuckDBPyConnection, full: bool) -> list[str]:
    import duckdb

    tables = [f"sync.{name}" for name in _LEDGER]
    if full:
        tables += [
            name
            for (name,) in connection.execute(
                "select schema_name || '.' || table_name from duckdb_tables() "
                "where not internal and schema_name <> 'sync' order by 1"
            ).fetchall()
        ]
    damaged = []
    for table in tables:
        try:
            connection.execute(f"select bit_xor(hash(t)) from {table} t").fetchall()  # a hash needs each value
        except duckdb.Error as error:
            if cause_of(error) not in ("damaged", "system"):
                raise
            damaged.append(table)
    return damaged


# What must not be, with the words for it: of chunks, how many rows the query counts.
_BROKEN = {
    "chunks overlap others of their slice": (
        "select count(*) from (select first_hour_utc <= max(last_hour_utc) over (partition by dataset, slice "
        "order by first_hour_utc rows between unbounded preceding and 1 preceding) as over from sync.chunk) where over"
    ),
    "chunks end before they begin": "select count(*) from sync.chunk where last_hour_utc < first_hour_utc",
    "chunks are done and were never fetched": (
        "select count(*) from sync.chunk where status in ('done', 'empty') and fetched_at_utc is null"
    ),
    "landings have the number of another": ("select count(*) - count(distinct landing_id) from sync.landing"),
    "changes belong to no landing": ("select count(*) from sync.change anti join sync.landing using (landing_id)"),
}


def check_ledger(examined: Examined) -> Iterator[Diagnosis]:
    """It does not contradict itself, and its newest landing is not of the future."""
    where = examined.name(examined.home.staging)
    if not examined.home.staging.exists():
        return
    try:
        with _opened(examined) as connection:
            syncs = examined.home.locks.glob("sync-*.lock")
            living = [file.stem.removeprefix("sync-") for file in syncs if holder_of(file) is not None]
            for words, query in _BROKEN.items():
                (number,) = one_row(connection, query)
                if number:
                    yield Diagnosis(
                        "ledger",
                        "problem",
                        f"{number:,} {words}",
                        where,
                        "hours may be fetched twice or not at all",
                        _REPLAY,
                    )
            if warning := clock_warning(connection, examined.now):
                yield Diagnosis(
                    "clock", "problem", warning, where, "what is due is counted by it", "set the clock right"
                )
            (stale,) = one_row(
                connection,
                "select count(*) from sync.chunk where status = 'in progress' and owner not in (select unnest(?))",
                [[*living, ""]],
            )
            if stale:
                yield Diagnosis(
                    "ledger",
                    "note",
                    f"{count(stale, 'chunk')} of a sync that was killed: the next sync fetches them",
                    where,
                    "",
                    "energywh sync",
                )
            (failed, chunks) = one_row(
                connection, "select count(*) filter (status = 'failed'), count(*) from sync.chunk"
            )
            if failed:
                yield Diagnosis(
                    "ledger", "note", f"{count(failed, 'chunk')} failed", where, "", "energywh status --failed"
                )
            yield Diagnosis("ledger", "ok", f"{count(chunks, 'chunk')}, no contradiction", where)
    except EnergywhError:
        yield Diagnosis("ledger", "ok", "not read: see staging", where)
