"""Origins of columns, the values with which a SELECT is evaluated when its columns are traced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

ROWS = "*"  # stands for the rows of a table, where no column of it is meant
Place = tuple[str, str]  # table and column, or table and `ROWS`


@dataclass(frozen=True, order=True)
class ColumnChoice:
    """`column` of `table` is one of `values`, in the rows that an origin is taken from."""

    table: str
    column: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class ColumnOrigin:
    """A column that a value is made of.

    Attributes:
        column: its name, or `ROWS` if the value counts rows.
        where: the values of other columns that select the rows it is taken from, such as type = 'D'.
        given: columns of the result, and the constant that they hold wherever this origin is the value's.
        via: what the table is called in the SELECT that is being followed.
        other_rows: it comes from other rows than the other columns, as with lag().
    """

    table: str
    column: str
    where: frozenset[ColumnChoice] = frozenset()
    given: frozenset[tuple[str, str]] = frozenset()
    via: str = ""
    other_rows: bool = False

    @property
    def place(self) -> Place:
        return self.table, self.column


@dataclass(frozen=True)
class ColumnTrace:
    """What a column is computed from, and what selects its value.

    Attributes:
        constants: literals in it; relevant if there are no values.
        unchanged: it is one column of a table, or one constant, as it is.
    """

    values: frozenset[ColumnOrigin] = frozenset()
    conditions: frozenset[Place] = frozenset()
    constants: frozenset[str] = frozenset()
    unchanged: bool = False

    def __or__(self, other: ColumnTrace) -> ColumnTrace:
        return ColumnTrace(
            self.values | other.values, self.conditions | other.conditions, self.constants | other.constants, False
        )

    @property
    def places(self) -> frozenset[Place]:
        """Everything that the column depends on."""
        return self.conditions | {origin.place for origin in self.values}

    def given(self, places: Iterable[Place]) -> ColumnTrace:
        """Return the trace with further conditions."""
        return replace(self, conditions=self.conditions | frozenset(places))

    def mapped(self, change: Callable[[ColumnOrigin], ColumnOrigin]) -> ColumnTrace:
        return replace(self, values=frozenset(map(change, self.values)))

    def chosen(self, choices: Sequence[ChosenColumn], *, own_only: bool = False) -> ColumnTrace:
        """Return the trace as it is in the rows that meet ``choices``.

        Origins that are never in such a row go: of a UNION, those of the other branches.

        Args:
            own_only: what is chosen of one table says nothing about columns of another.
        """
        narrowed = (_narrowed(origin, choices, own_only) for origin in self.values)
        return replace(self, values=frozenset(origin for origin in narrowed if origin is not None))


@dataclass(frozen=True)
class ChosenColumn:
    """A condition `column = 'value'` or `column in (…)`, as a SELECT has it.

    Attributes:
        via: what the table of the column is called there.
        choices: the same of the columns of tables that the column is.
    """

    via: str
    column: str
    values: tuple[str, ...]
    choices: tuple[ColumnChoice, ...]

    @property
    def key(self) -> str:
        return f"{self.via}.{self.column}"


def _narrowed(origin: ColumnOrigin, choices: Sequence[ChosenColumn], own_only: bool) -> ColumnOrigin | None:
    """Return the origin as it is in the rows that meet ``choices``; None where it is in no such row."""
    if origin.other_rows:
        return origin
    given = dict(origin.given)
    where = {(choice.table, choice.column): choice.values for choice in origin.where}
    for chosen in choices:
        if given.get(chosen.key, chosen.values[0]) not in chosen.values:
            return None
        tables = {choice.table for choice in chosen.choices}
        for choice in chosen.choices:
            # Of a table that is read twice, the choice is about one of the two.
            own = choice.table == origin.table and chosen.via == origin.via
            if own or (not own_only and origin.table not in tables):
                place = choice.table, choice.column
                known = where.get(place, choice.values)
                where[place] = tuple(value for value in known if value in choice.values)
                if not where[place]:
                    return None
    return replace(origin, where=frozenset(ColumnChoice(*place, values) for place, values in where.items()))


@dataclass(frozen=True)
class Relation:
    """The columns of a table or query, in order, and what its rows depend on.

    Attributes:
        other: the trace of every further column; of a table function, whose columns are not known by name.
    """

    columns: Mapping[str, ColumnTrace]
    rows: frozenset[Place] = frozenset()
    other: ColumnTrace | None = None

    def under(self, conditions: Iterable[Place]) -> Relation:
        """Return the relation with further conditions on every column."""
        places = frozenset(conditions)
        other = None if self.other is None else self.other.given(places)
        return replace(self, columns={name: trace.given(places) for name, trace in self.columns.items()}, other=other)


def table_relation(table: str, columns: Iterable[str]) -> Relation:
    """Return the relation of a table that is read."""
    return Relation(
        {name.lower(): ColumnTrace(frozenset({ColumnOrigin(table, name.lower())}), unchanged=True) for name in columns},
        frozenset({(table, ROWS)}),
    )


def union(traces: Iterable[ColumnTrace]) -> ColumnTrace:
    """Return the union of ``traces``."""
    whole = ColumnTrace()
    for trace in traces:
        whole |= trace
    return whole
