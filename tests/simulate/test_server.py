"""The simulator as a server: clock, control routes, rate limit, faults, command line."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import requests

from energywh.errors import EnergywhError
from energywh.simulate.faults import ALL_KINDS, FaultDraw, Faults
from energywh.simulate.server import Simulator
from energywh.simulate.traffic import Clock, RateLimit
from tests.simulate.conftest import KEY, asker

HOUR = {"respondent": "PACW", "start": "2024-01-01T00", "end": "2024-01-01T06"}


def test_requests_are_listed_without_their_key_in_the_path() -> None:
    with Simulator(api_key=KEY) as sim:
        assert asker(sim)("region-data", **HOUR).status_code == 200
    (served,) = sim.requests
    assert served.api_key == KEY
    assert KEY not in served.path
    assert sim.counters.rows > 0


def test_other_processes_can_move_the_clock_and_read_the_counters() -> None:
    with Simulator(now="2026-01-01T00", api_key=KEY) as sim:
        moved = requests.post(f"{sim.control_url}/advance?hours=36", timeout=10).json()
        assert moved == {"now": "2026-01-02T12"}
        assert requests.post(f"{sim.control_url}/advance", timeout=10).status_code == 400
        assert requests.get(f"{sim.control_url}/else", timeout=10).status_code == 404
        stats = requests.get(f"{sim.control_url}/stats", timeout=10).json()
        assert stats["requests"] == 0
        assert stats["now"] == "2026-01-02T12:00:00"


def test_a_scaled_clock_runs_and_a_clock_stands_still() -> None:
    from datetime import datetime

    running, standing = (Clock(datetime(2026, 1, 1), scale) for scale in (36_000.0, 0.0))
    before = running.hour()
    time.sleep(0.3)
    assert running.hour() >= before + 2
    assert standing.now() == datetime(2026, 1, 1)


def test_beyond_the_rate_limit_each_key_is_refused() -> None:
    with Simulator(api_key=None, requests_per_hour=5, retry_after=1) as sim:
        ask = asker(sim)
        answers = [ask("region-data", api_key="one", **HOUR) for _ in range(8)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
        assert answers[-1].json()["error"]["code"] == "OVER_RATE_LIMIT"
        assert answers[-1].headers["Retry-After"] == "1"
        assert ask("region-data", api_key="two", **HOUR).status_code == 200
        assert sim.counters.over_rate == 3


def test_of_a_limit_by_the_second_each_second_counts_anew_whenever_it_begins() -> None:
    limit = RateLimit(5, None)
    moments = [0.0, 0.5, 0.6, 0.7, 0.8, 0.99, 1.0, 1.01, 1.5]
    assert [limit.admits("key", 100 + at) for at in moments] == [True] * 5 + [False, True, False, True]
    slow = RateLimit(0.2, None)
    assert [slow.admits("key", 100 + at) for at in (0, 4.9, 5, 9.9, 10)] == [True, False, True, False, True]


def test_faults_come_at_about_the_set_rate_and_in_the_same_places() -> None:
    draws = [FaultDraw(Faults(rate=0.2), seed=4) for _ in range(2)]
    faults = [[draw.next(f"/x?{i}")[0] for i in range(5000)] for draw in draws]
    assert faults[0] == faults[1]
    hits = [fault for fault in faults[0] if fault]
    assert 0.18 < len(hits) / 5000 < 0.22
    assert set(hits) == set(ALL_KINDS)


def test_a_url_gets_through_after_five_faults_in_a_row() -> None:
    draw = FaultDraw(Faults(rate=1.0), seed=0)
    assert [draw.next("/x")[0] is None for _ in range(12)] == ([False] * 5 + [True]) * 2


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_each_fault_is_what_its_name_says(kind: str) -> None:
    with Simulator(api_key=KEY, faults=Faults(rate=1.0, kinds=[kind], hang_seconds=0.2)) as sim:
        ask = asker(sim)
        if kind in {"hang", "truncated"}:
            with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
                ask("region-data", **HOUR)
        else:
            answer = ask("region-data", **HOUR)
            looks: dict[str, Callable[[], bool]] = {
                "html": lambda: answer.status_code == 200 and answer.text.startswith("<!DOCTYPE html>"),
                "wrong-total": lambda: int(answer.json()["response"]["total"]) > len(answer.json()["response"]["data"]),
            }
            assert looks[kind]() if kind in looks else answer.status_code == int(kind)
        assert sim.counters.faults[kind] >= 1


@pytest.mark.parametrize("wrong", [{"rate": 2.0}, {"kinds": ["fire"]}, {"kinds": []}])
def test_faults_that_do_not_exist_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Faults(**wrong)  # type: ignore[arg-type]


def test_a_taken_port_is_a_clear_error_and_stopping_frees_the_port() -> None:
    with Simulator() as sim:
        session = requests.Session()
        session.get(f"{sim.control_url}/stats", timeout=10)
        with pytest.raises(EnergywhError, match=f"port {sim.port} .* is in use"):
            Simulator(port=sim.port).start()
    with Simulator(port=sim.port):
        pass


def test_an_answer_can_be_late() -> None:
    with Simulator(api_key=KEY, latency_seconds=0.2) as sim:
        before = time.monotonic()
        asker(sim)("region-data", **HOUR)
        assert time.monotonic() - before >= 0.2


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "energywh", "simulate", *options]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_stopped(stop: signal.Signals) -> None:
    options = ("--port", "0", "--now", "2026-01-01T00", "--api-key", "abc", "--time-scale", "0")
    process = subprocess.Popen(
        command(*options), stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    try:
        assert process.stdout is not None
        url = re.search(r"http://\S+", process.stdout.readline())
        assert url is not None
        answer = requests.get(f"{url[0]}/electricity/rto/region-data/data/", params={"start": "2026"}, timeout=10)
        assert answer.json()["error"]["code"] == "API_KEY_MISSING"
        process.send_signal(stop)
        rest = process.stdout.read()
        assert process.wait(timeout=60) == 0
        assert f"export ENERGYWH_EIA_URL={url[0]}\n" in rest
        assert "EIA_API_KEY=abc" in rest
    finally:
        process.kill()


def test_the_command_names_a_taken_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(command("--port", str(port)), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is in use" in done.stderr


@pytest.mark.parametrize("options", [("--faults", "fire"), ("--now", "noon"), ("--gap-rate", "7")])
def test_the_command_refuses_wrong_options(options: tuple[str, ...]) -> None:
    done = subprocess.run(command("--port", "0", *options), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert options[1] in done.stderr
