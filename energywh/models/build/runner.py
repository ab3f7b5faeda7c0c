"""Build the warehouse: a new version beside the published one, audited, then published in one step."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from energywh.core.database import connect
from energywh.core.interrupt import interruptible
from energywh.core.locks import file_lock
from energywh.core.paths import Home, sql_dir
from energywh.core.storage_errors import Cause, cause_of, storage_error
from energywh.core.time import utc_now
from energywh.errors import AuditError, CorruptError, ModelError, StorageError
from energywh.models.build import as_of_cache as asof_cache
from energywh.models.build.audits import proven_before, run_audit
from energywh.models.build.events import (
    BuildEnded,
    BuildFailed,
    BuildListener,
    BuildStarted,
    Emitter,
    ModelEnded,
    ModelLeftOut,
    ModelsLinked,
    ModelStarted,
)
from energywh.models.build.materialize import Materializer, ModelResult, model_error
from energywh.models.build.options import BuildOptions
from energywh.models.build.report import BuildReport
from energywh.models.build.staging import Staging, Watermark, attach_read_only, let_go
from energywh.models.build.state import AuditResult, LeftOut, Meta, compatible
from energywh.models.project.graph import STAGING, Graph, link
from energywh.models.project.model import Audit, Model
from energywh.models.project.project import Project, load_project
from energywh.models.versions import publish
from energywh.models.versions.records import count_changes, differing_months, encode, read_record
from energywh.sync.schema import bring_up_to_date

if TYPE_CHECKING:
    import duckdb


def build(
    home: Home,
    names: Iterable[str] = (),
    *,
    full: bool = False,
    sql: Path | None = None,
    options: BuildOptions | None = None,
    listeners: Iterable[BuildListener] = (),
) -> BuildReport:
    """Bring the warehouse up to date with staging and with the `sql/` folder, and publish it.

    Only what changed is computed; the result equals that of a full build, row for row. Either all of it is
    published or nothing: a failure, Ctrl-C or a killed process leaves what was published before. Only a model of the
    user's own that fails is left out instead, so that it cannot keep anyone from the rest; the report says why.

    Args:
        names: models to build, with all they read; empty for all models.
        full: compute everything anew.
        sql: folder of seeds and models; the one that came with the package by default.
        listeners: take the events of the build, in this order.

    Raises:
        UnknownNameError: a name in ``names`` is not a model.
        UsageError: a folder of the user's own models is not there, or has nothing in it; a setting is wrong.
        ModelError: a model file is wrong, or fails, or two have one name.
        AuditError: data broke a promise of severity `error`.
        StorageError: nothing was synced yet, the disk is full, a file cannot be used, something that is not a link
            stands at `energy.duckdb`, or DuckDB fails.
        LockedError: another build or a sync held a file for too long.
    """
    emit = Emitter(listeners)
    emit(BuildStarted(home))
    try:
        report = _build(home, names, full, sql or sql_dir(), options or BuildOptions(), emit)
    except BaseException as error:
        emit(BuildFailed(error))
        raise
    emit(BuildEnded(report))
    return report


def _build(
    home: Home, names: Iterable[str], full: bool, sql: Path, options: BuildOptions, emit: Emitter
) -> BuildReport:
    began = time.monotonic()
    project = load_project(sql, {"corrections": options.corrections}, options.models)
    wanted = project.pick(names)
    if not home.staging.is_file():
        raise StorageError(
            f"nothing has been synced into {home.path} yet; run 'energywh sync', or 'energywh demo' to see it all work"
        )
    publish.check_link(home)
    home.create()
    with (
        build_errors("write a new version under", home.versions),
        file_lock(home.locks / "build.lock", "another build", options.wait_seconds, emit.say),
    ):
        home.versions.mkdir(exist_ok=True)
        bring_up_to_date(home.staging, wait_seconds=options.wait_seconds, on_wait=emit.say)
        publish.sweep(home)
        publish.finish_publishing(home)
        current = publish.current_version(home)
        if current is not None and not full:
            left_out = _nothing_new(home, current, project, wanted, options, emit)
            if left_out is not None:
                seconds = time.monotonic() - began
                return BuildReport(current.stem, current, published=False, seconds=seconds, left_out=left_out)
        task = Task(project, wanted, full, options, emit)
        build = _Build(home, task, began)
        return until_done(build.run)


class Task:
    """What is to be built, whichever file it goes into. It outlives a start from the beginning.

    Attributes:
        left_out: what models and seeds of the user's own failed by, and what therefore cannot be built, by name.
        by_chance: those of them that failed by what may pass by itself, such as a full disk.

    Raises:
        ModelError: a model is wrong, or what was asked for is the user's own and cannot be used.
    """

    def __init__(self, project: Project, wanted: list[str], full: bool, options: BuildOptions, emit: Emitter) -> None:
        self.graph = link(project)
        self.graph.project.pick(wanted)  # of the user's own, some may be left out now
        self.wanted = wanted
        self.full = full
        self.options = options
        self.emit = emit
        emit(ModelsLinked(self.graph))
        self.project = project
        self.left_out = {} if wanted else dict(self.graph.left_out)
        self.by_chance: set[str] = set()
        for name, why in self.left_out.items():
            emit(ModelLeftOut(name, why))


@dataclass(frozen=True)
class Filled:
    """What a task came to in a file.

    Attributes:
        version: what the file was recorded as; None where it is no other than the one it is based on.
    """

    version: str | None
    models: list[ModelResult]
    warnings: list[AuditResult]


Done = TypeVar("Done")


def until_done(attempt: Callable[[], Done]) -> Done:
    """Return what ``attempt`` returns; it begins again when a model of the user's own brings DuckDB down."""
    while True:
        try:
            return attempt()
        except _StartAgainError:
            continue


