"""Raw payloads: the bytes of each answer, kept verbatim but for the key, so that staging can be rebuilt.

    payloads/<dataset>/<first two letters>/<sha-256 of the body>.zst
    payloads/<dataset>/<slice>.seen.json        of a file: by what the server can say that it has not changed
    payloads/journal/<landing>-<time>.json      which payloads a landing took, and when they were fetched
    payloads/schema.json                        how all this is laid out

A file appears whole or not at all, and its name proves its content.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pyarrow as pa

from energywh.core.files import TEMPORARY_SUFFIX, move_into_place, write_file
from energywh.core.schema_number import FILE, folder_number, write_folder_number
from energywh.core.storage_errors import storage_errors
from energywh.errors import CorruptError

SCHEMA = 1  # of the layout above and of the files' content
_JOURNAL = "journal"
PART = ".part-"  # begins the name of a file that is being written, or read before it gets its name
PART_KEPT = timedelta(days=1)  # no download takes longer


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


class FileVersion(msgspec.Struct, frozen=True):
    """Headers of a file's last download, with which the server can answer that it has not changed.

    Attributes:
        refusal: why the file was refused; empty where it was landed.
        reader: the version of energywh that refused it: another may read it.
    """

    url: str
    payload: str
    etag: str | None = None
    last_modified: str | None = None
    refusal: str = ""
    reader: str = ""


class PayloadStore:
    """The payload files of one warehouse.

    Raises:
        StorageError: a newer energywh wrote them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder_number(folder, SCHEMA)

    def _file(self, dataset: str, payload_id: str) -> Path:
        return self.folder / dataset / payload_id[:2] / f"{payload_id}.zst"

    def keep(self, dataset: str, body: bytes) -> str:
        """Write the body and return its id. A body that is there already is not written again.

        Raises:
            StorageError: the file cannot be written (disk full, read-only).
        """
        payload_id = hashlib.sha256(body).hexdigest()
        file = self._file(dataset, payload_id)
        with _write_errors(file):
            try:
                os.utime(file)  # restarts its retention
            except FileNotFoundError:
                _write_whole(file, _zstd(body))
        return payload_id

    @contextlib.contextmanager
    def incoming(self, dataset: str, pieces: Iterable[bytes]) -> Iterator[tuple[str, Path]]:
        """Write a body too large for memory as it comes in, and yield its id and file.

        The file is gone at the end, unless `place` was called. A broken stream leaves nothing.

        Raises:
            StorageError: the file cannot be written (disk full, read-only).
        """
        folder = self.folder / dataset
        digest = hashlib.sha256()
        with _write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=folder, prefix=PART)
            os.close(handle)
        temporary = Path(name)
        try:
            with (
                _write_errors(folder),
                pa.OSFile(name, "wb") as raw,
                pa.CompressedOutputStream(raw, "zstd") as stream,
            ):
                for piece in pieces:
                    digest.update(piece)
                    stream.write(piece)
            yield digest.hexdigest(), temporary
        finally:
            temporary.unlink(missing_ok=True)

    def place(self, dataset: str, payload_id: str, incoming: Path) -> None:
        """Keep a file that came in.

        Raises:
            StorageError: it cannot be moved to its place.
        """
        file = self._file(dataset, payload_id)
        with _write_errors(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            move_into_place(incoming, file)

    def file_version(self, dataset: str, slice_: str) -> FileVersion | None:
        """Return what the server said of the file of a slice when it was landed last, where that is known."""
        try:
            return msgspec.json.decode(self._version_file(dataset, slice_).read_bytes(), type=FileVersion)
        except (OSError, msgspec.DecodeError):
            return None

    def save_file_version(self, dataset: str, slice_: str, seen: FileVersion) -> None:
        """Note what the server said of the file of a slice; kept however long payloads are."""
        _write_whole(self._version_file(dataset, slice_), msgspec.json.encode(seen))

    def _version_file(self, dataset: str, slice_: str) -> Path:
        return self.folder / dataset / f"{slice_}.seen.json"

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
        """Return whether the payload is still kept."""
        return self._file(dataset, payload_id).exists()

    def write_journal(self, journal: Journal) -> str:
        """Write the journal of a landing and return its file name."""
        if not (self.folder / FILE).exists():
            write_folder_number(self.folder, SCHEMA)
        name = f"{journal.landing_id:010d}-{journal.landed_at_utc:%Y%m%dT%H%M%S.%f}.json"
        _write_whole(self.folder / _JOURNAL / name, msgspec.json.encode(journal))
        return name

    def journals(self) -> dict[str, Journal]:
        """Return the journals by file name, in the order of landing.

        A new staging file numbers its landings from 1 again, so only their time gives the order.
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
        # Another process may be at work on a part, whatever the retention.
        part_limit = min(limit, time.time() - PART_KEPT.total_seconds())
        gone = 0
        for pattern, oldest in (
            ("*/??/*", limit),
            (f"*/{PART}*", part_limit),
            (f"*/.*{TEMPORARY_SUFFIX}", part_limit),
            (f"{_JOURNAL}/*", limit),
        ):
            for file in self.folder.glob(pattern):
                with contextlib.suppress(FileNotFoundError):  # another process prunes too
                    if file.stat().st_mtime < oldest:
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
    with _write_errors(file):
        write_file(file, content)


def _write_errors(path: Path) -> contextlib.AbstractContextManager[None]:
    advice = "nothing is lost: free room or mend the folder, and run this again"
    return storage_errors("write", path, {"system": advice, "full": advice})
