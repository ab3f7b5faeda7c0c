"""Raw payloads: the bytes of each answer, kept verbatim but for the key, so that staging can be rebuilt.

    payloads/2026-11-05/<time>-<random>.tar            payloads and journals kept on that UTC day: see `packs`
    payloads/2026-11-05/<dataset>/<sha-256>.zst        a payload too large for a pack
    payloads/<dataset>/<slice>.seen.json               of a file: by what the server can say that it has not changed
    payloads/schema.json                               how all this is laid out
    payloads/<dataset>/<two letters>/<sha-256>.zst     of schema 1: read until they are old
    payloads/journal/<landing>-<time>.json             the same

A payload is compressed with zstd, and its name, the SHA-256 of the body, proves its content. A journal
says which payloads a landing took, and when they were fetched.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from energywh.core.files import TEMPORARY_SUFFIX, flush, make_folder, move_into_place, write_file
from energywh.core.schema_number import folder_number, write_folder_number
from energywh.core.storage_errors import storage_errors
from energywh.core.time import EPOCH, utc_now
from energywh.sync.journals import JOURNALS, Journal
from energywh.sync.packs import PACK, PackWriter
from energywh.sync.payload_index import DAY, SCHEMA, PayloadIndex, days_before, fault_of, payload_name

PART = ".part-"  # begins the name of a file that is being written, or read before it gets its name
PART_KEPT = timedelta(days=1)  # no download takes longer


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
    """Keeps the payloads of one warehouse; `PayloadIndex` reads them. Threads may keep payloads at once.

    Args:
        now: the present, naive UTC, which says to which day a payload belongs.

    Raises:
        StorageError: a newer energywh wrote the folder.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime] | None = None) -> None:
        self.folder = folder
        self._number = folder_number(folder, SCHEMA)
        self._now = now or utc_now
        self._lock = threading.Lock()
        self._writer: PackWriter | None = None
        self._today = ""
        self._held = PayloadIndex()  # of today
        self._trusted: set[str] = set()  # names in `_held` whose content is known to be whole

    def keep(self, dataset: str, body: bytes) -> str:
        """Write the body and return its id. A body that was kept today is not written again.

        It is on the disk once `write_journal` has returned.

        Raises:
            StorageError: it cannot be written (disk full, read-only).
        """
        payload_id = hashlib.sha256(body).hexdigest()
        name = payload_name(dataset, payload_id)
        with _write_errors(self.folder), self._lock:
            writer = self._open_today()
            if not self._holds(name, payload_id):
                self._append(writer, name, _zstd(body))
        return payload_id

    def _open_today(self) -> PackWriter:
        """Return the pack of today that this process appends to."""
        now = self._now()
        day = f"{now:{DAY}}"
        if self._writer is not None and self._today == day:
            return self._writer
        self._close()
        folder = self.folder / day
        if not folder.is_dir():
            make_folder(folder)
        if self._number < SCHEMA:
            write_folder_number(self.folder, SCHEMA)
            self._number = SCHEMA
        self._held, self._trusted = PayloadIndex(), set()
        for pack in sorted(folder.glob(f"*{PACK}")):
            with contextlib.suppress(OSError):  # one that cannot be opened is no reason to keep nothing
                flush(pack)  # another process may have written what this one relies on from now on
                end = self._held.add_pack(pack)
                if self._writer is None and end is not None:
                    self._writer = PackWriter.append_to(pack, end)
        self._writer = self._writer or PackWriter.new(folder, now)
        self._today = day
        return self._writer

    def _holds(self, name: str, payload_id: str) -> bool:
        """Return whether a pack of today has the payload, whole: a power cut can leave a name without its content."""
        if name not in self._trusted and any(
            fault_of(each, payload_id) is None for each in self._held.members.get(name, ())
        ):
            self._trusted.add(name)
        return name in self._trusted

    def _append(self, writer: PackWriter, name: str, content: bytes) -> None:
        member = writer.append(name, content, self._now())
        self._held.add(name, member)
        self._trusted.add(name)

    def close(self) -> None:
        """Give up the pack of today, for other processes to append to."""
        # What a landing took is on the disk already; what was kept since is fetched again.
        with self._lock, contextlib.suppress(OSError):
            self._close()

    def _close(self) -> None:
        if self._writer is not None:
            try:
                self._writer.flush()
            finally:
                self._writer.close()
                self._writer = None

    @contextlib.contextmanager
    def incoming(self, dataset: str, pieces: Iterable[bytes]) -> Iterator[tuple[str, Path]]:
        """Write a body too large for memory as it comes in, and yield its id and file.

        The file is gone at the end, unless `place` was called. A broken stream leaves nothing.

        Raises:
            StorageError: the file cannot be written (disk full, read-only).
        """
        import pyarrow as pa

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
        """Keep a file that came in, as a file of its own.

        Raises:
            StorageError: it cannot be moved to its place.
        """
        file = self.folder / f"{self._now():{DAY}}" / payload_name(dataset, payload_id)
        with _write_errors(file):
            make_folder(file.parent)
            move_into_place(incoming, file)

    def file_version(self, dataset: str, slice_: str) -> FileVersion | None:
        """Return what the server said of the file of a slice when it was landed last, where that is known."""
        try:
            return msgspec.json.decode(self._version_file(dataset, slice_).read_bytes(), type=FileVersion)
        except (OSError, msgspec.DecodeError):
            return None

    def save_file_version(self, dataset: str, slice_: str, seen: FileVersion) -> None:
        """Note what the server said of the file of a slice; kept however long payloads are."""
        file = self._version_file(dataset, slice_)
        with _write_errors(file):
            write_file(file, msgspec.json.encode(seen))

    def _version_file(self, dataset: str, slice_: str) -> Path:
        return self.folder / dataset / f"{slice_}.seen.json"

    def write_journal(self, journal: Journal) -> str:
        """Write the journal of a landing and return its name. All that was kept before is on the disk then too.

        Raises:
            StorageError: it cannot be written (disk full, read-only).
        """
        name, content = journal.encode()
        with _write_errors(self.folder), self._lock:
            writer = self._open_today()
            self._append(writer, f"{JOURNALS}/{name}", content)
            writer.flush()
        return name

    def prune(self, before: datetime) -> int:
        """Delete what was kept before ``before`` (naive UTC), and return how many files went.

        A day goes as a whole, once all of it is older; `datetime.max` deletes all.
        """
        gone = 0
        for day in days_before(self.folder, before):
            gone += sum(path.is_file() for path in day.rglob("*"))
            shutil.rmtree(day, ignore_errors=True)  # another process prunes too
        limit = (before - EPOCH).total_seconds()
        # Another process may be at work on a part, whatever the retention.
        part_limit = min(limit, time.time() - PART_KEPT.total_seconds())
        for pattern, oldest in (
            ("*/[0-9a-f][0-9a-f]/*", limit),
            (f"*/{PART}*", part_limit),
            (f".*{TEMPORARY_SUFFIX}", part_limit),
            (f"*/.*{TEMPORARY_SUFFIX}", part_limit),
            (f"{JOURNALS}/*", limit),
        ):
            for file in self.folder.glob(pattern):
                with contextlib.suppress(FileNotFoundError):  # another process prunes too
                    if file.stat().st_mtime < oldest:
                        file.unlink()
                        gone += 1
        for folder in (*self.folder.glob("*/[0-9a-f][0-9a-f]"), self.folder / JOURNALS):
            with contextlib.suppress(OSError):  # not empty yet
                folder.rmdir()
        return gone


def _zstd(body: bytes) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(body)
    compressed: bytes = sink.getvalue().to_pybytes()
    return compressed


def _write_errors(path: Path) -> contextlib.AbstractContextManager[None]:
    advice = "nothing is lost: free room or mend the folder, and run this again"
    return storage_errors("write", path, {"system": advice, "full": advice})
