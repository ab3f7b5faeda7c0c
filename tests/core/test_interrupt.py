"""Ctrl-C (a real SIGINT) during a long query of DuckDB."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import pytest

from energywh.core.interrupt import interruptible
from energywh.models.versions.publish import current_version
from tests.models.folder import Desk, model

ENDLESS = "SELECT sum(a.range * b.range) AS x FROM range(10000000) a, range(10000000) b WHERE a.range + b.range > 5"
# Says that Python has started and loaded what takes long: from then on Ctrl-C finds the command line.
COMMAND = """
import sys
from pathlib import Path
import duckdb
from energywh.cli import main
import energywh.models.build.runner
folder = Path(sys.argv.pop(1))
energywh.models.build.runner.sql_dir = lambda: folder
print("started", flush=True)
main()
"""


def interrupted(desk: Desk, *words: str, ready: Callable[[], bool] = lambda: True) -> tuple[int, str]:
    """Start a command, send SIGINT a second after it is ready, and return its exit status and standard error."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(desk.sql), "--home", str(desk.home.path), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        deadline = time.monotonic() + 60
        while not ready() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1)
        assert process.poll() is None, process.communicate()[1]
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert time.monotonic() - sent < 15  # without an interrupt the query runs for days
    finally:
        process.kill()
    return process.returncode, errors.strip()


def building(desk: Desk) -> bool:
    return any(desk.home.versions.glob(".building-*.duckdb")) if desk.home.versions.exists() else False


@pytest.mark.parametrize("where", ["model", "audit"])
def test_a_build_in_a_long_query_ends_at_once_and_leaves_nothing(tmp_path: Path, where: str) -> None:
    desk = Desk(tmp_path)
    desk.land_demand(date(2024, 1, 1), 10)
    published = desk.build().path
    audit = f'[[audits]]\nsql = "select * from ({ENDLESS}) where x < 0"'
    select = ENDLESS if where == "model" else "select 1 as x"
    desk.write("normalized/endless.sql", model(select, "x", audits=audit if where == "audit" else ""))
    status, errors = interrupted(desk, "build", ready=lambda: building(desk))
    assert (status, errors) == (130, "interrupted")
    assert current_version(desk.home) == published
    assert desk.versions() == [published.name]


@pytest.mark.parametrize("command", ["sql", "export"])
def test_a_query_and_an_export_end_at_once(tmp_path: Path, command: str) -> None:
    desk = Desk(tmp_path)
    desk.land_demand(date(2024, 1, 1), 10)
    with duckdb.connect(published := desk.build().path) as connection:
        connection.execute(f"CREATE VIEW features.endless AS {ENDLESS}")
        connection.execute("INSERT INTO energywh.month (model, rows, digest) VALUES ('features.endless', 1, '')")
    published.with_suffix(".json").unlink()  # the record would say that the file was changed
    words = {"sql": ["sql", ENDLESS], "export": ["export", "features.endless", "--to", str(tmp_path / "out")]}
    status, errors = interrupted(desk, *words[command])
    assert (status, errors) == (130, "interrupted")
    assert not list(tmp_path.glob("out/**/*.parquet"))


def test_signals_are_as_before_afterwards_and_a_thread_is_left_alone() -> None:
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    with duckdb.connect() as connection, interruptible(connection):
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
    assert signal.set_wakeup_fd(before) == before
    found: list[object] = []

    def work() -> None:
        with duckdb.connect() as connection, interruptible(connection):
            found.extend(connection.execute("SELECT 1").fetchall())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(1,)]
