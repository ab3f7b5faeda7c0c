"""Warehouses as they were known at the origins of folds, in the cache folder of the home.

Each is a warehouse file of its own: the models that the source of the folds names, with all that they are built from,
up to the origin. It is as large as that part of the version, so twelve origins of a version of 1 GB can take several
GB. The build that prunes the version removes its files, and so do later folds. The folder may be deleted while no folds
are iterated.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from energywh.core.database import connect
from energywh.core.locks import file_lock
from energywh.core.paths import Home
from energywh.core.time import hour_time
from energywh.datasets.windows.source import bind, models_read
from energywh.errors import UsageError
from energywh.models.build import as_of_cache as asof_cache
from energywh.models.build.as_of import Knowledge, build_as_of
from energywh.models.build.events import messages_to
from energywh.models.build.options import BuildOptions
from energywh.models.versions.publish import list_versions
from energywh.models.versions.records import read_record
from energywh.sources import load_settings

if TYPE_CHECKING:
    import duckdb

OnProgress = Callable[[str], None]


@dataclass(frozen=True)
class AsOfWarehouses:
    """Opens a version as it could have been built at a time.

    Attributes:
        version: name of a version of the home.
        models: models to build, with those that they read; empty for all.
        options: how to build: as the version was, within the limits of this machine.
        say: called with a sentence for each build and each wait.
    """

    home: Home
    version: str
    models: tuple[str, ...]
    knowledge: Knowledge
    options: BuildOptions
    say: OnProgress

    def open(self, hour: int) -> duckdb.DuckDBPyConnection:
        """Open the version as of the start of ``hour`` (hours since 1970); build that first if the file is missing.

        Raises:
            UsageError: nothing was known then.
            ModelError, AuditError: a model fails on what was known then.
            StorageError: nothing to build from, no room on the disk, or a file that cannot be used.
            LockedError: another process held what is needed for too long.
        """
        file = asof_cache.file_as_of(self.home, self.version, hour_time(hour), self.knowledge, self.models)
        if not file.exists():
            self._build(hour, file)
        return connect(file, wait_seconds=self.options.wait_seconds, on_wait=self.say)

    def _build(self, hour: int, file: Path) -> None:
        self.home.create()
        moment = f"{hour_time(hour):%Y-%m-%dT%H}"
        lock, work = file.with_suffix(".lock"), f"another process to build what was known at {moment} UTC"
        with file_lock(lock, work, self.options.wait_seconds, self.say):
            if file.exists():
                return  # another process built it
            self.say(f"building what was known at {moment} UTC ({self.knowledge})")
            report = build_as_of(
                self.home,
                hour_time(hour),
                file,
                self.models,
                knowledge=self.knowledge,
                options=self.options,
                listeners=[messages_to(self.say)],
            )
            size = file.stat().st_size / 1e6
            self.say(f"built what was known at {moment} UTC in {report.seconds:.1f} s, {size:,.0f} MB in {file.parent}")


def as_of_warehouses(
    home: Home,
    version: Path,
    connection: duckdb.DuckDBPyConnection,
    source: str,
    knowledge: Knowledge,
    say: OnProgress | None,
) -> AsOfWarehouses:
    """Return what opens a version as it was known at a time; what was kept of versions that are gone goes.

    Args:
        version, connection: the file that is open, and its connection.
        say: called with a sentence for each build and each wait.

    Raises:
        UsageError: no such knowledge, or the file is no version of the home.
        UnknownNameError: no such model.
    """
    if knowledge not in get_args(Knowledge):
        raise UsageError(f"as_of must be {' or '.join(map(repr, get_args(Knowledge)))}, not {knowledge!r}")
    if version.resolve() not in [each.path.resolve() for each in list_versions(home)]:
        raise UsageError(
            f"as_of={knowledge!r} builds from the staging of {home.path}, and {version} is none of its versions; open "
            "one of these"
        )
    with contextlib.suppress(OSError):  # a read-only folder may hold what is needed
        asof_cache.sweep(home)
    options = BuildOptions.of(load_settings(home.path))
    recorded = read_record(connection).options
    own = recorded.get("own_models", options.models)
    options = replace(
        options, corrections=recorded.get("corrections", options.corrections), models=tuple(map(Path, own))
    )
    return AsOfWarehouses(
        home,
        version.stem,
        tuple(models_read(connection, bind(connection, source))),
        knowledge,
        options,
        say or (lambda message: None),
    )
