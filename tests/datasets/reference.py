"""A slow reference implementation of windows, with dictionaries and loops."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from energywh.core.time import hour_time

Value = float | None
Rows = dict[tuple[str, int], tuple[Value, Value]]  # (region, hour since 1970) -> (x, y)
EPOCH_HOUR = 464_592  # 2023-01-01T00


@dataclass(frozen=True)
class Sample:
    """One expected window; None is missing."""

    region: str
    hour: datetime
    inputs: list[tuple[Value, Value]]
    targets: list[Value]


def table_of(rows: Rows, shuffled: bool = False) -> duckdb.DuckDBPyConnection:
    """Return a database in memory with ``rows`` as table ``main.series (region, hour_utc, x, y)``."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    items = sorted(rows.items())
    if shuffled:
        items = items[1::2] + items[::2]
    data = pa.table(
        {
            "region": pa.array([region for (region, _), _ in items], pa.string()),
            "hour_utc": pa.array([hour_time(hour) for (_, hour), _ in items], pa.timestamp("us")),
            "x": pa.array([x for _, (x, _) in items], pa.float64()),
            "y": pa.array([y for _, (_, y) in items], pa.float64()),
        }
    )
    connection.register("data", data)
    connection.execute("CREATE TABLE series AS SELECT * FROM data")
    return connection


def expected(
    rows: Rows,
    regions: list[str],
    *,
    length: int,
    stride: int,
    horizon: int,
    drop: bool,
    part: tuple[int, int] | None = None,
) -> list[Sample]:
    """Return the windows to expect, with x and y as features and y as target; ``part`` is (first, end) hours."""
    span = length + max(horizon, 1)
    samples = []
    for region in regions:
        hours = [hour for name, hour in rows if name == region]
        low, high = min(hours), max(hours) + 1
        if part is not None:
            low, high = max(low, part[0]), min(high, part[1])
        next_start = low
        for start in range(low, high - span + 1):
            inputs = [rows.get((region, start + i), (None, None)) for i in range(length)]
            first = start + length if horizon else start + 1
            targets = [rows.get((region, first + i), (None, None))[1] for i in range(horizon or length)]
            if drop and (any(None in pair for pair in inputs) or None in targets):
                next_start = start + 1
                continue
            if start == next_start:
                if any(target is not None for target in targets):
                    samples.append(Sample(region, hour_time(start), inputs, targets))
                next_start = start + stride
    return samples
