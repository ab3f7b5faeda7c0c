"""Check that the files of a stored dataset are, byte for byte, those that it was made with."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from energywh.core.checksums import sha256_of
from energywh.core.folders import HeldFolder
from energywh.datasets.stored.manifest import FILE, Manifest, opened_dataset
from energywh.errors import CorruptError

THREADS = 2  # hashing releases the GIL; more threads only make a disk seek

# Names of the files that a dataset has, for a folder whose manifest cannot be read.
_FILES_OF_A_DATASET = re.compile(r"[^/]+\.(safetensors|npz|h5)|[^/]+/\d{4}-\d\d\.parquet")

OnFile = Callable[[str, int, int], None]  # name of a file, bytes checked so far, bytes in all
Kind = Literal["manifest", "missing", "size", "content", "unreadable", "unfinished", "stray", "foreign"]


@dataclass(frozen=True)
class Problem:
    """Something wrong with a dataset, or with an exported model.

    Attributes:
        file: path below the folder.
        kind: "manifest": it is missing, damaged, or does not have the digest that it states. "missing", "size",
            "content", "unreadable": of a file of the dataset. "unfinished": of a file that an export was to write.
            "stray": a file that was not made with the dataset, among its Parquet, where it would be read with it.
            "foreign": any other file that was not made with it.
        text: the problem for people, without the file's name.
    """

    file: str
    kind: Kind
    text: str


def verify(path: Path, on_file: OnFile | None = None) -> list[Problem]:
    """Compare every file in the folder ``path`` with the manifest, and return the problems, foreign files last.

    Args:
        on_file: called after each file.

    Raises:
        StorageError: there is no such folder, or a later energywh wrote it.
    """
    with opened_dataset(path) as folder:
        return _verify(folder, on_file)


def _verify(folder: HeldFolder, on_file: OnFile | None) -> list[Problem]:
    names = folder.names()
    if FILE not in names:
        return [Problem(FILE, "manifest", "it is missing, so nothing is known of the other files")]
    try:
        manifest = Manifest.read_from(folder)
    except CorruptError:
        damaged = Problem(FILE, "manifest", "it is damaged, or not the manifest of a dataset")
        foreign = sorted(name for name in names if name != FILE and not _FILES_OF_A_DATASET.fullmatch(name))
        return [damaged, *(_foreign(name) for name in foreign)]
    problems = []
    if manifest.measured() != manifest.digest:
        problems.append(Problem(FILE, "manifest", "it was changed: its content has another digest than it states"))
    total = sum(file.bytes for file in manifest.files.values())
    done = 0
    with ThreadPoolExecutor(THREADS) as pool:
        checked = pool.map(
            lambda item: check_file(folder, item[0], item[1].bytes, item[1].sha256), manifest.files.items()
        )
        for (name, file), problem in zip(manifest.files.items(), checked, strict=True):
            done += file.bytes
            if problem is not None:
                problems.append(problem)
            if on_file is not None:
                on_file(name, done, total)
    known = {FILE, *manifest.files}
    return problems + [_not_in_manifest(manifest, name) for name in sorted(names) if name not in known]


def _not_in_manifest(manifest: Manifest, name: str) -> Problem:
    # Readers of a folder of Parquet skip names that begin with "." or "_", such as those that file managers leave.
    hidden = Path(name).name.startswith((".", "_"))
    if name.startswith(tuple(f"{split.name}/" for split in manifest.splits)) and not hidden:
        return Problem(name, "stray", "it was not made with the dataset, and is read with it: move it away")
    return _foreign(name)


def _foreign(name: str) -> Problem:
    return Problem(name, "foreign", "it was not made with the dataset")


def check_file(folder: HeldFolder, name: str, size: int, sha256: str) -> Problem | None:
    """Return the problem with one file, which was made with this size in bytes and checksum, if it has any."""
    try:
        with folder.open(name) as stream:
            found = os.fstat(stream.fileno()).st_size
            if found != size:
                return Problem(name, "size", f"it has {found:,} bytes, and was made with {size:,}")
            if sha256_of(stream) != sha256:
                return Problem(name, "content", "its bytes are not those that it was made with")
    except (FileNotFoundError, NotADirectoryError):
        return Problem(name, "missing", "it is not there")
    except OSError as error:
        return Problem(name, "unreadable", f"it cannot be read: {error.strerror or error}")
    return None
