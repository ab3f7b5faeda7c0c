"""Run a user's query: one statement, read-only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from energywh.core.storage_errors import query_errors
from energywh.errors import UsageError

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
    with query_errors():
        _check(connection, sql)
        relation = connection.sql(sql, params=params)
    if relation is None:
        raise UsageError("the SQL returns no rows; use SELECT")
    return relation


def _check(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Reject anything but one statement that reads; of several, DuckDB would return only the last result."""
    statements = connection.extract_statements(sql)
    if not statements:
        raise UsageError("the SQL returns no rows; use SELECT")
    if len(statements) > 1:
        raise UsageError(f"the SQL holds {len(statements)} statements; run one at a time")
    kind = statements[0].type.name
    if kind == "EXPLAIN":  # with ANALYZE it does what it explains
        _check(connection, _EXPLAIN.sub("", statements[0].query, count=1))
    elif kind not in _ANSWERS:
        raise UsageError(
            f"the warehouse is read-only: {kind} is not allowed. To change a model, edit sql/ and run 'energywh "
            "build'; to write a result to a file, use 'energywh sql --output FILE' or 'energywh export'"
        )