class _Build:
    """One build that has work to do; the caller holds the build lock."""

    def __init__(self, home: Home, task: Task, began: float) -> None:
        self._home = home
        self._task = task
        self._options = task.options
        self._emit = task.emit
        self._began = began
        self._building = home.versions / f"{publish.BUILDING}{os.getpid()}.duckdb"
        self._base: publish.Version | None = None
        self._base_kind = "fresh"

    def run(self) -> BuildReport:
        try:
            connection = self._open()
            try:
                with interruptible(connection):
                    filled = fill_and_record(
                        connection,
                        self._attach(connection),
                        self._task,
                        lambda now: publish.version_path(self._home, now).stem,
                        self._base,
                        self._base_kind,
                    )
                    if filled.version is None:
                        assert self._base is not None
                        return self._unchanged(self._base, filled)
                    record = encode(read_record(connection, self._changed(connection)))
                    connection.execute("CHECKPOINT")
            finally:
                connection.close()
            version = self._home.versions / f"{filled.version}.duckdb"
            publish.publish(self._home, self._building, version, record)
        except BaseException:
            publish.sweep(self._home)
            raise
        publish.prune(self._home, self._options.keep_versions, self._options.keep_days)
        asof_cache.sweep(self._home)
        return self._report(version, filled, published=True)

    def _open(self) -> duckdb.DuckDBPyConnection:
        """Open the new version for writing: based on an older one where that can be gone on from."""
        has_base = bool(publish.list_versions(self._home)) and not (self._task.full and not self._task.wanted)
        if has_base:
            # Models that were not asked for stay as they are in the newest version, so it must be the base.
            self._base, self._base_kind = publish.take_base(self._home, self._building)
            try:
                connection = self._connect()
                if compatible(connection):
                    return connection
                connection.close()
            except CorruptError:
                self._emit.say(f"{self._base.path.name} is damaged; building everything anew")
            publish.sweep(self._home)
            self._base, self._base_kind = None, "fresh"
        connection = self._connect()
        with interruptible(connection):
            Meta(connection).create()
        return connection

    def _connect(self) -> duckdb.DuckDBPyConnection:
        return connect(self._building, read_only=False, wait_seconds=0, config=self._options.config)

    def _attach(self, connection: duckdb.DuckDBPyConnection) -> Staging:
        attach_read_only(
            connection,
            self._home.staging,
            "staging",
            wait_seconds=self._options.wait_seconds,
            on_wait=self._emit.say,
        )
        return Staging(connection, self._home.staging)

    def _unchanged(self, base: publish.Version, filled: Filled) -> BuildReport:
        """Throw the new version away: it would be the one before, once more without what was left out."""
        publish.sweep(self._home)
        return self._report(base.path, filled, published=False)

    def _report(self, version: Path, filled: Filled, *, published: bool) -> BuildReport:
        seconds = time.monotonic() - self._began
        return BuildReport(
            version.stem,
            version,
            published,
            seconds,
            self._base_kind,
            filled.models,
            filled.warnings,
            self._task.left_out,
        )

    def _changed(self, connection: duckdb.DuckDBPyConnection) -> dict[str, int] | None:
        """Return how many months of each table differ from the newest version; None where that cannot be said."""
        import duckdb

        versions = publish.list_versions(self._home)
        if not versions:
            return None
        try:
            attach_read_only(connection, versions[-1].path, "previous", wait_seconds=0)
            try:
                return count_changes(differing_months(connection, "", "previous."))
            finally:
                connection.execute("DETACH previous")
        except duckdb.InterruptException:
            raise
        except (StorageError, duckdb.Error):  # damaged, or of an energywh that knew no digests
            return None


