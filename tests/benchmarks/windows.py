"""How fast windows come, and what they hold, as ratios measured in one run.

    python -m tests.benchmarks.windows [--years 10] [--features 32] [--regions 6] [--repeat 5] [--seconds 5]

Batches are compared with (a) a generator that copies each window from NumPy into an `mx.array`, (b) one SQL query a
window, (c) all windows materialized: of these only what one batch of them takes, as they would not fit.
A warehouse of that size is made in a temporary folder; windows of 8,760 hours start every 24 hours.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import mlx.core as mx
import numpy as np

import energywh
from energywh.home import Home
from tests.datasets.published import publish

LENGTH, STRIDE, HORIZON = 8760, 24, 24


def main() -> None:
    """Make the warehouse, measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("years", 10), ("features", 32), ("regions", 6), ("repeat", 5), ("seconds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        columns = make(home, options.years, options.features, options.regions)
        print(
            f"{options.years} years x {options.features} features x {options.regions} regions, "
            f"length {LENGTH:,}, stride {STRIDE}, horizon {HORIZON}; median of {options.repeat}\n"
        )
        first_batch(home, columns, options.repeat)
        steps(home, columns, options.seconds)
        waiting(home, columns)


def make(home: Home, years: int, features: int, regions: int) -> list[str]:
    """Publish ``features.hourly`` with one absent day a year, and return its features."""
    columns = [f"f{number:03d}" for number in range(features)]
    values = ", ".join(f"sin(hour * {n + 1} / 24.0) * {n + 1} AS {name}" for n, name in enumerate(columns))
    hours = round(years * 8765.82)
    publish(
        home,
        [
            f"""
            CREATE TABLE features.hourly AS
            SELECT region, TIMESTAMP '2015-01-01' + to_hours(hour::INTEGER) AS hour_utc, {values}
            FROM range({hours}) AS h (hour) CROSS JOIN (SELECT 'R' || r AS region FROM range({regions}) AS t (r))
            WHERE hour % 8760 NOT BETWEEN 4000 AND 4023
            ORDER BY region, hour_utc
            """
        ],
    )
    return columns


def first_batch(home: Home, columns: list[str], repeat: int) -> None:
    """Time from opening to the first batch of 8, against a bare query and one copy; and what is held."""
    listed = ", ".join(f"{name}::FLOAT AS {name}" for name in columns)
    held: dict[str, Any] = {}

    def bare_query() -> None:
        with duckdb.connect(str(home.energy.resolve()), read_only=True) as connection:
            held["table"] = connection.sql(
                f"SELECT region, hour_utc, {listed} FROM features.hourly ORDER BY region, hour_utc"
            ).to_arrow_table()

    def query_and_copy() -> None:
        bare_query()
        matrix = np.empty((held["table"].num_rows, len(columns)), np.float32)
        for place, name in enumerate(columns):
            matrix[:, place] = held["table"].column(name).to_numpy()
        held["matrix"] = matrix

    def windows(kind: Any) -> None:
        with energywh.open(home.path) as warehouse:
            made = warehouse.windows(
                "features.hourly", target=columns[0], length=LENGTH, stride=STRIDE, horizon=HORIZON, as_=kind
            )
            batch = next(iter(made.batches(8, shuffle=True)))
            if kind == "mlx":
                mx.eval(batch.inputs, batch.targets, batch.mask, batch.target_mask)
            held["windows"] = made

    for kind in ("numpy", "mlx"):
        windows(kind)
    held.clear()
    times = medians(
        {
            "bare SQL query (Arrow, float32)": bare_query,
            "bare SQL query + one copy": query_and_copy,
            "open to first batch, NumPy": lambda: windows("numpy"),
            "open to first batch, MLX": lambda: windows("mlx"),
        },
        repeat,
    )
    reference = times["bare SQL query + one copy"]
    print(f"{'time to first batch':<44}{'ms':>10}{'ratio':>9}")
    for name, seconds in times.items():
        print(f"{name:<44}{seconds * 1e3:>10,.0f}{seconds / reference:>9.2f}")

    made = held["windows"]
    base = made.frame.axis.rows * len(columns) * 4
    every = len(made) * (LENGTH * len(columns) + HORIZON) * 4
    print(f"\n{'bytes':<44}{'MB':>10}{'ratio':>9}")
    for name, size in (
        ("the matrix itself, float32", base),
        (f"held by {len(made):,} windows", made.nbytes),
        ("every window materialized", every),
        ("process peak: bare query, to Arrow", peak(home, columns, "query")),
        ("process peak: windows, NumPy", peak(home, columns, "numpy")),
        ("process peak: windows, MLX", peak(home, columns, "mlx")),
        ('process peak: windows, MLX, memory="disk"', peak(home, columns, "disk")),
    ):
        print(f"{name:<44}{size / 1e6:>10,.0f}{size / base:>9.2f}")


def peak(home: Home, columns: list[str], kind: str) -> int:
    """Return the bytes by which the memory of a fresh process grows at most, imports not counted."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(growth, (home, columns, kind))


def growth(home: Home, columns: list[str], kind: Any) -> int:
    """Open, take the data as ``kind``, and return how much more memory that took at its most."""
    before = most_memory()
    with energywh.open(home.path) as warehouse:
        if kind == "query":
            listed = ", ".join(f"{name}::FLOAT AS {name}" for name in columns)
            kept: Any = warehouse.sql(f"SELECT region, hour_utc, {listed} FROM features.hourly").to_arrow_table()
        else:
            where: dict[str, Any] = {"memory": "disk"} if kind == "disk" else {"as_": kind}
            kept = warehouse.windows("features.hourly", target=columns[0], length=LENGTH, stride=STRIDE, **where)
    after = most_memory()
    del kept
    return after - before


def most_memory() -> int:
    """Return the bytes that this process has held at its most; pages of a mapped file among them."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux ru_maxrss begins with what the parent process held
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if "VmHWM" in line) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def steps(home: Home, columns: list[str], seconds: float) -> None:
    """Batches a second, shuffled, against copying from NumPy and against one SQL query a window."""
    with energywh.open(home.path) as warehouse:
        made, mapped = (
            warehouse.windows(
                "features.hourly", target=columns[0], length=LENGTH, stride=STRIDE, horizon=HORIZON, memory=memory
            )
            for memory in ("ram", "disk")
        )
        matrix = np.array(made.frame.features.values)
        targets = np.array(made.frame.targets.values)[:, 0]
        listed = ", ".join(columns)

        def ours(size: int) -> Iterator[None]:
            for batch in made.batches(size, shuffle=True):
                mx.eval(batch.inputs, batch.targets)
                yield

        def from_disk(size: int) -> Iterator[None]:
            for batch in mapped.batches(size, shuffle=True):
                mx.eval(batch.inputs, batch.targets)
                yield

        def materialized(size: int) -> Iterator[None]:
            every = [mx.array(matrix[row : row + LENGTH]) for row in made.rows[:size]]
            mx.eval(every)
            while True:
                mx.eval(mx.stack(every))
                yield

        def memory_copy(size: int) -> Iterator[None]:
            one = np.ones((size, LENGTH, len(columns)), np.float32)
            while True:
                one.copy()
                yield

        def masked(size: int) -> Iterator[None]:
            for batch in made.batches(size, shuffle=True):
                mx.eval(batch.inputs, batch.targets, batch.mask, batch.target_mask)
                yield

        def copied(size: int) -> Iterator[None]:
            order = np.random.default_rng(0).permutation(len(made))
            for low in range(0, len(made), size):
                rows = made.rows[order[low : low + size]]
                inputs = mx.stack([mx.array(matrix[row : row + LENGTH]) for row in rows])
                mx.eval(inputs, mx.array(np.stack([targets[row + LENGTH : row + LENGTH + HORIZON] for row in rows])))
                yield

        def queried(size: int) -> Iterator[None]:
            for batch in made.batches(size, shuffle=True):
                windows = []
                for region, hour in zip(batch.regions, batch.hours, strict=True):
                    rows = warehouse.sql(
                        f"SELECT {listed} FROM features.hourly WHERE region = '{region}' AND hour_utc >= '{hour}:00' "
                        f"AND hour_utc < TIMESTAMP '{hour}:00' + INTERVAL {LENGTH + HORIZON} HOUR ORDER BY hour_utc"
                    ).fetchnumpy()
                    windows.append(mx.array(np.stack([rows[name] for name in columns], axis=1, dtype=np.float32)))
                mx.eval(windows)
                yield

        for size in (8, 32):
            rates = rate_in_turns(
                {
                    "windows": ours(size),
                    "windows, with masks": masked(size),
                    'windows, memory="disk"': from_disk(size),
                    "(a) each window copied from NumPy": copied(size),
                    "(b) one SQL query a window": queried(size),
                    "(c) from windows materialized": materialized(size),
                    "a bare copy of as much memory (NumPy)": memory_copy(size),
                },
                seconds,
            )
            print(f"\n{f'batches of {size}':<44}{'a second':>10}{'ratio':>9}")
            for name, count in rates.items():
                print(f"{name:<44}{count:>10,.1f}{count / rates['windows']:>9.3f}")


