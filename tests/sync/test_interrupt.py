"""Ctrl-C during a sync."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from energywh.simulate.server import Simulator
from energywh.sync.runner import SyncResult
from tests.support.desk import Desk, desk_with_simulator
from tests.support.staging import statuses, values

WORDS = ("sync", "--region", "CISO,BPAT,PACW,AVA,NEVP,PSEI", "--since", "2024-03-12", "--until", "2024-03-14")
CHUNKS = 19
WITHOUT_SUBREGIONS = 5  # authorities of which EIA has no subregions; each is asked once


def finish(desk: Desk) -> SyncResult:
    """Run the same sync to its end."""
    return desk.sync(regions=[WORDS[2]], since=WORDS[4], until=WORDS[6])


def started(desk: Desk, sim: Simulator, requests: int, words: Sequence[str] = WORDS) -> subprocess.Popen[str]:
    """Start a sync and return it when so many requests have come in; what follows is answered slowly."""
    process = desk.start(*words, "--jobs", "2")
    deadline = time.monotonic() + 60
    while len(sim.requests) < requests and time.monotonic() < deadline:
        time.sleep(0.01)
    sim.latency_seconds = 0.5
    assert process.poll() is None
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sync_keeps_what_is_done_and_says_so(tmp_path: Path, number: signal.Signals) -> None:
    with desk_with_simulator(tmp_path, latency_seconds=0.05) as (desk, sim):
        process = started(desk, sim, 6)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 130, err
        assert "stopping after the current landing" in err
        summary = re.search(r"sync interrupted: \d+ requests? in [\d.]+ s; (\d+) chunks? left, the next sync", out)
        assert summary is not None, out
        counts = statuses(desk.staging)
        assert set(counts) - {"empty"} == {"done", "due"}, "nothing stays claimed"
        assert counts["due"] == int(summary[1])
        answered = counts["done"] + counts.get("empty", 0)
        assert answered == sum(map(int, re.findall(r"(\d+) of \d+ chunks?", out)))
        assert not list(desk.home.locks.glob("sync-*"))

        sim.latency_seconds = 0.0
        assert finish(desk).ok
        assert statuses(desk.staging) == {"done": CHUNKS, "empty": WITHOUT_SUBREGIONS}
        undisturbed = desk.another("undisturbed")
        assert finish(undisturbed).ok
        assert values(desk.staging) == values(undisturbed.staging)


def test_a_second_interrupt_ends_a_sync_that_waits_for_a_file(tmp_path: Path) -> None:
    """The first interrupt cannot end the sync: it waits for staging, to land fetched chunks."""
    import duckdb

    with desk_with_simulator(tmp_path, latency_seconds=0.1) as (desk, sim):
        process = started(desk, sim, 3)
        while True:
            try:
                holder = duckdb.connect(str(desk.staging))
                break
            except duckdb.IOException:
                time.sleep(0.01)
        with holder:
            deadline = time.monotonic() + 60
            # A third is needed, as the claims cannot be given back either: its death does it.
            while process.poll() is None and time.monotonic() < deadline:
                process.send_signal(signal.SIGINT)
                time.sleep(0.5)
            _, err = process.communicate(timeout=1)
        assert process.returncode == 130, err
        assert "interrupted" in err
        assert "Traceback" not in err
        assert finish(desk).ok
        assert statuses(desk.staging) == {"done": CHUNKS, "empty": WITHOUT_SUBREGIONS}


def test_a_refresh_that_is_interrupted_leaves_settled_chunks_settled(tmp_path: Path) -> None:
    with desk_with_simulator(tmp_path, latency_seconds=0.05) as (desk, sim):
        assert finish(desk).ok
        sim.requests.clear()
        process = started(desk, sim, 4, (*WORDS, "--refresh", "9999d"))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
        assert process.returncode == 130
        assert statuses(desk.staging) == {"done": CHUNKS, "empty": WITHOUT_SUBREGIONS}
        sim.requests.clear()
        assert finish(desk).ok
        assert sim.requests == []


def interrupted_while_waiting(desk: Desk, said: str) -> None:
    """Interrupt a sync once, when it has reported its wait, and check its end."""
    process = desk.start(*WORDS)
    assert process.stderr is not None
    assert said in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)  # less than it would wait for the file
    assert process.returncode == 130, err
    assert "sync interrupted: 0 requests" in out
    assert "Traceback" not in err
    assert "interrupted while waiting" not in err


def test_a_sync_that_waits_for_staging_ends_as_interrupted(tmp_path: Path) -> None:
    import duckdb

    with desk_with_simulator(tmp_path) as (desk, _):
        assert desk.sync("eia.region_data", regions=["CISO"], since=WORDS[4], until=WORDS[6]).ok
        with duckdb.connect(str(desk.staging)):
            interrupted_while_waiting(desk, "staging.duckdb, held by process")


def test_a_sync_that_waits_for_a_replay_ends_as_interrupted(tmp_path: Path) -> None:
    from filelock import FileLock

    with desk_with_simulator(tmp_path) as (desk, sim):
        desk.home.create()
        with FileLock(desk.home.locks / "replay.lock"):
            interrupted_while_waiting(desk, "waiting for 'energywh replay'")
        assert sim.requests == []
