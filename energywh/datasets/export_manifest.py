"""The manifest of an exported model: what each of its files holds, and the checksum of its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from energywh.core.checksums import sha256_of
from energywh.core.files import write_file

# Holds manifests, temporaries and the lock. Not in the models' folders: Polars refuses a folder with other files in it.
STATE_FOLDER = ".export"


class ExportedFile(msgspec.Struct, frozen=True):
    """A file in the manifest; without a digest while it is being written.

    Attributes:
        digest: of its rows, as the build keeps it.
        mtime_ns: when it was last known to have the checksum ``sha256``, by its time of modification.
    """

    digest: str | None = None
    rows: int = 0
    bytes: int = 0
    sha256: str = ""
    mtime_ns: int = 0


class ExportManifest(msgspec.Struct, frozen=True):
    """What the files of a model hold; they are all rewritten if its ``shape`` changed, see `ExportLayout`."""

    model: str
    shape: str
    files: dict[str, ExportedFile]


def manifest_file(state: Path, model: str) -> Path:
    """Return where the manifest of a model is kept."""
    return state / f"{model}.json"


def read_manifest(state: Path, model: str) -> ExportManifest | None:
    """Return the manifest of a model; None if it is missing or damaged.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return msgspec.json.decode(manifest_file(state, model).read_bytes(), type=ExportManifest)
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def write_manifest(state: Path, model: str, shape: str, files: Mapping[str, ExportedFile]) -> None:
    manifest = ExportManifest(model, shape, dict(sorted(files.items())))
    write_file(manifest_file(state, model), msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")


def as_found(file: Path, entry: ExportedFile) -> ExportedFile | None:
    """Return the entry of ``file`` if its bytes are those that were written; None if they are not.

    Bytes are compared only where the time of modification is another one: a copy has a new time and the same bytes, and
    a program that changed the file cannot hide. What a disk changes by itself shows in its checksum alone, which
    `energywh.datasets.export_verify` compares.
    """
    try:
        found = file.stat()
        if found.st_size != entry.bytes:
            return None
        if found.st_mtime_ns == entry.mtime_ns:
            return entry
        with file.open("rb") as stream:
            if sha256_of(stream) != entry.sha256:
                return None
    except OSError:
        return None
    return msgspec.structs.replace(entry, mtime_ns=found.st_mtime_ns)
