"""Checks of the published versions: the link, the files, their records and pins."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from energywh.core.database import connect, one_row
from energywh.core.locks import file_lock
from energywh.core.paths import Home
from energywh.core.wording import abbreviate
from energywh.errors import EnergywhError
from energywh.models.contents.state import compatible
from energywh.models.versions.publish import (
    KEEP,
    PUBLISHED_AGAIN,
    RECORD,
    Version,
    current_version,
    gone_back_to,
    list_versions,
    move_link,
    publications,
)
from energywh.models.versions.records import is_changed, read_record, versions_of
from energywh.models.versions.verify import changed_tables
from energywh.upkeep.diagnosis import Diagnosis, Examined, Severity, reason, typed

WAIT_SECONDS = 2.0
_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def check_versions(examined: Examined) -> Iterator[Diagnosis]:
    """The link leads to the newest version, and each version is as it was published."""
    home = examined.home
    versions = list_versions(home)
    trouble = {version.path: _trouble(version, examined.full) for version in reversed(versions)}
    good = [version for version in versions if not trouble[version.path]]
    yield from _check_link(examined, versions, good)
    current = current_version(home)
    for path, what in trouble.items():
        published = current is not None and path.name == current.name
        if what:
            yield Diagnosis(
                "versions",
                "problem",
                what,
                examined.name(path),
                "readers get wrong values or an error" if published else "nobody reads it but by its name",
                "energywh build --full" if published else f"rm {typed(path)}",
            )
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & _WRITE:

            def close(path: Path = path, mode: int = mode) -> str:
                path.chmod(mode & ~_WRITE)
                return f"made {examined.name(path)} read-only"

            yield Diagnosis(
                "versions",
                "note",
                "it can be written to",
                examined.name(path),
                "another program that opens it may change it",
                f"chmod a-w {typed(path)}",
                close,
            )
    yield from _check_records(examined, versions)
    if versions and not any(trouble.values()):
        yield Diagnosis(
            "versions",
            "ok",
            f"{len(versions):,} kept, {sum(version.pinned for version in versions):,} pinned, none was changed",
            examined.name(home.versions),
        )


def _trouble(version: Version, full: bool) -> str:
    """Return what is wrong with a version file; empty if nothing is."""
    import duckdb

    if is_changed(version.path):
        return "another program wrote to it, or it is damaged: its head or size is not as published"
    try:
        with connect(version.path, wait_seconds=WAIT_SECONDS) as connection:
            one_row(connection, "select version from energywh.version")
            if full and compatible(connection):
                changed = changed_tables(connection)
                if changed:
                    return f"other rows than were built: {abbreviate([table.name for table in changed])}"
    except (EnergywhError, duckdb.Error) as error:
        return reason(error)
    return ""


def _check_link(examined: Examined, versions: list[Version], good: list[Version]) -> Iterator[Diagnosis]:
    home, link = examined.home, examined.home.energy
    where = examined.name(link)
    target = current_version(home)
    if not versions and not link.is_symlink() and not link.exists():
        if home.staging.exists():
            yield Diagnosis("versions", "note", "nothing is built yet", where, "", "energywh build")
        return
    if link.exists() and not link.is_symlink():
        yield Diagnosis(
            "versions",
            "problem",
            "it is not a link to a version",
            where,
            "builds cannot be published",
            f"move {link} away, and run energywh build",
        )
    elif target is None:
        what = "it leads nowhere" if link.is_symlink() else "it is missing"
        if good:
            again = _gone_back_to(examined, versions)
            chosen = again if again is not None and again in good else good[-1]
            yield Diagnosis(
                "versions",
                "problem",
                what,
                where,
                "nobody can query the warehouse",
                f"energywh doctor --fix, which publishes {chosen.name}",
                lambda: _publish(home, chosen),
            )
        else:
            yield Diagnosis("versions", "problem", what, where, "nobody can query the warehouse", "energywh build")
    elif target.parent.resolve() != home.versions.resolve():
        yield Diagnosis(
            "versions",
            "note",
            f"it leads to {target}, which is not in {home.versions}",
            where,
            "builds start from the newest version of this home",
            "energywh build",
        )
    elif good and target.name not in {each.path.name for each in (good[-1], _gone_back_to(examined, versions)) if each}:
        yield Diagnosis(
            "versions",
            "note",
            f"it leads to {target.stem}, and the newest is {good[-1].name}",
            where,
            "readers get the older one",
            "energywh build publishes the newest",
        )


def _gone_back_to(examined: Examined, versions: list[Version]) -> Version | None:
    with suppress(EnergywhError):  # `_check_records` says why
        return gone_back_to(examined.home, versions)
    return None


def _publish(home: Home, version: Version) -> str:
    with file_lock(home.locks / "build.lock", "a build", WAIT_SECONDS):
        if (current := current_version(home)) is not None:  # a build was quicker
            return f"{current.stem} was published meanwhile"
        move_link(home, version.path)
    return f"published {version.name}"


def _check_records(examined: Examined, versions: list[Version]) -> Iterator[Diagnosis]:
    """Find records that cannot be read or belong to no version, and pins of none."""
    from energywh.models.versions.records import encode

    kept = {version.name for version in versions}
    again = examined.home.versions / PUBLISHED_AGAIN
    try:
        publications(examined.home)
    except EnergywhError as error:
        why = "the next build cannot tell whether a person went back to an earlier version"
        yield Diagnosis(
            "versions",
            "problem",
            reason(error),
            examined.name(again),
            why,
            f"mv {typed(again)} {typed(f'{again}.damaged')}",
        )
    for listed in versions_of(examined.home):
        record = examined.home.versions / f"{listed.version}{RECORD}"
        severity = _severity_of(record)
        if listed.version in kept and listed.state != "damaged" and severity != "ok":

            def write(record: Path = record) -> str:
                from energywh.core.files import write_file

                with connect(record.with_suffix(".duckdb"), wait_seconds=WAIT_SECONDS) as connection:
                    write_file(record, encode(read_record(connection)))
                return f"wrote {examined.name(record)} anew from its version"

            yield Diagnosis(
                "versions",
                severity,
                "the record cannot be read" if record.exists() else "the record is missing",
                examined.name(record),
                "nothing says whether another program changed the version",
                "energywh doctor --fix, or energywh build",
                write,
            )
        elif listed.version not in kept and listed.record is None:

            def remove(record: Path = record) -> str:
                record.unlink(missing_ok=True)
                return f"removed {examined.name(record)}"

            yield Diagnosis(
                "versions",
                "note",
                "the record of a pruned version cannot be read",
                examined.name(record),
                "",
                f"rm {typed(record)}",
                remove,
            )
    for pin in list_versions(examined.home, KEEP):
        if not pin.path.with_suffix(".duckdb").exists():  # not `kept`: a build may have added one that is pinned

            def unpin(file: Path = pin.path) -> str:
                file.unlink(missing_ok=True)
                return f"removed {examined.name(file)}"

            yield Diagnosis(
                "versions",
                "note",
                "it pins a version that is gone",
                examined.name(pin.path),
                "",
                f"rm {typed(pin.path)}",
                unpin,
            )


def _severity_of(record: Path) -> Severity:
    """Return how bad it is what is wrong with a record, if anything: an earlier energywh wrote none, or another one."""
    import msgspec

    from energywh.models.versions.records import Record

    try:
        msgspec.json.decode(record.read_bytes(), type=Record)
    except (FileNotFoundError, msgspec.ValidationError):
        return "note"
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return "problem"
    return "ok"
