"""Records of versions, and finding a version by the name that a person gives.

A record is written beside a version before the version is published, from its schema `energywh`, and stays when the
version is pruned.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energywh.core.database import connect
from energywh.core.files import write_file
from energywh.core.paths import Home
from energywh.errors import StorageError, UnknownNameError, did_you_mean
from energywh.models.contents.staging import Watermark
from energywh.models.contents.state import check_schema
from energywh.models.versions.publish import KEEP, RECORD, Version, current_version, list_versions, publications
from energywh.models.versions.seal import Seal, holds

if TYPE_CHECKING:
    import duckdb

LATEST = "latest"
RECORD_SCHEMA = 1  # of the records' JSON; those of before there was a number are alike
_MAGIC = b"DUCK"  # at byte 8 of every DuckDB file


@dataclass(frozen=True)
class TableRecord:
    """A table of a version; ``sql_hash`` is None for a seed."""

    name: str
    rows: int
    digest: str
    sql_hash: str | None


@dataclass(frozen=True)
class Warned:
    """An audit of severity `warn` that found rows."""

    model: str
    audit: str
    failures: int


@dataclass(frozen=True)
class Record:
    """The record of a version.

    Attributes:
        base_version: the version it is based on; None if everything was computed.
        options: settings of the build.
        as_of_utc, knowledge: set by a build as of a time, else None.
        changed: for each table that differs from the previous version, in how many months; None if there is no previous
            version, or none that can be compared.
        schema: number of the layout of this record.
        seal: tells whether another program wrote to the file since; None for what is not published yet.
    """

    version: str
    built_at_utc: datetime
    base_version: str | None
    base_kind: str
    energywh_version: str
    duckdb_version: str
    options: dict[str, Any] = field(default_factory=dict)
    as_of_utc: datetime | None = None
    knowledge: str | None = None
    tables: list[TableRecord] = field(default_factory=list)
    watermarks: list[Watermark] = field(default_factory=list)
    warnings: list[Warned] = field(default_factory=list)
    changed: dict[str, int] | None = None
    seal: Seal | None = None
    schema: int = RECORD_SCHEMA

    @property
    def rows(self) -> int:
        """Rows of all models; seeds left out."""
        return sum(table.rows for table in self.tables if table.sql_hash is not None)


@dataclass(frozen=True)
class Listed:
    """A version that exists, or was pruned.

    Attributes:
        state: `published`, `kept`, `withdrawn` (an earlier one was published in its place), `pruned`, or `damaged`.
        size: bytes; None if the version was pruned.
        record: None if there is no record and the file cannot be read.
        published_again_utc: when a person last went back to it, if ever.
        changed: whether another program wrote to it; None if no record says how it was.
    """

    version: str
    number: int
    state: str
    pinned: bool
    size: int | None
    record: Record | None
    published_again_utc: datetime | None = None
    changed: bool | None = None


def read_record(connection: duckdb.DuckDBPyConnection, changed: dict[str, int] | None = None) -> Record:
    """Return the record of the version that is open."""

    def rows(query: str) -> list[dict[str, Any]]:
        answer = connection.execute(query)
        names = [column[0] for column in answer.description or ()]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]

    (version,) = rows("FROM energywh.version")
    return Record(
        version=version["version"],
        built_at_utc=version["built_at_utc"],
        base_version=version["base_version"],
        base_kind=version["base_kind"],
        energywh_version=version["energywh_version"],
        duckdb_version=version["duckdb_version"],
        options=json.loads(version["options"]),
        as_of_utc=version["as_of_utc"],
        knowledge=version["knowledge"],
        tables=[
            TableRecord(**row)
            for row in rows(
                "SELECT name, rows, digest, sql_hash FROM energywh.digest JOIN "
                "(SELECT name, rows, sql_hash FROM energywh.model WHERE materialized <> 'inline' "
                "UNION ALL SELECT name, rows, NULL FROM energywh.seed) USING (name) ORDER BY name"
            )
        ],
        watermarks=[Watermark(**row) for row in rows("FROM energywh.watermark ORDER BY dataset")],
        warnings=[
            Warned(**row)
            for row in rows("SELECT model, audit, failures FROM energywh.audit WHERE failures > 0 ORDER BY ALL")
        ],
        changed=changed,
    )


def is_changed(path: Path) -> bool | None:
    """Return whether another program wrote to a version since it was published; None if no record says how it was."""
    record = record_of(path)
    if record is None or record.seal is None:
        return None
    try:
        return not holds(path, record.seal)
    except FileNotFoundError:  # a build pruned it just now
        return None


def require_unchanged(path: Path) -> None:
    """Refuse to hand on what another program changed.

    Raises:
        StorageError: another program wrote to this version since it was published.
    """
    if is_changed(path):
        raise StorageError(
            f"another program wrote to {path.name} since it was published; 'energywh check digest' names what it "
            "changed, and 'energywh build' publishes a version without it"
        )


def encode(record: Record) -> bytes:
    """Return a record as JSON."""
    import msgspec

    return msgspec.json.encode(record)


def versions_of(home: Home) -> list[Listed]:
    """Return all versions, pruned ones included, newest first."""
    current = current_version(home)
    kept = {version.name: version for version in list_versions(home)}
    records = {version.name: version for version in list_versions(home, RECORD)}
    again = {each.version: each.at_utc for each in publications(home)}
    found = []
    for name in kept.keys() | records.keys():
        version = kept.get(name)
        record = record_of(records[name].path) if name in records else None
        measured = _measure(version.path) if version is not None else None
        if version is None or measured is None:
            if name in records:
                found.append(Listed(name, records[name].number, "pruned", False, None, record, again.get(name)))
            continue
        size, sound = measured
        if record is None and sound:
            record = _ask(version.path)
        state = "damaged" if not sound else _state(version, current, kept)
        changed = is_changed(version.path)
        found.append(Listed(name, version.number, state, version.pinned, size, record, again.get(name), changed))
    return sorted(found, key=lambda each: (each.number, each.version), reverse=True)


def _state(version: Version, current: Path | None, kept: dict[str, Version]) -> str:
    published = kept.get(current.stem) if current is not None else None
    if published is None or version < published:
        return "kept"
    return "published" if version == published else "withdrawn"


def record_of(version: Path) -> Record | None:
    """Return the record beside a version's file, which may be pruned; None if it cannot be read."""
    import msgspec

    try:
        record = msgspec.json.decode(version.with_suffix(RECORD).read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError):
        return None
    return record if record.schema <= RECORD_SCHEMA else None


