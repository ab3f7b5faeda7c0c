"""Checks of locks, and of what killed processes left: hidden files, half-made files, and packs with a cut end."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from energywh.core.files import TEMPORARY_SUFFIX
from energywh.core.folders import in_use, remove_unused
from energywh.core.locks import file_lock, holder_of, remove_if_free
from energywh.core.paths import Home
from energywh.core.wording import count
from energywh.errors import LockedError
from energywh.models.versions.publish import BUILDING
from energywh.sync.ledger import REPLAY_LOCK
from energywh.sync.payloads import PART
from energywh.upkeep.diagnosis import Diagnosis, Examined, typed

_COMMANDS = {"sync": "a sync", "build": "a build", "replay": "a replay or prune", "dataset": "a dataset being made"}
UNTOUCHED_SECONDS = 86_400.0  # what nobody can be asked about is left alone as long as something could be at work on it


@dataclass(frozen=True)
class Leftover:
    """What a killed process left.

    Attributes:
        lock: whoever makes such files holds it; None where the time of the last change tells, and the folder's lock.
    """

    path: Path
    what: str
    lock: Path | None = None

    def size(self) -> int:
        """Return its bytes."""
        if not _is_folder(self.path):
            return self.path.lstat().st_size
        return sum(file.lstat().st_size for file in self.path.rglob("*") if file.is_file())

    def is_free(self) -> bool:
        """Return whether it is there and nobody is at work on it."""
        if self.lock is not None:
            return not self.lock.exists() or holder_of(self.lock) is None
        try:
            changed = max([self.path.lstat().st_mtime, *(each.lstat().st_mtime for each in self.path.rglob("*"))])
            if time.time() - changed <= UNTOUCHED_SECONDS:
                return False
            # A dataset made long ago and just replaced is read on by those who opened it before.
            return not (_is_folder(self.path) and in_use(self.path))
        except FileNotFoundError:  # its owner ended meanwhile, or is at work
            return False

    def remove(self) -> bool:
        """Delete it while its lock is held; return whether it is gone."""
        try:
            if self.lock is None:
                if self.is_free():
                    remove_unused(self.path) if _is_folder(self.path) else _delete(self.path)
            else:
                with file_lock(self.lock, "another process", wait_seconds=0):
                    _delete(self.path)
        except LockedError:
            return False
        return not os.path.lexists(self.path)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _delete(path: Path) -> None:
    if _is_folder(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def find_leftovers(home: Home) -> list[Leftover]:
    """Return what killed processes left, also what another may still be at work on: see `Leftover.is_free`."""
    found: dict[Path, Leftover] = {}

    def add(pattern: str, what: str, lock: str | None = None) -> None:
        for path in home.path.glob(pattern):
            found.setdefault(path, Leftover(path, what, None if lock is None else home.locks / lock))

    add(f"versions/{BUILDING}*", "a build that did not end", "build.lock")
    add(f"{BUILDING}*", "a build that did not end", "build.lock")
    add(f".energy*{TEMPORARY_SUFFIX}", "a build that did not end", "build.lock")
    add("*staging.replay.duckdb*", "a replay that did not end", REPLAY_LOCK)
    add("*staging.compact.duckdb*", "a prune that did not end", REPLAY_LOCK)
    add(".staging.duckdb-*", "a staging file that was not finished")
    add(f"payloads/*/{PART}*", "a download that did not end")
    for place in ("", "*/", "*/*/", "*/*/*/"):
        add(f"{place}.*{TEMPORARY_SUFFIX}", "a file or folder that was not finished")
    add("cache/as-of/*.tmp*", "a warehouse of a fold that was not finished")
    return list(found.values())


def check_locks(examined: Examined) -> Iterator[Diagnosis]:
    """Say which commands run, and find lock files of syncs that were killed."""
    folder = examined.home.locks
    held = []
    for file in sorted(folder.glob("*.lock")):
        if (holder := holder_of(file)) is not None:
            held.append(f"{_COMMANDS.get(file.name.split('-')[0].removesuffix('.lock'), file.stem)} ({holder})")
        elif file.name.startswith("sync-"):
            yield Diagnosis(
                "locks",
                "note",
                "a sync was killed: the next one takes up its chunks",
                examined.name(file),
                "",
                "energywh sync",
                _removing(examined, file, lambda file=file: remove_if_free(file)),  # type: ignore[misc]
            )
        elif (process := file.with_name(f"{file.name}.pid")).exists():
            yield Diagnosis(
                "locks",
                "note",
                f"{_COMMANDS.get(file.stem.split('-')[0], 'a command')} was killed; the lock is free",
                examined.name(process),
                "",
                "",
                _removing(examined, process, lambda process=process: process.unlink(missing_ok=True)),  # type: ignore[misc]
            )
    for process in sorted(folder.glob("*.lock.pid")):
        if not process.with_suffix("").exists():
            yield Diagnosis(
                "locks", "note", "it belongs to no lock", examined.name(process), "", f"rm {typed(process)}"
            )
    yield Diagnosis("locks", "ok", f"held by {', '.join(held)}" if held else "none is held", examined.name(folder))


def _removing(examined: Examined, file: Path, remove: Callable[[], object]) -> Callable[[], str]:
    def mend() -> str:
        remove()
        return f"removed {examined.name(file)}"

    return mend


def check_leftovers(examined: Examined) -> Iterator[Diagnosis]:
    """Find what killed processes left, and staging files that were put aside."""
    for leftover in find_leftovers(examined.home):
        with suppress(FileNotFoundError):  # its owner ended meanwhile
            if not leftover.is_free():
                continue

            def mend(leftover: Leftover = leftover) -> str:
                name, size = examined.name(leftover.path), leftover.size()
                return f"removed {name} ({size / 1e6:,.1f} MB)" if leftover.remove() else f"{name} is in use"

            yield Diagnosis(
                "leftovers",
                "note",
                f"{leftover.what}, {leftover.size() / 1e6:,.1f} MB",
                examined.name(leftover.path),
                "it only takes room",
                "energywh doctor --fix, or energywh prune",
                mend,
            )
    aside = sorted(examined.home.path.glob("staging.damaged-*"))
    if aside:
        yield Diagnosis(
            "leftovers",
            "note",
            f"{count(len(aside), 'file')} put aside by replay, {sum(f.stat().st_size for f in aside) / 1e6:,.1f} MB",
            examined.name(aside[0]),
            "they only take room once nothing is missing",
            f"rm {typed(aside[0].parent)}/staging.damaged-*",
        )
