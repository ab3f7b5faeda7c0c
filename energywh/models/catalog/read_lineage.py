"""Read the lineage of the published version, or of model files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from energywh.core.database import connect
from energywh.core.paths import Home, sql_dir
from energywh.models.catalog.lineage import Lineage
from energywh.models.catalog.traced_model import ModelSql
from energywh.models.contents.state import check_schema
from energywh.models.project.graph import link
from energywh.models.project.parse_cache import ParseCache
from energywh.models.project.project import SEEDS, Project, load_project
from energywh.models.versions.publish import current_version
from energywh.sync.schema import staging_columns


def read_lineage(home: Home, *, sql: Path | None = None, own_folders: Iterable[Path] = ()) -> Lineage:
    """Return the lineage of the published version; without one, of the `sql/` folder.

    Raises:
        StorageError: the published file cannot be opened.
        ModelError: nothing is published and a model file is wrong.
    """
    current = current_version(home)
    if current is None:
        return lineage_of_files(load_project(sql or sql_dir(), own_folders=own_folders))
    return lineage_of_version(current)


def lineage_of_files(project: Project) -> Lineage:
    """Return the lineage of the models of a project.

    Raises:
        ModelError: a model file is wrong.
    """
    graph = link(project)
    seeds = {name: seed.columns() for name, seed in graph.seeds.items()}
    models = [
        ModelSql(name, graph.models[name].sql, list(graph.models[name].columns), list(graph.reads(name)))
        for name in graph.order
    ]
    with ParseCache("lineage", *map(str, project.folders)) as cache:
        return Lineage(models, {**staging_columns(), **seeds}, cache)


def lineage_of_version(path: Path) -> Lineage:
    """Return the lineage of the models of the version at ``path``.

    Raises:
        StorageError: it cannot be opened, or another energywh wrote it whose schema cannot be read.
    """
    with connect(path) as connection:
        check_schema(connection, path)
        seeds = connection.execute(
            "SELECT schema_name || '.' || table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() "
            "WHERE database_name = current_database() AND schema_name = ? GROUP BY ALL ORDER BY 1",
            [SEEDS],
        ).fetchall()
        rows = connection.execute(
            """
            SELECT m.name, m.source_sql,
                (SELECT list(c.name ORDER BY c.position) FROM energywh."column" AS c WHERE c.model = m.name),
                (SELECT list(d.upstream ORDER BY d.upstream) FROM energywh.dependency AS d WHERE d.model = m.name)
            FROM energywh.model AS m ORDER BY m.name
            """
        ).fetchall()
    models = {name: ModelSql(name, source, listed, reads or []) for name, source, listed, reads in rows}
    with ParseCache("lineage", str(path.resolve().parent)) as cache:
        return Lineage(_ordered(models), {**staging_columns(), **dict(seeds)}, cache)


def _ordered(models: Mapping[str, ModelSql]) -> Iterator[ModelSql]:
    """Yield each model after those it reads."""
    done: set[str] = set()

    def visit(name: str) -> Iterator[ModelSql]:
        if name in models and name not in done:
            done.add(name)
            for table in models[name].reads:
                yield from visit(table)
            yield models[name]

    for name in models:
        yield from visit(name)
