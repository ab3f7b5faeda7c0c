"""Sync through a proxy that spoils a share of the answers, in every kind of way."""

from __future__ import annotations

import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from energywh.sync.simulation_guard import SIMULATOR_HEADER
from tests.torture import commands, ground
from tests.torture.fault_kinds import KINDS, RESET, GoodAnswer
from tests.torture.trial import Part, Trial

Tables = dict[str, list[tuple[Any, ...]]]
RATES = (0.2, 0.3, 0.4)
IN_A_ROW = 4  # faults of one request, before it is answered
HAS_ROWS_BYTES = 2000  # an answer of fewer may be one without rows, which would do for another request too
MOST_SYNCS = 12  # until all is landed; what was refused in one is asked for again in the next
DATASETS = ("eia", "caiso.load", "caiso.price_dam", "open_meteo", "eia_files.subregion")
WORDS = ("sync", *DATASETS, "--region", "CISO,AVRN,PJM,BPAT,MISO,ERCO,NYIS,PACW,SWPP,ISNE,LGEE,TVA")
DAYS = ("--since", "2024-03-01", "--until", "2024-03-03")


class _Proxy(ThreadingHTTPServer):
    """Answers `/STORM/RATE/SEED/PORT/...` with what the simulator at the port answers to the rest, or with a fault."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.cached: dict[str, requests.Response] = {}
        self.asked: Counter[str] = Counter()
        self.in_a_row: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.requests = 0

    def good(self, port: str, target: str) -> requests.Response:
        """Return the simulator's answer."""
        key = f"{port} {target}"
        if key not in self.cached:
            self.cached[key] = requests.get(f"http://127.0.0.1:{port}{target}", timeout=120)
        return self.cached[key]

    def fault(self, storm: str, rate: float, seed: str, target: str) -> tuple[str | None, random.Random]:
        """Draw the fault, if any, of a request. It depends on the address and on how often that was asked for."""
        key = re.sub(r"api_key=[^&]*", "", f"{storm}{target}")
        with self.lock:
            self.requests += 1
            self.asked[key] += 1
            draw = random.Random(f"{seed} {key} {self.asked[key]}")
            if draw.random() >= rate or self.in_a_row[key] >= IN_A_ROW:
                self.in_a_row[key] = 0
                return None, draw
            self.in_a_row[key] += 1
            kind = draw.choice(list(KINDS))
            self.faults[kind] += 1
        return kind, draw

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that disconnected."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: _Proxy

    def do_GET(self) -> None:
        _, storm, rate, seed, port, rest = self.path.split("/", 5)
        target = f"/{rest}"
        kind, draw = self.server.fault(storm, float(rate), seed, target)
        good = self.server.good(port, target)
        if kind is None:
            self.send_response(good.status_code)
            for name in ("Content-Type", "ETag", "Last-Modified", SIMULATOR_HEADER):
                if name in good.headers:
                    self.send_header(name, good.headers[name])
            self.send_header("Content-Length", str(len(good.content)))
            self.end_headers()
            self.wfile.write(good.content)
            return
        answers = [each.content for key, each in list(self.server.cached.items()) if key != f"{port} {target}"]
        others = [content for content in answers if len(content) > HAS_ROWS_BYTES]
        self.close_connection = True
        answer = GoodAnswer(
            self.path, good.content, good.headers.get("Content-Type", ""), draw.choice(others) if others else b""
        )
        for piece in KINDS[kind](answer, draw):
            if piece == RESET:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                return
            if isinstance(piece, bytes):
                self.wfile.write(piece)
                self.wfile.flush()
            else:
                time.sleep(piece)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def _serve(link: Connection) -> None:
    server = _Proxy()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    link.send(server.server_address[1])
    while True:
        link.recv()
        link.send((server.requests, dict(server.faults)))


def _storm(base: ground.Ground, port: int, calm: Tables, seed: int, number: int, folder: Path) -> dict[str, int]:
    home = base.copy("nothing", f"{folder.name}/case")
    rate = RATES[number % len(RATES)]
    environment = base.environment(home)
    for source, url in base.urls.items():
        parts = urlsplit(url)
        proxied = f"http://127.0.0.1:{port}/{number}/{rate}/{seed}/{parts.port}{parts.path}"
        environment[f"ENERGYWH_{source.upper()}_URL"] = proxied
    environment |= {"ENERGYWH_SYNC_JOBS": "8", "ENERGYWH_SYNC_TIMEOUT_SECONDS": "1.5", "ENERGYWH_SYNC_RETRIES": "8"}
    for syncs in count(1):
        done = commands.run(environment, *WORDS, *DAYS, seconds=300)
        assert done.status in (0, 1), str(done)
        assert not done.has_traceback, str(done)
        assert ground.KEY not in done.printed, "the key is printed"
        if done.status == 0:
            break
        assert syncs < MOST_SYNCS, f"not whole after {MOST_SYNCS} syncs: {done}"
    seen = commands.call(ground.staging_of, home)
    assert seen == calm, f"other rows than without faults: {_differences(calm, seen)}"
    return {"syncs": syncs}


def _differences(calm: Tables, stormy: Tables) -> str:
    """Return by table the first rows that only one of two states has."""
    found = []
    for table in sorted({*calm, *stormy}):
        before, after = set(calm.get(table, ())), set(stormy.get(table, ()))
        if before != after:
            lost, added = sorted(before - after, key=str), sorted(after - before, key=str)
            found.append(f"{table}: {len(lost)} lost {lost[:2]}, {len(added)} added {added[:2]}")
    return "; ".join(found)


def _run(trial: Trial) -> None:
    commands.preload()
    base = ground.prepare(trial.folder)
    proxy, link = commands.background(_serve)
    try:
        port = link.recv()
        home = base.copy("nothing", "calm")
        done = base.run(home, *WORDS, *DAYS, seconds=300)
        assert done.status == 0, str(done)
        calm = commands.call(ground.staging_of, home)
        trial.each(
            [(f"{number}", partial(_storm, base, port, calm, trial.seed, number)) for number in range(trial.number)]
        )
        link.send(None)
        asked, faults = link.recv()
        trial.counts.update(requests=asked, faults=sum(faults.values()), **{"kinds of faults": len(faults)})
        if trial.only is None and trial.number >= PART.standard and len(faults) < len(KINDS):
            trial.fail("kinds", f"not tried: {', '.join(sorted(set(KINDS) - set(faults)))}")
    finally:
        commands.end(proxy)
        base.close()


PART = Part(
    name="storms",
    promise="A sync from sources that spoil 20 to 40 % of their answers, in every kind of way, ends in the same tables "
    "as one without faults; what was refused in one run is asked for again in the next.",
    unit="storms",
    standard=48,
    small=1,
    run=_run,
    needs=commands.needs_linux,
)
