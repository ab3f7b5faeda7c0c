"""Write files and folders atomically: complete or absent, also after a power cut.

What is written gets a hidden name beside its place, is flushed to the disk, and is then renamed; the folder that holds
the name is flushed last. A rename that reaches the disk before the content would leave a broken file under a good name.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from energywh.core.storage_errors import storage_errors
from energywh.errors import StorageError

TEMPORARY_SUFFIX = ".writing"
_ASIDE = ".old"


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
    file.parent.mkdir(parents=True, exist_ok=True)
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


def flush(path: Path) -> None:
    """Write a file, or the names in a folder, from the system's memory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _hidden(file: Path, folder: Path) -> Path:
    return folder / f".{file.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}{TEMPORARY_SUFFIX}"


def _flush_tree(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            flush(Path(parent) / name)
        flush(Path(parent))


@contextmanager
def replacing_folder(folder: Path, mark: str) -> Iterator[Path]:
    """Yield a new hidden folder beside ``folder`` to fill; it takes the place of ``folder`` unless the block fails.

    A process that is killed leaves hidden folders, of which the next one puts the old ``folder`` back where it is
    gone, and removes the rest.

    Args:
        mark: name of an empty file by which a folder is known as one that may be replaced.

    Raises:
        StorageError: ``folder`` is there, and is neither empty nor one that was made so.
    """
    folder = folder.absolute()
    put_back(folder)
    if folder.exists() and not (folder / mark).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder} holds something else; give the name of a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(
        tempfile.mkdtemp(prefix=f".{folder.name}.{os.getpid()}-", suffix=TEMPORARY_SUFFIX, dir=folder.parent)
    )
    aside = temporary.with_name(f"{temporary.name}{_ASIDE}")
    try:
        temporary.chmod(0o755)
        (temporary / mark).touch()
        with storage_errors("write", folder):
            yield temporary
            _flush_tree(temporary)
        if folder.exists():
            folder.rename(aside)
        temporary.rename(folder)
        flush(folder.parent)
    finally:
        if aside.exists() and not folder.exists():
            aside.rename(folder)
        for leftover in (temporary, aside):
            shutil.rmtree(leftover, ignore_errors=True)


def put_back(folder: Path) -> None:
    """Put ``folder`` back where a process was killed while it replaced it, and remove what killed processes left."""
    ours = re.compile(rf"\.{re.escape(folder.name)}\.(\d+)-\w+{re.escape(TEMPORARY_SUFFIX)}({re.escape(_ASIDE)})?")
    for leftover in folder.parent.iterdir() if folder.parent.is_dir() else ():
        found = ours.fullmatch(leftover.name)
        if found is None or is_alive(int(found[1])):
            continue
        if found[2] and not folder.exists():
            leftover.rename(folder)
        else:
            shutil.rmtree(leftover, ignore_errors=True)


def is_alive(process: int) -> bool:
    """Return whether there is a process of this number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
