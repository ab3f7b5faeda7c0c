"""What a source is. One file of this package describes one source; nothing else knows its routes or payloads.

A source says which datasets it has, how a chunk of one becomes requests, what its answers mean, and how a
payload becomes columns. It never waits, retries, stores or remembers: `energywh.sync` does that for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from energywh.core.printable import mask_keys, printable
from energywh.core.time import utc_now
from energywh.errors import SettingsError, UsageError, did_you_mean
from energywh.sources.limits import AnswerLimits, RateLimits
from energywh.sources.redact import redact_secret

if TYPE_CHECKING:
    import pyarrow as pa

    from energywh.config.options import Section
    from energywh.config.settings import Settings

ALL_SLICES = "*"  # the slice that holds every value of the slice key


@dataclass(frozen=True)
class PublicationLag:
    """How long after the end of an hour a source publishes it, at the latest."""

    hours: int  # negative where the source publishes ahead
    source: str  # who says so, one or more sentences
    measure: str = ""  # the value of `measure_key` that it holds for; empty: all that have no lag of their own


@dataclass(frozen=True, kw_only=True)
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
    publication_lags: tuple[PublicationLag, ...]  # one for the dataset, and one for each measure that differs from it
    settling_hours: int = 240  # how long after an hour the source still revises it
    # How long after its end a chunk is asked for again while its answer has gaps (see `Source.gap`); None: for good.
    gap_retry_hours: int | None = 60 * 24
    retention_hours: int | None = None  # how long the source keeps what it published; None: for good
    retention_is_approximate: bool = False  # older hours are requested all the same when they are named by hand
    interval_minutes: int = 60  # from one stamp to the next
    whole_cells: bool = False  # a chunk is a whole cell (see `Source.cell`), however few of its hours are asked for
    is_file: bool = False  # an answer is streamed to disk (see `Source.read_file`)
    limits: AnswerLimits = field(default_factory=AnswerLimits)

    slices_found_in: str = ""  # a table of files whose `region` column names slices that a seed may not list

    # What the quality models need to tell which rows belong together.
    region_key: str = ""  # the key that says which region, or part of one, a row is of; empty: the first key
    region: str = ""  # the region that all rows are of, where `region_key` holds parts of it
    region_total: str = ""  # the value of `region_key` that is the whole of `region`; empty: its parts do not overlap
    measure_key: str = ""  # the key whose values are published at different times; empty: all rows at once
    part_keys: tuple[str, ...] = ()  # keys that tell rows apart and are neither region nor measure, such as a file
    arrival_values: tuple[str, ...] = ()  # value columns of which one makes a row count as arrived; empty: any
    # Value columns that are followed through their revisions, each with the name of its measure. Empty: all.
    revision_values: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        measures = [lag.measure for lag in self.publication_lags]
        if (
            measures.count("") != 1
            or len(set(measures)) != len(measures)
            or (measures != [""] and not self.measure_key)
        ):
            raise ValueError(
                f"{self.name} needs one publication lag without a measure, and at most one of each measure"
            )

    def publication_lag_hours(self, measure: str = "") -> int:
        """Return the publication lag of rows with this value of `measure_key`."""
        hours = {lag.measure: lag.hours for lag in self.publication_lags}
        return hours.get(measure, hours[""])

    @property
    def region_column(self) -> str:
        """The key that says which region, or part of one, a row is of."""
        return self.region_key or self.keys[0]

    @property
    def arrived(self) -> tuple[str, ...]:
        """The value columns of which one makes a row count as arrived."""
        return self.arrival_values or self.values

    @property
    def detail_keys(self) -> tuple[str, ...]:
        """The keys that are neither the region nor a part: together they name the measure of a revision."""
        return tuple(key for key in self.keys if key != self.region_column and key not in self.part_keys)

    @property
    def followed(self) -> tuple[tuple[str, str], ...]:
        """The value columns that are followed through revisions, each with what it adds to the name of the measure."""
        if self.revision_values:
            return self.revision_values
        if len(self.values) == 1:
            return ((self.values[0], "" if self.detail_keys else self.values[0]),)
        return tuple((value, value) for value in self.values)

    @property
    def name(self) -> str:
        return f"{self.source}.{self.table}"

    @property
    def origin(self) -> str:
        """What the source calls it, for people: a route, a report, a kind of file."""
        return self.table

    def fields_of(self, column: str) -> tuple[str, ...]:
        """Return what the source calls a staging column; more than one where it has gone by several names."""
        return OWN_COLUMNS.get(column, (column,))


# What stands in every staging table and comes from no source.
OWN_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "known_from_utc": ("when it was first read here",),
    "known_until_utc": ("when another value was read here",),
}


@dataclass(frozen=True)
class Irregularity:
    """Known trouble of a source's data: what happens, and from where that is known."""

    what: str
    known_from: str


