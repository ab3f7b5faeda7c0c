"""Checks of the home folder: its modes, the settings, room on the disk, and the clock."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from energywh.config.settings import CORE_OPTIONS, HOME_VARIABLE
from energywh.core.time import EPOCH
from energywh.core.wording import count
from energywh.errors import EnergywhError
from energywh.models.versions.publish import list_versions
from energywh.upkeep.diagnosis import Diagnosis, Examined, reason, typed

LEAST_FREE_BYTES = 100e6
LEAST_FREE_FILES = 1000
FIRST_YEAR = 2025  # this energywh did not exist before
TOLERANCE = timedelta(minutes=5)  # that clocks of machines which share a folder may differ
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def check_home(examined: Examined) -> Iterator[Diagnosis]:
    """The folder is there and can be written to."""
    path = examined.home.path
    choose = f"choose another with --home or {HOME_VARIABLE}, or run 'energywh sync' or 'energywh demo'"
    if not path.is_dir():
        what = "it is not a folder" if path.exists() else "there is no such folder"
        yield Diagnosis("home", "problem", what, str(path), "nothing is stored there", choose)
        return
    for folder in (path, examined.home.locks, examined.home.versions, examined.home.payloads):
        if folder.exists() and not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
            yield Diagnosis(
                "home",
                "problem",
                "it cannot be written to" if folder.is_dir() else "a file is in the place of a folder",
                examined.name(folder) if folder != path else str(path),
                "sync and build fail",
                f"chmod u+rwx {typed(folder)}" if folder.is_dir() else f"move {folder} away",
            )
    if path.stat().st_mode & stat.S_IWOTH and not path.stat().st_mode & stat.S_ISVTX:
        yield Diagnosis(
            "home",
            "note",
            "every user may write to it",
            str(path),
            "anyone can change the data",
            f"chmod o-w {typed(path)}",
        )
    if not (examined.home.staging.exists() or examined.home.energy.is_symlink()):
        yield Diagnosis("home", "note", "nothing is synced yet", str(path), "", "energywh sync, or energywh demo")
    else:
        yield Diagnosis("home", "ok", "it is there and can be written to", str(path))


def check_settings(examined: Examined) -> Iterator[Diagnosis]:
    """They can be loaded, and a key in the file is its owner's alone."""
    from energywh.sources import load_settings, source_options

    file = examined.home.settings_file
    if examined.settings is None:
        try:
            load_settings(examined.home.path)
        except EnergywhError as error:
            yield Diagnosis(
                "settings", "problem", reason(error), examined.name(file), "every command fails", f"edit {file}"
            )
    if not file.is_file():
        return
    mode = stat.S_IMODE(file.stat().st_mode)
    secrets = [option.name for option in (*CORE_OPTIONS, *source_options()) if option.secret]
    held = _keys_in(file, secrets)
    if held and mode & _OTHERS:

        def close() -> str:
            file.chmod(mode & ~_OTHERS)
            return f"made {examined.name(file)} readable by its owner alone"

        yield Diagnosis(
            "settings",
            "problem",
            f"others may read it, and it holds {', '.join(held)}",
            examined.name(file),
            "the key can be copied",
            f"chmod 600 {typed(file)}",
            close,
        )


def _keys_in(file: Path, secrets: list[str]) -> list[str]:
    """Return the names of secret settings that the file gives."""
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        return []
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return ["a key"] if re.search(r"(?m)^\s*\w*key\s*=", text) else []
    sections = {name: entries for name, entries in document.items() if isinstance(entries, dict)}
    return [name for name in secrets if sections.get(name.split(".")[0], {}).get(name.split(".")[1])]


def check_room(examined: Examined) -> Iterator[Diagnosis]:
    """There is room for the next build, which writes a whole version at worst."""
    home = examined.home
    free = shutil.disk_usage(home.path).free
    versions = list_versions(home)
    largest = max(
        [file.stat().st_size for file in (home.staging, *(v.path for v in versions[-1:])) if file.exists()] or [0]
    )
    tell = "'energywh du' shows what is large, 'energywh prune' makes room"
    if free < LEAST_FREE_BYTES or free < largest:
        yield Diagnosis(
            "room",
            "problem",
            f"{free / 1e6:,.0f} MB are free, and a build may need {max(largest, LEAST_FREE_BYTES) / 1e6:,.0f} MB",
            str(home.path),
            "the next sync or build may fail; nothing is lost by that",
            tell,
        )
    elif free < 3 * largest:
        yield Diagnosis(
            "room", "note", f"{free / 1e9:,.1f} GB are free, room for two builds at most", str(home.path), "", tell
        )
    else:
        yield Diagnosis("room", "ok", f"{free / 1e9:,.1f} GB are free", str(home.path))
    state = os.statvfs(home.path)
    if state.f_files and state.f_favail < LEAST_FREE_FILES:
        yield Diagnosis(
            "room",
            "problem",
            f"room for {count(state.f_favail, 'more file')}",
            str(home.path),
            "the next sync fails",
            tell,
        )


def check_clock(examined: Examined) -> Iterator[Diagnosis]:
    """The clock is not behind what was written here, and counts of requests are not of the future."""
    now, home = examined.now, examined.home
    set_right = "set the clock right ('timedatectl' shows it)"
    if now.year < FIRST_YEAR:
        yield Diagnosis("clock", "problem", f"it says {now:%Y-%m-%d %H:%M} UTC", "", "nothing is due by it", set_right)
    newest = now + TOLERANCE
    where: Path | None = None
    for file in _stamped(home.path):
        moment = EPOCH + timedelta(seconds=file.stat().st_mtime)
        if moment > newest:
            newest, where = moment, file
    for version in list_versions(home):
        moment = datetime.strptime(version.name.split("-")[1], "%Y%m%dT%H%M%SZ")
        if moment > newest:
            newest, where = moment, version.path
    if where is not None:
        yield Diagnosis(
            "clock",
            "problem",
            f"it says {now:%Y-%m-%d %H:%M} UTC, and this is of {newest:%Y-%m-%d %H:%M}",
            examined.name(where),
            "the clock was set back, or was ahead then; what is due and what is pruned is counted by it",
            set_right,
        )
    yield from _request_counts(examined)


def _stamped(home: Path) -> Iterator[Path]:
    for pattern in ("*.duckdb", "versions/*", "payloads/*", "payloads/*/*.tar"):
        for file in home.glob(pattern):
            if file.is_file() and not file.is_symlink():
                yield file


def _request_counts(examined: Examined) -> Iterator[Diagnosis]:
    from energywh.sync.rate_limit import state_folder

    if examined.settings is None:
        return
    folder = state_folder(examined.settings.get("state.folder"))
    limit = (examined.now + TOLERANCE).replace(tzinfo=UTC).timestamp() * 1000
    for file in sorted(folder.glob("*.sqlite")):
        replaced = "the next sync replaces it with a warning; requests of the last hour are not counted then"
        try:
            connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=1)
            try:
                tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
                ahead = sum(
                    connection.execute(f'select count(*) from "{name}" where item_timestamp > ?', [limit]).fetchone()[0]
                    for name in tables
                    if name != "sqlite_sequence"
                )
            finally:
                connection.close()
        except sqlite3.Error as error:
            if "locked" not in str(error):
                yield Diagnosis("clock", "note", f"it is damaged ({error})", str(file), replaced)
            continue
        if ahead:
            yield Diagnosis(
                "clock",
                "note",
                f"{count(ahead, 'request')} of the future: the clock was ahead when they were sent",
                str(file),
                "the next sync drops them with a warning",
            )
