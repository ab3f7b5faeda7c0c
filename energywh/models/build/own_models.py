"""Build the user's own seeds and models into a version that holds ours already.

One that fails is left out with all that reads it; nothing it does can keep ours from being published.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from energywh.core.storage_errors import cause_of
from energywh.errors import LockedError, ModelError, StorageError
from energywh.models.build.audits import AuditRunner
from energywh.models.build.events import Emitter, ModelEnded, ModelLeftOut, ModelStarted
from energywh.models.build.materialize import Materializer, ModelResult
from energywh.models.build.options import BuildOptions
from energywh.models.build.promises import model_error
from energywh.models.build.version_file import VersionFile
from energywh.models.contents.build_state import BuildState
from energywh.models.contents.staging import Watermark, detach
from energywh.models.project.graph import Graph
from energywh.models.project.project import Project

# Causes of an error of DuckDB that a model can be to blame for; others end the build.
_BLAMED_CAUSES = ("sql", "memory", "full", "system")


class OwnModelError(Exception):
    """A model or seed of the user's own failed and is left out; the build continues with the next."""


class OwnModels:
    """The pass of a build over the user's own models.

    Args:
        works: returns what builds models into the version as it is open now.
        results: results of our models by name; those of the user's own are added.

    Attributes:
        failures: why models and seeds failed, or read one that did, by name.
        may_pass: those of them that may succeed at the next attempt without any change, as after a full disk.
    """

    def __init__(
        self,
        version: VersionFile,
        graph: Graph,
        emit: Emitter,
        works: Callable[[], Materializer],
        audits: AuditRunner,
        results: dict[str, ModelResult],
    ) -> None:
        self._version = version
        self._graph = graph
        self._emit = emit
        self._works = works
        self._audits = audits
        self._results = results
        self._seed_changed = False
        self.failures: dict[str, str] = {}
        self.may_pass: set[str] = set()

    def build(self, seeds: list[str], models: list[str]) -> bool:
        """Bring the user's own seeds and models up to date, and say whether a seed changed."""
        pending = deque([*seeds, *models])
        total = len(self._results) + len(models)
        done = not pending
        while not done:
            # A failure may leave a transaction open, or DuckDB unusable. A new connection continues from the committed
            # state, so that nothing is built twice.
            self._version.reopen()
            done = self._go_on(pending, total)
        return self._seed_changed

    def _go_on(self, pending: deque[str], total: int) -> bool:
        """Build what is pending until one fails, and say whether none did."""
        readers = {name for name in pending if name in self._graph.models and self._graph.staging(name)}
        try:
            if readers - self.failures.keys():
                self._attach_staging(readers)
            works = self._works()
            for name in self.failures:
                works.drop(name)
            while pending:
                name = pending.popleft()
                if name in self.failures:
                    continue
                if name in self._graph.seeds:
                    with self._may_fail(name):
                        self._seed_changed |= works.load_seed(self._graph.seeds[name])
                    continue
                self._emit(ModelStarted(name, total - sum(each in self._graph.models for each in pending), total))
                with self._may_fail(name):
                    self._results[name] = works.build(self._graph.models[name])
                if not readers.intersection(pending):
                    detach(self._version.connection)
                self._audit()
                self._emit(ModelEnded(self._results[name]))
            self._audit(at_end=True)
        except OwnModelError:
            return False
        return True

    def _attach_staging(self, readers: set[str]) -> None:
        try:
            self._version.attach_staging()
        except (LockedError, StorageError) as error:
            for name in sorted(readers - self.failures.keys()):
                self._leave_out(name, str(error), may_pass=True)
            raise OwnModelError from None

    def _audit(self, *, at_end: bool = False) -> None:
        for name, audits in self._audits.due(self._results, at_end=at_end).items():
            with self._may_fail(name):
                self._audits.run(self._version.connection, name, audits, self._results)

    @contextmanager
    def _may_fail(self, name: str) -> Iterator[None]:
        """Leave out the model or seed ``name`` if the block fails by its fault.

        Raises:
            OwnModelError: it was left out.
        """
        import duckdb

        try:
            yield
        except (ModelError, duckdb.Error, MemoryError) as error:
            if not isinstance(error, ModelError) and cause_of(error) not in _BLAMED_CAUSES:
                raise
            cause = error.__context__ or error
            may_pass = isinstance(cause, duckdb.Error) and cause_of(cause) not in ("sql", "memory")
            if not isinstance(error, ModelError) and name in self._graph.models:
                error = model_error(self._graph.models[name], error)
            self._leave_out(name, str(error), may_pass=may_pass)
            raise OwnModelError from None

    def _leave_out(self, name: str, reason: str, *, may_pass: bool) -> None:
        """Leave out ``name`` and all that reads it."""
        for each in [name, *self._graph.readers(name)]:
            self._results.pop(each, None)
            if each in self.failures:
                continue
            self.failures[each] = reason if each == name else self._graph.why_not(each, self.failures)
            self._emit(ModelLeftOut(each, self.failures[each]))
            if may_pass:
                self.may_pass.add(each)


def attempt_digest(project: Project, options: BuildOptions, state: BuildState, watermarks: list[Watermark]) -> str:
    """Return a digest of all that the user's own models can fail by: files, options, our tables and staging.

    While it stays the same, a model that failed is not tried again.
    """
    files = {name: model.file_hash for name, model in project.models.items()}
    files |= {name: seed.file_hash for name, seed in project.seeds.items()}
    landings = [(mark.dataset, mark.landing_id, mark.landed_at_utc) for mark in watermarks]
    held = (sorted(files.items()), sorted(project.left_out.items()), options.config, state.tables_digest(), landings)
    return hashlib.sha256(repr(held).encode()).hexdigest()[:16]
