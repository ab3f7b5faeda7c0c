"""Reads the recorded wide tables of EIA series: one column per series, one row per period."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

NAMES = (
    r"(?:EBA\.)(?P<region>\w+)-(?P<neighbor>\w+)\.ID\.H",
    r"(?:EBA\.)(?P<region>\w+)-ALL\.(?P<code>D|DF|NG|TI)\.H",
    r"(?:EBA\.)(?P<region>\w+)-ALL\.NG\.(?P<fuel>\w+)\.H",
    r"E_(?P<region>[A-Z0-9]+)-(?P<neighbor>[A-Z0-9]+)_ID",
    r"E_(?P<region>[A-Z0-9]+)_(?P<code>D|DF|NG|TI)",
    r"E_(?P<region>[A-Z0-9]+)_(?P<fuel>[A-Z]+)",
)


@dataclass(frozen=True)
class Series:
    """One recorded series; exactly one of neighbor, code and fuel is set."""

    region: str
    neighbor: str | None
    code: str | None
    fuel: str | None
    first: datetime  # start of its first hour with a value, UTC
    last: datetime  # start of its last hour with a value, UTC


def wide_series(folder: Path) -> Iterator[Series]:
    """Every series of the wide recordings in `folder` that has a value."""
    for path in sorted(folder.glob("gridemissions_*_wide_*.csv")) + sorted(folder.glob("gridemissions_EBA_raw*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            header, *table = list(csv.reader(file))
        hours = [datetime.fromisoformat(row[0]).replace(tzinfo=None) - timedelta(hours=1) for row in table]
        for i, name in enumerate(header[1:], 1):
            match = next(m for m in (re.fullmatch(p, name) for p in NAMES) if m)
            filled = [hour for hour, row in zip(hours, table, strict=True) if row[i] != ""]
            if filled:
                found = match.groupdict()
                yield Series(
                    found["region"],
                    found.get("neighbor"),
                    found.get("code"),
                    found.get("fuel"),
                    min(filled),
                    max(filled),
                )
