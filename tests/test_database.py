"""Opening DuckDB files that another process may hold."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from energywh import database
from energywh.database import connect, retry_while_locked
from energywh.errors import CorruptError, LockedError

HOLD = "import duckdb, sys\nconnection = duckdb.connect(sys.argv[1])\nprint('held', flush=True)\nsys.stdin.read()\n"


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds `held.duckdb` until its standard input ends."""
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
    with pytest.raises(LockedError, match=rf"held by process {holder.pid}.*was not released within 0 s"):
        connect(tmp_path / "held.duckdb", wait_seconds=0.1)


def test_a_wait_is_announced_once_and_ends_when_the_file_is_free(
    holder: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "SAY_AFTER_SECONDS", 0.0)
    said: list[str] = []

    def hear(message: str) -> None:
        said.append(message)
        assert holder.stdin is not None
        holder.stdin.close()
        holder.stdin = None

    with connect(tmp_path / "held.duckdb", wait_seconds=30, on_wait=hear) as connection:
        assert connection.execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]
    assert len(said) == 1
    assert said[0].startswith(f"waiting for held.duckdb, held by process {holder.pid}")


def test_a_wait_that_is_given_up_ends_at_once(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(LockedError, match=rf"held by process {holder.pid}.*given up: interrupted"):
        connect(tmp_path / "held.duckdb", give_up=lambda: time.monotonic() - began > 0.2)
    assert 0.2 < time.monotonic() - began < 5


def test_giving_up_is_not_asked_of_a_file_that_is_free(tmp_path: Path) -> None:
    connect(tmp_path / "free.duckdb", read_only=False, give_up=lambda: True).close()


def test_only_locks_are_waited_for(tmp_path: Path) -> None:
    def fail() -> None:
        raise duckdb.IOException("Corrupt database file")

    with pytest.raises(CorruptError, match="is damaged"):
        retry_while_locked(fail, tmp_path / "x.duckdb", 600)
