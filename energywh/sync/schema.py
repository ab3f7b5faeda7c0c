"""The staging database: its tables, and how to open it.

Schema `sync` holds the ledger (`chunk`), what each landing did (`landing`, `change`) and the identity of the
file (`meta`). Each source has a schema of its own with one table a dataset, and beside each table its
revisions: the values that were superseded or withdrawn, with the time span in which they held.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energywh.core.database import connect, one_row
from energywh.core.files import TEMPORARY_SUFFIX, flush
from energywh.core.locks import OnWait
from energywh.core.schema_number import check_known
from energywh.core.sql_text import identifier
from energywh.core.storage_errors import storage_errors
from energywh.errors import StorageError
from energywh.sources import all_datasets
from energywh.sources.base import Dataset
from energywh.sync.migrations import migrations, newest_number

if TYPE_CHECKING:
    import duckdb

MIGRATED = "migrated"  # name of the database in memory that shows an older file as it would be
LEFTOVER_SECONDS = 3600.0  # making a file takes a second at most
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)

_LEDGER = """
create schema if not exists sync;
create table if not exists sync.meta (staging_id varchar, schema_version integer);
create table if not exists sync.dataset (name varchar, time_column varchar, stamp_offset_hours integer);
create table if not exists sync.chunk (
    dataset varchar not null,
    slice varchar not null,
    first_hour_utc timestamp not null,
    last_hour_utc timestamp not null,
    status varchar not null check (status in ('due', 'in progress', 'done', 'empty', 'failed')),
    rows bigint,
    attempts integer not null default 0,
    started_at_utc timestamp,
    fetched_at_utc timestamp,
    landed_at_utc timestamp,
    error varchar,
    gap varchar,
    payloads varchar[],
    owner varchar
);
create table if not exists sync.payload_warning (
    dataset varchar not null,
    slice varchar not null,
    first_hour_utc timestamp not null,
    rule varchar not null,
    subject varchar not null,
    count bigint not null,
    first_seen_utc timestamp not null,
    last_seen_utc timestamp not null
);
create table if not exists sync.landing (
    landing_id bigint not null,
    landed_at_utc timestamp not null,
    journal varchar,
    chunks integer not null,
    rows bigint not null,
    rows_new bigint not null,
    rows_changed bigint not null,
    rows_withdrawn bigint not null
);
create table if not exists sync.change (landing_id bigint not null, dataset varchar not null, month date not null);
comment on table sync.chunk is
    'The ledger: every chunk that was ever due. Hours are counted by their start, both ends inclusive.';
comment on column sync.chunk.gap is
    'Which of its hours the answer lacks though the source should have them: until it has, the chunk stays due.';
comment on table sync.payload_warning is
    'What is wrong with the payloads held: columns, rows and values that were not taken, and since when.';
comment on table sync.dataset is
    'The staging tables: their time column, and by how many hours its stamp lies after the start of the hour.';