@dataclass(frozen=True, order=True)
class Chunk:
    """The unit of fetching: one dataset, one slice, and the hours `first` to `last`.

    Hours are hour numbers (see `energywh.core.time`), counted by their start, both ends inclusive.
    """

    dataset: str
    slice: str
    first: int
    last: int

    @property
    def hours(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        from energywh.core.time import hour_time

        return f"{self.dataset} {self.slice} {hour_time(self.first):%Y-%m-%dT%H}..{hour_time(self.last):%Y-%m-%dT%H}"


@dataclass(frozen=True)
class Request:
    """A GET request. `secrets` are parameters that belong to it and must never be shown or kept."""

    url: str
    params: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    cost: int = 1  # what the source counts it as, against its limits of an hour and a day

    def __str__(self) -> str:
        """The URL as it may be printed."""
        from urllib.parse import urlencode

        url = mask_keys(self.url)
        for _, secret in self.secrets:
            url = url.replace(secret, "REDACTED") if secret else url
        hidden = tuple((name, "REDACTED") for name, _ in self.secrets)
        query = urlencode(self.params + hidden, safe="[]:,")
        return f"{url}?{query}" if query else url


@dataclass(frozen=True)
class Response:
    """What came back: the status, and the body as it came, decompressed, secrets redacted."""

    request: str  # printable URL
    status: int
    body: bytes = field(repr=False)
    retry_after_seconds: float | None = None
    received_at: datetime = field(default_factory=utc_now)  # naive UTC, by the clock of the run

    def opening(self) -> str:
        """The first bytes of the body, printable, for error messages."""
        return printable(self.body[:120].decode("utf-8", "replace")) or "(empty body)"


@dataclass(frozen=True)
class PayloadWarning:
    """What is wrong with a payload without making its rows unusable; `energywh check` shows it.

    Attributes:
        rule: the rule of `energywh check`: unknown_column, contradicting_rows, unreadable_rows or unreadable_values.
        subject, count: the column or one of the rows concerned, and how many rows or values are.
    """

    rule: str
    subject: str
    count: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "subject", printable(self.subject))


@dataclass(frozen=True)
class Page:
    """The rows of one payload: a table in the dataset's column order, and how many rows the query has."""

    rows: pa.Table
    total: int | None  # of the whole query, not of this page; None where the source does not say
    received: int | None = None  # rows of the payload, where some are not among `rows`: duplicates and such
    warnings: tuple[PayloadWarning, ...] = ()

    @property
    def rows_received(self) -> int:
        """How many rows of the query the payload held."""
        return len(self.rows) if self.received is None else self.received


def even_cell(hour: int, length: int) -> tuple[int, int]:
    """Return the cell of ``length`` hours that holds ``hour``, on the grid of the multiples since 1970."""
    first = hour - hour % length
    return first, first + length - 1


