"""Build the warehouse as it could have been built at an earlier time, into a separate file.

Sync records for each value from when until when it was known. A build as of T reads views that show each row as it was
known at T, instead of staging, and is otherwise an ordinary build.

    staging_now      the staging file, read-only
    staging          in memory: a view of each of its tables, which the models read

A row is known as of T if known_from_utc <= T and, for a value that was revised since, T < known_until_utc. By default
history that was loaded later counts as known only from its landing. With the knowledge `published-lag`, the first value
of a row counts as known from the end of its hour plus the publication lag that its dataset declares. A revision counts
as known from its landing in both cases.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from energywh.core.database import connect, one_row
from energywh.core.files import flush
from energywh.core.folders import working_folder
from energywh.core.paths import Home, sql_dir
from energywh.core.sql_text import identifier, text, timestamp
from energywh.core.time import RunClock, utc_now
from energywh.errors import CorruptError, StorageError, UsageError
from energywh.models.build.events import BuildListener, Emitter
from energywh.models.build.fill import BuildRequest, fill
from energywh.models.build.options import BuildOptions
from energywh.models.build.report import BuildReport
from energywh.models.build.runner import build_errors
from energywh.models.build.version_file import VersionFile
from energywh.models.contents.staging import NOW, REVISION, Staging, attach_read_only
from energywh.models.contents.state import Meta, is_warehouse
from energywh.models.project.project import load_project
from energywh.sources.base import Dataset
from energywh.sync.schema import NO_LINKS, bring_up_to_date, datasets_in

if TYPE_CHECKING:
    import duckdb

Knowledge = Literal["landed", "published-lag"]


def build_as_of(
    home: Home,
    moment: datetime,
    to: Path,
    names: Iterable[str] = (),
    *,
    knowledge: Knowledge = "landed",
    force: bool = False,
    sql: Path | None = None,
    options: BuildOptions | None = None,
    listeners: Iterable[BuildListener] = (),
) -> BuildReport:
    """Build the warehouse as it could have been built at ``moment``, and write it to the file ``to``.

    The models are those of today. Nothing is published. The file appears complete or not at all.

    Args:
        moment: naive UTC.
        names: models to build, with all they read; empty for all models.
        knowledge: `landed`: what had been fetched by then; `published-lag`: of what was fetched first later, also what
            the source had published by then.
        force: replace a warehouse file that is there.
        sql: folder of seeds and models; by default the one of the package.
        listeners: take the events of the models that are built.

    Raises:
        UsageError: ``moment`` is in the future, or nothing was known then; ``to`` exists, or no file can be written
        there.
        UnknownNameError: a name in ``names`` is not a model.
        ModelError: a model file is wrong, or fails.
        AuditError: data broke a promise of severity `error`.
        StorageError: nothing was synced yet, the disk is full, or a file cannot be used.
        LockedError: a sync held staging for too long.
    """
    options, emit = options or BuildOptions(), Emitter(listeners)
    began = time.monotonic()
    clock = RunClock(utc_now())
    if moment > clock.started:
        raise UsageError(f"cannot build as of {moment:%Y-%m-%dT%H:%M:%S} UTC: it is in the future")
    project = load_project(sql or sql_dir(), {"corrections": options.corrections}, options.models)
    wanted = project.pick(names)
    _check_target(home, to, force)
    if not home.staging.is_file():
        raise StorageError(f"nothing has been synced into {home.path} yet; run 'energywh sync' first")
    bring_up_to_date(home.staging, wait_seconds=options.wait_seconds, on_wait=emit.say)
    request = BuildRequest(project, wanted, options, emit, clock, full=True)
    with build_errors("write", to), working_folder(to) as folder:
        building = folder / to.name
        with VersionFile(*_openers(home, building, moment, knowledge, request)) as version:
            if version.staging.why_empty() is not None:
                raise UsageError(_nothing_known(version.connection, home, moment, knowledge))
            Meta(version.connection).create()
            contents = fill(version, request)
            facts = contents.facts(request, to.stem, clock.now(), as_of=(moment, knowledge))
            Meta(version.connection).save_version(facts)
            version.connection.execute("CHECKPOINT")
        flush(building)
        _put(building, to, force)
        flush(to.parent)
    return BuildReport(
        to.stem,
        to,
        False,
        time.monotonic() - began,
        "fresh",
        contents.models,
        contents.warnings,
        contents.left_out,
    )


def _openers(
    home: Home, building: Path, moment: datetime, knowledge: Knowledge, request: BuildRequest
) -> tuple[Callable[[], duckdb.DuckDBPyConnection], Callable[[duckdb.DuckDBPyConnection], Staging]]:
    """Return a function that opens the file ``building``, and one that attaches staging to it as of ``moment``."""
    options, on_wait = request.options, request.emit.say

    def connect_to_file() -> duckdb.DuckDBPyConnection:
        return connect(building, read_only=False, wait_seconds=0, config=options.config)

    def attach(connection: duckdb.DuckDBPyConnection) -> Staging:
        attach_read_only(connection, home.staging, NOW, wait_seconds=options.wait_seconds, on_wait=on_wait)
        show_as_of(connection, moment, knowledge, datasets_in(connection, NOW))
        return Staging(connection, home.staging)

    return connect_to_file, attach


def _nothing_known(connection: duckdb.DuckDBPyConnection, home: Home, moment: datetime, knowledge: Knowledge) -> str:
    """Return why nothing was known at ``moment``."""
    when = f"{moment:%Y-%m-%dT%H:%M:%S} UTC"
    (first,) = one_row(connection, f"SELECT min(landed_at_utc) FROM {NOW}.sync.landing")
    if first is None:
        return f"nothing was known at {when}: nothing has landed in {home.staging} yet"
    if knowledge == "landed":
        return (
            f"nothing was known at {when}: the first landing was at {first:%Y-%m-%dT%H:%M:%S}. History that was "
            "loaded later counts as known since it was published with --knowledge published-lag (in Python, "
            "folds of as_of='published-lag')"
        )
    return f"nothing was known at {when}: by the lags of publication, all that is held was published later"


def show_as_of(
    connection: duckdb.DuckDBPyConnection, moment: datetime, knowledge: Knowledge, datasets: Iterable[Dataset]
) -> None:
    """Create the database `staging`: views of the ``datasets`` of `staging_now` as they were known at ``moment``."""
    by_lag = knowledge == "published-lag"
    connection.execute("ATTACH ':memory:' AS staging")
    connection.execute("CREATE SCHEMA staging.sync")
    at = timestamp(moment)
    connection.execute(f"""
        CREATE VIEW staging.sync.meta AS FROM {NOW}.sync.meta;
        CREATE VIEW staging.sync.dataset AS FROM {NOW}.sync.dataset;
        CREATE VIEW staging.sync.landing AS FROM {NOW}.sync.landing WHERE landed_at_utc <= {at};
        CREATE VIEW staging.sync.change AS FROM {NOW}.sync.change
            WHERE landing_id IN (SELECT landing_id FROM {NOW}.sync.landing WHERE landed_at_utc <= {at});
    """)
    for dataset in datasets:
        columns = ", ".join([dataset.time_column, *dataset.keys, *dataset.values])
        known = f"FROM ({_current(dataset, columns, by_lag)} UNION ALL {_revised(dataset, columns, by_lag)})"
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS staging.{dataset.source}")
        connection.execute(f"""
            CREATE VIEW staging.{dataset.name} AS SELECT {columns}, known_from_utc {known}
            WHERE known_from_utc <= {at} AND (known_until_utc IS NULL OR known_until_utc > {at})
        """)
        connection.execute(f"""
            CREATE VIEW staging.{dataset.name}{REVISION} AS SELECT {columns}, known_from_utc, known_until_utc {known}
            WHERE known_until_utc <= {at}
        """)


def _current(dataset: Dataset, columns: str, by_lag: bool) -> str:
    """Return the SELECT of the current values, with known_until_utc NULL."""
    table, until = f"{NOW}.{dataset.name}", "NULL::TIMESTAMP AS known_until_utc"
    if not by_lag:
        return f"SELECT {columns}, known_from_utc, {until} FROM {table}"
    keys = ", ".join([dataset.time_column, *dataset.keys])
    first = f"if(revised, known_from_utc, {_published(dataset)})"  # what was never revised is the first of its row
    return (
        f"SELECT {columns}, {first} AS known_from_utc, {until} FROM {table} "
        f"LEFT JOIN (SELECT DISTINCT {keys}, true AS revised FROM {table}{REVISION}) USING ({keys})"
    )


def _revised(dataset: Dataset, columns: str, by_lag: bool) -> str:
    """Return the SELECT of the values that were revised or withdrawn."""
    table = f"{NOW}.{dataset.name}{REVISION}"
    if not by_lag:
        return f"SELECT {columns}, known_from_utc, known_until_utc FROM {table}"
    keys = ", ".join([dataset.time_column, *dataset.keys])
    number = f"row_number() OVER (PARTITION BY {keys} ORDER BY known_from_utc, known_until_utc, rowid)"
    first = f"if(number = 1, {_published(dataset)}, known_from_utc)"
    return (
        f"SELECT {columns}, {first} AS known_from_utc, known_until_utc FROM (SELECT *, {number} AS number FROM {table})"
    )


def _published(dataset: Dataset) -> str:
    """Return the SQL of when the first value of a row counts as known: its publication, or its landing if earlier."""
    end = 1 - dataset.stamp_offset_hours  # hours from the stamp to the end of its hour
    lag = str(dataset.publication_lag_hours())
    own = [each for each in dataset.publication_lags if each.measure]
    if own:
        cases = " ".join(f"WHEN {text(each.measure)} THEN {each.hours}" for each in own)
        lag = f"CASE {identifier(dataset.measure_key)} {cases} ELSE {lag} END"
    return f"least(known_from_utc, {dataset.time_column} + to_hours(CAST({end} + {lag} AS INTEGER)))"


def _check_target(home: Home, to: Path, force: bool) -> None:
    """Refuse a place where no file can or may be written.

    Raises:
        UsageError: it says why.
    """
    real = to.resolve()
    if to.is_dir():
        raise UsageError(f"--to {to} is a folder; give the name of a file")
    if not to.parent.is_dir():
        raise UsageError(f"--to {to}: there is no folder {to.parent}")
    if home.versions.resolve() in real.parents or real in (
        home.staging.resolve(),
        home.path.resolve() / home.energy.name,
    ):
        raise UsageError(f"--to {to} is a file of the warehouse {home.path} itself; give another")
    if not to.exists():
        return
    if not force:
        raise _taken(to)
    try:
        with connect(to, wait_seconds=0) as connection:
            replaceable = is_warehouse(connection)
    except CorruptError:
        replaceable = False
    if not replaceable:
        raise UsageError(f"--to {to} is there already and is not a warehouse file: it is not replaced, even by --force")


def _taken(to: Path) -> UsageError:
    return UsageError(f"--to {to} is there already; give another name, or --force to replace it")


def _put(building: Path, to: Path, force: bool) -> None:
    """Rename the finished file to ``to``; without ``force`` never over a file that appeared meanwhile.

    Raises:
        UsageError: there is one.
    """
    if not force:
        try:
            os.link(building, to)  # unlike a rename, not over another file
        except FileExistsError:
            raise _taken(to) from None
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            if to.exists():
                raise _taken(to) from None
        else:
            return
    building.replace(to)