comment on table sync.landing is 'One row for each transaction that landed payloads.';
comment on table sync.change is 'Months (UTC, by the start of the hour) whose rows a landing changed.';
"""


def columns(dataset: Dataset) -> list[str]:
    """Return the staging columns of a dataset, in order."""
    return [dataset.time_column, *dataset.keys, *dataset.values, "known_from_utc"]


def staging_columns() -> dict[str, list[str]]:
    """Return the columns of each staging table, and of those of revisions, by full name, such as `staging.eia.x`."""
    tables = {f"staging.{name}": columns(dataset) for name, dataset in all_datasets().items()}
    return {**tables, **{f"{name}_revision": [*listed, "known_until_utc"] for name, listed in tables.items()}}


Tables = dict[str, dict[str, bool]]  # by name, columns and whether each must have a value


def _tables(connection: duckdb.DuckDBPyConnection, database: str | None = None) -> Tables:
    """Return the tables of the file that is open, or of the one attached as ``database``."""
    rows = connection.execute(
        "select schema_name || '.' || table_name, list(column_name), list(not is_nullable) from duckdb_columns() "
        "where database_name = coalesce(?, current_database()) and not internal group by all",
        [database],
    ).fetchall()
    return {name: dict(zip(names, filled, strict=True)) for name, names, filled in rows}


def datasets_in(connection: duckdb.DuckDBPyConnection, database: str | None = None) -> list[Dataset]:
    """Return the datasets as the file has them: one made before a dataset, or a value of it, existed lacks that."""
    tables = _tables(connection, database)
    return [
        replace(dataset, values=tuple(value for value in dataset.values if value in tables[dataset.name]))
        for dataset in all_datasets().values()
        if dataset.name in tables
    ]


def _lacks(tables: Tables, dataset: Dataset) -> bool:
    return not all(
        table in tables and set(columns(dataset)) <= tables[table].keys()
        for table in (dataset.name, f"{dataset.name}_revision")
    )


def _check_keys(path: Path, table: str, found: dict[str, bool], dataset: Dataset) -> None:
    """Check that rows are identified by the columns that the dataset declares: else a migration is missing."""
    needed = {dataset.time_column, *dataset.keys, "known_from_utc"}
    filled = {column for column, must in found.items() if must} - {"known_until_utc"}
    if needed != filled:
        keys, others = (", ".join(sorted(names - {"known_from_utc"})) for names in (needed, filled))
        raise StorageError(
            f"{path}: {table} has the keys {others}, and this energywh needs {keys}; no migration in "
            "energywh/sync/migrations does that. The file is as it was: use the energywh that wrote it, and report this"
        )


def _is_current(connection: duckdb.DuckDBPyConnection, path: Path, tables: Tables) -> bool:
    """Return whether the file has all that this energywh writes to."""
    lacking = any(_lacks(tables, dataset) for dataset in all_datasets().values())
    return not lacking and _number(connection, path, tables) == newest_number()


def _bring_forward(connection: duckdb.DuckDBPyConnection, path: Path, tables: Tables) -> None:
    """Migrate an older file and make the tables of datasets that it lacks, in one transaction."""
    if _is_current(connection, path, tables):
        return
    number = _number(connection, path, tables)
    connection.execute("begin")
    _migrate(connection, number)
    _create_missing(connection, path, _tables(connection))
    connection.execute("commit")


def _migrate(connection: duckdb.DuckDBPyConnection, number: int) -> None:
    for migration in migrations():
        if migration.number > number:
            migration.run(connection)
            connection.execute("update sync.meta set schema_version = ?", [migration.number])


def _create(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Make the tables of a new file."""
    connection.execute("begin")
    connection.execute(_LEDGER)
    connection.execute("insert into sync.meta values (?, ?)", [uuid.uuid4().hex, newest_number()])
    _create_missing(connection, path, {})
    connection.execute("commit")


def _create_missing(connection: duckdb.DuckDBPyConnection, path: Path, tables: Tables) -> None:
    """Make the tables of datasets, or what is new in them since the file with ``tables`` was made."""
    for dataset in all_datasets().values():
        for table in (dataset.name, f"{dataset.name}_revision"):
            if table in tables:
                _check_keys(path, table, tables[table], dataset)
                for value in dataset.values:
                    connection.execute(f"alter table {table} add column if not exists {value} double")
        keys = "".join(f"{key} varchar not null, " for key in dataset.keys)
        values = "".join(f"{value} double, " for value in dataset.values)
        body = f"{dataset.time_column} timestamp not null, {keys}{values}known_from_utc timestamp not null"
        connection.execute(f"create schema if not exists {dataset.source}")
        connection.execute(f"create table if not exists {dataset.name} ({body})")
        connection.execute(
            f"create table if not exists {dataset.name}_revision ({body}, known_until_utc timestamp not null)"
        )
    held = [(dataset.name, dataset.time_column, dataset.stamp_offset_hours) for dataset in all_datasets().values()]
    names, times, offsets = map(list, zip(*held, strict=True))
    # One statement each: creating a file took half as long again with two for each dataset.
    connection.execute("delete from sync.dataset where name in (select unnest(?))", [names])
    connection.execute("insert into sync.dataset select unnest(?), unnest(?), unnest(?)", [names, times, offsets])


def _number(connection: duckdb.DuckDBPyConnection, path: Path, tables: Tables) -> int:
    """Return the schema number.

    Raises:
        StorageError: the file is a database of something else, or a newer energywh wrote it.
    """
    if "sync.meta" not in tables:
        raise StorageError(
            f"{path} is not a staging database of energywh: it has no table sync.meta"
            + (f", but {', '.join(sorted(tables)[:3])}" if tables else "")
            + ". Move it away, and run 'energywh sync' again"
        )
    (number,) = one_row(connection, "select any_value(schema_version) from sync.meta")
    check_known(path, int(number or 1), newest_number())
    return int(number or 1)


