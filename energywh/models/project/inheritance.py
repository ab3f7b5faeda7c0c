"""Complete the columns of a model: a column passed on unchanged inherits its description."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from energywh.errors import ModelError, did_you_mean
from energywh.models.project.model import TIME_COLUMN, Model
from energywh.models.project.parse_cache import ParseCache
from energywh.models.project.references import Parsed
from energywh.models.project.seed import Seed
from energywh.models.tracing.traces import Place


class Tables(Mapping[str, Sequence[str]]):
    """The columns of staging tables, seeds and models, by full name.

    Args:
        models: models whose columns are complete.
    """

    def __init__(self, models: Mapping[str, Model], seeds: Mapping[str, Seed]) -> None:
        from energywh.sync.schema import staging_columns

        self._models, self._seeds, self._staging = models, seeds, staging_columns()

    def __getitem__(self, name: str) -> Sequence[str]:
        if name in self._models:
            return list(self._models[name].columns)
        if name in self._seeds:
            return self._seeds[name].columns()
        return self._staging[name]

    def __iter__(self) -> Iterator[str]:
        yield from (*self._staging, *self._seeds, *self._models)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class PassedColumns(Struct, frozen=True):
    """The columns that a SELECT returns, in order, as far as they can be known.

    Attributes:
        places: by name, the table and column that it passes on unchanged, or None.
        moves: whether it may move values to another hour.
    """

    places: dict[str, Place | None]
    moves: bool


def complete(model: Model, parsed: Parsed, models: Mapping[str, Model], tables: Tables, cache: ParseCache) -> Model:
    """Return the model with inherited columns added, in the order of its SELECT.

    A column is inherited if its value is that of one column of the same name of one other model. The build rejects any
    other column that the file does not describe.

    Args:
        parsed: its SELECT, as in the file.
        models: the complete models, which include all that it reads.

    Raises:
        ModelError: the front matter names a column that is neither in [columns] nor inherited.
    """
    columns = dict(model.columns)
    if set(parsed.outputs) - columns.keys():
        found = dict(_inherited(model, parsed, models, tables, cache))
        columns = {name: words for name in found if (words := columns.get(name) or found[name])} | columns
    for key, name, line in model.unlisted:
        if name not in columns:
            near = did_you_mean(name, columns)
            raise ModelError(f"{model.path}:{line}: '{key}' names '{name}', which is not in [columns]{near}")
    time_column = model.time_column or (TIME_COLUMN if TIME_COLUMN in columns else None)
    return msgspec.structs.replace(model, columns=columns, time_column=time_column)


def _inherited(
    model: Model, parsed: Parsed, models: Mapping[str, Model], tables: Tables, cache: ParseCache
) -> Iterator[tuple[str, str | None]]:
    """Yield the columns of a model in order; those passed on unchanged with their description, others with None."""
    read = {table: list(tables[table]) for table in sorted(parsed.tables) if table in tables}
    time_columns = sorted({each.time_column for each in models.values() if each.time_column is not None})

    def trace() -> PassedColumns:
        return _passed(model.sql, read, time_columns)

    passed = cache.get(PassedColumns, (model.sql, read, time_columns), trace)
    for name, place in passed.places.items():
        table, column = place or ("", "")
        words = models[table].columns.get(name) if table in models and column == name else None
        # The mark of a moved value would be wrong: "[past] Demand at t-1" holds only beside its own hour.
        if words is not None and passed.moves and words.startswith("[") and not words.startswith(_ANY_HOUR):
            words = None
        yield name, words


_ANY_HOUR = ("[ahead]", "[hindsight]")  # marks that stay true when a value is moved to another hour


def _passed(sql: str, tables: Mapping[str, Sequence[str]], time_columns: Collection[str]) -> PassedColumns:
    from energywh.models.tracing.scope import Untraceable
    from energywh.models.tracing.select import trace_select

    try:
        traced = trace_select(sql, tables).columns
    except Untraceable:
        return PassedColumns({}, moves=False)
    places: dict[str, Place | None] = {}
    for name, trace in traced.items():
        found = {origin.place for origin in trace.values}
        places[name] = found.pop() if trace.unchanged and len(found) == 1 else None
    return PassedColumns(places, _moves_hours(sql, time_columns))


def _moves_hours(sql: str, time_columns: Collection[str]) -> bool:
    """Return whether a SELECT may move values to another hour: it computes with hours, or joins by unequal hours."""
    from sqlglot import exp

    from energywh.models.tracing.syntax import syntax_trees

    (tree,) = syntax_trees(sql)
    assert tree is not None
    for column in tree.find_all(exp.Column):
        if column.name.lower() in time_columns:
            parent = column.parent
            compared = isinstance(parent, exp.Predicate) and not isinstance(parent, exp.EQ)
            if isinstance(parent, exp.Add | exp.Sub | exp.Func | exp.Cast) or (
                compared and column.find_ancestor(exp.Join, exp.Select).__class__ is exp.Join
            ):
                return True
    return False
