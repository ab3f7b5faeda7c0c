"""The cache of warehouse files as of a time.

    cache/as-of/energy-20261105T101500Z-000042.20240101T00.published-lag.features.hourly.duckdb

The name holds the version that the file belongs to, the moment, the knowledge (see `energywh.models.build.as_of`) and
the models that were asked for, so a file is never written twice.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from energywh.core.folders import remove_unused
from energywh.core.paths import Home
from energywh.models.versions.publish import list_versions

LONGEST_NAME = 100  # of models in a file name; systems allow 255 bytes in all
_FILE = re.compile(r"(?P<hidden>\.?)(?P<version>energy-[^.]+)\..+")  # hidden: the folder of a build under way


def file_as_of(home: Home, version: str, moment: datetime, knowledge: str, models: Sequence[str]) -> Path:
    """Return where the file of ``version`` as of ``moment`` (UTC, a whole hour) is kept; no models: all of them."""
    asked = "+".join(models) or "all"
    if len(asked) > LONGEST_NAME:
        asked = hashlib.sha256(asked.encode()).hexdigest()[:16]
    return home.as_of / f"{version}.{moment:%Y%m%dT%H}.{knowledge}.{asked}.duckdb"


def sweep(home: Home) -> None:
    """Remove the files of versions that were pruned."""
    versions = {version.name for version in list_versions(home)}
    for path in home.as_of.iterdir() if home.as_of.is_dir() else ():
        found = _FILE.fullmatch(path.name)
        if found is None or found["version"] in versions:
            continue
        if found["hidden"]:
            remove_unused(path)
        else:
            path.unlink(missing_ok=True)