def _ask(path: Path) -> Record | None:
    """Return the record that the version's own tables hold; None if they cannot be read."""
    import duckdb

    try:
        with connect(path, wait_seconds=0) as connection:
            check_schema(connection, path)
            return read_record(connection)
    except (StorageError, duckdb.Error):
        return None


def _measure(path: Path) -> tuple[int | None, bool] | None:
    """Return the size of a file, and whether it begins as DuckDB's do; None if it was just pruned."""
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size, file.read(12)[8:] == _MAGIC
    except FileNotFoundError:
        return None
    except OSError:
        return None, False


def find_version(home: Home, wanted: str | Path) -> Path:
    """Return the file of the version that a person called ``wanted``.

    Args:
        wanted: a version's name, its number, `latest` for the published one, `latest~1` for the one before (and so
            on), or the path of a warehouse file, as `energywh build --as-of` makes them.

    Raises:
        UnknownNameError: there is no such version; the message names the nearest, or all.
        StorageError: nothing is built yet.
    """
    text = str(wanted).strip()
    versions = list_versions(home)
    named = None if isinstance(wanted, Path) else _named(home, versions, text)
    if named is not None:
        return named.path.resolve()
    file = Path(text).expanduser()
    if file.is_file():
        return file.resolve()
    if file.suffix == ".duckdb" or len(file.parts) > 1:
        raise UnknownNameError(f"there is no file {file}")
    raise UnknownNameError(_unknown(home, versions, text))


def find_listed(home: Home, wanted: str) -> Listed:
    """Return the version, kept or pruned, that a person called ``wanted``, or that is the file at this path.

    Raises:
        UnknownNameError: there is and was no such version.
    """
    listed = versions_of(home)
    for each in listed:
        if wanted == each.version or (wanted.isdigit() and int(wanted) == each.number):
            return each
    path = find_version(home, wanted)
    for each in listed:
        if each.version == path.stem and path.parent == home.versions.resolve():
            return each
    record = _ask(path)
    return Listed(path.stem, 0, "file" if record else "damaged", False, path.stat().st_size, record)


