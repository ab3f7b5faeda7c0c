"""Fetch chunks: within the shared rate limits, with retries, and without showing a secret."""

from __future__ import annotations

import contextlib
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import requests
import tenacity
import urllib3

from energywh.core.time import RunClock, hour_number
from energywh.core.version import VERSION
from energywh.errors import (
    EnergywhError,
    KeyRefusedError,
    NotReadyError,
    PassingError,
    PayloadError,
    RefusedError,
    SourceError,
    StorageError,
    UnavailableError,
)
from energywh.sources.base import Chunk, Page, Request, Response, Source
from energywh.sources.limits import AnswerLimits
from energywh.sources.printable_keys import drop_unprintable_keys
from energywh.sync.answers import check_pages, gap_of, reading
from energywh.sync.http import (
    content_length,
    decompressed,
    retry_after_seconds,
    sendable_header,
    silence_url_logging,
    unless_changed,
    without_url,
)
from energywh.sync.ledger import LandedFile, Outcome
from energywh.sync.payloads import FileVersion, PayloadStore
from energywh.sync.progress import Speed
from energywh.sync.rate_limit import RequestLimit, Stopped
from energywh.sync.simulation_guard import SIMULATOR_HEADER, SimulationGuard
from energywh.sync.transport import AnswerBudget, BoundedAdapter, current_budget

if TYPE_CHECKING:
    import pyarrow as pa

    from energywh.config.settings import Settings

# Not ready, empty, a part that nobody asked for, elsewhere for now, unchanged though nothing was held.
PASSING_STATUSES = (202, 204, 206, 302, 303, 304, 307)
LONGEST_WAIT_SECONDS = 300.0  # a source that asks for more is left alone until the next sync


@dataclass(frozen=True)
class FetchedChunk:
    """An answered or failed chunk, and its rows where it was answered."""

    outcome: Outcome
    rows: pa.Table | None


