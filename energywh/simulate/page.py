"""What a page of the simulator is: one outside system, spoken as it speaks.

A module of this package with a function `page(world)` is one: adding the file adds the page. The server in front of
the pages does what they share: the clock, faults, latency, the pace of each source.
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
    """A response: status and body, how many rows it holds, and headers beside the usual ones."""

    status: int
    body: bytes
    rows: int = 0
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """What all pages show.

    Attributes:
        grid: the simulated grid.
        now: gives the number of the last full hour.
        reporting: rates of gaps, nulls, absurd values and revisions.
        api_key: the key that is let in where one is needed; None lets any key in.
    """

    grid: Grid
    now: Callable[[], int]
    reporting: Reporting
    api_key: str | None = None


class Headers(Protocol):
    """The headers of a request; names in any case of letters."""

    def get(self, name: str, /) -> str | None: ...


class Page(ABC):
    """The routes of one source."""

    source: str  # its name, as in `energywh.sources`
    prefix: str  # what its addresses begin with, such as "/v2"
    kinds: tuple[str, ...] = ()  # faults of its own, beside those of `energywh.simulate.faults`

    @abstractmethod
    def answer(self, target: str, headers: Headers) -> Reply:
        """Answer one GET.

        Args:
            target: path and query as they stand in the request line.
        """

    def key_of(self, target: str, headers: Headers) -> str:
        """Return whose limit a request counts against."""
        return ""

    def too_fast(self) -> Reply:
        """Return what is said to who asks too often."""
        return Reply(429, b"<html><body>Too Many Requests</body></html>", content_type="text/html")

    def failed(self) -> Reply:
        """Return what is said when the system fails."""
        return Reply(500, b"<html><body>Internal Server Error</body></html>", content_type="text/html")

    def flawed(self, kind: str, target: str, headers: Headers, salt: int) -> Reply:
        """Return an answer with a fault of this page's own ``kinds``."""
        raise NotImplementedError(kind)


def pages(world: World) -> list[Page]:
    """Return every page, showing ``world``."""
    import energywh.simulate as package

    found: list[Page] = []
    for module in pkgutil.iter_modules(package.__path__):
        make = getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "page", None)
        if callable(make):
            found.append(make(world))
    return found
