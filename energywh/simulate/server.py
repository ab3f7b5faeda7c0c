"""The simulator over HTTP: all pages on one port, served from a thread, with a clock, rate limits and faults."""

from __future__ import annotations

import errno
import gzip
import json
import math
import socket
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from energywh.config.options import url_variable
from energywh.errors import EnergywhError
from energywh.simulate.atlas import Atlas
from energywh.simulate.eia import Backend, EiaPage, application_error
from energywh.simulate.faults import FaultDraw, Faults
from energywh.simulate.grid import Grid
from energywh.simulate.hours import EPOCH, hour_number, parse_period, period_text
from energywh.simulate.page import Page, Reply, World, pages
from energywh.simulate.reporting import Reporting
from energywh.sync.simulation_guard import SIMULATOR_HEADER

DEFAULT_KEY = "simulated-key"
DEFAULT_NOW = "2026-01-01T00"
_HOST = "127.0.0.1"
_CONTROL = "/_simulator/"
# A simulator that runs for days must not grow: of older requests, only the counters know.
_REMEMBERED = 100_000


class Clock:
    """The simulator's time, naive UTC. It stands still unless scaled or advanced.

    Args:
        now: where it starts.
        scale: simulated seconds that pass in a real one.
    """

    def __init__(self, now: datetime, scale: float = 0.0) -> None:
        self.scale = scale
        self._start, self._started = now, time.monotonic()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            return self._start + timedelta(seconds=(time.monotonic() - self._started) * self.scale)

    def hour(self) -> int:
        """Return the number of the last full hour."""
        return hour_number(self.now())

    def advance(self, hours: float) -> datetime:
        """Move on by some hours and return the new time."""
        with self._lock:
            self._start += timedelta(hours=hours)
        return self.now()


class Served(NamedTuple):
    """One request that came in: when (``time.monotonic()``), with which key, for what (without the key), of whom."""

    at: float
    api_key: str
    path: str
    source: str


@dataclass
class Counters:
    """What the simulator did so far."""

    requests: int = 0
    rows: int = 0
    bytes_sent: int = 0
    over_rate: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


class RateLimit:
    """Refuses what comes too fast: at most so many requests of a key in any second and any hour.

    Of less than one in a second, 0.2 say, one is let in every five seconds.
    """

    def __init__(self, per_second: float | None, per_hour: float | None) -> None:
        second = (1.0, 1.0 / per_second) if per_second and per_second < 1 else (per_second, 1.0)
        self._limits = [(limit, span) for limit, span in (second, (per_hour, 3600.0)) if limit]
        self._seen: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def admits(self, api_key: str, at: float) -> bool:
        if not self._limits:
            return True
        with self._lock:
            seen = self._seen.setdefault(api_key, deque())
            while seen and at - seen[0] >= max(span for _, span in self._limits):
                seen.popleft()
            for limit, span in self._limits:
                most = max(1, math.floor(limit))
                if len(seen) >= most and at - seen[-most] < span:
                    return False
            seen.append(at)
            return True


