"""Small pieces of SQL."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb


def identifier(name: str) -> str:
    """Return ``name`` as one SQL identifier; its dots, which a query's column may have, are part of it."""
    return '"' + name.replace('"', '""') + '"'


def quoted(name: str) -> str:
    """Return ``name`` as SQL identifiers, one for each part between dots, such as ``schema.table``."""
    return ".".join(map(identifier, name.split(".")))


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


def run(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    """Execute ``sql`` to its end and return all rows."""
    return connection.execute(sql).fetchall()
