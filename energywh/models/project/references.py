"""Find the tables that a SELECT reads; put inline steps into it, or restrict the rows that it reads.

sqlglot gives the positions of the names. All other text is kept, so a model runs exactly as its author wrote it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import sqlglot
from sqlglot import exp

from energywh.errors import ModelError
from energywh.models.tracing.syntax import syntax_trees

_Edit = tuple[int, int, str]  # the slice from start to end becomes the text


@dataclass(frozen=True)
class Reference:
    """One place in a SELECT that names a table.

    Attributes:
        name: the full name in lower case, such as `normalized.demand` or `staging.eia.region_data`.
        start, end: slice of the SQL that contains the name.
        alias: text by which the SELECT may refer to the table; None where the SELECT gives an alias.
        line: line of the SQL text, counted from 1.
    """

    name: str
    start: int
    end: int
    alias: str | None
    line: int

    def moved(self, by: int) -> Reference:
        return replace(self, start=self.start + by, end=self.end + by)


@dataclass(frozen=True)
class Parsed:
    """A SELECT with the places where it names tables.

    Attributes:
        qualifiers: slices such as `normalized.` in `normalized.demand.hour_utc`, with the table name.
        outputs: names of the returned columns in order, as far as its first SELECT shows them; `*` for unnamed
            columns.
    """

    sql: str
    references: tuple[Reference, ...]
    qualifiers: tuple[tuple[str, int, int], ...]
    outputs: tuple[str, ...] = ()

    @property
    def tables(self) -> frozenset[str]:
        return frozenset(reference.name for reference in self.references)

    def with_steps(self, steps: Mapping[str, Parsed]) -> Parsed:
        """Return the SELECT with ``steps`` as CTEs before its own; its references then include those of the steps.

        Args:
            steps: all steps that it reads, directly or through other steps, each after those it reads.
        """
        if not steps:
            return self
        line = min(reference.line for reference in self.references if reference.name in steps)
        text, references, qualifiers = "", list[Reference](), list[tuple[str, int, int]]()
        for name, step in steps.items():
            text += f'{", " if text else ""}"{name}" AS NOT MATERIALIZED ('
            inner = step._edited(step._named_as_ctes(steps))
            references += [replace(each.moved(len(text)), line=line) for each in inner.references]
            qualifiers += [(table, start + len(text), end + len(text)) for table, start, end in inner.qualifiers]
            text += f"{inner.sql}\n)"  # the step may end with a comment
        at, opened = _with_clause(self.sql)
        before, after = (" ", ", ") if opened else ("WITH ", " ")
        own = self._edited([*self._named_as_ctes(steps), (at, at, f"{before}{text}{after}")])
        moved = at + len(before)
        return Parsed(
            own.sql,
            (*(each.moved(moved) for each in references), *own.references),
            (*((table, start + moved, end + moved) for table, start, end in qualifiers), *own.qualifiers),
        )

    def _named_as_ctes(self, steps: Mapping[str, Parsed]) -> list[_Edit]:
        """Return the edits that replace the names of ``steps`` by those of their CTEs."""
        edits = [
            (each.start, each.end, f'"{each.name}"' + (f" AS {each.alias}" if each.alias else ""))
            for each in self.references
            if each.name in steps
        ]
        return edits + [(start, end, "") for name, start, end in self.qualifiers if name in steps]

    def _edited(self, edits: Sequence[_Edit]) -> Parsed:
        """Return the SELECT after ``edits``, without the references and qualifiers that they replace."""
        sql, ordered = self.sql, sorted(edits)
        replaced = {(start, end) for start, end, _ in ordered}

        def moved(place: int) -> int:
            return place + sum(len(text) - (end - start) for start, end, text in ordered if end <= place)

        for start, end, text in reversed(ordered):
            sql = sql[:start] + text + sql[end:]
        references = [
            replace(each, start=moved(each.start), end=moved(each.end))
            for each in self.references
            if (each.start, each.end) not in replaced
        ]
        qualifiers = [
            (name, moved(start), moved(end)) for name, start, end in self.qualifiers if (start, end) not in replaced
        ]
        return Parsed(sql, tuple(references), tuple(qualifiers))

    def restricted(self, conditions: Mapping[str, str]) -> str:
        """Return the SQL with each table of ``conditions`` replaced by its rows that meet the condition."""
        edits: list[_Edit] = []
        for reference in self.references:
            if reference.name in conditions:
                written = self.sql[reference.start : reference.end]
                alias = f" AS {reference.alias}" if reference.alias else ""
                text = f"(SELECT * FROM {written} WHERE {conditions[reference.name]}){alias}"
                edits.append((reference.start, reference.end, text))
        edits += [(start, end, "") for name, start, end in self.qualifiers if name in conditions]
        return self._edited(edits).sql


class _WrongError(Exception):
    """An error in a SELECT, with its line."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message, self.line = message, line


def parse_select(sql: str, error: Callable[[str, int], ModelError]) -> Parsed:
    """Find the tables that ``sql`` reads; names of its own CTEs are not tables.

    Args:
        error: returns the error for a message and a line of ``sql``.

    Raises:
        ModelError: ``sql`` is not a single SELECT, or names a table without its schema.
    """
    try:
        return _parse(sql)
    except _WrongError as wrong:
        raise error(wrong.message, wrong.line) from None


@lru_cache(maxsize=1024)
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
    return Parsed(sql, tuple(sorted(references, key=lambda each: each.start)), tuple(qualifiers), outputs)


def _with_clause(sql: str) -> tuple[int, bool]:
    """Return where CTEs can be inserted into ``sql``, and whether it has a WITH clause there."""
    tokens = sqlglot.tokenize(sql, dialect="duckdb")
    if tokens[0].text.upper() != "WITH":
        return tokens[0].start, False
    last = tokens[1] if tokens[1].text.upper() == "RECURSIVE" else tokens[0]
    return last.end + 1, True
