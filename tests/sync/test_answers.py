"""What a fetch makes of odd headers and of bodies that do not end."""

from __future__ import annotations

import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from energywh.core.time import hour_number, parse_hour
from energywh.sources.base import Chunk, RateLimits
from energywh.sources.eia import SOURCE
from energywh.sync import fetcher as fetch
from energywh.sync.fetcher import Fetcher, _retry_after_seconds
from energywh.sync.rate_limit import RequestLimit
from energywh.sync.simulation_guard import SimulationGuard
from tests.support.desk import Desk


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("0", 0.0), ("-3", 0.0), ("", None), ("soon", None), ("\u00b2", None)]
)
def test_retry_after_as_a_number(header: str, seconds: float | None) -> None:
    assert _retry_after_seconds(header) == seconds


def test_retry_after_as_a_date_with_or_without_a_zone() -> None:
    moment = datetime.now(UTC) + timedelta(seconds=100)
    for text in (format_datetime(moment, usegmt=True), format_datetime(moment.replace(tzinfo=None))):
        found = _retry_after_seconds(text)
        assert found is not None
        assert 90 < found <= 100


def test_a_body_that_drips_is_given_up_at_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_BACK_OFF", lambda state: 0.0)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not over.wait(0.1):
                    connection.sendall(b" ")

        threading.Thread(target=drip, daemon=True).start()
        desk = Desk(tmp_path, f"http://127.0.0.1:{server.getsockname()[1]}/v2").having(
            SYNC_TIMEOUT_SECONDS="1", SYNC_RETRIES="0"
        )
        settings = desk.settings()
        home = settings.home.create()
        fetcher = Fetcher(
            SOURCE,
            settings,
            RequestLimit(tmp_path, "eia", "", RateLimits()),
            None,
            threading.Event(),
            SimulationGuard(home, holds_data=False),
        )
        hour = hour_number(parse_hour("2024-03-01"))
        started = time.monotonic()
        fetched = fetcher.fetch(Chunk("eia.region_data", "CISO", hour, hour))
        over.set()
    assert fetched.outcome.error is not None
    assert "did not end" in fetched.outcome.error
    assert time.monotonic() - started < 60
