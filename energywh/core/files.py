"""Write files atomically: complete or absent, also after a power cut. `energywh.core.folders` does so for folders.

What is written gets a hidden name beside its place, is flushed to the disk, and is then renamed; the folder that holds
the name is flushed last. A rename that reaches the disk before the content would leave a broken file under a good name.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY_SUFFIX = ".writing"


@contextmanager
def replacing(file: Path, folder: Path | None = None) -> Iterator[Path]:
    """Yield a hidden path to write to; it takes the place of ``file`` unless the block fails.

    A process that is killed within the block leaves the hidden file, whose name ends in `TEMPORARY_SUFFIX`.

    Args:
        folder: where the hidden file is written, on the same file system; by default beside ``file``.
    """
    temporary = _hidden(file, folder or file.parent)
    try:
        yield temporary
        move_into_place(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def write_file(file: Path, content: bytes) -> None:
    """Write a file, whole or not at all; its folder is made."""
    make_folder(file.parent)
    with replacing(file) as temporary:
        temporary.write_bytes(content)


def move_into_place(temporary: Path, file: Path) -> None:
    """Flush a finished file to the disk and give it its name, on the same file system; any file there is replaced."""
    flush(temporary)
    temporary.replace(file)
    flush(file.parent)


def replace_link(link: Path, target: Path) -> None:
    """Let the symbolic link ``link`` point to ``target``, in one step."""
    temporary = _hidden(link, link.parent)
    try:
        temporary.symlink_to(target)
        temporary.replace(link)
    finally:
        temporary.unlink(missing_ok=True)
    flush(link.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, and write their names to the disk."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        flush(each.parent)


def flush(path: Path) -> None:
    """Write a file, or the names in a folder, from the system's memory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        flush_open(descriptor)
    finally:
        os.close(descriptor)


def flush_open(descriptor: int) -> None:
    """Write an open file, or the names in an open folder, from the system's memory to the disk."""
    try:
        if sys.platform == "darwin":  # where fsync leaves the content in the memory of the disk
            with suppress(OSError):  # a file system without it, such as one of a network
                fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
                return
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems flush files only
            raise


def flush_tree(folder: Path) -> None:
    """Write all files below ``folder`` to the disk, and all their names."""
    for parent, _, names in os.walk(folder):
        for name in names:
            flush(Path(parent) / name)
        flush(Path(parent))


def _hidden(file: Path, folder: Path) -> Path:
    return folder / f".{file.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}{TEMPORARY_SUFFIX}"
