"""Speed and memory of windows, as ratios measured in one run.

    python -m tests.benchmarks.windows [--years 10] [--regions 6] [--features 32 150] [--repeat 5] [--seconds 3]

Compared with (a) a generator that copies each window from NumPy into an `mx.array`, (b) one SQL query a window, (c) all
windows materialized; and with a bare copy of as much memory, into memory that is in use already. For each number of
features a warehouse of that size is made in a temporary folder, without one day a year, so that every window has a
mask to make; windows of 8,760 hours start every 24 hours.

- time to first batch: each in a cold process, imports and all, in turns;
- bytes held, and by which the memory of those processes grew;
- batches a second, in one process and in turns;
- share of time that training steps wait for batches, with and without prefetch.

A median and its ratio are shown; the load of the machine before and after.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
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
from energywh.core.paths import Home
from energywh.datasets.windows.windows import Windows
from tests.benchmarks.first_batch import WAYS
from tests.datasets.published import publish

LENGTH, STRIDE, HORIZON = 8760, 24, 24
STEPS = 20


def main() -> None:
    """For each number of features make the warehouse, measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("years", 10), ("regions", 6), ("repeat", 5), ("seconds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--features", type=int, nargs="+", default=[32, 150])
    options = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}; Python {platform.python_version()}, "
        f"DuckDB {duckdb.__version__}, MLX {mx.__version__} on {mx.default_device()}; {load()}"
    )
    for features in options.features:
        with tempfile.TemporaryDirectory() as folder:
            home = Home(Path(folder))
            columns = make(home, options.years, features, options.regions)
            print(f"\n## {options.years} years x {features} features x {options.regions} regions")
            with energywh.open(home.path) as warehouse:
                made, mapped = (cut(warehouse, columns, memmap=memmap) for memmap in (False, True))
                plain = cut(warehouse, columns, backend="numpy")
                first_batch(home, columns, made, options.repeat)
                for size in (8, 32):
                    rates(warehouse, (made, mapped, plain), size, options.seconds)
            waiting(made)
    print(f"\n{load()}")


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


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


def cut(warehouse: energywh.Warehouse, columns: list[str], **where: Any) -> Windows:
    made = warehouse.windows(
        "features.hourly", target=columns[0], length=LENGTH, stride=STRIDE, horizon=HORIZON, **where
    ).all
    assert isinstance(made, Windows)
    return made


def first_batch(home: Home, columns: list[str], made: Windows, repeat: int) -> None:
    """Print the time to a first batch of 8 in cold processes, and what is held."""
    runs: dict[str, list[list[float]]] = {kind: [] for kind in WAYS}
    arguments = [str(home.path), ",".join(columns), *map(str, (LENGTH, STRIDE, HORIZON))]
    for _ in range(repeat):
        for kind, results in runs.items():
            command = [sys.executable, "-m", "tests.benchmarks.first_batch", kind, *arguments, str(time.time())]
            results.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    medians = {kind: [statistics.median(one) for one in zip(*results, strict=True)] for kind, results in runs.items()}
    reference = medians[next(iter(WAYS))][0]
    print(f"\n{'first batch of 8, cold process':<44}{'ms':>10}{'ratio':>9}")
    for kind, (taken, _) in medians.items():
        print(f"{kind:<44}{taken * 1e3:>10,.0f}{taken / reference:>9.2f}")

    base = made.frame.axis.rows * len(columns) * 4
    print(f"\n{'bytes':<44}{'MB':>10}{'ratio':>9}")
    for name, size in (
        ("the matrix itself, float32", base),
        (f"held by {len(made):,} windows", made.nbytes),
        ("(c) every window materialized", len(made) * (LENGTH * len(columns) + HORIZON) * 4),
        *((f"process: {kind}", grown) for kind, (_, grown) in medians.items()),
    ):
        print(f"{name:<44}{size / 1e6:>10,.0f}{size / base:>9.2f}")


