"""Whether a stored dataset still is what was loaded: only then may a run say that it used it."""

from __future__ import annotations

from pathlib import Path

from energywh.datasets.stored.manifest import Manifest
from energywh.datasets.stored.verify import verify
from energywh.errors import CorruptError


def check_current(folder: Path, manifest: Manifest, *, full: bool) -> None:
    """Refuse a dataset of which a file is missing or has another size (``full``: or other bytes), or another digest.

    Raises:
        CorruptError: as said.
        StorageError: its files cannot be read.
    """
    now = Manifest.read(folder).digest
    if now != manifest.digest:
        raise CorruptError(
            f"{folder} was made anew since it was loaded: its digest is {now}, and was {manifest.digest}; "
            "load it again, or keep datasets that runs use under names of their own"
        )
    if full:
        problems = [f"{folder / one.file}: {one.text}" for one in verify(folder) if one.kind != "foreign"]
    else:
        problems = [text for path, file in manifest.files.items() if (text := _wrong_size(folder / path, file.bytes))]
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise CorruptError(
            f"dataset '{manifest.name}' is not logged: its files are not those that were made ({problems[0]}{more}); "
            f"make it again: energywh dataset {manifest.name}"
        )


def _wrong_size(file: Path, size_bytes: int) -> str | None:
    try:
        found = file.stat().st_size
    except OSError as error:
        return f"{file}: {error.strerror or error}"
    return None if found == size_bytes else f"{file}: it has {found:,} bytes, and was made with {size_bytes:,}"
