"""The graph of models and what they read, in build order."""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import msgspec

from energywh.errors import ModelError, did_you_mean
from energywh.models.project.inheritance import Tables, complete
from energywh.models.project.model import Audit, Model
from energywh.models.project.parse_cache import ParseCache
from energywh.models.project.project import Project
from energywh.models.project.references import Parsed, Reference
from energywh.models.project.seed import Seed

STAGING = "staging."

Reach = tuple[timedelta, timedelta]  # back and ahead of an hour


@dataclass(frozen=True)
class Graph:
    """Models and what they read. The user's own models that cannot be linked are only in `left_out`.

    Attributes:
        reach: how far before and after the hours of each model its SELECT, and each step in it, reads.
        order: model names, each after everything it reads; readers of staging as early as possible, to keep staging
            open for a short time.
        written: SELECT of each model, as in its file.
        parsed: SELECT that runs: steps are put into it, so it reads only tables and views.
        audits: tables that each audit of a model reads.
    """

    project: Project
    written: Mapping[str, Parsed]
    parsed: Mapping[str, Parsed]
    audits: Mapping[tuple[str, Audit], frozenset[str]]
    reach: Mapping[str, Mapping[str, Reach]]
    order: tuple[str, ...]

    @property
    def models(self) -> Mapping[str, Model]:
        return self.project.models

    @property
    def seeds(self) -> Mapping[str, Seed]:
        return self.project.seeds

    @property
    def own(self) -> frozenset[str]:
        """Names of the user's own models and seeds, valid or not."""
        return self.project.own

    @property
    def left_out(self) -> Mapping[str, str]:
        """Why models of the user's own are left out, by name."""
        return self.project.left_out

    @property
    def steps(self) -> frozenset[str]:
        """Names of the inline models, which are put into the models that read them."""
        return frozenset(name for name, model in self.models.items() if model.materialized == "inline")

    def upstream(self, name: str) -> list[str]:
        """Return the models (steps included) and seeds that model ``name`` reads, directly or through steps, sorted."""
        return sorted(table for table in self.reads(name) if not table.startswith(STAGING))

    def staging(self, name: str) -> list[str]:
        """Return the staging tables that model ``name`` reads, directly or through steps, sorted."""
        return sorted(table for table in self.parsed[name].tables if table.startswith(STAGING))

    def reads(self, name: str) -> frozenset[str]:
        """Return every table and step that model ``name`` reads, directly or through steps."""
        return self.written[name].tables | self.parsed[name].tables

    def sql(self, name: str) -> str:
        """Return the SELECT of model ``name`` that runs."""
        return self.placed(name, self.parsed[name].sql)

    def restricted(self, name: str, condition: Callable[[str, Reach], str | None]) -> str:
        """Return the SELECT of model ``name``, reading only the rows of each table and step that meet a condition.

        Args:
            condition: returns the condition for a table and how far the SELECT around its name reads; None for none.
        """
        parts: dict[str, Parsed] = {}
        for part, reach in self.reach[name].items():
            found = {table: condition(table, reach) for table in self.written[part].tables}
            parts[part] = self.written[part].restricted({table: text for table, text in found.items() if text})
        own = parts.pop(name)
        return self.placed(name, own.with_steps({step: parts[step] for step in self.order if step in parts}).sql)

    def placed(self, name: str, sql: str) -> str:
        """Return ``sql``, derived from model ``name``, after empty lines that make DuckDB's line numbers the file's."""
        model = self.models[name]
        lines_of_steps = sql.count("\n") - model.sql.count("\n")
        return "\n" * max(model.sql_line - 1 - lines_of_steps, 0) + sql

    def ancestors(self, names: Iterable[str]) -> set[str]:
        """Return ``names`` and all models that they or their audits read, directly or indirectly."""
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

    def readers(self, name: str) -> list[str]:
        """Return the models that read ``name``, in their SELECT or audits, directly or indirectly, nearest first."""
        reads = {model: set(self.reads(model)) for model in self.order}
        for (model, _), tables in self.audits.items():
            reads[model] |= tables
        found = [name]
        for each in found:
            found += [model for model in self.order if each in reads[model] and model not in found]
        return found[1:]

    def why_not(self, name: str, left_out: Collection[str]) -> str:
        """Return the message that says where model ``name`` reads one of ``left_out``."""
        model = self.models[name]
        places = [(each.name, model.sql_line + each.line - 1) for each in self.written[name].references]
        places += [(table, audit.line) for audit in model.audits for table in sorted(self.audits[name, audit])]
        table, line = next(place for place in places if place[0] in left_out and place[0] != name)
        return f"{model.path}:{line}: it reads '{table}', which is left out"

    def reading_views(self, names: set[str]) -> set[str]:
        """Return the views that read one of ``names``, directly or through other views."""
        found: set[str] = set()
        for name in self.order:
            if self.models[name].materialized == "view" and (names | found).intersection(self.upstream(name)):
                found.add(name)
        return found