def medians(works: dict[str, Callable[[], None]], repeat: int) -> dict[str, float]:
    """Return the median seconds of each, taken in turns so that all see the same machine."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeat):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(taken) for name, taken in times.items()}


def rate_in_turns(works: dict[str, Iterator[None]], seconds: float) -> dict[str, float]:
    """Return batches a second of each, from the median time; ``seconds`` for each, in turns."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        next(work)
    for _ in range(10):
        for name, work in works.items():
            until = time.perf_counter() + seconds / 10
            while (began := time.perf_counter()) < until and next(work, work) is not work:
                times[name].append(time.perf_counter() - began)
    return {name: 1 / statistics.median(taken) for name, taken in times.items()}


def waiting(home: Home, columns: list[str], count: int = 40) -> None:
    """Print the share of time that training steps of about 50 ms wait for batches of 8, with and without prefetch."""
    with energywh.open(home.path) as warehouse:
        made = warehouse.windows("features.hourly", target=columns[0], length=LENGTH, stride=STRIDE, horizon=HORIZON)
    print(f"\n{'share of time waiting, steps of 50 ms':<44}{'':>10}{'share':>9}")
    for prefetch in (0, 2):
        batches = iter(made.batches(8, shuffle=True, prefetch=prefetch))
        waited, began = 0.0, 0.0
        for step in range(count + 1):
            asked = time.perf_counter()
            batch = next(batches)
            mx.eval(batch.inputs, batch.targets, batch.mask, batch.target_mask)
            if step:
                waited += time.perf_counter() - asked
            else:
                began = time.perf_counter()  # nothing could run beside the first
            time.sleep(0.05)  # as a step on another device: this processor is free meanwhile
        share = waited / (time.perf_counter() - began)
        print(f"{f'prefetch={prefetch}':<44}{'':>10}{share:>9.4f}")


if __name__ == "__main__":
    main()
