"""Ask DuckDB, and turn what it says about wrong SQL into an error for the person who wrote it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from energywh.core.database import trouble
from energywh.errors import CorruptError, EnergywhError, StorageError, UsageError

if TYPE_CHECKING:
    import duckdb

_ANSWERS = ("SELECT", "EXPLAIN", "PRAGMA", "CALL", "MULTI")  # SHOW and DESCRIBE are SELECT, PIVOT is MULTI
_EXPLAIN = re.compile(r"\s*explain\b(\s*analyze\b|\s*\([^)]*\))*", re.IGNORECASE)


def ask(connection: duckdb.DuckDBPyConnection, sql: str, params: Any = None) -> duckdb.DuckDBPyRelation:
    """Return the relation of ``sql``. DuckDB binds it now and runs it when rows are taken.

    Raises:
        UsageError: the SQL is wrong, names what is not there, tries to write, or is not exactly one statement.
        CorruptError: the database is damaged.
    """
    import duckdb

    try:
        _check(connection, sql)
        relation = connection.sql(sql, params=params)
    except duckdb.Error as error:
        raise sql_error(error) from None
    if relation is None:
        raise UsageError("the SQL returns no rows to show; ask with SELECT")
    return relation


def _check(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Refuse what is not one statement that reads: DuckDB would answer the last of several only."""
    statements = connection.extract_statements(sql)
    if not statements:
        raise UsageError("the SQL returns no rows to show; ask with SELECT")
    if len(statements) > 1:
        raise UsageError(f"the SQL holds {len(statements)} statements; ask one at a time")
    kind = statements[0].type.name
    if kind == "EXPLAIN":  # with ANALYZE it does what it explains
        _check(connection, _EXPLAIN.sub("", statements[0].query, count=1))
    elif kind not in _ANSWERS:
        raise UsageError(
            f"the warehouse is read-only: it is opened for reading, and {kind} is no question. Models are changed in "
            "sql/ and built by 'energywh build'; an answer is written to a file by 'energywh sql --output FILE' or "
            "'energywh export'"
        )


def sql_error(error: Exception) -> EnergywhError:
    """Return the error to show for what DuckDB, or Arrow reading from it, said; its hints kept."""
    text = str(error).strip()
    if "read-only mode" in text:
        return UsageError(
            f"the warehouse is read-only: models are changed in sql/ and built by 'energywh build' ({text})"
        )
    kind = trouble(error)
    if kind == "sql":
        return UsageError(text)
    if kind == "memory":
        return StorageError(f"not enough memory to answer: {text}")
    if kind == "full":
        return StorageError(f"no room on the disk to answer: {text}")
    if kind == "damaged":
        return CorruptError(
            f"the published version, or staging where it is attached, is damaged ({text.splitlines()[0]}); "
            "'energywh build --full' makes a version anew, 'energywh replay' staging"
        )
    return StorageError(f"DuckDB could not answer: {text}")
