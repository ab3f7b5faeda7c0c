"""What `energywh sql` lets a query do, and readers of a file that another program holds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

import energywh
from energywh.core import locks
from energywh.errors import LockedError
from energywh.models.versions.publish import current_version
from tests.core.test_database import HOLD
from tests.models.folder import DEMAND, Desk
from tests.support.desk import typed


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("desk"), {"normalized/demand.sql": DEMAND})
    desk.land_demand(date(2024, 1, 1), 5)
    desk.build()
    (desk.home.path / "mine.csv").write_text("a\n7\n")
    return desk


def run(desk: Desk, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return typed("--home", str(desk.home.path), *words, env={**os.environ, **variables})


def test_files_are_read_with_the_option_alone_and_its_absence_is_named(desk: Desk) -> None:
    query = f"select * from '{desk.home.path}/mine.csv'"
    refused = run(desk, "sql", query)
    assert refused.returncode == 2
    assert refused.stderr.endswith("\nTo let a query read files of this machine, add the option --files\n")
    assert run(desk, "sql", "--files", "--format", "csv", query).stdout == "a\n7\n"
    assert run(desk, "sql", "--files", f"copy (select 1) to '{desk.home.path}/new.csv'").returncode == 2


def test_staging_is_read_beside_closed_files(desk: Desk) -> None:
    done = run(desk, "sql", "--staging", "--format", "csv", "select count(*) as rows from staging.eia.region_data")
    assert done.stdout == "rows\n48\n"


def test_parquet_is_written_by_the_command_and_nothing_is_left_beside_it(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "answer.parquet"
    assert run(desk, "sql", "--output", str(file), "select 1 as a, interval 1 day as b").returncode == 0
    assert list(tmp_path.glob("[!s]*")) == [file]
    assert run(desk, "sql", "--files", "--format", "csv", f"select a from '{file}'").stdout == "a\n1\n"


def test_the_zone_of_a_session_shows_moments_and_changes_no_stored_hour(desk: Desk) -> None:
    query = "select hour_utc, hour_utc at time zone 'UTC' as local from normalized.demand order by 1 limit 1"
    shown = "hour_utc,local\n2024-01-01 00:00:00,2024-01-01 09:00:00+09\n"
    assert run(desk, "sql", "--timezone", "Asia/Tokyo", "--format", "csv", query).stdout == shown
    assert run(desk, "sql", "--format", "csv", f"set timezone = 'Asia/Tokyo'; {query}").stdout == shown
    wrong = run(desk, "sql", "--timezone", "Asia/Tokio", query)
    assert (wrong.returncode, "Unknown TimeZone 'Asia/Tokio'" in wrong.stderr) == (2, True)


@pytest.fixture
def holder(desk: Desk) -> Iterator[subprocess.Popen[str]]:
    """A program that has the published version open for writing, as the DuckDB CLI has it for root."""
    path = current_version(desk.home)
    assert path is not None
    path.chmod(0o644)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.communicate()


@pytest.mark.parametrize("words", [("sql", "select 1"), ("check",), ("models",), ("export", "--all"), ("diff", "1")])
def test_readers_wait_as_set_say_who_holds_the_file_and_give_up(
    desk: Desk, holder: subprocess.Popen[str], words: tuple[str, ...]
) -> None:
    done = run(desk, *words, ENERGYWH_LOCK_WAIT_SECONDS="0.2")
    assert done.returncode == 1
    first, last = done.stderr.splitlines()
    assert first.startswith(f"waiting for {desk.home.versions}")
    assert f"held by process {holder.pid} (python" in first
    assert last.startswith("energywh: waited 0 s for ")
    assert last.endswith("or end it, and run this again")


def test_open_waits_with_a_warning(desk: Desk, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENERGYWH_LOCK_WAIT_SECONDS", "0.2")
    with (
        pytest.warns(UserWarning, match=f"waiting for .* held by process {holder.pid}"),
        pytest.raises(LockedError, match="waited 0 s"),
    ):
        energywh.open(desk.home.path)
    monkeypatch.setattr(locks, "SAY_AFTER_SECONDS", 600.0)
    monkeypatch.setenv("ENERGYWH_LOCK_WAIT_SECONDS", "60")
    assert holder.stdin is not None
    holder.stdin.close()
    holder.stdin = None
    energywh.open(desk.home.path).close()
