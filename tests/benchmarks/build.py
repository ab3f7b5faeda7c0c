"""A full build, and builds of one more day and one more month, of ten simulated years of sixty authorities.

Run it with `python -m tests.benchmarks.build [--years 10] [--authorities 60]`; it wants some 8 GB of disk.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import duckdb

from energywh.core.paths import Home
from energywh.core.time import hour_number, parse_hour
from energywh.models.build.options import BuildOptions
from energywh.models.build.report import BuildReport
from energywh.models.build.runner import build
from energywh.models.versions.verify import changed_tables
from energywh.regions import regions
from energywh.simulate.backend import SimulatedBackend
from energywh.simulate.grid import Grid
from energywh.simulate.reporting import Reporting
from energywh.sources import sources
from energywh.sync.schema import open_staging
from energywh.warehouse import Warehouse

LAST_MONTH = "2026-01-01"


def fill(home: Home, codes: list[str], first: int, last: int, landing: int) -> int:
    """Write simulated periods `first` to `last` into staging as one landing, and return the rows."""
    backend = SimulatedBackend(Grid(0), lambda: last, Reporting(interchange_lag_hours=0, first_period=first))
    rows = 0
    with open_staging(home.staging) as connection:
        connection.execute("begin")
        for dataset in sources()["eia"].datasets:
            for batch in backend.batches(dataset.table, codes, first, last):
                connection.register("batch", batch)
                known = "timestamp '2026-01-01' as known_from_utc"
                connection.execute(f"insert into {dataset.name} by name select *, {known} from batch")
                connection.unregister("batch")
                rows += len(batch)
            connection.execute(
                "insert into sync.change select ?, ?, unnest(generate_series("
                "date_trunc('month', to_timestamp(? * 3600)::timestamp), to_timestamp(? * 3600)::timestamp, "
                "interval 1 month))::date",
                [landing, dataset.name, first - 1, last - 1],
            )
        connection.execute(
            "insert into sync.landing values (?, now()::timestamp, null, 1, ?, ?, 0, 0)", [landing, rows, rows]
        )
        connection.execute("commit")
    return rows


def report(name: str, result: BuildReport) -> None:
    print(f"\n{name}: {result.seconds:.1f} s ({result.base})")
    for model in result.models:
        if model.built:
            print(f"  {model.name:<24} {model.rows:>12,} rows {model.seconds:>7.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--authorities", type=int, default=60)
    arguments = parser.parse_args()
    codes = [r.code for r in regions().values() if r.kind == "authority" and r.last_date is None]
    codes = codes[: arguments.authorities]
    end = hour_number(parse_hour(LAST_MONTH)) + 1
    first = end - arguments.years * 8766
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home").create()
        started = time.perf_counter()
        rows = fill(home, codes, first, end - 1, 1)
        print(f"staging: {len(codes)} authorities, {rows:,} rows, written in {time.perf_counter() - started:.0f} s")
        full = build(home, options=BuildOptions())
        report("full build", full)
        ratios = []
        start = end
        for landing, (hours, name) in enumerate([(24, "day"), (24, "day"), (744, "month")], start=2):
            fill(home, codes, start, start + hours - 1, landing)
            start += hours
            one = build(home, options=BuildOptions())
            report(f"one-{name} build", one)
            ratios.append(f"{name} {full.seconds / one.seconds:.1f}x")
        began = time.perf_counter()
        with Warehouse(home) as warehouse:
            assert changed_tables(warehouse.connection) == []
        print(f"\nall rows compared with what was built (check --digests): {time.perf_counter() - began:.1f} s")
        nothing = build(home)
        print(f"\nnothing new: {nothing.seconds:.2f} s")
        print(f"full against one {', one '.join(ratios)}")
        size = sum(file.stat().st_size for file in home.versions.glob("*.duckdb"))
        staging_size = home.staging.stat().st_size
        print(f"staging {staging_size / 1e9:.2f} GB, versions {size / 1e9:.2f} GB; DuckDB {duckdb.__version__}")


if __name__ == "__main__":
    main()
