"""Replace a whole folder in one step, and read one that may be replaced meanwhile.

    NAME                      the folder; where the file system cannot exchange two names, a link to .NAME.XXXXXXXX
    .NAME.XXXXXXXX.writing    a new folder that is being filled, or an old one that is being removed
    .NAME.XXXXXXXX            what the link points to

A new folder is filled and flushed to the disk, takes the name in one step, and that step is flushed before the old
folder is removed. Who fills or reads a folder holds a shared lock on it, and who removes one needs an exclusive lock:
the system releases a lock with its process, whereas the number of a dead process may belong to another one by now.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import BufferedReader
from pathlib import Path

from energywh.core.files import TEMPORARY_SUFFIX, flush, flush_tree, make_folder, replace_link
from energywh.core.storage_errors import storage_errors
from energywh.errors import StorageError

_CURRENT_FOLDER = -100  # linux/fcntl.h: AT_FDCWD
_EXCHANGE = 2  # linux/fs.h: RENAME_EXCHANGE; sys/stdio.h of macOS: RENAME_SWAP
# No such call in this kernel or C library, or not on this file system (NFS, SMB, layers of a container image).
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EXDEV, errno.EPERM)
_LINKS = 40  # as many as Linux follows
_UNLOCKED_SECONDS = 86_400.0  # where folders cannot be locked, a leftover without change for so long is removed


@contextmanager
def replacing_folder(folder: Path, mark: str) -> Iterator[Path]:
    """Yield a new hidden folder beside ``folder`` to fill; it takes the place of ``folder`` unless the block fails.

    Whoever looks for ``folder`` finds the old one or the new one at any time, also after a kill or a power cut. What
    killed processes left beside it is removed first. If ``folder`` is a link that someone else made, the folder that
    it points to is replaced.

    Args:
        mark: name of an empty file by which a folder is known as one that may be replaced.

    Raises:
        StorageError: ``folder`` is there, and is neither empty nor one that was made so.
    """
    folder = _place(folder)
    heal_folder(folder)
    if folder.exists() and not (folder / mark).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder} holds something else; give the name of a new folder")
    make_folder(folder.parent)
    old: Path | None = None
    try:
        with _new_hidden(folder) as new:
            old = new
            (new / mark).touch()
            with storage_errors("write", folder):
                yield new
                flush_tree(new)
            old = _swap(new, folder)
    finally:
        if old is not None:
            remove_unused(old, own=True)


def heal_folder(folder: Path) -> None:
    """Remove what killed processes left beside ``folder``, and bring it back where it has no name any more."""
    folder = _place(folder)
    leftovers = {each.name: each for each in _hidden_of(folder)}
    whole = [each for each in leftovers.values() if each.suffix != TEMPORARY_SUFFIX]
    if whole and not os.path.lexists(folder):
        replace_link(folder, Path(max(whole, key=lambda each: each.stat().st_mtime_ns).name))
    linked = str(folder.readlink()) if folder.is_symlink() else None
    for name, leftover in leftovers.items():
        if name != linked:
            remove_unused(leftover)


@contextmanager
def working_folder(file: Path) -> Iterator[Path]:
    """Yield a new hidden folder beside ``file`` to make it in; the folder is removed, with what is left in it.

    What killed processes left that made the same file is removed first.
    """
    for leftover in _hidden_of(file):
        remove_unused(leftover)
    folder: Path | None = None
    try:
        with _new_hidden(file) as folder:
            yield folder
    finally:
        if folder is not None:
            remove_unused(folder, own=True)


class HeldFolder:
    """An open folder: its files can be read until it is closed, also after another took its place.

    Attributes:
        path: where it was opened, for messages.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def open(self, name: str) -> BufferedReader:
        """Open a file by its path below the folder.

        Raises:
            OSError: it is not there, or cannot be read.
        """
        return open(name, "rb", opener=partial(os.open, dir_fd=self._descriptor))

    def names(self) -> list[str]:
        """Return the paths of all files below the folder."""
        return [
            (Path(parent) / name).as_posix()
            for parent, _, names, _ in os.fwalk(".", dir_fd=self._descriptor)
            for name in names
        ]


@contextmanager
def holding_folder(folder: Path) -> Iterator[HeldFolder]:
    """Open ``folder`` to read several files that belong together; who replaces it removes it after the block.

    Raises:
        OSError: there is no such folder, or it cannot be read.
    """
    while True:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # Between opening and locking, it may have been replaced and its files removed.
            if _lock(descriptor, fcntl.LOCK_SH) is False or not _has_name(descriptor, folder):
                time.sleep(0.001)
                continue
            yield HeldFolder(folder, descriptor)
            return
        finally:
            os.close(descriptor)


def exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two files or folders in one step; return False where the system cannot."""
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    paths = os.fsencode(one), os.fsencode(other)
    if sys.platform == "darwin":
        call, arguments = getattr(library, "renamex_np", None), (*paths, _EXCHANGE)
    else:
        call = getattr(library, "renameat2", None)
        arguments = (_CURRENT_FOLDER, paths[0], _CURRENT_FOLDER, paths[1], _EXCHANGE)
    if call is None:
        return False
    if call(*arguments) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))


def _swap(new: Path, folder: Path) -> Path | None:
    """Give the folder ``new`` the name ``folder``, and return what had it before, under the name that it has now."""
    if os.path.lexists(folder):
        if exchange(new, folder):
            flush(folder.parent)
            if not new.is_symlink():
                return new
            linked = folder.parent / new.readlink()
            new.unlink()
            return linked
    elif _can_exchange(new, folder):
        new.rename(folder)
        flush(folder.parent)
        return None
    target, old = _hidden(folder), None
    new.rename(target)
    flush(folder.parent)
    if folder.is_symlink():
        old = folder.parent / folder.readlink()
    elif folder.exists():
        # A folder that came from another file system. This is the one case of two steps: a process killed between them
        # leaves the folder without its name until the next one.
        old = _hidden(folder)
        try:
            folder.rename(old)
        except OSError as error:
            target.rename(new)
            if error.errno != errno.EXDEV:
                raise
            raise StorageError(
                f"{folder} belongs to a layer of a container image and cannot be replaced in one step: move it away, "
                "and run this again"
            ) from None
    replace_link(folder, Path(target.name))
    return old


def _can_exchange(new: Path, folder: Path) -> bool:
    """Return whether the file system of ``new`` can exchange two names."""
    other = _hidden(folder, TEMPORARY_SUFFIX)
    other.mkdir()
    try:
        return exchange(new, other) and exchange(new, other)
    finally:
        other.rmdir()


def remove_unused(old: Path, *, own: bool = False) -> None:
    """Remove a hidden folder unless it is in use, or a hidden link to one.

    Args:
        own: no other process fills it, so it is also removed where folders cannot be locked.
    """
    if old.is_symlink():
        old.unlink()
        return
    with suppress(OSError):  # a later process removes what remains
        descriptor = os.open(old, os.O_RDONLY | os.O_DIRECTORY)
        try:
            free = _lock(descriptor, fcntl.LOCK_EX)
            if free is None:
                free = own or time.time() - old.stat().st_mtime > _UNLOCKED_SECONDS
            if not free:
                return
            if old.suffix != TEMPORARY_SUFFIX:  # so that nobody takes a part of it for the whole
                old = old.rename(old.with_name(old.name + TEMPORARY_SUFFIX))
            shutil.rmtree(old, ignore_errors=True)
        finally:
            os.close(descriptor)


def in_use(folder: Path) -> bool:
    """Return whether a process fills or reads a folder; False also where folders cannot be locked.

    Raises:
        OSError: there is no such folder, or it cannot be read.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return _lock(descriptor, fcntl.LOCK_EX) is False
    finally:
        os.close(descriptor)


@contextmanager
def _new_hidden(file: Path) -> Iterator[Path]:
    """Make a hidden folder for ``file`` and hold a lock on it."""
    while True:
        folder = _hidden(file, TEMPORARY_SUFFIX)
        folder.mkdir()
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            # Until it is locked, another process may take it for a leftover.
            if _lock(descriptor, fcntl.LOCK_SH) is False or not _has_name(descriptor, folder):
                continue
            yield folder
            return
        finally:
            os.close(descriptor)


def _lock(descriptor: int, kind: int) -> bool | None:
    """Lock an open folder until it is closed; return False if others hold it, None where folders cannot be locked."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _has_name(descriptor: int, folder: Path) -> bool:
    """Return whether the open folder is the one at ``folder``."""
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except FileNotFoundError:
        return False


def _place(folder: Path) -> Path:
    """Return where the folder is, or will be: a link of ours is part of it, any other link leads to it."""
    folder = folder.absolute()
    for _ in range(_LINKS):
        if not folder.is_symlink() or _is_hidden(str(folder.readlink())):
            break
        folder = folder.parent / folder.readlink()
    return folder


def _hidden(folder: Path, suffix: str = "") -> Path:
    return folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}{suffix}")


def _hidden_of(folder: Path) -> list[Path]:
    """Return what has a hidden name of ``folder``."""
    beside = folder.parent.iterdir() if folder.parent.is_dir() else ()
    return [each for each in beside if _is_hidden(each.name, re.escape(folder.name))]


def _is_hidden(name: str, folder: str = r"[^/]+") -> bool:
    # The number of a process is part of the names that `replace_link` gives.
    return re.fullmatch(rf"\.{folder}\.(\d+-)?[0-9a-f]{{8}}(\.writing)?", name) is not None
