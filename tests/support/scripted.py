"""An HTTP server whose answers a test defines, and which records its requests."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """A response as it goes over the wire. A header without a value is left out, Content-Length too."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Scripted:
    """The running server: its base address, and (when, path with query) of each request."""

    url: str
    asked: list[tuple[float, str]] = field(default_factory=list)


@contextmanager
def scripted(answer: Callable[..., Answer]) -> Iterator[Scripted]:
    """Serve ``answer(number of the request, path with query)`` until the context ends.

    An answer with a third parameter gets the headers of the request.
    """
    with_headers = len(inspect.signature(answer).parameters) > 2
    lock = threading.Lock()
    found = Scripted("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body leave together: apart, the second waits 40 ms for the first to be acknowledged

        def do_GET(self) -> None:
            with lock:
                number = len(found.asked)
                found.asked.append((time.monotonic(), self.path))
            given = answer(number, self.path, self.headers) if with_headers else answer(number, self.path)
            self.send_response(given.status)
            for name, value in {"Content-Length": str(len(given.body)), **given.headers}.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(given.body)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Ignore a client that disconnected."""

    server = Server(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}/v2"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
