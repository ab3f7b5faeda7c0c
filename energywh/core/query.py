"""Run a user's query: read-only, one statement, after any number of SET TimeZone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from energywh.core.sandbox import SETTINGS
from energywh.core.sql_text import text
from energywh.core.storage_errors import query_errors
from energywh.core.tokens import Token, tokens_of
from energywh.errors import UsageError

if TYPE_CHECKING:
    import duckdb

_ANSWERS = ("SELECT", "MULTI")  # SHOW, DESCRIBE and SUMMARIZE are SELECT, PIVOT is MULTI
# What may stand in WITH and writes, with what the parsed form calls it: DuckDB makes a DELETE of TRUNCATE.
_WRITES = {word: f'"{word}_QUERY_NODE"' for word in ("COPY", "DELETE", "INSERT", "MERGE", "UPDATE")}
_WRITES["TRUNCATE"] = _WRITES["DELETE"]
_RUN_TEXT = ("JSON_EXECUTE_SERIALIZED_SQL", "QUERY")
_SCOPES = ("session", "local", "global")
# Of PRAGMA and CALL, those that only show something. Others write files, log, or change how DuckDB runs.
_PRAGMAS = (
    *("collations", "database_list", "database_size", "extension_versions", "functions", "metadata_info", "platform"),
    *("show", "show_databases", "show_tables", "show_tables_expanded", "storage_info", "table_info", "user_agent"),
    "version",
)
_CALLS = (
    *(f"pragma_{name}" for name in _PRAGMAS),
    *("duckdb_columns", "duckdb_constraints", "duckdb_databases", "duckdb_extensions", "duckdb_functions"),
    *("duckdb_indexes", "duckdb_keywords", "duckdb_memory", "duckdb_schemas", "duckdb_settings", "duckdb_tables"),
    *("duckdb_types", "duckdb_views", "pg_timezone_names", "icu_calendar_names"),
)


def ask(connection: duckdb.DuckDBPyConnection, sql: str, params: Any = None) -> duckdb.DuckDBPyRelation:
    """Return the relation of ``sql``. DuckDB binds it now and runs it when rows are taken.

    Raises:
        UsageError: the SQL is wrong, names what is not there, tries to write, or is not exactly one query after any
            number of SET TimeZone.
        CorruptError: the database is damaged.
    """
    if not sql.isascii() and sql != sql.encode(errors="replace").decode():
        raise UsageError(
            "the SQL holds bytes that are not UTF-8: give it in UTF-8, or set a UTF-8 locale (LC_ALL=C.UTF-8)"
        )
    with query_errors():
        statements = connection.extract_statements(sql)
        if not statements:
            raise UsageError("the SQL returns no rows; use SELECT")
        *settings, query = statements
        if any(not _sets_allowed(statement) for statement in settings):
            raise UsageError(f"the SQL holds {len(statements)} statements; run one at a time")
        _check(connection, query)
        for statement in settings:
            connection.execute(statement.query)
        relation = connection.sql(query.query if settings else sql, params=params)
    if relation is None:
        raise UsageError("the SQL returns no rows; use SELECT")
    return relation


def set_time_zone(connection: duckdb.DuckDBPyConnection, zone: str) -> None:
    """Show times that have a zone in this one.

    Raises:
        UsageError: DuckDB knows no such zone.
    """
    with query_errors():
        connection.execute(f"SET TimeZone = {text(zone)}")


def _check(connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement) -> None:
    """Reject a statement that does anything but read.

    Raises:
        UsageError: it says what is allowed.
    """
    kind = statement.type.name
    if kind in _ANSWERS:
        if written := _written_by(connection, statement):
            raise UsageError(f"the warehouse is read-only: {written} is not allowed in WITH")
    elif kind == "EXPLAIN":  # with ANALYZE it does what it explains
        for explained in connection.extract_statements(_explained(statement.query)):
            _check(connection, explained)
    elif kind == "SET":
        if not _sets_allowed(statement):
            raise UsageError("of the settings of DuckDB, a query may change TimeZone and Calendar alone")
    elif kind in ("PRAGMA", "CALL"):
        allowed = _PRAGMAS if kind == "PRAGMA" else _CALLS
        words = _words(statement.query)
        if len(words) < 2 or words[0] != kind.lower() or words[1] not in allowed or words[2:3] == ["."]:
            raise UsageError(f"of {kind}, only what shows something is allowed: {', '.join(sorted(allowed))}")
    else:
        if kind == "LOAD":  # the kind of INSTALL too
            kind = _words(statement.query)[0].upper()
        raise UsageError(
            f"the warehouse is read-only: {kind} is not allowed. To change a model, edit sql/ and run 'energywh "
            "build'; to write a result to a file, use 'energywh sql --output FILE' or 'energywh export'"
        )


def _written_by(connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement) -> str:
    """Return the statement that writes in a WITH of this one, such as COPY, or an empty text.

    DuckDB 2 counts ``WITH a AS (COPY b TO 'file') SELECT ...`` as a SELECT. Its parsed form shows what it is.

    Raises:
        UsageError: a function would run SQL that is not seen here.
    """
    words = [token.text.decode().strip('"').upper() for token in tokens_of(statement.query) if not token.is_string]
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in _RUN_TEXT and following == "(":
            raise UsageError(f"the function {word.lower()} is not allowed: it runs SQL that is hidden in a value")
    suspects = [word for word in words if word in _WRITES]
    if not suspects:
        return ""
    ((parsed,),) = connection.execute("SELECT json_serialize_sql($1::VARCHAR)", [statement.query]).fetchall()
    if parsed.startswith('{"error":true'):  # DuckDB shows the parsed form of SELECT alone, and not of PIVOT
        return suspects[0]
    return next((word for word in suspects if _WRITES[word] in parsed), "")


def _sets_allowed(statement: duckdb.Statement) -> bool:
    """Return whether a statement sets or resets one of the settings that a query may change, and no other."""
    words = _words(statement.query)
    if statement.type.name != "SET" or words[:1] not in (["set"], ["reset"], ["pragma"]):
        return False
    words = words[2:] if words[1:2] and words[1] in _SCOPES else words[1:]
    return words[:2] == ["time", "zone"] or words[:1] in [[name.lower()] for name in SETTINGS]


def _words(sql: str) -> list[str]:
    return [token.text.decode().strip('"').lower() for token in tokens_of(sql)]


def _explained(sql: str) -> str:
    """Return what an EXPLAIN explains: the statement after its options."""
    first, *tokens = tokens_of(sql)
    assert first.text.lower() == b"explain"
    while tokens[0].text.lower() == b"analyze" or (tokens[0].text == b"(" and _are_options(tokens)):
        if tokens.pop(0).text == b"(":
            while tokens.pop(0).text != b")":
                pass
    return sql.encode()[tokens[0].start :].decode()


def _are_options(tokens: list[Token]) -> bool:
    """Return whether a bracket after EXPLAIN opens its options, and not a query."""
    return tokens[1].text.lower() in (b"analyze", b"format")
