"""The simulator over HTTP: all APIs on one port, served from a thread, with a clock, rate limits and faults."""

from __future__ import annotations

import errno
import gzip
import json
import socket
import sys
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from energywh.config.options import url_variable
from energywh.errors import EnergywhError
from energywh.simulate.api import Reply, SimulatedApi, World, apis
from energywh.simulate.atlas import Atlas
from energywh.simulate.eia import EiaApi, application_error
from energywh.simulate.eia_routes import Backend
from energywh.simulate.faults import FaultDraw, Faults
from energywh.simulate.grid import Grid
from energywh.simulate.hours import EPOCH, hour_number, parse_period, period_text
from energywh.simulate.reporting import Reporting
from energywh.simulate.traffic import Clock, Counters, RateLimit, Served
from energywh.sync.simulation_guard import SIMULATOR_HEADER

DEFAULT_KEY = "simulated-key"
DEFAULT_NOW = "2026-01-01T00"
_HOST = "127.0.0.1"
_CONTROL = "/_simulator/"
# Bounds the memory of a simulator that runs for days; the counters include older requests.
_REMEMBERED = 100_000


class Simulator:
    """Every API on a local port, served from a thread while the context is open.

        with Simulator(seed=0, now="2026-01-01T00", api_key="k") as sim:
            requests.get(f"{sim.url}/electricity/rto/region-data/data/", params={"api_key": "k", ...})
            sim.clock.advance(hours=24)

    Args:
        seed: seed of the simulated data.
        now: start of the clock: a datetime (naive: UTC) or YYYY-MM-DD[THH].
        api_key: the key that EIA's API accepts; None accepts any key.
        port: 0 chooses a free port.
        time_scale: simulated seconds per real second; 0 stops the clock.
        reporting: rates of gaps, nulls, absurd values and revisions.
        faults: kinds and rate of injected faults.
        latency_seconds: added to every answer.
        requests_per_second, requests_per_hour: limits of EIA's API per key, above which it answers 429; None: no limit.
        paces: the same limits of other sources, by source: requests per second and per hour.
        retry_after: seconds in the Retry-After header of such a 429; None omits the header, as EIA does.
        compress: gzip bodies for clients that accept it, as EIA does.
        atlas: regions and neighbors, by default those of the seeds.
        backend: rows for EIA's API in place of simulated ones.

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
        self._simulated = backend is None  # False where a test serves recorded rows
        self.world = World(Grid(seed, atlas), self.clock.hour, reporting or Reporting(), api_key)
        self.apis = {api.source: api for api in apis(self.world)}
        if backend is not None:
            self.apis[EiaApi.source] = EiaApi(backend, api_key)
        self.faults = faults or Faults()
        self.latency_seconds, self.retry_after, self.compress = latency_seconds, retry_after, compress
        self.requests: list[Served] = []
        self.counters = Counters()
        self._draw = FaultDraw(self.faults, seed)
        limits = {EiaApi.source: (requests_per_second, requests_per_hour), **(paces or {})}
        self._rates = {source: RateLimit(*limit) for source, limit in limits.items()}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Base URL of EIA's API, in place of https://api.eia.gov/v2."""
        return self.urls[EiaApi.source]

    @property
    def urls(self) -> dict[str, str]:
        """Base URL by source, in place of the real one."""
        return {source: f"http://{_HOST}:{self.port}{api.prefix}" for source, api in self.apis.items()}

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that point every source of energywh to this simulator."""
        return {url_variable(source): url for source, url in self.urls.items()}

    @property
    def control_url(self) -> str:
        """Base of the control routes: POST …/advance?hours=24, GET …/stats."""
        return f"http://{_HOST}:{self.port}/_simulator"

    def start(self) -> Simulator:
        """Bind the port and serve in a thread."""
        try:
            self._server = _Server((_HOST, self.port), self)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = (
                "is in use by another program; choose another, or 0 for any" if taken else f"failed: {error.strerror}"
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
        api = self._api(target)
        api_key = api.key_of(target, headers)
        path = _without_key(target)
        fault, salt = self._draw.next(path, api.kinds)
        rate = self._rates.get(api.source)
        admitted = rate is None or rate.admits(api_key, at)
        with self._lock:
            if len(self.requests) >= 2 * _REMEMBERED:
                del self.requests[:_REMEMBERED]
            self.requests.append(Served(at, api_key, path, api.source))
            self.counters.requests += 1
            self.counters.sources[api.source] += 1
            self.counters.over_rate += not admitted
            if admitted and fault:
                self.counters.faults[fault] += 1
        if self.latency_seconds:
            self._closing.wait(self.latency_seconds)
        if not admitted:
            self._send(handler, api.too_fast(), _retry_after(self.retry_after))
            return
        match fault:
            case None:
                self._send(handler, api.answer(target, headers))
            case "hang":
                self._closing.wait(self.faults.hang_seconds)
                handler.close_connection = True
            case "429":
                self._send(handler, api.too_fast(), _retry_after(self.faults.retry_after if salt % 2 else None))
            case "500":
                self._send(handler, api.failed())
            case "503":
                self._send(handler, Reply(503, b"<html><body>Service Unavailable</body></html>", 0, "text/html"))
            case "html":
                self._send(handler, Reply(200, _MAINTENANCE, 0, "text/html"))
            case "truncated":
                self._send(handler, api.answer(target, headers), cut_short=True)
            case _:
                self._send(handler, api.flawed(fault, target, headers, salt))

    def _api(self, target: str) -> SimulatedApi:
        """Return the API of a path; EIA's, with its plain errors, for a path of no API."""
        path = target.partition("?")[0]
        found = [api for api in self.apis.values() if path == api.prefix or path.startswith(api.prefix + "/")]
        return found[0] if found else self.apis[EiaApi.source]

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
    wbufsize = -1  # buffered: headers and body are sent in one write
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
        """Log nothing: the line would contain the key; the counters have the rest."""


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
        """Close idle keep-alive connections, whose threads would otherwise wait for their clients."""
        with self._open_lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that disconnected; anything else is a bug and shows its trace."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)
