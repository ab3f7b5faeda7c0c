"""Whether the files of a stored dataset are, byte for byte, those that it was made with."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from energywh.core.checksums import sha256_of
from energywh.datasets.stored.manifest import FILE, File, Manifest
from energywh.errors import CorruptError

THREADS = 2  # hashing lets other threads run; more only make a disk seek

_OURS = re.compile(r"[^/]+\.(safetensors|npz|h5)|[^/]+/\d{4}-\d\d\.parquet")  # where no manifest names them

OnFile = Callable[[str, int, int], None]  # name of a file, bytes looked at so far, bytes in all
Kind = Literal["manifest", "missing", "size", "content", "unreadable", "stray", "foreign"]


@dataclass(frozen=True)
class Problem:
    """Something wrong with a dataset.

    Attributes:
        file: path below the folder.
        kind: "manifest" is damaged or does not have the digest that it says; a file is "missing", or has another
            "size" or "content", or is "unreadable"; or it was not made with the dataset, and is "stray" among its
            Parquet, where it would be read with it, or only "foreign".
        text: the same for people, without the file's name.
    """

    file: str
    kind: Kind
    text: str


def verify(path: Path, on_file: OnFile | None = None) -> list[Problem]:
    """Compare every file in the folder ``path`` with the manifest; return what is wrong, foreign files last.

    Args:
        on_file: called after each file.

    Raises:
        StorageError: there is no such folder, or a later energywh wrote it.
    """
    if path.is_dir() and not (path / FILE).exists():
        return [Problem(FILE, "manifest", "it is missing, so nothing is known of the other files")]
    try:
        manifest = Manifest.read(path)
    except CorruptError:
        damaged = Problem(FILE, "manifest", "it is damaged, or no manifest of a dataset")
        foreign = sorted(name for name in _names(path) if name != FILE and not _OURS.fullmatch(name))
        return [damaged, *(_foreign(name) for name in foreign)]
    problems = []
    if manifest.measured() != manifest.digest:
        problems.append(Problem(FILE, "manifest", "its content has another digest than it says: it was changed"))
    total = sum(file.bytes for file in manifest.files.values())
    done = 0
    with ThreadPoolExecutor(THREADS) as pool:
        looked = pool.map(lambda item: _look(path, *item), manifest.files.items())
        for (name, file), problem in zip(manifest.files.items(), looked, strict=True):
            done += file.bytes
            if problem is not None:
                problems.append(problem)
            if on_file is not None:
                on_file(name, done, total)
    known = {FILE, *manifest.files}
    foreign = sorted(name for name in _names(path) if name not in known)
    return problems + [_unknown(manifest, name) for name in foreign]


def _unknown(manifest: Manifest, name: str) -> Problem:
    """Return what is to be said of a file that the manifest does not name."""
    # Readers of a folder of Parquet pass over names that begin so, as those that file managers leave.
    hidden = Path(name).name.startswith((".", "_"))
    if name.startswith(tuple(f"{split.name}/" for split in manifest.splits)) and not hidden:
        return Problem(name, "stray", "it was not made with the dataset, and is read with it: move it away")
    return _foreign(name)


def _foreign(name: str) -> Problem:
    return Problem(name, "foreign", "it was not made with the dataset")


def _look(folder: Path, name: str, told: File) -> Problem | None:
    """Return what is wrong with one file of the manifest."""
    try:
        with (folder / name).open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size != told.bytes:
                return Problem(name, "size", f"it has {size:,} bytes, and was made with {told.bytes:,}")
            if sha256_of(stream) != told.sha256:
                return Problem(name, "content", "its bytes are not those it was made with")
    except (FileNotFoundError, NotADirectoryError):
        return Problem(name, "missing", "it is not there")
    except OSError as error:
        return Problem(name, "unreadable", f"it cannot be read: {error.strerror or error}")
    return None


def _names(folder: Path) -> list[str]:
    """Return the paths below ``folder`` of all that is no folder itself."""
    return [
        (Path(parent) / name).relative_to(folder).as_posix() for parent, _, names in os.walk(folder) for name in names
    ]
