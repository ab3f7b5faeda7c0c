"""Which tables a SELECT reads, and the same SELECT reading only a part of them.

sqlglot says where the names stand; the text around them is never regenerated, so that a model runs exactly
as its author wrote it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp

from energywh.errors import ModelError


@dataclass(frozen=True)
class Reference:
    """One place in a SELECT that names a table.

    Attributes:
        name: the full name in lower case, such as `normalized.demand` or `staging.eia.region_data`.
        start, end: the slice of the SQL that holds the name.
        alias: text by which the SELECT may call the table; None where the SELECT gives its own alias.
        line: line of the SQL text, counted from 1.
    """

    name: str
    start: int
    end: int
    alias: str | None
    line: int


@dataclass(frozen=True)
class Parsed:
    """A SELECT with the places where it names tables.

    Attributes:
        qualifiers: slices such as the `normalized.` of `normalized.demand.hour_utc`, by table name.
    """

    sql: str
    references: tuple[Reference, ...]
    qualifiers: tuple[tuple[str, int, int], ...]

    @property
    def tables(self) -> frozenset[str]:
        return frozenset(reference.name for reference in self.references)

    def restricted(self, conditions: Mapping[str, str]) -> str:
        """Return the SQL with each table of ``conditions`` replaced by those rows of it that meet the condition."""
        edits: list[tuple[int, int, str]] = []
        for reference in self.references:
            if reference.name in conditions:
                written = self.sql[reference.start : reference.end]
                alias = f" AS {reference.alias}" if reference.alias else ""
                text = f"(SELECT * FROM {written} WHERE {conditions[reference.name]}){alias}"
                edits.append((reference.start, reference.end, text))
        edits += [(start, end, "") for name, start, end in self.qualifiers if name in conditions]
        sql = self.sql
        for start, end, text in sorted(edits, reverse=True):
            sql = sql[:start] + text + sql[end:]
        return sql


class _WrongError(Exception):
    """What is wrong with a SELECT, and in which of its lines."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message, self.line = message, line


def parse_select(sql: str, error: Callable[[str, int], ModelError]) -> Parsed:
    """Find the tables that ``sql`` reads; the names of its own CTEs are not tables.

    Args:
        error: makes the error for a message and a line of ``sql``.

    Raises:
        ModelError: the text is not one SELECT, or names a table without its schema.
    """
    try:
        return _parse(sql)
    except _WrongError as wrong:
        raise error(wrong.message, wrong.line) from None


@lru_cache(maxsize=1024)  # half of the time of a small build; `energywh watch` builds again and again
def _parse(sql: str) -> Parsed:
    try:
        trees = sqlglot.parse(sql, dialect="duckdb")
    except sqlglot.errors.SqlglotError as problem:
        details = getattr(problem, "errors", None) or [{}]
        line = details[0].get("line") or 1
        what = details[0].get("description") or str(problem).splitlines()[0]
        near = details[0].get("highlight")
        raise _WrongError(f"cannot parse the SQL: {what}" + (f" near '{near}'" if near else ""), line) from None
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise _WrongError("a model is one SELECT", 1)
    tree = trees[0]

    local_names = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    references: list[Reference] = []
    qualifiers: list[tuple[str, int, int]] = []
    for table in tree.find_all(exp.Table):
        parts = table.parts
        if not all(isinstance(part, exp.Identifier) for part in parts):
            continue  # a table function such as range(10)
        name = ".".join(part.name.lower() for part in parts)
        line = parts[0].meta["line"]
        if len(parts) == 1:
            if name not in local_names:
                raise _WrongError(
                    f"'{name}' is neither a CTE nor a table with its schema, such as normalized.{name}", line
                )
            continue
        start, end = parts[0].meta["start"], parts[-1].meta["end"] + 1
        own_name = sql[parts[-1].meta["start"] : end]
        references.append(Reference(name, start, end, None if table.alias else own_name, line))
    for column in tree.find_all(exp.Column):
        parts = column.parts
        if len(parts) > 2:
            name = ".".join(part.name.lower() for part in parts[:-1])
            qualifiers.append((name, parts[0].meta["start"], parts[-2].meta["start"]))
    return Parsed(sql, tuple(sorted(references, key=lambda each: each.start)), tuple(qualifiers))