def link(project: Project) -> Graph:
    """Find what each model reads, and the build order.

    The user's own models that are wrong, or read a wrong one, are left out, with the reason. Models shipped with
    energywh may not read the user's, because they must build without them.

    Raises:
        ModelError: SQL that cannot be parsed, an unknown table, a cycle, a view over staging; the message begins
            with file and line.
    """
    for known, graph in tuple(_linked):
        if known == project:
            return graph
    with ParseCache("graph", *map(str, project.folders)) as cache:
        graph = _link(project, cache)
    _linked.append((project, graph))
    return graph


# Cache of the last linked projects, compared by content: linking takes a third of a small build, and `energywh watch`
# links the same files in every round.
_linked: deque[tuple[Project, Graph]] = deque(maxlen=4)


def _link(project: Project, cache: ParseCache) -> Graph:
    parsed: dict[str, Parsed] = {}
    audits: dict[tuple[str, Audit], frozenset[str]] = {}
    left_out = dict(project.left_out)
    steps = {name for name, model in project.models.items() if model.materialized == "inline"}

    def attempt(model: Model, work: Callable[[Model], None]) -> None:
        try:
            work(model)
        except ModelError as error:
            if model.name not in project.own:
                raise
            left_out[model.name] = str(error)

    def parse(model: Model) -> None:
        parsed[model.name] = _parse_model(model, cache)
        for audit in model.audits:
            itself = frozenset({model.name})
            audits[model.name, audit] = _parse_audit(model, audit, cache).tables if audit.kind == "sql" else itself

    def check(model: Model) -> None:
        known = {*project.models, *project.seeds} - left_out.keys()
        if model.name not in project.own:
            known -= project.own
        for reference in parsed[model.name].references:
            _check(model, reference, known, left_out)
        for audit in model.audits:
            for table in audits[model.name, audit]:
                if table in steps:
                    raise ModelError(f"{model.path}:{audit.line}: the audit reads '{table}', a step without rows")
                if table not in known:
                    raise ModelError(f"{model.path}:{audit.line}: the audit reads {_unknown(table, known, left_out)}")

    def finish(model: Model) -> None:
        models[model.name] = complete(model, parsed[model.name], models, columns, cache)
        read = _steps_read(model.name, parsed, [step for step in order if step in steps])
        reach[model.name] = _reach(model.name, read, parsed, project.models)
        if read:
            expanded[model.name] = parsed[model.name].with_steps({step: parsed[step] for step in read})
            _check_view(model, expanded[model.name])
            facts = (model.sql_hash, [models[step].sql_hash for step in read])
            digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
            lookback, lookahead = (max(furthest) for furthest in zip(*reach[model.name].values(), strict=True))
            models[model.name] = msgspec.structs.replace(
                models[model.name], sql_hash=digest, lookback=lookback, lookahead=lookahead
            )

    for model in project.models.values():
        attempt(model, parse)
    order: tuple[str, ...] = ()
    models, expanded, reach = dict[str, Model](), dict[str, Parsed](), dict[str, dict[str, Reach]]()
    columns = Tables(models, project.seeds)
    before = -1
    while len(left_out) > before:  # repeat for readers of the models left out in the last pass
        before = len(left_out)
        for name, model in project.models.items():
            if name not in left_out:
                attempt(model, check)
        order = _order(project, parsed, left_out)
        for name in order:
            attempt(project.models[name], finish)
    models = {name: models[name] for name in project.models if name not in left_out}
    return Graph(
        replace(project, models=models, left_out=left_out),
        {name: parsed[name] for name in models},
        {name: expanded.get(name, parsed[name]) for name in models},
        {key: tables for key, tables in audits.items() if key[0] in models},
        {name: reach[name] for name in models},
        order,
    )