def fill_and_record(
    connection: duckdb.DuckDBPyConnection,
    staging: Staging,
    task: Task,
    name: Callable[[datetime], str],
    base: publish.Version | None = None,
    base_kind: str = "fresh",
    *,
    as_of: datetime | None = None,
    knowledge: str | None = None,
) -> Filled:
    """Bring the version that is open up to date, audit it, and let it say of itself what it is.

    Args:
        name: what a version that is finished at a moment (UTC) is called.
        base: the version that this one is a copy of.
    """
    watermarks = staging.watermarks()
    results, warnings, changed = _fill(connection, staging, task, watermarks)
    if base is not None and not changed:
        return Filled(None, results, warnings)
    now = utc_now()
    version = name(now)
    Meta(connection).save_version(
        version,
        now,
        base.name if base else None,
        base_kind,
        staging.landing,
        watermarks,
        task.options.recorded(full=task.full, names=task.wanted),
        as_of,
        knowledge,
    )
    return Filled(version, results, warnings)


def _fill(
    connection: duckdb.DuckDBPyConnection, staging: Staging, task: Task, watermarks: list[Watermark]
) -> tuple[list[ModelResult], list[AuditResult], bool]:
    """Bring seeds and models of the version that is open up to date and audit them.

    Returns:
        what was done to each model, the audits that warn, and whether the version is any other than the one it is
        based on.
    """
    graph, wanted, emit, left_out = task.graph, task.wanted, task.emit, task.left_out
    _warn_if_empty(staging, emit)
    meta = Meta(connection)
    known = meta.models()
    works = Materializer(connection, graph, staging, full=task.full)
    results: dict[str, ModelResult] = {}
    changed = False
    guard = _Guard(graph, works, left_out, task.by_chance, results, lambda name, why: emit(ModelLeftOut(name, why)))
    for gone in sorted({*known, *meta.seeds()} - {*graph.models, *graph.seeds} | left_out.keys()):
        if gone in left_out:
            changed |= works.drop(gone)
        elif not wanted:
            changed |= works.drop(gone)
            emit.say(f"dropped {gone}: its file is gone, or its folder is not given any more")
    for seed in graph.seeds.values():
        if seed.name not in left_out:
            with guard.may_fail(seed.name):
                changed |= works.load_seed(seed)

    names = _selected(graph, wanted, set(known))
    readers = [name for name in names if graph.staging(name)]
    auditor = _Auditor(connection, graph, guard, {name: model.file_hash for name, model in known.items()})
    for position, name in enumerate(names, start=1):
        if name not in left_out:
            emit(ModelStarted(name, position, len(names)))
            with guard.may_fail(name):
                results[name] = works.build(graph.models[name])
        if not readers or name == readers[-1]:
            readers = []
            let_go(connection)
        auditor.run_due(results)
        if name in results:
            emit(ModelEnded(results[name]))
    let_go(connection)
    models = graph.models
    if empty := [name for name, result in results.items() if not result.rows and not models[name].may_be_empty]:
        emit.say(f"warning: no rows in {', '.join(empty)}")
    auditor.run_due(results, at_end=True)

    before = meta.left_out()
    tried = _tried(task.project, task.options, meta, watermarks)
    left = {name: LeftOut(why, None if name in task.by_chance else tried) for name, why in left_out.items()}
    if wanted:
        left = {name: each for name, each in before.items() if name not in results} | left
        left_out.update({name: each.reason for name, each in left.items()})
    meta.save_left_out(left)
    changed |= {name: each.tried for name, each in before.items()} != {name: each.tried for name, each in left.items()}
    changed |= any(result.built for result in results.values())
    warnings = [warning for warning in auditor.warnings if warning.model in results]
    return list(results.values()), warnings, changed


