"""The key leaves this machine only in requests, and appears nowhere else."""

from __future__ import annotations

import json
import logging
import threading
import traceback
from pathlib import Path

import pyarrow as pa
import pytest

from energywh.core.time import RunClock, utc_now
from energywh.errors import EnergywhError, UnavailableError
from energywh.simulate.faults import Faults
from energywh.simulate.server import Simulator
from energywh.sources.base import Chunk
from energywh.sources.eia import SOURCE
from energywh.sources.limits import RateLimits
from energywh.sync.fetcher import Fetcher
from energywh.sync.packs import scan
from energywh.sync.rate_limit import RequestLimit
from energywh.sync.replay import replay
from energywh.sync.simulation_guard import SimulationGuard
from tests.support.desk import KEY, Desk, desk_with_simulator
from tests.support.scripted import Answer, scripted

DAYS = {"since": "2024-03-01", "until": "2024-03-03"}


def bytes_at_rest(folder: Path) -> dict[Path, bytes]:
    """Return every file below the folder and in its packs, payloads decompressed, names of files included."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            found[path] = str(path).encode() + path.read_bytes()
        if path.suffix == ".tar":
            for name, member in scan(path).members:
                content = member.content()
                if name.endswith(".zst"):
                    with pa.CompressedInputStream(pa.BufferReader(content), "zstd") as stream:
                        content = stream.read()
                found[path / name] = content
    return found


def test_the_key_is_in_no_file_and_no_log_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3", "urllib3.connectionpool", "requests"):
        caplog.set_level(logging.DEBUG, name)
    with desk_with_simulator(tmp_path, faults=Faults(rate=0.3, hang_seconds=0.3)) as (plain, sim):
        desk = plain.having(EIA_REQUESTS_PER_SECOND="100")
        assert desk.sync(regions=["CISO,BPAT,PACW"], **DAYS).ok
        replay(desk.settings())
        assert any(served.api_key == KEY for served in sim.requests)
    files = bytes_at_rest(tmp_path)
    assert sum(path.suffix == ".zst" for path in files) >= 9
    assert any(path.suffix == ".sqlite" for path in files)
    assert b"REDACTED" in b"".join(content for path, content in files.items() if path.suffix == ".zst")
    assert [path for path, content in files.items() if KEY.encode() in content] == []
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "answer",
    [
        Answer(f"<html>The URL https://api.eia.gov/?api_key={KEY} could not be retrieved</html>".encode()),
        Answer(f"Error: api_key={KEY}".encode(), 503),
        Answer(f"https://api.eia.gov/v2/?api_key={KEY}".encode(), 403),
        Answer(json.dumps({"error": {"code": "API_KEY_INVALID", "message": f"not a key: {KEY}"}}).encode(), 403),
        Answer(json.dumps({"error": f"bad key {KEY}", "code": 400}).encode(), 400),
        Answer(json.dumps({"response": {"total": "1", "data": [{"period": KEY}]}}).encode()),
        Answer(b"", 302, {"Location": f"https://elsewhere/?api_key={KEY}"}),
        Answer(b"x", 200, {"Content-Length": "100"}),
        Answer(b"x", 200, {"Content-Encoding": "gzip"}),
    ],
)
def test_the_key_is_in_no_error_whatever_the_source_quotes(
    tmp_path: Path, answer: Answer, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with scripted(lambda number, path: answer) as server:
        desk = Desk(tmp_path, server.url).having(SYNC_RETRIES="0", SYNC_TIMEOUT_SECONDS="0.5")
        try:
            text = "\n".join(desk.sync("eia.region_data", regions=["CISO"], **DAYS).errors)
        except EnergywhError as error:
            text = f"{error!r}" + "".join(traceback.format_exception(error))
    assert text
    assert "REDACTED" in text
    assert KEY not in text + "".join(capsys.readouterr()) + caplog.text
    assert [path for path, content in bytes_at_rest(tmp_path).items() if KEY.encode() in content] == []


def test_a_server_that_is_not_there_is_an_error_without_the_key(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "http://127.0.0.1:9/v2").having(SYNC_RETRIES="0")
    (error,) = desk.sync("eia.region_data", regions=["CISO"], **DAYS).errors
    assert "cannot connect" in error
    assert "http://127.0.0.1:9/v2/electricity/rto/region-data/data/?" in error
    assert KEY not in error


def test_settings_show_no_secret(tmp_path: Path, sim: Simulator) -> None:
    settings = Desk(tmp_path, sim.url).settings()
    assert settings.get("eia.api_key") == KEY
    assert KEY not in repr(settings)


def chain(error: BaseException | None) -> str:
    """Return all that an exception carries, whether it is shown or not."""
    found = ""
    while error is not None:
        found += f"{error!r} {error.args} {vars(error)}"
        error = error.__cause__ or error.__context__
    return found


@pytest.mark.parametrize(
    "answer",
    [
        None,
        Answer(b"x", 200, {"Content-Length": "100"}),
        Answer(b"\x1f\x8bnot gzip", 200, {"Content-Encoding": "gzip"}),
        Answer(b"x", 503, {"Content-Length": "100"}),
    ],
)
def test_no_exception_carries_the_key_even_unseen(tmp_path: Path, answer: Answer | None) -> None:
    """A debugger or a crash reporter walks along what `from None` only hides."""
    with scripted(lambda number, path: answer or Answer()) as server:
        settings = (
            Desk(tmp_path, server.url if answer else "http://127.0.0.1:9/v2")
            .having(SYNC_TIMEOUT_SECONDS="1")
            .settings()
        )
        limit = RequestLimit(tmp_path, "eia", "", RateLimits())
        simulation_guard = SimulationGuard(settings.home.create(), holds_data=False)
        fetcher = Fetcher(SOURCE, settings, limit, None, threading.Event(), simulation_guard, RunClock(utc_now()))
        with pytest.raises(UnavailableError) as caught:
            fetcher._fetch_once(Chunk("eia.region_data", "CISO", 500_000, 500_001), 1)
    assert "REDACTED" in chain(caught.value)
    assert KEY not in chain(caught.value)