def rates(warehouse: energywh.Warehouse, several: tuple[Windows, Windows, Windows], size: int, seconds: float) -> None:
    """Print batches a second, shuffled, each way."""
    made, mapped, plain = several
    matrix = np.asarray(made.frame.features.values)
    shape = (size, LENGTH, matrix.shape[1])

    def orders() -> Iterator[np.ndarray]:
        generator = np.random.default_rng(0)
        while True:
            yield generator.choice(made.rows, size)

    def memory_copy() -> Iterator[None]:
        batch = np.ones(shape, np.float32)
        for rows in orders():
            for place, row in enumerate(rows):
                batch[place] = matrix[row : row + LENGTH]
            yield

    def ours(windows: Windows, *names: str) -> Iterator[None]:
        for batch in windows.batches(size, shuffle=True):
            mx.eval([getattr(batch, name) for name in names])
            yield

    def numpy() -> Iterator[None]:
        for _ in plain.batches(size, shuffle=True):
            yield

    def copied(stacked: bool) -> Iterator[None]:
        for rows in orders():
            windows = [mx.array(matrix[row : row + LENGTH]) for row in rows]
            mx.eval(mx.stack(windows) if stacked else windows)
            yield

    def queried() -> Iterator[None]:
        listed = ", ".join(f"{name}::FLOAT AS {name}" for name in made.columns)
        for region, hour in np.random.default_rng(0).permutation(made.starts):
            rows = warehouse.sql(
                f"SELECT {listed} FROM features.hourly WHERE region = '{region}' AND hour_utc >= '{hour}:00' "
                f"AND hour_utc < TIMESTAMP '{hour}:00' + INTERVAL {LENGTH + HORIZON} HOUR ORDER BY hour_utc"
            ).fetchnumpy()
            mx.eval(mx.array(np.stack([rows[name] for name in made.columns], axis=1)))
            yield

    def materialized() -> Iterator[None]:
        every = mx.array(np.stack([matrix[row : row + LENGTH] for row in made.rows[: 2 * size]]))
        generator = np.random.default_rng(0)
        while True:
            mx.eval(every[mx.array(generator.permutation(2 * size)[:size])])
            yield

    masked = ("inputs", "targets", "mask", "target_mask")
    works = {
        "a bare copy of as much memory (NumPy)": memory_copy(),
        "windows": ours(made, "inputs", "targets"),
        "windows, with masks": ours(made, *masked),
        "windows, backend='numpy'": numpy(),
        "windows, memmap=True": ours(mapped, "inputs", "targets"),
        "(a) each window copied from NumPy": copied(stacked=False),
        "(a) the same, stacked into a batch": copied(stacked=True),
        "(b) one SQL query a window": queried(),
        "(c) from windows materialized (some)": materialized(),
    }
    times = in_turns(works, seconds)
    times["(b) one SQL query a window"] *= size
    reference = next(iter(times.values()))
    print(f"\n{f'batches of {size}, {np.prod(shape) * 4 / 1e6:.0f} MB':<44}{'a second':>10}{'ratio':>9}")
    for name, taken in times.items():
        print(f"{name:<44}{1 / taken:>10,.1f}{reference / taken:>9.3f}")


def in_turns(works: dict[str, Iterator[None]], seconds: float, turns: int = 10) -> dict[str, float]:
    """Return the median seconds of a step of each; they run in turns, ``seconds`` each, under the same conditions."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        next(work)
    for _ in range(turns):
        for name, work in works.items():
            until = time.perf_counter() + seconds / turns
            while (began := time.perf_counter()) < until and next(work, work) is not work:
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(taken) for name, taken in times.items()}


def waiting(made: Windows) -> None:
    """Print the share of time that training steps wait for batches of 8, with and without prefetch."""
    weights = mx.random.normal((len(made.columns), 8)) * 0.05

    def loss(weights: mx.array, batch: Any) -> mx.array:
        hidden = mx.tanh(batch.inputs @ weights) * batch.mask[..., :1]
        return (hidden.mean(axis=(1, 2)) - batch.targets.mean(axis=1)).square().mean()

    def here(batch: Any) -> None:
        mx.eval(mx.value_and_grad(loss)(weights, batch))

    def elsewhere(batch: Any) -> None:  # as a step on another device: this processor is free meanwhile
        del batch
        time.sleep(0.1)

    steps: dict[str, Callable[[Any], None]] = {"MLX on the same cores": here, "100 ms on another device": elsewhere}
    print(f"\n{'training steps, batches of 8':<44}{'ms':>10}{'waiting':>9}")
    for name, step in steps.items():
        for prefetch in (0, 2):
            whole, share = trained(made, step, prefetch)
            print(f"{f'{name}, prefetch={prefetch}':<44}{whole * 1e3:>10,.0f}{share:>9.2%}")


def trained(made: Windows, step: Callable[[Any], None], prefetch: int) -> tuple[float, float]:
    """Return the mean seconds from step to step, and the share of them waited for a batch, the first apart."""
    batches = iter(made.batches(8, shuffle=True, prefetch=prefetch))
    waited, began = 0.0, 0.0
    for number in range(STEPS + 1):
        asked = time.perf_counter()
        batch = next(batches)
        mx.eval(batch.inputs, batch.targets, batch.mask, batch.target_mask)
        got = time.perf_counter()
        if number:
            waited += got - asked
        else:
            began = got
        step(batch)
    whole = time.perf_counter() - began
    return whole / STEPS, waited / whole


if __name__ == "__main__":
    main()
