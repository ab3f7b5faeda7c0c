"""Publish an earlier version again.

The newest version is the published one, unless a person went back since it was built. That is written down before the
link moves, so a process may die at any instant: the next build moves the link to where it belongs.
"""

from __future__ import annotations

from pathlib import Path

from energywh.core.database import connect
from energywh.core.files import write_file
from energywh.core.locks import OnWait, file_lock
from energywh.core.paths import Home
from energywh.core.time import utc_now
from energywh.errors import StorageError
from energywh.models.contents.state import check_schema, compatible, is_warehouse
from energywh.models.versions.publish import (
    PUBLISHED_AGAIN,
    PublishedAgain,
    Version,
    check_link,
    current_version,
    gone_back_to,
    list_versions,
    make_read_only,
    move_link,
    publications,
)
from energywh.models.versions.records import find_own, require_unchanged
from energywh.models.versions.verify import changed_tables


def finish_publishing(home: Home) -> None:
    """Move the link to where it belongs if a process died just before it did; the caller holds the build lock."""
    versions = list_versions(home)
    if not versions:
        return
    target = gone_back_to(home, versions) or versions[-1]
    current = current_version(home)
    if current is None or current.name != target.path.name:
        move_link(home, target.path)


def publish_again(
    home: Home, wanted: str, *, wait_seconds: float | None = None, on_wait: OnWait | None = None
) -> tuple[Version, Path | None]:
    """Publish a kept version in place of the newest one, once all its rows are found to be those that were built.

    It stays published, and is not pruned, until the next build, which goes on from it.

    Args:
        wanted: a version's name, its number, or `latest~1`.

    Returns:
        the version, and the file that was published before; the same one if nothing was to be done.

    Raises:
        UnknownNameError: there is no such version.
        StorageError: its rows are not those that were built, or it cannot be read.
        LockedError: a build did not end within ``wait_seconds``.
    """
    check_link(home)
    with file_lock(home.locks / "build.lock", "a build", wait_seconds, on_wait):
        version, before = find_own(home, wanted), current_version(home)
        if before is not None and before.name == version.path.name:
            return version, before
        _verify(version.path)
        entry = PublishedAgain(version.name, before.stem if before else None, list_versions(home)[-1].number, utc_now())
        import msgspec

        write_file(home.versions / PUBLISHED_AGAIN, msgspec.json.encode([*publications(home), entry]))
        make_read_only(version.path)
        move_link(home, version.path)
    return version, before


def _verify(path: Path) -> None:
    """Check that a version can be read and holds what was built.

    Raises:
        StorageError: it does not.
    """
    require_unchanged(path)
    with connect(path) as connection:
        if not is_warehouse(connection):
            raise StorageError(f"{path} is not a version of a warehouse")
        check_schema(connection, path)
        # Digests of another DuckDB cannot be compared; the seal holds.
        changed = changed_tables(connection) if compatible(connection) else []
    if changed:
        names = ", ".join(table.name for table in changed)
        raise StorageError(f"{path.name} does not hold what was built: {names} differ; choose another version")