def _steps_read(name: str, parsed: Mapping[str, Parsed], steps: Iterable[str]) -> list[str]:
    """Return those of ``steps`` (in build order) that model ``name`` reads, directly or through other steps."""
    reached = {name}
    for step in reversed(list(steps)):
        if any(step in parsed[each].tables for each in reached):
            reached.add(step)
    return [step for step in steps if step in reached and step != name]


def _reach(
    name: str, steps: Sequence[str], parsed: Mapping[str, Parsed], models: Mapping[str, Model]
) -> dict[str, Reach]:
    """Return how far model ``name`` and each of ``steps`` (in build order) reads: a step, from where its readers do."""
    found: dict[str, Reach] = {name: (models[name].lookback, models[name].lookahead)}
    for step in reversed(steps):
        readers = [reach for reader, reach in found.items() if step in parsed[reader].tables]
        found[step] = (
            models[step].lookback + max(back for back, _ in readers),
            models[step].lookahead + max(ahead for _, ahead in readers),
        )
    return found


def _check_view(model: Model, expanded: Parsed) -> None:
    """Raise ModelError for a view that reads staging through a step."""
    if model.materialized == "view" and (read := next((t for t in expanded.tables if t.startswith(STAGING)), None)):
        line = model.sql_line + min(each.line for each in expanded.references if each.name == read) - 1
        raise ModelError(f"{model.path}:{line}: {_NO_VIEW.format(read)}")


_NO_VIEW = 'a view cannot read {}: people who query the warehouse have no staging; use materialized = "table"'


def _parse_model(model: Model, cache: ParseCache) -> Parsed:
    def error(message: str, line: int) -> ModelError:
        return ModelError(f"{model.path}:{model.sql_line + line - 1}: {message}")

    return _parse(model.sql, error, cache)


def _parse_audit(model: Model, audit: Audit, cache: ParseCache) -> Parsed:
    def error(message: str, line: int) -> ModelError:
        return ModelError(f"{model.path}:{audit.line + line - 1}: in an audit: {message}")

    return _parse(audit.sql, error, cache)


def _parse(sql: str, error: Callable[[str, int], ModelError], cache: ParseCache) -> Parsed:
    def parse() -> Parsed:
        from energywh.models.project.parse import parse_select

        return parse_select(sql, error)

    return cache.get(Parsed, sql, parse)


def _check(model: Model, reference: Reference, known: Collection[str], left_out: Mapping[str, str]) -> None:
    """Raise ModelError for an unknown table and for a view over staging, which readers of the warehouse do not have."""
    where = f"{model.path}:{model.sql_line + reference.line - 1}"
    if reference.name.startswith(STAGING):
        if model.materialized == "view":
            raise ModelError(f"{where}: {_NO_VIEW.format(reference.name)}")
        if reference.name.count(".") != 2 or reference.name.startswith("staging.sync."):
            raise ModelError(
                f"{where}: '{reference.name}' is not a dataset of staging, such as staging.eia.region_data"
            )
        return
    if reference.name not in known:
        raise ModelError(f"{where}: it reads {_unknown(reference.name, known, left_out)}")


def _unknown(name: str, known: Collection[str], left_out: Mapping[str, str]) -> str:
    if name in left_out:
        return f"'{name}', which is left out"
    return f"'{name}', which is neither a model nor a seed{did_you_mean(name, known)}"


def _order(project: Project, parsed: Mapping[str, Parsed], left_out: dict[str, str]) -> tuple[str, ...]:
    """Sort topologically; among models that are ready, readers of staging first, then by name.

    The user's own models that form a cycle, and those that read them, are added to ``left_out``.
    """
    names = [name for name in project.models if name not in left_out]
    waits_for = {name: {t for t in parsed[name].tables if t in names} for name in names}

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
    if left := {name: tables for name, tables in waits_for.items() if tables}:
        error = _cycle(project, parsed, left)
        if not left.keys() <= project.own:
            raise error
        left_out |= dict.fromkeys(left, str(error))
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
