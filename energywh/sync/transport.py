"""HTTP whose answers are read within bounds: bytes as they come, time in all, and a least speed, from the head on."""

from __future__ import annotations

import io
import socket
import time
from contextvars import ContextVar
from http.client import HTTPResponse
from typing import Any

import requests
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from energywh.errors import PassingError, PayloadError, UnavailableError
from energywh.sources.limits import AnswerLimits


class AnswerBudget:
    """What is left of the bounds of one answer, its pages and resumed parts together. Of one thread."""

    def __init__(self, limits: AnswerLimits, timeout_seconds: float) -> None:
        self.limits = limits
        self.spent: PassingError | None = None  # why nothing more is read
        self.request = ""
        self._timeout_seconds = timeout_seconds
        self._left_seconds = self._seconds = limits.timeouts * timeout_seconds
        self._left_bytes = limits.received_bytes
        self._window_seconds = 0.0
        self._window_bytes = 0

    def timeout_seconds(self) -> float:
        """Return how long the next piece may take.

        Raises:
            UnavailableError: the time is used up.
            PayloadError: too much came.
        """
        if self.spent is not None:
            raise self.spent
        return min(self._timeout_seconds, self._left_seconds)

    def take(self, size: int, seconds: float, *, begins: bool) -> None:
        """Count a piece of an answer and how long was waited for it; time in which nobody waits does not count.

        Args:
            begins: it is the first piece: the source may think before it, within the timeout.

        Raises:
            UnavailableError: the time is used up, or the answer comes too slowly.
            PayloadError: too much came.
        """
        self._left_bytes -= size
        self._left_seconds -= seconds
        self._window_bytes += size
        self._window_seconds += 0.0 if begins else seconds
        if self._left_bytes < 0:
            most = self.limits.received_bytes / 2**20
            self.spent = PayloadError(f"more than {most:,.3g} MiB came [{self.request}]")
        elif self._left_seconds <= 0:
            self.spent = UnavailableError(f"the answer did not end within {self._seconds:,.3g} s [{self.request}]")
        elif self._window_seconds >= self._timeout_seconds:
            if size and self._window_bytes < self.limits.bytes_per_second * self._window_seconds:
                self.spent = UnavailableError(
                    f"the answer comes too slowly: {self._window_bytes:,} bytes in {self._window_seconds:,.3g} s, "
                    f"where {self.limits.bytes_per_second:,} a second are the least [{self.request}]"
                )
            self._window_seconds, self._window_bytes = 0.0, 0
        if self.spent is not None:
            raise self.spent


# What the requests that this thread sends may cost; the library creates the reader of an answer deep within.
current_budget: ContextVar[AnswerBudget | None] = ContextVar("current_budget", default=None)


class _BoundedReader(io.RawIOBase):
    """The bytes of one answer from a socket."""

    def __init__(self, raw: Any, sock: socket.socket, budget: AnswerBudget) -> None:
        self._raw, self._socket, self._budget = raw, sock, budget
        self._begins = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(self._budget.timeout_seconds())
        started = time.monotonic()
        size: int | None = None
        try:
            size = self._raw.readinto(buffer)
        finally:
            # A piece that is too slow raises its own error, unless the total time is exceeded.
            self._budget.take(size or 0, time.monotonic() - started, begins=self._begins)
            self._begins = False
        return size

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _BoundedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **words: Any) -> None:
        super().__init__(sock, *args, **words)
        budget = current_budget.get()
        if budget is not None:
            self.fp = io.BufferedReader(_BoundedReader(self.fp.detach(), sock, budget))


class _BoundedHttp(HTTPConnection):
    response_class = _BoundedResponse


class _BoundedHttps(HTTPSConnection):
    response_class = _BoundedResponse


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _BoundedHttp


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _BoundedHttps


class BoundedAdapter(requests.adapters.HTTPAdapter):
    """Sends requests on connections that keep to `current_budget`."""

    def init_poolmanager(self, *args: Any, **words: Any) -> None:
        super().init_poolmanager(*args, **words)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def proxy_manager_for(self, *args: Any, **words: Any) -> Any:
        manager = super().proxy_manager_for(*args, **words)
        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        return manager
