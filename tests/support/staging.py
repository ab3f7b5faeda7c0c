"""The content of a staging file as plain rows that tests can compare."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from energywh.core.database import connect
from energywh.sources import all_datasets
from energywh.sync.schema import columns

TABLES = tuple(all_datasets())
Rows = list[tuple[Any, ...]]


def create_tables(connection: duckdb.DuckDBPyConnection, prefix: str = "") -> None:
    """Create the tables of every dataset that are not there yet; ``prefix`` names an attached database."""
    for dataset in all_datasets().values():
        kinds = {
            dataset.time_column: "timestamp",
            "known_from_utc": "timestamp",
            **dict.fromkeys(dataset.keys, "varchar"),
        }
        body = ", ".join(f"{name} {kinds.get(name, 'double')}" for name in columns(dataset))
        connection.execute(f"create schema if not exists {prefix}{dataset.source}")
        connection.execute(f"create table if not exists {prefix}{dataset.name} ({body})")
        connection.execute(
            f"create table if not exists {prefix}{dataset.name}_revision ({body}, known_until_utc timestamp)"
        )


def query(staging: Path, sql: str) -> Rows:
    """Return the rows of a query on a staging file."""
    (rows,) = _answers(staging, {"": sql}).values()
    return rows


def _answers(staging: Path, queries: Mapping[str, str]) -> dict[str, Rows]:
    """Return the rows of several queries, opening the file once."""
    connection = connect(staging, wait_seconds=120)
    try:
        return {name: connection.execute(sql).fetchall() for name, sql in queries.items()}
    finally:
        connection.close()


def values(staging: Path) -> dict[str, Rows]:
    """Return by table the current values, without when they were learnt; sorted, duplicates kept."""
    select = "select * exclude (known_from_utc) from {} order by all"
    return _answers(staging, {table: select.format(table) for table in TABLES})


def everything(staging: Path) -> dict[str, Rows]:
    """Return by table all that a replay has to restore: values, revisions, landings and changes."""
    tables = [*TABLES, *(f"{table}_revision" for table in TABLES), "sync.landing", "sync.change"]
    return _answers(staging, {table: f"select * from {table} order by all" for table in tables})


def statuses(staging: Path) -> dict[str, int]:
    """Return how many chunks the ledger has of each status."""
    return dict(query(staging, "select status, count(*) from sync.chunk group by all"))


def has_twins(staging: Path) -> bool:
    """Say whether any hour and key occurs twice."""
    twins = {
        table: f"select {', '.join((dataset.time_column, *dataset.keys))}, count(*) as times from {table} "
        "group by all having times > 1"
        for table, dataset in all_datasets().items()
    }
    return any(_answers(staging, twins).values())
