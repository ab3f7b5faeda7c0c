"""Lineage of columns: back through the models to staging and the source's own field, and forward to what uses them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from energywh.errors import UnknownNameError, did_you_mean
from energywh.models.catalog.traced_model import ModelSql, TracedModel, traced_model
from energywh.models.project.graph import STAGING
from energywh.models.project.parse_cache import ParseCache
from energywh.models.project.units import UNITS
from energywh.models.tracing.traces import ROWS, ColumnChoice, ColumnOrigin, ColumnTrace, Place
from energywh.sources import all_datasets

if TYPE_CHECKING:
    from energywh.sources.base import Dataset

REVISION = "_revision"


@dataclass(frozen=True)
class SourceField:
    """The field of a source that a staging column holds.

    Attributes:
        where: the values of key columns that are taken, by the source's own names.
    """

    source: str
    title: str
    origin: str
    names: tuple[str, ...]
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __str__(self) -> str:
        chosen = " and ".join(f"{name} = {' or '.join(values)}" for name, values in self.where)
        names = " or ".join(f'"{name}"' for name in self.names)
        return f"{self.title}, {self.origin}: {names}{f' where {chosen}' if chosen else ''}"


@dataclass(frozen=True, eq=False)
class LineageStep:
    """A column, with the columns that its value is computed from.

    Attributes:
        kind: `model`, `seed` or `staging`.
        where: the values of other columns that select what is taken of it.
        conditions: columns that select the value without being part of it.
        constants: the values of a column that has no origins.
        field: the source's field of a staging column.
    """

    table: str
    column: str
    kind: str
    where: tuple[ColumnChoice, ...] = ()
    origins: tuple[LineageStep, ...] = ()
    conditions: tuple[Place, ...] = ()
    constants: tuple[str, ...] = ()
    field: SourceField | None = None
    note: str = ""

    @property
    def name(self) -> str:
        return self.table if self.column == ROWS else f"{self.table}.{self.column}"

    def steps(self) -> list[LineageStep]:
        """Return the step and all before it, each once."""
        found: dict[int, LineageStep] = {}
        waiting = [self]
        while waiting:
            step = waiting.pop()
            if id(step) not in found:
                found[id(step)] = step
                waiting += reversed(step.origins)
        return list(found.values())


@dataclass(frozen=True)
class Dependent:
    """A model that depends on a column or table.

    Attributes:
        only: columns whose value comes from it and from no other dataset.
        partly: columns whose value comes from it, and what other staging tables they come from.
        chosen: columns whose value it only selects, as a filter or a key does.
        rows: whether it determines which rows exist.
    """

    model: str
    only: tuple[str, ...] = ()
    partly: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    chosen: tuple[str, ...] = ()
    rows: bool = False


class Lineage:
    """The columns of all models, and the origins of each.

    Args:
        models: each after those it reads.
        tables: columns of the seeds and staging tables, by full name.
    """

    def __init__(self, models: Iterable[ModelSql], tables: Mapping[str, Sequence[str]], cache: ParseCache) -> None:
        known = dict(tables)
        self.models: dict[str, TracedModel] = {}
        self.reads: dict[str, tuple[str, ...]] = {}
        self.sql: dict[str, str] = {}
        for model in models:
            self.models[model.name] = traced = traced_model(model, known, cache)
            self.reads[model.name] = tuple(sorted(model.reads))
            self.sql[model.name] = model.sql
            known[model.name] = list(traced.columns)
        self.tables = known
        self._steps: dict[tuple[Place, frozenset[ColumnChoice]], LineageStep] = {}

    def kind(self, table: str) -> str:
        return "model" if table in self.models else "staging" if table.startswith(STAGING) else "seed"

    def pick(self, name: str) -> Place:
        """Return the table, or column, that a person named: in full, without schema, or a column without its unit.

        Raises:
            UnknownNameError: nothing or more than one thing is meant; the message names the nearest.
        """
        wanted = name.strip().lower()
        tables = list(self.tables)
        places = {f"{table}.{column}": (table, column) for table in tables for column in self.tables[table]}
        if wanted in self.tables:
            return wanted, ROWS
        if wanted in places:
            return places[wanted]
        endings = [wanted, *(wanted + unit for unit in UNITS)]
        # Of tables of one name, models come first, and staging before its revisions.
        found = [(table, ROWS) for table in self.models if table.endswith(f".{wanted}")]
        found = found or [(table, ROWS) for table in tables if table.endswith(f".{wanted}")]
        for ending in ([wanted], endings):
            ends = tuple(f".{each}" for each in ending)
            found = found or [place for full, place in places.items() if f".{full}".endswith(ends)]
        if len(found) == 1:
            return found[0]
        if found:
            found.sort(key=lambda place: self.kind(place[0]) != "model")
            listed = ", ".join(table if column == ROWS else f"{table}.{column}" for table, column in found[:5])
            raise UnknownNameError(f"'{name}' may be {listed}{' …' if found[5:] else ''}; give more of the name")
        table = wanted.rpartition(".")[0]
        within = [each for each in tables if table and (each == table or each.endswith(f".{table}"))]
        known = [full for full, place in places.items() if place[0] in within] if within else [*tables, *places]
        near = did_you_mean(wanted, known) or "; 'energywh models' lists the tables"
        raise UnknownNameError(f"no table or column is named '{name}'{near}")

    def trace(self, place: Place) -> ColumnTrace:
        """Return the origins of a column of a model, or of the rows of the table."""
        traced = self.models[place[0]]
        if place[1] == ROWS:
            return ColumnTrace(frozenset(ColumnOrigin(*each) for each in traced.rows))
        return traced.columns[place[1]]

    def step(self, place: Place, where: frozenset[ColumnChoice] = frozenset()) -> LineageStep:
        """Return a column with all its origins, back to the sources.

        Args:
            where: what selects the rows that are read.
        """
        if (place, where) not in self._steps:
            self._steps[place, where] = self._step(place, tuple(sorted(where)))
        return self._steps[place, where]

    def _step(self, place: Place, chosen: tuple[ColumnChoice, ...]) -> LineageStep:
        table, column = place
        kind = self.kind(table)
        if kind != "model":
            return LineageStep(table, column, kind, chosen, field=source_field(table, column, chosen))
        trace = self.trace(place)
        fixed = {choice.column: choice.values for choice in chosen if choice.table == table}
        origins = [
            self.step(origin.place, self.models[table].handed_on(origin, fixed))
            for origin in sorted(trace.values, key=lambda each: (each.place, sorted(each.where)))
            # Of a UNION, a side that holds another constant is not where the value comes from.
            if all(value in fixed.get(key, (value,)) for key, value in origin.given)
        ]
        return LineageStep(
            table,
            column,
            kind,
            chosen,
            tuple(origins),
            tuple(sorted(trace.conditions)),
            () if trace.values else tuple(sorted(trace.constants)),
            note=self.models[table].note,
        )

    def rows(self, table: str) -> frozenset[Place]:
        """Return what determines which rows a table has."""
        return self.models[table].rows if table in self.models else frozenset()

    def upstream_tables(self, table: str) -> list[str]:
        """Return the tables that a model reads, and those that they read, each once."""
        found: dict[str, None] = {}
        waiting = list(self.reads.get(table, ()))
        while waiting:
            name = waiting.pop(0)
            if name not in found:
                found[name] = None
                waiting += self.reads.get(name, ())
        return list(found)

    @cached_property
    def _closures(self) -> dict[Place, frozenset[Place]]:
        """Each column of a model, and the rows of it, with everything that its value comes from."""
        places = [(table, column) for table, traced in self.models.items() for column in (*traced.columns, ROWS)]
        return {place: frozenset((each.table, each.column) for each in self.step(place).steps()) for place in places}

    def downstream(self, place: Place) -> list[Dependent]:
        """Return what depends on a column, or on a table with all its columns, model by model."""
        table, column = place
        start = {place} if column != ROWS else {(table, each) for each in (*self.tables[table], ROWS)}
        chosen: set[Place] = set()  # what depends on it in any other way
        own_roots = (
            {table} if table.startswith(STAGING) else _staging(*(self._closures.get(each, ()) for each in start))
        )
        valued = start | {each for each, closure in self._closures.items() if closure & start}
        found: list[Dependent] = []
        for name, traced in self.models.items():
            if name == table:
                continue
            only: list[str] = []
            partly: dict[str, tuple[str, ...]] = {}
            by_choice: list[str] = []
            for each, trace in traced.columns.items():
                closure = self._closures[name, each]
                if closure & start:
                    others = tuple(sorted(_staging(closure) - own_roots))
                    if others:
                        partly[each] = others
                    else:
                        only.append(each)
                elif trace.places & chosen or trace.conditions & valued:
                    chosen.add((name, each))
                    by_choice.append(each)
            has_rows = bool(traced.rows & (valued | chosen))
            if has_rows:
                chosen.add((name, ROWS))
            if only or partly or by_choice or has_rows:
                found.append(Dependent(name, tuple(only), partly, tuple(by_choice), has_rows))
        return found


def _staging(*closures: Iterable[Place]) -> set[str]:
    """Return the staging tables among places."""
    return {table for closure in closures for table, _ in closure if table.startswith(STAGING)}


def dataset_of(table: str) -> Dataset | None:
    """Return the dataset that a staging table holds, or the revisions of; None if no source has it."""
    name = table.removeprefix(STAGING)
    return all_datasets().get(name) or all_datasets().get(name.removesuffix(REVISION))


def source_field(table: str, column: str, where: Iterable[ColumnChoice] = ()) -> SourceField | None:
    """Return the source's field of a staging column; None for a seed, and for a source that is not installed."""
    from energywh.sources import sources

    dataset = dataset_of(table) if table.startswith(STAGING) else None
    if dataset is None:
        return None
    source = sources()[dataset.source]
    chosen = tuple((dataset.fields_of(choice.column)[0], choice.values) for choice in where if choice.table == table)
    names = ("its rows",) if column == ROWS else dataset.fields_of(column)
    return SourceField(source.name, source.title or source.name, dataset.origin, names, chosen)
