"""The tables that a SELECT reads: put inline steps into it, or restrict the rows that it reads.

`parse` finds the positions of the names. All other text is kept, so a model runs exactly as its author wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from energywh.core.sql_text import identifier

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
        ctes_at: where CTEs can be inserted.
        has_ctes: it has a WITH clause there.
    """

    sql: str
    references: tuple[Reference, ...]
    qualifiers: tuple[tuple[str, int, int], ...]
    outputs: tuple[str, ...] = ()
    ctes_at: int = 0
    has_ctes: bool = False

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
        at = self.ctes_at
        before, after = (" ", ", ") if self.has_ctes else ("WITH ", " ")
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
            (each.start, each.end, f'"{each.name}"' + _alias(each)) for each in self.references if each.name in steps
        ]
        return edits + [(start, end, "") for name, start, end in self.qualifiers if name in steps]

    def _edited(self, edits: Sequence[_Edit]) -> Parsed:
        """Return the SELECT after ``edits``, without the references and qualifiers that they replace."""
        sql, ordered = self.sql, sorted(edits)
        replaced = {(start, end) for start, end, _ in ordered}

        def moved(place: int) -> int:
            return place + sum(len(text) - (end - start) for start, end, text in ordered if end <= place)

        def moved_end(place: int) -> int:  # text inserted right behind a name is not part of it
            return place + sum(len(text) - (end - start) for start, end, text in ordered if start < place)

        for start, end, text in reversed(ordered):
            sql = sql[:start] + text + sql[end:]
        references = [
            replace(each, start=moved(each.start), end=moved_end(each.end))
            for each in self.references
            if (each.start, each.end) not in replaced
        ]
        qualifiers = [
            (name, moved(start), moved(end)) for name, start, end in self.qualifiers if (start, end) not in replaced
        ]
        return replace(self, sql=sql, references=tuple(references), qualifiers=tuple(qualifiers))

    def restricted(self, conditions: Mapping[str, str]) -> Parsed:
        """Return the SELECT with each table of ``conditions`` replaced by its rows that meet the condition."""
        edits: list[_Edit] = []
        for reference in self.references:
            if reference.name in conditions:
                edits.append((reference.start, reference.start, "(SELECT * FROM "))
                edits.append((reference.end, reference.end, f" WHERE {conditions[reference.name]}){_alias(reference)}"))
        edits += [(start, end, "") for name, start, end in self.qualifiers if name in conditions]
        edited = self._edited(edits)
        references = (
            replace(each, alias=None if each.name in conditions else each.alias) for each in edited.references
        )
        return replace(edited, references=tuple(references))


def _alias(reference: Reference) -> str:
    """Return the alias that keeps the name of a table; quoted, because a name after AS may not be a word of SQL."""
    if not reference.alias:
        return ""
    quoted = reference.alias.startswith('"')
    return f" AS {reference.alias if quoted else identifier(reference.alias)}"
