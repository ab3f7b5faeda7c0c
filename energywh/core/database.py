"""Open DuckDB files, waiting while another process holds them.

DuckDB lets one process write a file, or many processes read it (measured on 2.0.0). energywh keeps files open only
briefly, so a process that finds a file locked waits and retries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from energywh.core.locks import GiveUp, OnWait, wait_while_locked
from energywh.core.storage_errors import lock_holder, storage_error
from energywh.errors import LockedError

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")


def connect(
    path: Path,
    *,
    read_only: bool = True,
    wait_seconds: float | None = None,
    on_wait: OnWait | None = None,
    config: dict[str, str | bool | int | float | list[str]] | None = None,
    give_up: GiveUp | None = None,
) -> duckdb.DuckDBPyConnection:
    """Open the DuckDB file at ``path``, waiting while another process holds it.

    Args:
        wait_seconds, on_wait, give_up: as of `wait_while_locked`.
        config: DuckDB settings for this connection.

    Raises:
        LockedError: another process still held the file after ``wait_seconds``, or when ``give_up`` said so.
        CorruptError: the file is not a DuckDB database.
        StorageError: the file cannot be opened (missing, unreadable, disk full).
    """
    import duckdb

    connection = retry_while_locked(
        lambda: duckdb.connect(str(path), read_only=read_only, config=config or {}),
        path,
        wait_seconds,
        on_wait,
        give_up,
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def retry_while_locked(
    action: Callable[[], T],
    path: Path,
    wait_seconds: float | None = None,
    on_wait: OnWait | None = None,
    give_up: GiveUp | None = None,
) -> T:
    """Return what ``action`` returns, which opens the DuckDB file at ``path``; try again while it is locked.

    Arguments and errors are those of `connect`.
    """
    import duckdb

    def attempt() -> T:
        try:
            return action()
        except duckdb.Error as error:
            holder = lock_holder(error)
            if holder is None:
                raise storage_error(error, "open", path) from None
            raise LockedError(f"{path}, held by {holder}") from None

    return wait_while_locked(attempt, wait_seconds, on_wait, give_up)


@contextmanager
def limited(connection: duckdb.DuckDBPyConnection, memory: str) -> Iterator[None]:
    """Limit DuckDB's memory in this block to ``memory``, such as "8GB"; it caches what it reads up to its limit.

    A lower limit stays; "" changes nothing.
    """
    import duckdb

    (before,) = one_row(connection, "SELECT current_setting('memory_limit')")
    now, most = (f"parse_formatted_bytes('{limit}')" for limit in (before, memory))
    if not memory or one_row(connection, f"SELECT {now} <= {most}")[0]:
        yield
        return
    with suppress(duckdb.OutOfMemoryException):  # more is in use already
        connection.execute(f"SET memory_limit = '{memory}'")
    try:
        yield
    finally:
        connection.execute(f"SET memory_limit = '{before}'")


def one_row(connection: duckdb.DuckDBPyConnection, query: str, parameters: list[Any] | None = None) -> tuple[Any, ...]:
    """Return the only row of a query, read to its end: DuckDB 2.0 rejects a query while another is partly read."""
    (row,) = connection.execute(query, parameters).fetchall()
    found: tuple[Any, ...] = row
    return found
