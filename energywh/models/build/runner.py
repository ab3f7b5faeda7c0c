"""Build the warehouse: a new version beside the published one, audited, then published in one step."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from energywh.core.database import connect
from energywh.core.locks import file_lock
from energywh.core.paths import Home, sql_dir
from energywh.core.storage_errors import Cause, storage_error
from energywh.core.time import RunClock, utc_now
from energywh.errors import CorruptError, StorageError
from energywh.models.build import as_of_cache
from energywh.models.build.events import BuildEnded, BuildFailed, BuildListener, BuildStarted, Emitter
from energywh.models.build.fill import BuildRequest, VersionContents, fill
from energywh.models.build.losses import check_losses
from energywh.models.build.options import BuildOptions
from energywh.models.build.report import BuildReport
from energywh.models.build.up_to_date import left_out_if_up_to_date
from energywh.models.build.version_file import VersionFile
from energywh.models.contents.staging import Staging, attach_read_only
from energywh.models.contents.state import Meta, compatible
from energywh.models.project.project import load_project
from energywh.models.versions import publish
from energywh.models.versions.records import Record, count_changes, differing_months, encode, is_changed, read_record
from energywh.models.versions.rollback import finish_publishing
from energywh.models.versions.seal import seal_of
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
    now: datetime | None = None,
) -> BuildReport:
    """Bring the warehouse up to date with staging and with the `sql/` folder, and publish it.

    Only what changed is computed; the result equals that of a full build, row for row. The build publishes all of it
    or nothing: after a failure, Ctrl-C or a kill, the warehouse is as it was before. The exception is a model of the
    user's own: if it fails, it is left out of the version, and the report says why.

    Args:
        names: models to build, with all they read; empty for all models.
        full: compute everything again.
        sql: folder of seeds and models; by default the one of the package.
        listeners: take the events of the build, in this order.
        now: the present, naive UTC; by default that of the system's clock, which is read once.

    Raises:
        UnknownNameError: a name in ``names`` is not a model.
        UsageError: a folder of the user's own models does not exist or is empty, or a setting is wrong.
        ModelError: a model file is wrong, or fails, or two have one name.
        AuditError: data broke a promise of severity `error`.
        LossError: a table would lose much of what the published version holds, and the options do not allow it.
        StorageError: nothing was synced yet, the disk is full, a file cannot be used, `energy.duckdb` is not a link,
            or DuckDB fails.
        LockedError: another build or a sync held a file for too long.
    """
    emit, clock = Emitter(listeners), RunClock(utc_now() if now is None else now)
    emit(BuildStarted(home))
    try:
        report = _build(home, names, full, sql or sql_dir(), options or BuildOptions(), emit, clock)
    except BaseException as error:
        emit(BuildFailed(error))
        raise
    emit(BuildEnded(report))
    return report


def _build(
    home: Home, names: Iterable[str], full: bool, sql: Path, options: BuildOptions, emit: Emitter, clock: RunClock
) -> BuildReport:
    began = time.monotonic()
    project = load_project(sql, {"corrections": options.corrections}, options.models)
    wanted = project.pick(names)
    if not home.staging.is_file():
        if any(home.payloads.glob("*/*.tar")):
            raise StorageError(f"{home.staging} is missing: put it back, or rebuild it by 'energywh replay'")
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
        finish_publishing(home)
        current = publish.current_version(home)
        if current is not None and not full:
            left_out = left_out_if_up_to_date(home, current, project, wanted, options, emit)
            if left_out is not None:
                seconds = time.monotonic() - began
                return BuildReport(current.stem, current, published=False, seconds=seconds, left_out=left_out)
        if current is not None and is_changed(current):
            emit.say(f"warning: {current.name} is not as it was published: another program wrote to it; it is replaced")
            wanted = []  # models that are not asked for would come from it
        request = BuildRequest(project, wanted, options, emit, clock, full=full)
        return _Build(home, request, current, began).run()


class _Build:
    """One build that has work to do; the caller holds the build lock."""

    def __init__(self, home: Home, request: BuildRequest, current: Path | None, began: float) -> None:
        self._home = home
        self._request = request
        self._current = current
        self._options = request.options
        self._emit = request.emit
        self._began = began
        self._building = home.versions / f"{publish.BUILDING}{os.getpid()}.duckdb"
        self._base: publish.Version | None = None
        self._base_kind = "fresh"

    def run(self) -> BuildReport:
        try:
            with VersionFile(self._connect, self._attach, self._prepare()) as version:
                contents = fill(version, self._request)
                stays = not contents.changed and self._goes_on_from_current()
                if not stays:
                    if self._current is not None:
                        check_losses(version.connection, self._current, self._request)
                    record = self._record(version.connection, contents)
            if stays:
                publish.sweep(self._home)
                assert self._current is not None
                return self._report(self._current, contents, published=False)
            path = self._home.versions / f"{record.version}.duckdb"
            sealed = replace(record, seal=seal_of(self._building))
            publish.publish(self._home, self._building, path, encode(sealed))
        except BaseException:
            publish.sweep(self._home)
            raise
        publish.prune(self._home, self._options.keep_versions, self._options.keep_days, now=self._request.clock.now())
        as_of_cache.sweep(self._home)
        return self._report(path, contents, published=True)

    def _prepare(self) -> duckdb.DuckDBPyConnection:
        """Make the file of the new version, from an earlier one if a build can continue from it; return it open."""
        # Models that were not asked for stay as they are in the base.
        self._base = self._choose_base() if self._request.wanted or not self._request.full else None
        if self._base is not None:
            self._base_kind = publish.take_base(self._home, self._base, self._building)
            try:
                connection = self._connect()
                if compatible(connection):
                    return connection
                connection.close()
            except CorruptError:
                self._emit.say(f"{self._base.path.name} is damaged; rebuilding everything")
            publish.sweep(self._home)
            self._base, self._base_kind = None, "fresh"
        connection = self._connect()
        Meta(connection).create()
        return connection

    def _choose_base(self) -> publish.Version | None:
        """Return the published version, or the newest before it, that no other program wrote to.

        Newer ones were withdrawn by a person.
        """
        versions = publish.list_versions(self._home)
        while versions and self._current is not None and versions[-1].path.name != self._current.name:
            versions.pop()
        return next((version for version in reversed(versions) if not is_changed(version.path)), None)

    def _goes_on_from_current(self) -> bool:
        return self._base is not None and self._current is not None and self._base.path.name == self._current.name

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

    def _record(self, connection: duckdb.DuckDBPyConnection, contents: VersionContents) -> Record:
        """Complete the version; return the record to keep beside it."""
        now = self._request.clock.now()
        name = publish.version_path(self._home, now).stem
        base = (self._base.name if self._base else None, self._base_kind)
        Meta(connection).save_version(contents.facts(self._request, name, now, base=base))
        record = read_record(connection, self._changed(connection))
        connection.execute("CHECKPOINT")
        return record

    def _report(self, version: Path, contents: VersionContents, *, published: bool) -> BuildReport:
        return BuildReport(
            version.stem,
            version,
            published,
            time.monotonic() - self._began,
            self._base_kind,
            contents.models,
            contents.warnings,
            contents.left_out,
        )

    def _changed(self, connection: duckdb.DuckDBPyConnection) -> dict[str, int] | None:
        """Return how many months of each table differ from the published version; None if it cannot be read."""
        import duckdb

        if self._current is None:
            return None
        try:
            attach_read_only(connection, self._current, "previous", wait_seconds=0)
            try:
                return count_changes(differing_months(connection, "", "previous."))
            finally:
                connection.execute("DETACH previous")
        except duckdb.InterruptException:
            raise
        except (StorageError, duckdb.Error):
            return None


@contextmanager
def build_errors(doing: str, place: Path) -> Iterator[None]:
    """Translate errors of DuckDB and the system that no model's SQL causes into errors that say what to do."""
    import duckdb

    try:
        yield
    except (duckdb.Error, OSError) as error:
        free = shutil.disk_usage(place if place.exists() else place.parent).free / 1e6
        again = (
            "run 'energywh build --full', which uses no earlier version; if that fails too, 'energywh replay' makes "
            "a new staging file"
        )
        advice: dict[Cause, str] = {
            "memory": "set build.memory_limit to what this machine can spare, or free disk space, and run this again",
            "full": f"a new version needs more than the {free:,.0f} MB that are free; make room and run this again",
            "system": "run this again",
            "sql": again,
            "damaged": again,
        }
        translated = storage_error(error, doing, place, advice)
        raise type(translated)(f"{translated}. What was published before is untouched") from None
