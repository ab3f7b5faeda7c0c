"""Base classes of simulated APIs: the routes of one source, with the answers of the real system.

A module of this package with a function `api(world)` adds an API. The server provides the clock, faults, latency and
rate limits.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from energywh.simulate.grid import Grid
from energywh.simulate.reporting import Reporting


@dataclass(frozen=True)
class Reply:
    """A response: status, body, number of rows, and additional headers."""

    status: int
    body: bytes
    rows: int = 0
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """The state that all APIs serve.

    Attributes:
        grid: the simulated grid.
        now: returns the number of the last full hour.
        reporting: rates of gaps, nulls, absurd values and revisions.
        api_key: the accepted key of APIs that need one; None accepts any.
    """

    grid: Grid
    now: Callable[[], int]
    reporting: Reporting
    api_key: str | None = None


class BadRequestError(Exception):
    """The API rejects a request; the message is the error text of the body."""


class Headers(Protocol):
    """The headers of a request; names are case-insensitive."""

    def get(self, name: str, /) -> str | None: ...


class SimulatedApi(ABC):
    """The routes of one source."""

    source: str  # its name, as in `energywh.sources`
    prefix: str  # first part of its paths, such as "/v2"
    kinds: tuple[str, ...] = ()  # additional faults of this API, beside those of `energywh.simulate.faults`

    @abstractmethod
    def answer(self, target: str, headers: Headers) -> Reply:
        """Answer one GET.

        Args:
            target: path and query of the request line.
        """

    def key_of(self, target: str, headers: Headers) -> str:
        """Return the key whose rate limit a request counts against."""
        return ""

    def too_fast(self) -> Reply:
        """Return the answer to a client that exceeds the rate limit."""
        return Reply(429, b"<html><body>Too Many Requests</body></html>", content_type="text/html")

    def failed(self) -> Reply:
        """Return the answer of a failing server."""
        return Reply(500, b"<html><body>Internal Server Error</body></html>", content_type="text/html")

    def flawed(self, kind: str, target: str, headers: Headers, salt: int) -> Reply:
        """Return an answer with one of the faults in ``kinds``."""
        raise NotImplementedError(kind)


def apis(world: World) -> list[SimulatedApi]:
    """Return every API over ``world``."""
    import energywh.simulate as package

    found: list[SimulatedApi] = []
    for module in pkgutil.iter_modules(package.__path__):
        make = getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "api", None)
        if callable(make):
            found.append(make(world))
    return found