class Fetcher:
    """Fetches chunks of one source. Shared by the threads of a run."""

    def __init__(
        self,
        source: Source,
        settings: Settings,
        limit: RequestLimit,
        store: PayloadStore | None,
        stop: threading.Event,
        simulation_guard: SimulationGuard,
        clock: RunClock,
        speed: Speed | None = None,
    ) -> None:
        self._source = source
        self._settings = settings
        self._limit = limit
        self._store = store
        self._files = PayloadStore(settings.home.payloads)  # where files are while they are read, kept or not
        self._stop = stop
        self._speed = speed or Speed()
        self._now = clock.now
        self._present_hour = clock.present_hour
        # The files that staging holds, so that they need not come again; None: all are to come again.
        self.landed: Mapping[Chunk, LandedFile] | None = {}
        self._simulation_guard = simulation_guard
        self._timeout = float(settings.get("sync.timeout_seconds"))
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"energywh/{VERSION}"
        self._session.headers["Accept-Encoding"] = "gzip"
        jobs = min(int(settings.get("sync.jobs")), source.max_jobs)
        adapter = BoundedAdapter(pool_connections=jobs, pool_maxsize=jobs, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._quiet_until = 0.0  # after a 429, no thread asks before this (monotonic)
        silence_url_logging()

    def fetch(self, chunk: Chunk) -> FetchedChunk:
        """Fetch one chunk, trying again after passing faults.

        Raises:
            KeyRefusedError: the key is wrong; no other request will fare better.
            SourceError: the source asks not to be asked again for long.
            StorageError: a payload cannot be kept.
            Stopped: the run is to stop.
        """
        attempts = 0
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(PassingError),
            stop=tenacity.stop_after_attempt(int(self._settings.get("sync.retries")) + 1),
            wait=_pause,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            for attempt in retrying:
                with attempt:
                    attempts += 1
                    return self._fetch_bounded(chunk, attempts)
        except (KeyRefusedError, StorageError):
            raise
        except NotReadyError as error:
            return FetchedChunk(Outcome(chunk, attempts, self._now(), error=str(error), later=True), None)
        except (PassingError, RefusedError) as error:
            unavailable = isinstance(error, UnavailableError)
            return FetchedChunk(Outcome(chunk, attempts, self._now(), error=str(error), unavailable=unavailable), None)
        raise AssertionError("unreachable")

    def _fetch_bounded(self, chunk: Chunk, attempts: int) -> FetchedChunk:
        dataset = self._source.dataset(chunk.dataset)
        token = current_budget.set(AnswerBudget(dataset.limits, self._timeout))
        try:
            return self._fetch_file(chunk, attempts) if dataset.is_file else self._fetch_once(chunk, attempts)
        except (EnergywhError, Stopped):
            raise
        except Exception as error:
            # Not its text, which may hold the address with the key; raised below, without this one as its context.
            failure = PayloadError(f"{chunk}: the answer cannot be read ({type(error).__name__})")
        finally:
            current_budget.reset(token)
        raise failure

    def _fetch_once(self, chunk: Chunk, attempts: int) -> FetchedChunk:
        import pyarrow as pa

        dataset = self._source.dataset(chunk.dataset)
        pages: list[Page] = []
        bodies: list[bytes] = []
        while (request := self._next_request(chunk, pages)) is not None:
            response = self._get(request, dataset.limits)
            with reading(chunk):
                pages.append(drop_unprintable_keys(dataset, self._source.read(chunk, response)))
                check_pages(chunk, dataset, pages)
            bodies.append(response.body)
        fetched_at = self._now()
        with reading(chunk):
            rows = pa.concat_tables([page.rows for page in pages])
            gap = gap_of(self._source, chunk, rows, hour_number(fetched_at))
        payloads: tuple[str, ...] = ()
        if self._store is not None:
            payloads = tuple(self._store.keep(chunk.dataset, body) for body in bodies)
        warnings = tuple(warning for page in pages for warning in page.warnings)
        outcome = Outcome(chunk, attempts, fetched_at, len(rows), None, payloads, gap=gap, warnings=warnings)
        return FetchedChunk(outcome, rows)

    def _next_request(self, chunk: Chunk, pages: list[Page]) -> Request | None:
        with reading(chunk):
            return self._source.next_request(chunk, pages, self._settings, present_hour=self._present_hour)

    def _fetch_file(self, chunk: Chunk, attempts: int) -> FetchedChunk:
        """Stream the one file of a chunk to disk, and read it there; unless it is the one that staging holds."""
        request = self._source.next_request(chunk, [], self._settings, present_hour=self._present_hour)
        assert request is not None
        landed = None if self.landed is None else self.landed.get(chunk)
        version = self._known_version(request, chunk, landed)
        with self._send(request, unless_changed(version)) as answer:
            fetched_at = self._now()
            if version is not None and answer.status_code == 304:
                if version.refusal:
                    raise RefusedError(f"{version.refusal} (the file has not changed since)")
                assert landed is not None
                return _unchanged(chunk, attempts, fetched_at, landed)
            if answer.status_code != 200:
                limits = self._source.dataset(chunk.dataset).limits
                self._source.read(chunk, self._response(answer, request, self._body(answer, request, limits)))
                raise PayloadError(f"HTTP {answer.status_code} is no answer [{request}]")
            etag, modified = (sendable_header(answer, name) for name in ("ETag", "Last-Modified"))
            with self._files.incoming(chunk.dataset, self._whole_file(answer, request, chunk)) as (payload, file):
                version = FileVersion(request.url, payload, etag, modified)
                same = landed is not None and payload == landed.payload
                page = None if same else self._read_file(chunk, file, version)
                if self._store is not None:
                    self._store.place(chunk.dataset, payload, file)
        if page is None:
            assert landed is not None
            self._save_version(chunk, version, landed.gap, answer)
            return _unchanged(chunk, attempts, fetched_at, landed)
        with reading(chunk):
            gap = gap_of(self._source, chunk, page.rows, hour_number(fetched_at))
        self._save_version(chunk, version, gap, answer)
        outcome = Outcome(
            chunk, attempts, fetched_at, len(page.rows), None, (payload,), gap=gap, warnings=page.warnings
        )
        return FetchedChunk(outcome, page.rows)

    def _known_version(self, request: Request, chunk: Chunk, landed: LandedFile | None) -> FileVersion | None:
        """Return the version of a file that need not come again: it is landed, or was refused by this energywh."""
        version = None if self.landed is None else self._files.file_version(chunk.dataset, chunk.slice)
        if version is None or version.url != request.url:
            return None
        if version.refusal:
            return version if version.reader == VERSION else None
        return version if landed is not None and version.payload == landed.payload else None

    def _read_file(self, chunk: Chunk, file: Path, version: FileVersion) -> Page:
        """Return the rows of a file; what is refused is remembered, so that it does not come again unchanged."""
        try:
            with reading(chunk):
                dataset = self._source.dataset(chunk.dataset)
                page = drop_unprintable_keys(dataset, self._source.read_file(chunk, file))
                check_pages(chunk, dataset, [page])
                return page
        except RefusedError as error:
            if version.etag or version.last_modified:
                refused = msgspec.structs.replace(version, refusal=str(error), reader=VERSION)
                self._files.save_file_version(chunk.dataset, chunk.slice, refused)
            raise

    def _save_version(self, chunk: Chunk, version: FileVersion, gap: str, answer: requests.Response) -> None:
        """Remember a file that was landed, unless it may have been cut on its way: nothing says how long it is."""
        knows_end = content_length(answer) is not None or "chunked" in answer.headers.get("Transfer-Encoding", "")
        if (version.etag or version.last_modified) and (knows_end or not gap):
            self._files.save_file_version(chunk.dataset, chunk.slice, version)

    def _whole_file(self, answer: requests.Response, request: Request, chunk: Chunk) -> Iterator[bytes]:
        """Yield the body of a file; an interrupted download resumes, if the server supports it.

        Raises:
            UnavailableError: the download broke off and must start again.
        """
        etag = answer.headers.get("ETag")
        # Offsets count the bytes on the wire, so a body with a content encoding cannot be resumed.
        resumes = etag is not None and not etag.startswith("W/") and "Content-Encoding" not in answer.headers
        resumes = resumes and answer.headers.get("Accept-Ranges") == "bytes"
        size, limits = content_length(answer), self._source.dataset(chunk.dataset).limits
        if size is not None and size > limits.received_bytes:
            raise PayloadError(f"a file of {size:,} bytes, where {limits.received_bytes:,} are the most [{request}]")
        tries, came = int(self._settings.get("sync.retries")), 0
        with contextlib.ExitStack() as answers:
            try:
                while True:
                    before = came
                    try:
                        for piece in self._pieces(answer, request, limits):
                            came = before + answer.raw.tell()
                            self._speed.download(chunk, came, size)
                            yield piece
                        if (length := content_length(answer)) is not None and answer.raw.tell() != length:
                            raise UnavailableError(f"{answer.raw.tell():,} of {length:,} bytes came [{request}]")
                        return
                    except UnavailableError:
                        budget = current_budget.get()
                        is_spent = budget is not None and budget.spent is not None
                        if not resumes or tries <= 0 or came == before or is_spent:
                            raise
                    tries -= 1
                    rest = {"Range": f"bytes={came}-", "If-Range": str(etag), "Accept-Encoding": "identity"}
                    answer = answers.enter_context(self._send(request, rest))
                    if answer.status_code != 206 or not answer.headers.get("Content-Range", "").startswith(
                        f"bytes {came}-"
                    ):
                        raise UnavailableError(f"the answer broke off, and cannot be resumed [{request}]")
            finally:
                self._speed.download(chunk, 0, 0)

    def _get(self, request: Request, limits: AnswerLimits) -> Response:
        """Send one request, without retries, and return the whole answer."""
        with self._send(request) as answer:
            return self._response(answer, request, self._body(answer, request, limits))

    @contextlib.contextmanager
    def _send(self, request: Request, headers: Mapping[str, str] | None = None) -> Iterator[requests.Response]:
        """Send one request when its turn comes, and yield the answer as it comes."""
        self._wait_for_turn(request.cost)
        self._speed.add(requests=1)
        if (budget := current_budget.get()) is not None:
            budget.request = str(request)
        with self._open(request, headers) as answer:
            if answer.status_code == 200:
                self._simulation_guard.check(SIMULATOR_HEADER in answer.headers)
            yield answer

    def _open(self, request: Request, headers: Mapping[str, str] | None) -> requests.Response:
        """Send the request and return the answer, of which only the head has been read."""
        # Raised after the except block, here as below: within it, even `from None` would keep the exception of the
        # library as context, with the URL and the key.
        try:
            return self._session.get(
                request.url,
                params=[*request.params, *request.secrets],
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            failure = without_url(error, request)
        raise failure

    def _response(self, answer: requests.Response, request: Request, body: bytes) -> Response:
        """Return what came back, without secrets, and take note of a source that asks for quiet."""
        retry_after = retry_after_seconds(answer.headers.get("Retry-After"))
        if answer.status_code != 200 and retry_after is not None and retry_after > LONGEST_WAIT_SECONDS:
            raise SourceError(
                f"{self._source.name} asks not to be asked again for {retry_after:,.0f} s. What is done is kept; "
                f"run this again after that. HTTP {answer.status_code} [{request}]"
            )
        if answer.status_code == 429 or (answer.status_code >= 500 and retry_after):
            self._quiet_until = max(self._quiet_until, time.monotonic() + (retry_after or 1.0))
        if answer.status_code in PASSING_STATUSES:
            raise UnavailableError(
                f"HTTP {answer.status_code} is no answer; if it stays so, check the setting '{self._source.name}.url' "
                f"[{request}]",
                retry_after,
            )
        # Before anything reads it: what an error quotes from a body must not hold the key that the body echoes.
        clean = self._source.redact(body, [secret for _, secret in request.secrets])
        return Response(str(request), answer.status_code, clean, retry_after, self._now())

    def _wait_for_turn(self, cost: int) -> None:
        """Return when a request may go: at the shared pace, and not while the source has asked for quiet."""
        while True:
            while (quiet := self._quiet_until - time.monotonic()) > 0:
                self._sleep(quiet)
            self._limit.wait(self._stop, cost)
            if time.monotonic() >= self._quiet_until:  # another thread may have extended the pause
                return

    def _body(self, answer: requests.Response, request: Request, limits: AnswerLimits) -> bytes:
        """Return the whole body, decompressed, within limits of size and time."""
        return b"".join(self._pieces(answer, request, limits))

    def _pieces(self, answer: requests.Response, request: Request, limits: AnswerLimits) -> Iterator[bytes]:
        """Yield the body as it comes, decompressed.

        Raises:
            PayloadError: it is larger than the limits allow; `current_budget` bounds it as it comes.
            UnavailableError: it broke off, or came too slowly.
        """
        size = 0
        failure: UnavailableError | None = None
        try:
            for piece in decompressed(answer, request):
                size += len(piece)
                if size > limits.unpacked_bytes:
                    most = limits.unpacked_bytes / 2**20
                    raise PayloadError(f"more than {most:,.3g} MiB came, decompressed [{request}]")
                yield piece
                if self._stop.is_set():
                    raise Stopped
        except zlib.error as error:
            raise UnavailableError(f"the answer is no whole gzip stream ({error}) [{request}]") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:  # OSErrors, to who writes the pieces
            failure = without_url(error, request)
        if failure is not None:
            raise failure

    def _sleep(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Stopped

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def _unchanged(chunk: Chunk, attempts: int, fetched_at: datetime, landed: LandedFile) -> FetchedChunk:
    outcome = Outcome(chunk, attempts, fetched_at, landed.rows, None, (landed.payload,), unchanged=True, gap=landed.gap)
    return FetchedChunk(outcome, None)


_BACK_OFF = tenacity.wait_random_exponential(multiplier=0.5, max=60)


def _pause(state: tenacity.RetryCallState) -> float:
    """Jittered exponential back-off, and never shorter than the source asks."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_seconds if isinstance(error, UnavailableError) else None
    return _BACK_OFF(state) + (asked or 0.0)
