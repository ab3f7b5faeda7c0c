"""Builds that are killed at any instant, while a reader in another process notices nothing."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

from energywh.models.versions.publish import current_version
from energywh.models.versions.records import versions_of
from tests.models.folder import Desk

MONTHS = [date(2024, month, 1) for month in (1, 2, 3)]
TABLES = ("normalized.demand", "normalized.grid", "features.total")

# Forks a process for each build that is asked for, which saves importing DuckDB each time: "go" in, its pid out,
# then its exit status, negative for a signal.
BUILDER = """
import os, sys
from pathlib import Path
import duckdb, filelock, sqlglot
from energywh.core.paths import Home
from energywh.models.build.runner import build
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        build(Home(Path(sys.argv[1])), sql=Path(sys.argv[2]))
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

# Every landing sets all demand to one number, so a version that mixes landings shows two.
READ = """
import sys, time
from pathlib import Path
import duckdb
from energywh.core.paths import Home
from energywh.models.versions.publish import current_version
from energywh.models.versions.records import versions_of
home, stop = Home(Path(sys.argv[1])), Path(sys.argv[2])
polls, last = 0, 0.0
while not stop.exists():
    with duckdb.connect(current_version(home), read_only=True) as connection:
        found = connection.execute(
            "SELECT min(demand_mwh), max(demand_mwh), count(*) FROM normalized.demand UNION ALL "
            "SELECT min(demand_mwh), max(demand_mwh), count(demand_mwh) FROM normalized.grid UNION ALL "
            "SELECT min(total_mwh / hours), max(total_mwh / hours), sum(hours) FROM features.total"
        ).fetchall()
    numbers = {number for low, high, _ in found for number in (low, high)}
    assert len(numbers) == 1 and len({rows for *_, rows in found}) == 1, found
    (number,) = numbers
    assert number >= last, (number, last)
    polls, last = polls + 1, number
    with duckdb.connect(home.energy, read_only=True) as connection:
        connection.execute("SELECT count(*) FROM features.rolling").fetchall()
    time.sleep(0.1)  # leaves the processor to the builds
print(polls)
"""


def land(desk: Desk, number: int) -> None:
    """Set the demand of every hour to ``number``."""
    desk.land(
        "DELETE FROM eia.region_data",
        "INSERT INTO eia.region_data SELECT month + to_hours(h::INTEGER), r, 'D', "
        f"{number}, TIMESTAMP '2025-01-01' FROM range(1, 49) t(h), (SELECT unnest(['A', 'B']) r), "
        f"(SELECT unnest({[str(month) for month in MONTHS]}::TIMESTAMP[]) AS month)",
        changes={"eia.region_data": MONTHS},
    )


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    land(desk, 1)
    desk.build()
    return desk


@pytest.fixture
def reader(desk: Desk, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that reads the published version over and over, until the file `stop` exists."""
    process = subprocess.Popen(
        [sys.executable, "-c", READ, str(desk.home.path), str(tmp_path / "stop")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.wait()


class Builder:
    """A process that forks builds."""

    def __init__(self, desk: Desk) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", BUILDER, str(desk.home.path), str(desk.sql)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _read(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def start(self) -> int:
        """Start a build and return the id of its process."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self._read()

    def wait(self) -> int:
        """Return the exit status of the build once it ended."""
        return self._read()


@pytest.fixture
def builder(desk: Desk) -> Iterator[Builder]:
    builder = Builder(desk)
    yield builder
    builder.process.kill()
    builder.process.communicate()


@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=pytest.mark.soak)])
def test_builds_killed_at_any_instant_never_disturb_a_reader(
    desk: Desk, builder: Builder, reader: subprocess.Popen[str], tmp_path: Path, kills: int
) -> None:
    chance = random.Random(8)
    builder.start()
    assert builder.wait() == 0
    land(desk, 2)
    began = time.monotonic()
    builder.start()
    assert builder.wait() == 0
    usual = time.monotonic() - began

    killed, number = 0, 2
    while killed < kills:
        number += 1
        land(desk, number)
        child = builder.start()
        time.sleep(chance.uniform(0, usual))
        with contextlib.suppress(ProcessLookupError):  # it was done before
            os.kill(child, signal.SIGKILL)
        killed += builder.wait() == -signal.SIGKILL
        assert current_version(desk.home) is not None
        assert reader.poll() is None, reader.communicate()[1]

    for _ in range(3):  # so that versions are pruned, however few were finished before
        number += 1
        land(desk, number)
        desk.build()
    (tmp_path / "stop").touch()
    polls, errors = reader.communicate(timeout=120)
    assert reader.returncode == 0, errors
    assert int(polls) > 5  # all the while; how often depends on the machine
    assert not [name for name in desk.versions() if name.startswith(".")]
    assert len(desk.versions()) <= 3
    newest, *others = versions_of(desk.home)
    assert newest.state == "published"
    assert {each.state for each in others} == {"kept", "pruned"}
    assert all(each.record is not None for each in (newest, *others))
    after_kills = desk.contents()
    desk.build(full=True)
    assert after_kills == desk.contents()


def test_ctrl_c_ends_a_long_build_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    slow = "select sum(i * j)::bigint as a from range(3000000) t(i), range(3000000) u(j)"
    head = '/*---\ndescription = "Takes days."\ngrain = ["a"]\n[columns]\na = "A."\n---*/\n'
    desk = Desk(tmp_path, {"n/slow.sql": head + slow})
    builder = Builder(desk)
    child = builder.start()
    time.sleep(0.7)
    began = time.monotonic()
    os.kill(child, signal.SIGINT)
    assert builder.wait() == -signal.SIGINT  # Python's own way to end; the command line makes it 130
    assert time.monotonic() - began < 30
    builder.process.communicate()
    assert desk.versions() == []


def test_a_build_waits_for_a_sync_that_holds_staging(desk: Desk) -> None:
    land(desk, 2)
    hold = "import duckdb, sys\nheld = duckdb.connect(sys.argv[1])\nprint('held', flush=True)\nsys.stdin.read()\n"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(desk.home.staging)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(duckdb.IOException):
            duckdb.connect(desk.home.staging, read_only=True)
        threading.Timer(0.5, holder.stdin.close).start()
        assert desk.build().published
    assert desk.query("SELECT DISTINCT demand_mwh FROM normalized.demand") == [(2.0,)]
