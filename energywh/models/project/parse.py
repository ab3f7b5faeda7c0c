"""Parse the SELECT of a model or an audit: which tables it reads, and where it names them."""

from __future__ import annotations

from collections.abc import Callable

import sqlglot
from sqlglot import exp

from energywh.errors import ModelError
from energywh.models.project.references import Parsed, Reference
from energywh.models.tracing.syntax import syntax_trees


class _WrongError(Exception):
    """An error in a SELECT, with its line."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message, self.line = message, line


def parse_select(sql: str, error: Callable[[str, int], ModelError]) -> Parsed:
    """Find the tables that the SELECT ``sql`` reads; names of its own CTEs are not tables.

    Args:
        error: returns the error for a message and a line of ``sql``.

    Raises:
        ModelError: ``sql`` is not a single SELECT, or names a table without its schema.
    """
    try:
        return _parse(sql)
    except _WrongError as wrong:
        raise error(wrong.message, wrong.line) from None


def _parse(sql: str) -> Parsed:
    try:
        trees = syntax_trees(sql)
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
    outputs = tuple(name.lower() for name in tree.named_selects)
    ordered = tuple(sorted(references, key=lambda each: each.start))
    return Parsed(sql, ordered, tuple(qualifiers), outputs, *_with_clause(sql))


def _with_clause(sql: str) -> tuple[int, bool]:
    """Return where CTEs can be inserted into ``sql``, and whether it has a WITH clause there."""
    tokens = sqlglot.tokenize(sql, dialect="duckdb")
    if tokens[0].text.upper() != "WITH":
        return tokens[0].start, False
    last = tokens[1] if tokens[1].text.upper() == "RECURSIVE" else tokens[0]
    return last.end + 1, True
