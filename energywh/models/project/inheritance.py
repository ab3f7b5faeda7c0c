"""Complete the columns of a model: a column passed on unchanged inherits its description."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from energywh.errors import ModelError, did_you_mean
from energywh.models.project.model import TIME_COLUMN, Model
from energywh.models.project.references import Parsed
from energywh.models.project.seed import Seed
from energywh.models.tracing.syntax import syntax_trees


class Tables(Mapping[str, Sequence[str]]):
    """The columns of staging tables, seeds and models, by full name.

    Args:
        models: models whose columns are complete.
    """

    def __init__(self, models: Mapping[str, Model], seeds: Mapping[str, Seed]) -> None:
        self._models, self._seeds = models, seeds

    def __getitem__(self, name: str) -> Sequence[str]:
        if name in self._models:
            return list(self._models[name].columns)
        if name in self._seeds:
            return self._seeds[name].columns()
        from energywh.sync.schema import staging_columns

        return staging_columns()[name]

    def __iter__(self) -> Iterator[str]:
        from energywh.sync.schema import staging_columns

        yield from (*staging_columns(), *self._seeds, *self._models)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def complete(model: Model, parsed: Parsed, models: Mapping[str, Model], tables: Tables) -> Model:
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
        found = dict(_inherited(model, models, tables))
        columns = {name: words for name in found if (words := columns.get(name) or found[name])} | columns
    for key, name, line in model.unlisted:
        if name not in columns:
            near = did_you_mean(name, columns)
            raise ModelError(f"{model.path}:{line}: '{key}' names '{name}', which is not in [columns]{near}")
    time_column = model.time_column or (TIME_COLUMN if TIME_COLUMN in columns else None)
    return msgspec.structs.replace(model, columns=columns, time_column=time_column)


def _inherited(model: Model, models: Mapping[str, Model], tables: Tables) -> Iterator[tuple[str, str | None]]:
    """Yield the columns of a model in order; those passed on unchanged with their description, others with None."""
    from energywh.models.tracing.scope import Untraceable
    from energywh.models.tracing.select import trace_select

    try:
        traced = trace_select(model.sql, tables).columns
    except Untraceable:
        return
    moves = _moves_hours(model.sql, {each.time_column for each in models.values()} - {None})
    for name, trace in traced.items():
        places = {origin.place for origin in trace.values}
        words = None
        if trace.unchanged and len(places) == 1:
            ((table, column),) = places
            words = models[table].columns.get(name) if table in models and column == name else None
        # The mark of a moved value would be wrong: "[past] Demand at t-1" holds only beside its own hour.
        if words is not None and moves and words.startswith("[") and not words.startswith(_ANY_HOUR):
            words = None
        yield name, words


_ANY_HOUR = ("[ahead]", "[hindsight]")  # marks that stay true when a value is moved to another hour


def _moves_hours(sql: str, time_columns: Collection[str | None]) -> bool:
    """Return whether a SELECT may move values to another hour: it computes with hours, or joins by unequal hours."""
    from sqlglot import exp

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
