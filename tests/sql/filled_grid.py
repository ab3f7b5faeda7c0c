"""Thirteen months of invented hours of two authorities in normalized.grid, for features that look back a year.

Staging filled for so long would take minutes; features read nothing measured but normalized.grid, which a test holds
them to. No value is missing, so that each feature has one.
"""

from __future__ import annotations

from datetime import datetime
from itertools import count

import duckdb

from tests.sql.model_files import MODELS, NAMES, SETTINGS, build, column_types, graph, load_seeds, warehouse

GRID = "normalized.grid"
REGIONS = ("CISO", "BPAT")  # neighbors
FIRST, LAST = datetime(2023, 10, 20), datetime(2024, 12, 10)
FEATURES = [name for name in NAMES if MODELS[name].schema == "features"]


def measured(table: str) -> list[str]:
    """Columns of a table that hold measured numbers."""
    return [name for name, kind in column_types()[table].items() if kind in ("DOUBLE", "FLOAT")]


def build_features(con: duckdb.DuckDBPyConnection) -> None:
    """Build the features as tables, steps too."""
    for name in (name for name in graph().order if name in FEATURES):
        con.execute(f"create table {name} as {MODELS[name].sql}")


def filled_grid() -> duckdb.DuckDBPyConnection:
    """A warehouse with these hours, and without features."""
    con = warehouse()
    load_seeds(con)
    read = graph().ancestors(FEATURES)
    steps = {
        name
        for name in read
        if name not in FEATURES and MODELS[name].materialized == "inline" and GRID in graph().upstream(name)
    }
    build(con, *(name for name in graph().order if name in read and name not in {*FEATURES, *steps}))
    for name in steps:
        con.execute(f"create view {name} as {MODELS[name].sql}")
    con.execute(f"""
        insert into normalized.span by name
        select
            region,
            month_utc,
            greatest(month_utc, timestamp '{FIRST}') as first_hour_utc,
            least(month_utc + interval 1 month - interval 1 hour, timestamp '{LAST}') as last_hour_utc
        from (select unnest({list(REGIONS)}) as region), (
            select unnest(generate_series(
                date_trunc('month', timestamp '{FIRST}'), timestamp '{LAST}', interval 1 month)) as month_utc)
    """)
    values = ", ".join(
        f"round(100 + (hash(region, hour_utc, {number}) % 100000) / 7.0, 4) as {name}"
        for number, name in enumerate(measured(GRID))
    )
    con.execute(f"""
        insert into {GRID} by name
        select region, hour_utc, {values}
        from (select unnest({list(REGIONS)}) as region), (
            select unnest(generate_series(timestamp '{FIRST}', timestamp '{LAST}', interval 1 hour)) as hour_utc)
    """)
    return con


_numbers = count()


def copied(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A copy of a warehouse, in a tenth of the time that filling another takes."""
    name = f"copy_{next(_numbers)}"
    con.execute(f"attach ':memory:' as {name}; copy from database memory to {name}")
    other = con.cursor()
    other.execute(f"use {name}; {SETTINGS}")
    return other
