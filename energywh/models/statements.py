"""Small pieces of SQL."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb


def quoted(name: str) -> str:
    """Return ``name``, which may be dotted, as SQL identifiers."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


def text(value: str) -> str:
    """Return ``value`` as an SQL string."""
    return "'" + value.replace("'", "''") + "'"


def timestamp(moment: datetime) -> str:
    """Return ``moment`` as an SQL TIMESTAMP."""
    return f"TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S}'"


def literal(value: str | float) -> str:
    """Return a text, number or boolean as SQL."""
    return text(value) if isinstance(value, str) else repr(value).lower()


def within(column: str, start: datetime, end: datetime) -> str:
    """Return the condition that ``column`` lies in ``[start, end)``."""
    name = quoted(column)
    return f"{name} >= {timestamp(start)} AND {name} < {timestamp(end)}"


_DISK = re.compile(r"no space left|could not write|file too large|quota exceeded", re.IGNORECASE)


def disk_is_full(error: BaseException) -> bool:
    """Say whether the disk took no more; DuckDB says so in errors of several classes."""
    return bool(_DISK.search(str(error)))


def is_about_sql(error: duckdb.Error) -> bool:
    """Say whether the SQL that was run is to blame, and not disk, memory or a person who interrupted."""
    import duckdb

    others = (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.InterruptException)
    return not isinstance(error, others) and not disk_is_full(error)


def run(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    """Execute ``sql`` to its end and return all rows."""
    return connection.execute(sql).fetchall()
