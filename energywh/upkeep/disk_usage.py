"""How much room each part of a home takes, how much of it can go, and by which command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from energywh.config.settings import HOME_VARIABLE, Settings
from energywh.core.paths import Home
from energywh.core.time import parse_duration_hours
from energywh.core.wording import count
from energywh.errors import EnergywhError, StorageError
from energywh.models.versions.publish import KEPT_RECORDS, RECORD, list_versions, old_records, old_versions
from energywh.models.versions.records import versions_of
from energywh.sync.compact import free_room
from energywh.sync.payload_index import days, days_before
from energywh.sync.schema import open_staging
from energywh.upkeep.diagnosis import typed
from energywh.upkeep.leftovers import find_leftovers
from energywh.upkeep.shared_blocks import shared_bytes

WAIT_SECONDS = 5.0
PRUNE = "energywh prune"
_BLOCK = 512  # unit of st_blocks, whatever the file system


@dataclass(frozen=True)
class Usage:
    """Room of one part, in bytes on the disk.

    Attributes:
        kind: such as `payloads`.
        name: such as the day; the parts of a kind add up to it.
        can_go: bytes that nothing needs.
        command: frees them.
        note: such as what a version shares with others.
    """

    kind: str
    name: str
    bytes: int
    can_go: int = 0
    command: str = ""
    note: str = ""


def size_of(path: Path) -> int:
    """Return the bytes on the disk of a file, or of all files in a folder; links are not followed."""
    if path.is_symlink() or not path.is_dir():
        return _bytes(path)
    return sum(_bytes(Path(parent) / name) for parent, _, names in os.walk(path) for name in names)


def _bytes(file: Path) -> int:
    try:
        return file.lstat().st_blocks * _BLOCK
    except OSError:  # removed meanwhile
        return 0


def require_folder(home: Home) -> None:
    """Raise StorageError where the home is no folder, as after a slip in its name."""
    if not home.path.is_dir():
        what = "is not a folder" if home.path.exists() else "does not exist"
        raise StorageError(f"the home folder {home.path} {what}: choose another with --home or {HOME_VARIABLE}")


def measure(settings: Settings, now: datetime) -> list[Usage]:
    """Return the room of all parts of the home, in the order of the way of the data.

    Raises:
        StorageError: there is no such home.
    """
    home = settings.home
    require_folder(home)
    found = [
        *_staging(home),
        *_payloads(settings, now),
        *_versions(settings, now),
        *(Usage("exports", folder.name, size_of(folder)) for folder in _folders(home.parquet)),
        *(Usage("datasets", folder.name, size_of(folder)) for folder in _folders(home.datasets)),
        *(Usage("cache", str(each.relative_to(home.path)), size_of(each)) for each in (home.as_of,) if each.is_dir()),
        *(Usage("docs", "docs", size_of(home.docs)) for _ in range(home.docs.is_dir())),
    ]
    for leftover in find_leftovers(home):
        size = size_of(leftover.path)
        free = leftover.is_free()
        name = str(leftover.path.relative_to(home.path))
        found.append(
            Usage("leftovers", name, size, size if free else 0, PRUNE if free else "", "" if free else "in use")
        )
    others = size_of(home.path) - sum(each.bytes for each in found)
    return [*found, Usage("others", "settings, locks, marks", max(others, 0))]


def _folders(folder: Path) -> list[Path]:
    return sorted(each for each in folder.glob("[!.]*") if each.is_dir())


def _staging(home: Home) -> Iterator[Usage]:
    file = home.staging
    aside = sorted(home.path.glob("staging.damaged-*"))
    if file.exists():
        total = size_of(file)
        try:
            with open_staging(file, read_only=True, wait_seconds=WAIT_SECONDS) as connection:
                parts = _tables(connection)
                room = free_room(connection, file)
        except EnergywhError as error:
            yield Usage("staging", file.name, total, note=str(error))
        else:
            # Blocks of DuckDB that were never written to take less room on the disk than they have bytes.
            dense = min(1.0, total / (sum(parts.values()) or 1))
            for name, size in sorted(parts.items(), key=lambda item: -item[1]):
                yield Usage("staging", name, int(size * dense))
            rest = total - sum(int(size * dense) for size in parts.values())
            free = min(room.free, rest)
            yield Usage("staging", "structure", rest - free)
            yield Usage("staging", "free within", free, free, f"{PRUNE} --compact")
    for log in home.path.glob("staging.duckdb.wal"):
        yield Usage("staging", log.name, size_of(log))
    for each in aside:
        yield Usage("staging", each.name, size_of(each), size_of(each), f"rm {typed(each)}", "put aside by replay")


def _tables(connection: object) -> dict[str, int]:
    """Return the bytes of each dataset with its revisions, and of the ledger; a block that several use is divided."""
    import duckdb

    assert isinstance(connection, duckdb.DuckDBPyConnection)
    tables = connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = current_database() and not internal"
    ).fetchall()
    users: dict[int, set[str]] = {}
    for schema, table in tables:
        name = "ledger" if schema == "sync" else f"{schema}.{table.removesuffix('_revision')}"
        blocks = connection.execute(
            "select distinct unnest(list_append(additional_block_ids, block_id)) from pragma_storage_info(?)",
            [f"{schema}.{table}"],
        ).fetchall()
        for (block,) in blocks:
            if block is not None and block >= 0:
                users.setdefault(block, set()).add(name)
    (size,) = connection.execute("select any_value(block_size) from pragma_database_size()").fetchone() or (0,)
    found: dict[str, int] = {}
    for names in users.values():
        for name in names:
            found[name] = found.get(name, 0) + int(size) // len(names)
    return found


def _payloads(settings: Settings, now: datetime) -> Iterator[Usage]:
    folder = settings.home.payloads
    hours = parse_duration_hours(settings.get("payloads.retention"))
    old = set(days_before(folder, now - timedelta(hours=hours)))
    listed = days(folder)
    for day in listed:
        size = size_of(day)
        yield Usage("payloads", day.name, size, size if day in old else 0, PRUNE if day in old else "")
    for other in sorted(folder.glob("*")):
        if other not in listed:
            yield Usage("payloads", other.name, size_of(other))


def _versions(settings: Settings, now: datetime) -> Iterator[Usage]:
    home = settings.home
    old = {
        version.name
        for version in old_versions(
            home, int(settings.get("build.keep_versions")), int(settings.get("build.keep_days")), now=now
        )
    }
    for version in versions_of(home):
        if version.size is None:
            continue
        file = home.versions / f"{version.version}.duckdb"
        size, shared = size_of(file), shared_bytes(file)
        note = version.state + (", pinned" if version.pinned else "")
        if shared:
            note += f", {shared / 1e6:,.1f} MB shared"
        goes = version.version in old
        yield Usage("versions", version.version, size, size - (shared or 0) if goes else 0, PRUNE if goes else "", note)
    records = list_versions(home, RECORD)
    goes_ = sum(map(size_of, old_records(home, KEPT_RECORDS)))
    size = sum(size_of(record.path) for record in records)
    if records:
        yield Usage("records", count(len(records), "record"), size, goes_, PRUNE if goes_ else "")
