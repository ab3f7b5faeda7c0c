"""`energywh.open`: find a warehouse and open it."""

from __future__ import annotations

import os
from pathlib import Path

from energywh.config.settings import resolve_home
from energywh.errors import UsageError
from energywh.models.versions.opening import patience_of
from energywh.warehouse import Warehouse


def open(
    path: str | os.PathLike[str] | None = None, *, version: str | os.PathLike[str] | int | None = None
) -> Warehouse:
    """Open the newest published version of the warehouse in folder ``path``, read-only, or another one.

    Args:
        path: home folder; by default `ENERGYWH_HOME`, else `./warehouse`.
        version: a kept version by its name or number, `latest~1` for the one before the newest (and so on), or the
            path of a warehouse file, as `energywh build --as-of` makes them.

    While another program holds the file for writing, this waits, with a warning that names it.

    Raises:
        StorageError: nothing is published there yet, or the file cannot be read.
        LockedError: another program still held it after the seconds of the setting `lock.wait_seconds`.
        UnknownNameError: there is no such version, or it was pruned.
        UsageError: ``path`` is not the path of a folder.
    """
    if path is not None and not isinstance(path, str | os.PathLike):
        raise UsageError(f"open() takes the path of the warehouse's folder, as text or Path, not {path!r}")
    if isinstance(version, bool) or not isinstance(version, str | os.PathLike | int | None):
        raise UsageError(f"open() takes a version by name, number or path, not {version!r}")
    home, _ = resolve_home(None if path is None else Path(path))
    if isinstance(version, int):
        version = str(version)
    return Warehouse(home, version if version is None or isinstance(version, str) else Path(version), patience_of(home))
