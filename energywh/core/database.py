"""Open DuckDB files so that no user ever meets a lock error.

DuckDB lets one process write a file or many read it (measured on 2.0.0). We hold files briefly, so
whoever meets a lock waits and tries again, and only says who holds it when patience runs out.
"""

from __future__ import annotations

import errno
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from energywh.errors import CorruptError, LockedError, StorageError

if TYPE_CHECKING:
    import duckdb

DEFAULT_WAIT_SECONDS = 600.0
SAY_AFTER_SECONDS = 2.0

OnWait = Callable[[str], None]
GiveUp = Callable[[], bool]
T = TypeVar("T")


def connect(
    path: Path,
    *,
    read_only: bool = True,
    wait_seconds: float = DEFAULT_WAIT_SECONDS,
    on_wait: OnWait | None = None,
    config: dict[str, str | bool | int | float | list[str]] | None = None,
    give_up: GiveUp | None = None,
) -> duckdb.DuckDBPyConnection:
    """Open the DuckDB file at ``path``, waiting while another process holds it.

    Args:
        on_wait: called once with a sentence for the user when the wait gets long.
        config: DuckDB settings for this connection.
        give_up: asked again and again while waiting; True ends the wait at once.

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
    wait_seconds: float,
    on_wait: OnWait | None = None,
    give_up: GiveUp | None = None,
) -> T:
    """Return what ``action`` returns, which opens the DuckDB file at ``path``; try again while it is locked.

    Arguments and errors are those of `connect`.
    """
    import duckdb

    began = time.monotonic()
    while True:
        try:
            return action()
        except duckdb.Error as error:
            holder = lock_holder(error)
            if holder is None:
                raise explain(error, path) from None
        waited = time.monotonic() - began
        if give_up is not None and give_up():
            raise LockedError(f"{path} is held by {holder}; given up: interrupted")
        if waited >= wait_seconds:
            raise LockedError(
                f"{path} is held by {holder} and was not released within {wait_seconds:.0f} s; "
                "wait for it to end, or end it, and run this again"
            )
        if on_wait is not None and waited >= SAY_AFTER_SECONDS:
            on_wait(f"waiting for {path.name}, held by {holder}")
            on_wait = None
        time.sleep(random.uniform(0.01, 0.06))  # noqa: S311 - jitter, not a secret


@contextmanager
def limited(connection: duckdb.DuckDBPyConnection, memory: str) -> Iterator[None]:
    """Let DuckDB take no more ``memory`` in this block, such as "8GB"; it would keep what it reads while there is room.

    A limit that is lower already stays; so does any for "".
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
    """Return the only row of a query, read to its end: DuckDB 2.0 refuses a query while another is half read."""
    (row,) = connection.execute(query, parameters).fetchall()
    found: tuple[Any, ...] = row
    return found


def lock_holder(error: BaseException) -> str | None:
    """Return who holds the file when ``error`` is DuckDB's lock error, else None."""
    text = str(error)
    if "could not set lock" not in text.lower():
        return None
    program = re.search(r"held in (\S+)", text)
    pid = re.search(r"PID (\d+)", text)
    return f"process {pid[1]}" + (f" ({Path(program[1]).name})" if program else "") if pid else "another process"


Trouble = Literal["interrupted", "locked", "memory", "full", "damaged", "sql", "system"]

_ASKED_WRONG = re.compile(
    r".{0,20}?\b(parser|binder|catalog|conversion|out of range|constraint|not implemented) error:", re.IGNORECASE
)
_FULL = re.compile(
    r"no space left|disk full|could not write|file too large|quota exceeded|errno\":\"28\"", re.IGNORECASE
)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DAMAGED = re.compile(
    r"not a valid duckdb|corrupt|checksum|magic bytes|not enough bytes|could not read enough|failed to deserialize"
    r"|\b(internal|fatal|serialization) error",
    re.IGNORECASE,
)


def trouble(error: BaseException) -> Trouble:
    """Return what is behind an error of DuckDB, of Arrow reading from it, or of the system.

    DuckDB says the same in errors of several classes, and Arrow hands on its text alone, so both are looked at.

    Returns:
        "interrupted", "locked" by another process, "memory" short, disk "full", file "damaged", "sql" that cannot be
        answered, or something else about a file or the "system".
    """
    import duckdb

    said = str(error)
    if isinstance(error, duckdb.InterruptException) or "Query interrupted" in said:
        return "interrupted"
    if lock_holder(error) is not None:
        return "locked"
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError) or "Out of Memory Error" in said:
        return "memory"
    if _ASKED_WRONG.match(said):  # it may quote any word of a query or a value, and so any below
        return "sql"
    if getattr(error, "errno", None) in _NO_ROOM or _FULL.search(said):
        return "full"
    if isinstance(error, duckdb.ProgrammingError):
        return "sql"
    if _DAMAGED.search(said):
        return "damaged"
    if isinstance(error, duckdb.OperationalError) or "IO Error" in said:
        return "system"
    return "system" if isinstance(error, OSError) and " Error: " not in said else "sql"  # Arrow raises OSError for all


def explain(error: Exception, path: Path, doing: str = "open") -> StorageError:
    """Turn a DuckDB error on ``path`` into one that says what to do.

    Args:
        doing: what failed where it is neither damage nor a full disk.
    """
    text = str(error).splitlines()[0]
    kind = trouble(error)
    if kind == "damaged":
        return CorruptError(
            f"{path} is not a DuckDB database, or is damaged ({text}); move it away: "
            "a staging file is rebuilt by 'energywh replay' or 'energywh sync', a warehouse by 'energywh build'"
        )
    if kind == "full":
        return StorageError(f"no room on the disk that holds {path}; free some and run this again ({text})")
    return StorageError(f"cannot {doing} {path}: {text}")
