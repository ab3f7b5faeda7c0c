"""Write the staging file anew, without the room that deleted and changed rows left in it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from energywh.config.settings import Settings
from energywh.core.database import connect, one_row
from energywh.core.files import move_into_place
from energywh.core.paths import Home
from energywh.core.sql_text import text
from energywh.core.storage_errors import storage_errors
from energywh.errors import StorageError
from energywh.sync.schema import open_staging

if TYPE_CHECKING:
    import duckdb

WORTH_SHARE = 0.2  # of the file; less free room is used by the next syncs
WORTH_BYTES = 16 * 2**20


@dataclass(frozen=True)
class FreeRoom:
    """Size of the staging file and of what is free within it, in bytes."""

    size: int
    free: int

    @property
    def is_worth_it(self) -> bool:
        """Whether a new file is so much smaller that writing it is worth the time."""
        return self.free >= max(WORTH_BYTES, WORTH_SHARE * self.size)


def free_room(connection: duckdb.DuckDBPyConnection, file: Path) -> FreeRoom:
    """Return the room of the staging file that is open."""
    query = "select sum(free_blocks * block_size) from pragma_database_size() where database_name = current_database()"
    return FreeRoom(file.stat().st_size, int(one_row(connection, query)[0] or 0))


def compact(settings: Settings, on_say: Callable[[str], None] = lambda _: None) -> FreeRoom:
    """Copy staging into a new file, which takes its place in one step; return how large it was and what it freed.

    A process that is killed meanwhile leaves the old file as it was, and a copy that the next replay or prune deletes.

    Raises:
        LockedError: a sync or a replay is running.
        StorageError: there is no room for the copy, or the file cannot be read.
    """
    from energywh.sync.replay import exclude_syncs  # here, because it loads what fetches

    home = settings.home
    new = home.path / "staging.compact.duckdb"
    with exclude_syncs(home):
        _sweep(new)
        try:
            with _attached(settings, new, on_say) as connection:
                before = home.staging.stat().st_size
                _copy(connection, home, new)
                after = new.stat().st_size
                # Still attached: no other process can have written to the old file since it was copied.
                move_into_place(new, home.staging)
        finally:
            _sweep(new)
    return FreeRoom(before, max(before - after, 0))


@contextlib.contextmanager
def _attached(settings: Settings, new: Path, on_say: Callable[[str], None]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection in memory with the staging file as `old`, whole and locked against writers."""
    import duckdb

    staging = settings.home.staging
    log = staging.with_name(f"{staging.name}.wal")
    wait_seconds = float(settings.get("lock.wait_seconds"))
    while True:
        with open_staging(staging, wait_seconds=wait_seconds, on_wait=on_say):  # takes in the log of a killed process
            pass
        with storage_errors("compact", staging, sql=True), contextlib.closing(duckdb.connect()) as connection:
            connection.execute("set timezone = 'UTC'")
            connection.execute(f"attach {text(str(staging))} as old (read_only)")
            if log.exists():  # of a process that was killed just now; it would be applied to the new file
                continue
            yield connection
            return


def _copy(connection: duckdb.DuckDBPyConnection, home: Home, new: Path) -> None:
    (used,) = one_row(
        connection, "select used_blocks * block_size from pragma_database_size() where database_name = 'old'"
    )
    room = shutil.disk_usage(home.path).free
    if room < used * 1.1:
        raise StorageError(
            f"no room to compact {home.staging}: the copy needs {used * 1.1 / 1e6:,.0f} MB, and "
            f"{room / 1e6:,.0f} MB are free; nothing was changed"
        )
    connection.execute(f"attach {text(str(new))} as new")
    connection.execute("copy from database old to new")
    connection.execute("checkpoint new")
    if _rows(connection, "old") != _rows(connection, "new"):
        raise StorageError(f"the copy of {home.staging} is not complete; nothing was changed. Please report this")
    connection.execute("detach new")
    with contextlib.closing(connect(new, wait_seconds=0)) as check:  # it opens
        one_row(check, "select staging_id from sync.meta")


def _rows(connection: duckdb.DuckDBPyConnection, database: str) -> list[tuple[str, int]]:
    tables = connection.execute(
        "select schema_name || '.' || table_name from duckdb_tables() where database_name = ? order by 1", [database]
    ).fetchall()
    return [(name, one_row(connection, f"select count(*) from {database}.{name}")[0]) for (name,) in tables]


def _sweep(new: Path) -> None:
    for leftover in new.parent.glob(f"*{new.name}*"):
        leftover.unlink()
