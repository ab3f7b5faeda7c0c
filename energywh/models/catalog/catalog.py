"""The catalog: the tables, the meaning of their rows, their columns with units, and the results of their audits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energywh.core.database import connect
from energywh.core.paths import Home, sql_dir
from energywh.errors import UnknownNameError
from energywh.models.contents.state import check_schema
from energywh.models.project.project import Project, load_project, pick_name
from energywh.models.project.units import unit_of
from energywh.models.versions.publish import current_version

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class CatalogColumn:
    """One column; ``type`` and ``rows_with_value`` are None before the first build."""

    name: str
    type: str | None
    unit: str | None
    description: str
    rows_with_value: int | None = None


@dataclass(frozen=True)
class CatalogAudit:
    """One audit; ``failures`` is None before the first build, and if only `energywh check` runs it."""

    name: str
    severity: str
    failures: int | None
    sample: str = ""
    description: str = ""


@dataclass(frozen=True)
class CatalogModel:
    """One model; fields that a build computes are None before the first one."""

    name: str
    materialized: str
    description: str
    grain: list[str]
    rows: int | None
    months: int | None
    first_month: date | None
    last_month: date | None
    reads: list[str] | None
    columns: list[CatalogColumn] = field(default_factory=list)
    audits: list[CatalogAudit] = field(default_factory=list)

    @property
    def empty_columns(self) -> list[str]:
        """The columns that are NULL in every row; none where there are no rows."""
        return [column.name for column in self.columns if self.rows and column.rows_with_value == 0]


def read_catalog(home: Home, *, sql: Path | None = None, own_folders: Iterable[Path] = ()) -> list[CatalogModel]:
    """Return the models of the published warehouse, by name.

    Before anything is published: those of the `sql/` folder, and of the user's own folders.

    Raises:
        StorageError: the published file cannot be opened.
        ModelError: nothing is published and a model file is wrong.
    """
    current = current_version(home)
    if current is None:
        return catalog_of_files(load_project(sql or sql_dir(), own_folders=own_folders))
    return catalog_of_version(current)


def find_model(models: list[CatalogModel], name: str) -> CatalogModel:
    """Return the model that a person called ``name``, with or without its schema.

    Raises:
        UnknownNameError: no model or more than one is meant, the message names the nearest; or it is not built.
    """
    by_name = {model.name: model for model in models}
    try:
        return by_name[pick_name(name, by_name)]
    except UnknownNameError as error:
        raise UnknownNameError(unbuilt_named(by_name, name).strip() or str(error)) from None


def steps_named(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """Return a sentence about each step that ``sql`` names, as if it were a table; empty where it names none."""
    rows = connection.execute(
        """
        SELECT name, list(dependency.model ORDER BY dependency.model)
        FROM energywh.model LEFT JOIN energywh.dependency ON upstream = name
        WHERE materialized = 'inline' AND contains(lower($1), split_part(name, '.', 2))
        GROUP BY name ORDER BY name
        """,
        [sql],
    ).fetchall()
    return "".join(
        f"\n{name} is a step without a table: its SELECT is put into "
        f"{', '.join(filter(None, readers)) or 'the models that read it'}; "
        f"'energywh models {name}' describes it"
        for name, readers in rows
    )


def unbuilt_named(built: Iterable[str], sql: str) -> str:
    """Return a sentence about each model that ``sql`` names, has a file, and is not among those built; else empty."""
    files = load_project(sql_dir()).models.keys() - {*built}
    named = sorted(name for name in files if name in sql.lower())
    return "".join(
        f"\n{name} has a model file and is not built in this version: run 'energywh build', or 'energywh build {name}'"
        for name in named
    )


def catalog_of_files(project: Project) -> list[CatalogModel]:
    """Return the models of a project, which knows no counts, by name; those of the user's own that are wrong left out.

    Raises:
        ModelError: a model file is wrong.
    """
    from energywh.models.project.graph import link

    return [
        CatalogModel(
            name=model.name,
            materialized=model.materialized,
            description=model.description,
            grain=list(model.grain),
            rows=None,
            months=None,
            first_month=None,
            last_month=None,
            reads=None,
            columns=[CatalogColumn(name, None, unit_of(name), words) for name, words in model.columns.items()],
            audits=[
                CatalogAudit(each.name, each.severity, None, description=each.description) for each in model.audits
            ],
        )
        for _, model in sorted(link(project).models.items())
    ]


def catalog_of_version(path: Path) -> list[CatalogModel]:
    """Return the models of the version at ``path``, by name.

    Raises:
        StorageError: it cannot be opened, or another energywh wrote it whose schema cannot be read.
    """
    with connect(path) as connection:
        check_schema(connection, path)

        def grouped(query: str) -> dict[str, list[tuple[Any, ...]]]:
            """Return rows of ``query`` without their first column, by that column."""
            groups: dict[str, list[tuple[Any, ...]]] = {}
            for model, *rest in connection.execute(query).fetchall():
                groups.setdefault(model, []).append(tuple(rest))
            return groups

        columns = grouped(
            "SELECT model, name, type, unit, description, rows_with_value "
            'FROM energywh."column" ORDER BY model, position'
        )
        audits = grouped(
            "SELECT model, audit, severity, failures, sample, description FROM energywh.audit ORDER BY rowid"
        )
        reads = grouped("SELECT model, upstream FROM energywh.dependency ORDER BY ALL")
        months = grouped("SELECT model, count(month), min(month), max(month) FROM energywh.month GROUP BY model")
        rows = connection.execute(
            "SELECT name, materialized, description, grain, rows, time_column FROM energywh.model ORDER BY name"
        ).fetchall()
    catalog = []
    for name, materialized, description, grain, count, time_column in rows:
        number, first, last = months.get(name, [(0, None, None)])[0]
        catalog.append(
            CatalogModel(
                name=name,
                materialized=materialized,
                description=description,
                grain=grain,
                rows=None if materialized == "inline" else count,
                months=number if time_column and materialized != "inline" else None,
                first_month=first,
                last_month=last,
                reads=[upstream for (upstream,) in reads.get(name, [])],
                columns=[CatalogColumn(*column) for column in columns.get(name, [])],
                audits=[CatalogAudit(*audit) for audit in audits.get(name, [])],
            )
        )
    return catalog