def _selected(graph: Graph, wanted: list[str], known: set[str]) -> list[str]:
    """Return the models to bring up to date, in order.

    With some asked for: these, what they read, and the views that read any of those, because a view over a table
    whose columns changed would fail.
    """
    if not wanted:
        return list(graph.order)
    names = graph.ancestors(wanted)
    for view in graph.reading_views(names) & known:
        names |= {view, *(graph.ancestors([view]) - known)}
    return [name for name in graph.order if name in names]


class _StartAgainError(Exception):
    """A model of the user's own brought DuckDB down: the build starts again, without it."""


class _Guard:
    """Keeps what goes wrong in a model or seed of the user's own from the rest of a build: it is left out.

    Args:
        left_out: takes the name and the reason of what fails, and of what reads it.
        by_chance: takes the names of what fails by the machine, and of what reads it.
        results: what was done so far; what is left out is taken from it.
        tell: hears what is left out, and why.
    """

    def __init__(
        self,
        graph: Graph,
        works: Materializer,
        left_out: dict[str, str],
        by_chance: set[str],
        results: dict[str, ModelResult],
        tell: Callable[[str, str], None],
    ) -> None:
        self._graph = graph
        self._works = works
        self._left_out = left_out
        self._by_chance = by_chance
        self._results = results
        self._tell = tell

    @contextmanager
    def may_fail(self, name: str) -> Iterator[None]:
        """Do something for the model or seed ``name``; if it is the user's own and fails, leave it out."""
        import duckdb

        try:
            yield
        except (ModelError, duckdb.Error, MemoryError) as error:
            if name not in self._graph.own or not (isinstance(error, ModelError) or cause_of(error) in _OWN_TROUBLES):
                raise
            self._leave_out(name, error)

    def _leave_out(self, name: str, error: Exception) -> None:
        import duckdb

        model = self._graph.models.get(name)
        cause = error.__context__ or error
        chance = isinstance(cause, duckdb.Error) and cause_of(cause) not in ("sql", "memory")
        if not isinstance(error, ModelError) and model is not None:
            error = model_error(model, error)
        for each in [name, *self._graph.readers(name)]:
            if each not in self._left_out:
                self._left_out[each] = str(error) if each == name else self._graph.why_not(each, self._left_out)
                self._tell(each, self._left_out[each])
                if chance:
                    self._by_chance.add(each)
            self._results.pop(each, None)
        try:
            for each in self._left_out:
                self._works.drop(each)
        except duckdb.Error as fatal:  # after an internal error DuckDB answers nothing any more
            raise _StartAgainError from fatal


# What may be behind an error of DuckDB that a model of the user's own is to blame for.
_OWN_TROUBLES = ("sql", "memory", "full", "system")


class _Auditor:
    """Runs each audit as soon as all it reads is built, so that a broken promise ends the build early."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, graph: Graph, guard: _Guard, known_files: dict[str, str]
    ) -> None:
        self._connection = connection
        self._graph = graph
        self._guard = guard
        self._known_files = known_files
        self._meta = Meta(connection)
        self._done: set[tuple[str, Audit]] = set()
        self._forgotten: set[str] = set()
        self.warnings: list[AuditResult] = []

    def run_due(self, results: dict[str, ModelResult], *, at_end: bool = False) -> None:
        """Run what can be run of the audits that concern the models built so far."""
        for key, reads in self._graph.audits.items():
            name, audit = key
            if name not in results or key in self._done:
                continue
            if not at_end and not all(table in results or table in self._graph.seeds for table in reads):
                continue
            self._done.add(key)
            model = self._graph.models[name]
            rewritten = self._known_files.get(name) != model.file_hash
            if rewritten or any(table in results and results[table].built for table in reads):
                with self._guard.may_fail(name):
                    self._run(model, audit, results[name], rewritten)

    def _run(self, model: Model, audit: Audit, result: ModelResult, rewritten: bool) -> None:
        if rewritten and model.name not in self._forgotten:
            self._forgotten.add(model.name)
            self._meta.forget_audits(model.name)
        months = None if rewritten or not proven_before(model, audit) else result.rebuilt_months
        try:
            outcome = run_audit(self._connection, model, audit, months)
        except AuditError as error:
            if model.name in self._graph.own:
                raise
            raise AuditError(f"{error}\nNothing was published; the warehouse is as it was before.") from None
        self._meta.save_audit(outcome)
        if outcome.failures:
            self.warnings.append(outcome)


def _warn_if_empty(staging: Staging, emit: Emitter) -> None:
    """Say that there is nothing to build from: a warehouse of empty tables must not look like a good one."""
    if why := staging.why_empty():
        emit.say(f"warning: {why}")


def _tried(project: Project, options: BuildOptions, meta: Meta, watermarks: list[Watermark]) -> str:
    """Return a digest of all that models of the user's own may fail by: files, options, and what there is to read."""
    files = {name: model.file_hash for name, model in project.models.items()}
    files |= {name: seed.file_hash for name, seed in project.seeds.items()}
    landings = [(mark.dataset, mark.landing_id, mark.landed_at_utc) for mark in watermarks]
    held = (sorted(files.items()), sorted(project.left_out.items()), options.config, meta.tables_digest(), landings)
    return hashlib.sha256(repr(held).encode()).hexdigest()[:16]


