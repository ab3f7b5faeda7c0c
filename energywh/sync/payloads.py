"""Raw payloads: the bytes of each answer, kept verbatim but for the key, so that staging can be rebuilt.

    payloads/<dataset>/<first two letters>/<sha-256 of the body>.zst
    payloads/journal/<landing>-<time>.json      which payloads a landing took, and when they were fetched

A file appears whole or not at all, and its name proves its content.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec
import pyarrow as pa

from energywh.errors import CorruptError, StorageError

_JOURNAL = "journal"
PART = ".part-"  # begins the name of a file that is being written


class JournalEntry(msgspec.Struct, frozen=True):
    """One answered chunk. Hours are counted by their start, both ends inclusive; times are naive UTC."""

    dataset: str
    slice: str
    first_hour_utc: datetime
    last_hour_utc: datetime
    fetched_at_utc: datetime
    attempts: int
    payloads: tuple[str, ...]


class Journal(msgspec.Struct, frozen=True):
    """What one landing took."""

    landing_id: int
    landed_at_utc: datetime
    entries: tuple[JournalEntry, ...]


class PayloadStore:
    """The payload files of one warehouse."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _file(self, dataset: str, payload_id: str) -> Path:
        return self.folder / dataset / payload_id[:2] / f"{payload_id}.zst"

    def keep(self, dataset: str, body: bytes) -> str:
        """Write the body and return its id. A body that is there already is not written again.

        Raises:
            StorageError: the file cannot be written (disk full, read-only).
        """
        payload_id = hashlib.sha256(body).hexdigest()
        file = self._file(dataset, payload_id)
        try:
            os.utime(file)  # its retention starts anew
        except FileNotFoundError:
            _write_whole(file, _zstd(body))
        except OSError as error:
            raise _cannot_write(file, error) from None
        return payload_id

    def keep_stream(self, dataset: str, pieces: Iterable[bytes]) -> tuple[str, Path]:
        """Write a body too large for memory as it comes in; return its id and file. A broken stream leaves nothing.

        Raises:
            StorageError: the file cannot be written (disk full, read-only).
        """
        folder = self.folder / dataset
        digest = hashlib.sha256()
        temporary: Path | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=folder, prefix=PART)
            os.close(handle)
            temporary = Path(name)
            with pa.OSFile(name, "wb") as raw, pa.CompressedOutputStream(raw, "zstd") as stream:
                for piece in pieces:
                    digest.update(piece)
                    stream.write(piece)
            _to_disk(temporary)
            file = self._file(dataset, digest.hexdigest())
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(file)
        except OSError as error:
            raise _cannot_write(folder, error) from None
        finally:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
        return digest.hexdigest(), file

    def file(self, dataset: str, payload_id: str) -> Path:
        """Return the file of a payload, zstd.

        Raises:
            FileNotFoundError: it was pruned, or never kept.
        """
        file = self._file(dataset, payload_id)
        if not file.exists():
            raise FileNotFoundError(file)
        return file

    def read(self, dataset: str, payload_id: str) -> bytes:
        """Return the body.

        Raises:
            FileNotFoundError: it was pruned, or never kept.
            CorruptError: the bytes are not those that were kept.
        """
        file = self._file(dataset, payload_id)
        try:
            with pa.OSFile(str(file)) as raw, pa.CompressedInputStream(raw, "zstd") as stream:
                body: bytes = stream.read()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise CorruptError(f"payload {file} is damaged ({error}); delete it, and sync its hours again") from None
        if hashlib.sha256(body).hexdigest() != payload_id:
            raise CorruptError(f"payload {file} does not match its name; delete it, and sync its hours again")
        return body

    def has(self, dataset: str, payload_id: str) -> bool:
        """Say whether the payload is still kept."""
        return self._file(dataset, payload_id).exists()

    def write_journal(self, journal: Journal) -> str:
        """Write the journal of a landing and return its file name."""
        name = f"{journal.landing_id:010d}-{journal.landed_at_utc:%Y%m%dT%H%M%S.%f}.json"
        _write_whole(self.folder / _JOURNAL / name, msgspec.json.encode(journal))
        return name

    def journals(self) -> dict[str, Journal]:
        """Return the journals by file name, in the order of landing.

        Landings are numbered anew in a staging file that was made anew: their time alone gives the order.
        """
        found: dict[str, Journal] = {}
        for file in (self.folder / _JOURNAL).glob("*.json"):
            try:
                found[file.name] = msgspec.json.decode(file.read_bytes(), type=Journal)
            except msgspec.DecodeError as error:
                raise CorruptError(
                    f"journal {file} is damaged ({error}); move it away and sync its hours again"
                ) from None
        return dict(sorted(found.items(), key=lambda item: (item[1].landed_at_utc, item[1].landing_id)))

    def prune(self, before: datetime) -> int:
        """Delete payloads and journals older than ``before`` (naive UTC), and return how many files went."""
        limit = (before - datetime(1970, 1, 1)).total_seconds()
        gone = 0
        for pattern in ("*/??/*", f"*/{PART}*", f"{_JOURNAL}/*"):
            for file in self.folder.glob(pattern):
                with contextlib.suppress(FileNotFoundError):  # another process prunes too
                    if file.stat().st_mtime < limit:
                        file.unlink()
                        gone += 1
        return gone


def _zstd(body: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(body)
    compressed: bytes = sink.getvalue().to_pybytes()
    return compressed


def _write_whole(file: Path, content: bytes) -> None:
    """Write a file so that it is seen whole or not at all."""
    temporary: Path | None = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=PART)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        _to_disk(temporary)
        temporary.replace(file)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise _cannot_write(file, error) from None


def _to_disk(file: Path) -> None:
    """See to it that a rename does not outlive the content: that would leave a file nobody mends."""
    with file.open("rb") as stream:
        os.fsync(stream.fileno())


def _cannot_write(file: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot write {file}: {error.strerror or error}; nothing is lost: free room or mend the folder, "
        "and run this again"
    )
