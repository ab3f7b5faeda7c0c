"""Open a published version for reading."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from energywh.core.database import connect
from energywh.core.locks import Patience
from energywh.core.paths import Home
from energywh.core.sandbox import no_extensions
from energywh.core.sql_text import identifier, text
from energywh.core.warnings import warn
from energywh.errors import StorageError
from energywh.models.contents.state import check_schema, is_warehouse
from energywh.models.project.project import SEEDS, shipped_schemas
from energywh.models.versions.publish import current_version
from energywh.models.versions.records import find_version

if TYPE_CHECKING:
    import duckdb


def open_current(home: Home) -> tuple[Path, duckdb.DuckDBPyConnection | None]:
    """Open the newest version by its real path: by that of the link, DuckDB gives this process the old file.

    Looked up again when it was pruned between being found and being opened.
    """
    for _ in range(5):
        path = current_version(home)
        if path is None:
            break
        try:
            connection = connect(path)
        except StorageError:
            if path.exists():
                raise
            continue
        check_schema(connection, path, oldest=1)
        _prepare(connection)
        return path, connection
    if home.energy.is_symlink():
        raise StorageError(
            f"{home.energy} leads to no file (it is a link to {home.energy.readlink()}): 'energywh build' points it to "
            "the newest version"
        )
    raise StorageError(
        f"nothing is built yet in {home.path}: run 'energywh build' after 'energywh sync', or 'energywh demo'"
    )


def open_version(home: Home, version: str | Path) -> tuple[Path, duckdb.DuckDBPyConnection]:
    """Open a kept version, or the warehouse file at a path.

    Raises:
        UnknownNameError: there is no such version.
        StorageError: the file is not a warehouse, or cannot be read.
    """
    path = find_version(home, version)
    connection = connect(path)
    if not is_warehouse(connection):
        connection.close()
        raise StorageError(
            f"{path} is a DuckDB database, but not a version of a warehouse: it has no table energywh.version"
        )
    check_schema(connection, path, oldest=1)
    _prepare(connection)
    return path, connection


def patience_of(home: Home) -> Callable[[], Patience]:
    """Return how long a reader in Python waits for a file of ``home``: as set, with a warning that names the holder."""

    def find() -> Patience:
        from energywh.sources import load_settings

        return Patience(load_settings(home.path).get("lock.wait_seconds"), warn)

    return find


def _prepare(connection: duckdb.DuckDBPyConnection) -> None:
    no_extensions(connection)
    _search_models(connection)


def _search_models(connection: duckdb.DuckDBPyConnection) -> None:
    """Let SHOW TABLES list the models, and SQL name them without their schema; seeds stay apart, as everywhere.

    Schemas of the user's own come last: a table of theirs must not be taken for one of ours.
    """
    schemas = connection.execute(
        """
        SELECT schema_name FROM duckdb_schemas()
        WHERE database_name = current_database() AND NOT internal AND schema_name NOT IN ('energywh', 'main', $seeds)
        """,
        {"seeds": SEEDS},
    ).fetchall()
    ordered = sorted((name for (name,) in schemas), key=lambda name: (name not in shipped_schemas(), name))
    connection.execute(f"SET search_path = {text(','.join([*map(identifier, ordered), 'main']))}")
