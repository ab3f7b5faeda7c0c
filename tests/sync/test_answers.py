"""Fetching with unusual headers, and bodies that do not end."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import requests

from energywh.core.time import RunClock, hour_number, parse_hour, utc_now
from energywh.sources import sources
from energywh.sources.base import Chunk
from energywh.sources.eia_files import hours_of
from energywh.sources.limits import RateLimits
from energywh.sync.fetcher import Fetcher
from energywh.sync.http import retry_after_seconds, sendable_header
from energywh.sync.ledger import Outcome
from energywh.sync.rate_limit import RequestLimit
from energywh.sync.simulation_guard import SimulationGuard
from tests.support.desk import Desk
from tests.support.scripted import Answer, scripted


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("0", 0.0), ("-3", 0.0), ("", None), ("soon", None), ("\u00b2", None)]
)
def test_retry_after_as_a_number(header: str, seconds: float | None) -> None:
    assert retry_after_seconds(header) == seconds


def test_retry_after_as_a_date_with_or_without_a_zone() -> None:
    moment = datetime.now(UTC) + timedelta(seconds=100)
    for text in (format_datetime(moment, usegmt=True), format_datetime(moment.replace(tzinfo=None))):
        found = retry_after_seconds(text)
        assert found is not None
        assert 90 < found <= 100


HOUR = hour_number(parse_hour("2024-03-01"))
CHUNK = Chunk("eia.region_data", "CISO", HOUR, HOUR)
FILE = Chunk("eia_files.subregion", "2019_Jan_Jun", *hours_of("2019_Jan_Jun"))


@contextmanager
def dripping(opening: bytes, piece: bytes) -> Iterator[str]:
    """Serve one endless answer: ``opening``, then ``piece`` ten times a second."""
    over = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(opening)
            while not over.wait(0.1):
                connection.sendall(piece)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v2"
        over.set()


def fetch_once(folder: Path, url: str, chunk: Chunk, timeout_seconds: float = 1) -> Outcome:
    """Fetch a chunk without retries and return how it ended."""
    desk = Desk(folder, url).having(
        SYNC_TIMEOUT_SECONDS=str(timeout_seconds), SYNC_RETRIES="0", EIA_FILES_URL=url, CAISO_URL=url
    )
    settings = desk.settings()
    fetcher = Fetcher(
        sources()[chunk.dataset.split(".")[0]],
        settings,
        RequestLimit(folder, "eia", "", RateLimits()),
        None,
        threading.Event(),
        SimulationGuard(settings.home.create(), holds_data=False),
        RunClock(utc_now()),
    )
    return fetcher.fetch(chunk).outcome


@pytest.mark.parametrize("chunk", [CHUNK, FILE], ids=["body", "file"])
@pytest.mark.parametrize(
    ("opening", "piece", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" ", "comes too slowly"),
        (b"HTTP/1.1 200 OK\r\n", b"X", "comes too slowly"),
        (b"HTTP/1.1 200 OK\r\n", b"X: 0\r\n", "comes too slowly"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 40, "did not end within"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"200\r\n" + b" " * 512 + b"\r\n",
            "did not end within",
        ),
    ],
    ids=["bytes of a body", "bytes of a head", "lines of a head", "heads without end", "a body without end"],
)
def test_what_drips_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: Chunk, opening: bytes, piece: bytes, said: str
) -> None:
    dataset = sources()[chunk.dataset.split(".")[0]].dataset(chunk.dataset)
    monkeypatch.setitem(dataset.__dict__, "limits", replace(dataset.limits, timeouts=2))
    with dripping(opening, piece) as url:
        outcome = fetch_once(tmp_path, url, chunk)
    assert outcome.error is not None
    assert said in outcome.error


@pytest.mark.parametrize("chunk", [CHUNK, FILE], ids=["body", "file"])
def test_more_bytes_than_an_answer_may_have_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: Chunk
) -> None:
    dataset = sources()[chunk.dataset.split(".")[0]].dataset(chunk.dataset)
    monkeypatch.setitem(dataset.__dict__, "limits", replace(dataset.limits, received_bytes=2**20))
    for headers in ({}, {"Content-Length": ""}):
        with scripted(lambda number, path: Answer(b" " * 2**21, headers=headers)) as server:  # noqa: B023
            outcome = fetch_once(tmp_path, server.url, chunk, 30)
        assert outcome.error is not None
        assert "1 MiB came" in outcome.error or "1,048,576 are the most" in outcome.error


@pytest.mark.parametrize("chunk", [CHUNK, FILE], ids=["body", "file"])
def test_a_bomb_is_not_unpacked_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: Chunk) -> None:
    dataset = sources()[chunk.dataset.split(".")[0]].dataset(chunk.dataset)
    monkeypatch.setitem(dataset.__dict__, "limits", replace(dataset.limits, unpacked_bytes=2**20))
    bomb = gzip.compress(b" " * 2**26)
    with scripted(lambda number, path: Answer(bomb, headers={"Content-Encoding": "gzip"})) as server:
        outcome = fetch_once(tmp_path, server.url, chunk, 30)
    assert outcome.error is not None
    assert "more than 1 MiB came, decompressed" in outcome.error


def page(rows: list[int], total: int) -> Answer:
    """Return a page of EIA with one row of each type, distinguished by number."""
    data = [
        {"period": "2024-03-01T01", "respondent": "CISO", "respondent-name": "", "type": f"T{row}", "type-name": "",
         "value": "1", "value-units": "megawatthours"}
        for row in rows
    ]  # fmt: skip
    return Answer(
        json.dumps({"response": {"total": str(total), "dateFormat": "", "frequency": "", "data": data}}).encode()
    )


@pytest.mark.parametrize(
    ("pages", "said", "requests"),
    [
        (lambda number: page([1, 2], 50_000), "rows repeat between pages", 2),
        (lambda number: page([number % 2], 50_000), "rows repeat between pages", 3),
        (lambda number: page([number], 50_000), "more than 20 pages", 21),
        (lambda number: page([number], 10**12), "an answer of 1,000,000,000,000 rows", 1),
    ],
    ids=["same page", "two pages in turn", "pages without end", "huge total"],
)
def test_paging_without_end_is_seen(tmp_path: Path, pages: Callable[[int], Answer], said: str, requests: int) -> None:
    with scripted(lambda number, path: pages(number)) as server:
        outcome = fetch_once(tmp_path, server.url, CHUNK, 30)
    assert outcome.error is not None
    assert said in outcome.error
    assert len(server.asked) == requests


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Retry-After", "9" * 400),
        ("Retry-After", "\u00b2"),
        ("Retry-After", "Mon, 99 Nov 99999999999 00:00:00 GMT"),
        ("Content-Length", "9" * 400),
    ],
)
@pytest.mark.parametrize("chunk", [CHUNK, FILE], ids=["body", "file"])
def test_headers_that_are_no_numbers_cost_the_chunk_at_most(
    tmp_path: Path, chunk: Chunk, header: str, value: str
) -> None:
    with scripted(lambda number, path: Answer(b"{}", 503, {header: value})) as server:
        assert fetch_once(tmp_path, server.url, chunk).error is not None


def test_the_bounds_hold_through_a_proxy_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = sources()["eia"].dataset("eia.region_data")
    monkeypatch.setitem(dataset.__dict__, "limits", replace(dataset.limits, received_bytes=2**20))
    with scripted(lambda number, path: Answer(b" " * 2**21)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        outcome = fetch_once(tmp_path, "http://api.example.invalid/v2", CHUNK, 30)
    assert "1 MiB came" in str(outcome.error)
    assert proxy.asked[0][1].startswith("http://api.example.invalid/v2/")


def test_an_etag_that_cannot_be_sent_back_is_not_kept() -> None:
    answer = requests.Response()
    for value in ("", "\x0bx", "\u00e9", "x" * 5000):
        answer.headers["ETag"] = value
        assert sendable_header(answer, "ETag") is None
    answer.headers["ETag"] = '"a-1"'
    assert sendable_header(answer, "ETag") == '"a-1"'


@pytest.mark.parametrize("encoding", ["deflate", "gzip, gzip", "br", "zstd", "x-unknown"])
def test_an_encoding_that_was_not_asked_for_is_not_unpacked(tmp_path: Path, encoding: str) -> None:
    bomb = gzip.compress(gzip.compress(b" " * 2**26))
    with scripted(lambda number, path: Answer(bomb, headers={"Content-Encoding": encoding})) as server:
        outcome = fetch_once(tmp_path, server.url, CHUNK, 30)
    assert f"the answer comes as {encoding}, which was not asked for" in str(outcome.error)


@pytest.mark.parametrize("status", [202, 204, 206, 302, 304])
@pytest.mark.parametrize("chunk", [CHUNK, FILE], ids=["body", "file"])
def test_a_status_that_is_no_answer_is_a_passing_fault(tmp_path: Path, chunk: Chunk, status: int) -> None:
    with scripted(lambda number, path: Answer(b"", status, {"Location": "/elsewhere"})) as server:
        outcome = fetch_once(tmp_path, server.url, chunk)
    assert outcome.unavailable
    assert f"HTTP {status} is no answer" in str(outcome.error)
    assert len(server.asked) == 1
