"""What a staging file holds, as plain rows that tests can compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from energywh.database import connect
from energywh.sync.staging import all_datasets

TABLES = tuple(all_datasets())
Rows = list[tuple[Any, ...]]


def query(staging: Path, sql: str) -> Rows:
    """Return the rows of a query on a staging file."""
    connection = connect(staging, wait_seconds=30)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def values(staging: Path) -> dict[str, Rows]:
    """Return by table the current values, without when they were learnt; sorted, duplicates kept."""
    return {table: query(staging, f"select * exclude (known_from_utc) from {table} order by all") for table in TABLES}


def everything(staging: Path) -> dict[str, Rows]:
    """Return by table all that a replay has to restore: values, revisions, landings and changes."""
    tables = [*TABLES, *(f"{table}_revision" for table in TABLES), "sync.landing", "sync.change"]
    return {table: query(staging, f"select * from {table} order by all") for table in tables}


def statuses(staging: Path) -> dict[str, int]:
    """Return how many chunks the ledger has of each status."""
    return dict(query(staging, "select status, count(*) from sync.chunk group by all"))


def has_twins(staging: Path) -> bool:
    """Say whether any hour and key occurs twice."""
    return any(
        query(staging, f"select {time_and_keys}, count(*) as times from {table} group by all having times > 1")
        for table, dataset in all_datasets().items()
        for time_and_keys in [", ".join((dataset.time_column, *dataset.keys))]
    )