class Simulator:
    """Every page on a local port, served from a thread while the context is open.

        with Simulator(seed=0, now="2026-01-01T00", api_key="k") as sim:
            requests.get(f"{sim.url}/electricity/rto/region-data/data/", params={"api_key": "k", ...})
            sim.clock.advance(hours=24)

    Args:
        seed: picks the simulated world.
        now: where the clock starts: a datetime (naive: UTC) or YYYY-MM-DD[THH].
        api_key: the key that EIA's page lets in; None lets any key in.
        port: 0 takes any that is free.
        time_scale: simulated seconds in a real one; 0 stands still.
        reporting: rates of gaps, nulls, absurd values and revisions.
        faults: what goes wrong with requests, and how often.
        latency_seconds: added to every answer.
        requests_per_second, requests_per_hour: EIA's limits by key, beyond them 429; None: no limit.
        paces: such limits of further sources, requests a second and an hour.
        retry_after: seconds in the Retry-After header of such a 429; None, as EIA, sends none.
        compress: gzip bodies for clients that accept it, as EIA does.
        atlas: regions and neighbours, by default those of the seeds.
        backend: serve these rows as EIA's instead of simulated ones.

    Raises:
        EnergywhError: the port is taken (from ``start`` and on entering the context).
    """

    def __init__(
        self,
        seed: int = 0,
        now: datetime | str = DEFAULT_NOW,
        *,
        api_key: str | None = DEFAULT_KEY,
        port: int = 0,
        time_scale: float = 0.0,
        reporting: Reporting | None = None,
        faults: Faults | None = None,
        latency_seconds: float = 0.0,
        requests_per_second: float | None = None,
        requests_per_hour: float | None = None,
        retry_after: int | None = None,
        compress: bool = True,
        atlas: Atlas | None = None,
        backend: Backend | None = None,
        paces: Mapping[str, tuple[float | None, float | None]] | None = None,
    ) -> None:
        start = EPOCH + timedelta(hours=parse_period(now)) if isinstance(now, str) else now
        if start.tzinfo is not None:
            start = EPOCH + timedelta(hours=hour_number(start))
        self.clock = Clock(start, time_scale)
        self.seed, self.api_key, self.port = seed, api_key, port
        self._simulated = backend is None  # not where a test serves recorded rows
        self.world = World(Grid(seed, atlas), self.clock.hour, reporting or Reporting(), api_key)
        self.pages = {page.source: page for page in pages(self.world)}
        if backend is not None:
            self.pages[EiaPage.source] = EiaPage(backend, api_key)
        self.faults = faults or Faults()
        self.latency_seconds, self.retry_after, self.compress = latency_seconds, retry_after, compress
        self.requests: list[Served] = []
        self.counters = Counters()
        self._draw = FaultDraw(self.faults, seed)
        limits = {EiaPage.source: (requests_per_second, requests_per_hour), **(paces or {})}
        self._rates = {source: RateLimit(*limit) for source, limit in limits.items()}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Base URL of EIA's API, to stand in for https://api.eia.gov/v2."""
        return self.urls[EiaPage.source]

    @property
    def urls(self) -> dict[str, str]:
        """Base URL by source, to stand in for its own."""
        return {source: f"http://{_HOST}:{self.port}{page.prefix}" for source, page in self.pages.items()}

    @property
    def environment(self) -> dict[str, str]:
        """The variables that turn every source of energywh to this simulator."""
        return {url_variable(source): url for source, url in self.urls.items()}

    @property
    def control_url(self) -> str:
        """Base of the simulator's own routes: POST …/advance?hours=24, GET …/stats."""
        return f"http://{_HOST}:{self.port}/_simulator"

    def start(self) -> Simulator:
        """Bind the port and serve from a thread."""
        try:
            self._server = _Server((_HOST, self.port), self)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = (
                "is taken by another program; choose another, or 0 for any" if taken else f"failed: {error.strerror}"
            )
            raise EnergywhError(f"port {self.port} on {_HOST} {reason}") from None
        self.port = self._server.server_address[1]
        self._closing.clear()
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="simulator", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving and close every connection."""
        self._closing.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.close_connections()
            self._server.server_close()
            self._server = self._thread = None

    def __enter__(self) -> Simulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stats(self) -> dict[str, object]:
        """Return counters and the time, ready for JSON."""
        with self._lock:
            counters = self.counters
            return {
                "now": self.clock.now().isoformat(timespec="seconds"),
                "requests": counters.requests,
                "rows": counters.rows,
                "bytes_sent": counters.bytes_sent,
                "over_rate": counters.over_rate,
                "sources": dict(sorted(counters.sources.items())),
                "statuses": {str(status): count for status, count in sorted(counters.statuses.items())},
                "faults": dict(sorted(counters.faults.items())),
            }

    def _serve(self, handler: _Handler) -> None:
        """Answer one GET of a client."""
        at = time.monotonic()
        target, headers = handler.path, handler.headers
        page = self._page(target)
        api_key = page.key_of(target, headers)
        path = _without_key(target)
        fault, salt = self._draw.next(path, page.kinds)
        rate = self._rates.get(page.source)
        admitted = rate is None or rate.admits(api_key, at)
        with self._lock:
            if len(self.requests) >= 2 * _REMEMBERED:
                del self.requests[:_REMEMBERED]
            self.requests.append(Served(at, api_key, path, page.source))
            self.counters.requests += 1
            self.counters.sources[page.source] += 1
            self.counters.over_rate += not admitted
            if admitted and fault:
                self.counters.faults[fault] += 1
        if self.latency_seconds:
            self._closing.wait(self.latency_seconds)
        if not admitted:
            self._send(handler, page.too_fast(), _retry_after(self.retry_after))
            return
        match fault:
            case None:
                self._send(handler, page.answer(target, headers))
            case "hang":
                self._closing.wait(self.faults.hang_seconds)
                handler.close_connection = True
            case "429":
                self._send(handler, page.too_fast(), _retry_after(self.faults.retry_after if salt % 2 else None))
            case "500":
                self._send(handler, page.failed())
            case "503":
                self._send(handler, Reply(503, b"<html><body>Service Unavailable</body></html>", 0, "text/html"))
            case "html":
                self._send(handler, Reply(200, _MAINTENANCE, 0, "text/html"))
            case "truncated":
                self._send(handler, page.answer(target, headers), cut_short=True)
            case _:
                self._send(handler, page.flawed(fault, target, headers, salt))

    def _page(self, target: str) -> Page:
        """Return the page that an address belongs to; EIA's, whose errors are the plainest, for any other."""
        path = target.partition("?")[0]
        found = [page for page in self.pages.values() if path == page.prefix or path.startswith(page.prefix + "/")]
        return found[0] if found else self.pages[EiaPage.source]

    def _send(
        self, handler: _Handler, reply: Reply, headers: dict[str, str] | None = None, cut_short: bool = False
    ) -> None:
        body = reply.body
        headers = {"Content-Type": reply.content_type, "Cache-Control": "no-store", **reply.headers, **(headers or {})}
        if self._simulated:
            headers[SIMULATOR_HEADER] = "yes"
        takes_gzip = "gzip" in handler.headers.get("Accept-Encoding", "")
        if self.compress and takes_gzip and reply.status != 206 and len(body) > 1000:
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        handler.send_response(reply.status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if cut_short:
            body = body[: len(body) * 2 // 3]
            handler.close_connection = True
        handler.wfile.write(body)
        with self._lock:
            self.counters.statuses[reply.status] += 1
            self.counters.rows += reply.rows
            self.counters.bytes_sent += len(body)

    def _control(self, handler: _Handler) -> None:
        """Answer the simulator's own routes."""
        url = urlsplit(handler.path)
        query = parse_qs(url.query)
        try:
            match handler.command, url.path.removeprefix(_CONTROL):
                case "POST", "advance":
                    self.clock.advance(hours=float(query["hours"][0]))
                    reply = Reply(200, json.dumps({"now": period_text(self.clock.hour())}).encode())
                case "GET", "stats":
                    reply = Reply(200, json.dumps(self.stats()).encode())
                case _:
                    reply = application_error(404, "The simulator has POST advance?hours=N and GET stats.")
        except (KeyError, ValueError):
            reply = application_error(400, "advance takes hours=N, a number.")
        handler.send_response(reply.status)
        handler.send_header("Content-Type", reply.content_type)
        handler.send_header("Content-Length", str(len(reply.body)))
        handler.end_headers()
        handler.wfile.write(reply.body)


_MAINTENANCE = b"<!DOCTYPE html>\n<html><head><title>Maintenance</title></head><body>We will be back.</body></html>\n"


def _retry_after(seconds: int | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": str(seconds)}


def _without_key(target: str) -> str:
    """Return path and query of a request without its key."""
    path, _, query = target.partition("?")
    params = parse_qsl(query, keep_blank_values=True)
    rest = urlencode([(name, value) for name, value in params if name != "api_key"])
    return f"{path}?{rest}" if rest else path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "energywh-simulator"
    disable_nagle_algorithm = True
    wbufsize = -1  # one write a response: headers and body leave together
    server: _Server

    def do_GET(self) -> None:
        simulator = self.server.simulator
        if self.path.startswith(_CONTROL):
            simulator._control(self)
        else:
            simulator._serve(self)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith(_CONTROL):
            self.server.simulator._control(self)
        else:
            self.server.simulator._send(self, application_error(405, "Method not allowed."))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the counters tell, and a log line would hold the key."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], simulator: Simulator) -> None:
        self.simulator = simulator
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End idle keep-alive connections, whose threads would else wait for their clients."""
        with self._open_lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event; anything else is a bug here and shows its trace."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)
