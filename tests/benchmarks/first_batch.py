"""One new process that makes a first batch of 8 by one of several methods, for `tests.benchmarks.windows`.

    python -m tests.benchmarks.first_batch KIND HOME COLUMN,... LENGTH STRIDE HORIZON BEGAN

Prints JSON: the seconds since BEGAN (`time.time` of whoever started it), imports and all, and the bytes by which memory
grew at most after the first imports.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZE = 8
BLOCK = 4096


def most_memory() -> int:
    """Return the bytes that this process has held at its most; pages of a mapped file among them."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux ru_maxrss begins with what the parent process held
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if "VmHWM" in line) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    kind, home, columns = sys.argv[1], Path(sys.argv[2]), sys.argv[3].split(",")
    length, stride, horizon = map(int, sys.argv[4:7])
    make = WAYS[kind]()
    before = most_memory()
    kept = make(home, columns, length, stride, horizon)
    seconds = time.time() - float(sys.argv[7])
    print(json.dumps([seconds, most_memory() - before]))
    del kept


def query_and_copy(order: str = "") -> Callable[..., Any]:
    """The whole table by SQL, to Arrow as float32, and one copy of it into a matrix; block by block, as is fastest."""
    import duckdb
    import numpy as np
    import pyarrow  # noqa: F401 - so that its import is not in the time of the query

    def make(home: Path, columns: list[str], *_: int) -> Any:
        listed = ", ".join(f"{name}::FLOAT AS {name}" for name in columns)
        with duckdb.connect(str((home / "energy.duckdb").resolve()), read_only=True) as connection:
            table = connection.sql(f"SELECT region, hour_utc, {listed} FROM features.hourly {order}").to_arrow_table()
        matrix = np.empty((table.num_rows, len(columns)), np.float32)
        low = 0
        for batch in table.to_batches(BLOCK):
            for place, name in enumerate(columns):
                matrix[low : low + batch.num_rows, place] = batch.column(name).to_numpy()
            low += batch.num_rows
        return matrix

    return make


def copied() -> Callable[..., Any]:
    """The same in order of time, and each window copied from it into an `mx.array`."""
    import mlx.core as mx

    matrix_of = query_and_copy("ORDER BY region, hour_utc")

    def make(home: Path, columns: list[str], length: int, stride: int, _: int) -> Any:
        matrix = matrix_of(home, columns)
        batch = mx.stack([mx.array(matrix[row : row + length]) for row in range(0, SIZE * stride, stride)])
        mx.eval(batch)
        return batch

    return make


def queried() -> Callable[..., Any]:
    """One SQL query per window."""
    import duckdb
    import mlx.core as mx
    import numpy as np

    def make(home: Path, columns: list[str], length: int, stride: int, _: int) -> Any:
        listed = ", ".join(f"{name}::FLOAT AS {name}" for name in columns)
        windows = []
        with duckdb.connect(str((home / "energy.duckdb").resolve()), read_only=True) as connection:
            for first in range(0, SIZE * stride, stride):
                rows = connection.sql(
                    f"SELECT {listed} FROM features.hourly WHERE region = 'R0' AND hour_utc >= TIMESTAMP '2015-01-01' "
                    f"+ INTERVAL {first} HOUR AND hour_utc < TIMESTAMP '2015-01-01' + INTERVAL {first + length} HOUR "
                    "ORDER BY hour_utc"
                ).fetchnumpy()
                windows.append(mx.array(np.stack([rows[name] for name in columns], axis=1)))
        mx.eval(windows)
        return windows

    return make


def windows(**where: Any) -> Callable[..., Any]:
    """The windows of energywh, from opening on, with masks."""
    import energywh

    if where.get("backend") == "numpy":
        compute: Callable[..., None] = lambda *_: None  # noqa: E731
    else:
        import mlx.core as mx

        compute = mx.eval

    def make(home: Path, columns: list[str], length: int, stride: int, horizon: int) -> Any:
        warehouse = energywh.open(home)
        made = warehouse.windows(
            "features.hourly", target=columns[0], length=length, stride=stride, horizon=horizon, **where
        ).all
        batch = next(iter(made.batches(SIZE, shuffle=True)))
        compute(batch.inputs, batch.targets, batch.mask, batch.target_mask)
        return warehouse, made, batch

    return make


WAYS: dict[str, Callable[[], Callable[..., Any]]] = {
    "bare SQL query + one copy": query_and_copy,
    "the same, ordered by region and hour": lambda: query_and_copy("ORDER BY region, hour_utc"),
    "windows": windows,
    "windows, backend='numpy'": lambda: windows(backend="numpy"),
    "windows, memmap=True": lambda: windows(memmap=True),
    "(a) each window copied from NumPy": copied,
    "(b) one SQL query a window": queried,
}

if __name__ == "__main__":
    main()
