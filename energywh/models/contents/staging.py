"""The staging database during a build: attached read-only, for as short a time as possible."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from energywh.core.database import retry_while_locked
from energywh.core.locks import OnWait
from energywh.core.sql_text import text
from energywh.core.wording import count
from energywh.errors import StorageError

if TYPE_CHECKING:
    import duckdb

REVISION = "_revision"
NOW = "staging_now"  # name of the staging file in a build as of a time, where `staging` holds views of it


@dataclass(frozen=True)
class Landing:
    """The newest landing that a build read, and the id of the staging file: a replay makes a new file."""

    number: int
    landed_at_utc: datetime | None
    staging_id: str | None


@dataclass(frozen=True)
class Watermark:
    """The state of a dataset in staging: the newest landing that changed it, and the newest hour it holds."""

    dataset: str
    landing_id: int | None
    landed_at_utc: datetime | None
    newest_hour_utc: datetime


@dataclass(frozen=True)
class Stamp:
    """The column that dates the rows of a dataset, and how long after the start of the hour its value lies."""

    column: str
    offset: timedelta


def attach_read_only(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    name: str,
    *,
    wait_seconds: float | None = None,
    on_wait: OnWait | None = None,
) -> None:
    """Attach the DuckDB file at ``path`` as ``name``, waiting while another process writes it.

    Raises:
        LockedError: another process still held the file after ``wait_seconds``.
        CorruptError: the file is not a DuckDB database.
        StorageError: the file cannot be opened.
    """
    statement = f"ATTACH {text(str(path))} AS {name} (READ_ONLY)"
    retry_while_locked(lambda: connection.execute(statement), path, wait_seconds, on_wait)


def detach(connection: duckdb.DuckDBPyConnection) -> None:
    """Detach staging, if it is attached, so that a sync can land."""
    connection.execute(f"DETACH DATABASE IF EXISTS staging; DETACH DATABASE IF EXISTS {NOW}")


class Staging:
    """An attached staging database: its tables, its newest landing, and which months changed since an older one.

    Attributes:
        columns: columns of each table and their types, in order.

    Raises:
        StorageError: the file is not one that sync wrote.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        import duckdb

        self._connection = connection
        self._path = path
        self.columns: dict[str, dict[str, str]] = {}
        for table, column, kind in connection.execute(
            "SELECT concat_ws('.', database_name, schema_name, table_name), column_name, data_type "
            "FROM duckdb_columns() WHERE database_name = 'staging' ORDER BY table_oid, column_index"
        ).fetchall():
            self.columns.setdefault(table, {})[column] = kind
        try:
            self.landing = self._newest_landing()
            self._stamps = {
                name: Stamp(column, timedelta(hours=hours))
                for name, column, hours in connection.execute(
                    "SELECT name, time_column, stamp_offset_hours FROM staging.sync.dataset"
                ).fetchall()
            }
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            raise StorageError(f"{path} is not a staging database of energywh: {error}") from None

    def stamp(self, table: str) -> Stamp | None:
        """Return the stamp of ``table``, such as `staging.eia.region_data`; None if it is not a dataset."""
        return self._stamps.get(_dataset(table))

    def _newest_landing(self) -> Landing:
        ((staging_id,),) = self._connection.execute("SELECT any_value(staging_id) FROM staging.sync.meta").fetchall()
        rows = self._connection.execute(
            "SELECT landing_id, landed_at_utc FROM staging.sync.landing ORDER BY landing_id DESC LIMIT 1"
        ).fetchall()
        number, landed_at = rows[0] if rows else (0, None)
        return Landing(number, landed_at, staging_id)

    def holds(self, landing: Landing) -> bool:
        """Return whether ``landing`` happened in this file."""
        if landing.staging_id != self.landing.staging_id:
            return False
        if landing.number == 0:
            return True
        rows = self._connection.execute(
            "SELECT landed_at_utc FROM staging.sync.landing WHERE landing_id = ?", [landing.number]
        ).fetchall()
        return rows == [(landing.landed_at_utc,)]

    def why_empty(self) -> str | None:
        """Return a sentence if no dataset has a row, else None."""
        for name in self._stamps:
            table = f"staging.{name}"
            if table in self.columns and self._connection.execute(f"FROM {table} LIMIT 1").fetchall():
                return None
        failed = 0
        if "staging.sync.chunk" in self.columns:
            ((failed,),) = self._connection.execute(
                "SELECT count(*) FILTER (status = 'failed') FROM staging.sync.chunk"
            ).fetchall()
        chunks = f"{count(failed, 'chunk')} failed, see" if failed else "see"
        return f"no rows in staging {self._path}; {chunks} 'energywh status'"

    def watermarks(self) -> list[Watermark]:
        """Return the watermark of each dataset with rows, sorted by name."""
        landings = {
            dataset: (number, landed_at)
            for dataset, number, landed_at in self._connection.execute(
                "SELECT dataset, max(landing_id), max(landed_at_utc) FROM staging.sync.change "
                "JOIN staging.sync.landing USING (landing_id) GROUP BY dataset"
            ).fetchall()
        }
        found = []
        for name, stamp in sorted(self._stamps.items()):
            if f"staging.{name}" in self.columns:
                ((newest,),) = self._connection.execute(f"SELECT max({stamp.column}) FROM staging.{name}").fetchall()
                if newest is not None:
                    found.append(Watermark(name, *landings.get(name, (None, None)), newest - stamp.offset))
        return found

    def changed_months(self, tables: Iterable[str], since: Landing) -> set[date]:
        """Return the months of ``tables`` in which a landing after ``since`` changed rows."""
        datasets = sorted({_dataset(table) for table in tables})
        rows = self._connection.execute(
            "SELECT DISTINCT month FROM staging.sync.change WHERE landing_id > ? AND dataset IN (SELECT unnest(?))",
            [since.number, datasets],
        ).fetchall()
        return {row[0] for row in rows}


def _dataset(table: str) -> str:
    """Return the dataset of a staging table; a table of revisions belongs to the dataset that it revises."""
    return table.removeprefix("staging.").removesuffix(REVISION)