class Source(ABC):
    """One outside system. Subclass it in one file of this package and assign an instance to `SOURCE`."""

    name: str
    title: str = ""  # for people; the name where there is none
    homepage: str = ""
    licence: str = ""
    irregularities: tuple[Irregularity, ...] = ()
    datasets: tuple[Dataset, ...]
    section: type[Section]  # its settings
    max_jobs: int = 64  # requests under way at once, whatever the settings allow
    history_source: str | None = None  # a source that has the same history in far fewer requests
    newest_hours: int = 0  # and how much of the present is to be had from this one all the same

    def dataset(self, name: str) -> Dataset:
        """Return the dataset ``source.table``."""
        for dataset in self.datasets:
            if dataset.name == name:
                return dataset
        raise UsageError(f"no dataset is named '{name}'{did_you_mean(name, [d.name for d in self.datasets])}")

    def check_ready(self, settings: Settings) -> None:
        """Raise `SettingsError`, saying what to do, when a setting that every request needs is missing or wrong."""
        self.check_url(settings, f"{self.name}.url")

    @staticmethod
    def check_url(settings: Settings, name: str) -> None:
        """Refuse an address that no request can be sent to, or that holds a secret."""
        address = urlsplit(str(settings.get(name)))
        if "@" in str(settings.get(name)):
            raise SettingsError(f"setting '{name}' must not hold a user name or password")
        if address.scheme not in ("http", "https") or not address.netloc or address.query or address.fragment:
            raise SettingsError(
                f"setting '{name}' must be an http(s) address without parameters, not '{settings.items[name].shown}'"
            )

    def identity(self, settings: Settings) -> str:
        """Return what shares one request limit: the host, and the key where there is one. Hashed, never stored."""
        return urlsplit(str(settings.get(f"{self.name}.url"))).netloc

    def rate_limits(self, settings: Settings) -> RateLimits:
        """Return what the source allows, from those of its settings that are named like the fields of `RateLimits`."""
        held = [name for name in RateLimits.__dataclass_fields__ if name in self.section.__struct_fields__]
        return RateLimits(**{name: settings.get(f"{self.name}.{name}") for name in held})

    @abstractmethod
    def default_slices(
        self, dataset: Dataset, settings: Settings, *, aggregates: bool, present_hour: int
    ) -> Sequence[str]:
        """Return the slices that a sync takes when no region is named; the run started in hour ``present_hour``."""

    def slices_of(self, dataset: Dataset, settings: Settings, region: str, *, present_hour: int) -> Sequence[str]:
        """Return the slices that hold ``region``; none where the dataset has nothing of it."""
        return (region,)

    def may_be_empty(self, dataset: Dataset, slice_: str) -> bool:
        """Return whether a slice is asked for by default only to see whether it has rows by now."""
        return False

    def has_other_history(self, dataset: Dataset, slice_: str) -> bool:
        """Return whether the `history_source` has this slice too."""
        return self.history_source is not None

    @abstractmethod
    def rows_per_hour(self, dataset: Dataset, slice_: str) -> int:
        """Return the most rows an hour of this slice can have."""

    def lead_hours(self, dataset: Dataset, slice_: str) -> int:
        """Return how far past the present hour the source publishes a slice."""
        return dataset.lead_hours

    @abstractmethod
    def cell(self, dataset: Dataset, slice_: str, hour: int) -> tuple[int, int]:
        """Return the first and last hour of the cell that holds ``hour``: the most that one chunk may cover.

        Cells tile time and stay the same from one sync to the next.
        """

    def span(self, dataset: Dataset, slice_: str) -> tuple[int | None, int | None]:
        """Return the first and last hour for which the slice can have rows, where known."""
        return None, None

    def gap(self, dataset: Dataset, chunk: Chunk, rows: pa.Table) -> str:
        """Return which hours of a chunk its answer lacks though it should have them, for people; empty if none.

        Args:
            rows: all rows of the answer.
        """
        from energywh.sources.arrow import coverage

        hours = coverage.hours_of_stamps(rows[dataset.time_column], dataset.stamp_offset_hours)
        valued = hours[coverage.has_arrived(rows, dataset.arrived, dataset.ahead)]
        return coverage.gap(valued, chunk.last, ends_early=self.span(dataset, chunk.slice)[1] is not None)

    @abstractmethod
    def next_request(
        self, chunk: Chunk, pages: Sequence[Page], settings: Settings, *, present_hour: int
    ) -> Request | None:
        """Return the request that continues after ``pages``, or None when the chunk is complete.

        Raises:
            PayloadError: the pages contradict each other; the chunk has to start again.
        """

    @abstractmethod
    def read(self, chunk: Chunk, response: Response) -> Page:
        """Return the rows of a response. Of a dataset `is_file`, only answers of another status than 200 come here.

        Raises:
            UnavailableError: the source failed or asks to slow down; ask again later.
            PayloadError: the body is not what the source documents; ask again later.
            NotReadyError: the source will have it later; the next sync asks again.
            RefusedError: asking again cannot help.
        """

    def read_file(self, chunk: Chunk, file: Path) -> Page:
        """Return the rows of a payload file (zstd), of a dataset `is_file`.

        Raises:
            PayloadError: the file is not what the source documents; ask again later.
            RefusedError: a key has no column, or cannot be read.
        """
        raise TypeError(f"{self.name} has no datasets that are files")

    def redact(self, body: bytes, secrets: Sequence[str]) -> bytes:
        """Return the body without anything secret, else verbatim."""
        for secret in secrets:
            body = redact_secret(body, secret)
        return body
