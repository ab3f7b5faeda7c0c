"""Make room: remove what is older than it is to be kept, what killed processes left, and free room within staging."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from energywh.config.settings import Settings
from energywh.core.locks import OnWait, file_lock
from energywh.core.paths import Home
from energywh.core.time import parse_duration_hours
from energywh.core.wording import count
from energywh.errors import EnergywhError, LockedError
from energywh.models.build import as_of_cache
from energywh.models.versions.publish import KEPT_RECORDS, old_records, old_versions
from energywh.models.versions.seal import log_of
from energywh.sync.compact import compact, free_room
from energywh.sync.ledger import REPLAY_LOCK
from energywh.sync.payload_index import days_before
from energywh.sync.schema import open_staging
from energywh.upkeep.diagnosis import reason
from energywh.upkeep.disk_usage import require_folder, size_of
from energywh.upkeep.leftovers import find_leftovers


@dataclass(frozen=True)
class PruneOptions:
    """What is removed.

    Attributes:
        payload_hours: age from which on payloads go; None for the setting `payloads.retention`.
        keep_versions: newest versions kept; None for the setting `build.keep_versions`.
        keep_records: newest records of pruned versions kept.
        compact_staging: write staging anew; None where it is worth it.
    """

    payload_hours: int | None = None
    keep_versions: int | None = None
    keep_records: int = KEPT_RECORDS
    compact_staging: bool | None = None


@dataclass(frozen=True)
class Freed:
    """What went, or would go in a dry run: its kind, which of it, and how many bytes."""

    kind: str
    what: str
    bytes: int


@dataclass(frozen=True)
class PruneReport:
    """What a prune did.

    Attributes:
        skipped: what could not be done, and why.
    """

    freed: list[Freed]
    skipped: list[str]

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.freed)


def prune_home(
    settings: Settings, options: PruneOptions, now: datetime, *, dry_run: bool = False, on_say: OnWait = lambda _: None
) -> PruneReport:
    """Make room in a home. Pinned versions, what readers have open, and what running commands hold stay as they are.

    Args:
        now: the present, naive UTC.
        dry_run: change nothing and say what would go.

    Raises:
        StorageError: there is no such home.
    """
    require_folder(settings.home)
    report = PruneReport([], [])
    for step in (_leftovers, _payloads, _versions, _staging):
        try:
            report.freed.extend(step(settings, options, now, dry_run, on_say))
        except (EnergywhError, OSError) as error:
            where = f" at {error.filename}" if isinstance(error, OSError) and error.filename else ""
            report.skipped.append(f"{reason(error)}{where}")
    return report


def _leftovers(settings: Settings, options: PruneOptions, now: datetime, dry_run: bool, on_say: OnWait) -> list[Freed]:
    freed = []
    for leftover in find_leftovers(settings.home):
        try:
            if leftover.is_free():
                size = leftover.size()
                if dry_run or leftover.remove():
                    freed.append(Freed("leftovers", _below(settings.home, leftover.path), size))
        except FileNotFoundError:  # its owner ended meanwhile
            continue
    return freed


def _payloads(settings: Settings, options: PruneOptions, now: datetime, dry_run: bool, on_say: OnWait) -> list[Freed]:
    home = settings.home
    hours = options.payload_hours
    if hours is None:
        hours = parse_duration_hours(settings.get("payloads.retention"))
    days = days_before(home.payloads, now - timedelta(hours=hours))
    freed = [Freed("payloads", day.name, size_of(day)) for day in days]
    if days and not dry_run:
        with file_lock(home.locks / REPLAY_LOCK, "'energywh replay'", _wait_seconds(settings), on_say):
            for day in days:
                shutil.rmtree(day, ignore_errors=True)  # a sync removes old days too
    return freed


def _versions(settings: Settings, options: PruneOptions, now: datetime, dry_run: bool, on_say: OnWait) -> list[Freed]:
    home = settings.home
    if not home.versions.is_dir():
        return []
    keep = options.keep_versions or int(settings.get("build.keep_versions"))

    def old() -> tuple[list[Path], list[Path]]:
        versions = old_versions(home, keep, int(settings.get("build.keep_days")), now=now)
        return [version.path for version in versions], old_records(home, options.keep_records)

    if dry_run:
        return _listed(home, *old())
    with file_lock(home.locks / "build.lock", "a build", _wait_seconds(settings), on_say):
        versions, records = old()
        freed = _listed(home, versions, records)
        for path in (*versions, *map(log_of, versions), *records):
            path.unlink(missing_ok=True)
        as_of_cache.sweep(home)
    return freed


def _listed(home: Home, versions: list[Path], records: list[Path]) -> list[Freed]:
    freed = [Freed("versions", path.stem, size_of(path)) for path in versions]
    if records:
        freed.append(Freed("records", count(len(records), "record"), sum(map(size_of, records))))
    names = tuple(path.stem for path in versions)
    if home.as_of.is_dir() and names:
        freed += [
            Freed("cache", _below(home, file), size_of(file))
            for file in home.as_of.iterdir()
            if file.name.startswith(names)
        ]
    return freed


def _staging(settings: Settings, options: PruneOptions, now: datetime, dry_run: bool, on_say: OnWait) -> list[Freed]:
    file = settings.home.staging
    if options.compact_staging is False or not file.exists():
        return []
    with open_staging(file, read_only=True, wait_seconds=_wait_seconds(settings), on_wait=on_say) as connection:
        room = free_room(connection, file)
    if not (options.compact_staging or room.is_worth_it):
        return []
    if dry_run:
        return [Freed("staging", f"about, within {file.name}", room.free)]
    try:
        done = compact(settings, on_say)
    except LockedError as error:
        raise LockedError(f"staging is not compacted: {error}") from None
    return [Freed("staging", f"within {file.name}", done.free)]


def _wait_seconds(settings: Settings) -> float:
    return float(settings.get("lock.wait_seconds"))


def _below(home: Home, path: Path) -> str:
    return str(path.relative_to(home.path))
