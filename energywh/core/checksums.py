"""SHA-256 of files, while they are written and when they are read, and of plain data."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from energywh.core.storage_errors import storage_errors

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MAKE_WRITABLE = "make its folder writable, or choose another place"


class Hashed(io.RawIOBase):
    """A file that is written from start to end, without seeking, and hashed on the way."""

    def __init__(self, file: Path) -> None:
        self._stream = file.open("wb")
        self._digest = hashlib.sha256()
        self._at = 0

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was written so far, 64 hexadecimal digits."""
        return self._digest.hexdigest()

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        self._stream.write(data)
        self._digest.update(data)
        count = memoryview(data).nbytes
        self._at += count
        return count

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            super().close()


@contextmanager
def hashing(file: Path) -> Iterator[Hashed]:
    """Yield ``file`` to be written; its folder is made.

    Raises:
        StorageError: the disk is full, or the file cannot be written; a part of it may be there.
    """
    with storage_errors("write", file, MAKE_WRITABLE):
        file.parent.mkdir(parents=True, exist_ok=True)
        with Hashed(file) as stream:
            yield stream


def sha256_of(stream: io.BufferedReader) -> str:
    """Return the SHA-256 of an open file from its beginning, 64 hexadecimal digits; other threads run meanwhile."""
    stream.seek(0)
    return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of(value: object) -> str:
    """Return a digest of plain data, 32 hexadecimal digits; a value that JSON lacks counts as its text."""
    return hashlib.sha256(json.dumps(value, default=str).encode()).hexdigest()[:32]
