"""`energywh watch` continues round after round, whatever fails in one of them."""

from __future__ import annotations

import re
import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest

from energywh.core.time import parse_span_seconds, utc_now
from energywh.errors import UsageError
from tests.support.desk import Desk, desk_with_simulator, typed
from tests.support.staging import query

ROUND = ("watch", "--every", "1s", "--no-export")


def test_rounds_sync_build_and_export_until_their_number_is_reached(tmp_path: Path) -> None:
    with desk_with_simulator(tmp_path) as (desk, _):
        assert desk.run("sync", "--region", "CISO", "--since", "2024-03-01", "--until", "2024-03-02").returncode == 0
        # From then on all that a plain sync asks for fails: the source is gone.
        gone = desk.having(EIA_URL="http://127.0.0.1:9/v2", SYNC_RETRIES="0")
        done = gone.run("watch", "--every", "1s", "--rounds", "2", "--since", "2025-12-20")
    assert done.returncode == 1
    assert "round 1 incomplete" in done.stdout
    assert "round 2 incomplete" in done.stdout
    assert "build: published energy-" in done.stdout
    assert "build: nothing new" in done.stdout
    assert "export: " in done.stdout
    assert done.stderr.count("failed: sync: ") == 2
    assert "Traceback" not in done.stderr
    assert desk.key not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("number", "status"), [pytest.param(signal.SIGTERM, 0, marks=pytest.mark.soak), (signal.SIGINT, 130)]
)
def test_a_signal_between_rounds_stops_it_at_once(tmp_path: Path, number: signal.Signals, status: int) -> None:
    desk = Desk(tmp_path, "http://127.0.0.1:9/v2").having(SYNC_RETRIES="0")
    process = desk.start("watch", "--every", "1h", "--since", f"{utc_now() - timedelta(days=2):%Y-%m-%d}")
    assert process.stdout is not None
    while "round 1" not in (line := process.stdout.readline()):
        assert line, process.communicate()
    process.send_signal(number)
    assert process.wait(timeout=60) == status  # and not in an hour


def test_a_signal_in_a_sync_finishes_the_landing_and_leaves_what_is_done(tmp_path: Path) -> None:
    with desk_with_simulator(tmp_path, latency_seconds=0.05) as (desk, sim):
        process = desk.start(*ROUND)
        while len(sim.requests) < 30:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert "published" not in out
        assert "round 1 interrupted" in out
        assert query(desk.staging, "select count(*) > 0 from sync.chunk where status = 'done'") == [(True,)]
        assert query(desk.staging, "select count(*) from sync.chunk where status = 'in progress'") == [(0,)]


@pytest.mark.parametrize(("answer", "words", "begun"), [("n\n", (), False), ("", ("--yes",), True)])
def test_a_long_first_round_is_announced_and_begins_on_a_terminal_only_when_agreed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, words: tuple[str, ...], begun: bool
) -> None:
    slow = Desk(tmp_path, "http://127.0.0.1:9/v2").having(EIA_REQUESTS_PER_SECOND="1", SYNC_RETRIES="0")
    monkeypatch.setattr("energywh.watch.watch", lambda *_, **__: 0)
    monkeypatch.setattr("energywh.cli.watch.on_terminal", lambda: True)
    done = typed("watch", "--every", "10s", "--region", "CISO", *words, env=slow.environment, stdin=answer)
    assert re.search(r"first round makes [\d,]+ requests, which take \d+ (min|h) \d+ ", done.stderr), done
    assert (done.returncode, "nothing was done" in done.stderr) == ((0, False) if begun else (1, True))
    assert not slow.home.path.exists(), "it plans without writing"


def test_without_a_terminal_a_long_first_round_is_announced_and_begins(tmp_path: Path) -> None:
    gone = Desk(tmp_path, "http://127.0.0.1:9/v2").having(EIA_REQUESTS_PER_SECOND="1", SYNC_RETRIES="0")
    done = gone.run(
        "watch", "--every", "10s", "--since", "2025-01-01", "--region", "CISO", "--rounds", "1", "--no-export"
    )
    assert "the next one follows at once, not after 10s" in done.stderr
    assert "round 1 incomplete" in done.stdout


@pytest.mark.parametrize("text", ["0h", "soon", "1", "-1h", "1w"])
def test_an_invalid_time_span_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="such as 30m or 1h"):
        parse_span_seconds(text, "--every")


def test_spans_are_read() -> None:
    assert [parse_span_seconds(text) for text in ("90s", "30m", "1h", "2d")] == [90, 1800, 3600, 172_800]


def test_a_step_that_fails_in_an_unforeseen_way_does_not_end_the_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from energywh import watch
    from energywh.sync.selection import parse_selection

    def burst(*_: object) -> str:
        raise MemoryError

    monkeypatch.setattr(watch, "_build", burst)
    monkeypatch.setattr(watch, "_sync", lambda *_: "nothing")
    rounds: list[watch.Round] = []
    desk = Desk(tmp_path, "http://127.0.0.1:9/v2")
    failed = watch.watch(
        desk.settings, parse_selection(("eia",)), every_seconds=0.1, export=False, rounds=3, on_round=rounds.append
    )
    assert failed == 3
    assert [done.failures for done in rounds] == [("build: unexpected MemoryError; please report it",)] * 3


def test_what_is_synced_can_be_limited(tmp_path: Path) -> None:
    with desk_with_simulator(tmp_path) as (desk, _):
        words = ("eia.region_data", "--region", "CISO", "--since", "2025-12-20", "--rounds", "1", "--no-export")
        done = desk.run("watch", *words)
        assert done.returncode == 0, done.stderr
        assert query(desk.staging, "select distinct dataset, slice from sync.chunk") == [("eia.region_data", "CISO")]
