"""Opening DuckDB files that another process may hold."""

import errno
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow
import pytest

from energywh.core import locks
from energywh.core.database import connect, retry_while_locked
from energywh.core.query import ask
from energywh.core.storage_errors import cause_of
from energywh.errors import CorruptError, LockedError, UsageError

HOLD = "import duckdb, sys\nconnection = duckdb.connect(sys.argv[1])\nprint('held', flush=True)\nsys.stdin.read()\n"


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that keeps `held.duckdb` open until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "held.duckdb")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.communicate()


def test_a_lock_that_stays_is_an_error_that_names_its_holder(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    with pytest.raises(LockedError, match=rf"waited 0 s for .*held\.duckdb, held by process {holder.pid}"):
        connect(tmp_path / "held.duckdb", wait_seconds=0.1)


def test_a_wait_is_announced_once_and_ends_when_the_file_is_free(
    holder: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "SAY_AFTER_SECONDS", 0.0)
    said: list[str] = []

    def hear(message: str) -> None:
        said.append(message)
        assert holder.stdin is not None
        holder.stdin.close()
        holder.stdin = None

    with connect(tmp_path / "held.duckdb", wait_seconds=30, on_wait=hear) as connection:
        assert connection.execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]
    assert len(said) == 1
    assert said[0].startswith(f"waiting for {tmp_path / 'held.duckdb'}, held by process {holder.pid}")


def test_a_wait_that_is_given_up_ends_at_once(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(LockedError, match=rf"interrupted while waiting for .*held by process {holder.pid}"):
        connect(tmp_path / "held.duckdb", give_up=lambda: time.monotonic() - began > 0.2)
    assert 0.2 < time.monotonic() - began < 30


def test_giving_up_is_not_asked_of_a_file_that_is_free(tmp_path: Path) -> None:
    connect(tmp_path / "free.duckdb", read_only=False, give_up=lambda: True).close()


def test_only_locks_are_waited_for(tmp_path: Path) -> None:
    def fail() -> None:
        raise duckdb.IOException("Corrupt database file")

    with pytest.raises(CorruptError, match="is damaged"):
        retry_while_locked(fail, tmp_path / "x.duckdb", 600)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (duckdb.InterruptException("INTERRUPT Error: Interrupted!"), "interrupted"),
        (RuntimeError("Query interrupted"), "interrupted"),
        (duckdb.IOException("IO Error: Could not set lock on file: Conflicting lock is held (PID 7)"), "locked"),
        (duckdb.OutOfMemoryException("Out of Memory Error: could not allocate block"), "memory"),
        (OSError("Out of Memory Error: failed to pin block of size 256.0 KiB"), "memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "full"),
        (OSError(errno.EFBIG, "File too large"), "full"),
        (duckdb.IOException('IO Error: Could not write file "x": No space left on device'), "full"),
        (duckdb.FatalException("FATAL Error: Failed to create checkpoint: No space left on device"), "full"),
        (duckdb.IOException("IO Error: The file exists, but it is not a valid DuckDB database file!"), "damaged"),
        (duckdb.IOException("IO Error: Corrupt database file: computed checksum 1 does not match 2"), "damaged"),
        (duckdb.SerializationException("Serialization Error: Failed to deserialize: field id mismatch"), "damaged"),
        (duckdb.InternalException("INTERNAL Error: Attempted to access index 3"), "damaged"),
        (OSError("INTERNAL Error: Attempted to access index 3"), "damaged"),
        (OSError("IO Error: Could not read enough bytes from file"), "damaged"),
        (duckdb.BinderException('Binder Error: Referenced column "checksum" not found'), "sql"),
        (duckdb.ConversionException("Conversion Error: Could not convert string 'file too large' to INT32"), "sql"),
        (duckdb.InvalidInputException("Invalid Input Error: Values were not checksum-like"), "sql"),
        (duckdb.ConversionException("Conversion Error: Could not convert string 'a' to INT32"), "sql"),
        (OSError("Conversion Error: Could not convert string 'corrupt' to INT32"), "sql"),
        (pyarrow.ArrowInvalid("Invalid Input Error: no such thing"), "sql"),
        (duckdb.IOException('IO Error: Cannot open file "x": Permission denied'), "system"),
        (PermissionError(errno.EACCES, "Permission denied"), "system"),
        (OSError("IO Error: Cannot open file"), "system"),
    ],
)
def test_what_is_behind_an_error_does_not_depend_on_who_raised_it(error: Exception, kind: str) -> None:
    assert cause_of(error) == kind


def test_a_query_that_mentions_checksums_is_not_taken_for_a_damaged_file() -> None:
    with duckdb.connect() as connection, pytest.raises(UsageError, match=r"Binder Error.*checksum"):
        ask(connection, "SELECT checksum, corrupt_database FROM (SELECT 1 AS a)")


@pytest.mark.parametrize(("size", "at"), [(100, 0), (5000, 0), (None, 0), (None, 4096), (None, 9000)])
def test_a_damaged_file_is_named_as_such(tmp_path: Path, size: int | None, at: int) -> None:
    path = tmp_path / "damaged.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE numbers AS SELECT range AS n FROM range(100000)")
    whole = path.read_bytes()
    path.write_bytes(b"x" * size if size is not None else whole[:at] + b"nonsense" * 1200 + whole[at + 9600 :])
    with pytest.raises(CorruptError, match="put aside and rebuilt by 'energywh replay'"):
        connect(path)
