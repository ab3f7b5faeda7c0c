"""Keep the SQL of a person from files, from the network and from DuckDB's settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from energywh.core.sql_text import text

if TYPE_CHECKING:
    import duckdb

# What a query may still set. Neither changes a stored value: times are naive UTC.
SETTINGS = ("TimeZone", "Calendar")
# /proc holds the environment of each process, and so keys. DuckDB takes ".." away before it follows links, so a link
# into /proc would lead there: /dev/fd/../environ.
_OF_THE_SYSTEM = (Path("/proc"), Path("/dev"), Path("/sys"))


def no_extensions(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep DuckDB from fetching extensions from the internet when a query names one of their functions."""
    connection.execute("SET autoinstall_known_extensions = false; SET autoload_known_extensions = false")


def restrict(connection: duckdb.DuckDBPyConnection, places: Sequence[Path] = ()) -> None:
    """Let SQL reach the databases that are open and these folders and files, and change `SETTINGS` alone.

    DuckDB follows links and ".." before it compares. It allows reading and writing there, so what a query does must be
    checked as well: see `energywh.core.query`. This holds for all connections of this process to the same file, until
    the last of them is closed.
    """
    no_extensions(connection)
    folders = _list(place for place in places if place.is_dir())
    files = _list(place for place in places if not place.is_dir())
    connection.execute(
        f"SET allowed_directories = {folders}; SET allowed_paths = {files}; SET allow_persistent_secrets = false; "
        f"SET enable_external_access = false; SET allowed_configs = {_list(SETTINGS)}; SET lock_configuration = true"
    )


def everything_but(hidden: Iterable[Path]) -> list[Path]:
    """Return folders and files that together hold all of this machine's but ``hidden`` and those of the system."""
    left_out = {*_OF_THE_SYSTEM, *(path.resolve() for path in hidden if path.exists())}
    found: list[Path] = []
    waiting = [Path(Path.cwd().anchor)]
    while waiting:
        folder = waiting.pop()
        try:
            inside = list(folder.iterdir())
        except PermissionError:  # what is in it can be opened by who knows its name, so the way down is known at least
            inside = [path for each in left_out for path in each.parents if path.parent == folder != path]
        for path in inside:
            # What a link points to is in the list by its own path, which DuckDB finds, or is hidden.
            if path in left_out or path.is_symlink():
                continue
            if any(path in each.parents for each in left_out):
                waiting.append(path)
            else:
                found.append(path)
    return found


def _list(values: Iterable[object]) -> str:
    return f"[{', '.join(text(str(value)) for value in values)}]"
