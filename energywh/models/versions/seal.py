"""Tell at once whether another program wrote to a published version.

A person may open a version read-write in the DuckDB CLI or in DBeaver; root can, whatever the mode of the file. Each
write ends in a checkpoint, which rewrites one of the headers at the start of the file, or stays in a log beside it. So
the headers, the size and the absence of the log say that the file is as it was published, in a millisecond. A copy of
the file keeps its seal, unlike its times.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

# The main header and the two headers of the database, of 4,096 bytes each (DuckDB, storage/storage_info.hpp).
HEADER_BYTES = 3 * 4096


@dataclass(frozen=True)
class Seal:
    """Size of a version file in bytes, and the SHA-256 of its headers."""

    size: int
    headers: str


def seal_of(path: Path) -> Seal:
    """Return the seal of a version file that no connection writes to.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        headers = file.read(HEADER_BYTES)
    return Seal(path.stat().st_size, hashlib.sha256(headers).hexdigest())


def log_of(path: Path) -> Path:
    """Return where DuckDB keeps what is written to ``path`` and is not in the file yet."""
    return path.with_name(f"{path.name}.wal")


def holds(path: Path, seal: Seal) -> bool:
    """Return whether the file is as it was when it was sealed.

    Raises:
        OSError: it cannot be read.
    """
    return not log_of(path).exists() and seal_of(path) == seal
