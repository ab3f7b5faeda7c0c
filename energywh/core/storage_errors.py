"""Translate errors of DuckDB, Arrow and the operating system.

    with storage_errors("write", file, "make its folder writable, or choose another place"):
        file.write_bytes(content)

Callers say what they do, to which file, and what to do next; the cause is found here.
"""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from energywh.errors import CorruptError, EnergywhError, LockedError, StorageError, UsageError

Cause = Literal["interrupted", "locked", "memory", "full", "damaged", "sql", "system"]

_WRONG_SQL = re.compile(
    r".{0,20}?\b(parser|binder|catalog|conversion|out of range|constraint|not implemented) error:", re.IGNORECASE
)
_FULL = re.compile(
    r"no space left|disk full|could not write|file too large|quota exceeded|errno(\":\"| = )28\b", re.IGNORECASE
)
_FULL_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DAMAGED = re.compile(
    r"not a valid duckdb|corrupt|checksum|magic bytes|not enough bytes|could not read enough|failed to deserialize"
    r"|\b(internal|fatal|serialization) error",
    re.IGNORECASE,
)
_NAMES: Mapping[Cause, str] = {
    "full": "no room on the disk",
    "memory": "not enough memory",
    "damaged": "a file is damaged or is not a DuckDB database",
    "sql": "DuckDB failed",
}
_ADVICE: Mapping[Cause, str] = {
    "full": "free some and run this again",
    "memory": "free some and run this again",
    "damaged": "a staging file is put aside and rebuilt by 'energywh replay', a warehouse by 'energywh build --full'; "
    "'energywh doctor' names all that is damaged",
    "locked": "wait for it to end, or end it, and run this again",
}


def cause_of(error: BaseException) -> Cause:
    """Return the cause of an error of DuckDB, of Arrow reading from DuckDB, or of the operating system.

    Returns:
        "interrupted", "locked" by another process, out of "memory", disk "full", file "damaged", wrong "sql", or
        "system": anything else about a file or the operating system.
    """
    import duckdb

    # DuckDB raises several classes for one cause, and Arrow hands on the text alone: both class and text count.
    text = str(error)
    if isinstance(error, duckdb.InterruptException) or "Query interrupted" in text:
        return "interrupted"
    if lock_holder(error) is not None:
        return "locked"
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError) or "Out of Memory Error" in text:
        return "memory"
    # Before the words below: an error about SQL quotes words of the query and of values.
    if _WRONG_SQL.match(text):
        return "sql"
    if getattr(error, "errno", None) in _FULL_NUMBERS or _FULL.search(text):
        return "full"
    if isinstance(error, duckdb.ProgrammingError):
        return "sql"
    if _DAMAGED.search(text):
        return "damaged"
    if isinstance(error, duckdb.OperationalError) or "IO Error" in text:
        return "system"
    # Arrow raises OSError for every error of DuckDB.
    return "system" if isinstance(error, OSError) and " Error: " not in text else "sql"


def is_about_sql(error: BaseException) -> bool:
    """Return whether the SQL that was run is to blame; internal errors of DuckDB count, as one SQL met them."""
    import duckdb

    return cause_of(error) == "sql" or isinstance(error, duckdb.InternalException)


def lock_holder(error: BaseException) -> str | None:
    """Return who holds the file if ``error`` is DuckDB's lock error, else None."""
    text = str(error)
    if "could not set lock" not in text.lower():
        return None
    program = re.search(r"held in (\S+)", text)
    pid = re.search(r"PID (\d+)", text)
    return f"process {pid[1]}" + (f" ({Path(program[1]).name})" if program else "") if pid else "another process"


def reason_of(error: BaseException, path: Path | None = None) -> str:
    """Return one line that says what went wrong; the file is added where it is another one than ``path``."""
    reason = getattr(error, "strerror", None)
    if not reason:
        return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    name = getattr(error, "filename", None)
    return f"{reason} at {name}" if name and str(name) != str(path) else str(reason)


def storage_error(
    error: BaseException, doing: str, path: Path | None = None, advice: str | Mapping[Cause, str] = ""
) -> StorageError:
    """Return the error to raise for one of DuckDB, Arrow or the operating system.

    Args:
        doing: what failed, such as "write"; ``path`` follows it.
        advice: what to do next: by cause, or for the cause "system"; the others have a default.

    Returns:
        CorruptError for a damaged file, LockedError for a locked one, else StorageError.
    """
    cause, reason = cause_of(error), reason_of(error, path)
    by_cause: Mapping[Cause, str] = {"system": advice} if isinstance(advice, str) else advice
    todo = by_cause.get(cause) or _ADVICE.get(cause)
    message = f"cannot {doing}{'' if path is None else f' {path}'}: "
    message += f"{_NAMES[cause]} ({reason})" if cause in _NAMES else reason
    kind = {"damaged": CorruptError, "locked": LockedError}.get(cause, StorageError)
    return kind(f"{message}; {todo}" if todo else message)


@contextmanager
def storage_errors(
    doing: str, path: Path, advice: str | Mapping[Cause, str] = "", *, sql: bool = False
) -> Iterator[None]:
    """Raise errors of the operating system, DuckDB and Arrow in this block as a StorageError: see `storage_error`.

    Interrupts pass unchanged, and so does an error about SQL unless ``sql``.
    """
    try:
        yield
    except Exception as error:
        if not _is_foreign(error):
            raise
        if (cause := cause_of(error)) == "interrupted" or (cause == "sql" and not sql):
            raise
        raise storage_error(error, doing, path, advice) from None


def file_error(error: Exception) -> StorageError | None:
    """Return the error to show for one of DuckDB or Arrow that met a damaged, locked or missing file; else None."""
    if not _is_foreign(error) or cause_of(error) in ("interrupted", "sql"):
        return None
    return storage_error(error, "go on", advice="'energywh doctor' says what is wrong")


def query_error(error: BaseException) -> EnergywhError:
    """Return the error of a query that fails: UsageError with DuckDB's hints for wrong SQL, else StorageError."""
    text = str(error).strip()
    if "read-only mode" in text:
        return UsageError(
            f"the warehouse is read-only: models are changed in sql/ and built by 'energywh build' ({text})"
        )
    return UsageError(text) if cause_of(error) == "sql" else storage_error(error, "answer the query")


@contextmanager
def query_errors() -> Iterator[None]:
    """Raise errors of DuckDB and Arrow in this block, which runs a person's query, as `query_error` says."""
    try:
        yield
    except Exception as error:
        if not _is_foreign(error) or cause_of(error) == "interrupted":
            raise
        raise query_error(error) from None


def _is_foreign(error: Exception) -> bool:
    # A library that is not loaded yet cannot have raised it, and loading it here would slow the start of commands.
    duckdb, pyarrow = sys.modules.get("duckdb"), sys.modules.get("pyarrow")
    return (
        isinstance(error, OSError | MemoryError)
        or (duckdb is not None and isinstance(error, duckdb.Error))
        or (pyarrow is not None and isinstance(error, pyarrow.ArrowException))
    )