def _nothing_new(
    home: Home, current: Path, project: Project, wanted: list[str], options: BuildOptions, emit: Emitter
) -> dict[str, str] | None:
    """Say whether the published version holds all that a build would give; cheap, and without parsing SQL.

    Returns:
        what models and seeds of the user's own would be left out again, and why; None where there is work to do.
    """
    import duckdb

    with duckdb.connect() as connection, interruptible(connection):
        connection.execute("SET TimeZone = 'UTC'")
        try:
            attach_read_only(connection, current, "published", wait_seconds=options.wait_seconds, on_wait=emit.say)
        except CorruptError:
            return None
        if not compatible(connection, "published."):
            return None
        meta = Meta(connection, "published.")
        known, reads = meta.models(), meta.dependencies()
        left_out = {} if wanted else meta.left_out()
        if not wanted and known.keys() != project.models.keys() - left_out.keys():
            return None
        if not wanted and not project.left_out.keys() <= left_out.keys():
            return None
        if {name: seed.file_hash for name, seed in project.seeds.items() if name not in left_out} != meta.seeds():
            return None
        attach_read_only(connection, home.staging, "staging", wait_seconds=options.wait_seconds, on_wait=emit.say)
        staging = Staging(connection, home.staging)
        if left_out:
            tried = _tried(project, options, meta, staging.watermarks())
            if any(each.tried != tried for each in left_out.values()):
                return None
        waiting, seen = list(wanted or known), set()
        while waiting:
            name = waiting.pop()
            if name in seen or name not in project.models:
                continue
            seen.add(name)
            if name not in known or known[name].file_hash != project.models[name].file_hash:
                return None
            upstream = reads.get(name, [])
            tables = [table for table in upstream if table.startswith(STAGING)]
            since = known[name].landing
            if tables and not (staging.holds(since) and not staging.changed_months(tables, since)):
                return None
            if meta.changed_inputs(name, upstream):
                return None
            waiting += upstream
        _warn_if_empty(staging, emit)
    if left_out:
        emit.say("of your own models, those that failed are not tried again, as nothing changed: --full does")
    for name, each in left_out.items():
        emit(ModelLeftOut(name, each.reason))
    return {name: each.reason for name, each in left_out.items()}


@contextmanager
def build_errors(doing: str, place: Path) -> Iterator[None]:
    """Raise what DuckDB and the system say outside of models' SQL as errors that say what to do."""
    import duckdb

    try:
        yield
    except (duckdb.Error, OSError) as error:
        free = shutil.disk_usage(place if place.exists() else place.parent).free / 1e6
        again = (
            "run 'energywh build --full', which goes on from no older version; if that fails too, 'energywh replay' "
            "makes a new staging file"
        )
        advice: dict[Cause, str] = {
            "memory": "set build.memory_limit to what this machine can spare, or free disk space, and run this again",
            "full": f"a new version needs more than the {free:,.0f} MB that are free; make room and run this again",
            "system": "run this again",
            "sql": again,
            "damaged": again,
        }
        told = storage_error(error, doing, place, advice)
        raise type(told)(f"{told}. What was published before is untouched") from None
