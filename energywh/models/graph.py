"""Who reads whom: the models in the order in which they can be built."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from energywh.errors import ModelError, did_you_mean
from energywh.models.frontmatter import Audit, Model
from energywh.models.project import Project, Seed
from energywh.models.references import Parsed, Reference, parse_select

STAGING = "staging."


@dataclass(frozen=True)
class Graph:
    """Models with what they read.

    Attributes:
        order: model names, each after everything it reads; readers of staging as early as can be, so that
            staging is held for as short a time as possible.
        audits: tables that each audit of a model reads.
    """

    project: Project
    parsed: Mapping[str, Parsed]
    audits: Mapping[tuple[str, Audit], frozenset[str]]
    order: tuple[str, ...]

    @property
    def models(self) -> Mapping[str, Model]:
        return self.project.models

    @property
    def seeds(self) -> Mapping[str, Seed]:
        return self.project.seeds

    def upstream(self, name: str) -> list[str]:
        """Return the models and seeds that model ``name`` reads, sorted."""
        return sorted(table for table in self.parsed[name].tables if not table.startswith(STAGING))

    def staging(self, name: str) -> list[str]:
        """Return the staging tables that model ``name`` reads, such as `staging.eia.region_data`, sorted."""
        return sorted(table for table in self.parsed[name].tables if table.startswith(STAGING))

    def ancestors(self, names: Iterable[str]) -> set[str]:
        """Return ``names`` with all models that they or their audits read, directly or not."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                audited = (tables for (model, _), tables in self.audits.items() if model == name)
                reads = frozenset(self.upstream(name)).union(*audited)
                waiting += [table for table in reads if table in self.models]
        return found

    def reading_views(self, names: set[str]) -> set[str]:
        """Return the views that read one of ``names``, directly or through other views."""
        found: set[str] = set()
        for name in self.order:
            if self.models[name].materialized == "view" and (names | found).intersection(self.upstream(name)):
                found.add(name)
        return found


def link(project: Project) -> Graph:
    """Find what each model reads, and the order of building.

    Raises:
        ModelError: SQL that cannot be parsed, a reference to nothing, a cycle, a view over staging; the
            message begins with file and line.
    """
    parsed: dict[str, Parsed] = {}
    audits: dict[tuple[str, Audit], frozenset[str]] = {}
    for model in project.models.values():
        parsed[model.name] = _parse_model(model)
        for audit in model.audits:
            own = frozenset({model.name})
            audits[model.name, audit] = _parse_audit(model, audit).tables if audit.kind == "sql" else own

    for model in project.models.values():
        for reference in parsed[model.name].references:
            _check(project, model, reference)
        for audit in model.audits:
            for table in audits[model.name, audit]:
                if table not in project.models and table not in project.seeds:
                    known = [*project.models, *project.seeds]
                    raise ModelError(
                        f"{model.path}:{audit.line}: the audit reads '{table}', which is neither a model nor a seed"
                        f"{did_you_mean(table, known)}"
                    )
    return Graph(project, parsed, audits, _order(project, parsed))


def _parse_model(model: Model) -> Parsed:
    def error(message: str, line: int) -> ModelError:
        return ModelError(f"{model.path}:{model.sql_line + line - 1}: {message}")

    return parse_select(model.sql, error)


def _parse_audit(model: Model, audit: Audit) -> Parsed:
    def error(message: str, line: int) -> ModelError:
        return ModelError(f"{model.path}:{audit.line + line - 1}: in an audit: {message}")

    return parse_select(audit.sql, error)


def _check(project: Project, model: Model, reference: Reference) -> None:
    """Refuse a reference to what is not there, and views over staging, which readers do not have."""
    where = f"{model.path}:{model.sql_line + reference.line - 1}"
    if reference.name.startswith(STAGING):
        if model.materialized == "view":
            raise ModelError(
                f"{where}: a view cannot read {reference.name}: people who query the warehouse have no staging; "
                'use materialized = "table"'
            )
        if reference.name.count(".") != 2 or reference.name.startswith("staging.sync."):
            raise ModelError(
                f"{where}: '{reference.name}' is not a dataset of staging, such as staging.eia.region_data"
            )
        return
    if reference.name not in project.models and reference.name not in project.seeds:
        known = [*project.models, *project.seeds]
        raise ModelError(
            f"{where}: '{reference.name}' is neither a model nor a seed{did_you_mean(reference.name, known)}"
        )


def _order(project: Project, parsed: Mapping[str, Parsed]) -> tuple[str, ...]:
    """Sort topologically; among models that are ready, those that read staging come first, then by name."""
    waits_for = {name: {t for t in parsed[name].tables if t in project.models} for name in project.models}

    def rank(name: str) -> tuple[bool, str]:
        return not any(table.startswith(STAGING) for table in parsed[name].tables), name

    ready = [rank(name) for name, tables in waits_for.items() if not tables]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        name = heapq.heappop(ready)[1]
        order.append(name)
        for other, tables in waits_for.items():
            if name in tables:
                tables.discard(name)
                if not tables:
                    heapq.heappush(ready, rank(other))
    if len(order) < len(waits_for):
        raise _cycle(project, parsed, {name: tables for name, tables in waits_for.items() if tables})
    return tuple(order)


def _cycle(project: Project, parsed: Mapping[str, Parsed], left: Mapping[str, set[str]]) -> ModelError:
    """Describe one cycle among the models that could not be ordered."""
    trail = [min(left)]
    while (following := min(left[trail[-1]])) not in trail:
        trail.append(following)
    cycle = trail[trail.index(following) :]
    model = project.models[cycle[0]]
    after = [*cycle[1:], cycle[0]]
    line = next(each.line for each in parsed[cycle[0]].references if each.name == after[0])
    path = " reads ".join([*cycle, cycle[0]])
    return ModelError(f"{model.path}:{model.sql_line + line - 1}: models read each other in a circle: {path}")
