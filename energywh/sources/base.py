"""What a source is. One file of this package describes one source; nothing else knows its routes or payloads.

A source says which datasets it has, how a chunk of one becomes requests, what its answers mean, and how a
payload becomes columns. It never waits, retries, stores or remembers: `energywh.sync` does that for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from energywh.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

    from energywh.settings import Option, Settings


@dataclass(frozen=True)
class Dataset:
    """One route of a source, with one staging table.

    The staging table has `time_column` (TIMESTAMP, as the source stamps it), the `keys` (VARCHAR), the
    `values` (DOUBLE) and `known_from_utc`. A row is identified by its time and keys. `slice_key` is the key
    whose value a chunk fixes.
    """

    source: str
    table: str
    keys: tuple[str, ...]
    slice_key: str
    values: tuple[str, ...] = ("value",)
    time_column: str = "period"
    stamp_offset_hours: int = 1  # stamp minus start of the hour: 1 where the source stamps the end
    first_hour: str = "2019-01-01"  # where history begins at this source, UTC
    lead_hours: int = 0  # how far past the present hour the source publishes (forecasts)
    ahead: tuple[str, str] | None = None  # a key and the value of it whose rows run ahead of the present
    settling_hours: int = 240  # how long after an hour the source still revises it

    @property
    def name(self) -> str:
        return f"{self.source}.{self.table}"


@dataclass(frozen=True, order=True)
class Chunk:
    """The unit of fetching: one dataset, one slice, and the hours `first` to `last`.

    Hours are hour numbers (see `energywh.durations`), counted by their start, both ends inclusive.
    """

    dataset: str
    slice: str
    first: int
    last: int

    @property
    def hours(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        from energywh.durations import hour_time

        return f"{self.dataset} {self.slice} {hour_time(self.first):%Y-%m-%dT%H}..{hour_time(self.last):%Y-%m-%dT%H}"


@dataclass(frozen=True)
class Request:
    """A GET request. `secrets` are parameters that belong to it and must never be shown or kept."""

    url: str
    params: tuple[tuple[str, str], ...]
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        """The URL as it may be printed."""
        from urllib.parse import urlencode

        hidden = tuple((name, "REDACTED") for name, _ in self.secrets)
        return f"{self.url}?{urlencode(self.params + hidden, safe='[]:')}"


@dataclass(frozen=True)
class Response:
    """What came back: the status, and the body as it came, decompressed, secrets redacted."""

    request: str  # printable URL
    status: int
    body: bytes = field(repr=False)
    retry_after_seconds: float | None = None

    def opening(self) -> str:
        """The first bytes of the body, printable, for error messages."""
        text = self.body[:120].decode("utf-8", "replace")
        return " ".join("".join(c if c.isprintable() else " " for c in text).split()) or "(empty body)"


@dataclass(frozen=True)
class Page:
    """The rows of one payload: a table in the dataset's column order, and how many rows the query has."""

    rows: pa.Table
    total: int | None  # of the whole query, not of this page; None where the source does not say


class Source(ABC):
    """One outside system. Subclass it in one file of this package and assign an instance to `SOURCE`."""

    name: str
    datasets: tuple[Dataset, ...]
    options: tuple[Option, ...]

    def dataset(self, name: str) -> Dataset:
        """Return the dataset ``source.table``."""
        for dataset in self.datasets:
            if dataset.name == name:
                return dataset
        raise UsageError(f"no dataset is named '{name}'{did_you_mean(name, [d.name for d in self.datasets])}")

    @abstractmethod
    def check_ready(self, settings: Settings) -> None:
        """Raise `UsageError`, saying what to do, when a setting that every request needs is missing."""

    @abstractmethod
    def identity(self, settings: Settings) -> str:
        """Return what shares one request limit: the host and the key. It is hashed, never stored."""

    def pace(self, settings: Settings) -> tuple[float, int]:
        """Return the requests a second and an hour that the source allows; 0 for no limit."""
        per_second = float(settings.get(f"{self.name}.requests_per_second"))
        return per_second, int(settings.get(f"{self.name}.requests_per_hour"))

    @abstractmethod
    def default_slices(self, dataset: Dataset, *, aggregates: bool) -> Sequence[str]:
        """Return the slices that a sync takes when none is named."""

    @abstractmethod
    def check_slice(self, code: str) -> str:
        """Return the slice code in its own spelling, or raise `UnknownNameError` with the nearest codes."""

    @abstractmethod
    def rows_per_hour(self, dataset: Dataset, slice_: str) -> int:
        """Return the most rows an hour of this slice can have."""

    @abstractmethod
    def chunk_hours(self, dataset: Dataset, slice_: str) -> int:
        """Return how many hours one request answers."""

    def span(self, dataset: Dataset, slice_: str) -> tuple[int | None, int | None]:
        """Return the first and last hour for which the slice can have rows, where known."""
        return None, None

    @abstractmethod
    def next_request(self, chunk: Chunk, pages: Sequence[Page], settings: Settings) -> Request | None:
        """Return the request that continues after ``pages``, or None when the chunk is complete.

        Raises:
            PayloadError: the pages contradict each other; the chunk has to start again.
        """

    @abstractmethod
    def read(self, chunk: Chunk, response: Response) -> Page:
        """Return the rows of a response.

        Raises:
            UnavailableError: the source failed or asks to slow down; ask again later.
            PayloadError: the body is not what the source documents; ask again later.
            RefusedError: asking again cannot help.
        """

    def redact(self, body: bytes, secrets: Sequence[str]) -> bytes:
        """Return the body without anything secret, else verbatim."""
        for secret in secrets:
            body = body.replace(secret.encode(), b"REDACTED")
        return body
