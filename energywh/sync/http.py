"""What HTTP leaves to its clients: headers that are read, bodies that are unpacked, and URLs that hold a key."""

from __future__ import annotations

import contextlib
import logging
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests
import urllib3

from energywh.core.printable import printable
from energywh.errors import PayloadError, UnavailableError
from energywh.sources.base import Request
from energywh.sync.payloads import FileVersion

PIECE_BYTES = 2**18
MAX_DIGITS = 15  # of a number in a header; a longer one says nothing
MAX_HEADER_CHARS = 1000  # of a header that is kept
_GZIP = 16 + zlib.MAX_WBITS


def decompressed(answer: requests.Response, request: Request) -> Iterator[bytes]:
    """Yield the body in pieces of a bounded size.

    Raises:
        UnavailableError: it is compressed, and its end is missing.
        PayloadError: it comes in another encoding than was asked for.
    """
    encoding = answer.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        # The library would unpack it, a piece at once: of layers upon layers, a few bytes fill the memory.
        raise PayloadError(f"the answer comes as {printable(encoding, 60)}, which was not asked for [{request}]")
    gzip = encoding == "gzip"
    # Decompressed here: urllib3 does not notice a gzip stream without its end.
    unpack, began = zlib.decompressobj(_GZIP), False
    # read1 gives what has come: waiting for full pieces, a body that drips would hold us past every deadline.
    while raw := answer.raw.read1(PIECE_BYTES, decode_content=False):
        began = True
        if not gzip:
            yield raw
            continue
        while True:
            piece = unpack.decompress(raw, PIECE_BYTES)
            raw = unpack.unused_data if unpack.eof else unpack.unconsumed_tail
            if piece:
                yield piece
            elif not raw:
                break
            if raw and unpack.eof:  # several streams one after the other are one body
                unpack = zlib.decompressobj(_GZIP)
            elif unpack.eof:
                break
    if gzip and began and not unpack.eof:
        raise UnavailableError(f"the answer broke off: its gzip stream has no end [{request}]")


def unless_changed(seen: FileVersion | None) -> dict[str, str]:
    """Return the headers that ask for a file only if it is another than the one seen."""
    if seen is None:
        return {}
    said = {"If-None-Match": seen.etag} if seen.etag else {"If-Modified-Since": seen.last_modified}
    return {name: value for name, value in said.items() if value}


def sendable_header(answer: requests.Response, name: str) -> str | None:
    """Return a header that can be sent back as it came; one that cannot would make each later request fail."""
    value = answer.headers.get(name, "")
    return value if value and value.isascii() and value.isprintable() and len(value) <= MAX_HEADER_CHARS else None


def content_length(answer: requests.Response) -> int | None:
    """Return how many bytes the body has on its way, where the server says."""
    length = answer.headers.get("Content-Length", "")
    return int(length) if _is_count(length) else None


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS


def retry_after_seconds(header: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which is a number or a date (RFC 9110); None for anything else."""
    if not header:
        return None
    if _is_count(header.strip().removeprefix("-")):
        return max(0.0, float(header))
    with contextlib.suppress(Exception):  # the parser of dates raises what its parts do
        moment = parsedate_to_datetime(header)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    return None


def without_url(error: Exception, request: Request) -> UnavailableError:
    """Say what went wrong; the text of such an exception holds the URL, and the URL the key."""
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        what = "no answer in time"
    elif isinstance(error, urllib3.exceptions.HTTPError):
        what = "the answer broke off"
    elif isinstance(error, requests.ConnectionError):
        what = "cannot connect, or the connection was lost"
    else:
        what = f"the request failed ({type(error).__name__})"
    return UnavailableError(f"{what} [{request}]")


class _DropUrls(logging.Filter):
    """Drops urllib3's debug lines, which quote the path with the key."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG and "api_key" not in record.getMessage()


def silence_url_logging() -> None:
    """Keep keys in URLs out of the log, whatever level the application logs at."""
    logger = logging.getLogger("urllib3.connectionpool")
    if not any(isinstance(existing, _DropUrls) for existing in logger.filters):
        logger.addFilter(_DropUrls())
