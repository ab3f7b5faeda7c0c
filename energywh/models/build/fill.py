"""Bring all tables of a version up to date: our seeds and models first, then the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from energywh.core.time import RunClock
from energywh.models.build.audits import AuditRunner
from energywh.models.build.events import Emitter, ModelEnded, ModelLeftOut, ModelsLinked, ModelStarted
from energywh.models.build.materialize import Materializer, ModelResult
from energywh.models.build.options import BuildOptions
from energywh.models.build.own_models import OwnModels, attempt_digest
from energywh.models.build.version_file import VersionFile
from energywh.models.contents.build_state import BuildState
from energywh.models.contents.staging import Landing, Staging, Watermark, detach
from energywh.models.contents.state import AuditResult, LeftOut, Meta, VersionFacts
from energywh.models.project.graph import Graph, link
from energywh.models.project.parse_cache import ParseCache
from energywh.models.project.project import Project


class BuildRequest:
    """What to build, and how.

    Attributes:
        wanted: models asked for by name, built with all they read; empty for all models.
        cache: what is known of the columns that SELECTs return.

    Raises:
        ModelError: a model is wrong, or one of the user's own that was asked for cannot be used.
    """

    def __init__(
        self, project: Project, wanted: list[str], options: BuildOptions, emit: Emitter, clock: RunClock, *, full: bool
    ) -> None:
        self.project = project
        self.graph = link(project)
        self.cache = ParseCache("columns", *map(str, project.folders))
        self.graph.project.pick(wanted)  # raises for a model that linking found to be unusable
        self.wanted = wanted
        self.options = options
        self.emit = emit
        self.clock = clock
        self.full = full
        emit(ModelsLinked(self.graph))
        for name, reason in self.unusable.items():
            emit(ModelLeftOut(name, reason))

    @property
    def unusable(self) -> dict[str, str]:
        """Why the user's own models and seeds cannot be built, by name; none if models were asked for by name."""
        return {} if self.wanted else dict(self.graph.left_out)


@dataclass(frozen=True)
class VersionContents:
    """What `fill` did.

    Attributes:
        changed: False if the version equals the one it is based on.
        landing, watermarks: what staging held.
    """

    models: list[ModelResult]
    warnings: list[AuditResult]
    left_out: dict[str, str]
    changed: bool
    landing: Landing
    watermarks: list[Watermark]

    def facts(
        self,
        request: BuildRequest,
        version: str,
        built_at_utc: datetime,
        *,
        base: tuple[str | None, str] = (None, "fresh"),
        as_of: tuple[datetime | None, str | None] = (None, None),
    ) -> VersionFacts:
        """Return what the version records about itself.

        Args:
            base: name of the version it is based on, and how.
            as_of: the moment and the kind of knowledge of a build --as-of.
        """
        options = request.options.recorded(full=request.full, names=request.wanted)
        return VersionFacts(version, built_at_utc, *base, self.landing, self.watermarks, options, *as_of)


def fill(version: VersionFile, request: BuildRequest) -> VersionContents:
    """Bring seeds and models of an open version up to date, and audit them.

    Raises:
        ModelError: one of our models fails.
        AuditError: data broke a promise of one of our models of severity `error`.
    """
    graph, emit = request.graph, request.emit
    warn_if_empty(version.staging, emit)
    state, left_out_before = BuildState(version.connection), Meta(version.connection).left_out()
    landing, watermarks = version.staging.landing, version.staging.watermarks()
    known = set(state.models)
    audits = AuditRunner(graph, state, full=request.full)

    def materializer() -> Materializer:
        return Materializer(
            version.connection, graph, state, version.staging, request.clock, request.cache, full=request.full
        )

    works = materializer()
    changed = _drop_gone(works, request, {*known, *state.seeds})
    for name, seed in graph.seeds.items():
        if name not in graph.own:
            changed |= works.load_seed(seed)

    names = _selected(graph, request.wanted, known)
    own_names = [name for name in names if name in graph.own]
    names = [name for name in names if name not in graph.own]
    total = len(names) + len(own_names)
    readers = [name for name in names if graph.staging(name)]
    results: dict[str, ModelResult] = {}
    if not readers:
        detach(version.connection)
    for position, name in enumerate(names, start=1):
        emit(ModelStarted(name, position, total))
        results[name] = works.build(graph.models[name])
        if readers and name == readers[-1]:
            detach(version.connection)  # so that a sync can land while the rest is built
        for audited, due in audits.due(results).items():
            audits.run(version.connection, audited, due, results)
        emit(ModelEnded(results[name]))
    for audited, due in audits.due(results, at_end=True).items():
        audits.run(version.connection, audited, due, results)

    own = OwnModels(version, graph, emit, materializer, audits, results)
    own_seeds = [name for name in graph.seeds if name in graph.own]
    changed |= own.build(own_seeds, own_names)
    detach(version.connection)
    state.write(version.connection)
    request.cache.save()
    may_be_empty = {name for name, model in graph.models.items() if model.may_be_empty} | set(graph.steps)
    if empty := [name for name, result in results.items() if not result.rows and name not in may_be_empty]:
        emit.say(f"warning: no rows in {', '.join(empty)}")

    tried = attempt_digest(request.project, request.options, state, watermarks)
    left_out = {name: LeftOut(reason, tried) for name, reason in request.unusable.items()}
    left_out |= {
        name: LeftOut(reason, None if name in own.may_pass else tried) for name, reason in own.failures.items()
    }
    if request.wanted:  # the others were not tried
        left_out = {name: each for name, each in left_out_before.items() if name not in results} | left_out
    Meta(version.connection).save_left_out(left_out)
    changed |= any(result.built for result in results.values())
    changed |= {(name, each.tried) for name, each in left_out_before.items()} != {
        (name, each.tried) for name, each in left_out.items()
    }
    warnings = [warning for warning in audits.warnings if warning.model in results]
    reasons = {name: each.reason for name, each in left_out.items()}
    return VersionContents(list(results.values()), warnings, reasons, changed, landing, watermarks)


def warn_if_empty(staging: Staging, emit: Emitter) -> None:
    """Warn if staging has no rows, so that a warehouse of empty tables does not pass for a good one."""
    if why := staging.why_empty():
        emit.say(f"warning: {why}")


def _drop_gone(works: Materializer, request: BuildRequest, held: set[str]) -> bool:
    """Drop tables whose file is gone, unless models were asked for by name, and those of unusable models."""
    changed = False
    graph = request.graph
    for name in sorted(request.unusable):
        changed |= works.drop(name)
    if not request.wanted:
        for name in sorted(held - {*graph.models, *graph.seeds} - request.unusable.keys()):
            changed |= works.drop(name)
            request.emit.say(f"dropped {name}: its file is gone, or its folder is not given any more")
    return changed


def _selected(graph: Graph, wanted: list[str], known: set[str]) -> list[str]:
    """Return the models to bring up to date, in order.

    Models asked for by name come with what they read, and with the views that read any of those, because a view over
    a table whose columns changed would fail.
    """
    if not wanted:
        return list(graph.order)
    names = graph.ancestors(wanted)
    for view in graph.reading_views(names) & known:
        names |= {view, *(graph.ancestors([view]) - known)}
    return [name for name in graph.order if name in names]