def _named(home: Home, versions: list[Version], text: str) -> Version | None:
    """Return the version of this name or number, if there is one."""
    base, _, back = text.partition("~")
    if base == LATEST and (back.isdigit() or text == LATEST):
        if not versions:
            raise StorageError(
                f"nothing is built yet in {home.path}: run 'energywh build' after 'energywh sync', or 'energywh demo'"
            )
        place = _place_of_published(home, versions) - int(back or 0)
        return versions[place] if place >= 0 else None
    for version in versions:
        if text in (version.name, version.path.name) or (text.isdigit() and int(text) == version.number):
            return version
    return None


def _place_of_published(home: Home, versions: list[Version]) -> int:
    """Return where in ``versions`` the published one is; the newest if none is."""
    current = current_version(home)
    names = [version.path.name for version in versions]
    return names.index(current.name) if current is not None and current.name in names else len(names) - 1


def _unknown(home: Home, versions: list[Version], text: str) -> str:
    """Return the message that no version is named ``text``."""
    names = [version.name for version in versions]
    for record in list_versions(home, RECORD):
        if record.name not in names and (text == record.name or (text.isdigit() and int(text) == record.number)):
            return (
                f"version {record.name} was pruned, and only its record is left (see 'energywh versions'); "
                "settings build.keep_versions and build.keep_days say what is kept"
            )
    near = did_you_mean(text, names)
    if not near and names:
        near = f"; there are {', '.join(reversed(names))}"
    return f"no version is called '{text}'{near or f' in {home.path}: nothing is built yet'}"


def pin(home: Home, wanted: str) -> str:
    """Keep a version from being pruned; return its name.

    Raises:
        UnknownNameError: there is no such version in ``home``.
    """
    version = find_own(home, wanted)
    write_file(version.path.with_suffix(KEEP), b"")
    if not version.path.exists():  # a build pruned it meanwhile
        version.path.with_suffix(KEEP).unlink(missing_ok=True)
        raise UnknownNameError(f"version {version.name} was pruned just now")
    return version.name


def unpin(home: Home, wanted: str) -> str:
    """Let a version that was pinned be pruned again, by the next build; return its name.

    Raises:
        UnknownNameError: there is no such version in ``home``.
    """
    version = find_own(home, wanted)
    version.path.with_suffix(KEEP).unlink(missing_ok=True)
    return version.name


def find_own(home: Home, wanted: str) -> Version:
    """Return the version of ``home`` that a person called ``wanted``: a name, a number, `latest` or `latest~1`.

    Raises:
        UnknownNameError: there is none.
    """
    versions = list_versions(home)
    version = _named(home, versions, wanted.strip())
    if version is None:
        raise UnknownNameError(_unknown(home, versions, wanted.strip()))
    return version


def differing_months(connection: duckdb.DuckDBPyConnection, one: str, other: str) -> dict[str, list[Any]] | None:
    """Return by table the months whose rows differ between two versions attached under these prefixes.

    The month of a table without time is None. None for all where the digests cannot be compared: those of another
    DuckDB, or of another format, say nothing.
    """
    first, second = (
        connection.execute(f"SELECT format, duckdb_version FROM {prefix}energywh.version").fetchall()
        for prefix in (one, other)
    )
    if first != second:
        return None

    def of(prefix: str) -> str:
        return (
            f"SELECT model AS name, month, digest FROM {prefix}energywh.month "
            f"UNION ALL SELECT name, NULL, digest FROM {prefix}energywh.seed"
        )

    rows = connection.execute(
        f"WITH a AS ({of(one)}), b AS ({of(other)}) SELECT name, list(DISTINCT month ORDER BY month NULLS FIRST) FROM "
        "((FROM a EXCEPT FROM b) UNION ALL (FROM b EXCEPT FROM a)) GROUP BY name ORDER BY name"
    ).fetchall()
    # list() keeps NULL: the month of a table without time.
    return dict(rows)


def count_changes(differing: dict[str, list[Any]] | None) -> dict[str, int] | None:
    """Return how many months of each table differ."""
    return None if differing is None else {name: len(months) for name, months in differing.items()}
