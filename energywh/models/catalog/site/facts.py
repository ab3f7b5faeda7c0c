"""Read everything that the pages show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from energywh.core.database import connect
from energywh.core.paths import Home, sql_dir
from energywh.core.sql_text import quoted, run
from energywh.models.catalog.catalog import CatalogModel, catalog_of_files, catalog_of_version
from energywh.models.catalog.lineage import Lineage
from energywh.models.catalog.read_lineage import lineage_of_files, lineage_of_version
from energywh.models.project.project import load_project
from energywh.models.versions.publish import current_version
from energywh.sources import sources
from energywh.sources.base import Source

SMALL_ROWS = 120  # a table without a time column and with at most so many rows is shown in full


@dataclass(frozen=True)
class Facts:
    """Models with their lineage and, after a build, facts of the published version; mappings are by model name.

    Attributes:
        version: the row of `energywh.version` by column; empty before the first build.
        last_hours: last hour of each model with a time column.
        landed: time of the newest landing that each model includes.
        contents: column names and rows of the small tables.
    """

    models: Mapping[str, CatalogModel]
    lineage: Lineage
    version: Mapping[str, Any] = field(default_factory=dict)
    last_hours: Mapping[str, datetime] = field(default_factory=dict)
    landed: Mapping[str, datetime] = field(default_factory=dict)
    contents: Mapping[str, tuple[Sequence[str], Sequence[tuple[Any, ...]]]] = field(default_factory=dict)

    @property
    def sources(self) -> Mapping[str, Source]:
        """The sources by name."""
        return sources()

    def readers(self, table: str) -> list[str]:
        """Return the models that read a table."""
        return [name for name, reads in self.lineage.reads.items() if table in reads]


def read_facts(home: Home, *, sql: Path | None = None, own_folders: Iterable[Path] = ()) -> Facts:
    """Read the published version; before the first build, read the model files, without counts.

    Raises:
        StorageError: the published file cannot be opened.
        ModelError: nothing is published and a model file is wrong.
    """
    current = current_version(home)
    if current is None:
        project = load_project(sql or sql_dir(), own_folders=own_folders)
        return Facts({model.name: model for model in catalog_of_files(project)}, lineage_of_files(project))
    models = {model.name: model for model in catalog_of_version(current)}
    lineage = lineage_of_version(current)
    with connect(current) as connection:
        found = connection.execute("SELECT * FROM energywh.version")
        names = [column[0] for column in found.description or []]
        version = dict(zip(names, found.fetchall()[0], strict=True))
        times = run(
            connection,
            "SELECT name, time_column FROM energywh.model "
            "WHERE time_column IS NOT NULL AND materialized <> 'inline' ORDER BY 1",
        )
        landed = dict(run(connection, "SELECT name, landed_at_utc FROM energywh.model WHERE landed_at_utc IS NOT NULL"))
        last_hours = {
            name: moment
            for name, column in times
            if (moment := run(connection, f"SELECT max({quoted(column)}) FROM {quoted(name)}")[0][0]) is not None
        }
        contents = {}
        for model in models.values():
            if model.months is None and model.rows is not None and model.rows <= SMALL_ROWS:
                columns = [column.name for column in model.columns]
                contents[model.name] = columns, run(connection, f"SELECT * FROM {quoted(model.name)} ORDER BY ALL")
    return Facts(models, lineage, version, last_hours, landed, contents)
