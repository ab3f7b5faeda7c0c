"""Version files, and the link to the published one.

    versions/energy-20261105T101500Z-000042.duckdb   a complete, audited version; read-only, never written again
    versions/energy-20261105T101500Z-000042.json     its record; stays when the version is pruned
    versions/energy-20261105T101500Z-000042.keep     marks it as pinned: it is never pruned
    versions/published-again.json                    when a person went back to an earlier version
    versions/.building-…                             a build under way, or what a killed one left
    energy.duckdb -> versions/energy-…               the published one

A version gets its name only when it is complete, and the link moves in one step, so a process may die at any
instant. Callers of all functions but `current_version` and `list_versions` hold the build lock.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from energywh.core.files import TEMPORARY_SUFFIX, move_into_place, replace_link, write_file
from energywh.core.paths import Home
from energywh.core.time import utc_now
from energywh.errors import StorageError
from energywh.models.versions.seal import log_of

BUILDING = ".building-"
RECORD = ".json"
KEEP = ".keep"
PUBLISHED_AGAIN = "published-again.json"
_ANY_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
KEPT_RECORDS = 1000  # of pruned versions: some three megabytes
_VERSION = re.compile(r"energy-(\d{8}T\d{6}Z)-(\d+)")
_FICLONE = 0x40049409  # linux/fs.h: share the blocks of another file (btrfs, XFS)


@dataclass(frozen=True, order=True)
class Version:
    """One complete version; versions order by age, oldest first."""

    number: int
    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def day(self) -> str:
        """The UTC day on which it was finished, such as 20261105."""
        return self.name.split("-")[1][:8]

    @property
    def pinned(self) -> bool:
        """True if the version is pinned."""
        return self.path.with_suffix(KEEP).exists()


@dataclass(frozen=True)
class PublishedAgain:
    """One return to an earlier version; ``newest`` is the number of the newest version at that time."""

    version: str
    in_place_of: str | None
    newest: int
    at_utc: datetime


def publications(home: Home) -> list[PublishedAgain]:
    """Return all returns to earlier versions, oldest first.

    Raises:
        StorageError: the file that lists them is damaged.
    """
    import msgspec

    file = home.versions / PUBLISHED_AGAIN
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[PublishedAgain])
    except FileNotFoundError:
        return []
    except msgspec.DecodeError as error:
        raise StorageError(f"{file} is damaged: {error}; move it away, and the newest version is published") from None


def list_versions(home: Home, suffix: str = ".duckdb") -> list[Version]:
    """Return all complete versions, oldest first; with another ``suffix`` the files of that kind beside them."""
    found = []
    if home.versions.is_dir():
        for path in home.versions.iterdir():
            if path.suffix == suffix and (match := _VERSION.fullmatch(path.stem)):
                found.append(Version(int(match[2]), path))
    return sorted(found)


def gone_back_to(home: Home, versions: list[Version]) -> Version | None:
    """Return which of ``versions`` a person published again since the newest of them was built.

    Raises:
        StorageError: the file that lists the returns is damaged.
    """
    last = publications(home)[-1:]
    if not last or not versions or last[0].newest < versions[-1].number:
        return None
    return next((version for version in versions if version.name == last[0].version), None)


def current_version(home: Home) -> Path | None:
    """Return the real path of the published version, or None if nothing is published.

    Open this and not the link: DuckDB caches open files by path within a process, so the link could give an
    older version than it points to.
    """
    try:
        target = home.energy.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: a loop of links, before Python 3.13
        return None
    return target if target.is_file() else None


def version_path(home: Home, moment: datetime) -> Path:
    """Return the path of the next version, finished at ``moment`` (UTC)."""
    # Above the one that was newest at the last return too, whose file may be gone: `gone_back_to` compares numbers.
    before = [version.number for version in list_versions(home)] + [each.newest for each in publications(home)]
    return home.versions / f"energy-{moment:%Y%m%dT%H%M%SZ}-{max(before, default=0) + 1:06d}.duckdb"


def check_link(home: Home) -> None:
    """Raise an error if something other than the link is in its place.

    Raises:
        StorageError: `energy.duckdb` exists and is not a link.
    """
    if home.energy.exists() and not home.energy.is_symlink():
        raise StorageError(f"{home.energy} should be a link to a published version and is not; move it away")


def publish(home: Home, building: Path, version: Path, record: bytes) -> None:
    """Rename the complete file ``building`` to its version, write its ``record``, and point the link to it.

    The version is made read-only, so that DuckDB refuses to open it for writing, except for root.

    Raises:
        StorageError: `energy.duckdb` exists and is not a link.
    """
    check_link(home)
    write_file(version.with_suffix(RECORD), record)
    make_read_only(building)
    move_into_place(building, version)
    move_link(home, version)


def make_read_only(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _ANY_WRITE:
        path.chmod(mode & ~_ANY_WRITE)


def move_link(home: Home, version: Path) -> None:
    """Point `energy.duckdb` to ``version``, in one step."""
    replace_link(home.energy, version.relative_to(home.path))


def sweep(home: Home) -> None:
    """Remove leftovers of killed builds; the build lock guarantees that none is running."""
    for folder in (home.versions, home.path):
        for path in (*folder.glob(f"{BUILDING}*"), *folder.glob(f".energy*{TEMPORARY_SUFFIX}")):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    # The newest version is never pruned, so a record that is newer is of a version that never came to be.
    newest = max((version.number for version in list_versions(home)), default=0)
    for record in list_versions(home, RECORD):
        if record.number > newest:
            record.path.unlink(missing_ok=True)


def prune(home: Home, keep: int, keep_days: int = 0, *, now: datetime | None = None) -> list[Path]:
    """Remove old versions and return their names. The newest 1,000 records stay.

    Kept are the newest ``keep``, and two at least; of each of the last ``keep_days`` days (UTC, today included) the
    newest; the published one; and what a person pinned. Readers that have one open keep it until they close it.
    """
    old = old_versions(home, keep, keep_days, now=now)
    for version in old:
        version.path.unlink(missing_ok=True)
        log_of(version.path).unlink(missing_ok=True)
    for record in old_records(home, KEPT_RECORDS):
        record.unlink(missing_ok=True)
    return [version.path for version in old]


def old_versions(home: Home, keep: int, keep_days: int = 0, *, now: datetime | None = None) -> list[Version]:
    """Return the versions that `prune` removes."""
    versions = list_versions(home)
    kept = set(versions[-max(keep, 2) :])
    today = now or utc_now()
    days = {f"{today - timedelta(days=back):%Y%m%d}" for back in range(keep_days)}
    kept.update({version.day: version for version in versions if version.day in days}.values())
    published = current_version(home)
    kept.update(version for version in versions if published is not None and version.path.name == published.name)
    return [version for version in versions if version not in kept and not version.pinned]


def old_records(home: Home, keep: int) -> list[Path]:
    """Return the records of pruned versions but the newest ``keep``, oldest first."""
    left = {version.number for version in list_versions(home)}
    pruned = [record.path for record in list_versions(home, RECORD) if record.number not in left]
    return pruned[: max(len(pruned) - keep, 0)]


def take_base(home: Home, base: Version, building: Path) -> str:
    """Make ``building`` a writable copy of the version ``base``; return how: `cloned` (blocks shared) or `copied`.

    Raises:
        StorageError: a copy does not fit on the disk.
    """
    if _clone(base.path, building):
        building.chmod(stat.S_IMODE(building.stat().st_mode) | stat.S_IWUSR)  # APFS clones the mode as well
        return "cloned"
    size = base.path.stat().st_size
    free = shutil.disk_usage(home.versions).free
    if free < size:
        raise StorageError(
            f"no room on the disk that holds {home.versions}: a new version needs {size / 1e6:,.0f} MB "
            f"and {free / 1e6:,.0f} MB are free; free some and run this again"
        )
    shutil.copyfile(base.path, building)
    return "copied"


def _clone(source: Path, target: Path) -> bool:
    """Make ``target`` share the blocks of ``source`` if the file system supports it."""
    if sys.platform == "linux":
        import fcntl

        with source.open("rb") as original, target.open("wb") as copy:
            try:
                fcntl.ioctl(copy.fileno(), _FICLONE, original.fileno())
            except OSError:
                cloned = False
            else:
                return True
        target.unlink()
        return cloned
    if sys.platform == "darwin":
        import ctypes

        libc = ctypes.CDLL(None)
        return bool(libc.clonefile(os.fsencode(source), os.fsencode(target), 0) == 0)
    return False
