"""A model with the origins of its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from energywh.models.project.parse_cache import ParseCache
from energywh.models.tracing.traces import ROWS, ColumnChoice, ColumnOrigin, ColumnTrace, Place


@dataclass(frozen=True)
class ModelSql:
    """The facts about a model that lineage needs."""

    name: str
    sql: str
    columns: Sequence[str]
    reads: Sequence[str]


@dataclass(frozen=True)
class TracedModel:
    """The columns of a model, in order, with their origins.

    Attributes:
        rows: what determines which rows exist.
        once: tables that the SELECT names only once.
        note: why the columns could not be traced; each then has all that the model reads as its origins.
    """

    columns: Mapping[str, ColumnTrace]
    rows: frozenset[Place]
    once: frozenset[str] = frozenset()
    note: str = ""

    def handed_on(self, origin: ColumnOrigin, chosen: Mapping[str, tuple[str, ...]]) -> frozenset[ColumnChoice]:
        """Return what selects the rows of an origin, with what is ``chosen`` of the model's own columns.

        A key that the model has as the same table has it selects that table's rows too, where it is read once.
        """
        where = {(choice.table, choice.column): choice.values for choice in origin.where}
        for column, values in chosen.items():
            trace = self.columns.get(column, ColumnTrace())
            if trace.unchanged and origin.table in self.once and not origin.other_rows:
                for key in trace.values:
                    if key.table == origin.table:
                        where.setdefault(key.place, values)
        return frozenset(ColumnChoice(*place, values) for place, values in where.items())


def traced_model(model: ModelSql, tables: Mapping[str, Sequence[str]], cache: ParseCache) -> TracedModel:
    """Return the trace of a model; if it cannot be traced, every column that it reads is an origin of each column.

    Args:
        tables: columns of every table that it reads.
    """
    read = {table: list(tables[table]) for table in sorted(model.reads) if table in tables}
    return cache.get(TracedModel, (model.sql, list(model.columns), read), lambda: _trace(model, read))


def _trace(model: ModelSql, tables: Mapping[str, Sequence[str]]) -> TracedModel:
    from energywh.models.tracing.scope import Untraceable
    from energywh.models.tracing.select import read_once, trace_select

    try:
        relation = trace_select(model.sql, tables)
        if set(relation.columns) != set(model.columns):
            strange = ", ".join(sorted(set(relation.columns) ^ set(model.columns)))
            raise Untraceable(f"columns that are not where they were looked for: {strange}")
    except Untraceable as reason:
        places = frozenset((table, column) for table in model.reads for column in (*tables.get(table, ()), ROWS))
        everything = ColumnTrace(frozenset(ColumnOrigin(*place) for place in places))
        return TracedModel(dict.fromkeys(model.columns, everything), places, note=f"not traced by column: {reason}")
    return TracedModel(relation.columns, relation.rows, read_once(model.sql))