def _read_forward(connection: duckdb.DuckDBPyConnection, path: Path, number: int) -> None:
    """Show an older file, opened read-only, as its migrations would make it, in a database in memory.

    The ledger is copied, and migrated there; the tables of datasets are views of the file.
    """
    import duckdb

    (file,) = one_row(connection, "select current_database()")
    tables = sorted(_tables(connection))
    connection.execute(f"attach ':memory:' as {MIGRATED} (read_write); use {MIGRATED}")
    try:
        for table in tables:
            schema = table.split(".")[0]
            kind = "table" if schema == "sync" else "view"
            connection.execute(f"create schema if not exists {schema}")
            connection.execute(f"create {kind} {table} as from {identifier(file)}.{table}")
        _migrate(connection, number)
        connection.execute("update sync.meta set schema_version = ?", [number])  # as the file says
    except (duckdb.CatalogException, duckdb.BinderException, duckdb.NotImplementedException):
        raise StorageError(
            f"{path} was written by an older energywh (schema {number}; this one writes {newest_number()}) and cannot "
            "be read as it is: the next 'energywh sync' or 'energywh build' brings it forward"
        ) from None


def bring_up_to_date(path: Path, *, wait_seconds: float, on_wait: OnWait | None = None) -> None:
    """Bring an existing file forward: migrate it, and make the tables of datasets that are new since it was made.

    Raises:
        StorageError: as `open_staging`.
    """
    with _connected(path, read_only=True, wait_seconds=wait_seconds, on_wait=on_wait) as connection:
        current = _is_current(connection, path, _tables(connection))
    if not current:
        with open_staging(path, wait_seconds=wait_seconds, on_wait=on_wait):
            pass


def sweep(path: Path) -> None:
    """Delete beside ``path`` what processes left that were killed while making it or another file there."""
    for pattern in (f".{path.name}-*", f".*{TEMPORARY_SUFFIX}"):
        for leftover in path.parent.glob(pattern):
            with contextlib.suppress(OSError):
                if time.time() - leftover.lstat().st_mtime > LEFTOVER_SECONDS:
                    leftover.unlink()


def _make(path: Path) -> None:
    """Make a new file with its tables beside ``path``, and put it in place whole.

    DuckDB writes the head of a new file in several steps: a process killed between them would leave a file that
    no other can open.
    """
    new = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        with storage_errors("make", path, sql=True):
            with contextlib.closing(connect(new, read_only=False)) as connection:
                _create(connection, new)
            try:
                os.link(new, path)  # unlike a rename, not over the file of a process that was quicker
                flush(path.parent)
            except FileExistsError:
                pass
            except OSError as error:
                if error.errno not in NO_LINKS:  # where there are no links, DuckDB makes the file in its place
                    raise
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def open_staging(
    path: Path,
    *,
    read_only: bool = False,
    wait_seconds: float = 600.0,
    on_wait: OnWait | None = None,
    give_up: Callable[[], bool] | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the staging file, made with its tables where it is new, and close it again.

    Args:
        give_up: asked now and then while waiting for another process; True ends the wait.

    Raises:
        StorageError: it cannot be opened, written or read, is of something else, or a newer energywh wrote it.
    """
    if read_only and not path.exists():
        again = " ('energywh replay' rebuilds it from the payloads kept)" if path.with_name("payloads").exists() else ""
        raise StorageError(
            f"nothing is synced yet: {path} does not exist{again}; run 'energywh sync' or 'energywh demo'"
        )
    if not read_only and not path.exists():
        _make(path)
    with _connected(
        path, read_only=read_only, wait_seconds=wait_seconds, on_wait=on_wait, give_up=give_up
    ) as connection:
        tables = _tables(connection)
        if not read_only and not tables:
            _create(connection, path)
        elif not read_only:
            _bring_forward(connection, path, tables)
        elif (number := _number(connection, path, tables)) < newest_number():
            _read_forward(connection, path, number)
        yield connection


@contextmanager
def _connected(path: Path, **words: Any) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the file as it is; the keywords are those of `connect`."""
    with contextlib.closing(connect(path, **words)) as connection, storage_errors("finish work on", path, sql=True):
        yield connection
