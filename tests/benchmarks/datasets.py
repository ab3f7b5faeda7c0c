"""Make and read a training set of ten years x 60 regions x 150 features within a memory limit.

    python -m tests.benchmarks.datasets [--years 10] [--regions 60] [--features 150] [--limit 3] [--batches 40]
        [--normalize zscore] [--home FOLDER]

The process that measures may hold no more than ``--limit`` GB of its own: on Linux RLIMIT_DATA makes it fail beyond
that. Pages of a mapped file are not among them: they are a cache of the system, which takes them back when somebody
needs memory. Peak RSS counts both. It wants some 20 GB of disk, in the folder for temporary files.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import energywh
from energywh.core.paths import Home
from energywh.datasets.windows.windows import Windows
from tests.benchmarks.first_batch import most_memory
from tests.datasets.published import publish

LENGTH, STRIDE, HORIZON, SIZE = 8760, 24, 24, 8
ASKED: dict[str, Any] = {
    "target": "f000",
    "length": LENGTH,
    "stride": STRIDE,
    "horizon": HORIZON,
    "splits": ("2022-01-01", "2023-01-01"),
    "borrow_context": True,
}
FAMILY = 10  # columns of one source, which are missing together


def main() -> None:
    """Make the warehouse, and measure in separate processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("years", 10), ("regions", 60), ("features", 150), ("batches", 40)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--limit", type=float, default=3, help="GB that the measured process may hold")
    parser.add_argument("--normalize", help="such as zscore; by default values stay as they are")
    parser.add_argument("--home", type=Path, help="where to make the warehouse, and to find it the next time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(options.home or Path(folder))
        began = time.perf_counter()
        if not home.energy.exists():
            make(home, options.years, options.regions, options.features)
        print(
            f"{options.years} years x {options.regions} regions x {options.features} features: "
            f"{home.energy.stat().st_size / 1e9:.2f} GB of DuckDB in {time.perf_counter() - began:.0f} s; "
            f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; limit {options.limit:g} GB"
        )
        alone(windows_from_disk, home.path, options.limit, options.batches, options.normalize)
        alone(stored, home.path, options.limit, options.batches, options.normalize)
        print(f"load {os.getloadavg()[0]:.1f}")


def make(home: Home, years: int, regions: int, features: int) -> None:
    """Publish ``features.hourly``: daily and yearly waves of different size, families of them missing now and then."""
    hours = round(years * 8765.82)
    families = range(-(-features // FAMILY))
    down = ", ".join(f"hash(region, hour // 12, {family}) % 50 = 0 AS down{family}" for family in families)
    columns = ", ".join(
        f"CASE WHEN NOT down{n // FAMILY} THEN round("
        f"level * (1 + {0.1 + n % 7 / 20} * sin((hour + {n}) / 24.0 * 2 * pi()) "
        f"+ 0.2 * cos((hour - {60 * n}) / 8766.0 * 2 * pi())) + noise % {7 + n}, 1)::FLOAT END AS f{n:03d}"
        for n in range(features)
    )
    publish(
        home,
        [
            f"""
            CREATE TABLE features.hourly AS
            SELECT region, TIMESTAMP '2015-01-01' + to_hours(hour::INTEGER) AS hour_utc, {columns}
            FROM (
                SELECT format('R{{:02d}}', region) AS region, hour, {down},
                    1000 * (1 + region) AS level, hash(region, hour) AS noise
                FROM (SELECT i // {hours} AS region, i % {hours} AS hour FROM range({hours * regions}) AS numbers (i))
            )
            WHERE noise % 2000 <> 0  -- an hour without a row
            """,
            """
            INSERT INTO energywh.model (name, materialized, grain, time_column, lookahead_hours, lookback_hours)
            VALUES ('features.hourly', 'table', ['region', 'hour_utc'], 'hour_utc', 0, 0)
            """,
            """
            INSERT INTO energywh.month
            SELECT 'features.hourly', date_trunc('month', hour_utc)::DATE, count(*), sum(hash(f000, f001))::VARCHAR
            FROM features.hourly GROUP BY 2
            """,
        ],
    )


def alone(work: Any, *arguments: Any) -> None:
    """Run ``work`` in a new process; exit with it if it fails."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(f"{work.__name__} ended with {process.exitcode}")


@contextmanager
def measured(name: str) -> Iterator[None]:
    """Print the time and the peak memory of the process so far."""
    began = time.perf_counter()
    yield
    print(
        f"{name:<56}{time.perf_counter() - began:>8.1f} s   peak RSS {most_memory() / 1e9:.2f} GB, "
        f"own now {own_memory() / 1e9:.2f} GB",
        flush=True,
    )


def own_memory() -> float:
    """Return the private memory of this process in bytes, without pages of mapped files; NaN where unknown."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    return next(float(line.split()[1]) for line in status.read_text().splitlines() if "RssAnon" in line) * 1024


def windows_from_disk(home: Path, limit: float, batches: int, normalize: Any) -> None:
    """Windows of every region in a mapped file, and some batches of them."""
    size = limit_memory(limit)
    with energywh.open(home) as warehouse:
        warehouse.connection.execute(f"SET memory_limit = '{size // 4_000_000}MB'")
        with measured(f"windows, memmap=True, normalize={normalize!r}"):
            train, _, _ = warehouse.windows("features.hourly", **ASKED, normalize=normalize, memmap=True)
    print(f"{train!r}, {train.disk_nbytes / 1e9:.2f} GB in a file")
    take(train, batches)


def stored(home: Path, limit: float, batches: int, normalize: Any) -> None:
    """A stored dataset of the same windows, made, asked again, loaded, and some batches of it."""
    limit_memory(limit)
    with energywh.open(home) as warehouse:
        with measured(f"dataset made, normalize={normalize!r}"):
            made = warehouse.dataset("benchmark", "features.hourly", **ASKED, normalize=normalize, full=True)
        with measured("dataset asked again, nothing new"):
            warehouse.dataset("benchmark")
    size = sum(file.bytes for file in made.manifest.files.values())
    print(f"{len(made.manifest.files)} files, {size / 1e9:.2f} GB")
    for check in (True, False):
        with measured(f"load_dataset, memmap=True, check={check}"):
            train, _, _ = energywh.load_dataset(made.folder, memmap=True, check=check)
    take(train, batches)


def limit_memory(limit: float) -> int:
    """Limit the private memory of this process, where the system can; return the limit in bytes."""
    size = round(limit * 1e9)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    return size


def take(train: Windows, batches: int) -> None:
    """Take some batches, in order and shuffled."""
    import mlx.core as mx

    for shuffle, name in ((False, "in order"), (True, "shuffled")):
        with measured(f"{batches} batches of {SIZE}, {name}, with masks"):
            for batch, _ in zip(train.batches(SIZE, shuffle=shuffle, prefetch=2), range(batches), strict=False):
                mx.eval(batch.inputs.sum(), batch.targets, batch.mask, batch.target_mask)
            del batch


if __name__ == "__main__":
    main()
