"""A full build against bare SQL, builds of one more day, hour and month, and twelve questions, on simulated rows.

Run it with `python -m tests.benchmarks.build [--years 10] [--authorities 60]`; it wants some 12 GB of disk. Each
measurement runs in a process of its own, so that its peak memory is its own. `--years 1 3 10 --authorities 20 60` shows
how the cost grows: one table for each size.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import duckdb

from energywh.core.paths import Home
from energywh.core.time import hour_number, parse_hour
from energywh.models.build.events import BuildEvent, ModelEnded, ModelStarted
from energywh.models.build.options import BuildOptions
from energywh.models.build.runner import build
from energywh.models.versions.verify import changed_tables
from energywh.regions import regions
from energywh.simulate.backend import SimulatedBackend
from energywh.simulate.grid import Grid
from energywh.simulate.reporting import Reporting
from energywh.sources import sources
from energywh.sync.schema import open_staging
from energywh.warehouse import Warehouse
from tests.benchmarks.floor import write_floor
from tests.benchmarks.processor import Usage, measured

LAST_MONTH = "2026-01-01"
MEMORY = "4GB"

LANDINGS = {"day": 24, "day, again": 24, "hour": 1, "month": 744}

QUESTIONS = {
    "five rows": "from features.hourly limit 5",
    "count of rows": "select count(*) from features.hourly",
    "mean of a column by region and year": "select region, year(hour_utc), avg(demand_mwh) "
    "from features.hourly group by all",
    "one region, all columns": "from features.hourly where region = 'CISO'",
    "one region, a year, ten columns": "select columns('demand_(lag|mean)_.*') from features.hourly "
    "where region = 'CISO' and hour_utc >= '2025-01-01'",
    "a month of all regions, all columns": "from features.hourly "
    "where hour_utc >= '2025-06-01' and hour_utc < '2025-07-01'",
    "newest hour of each region": "select region, max(hour_utc) from features.hourly group by all",
    "ten greatest demands": "select region, hour_utc, demand_mwh from normalized.grid "
    "order by 3 desc nulls last limit 10",
    "error of the day-ahead forecast by region": "select region, avg(abs(demand_mwh - demand_forecast_mwh)) "
    "from normalized.demand group by all",
    "share of solar by month": "select date_trunc('month', hour_utc), sum(solar_mwh) / sum(fuel_sum_mwh) "
    "from normalized.grid group by all",
    "flagged hours by flag": "select demand_flag, count(*) from normalized.demand group by all",
    "generation by fuel and year": "select fuel, year(hour_utc), sum(generation_mwh) "
    "from normalized.generation group by all",
}


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


def apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return what ``work`` returns in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def run_floor(staging: Path, folder: Path) -> tuple[Usage, Usage]:
    file = folder / "floor.duckdb"
    try:
        return write_floor(staging, file)
    finally:
        file.unlink(missing_ok=True)


def run_build(home: Home) -> tuple[Usage, dict[str, float]]:
    """Build; return what all of it took, and the CPU seconds of each model that was built."""
    models: dict[str, float] = {}
    begun = Usage()

    def listener(event: BuildEvent) -> None:
        nonlocal begun
        if isinstance(event, ModelStarted):
            begun = Usage.now()
        elif isinstance(event, ModelEnded) and event.result.built:
            models[event.result.name] = Usage.now().cpu_seconds - begun.cpu_seconds

    with measured() as usage:
        build(home, options=BuildOptions(memory_limit=MEMORY), listeners=[listener])
    return usage, models


def copy_version(home: Home, folder: Path) -> Usage:
    """Copy the newest version as a build does where the file system cannot clone."""
    with measured() as usage:
        shutil.copyfile(home.energy.resolve(), folder / "copy.duckdb")
    (folder / "copy.duckdb").unlink()
    return usage


def ask(home: Home, sql: str) -> Usage:
    """Answer one question: open the file, run the query, hand over the rows as Arrow."""
    with measured() as usage, duckdb.connect(str(home.energy.resolve()), read_only=True) as connection:
        connection.sql(sql).to_arrow_table()
    return usage


def compare_rows(home: Home) -> Usage:
    """Compare all rows with what was built, as `energywh check --digests` does."""
    with measured() as usage, Warehouse(home) as warehouse:
        assert changed_tables(warehouse.connection) == []
    return usage


def row(name: str, usage: Usage, floor: Usage) -> str:
    ratio = usage.cpu_seconds / floor.cpu_seconds
    return f"| {name} | {usage.cpu_seconds:.2f} | {ratio:.3f} | {usage.seconds:.1f} | {usage.peak_gb:.1f} |"


def measure(years: int, authorities: int) -> None:
    codes = [r.code for r in regions().values() if r.kind == "authority" and r.last_date is None][:authorities]
    end = hour_number(parse_hour(LAST_MONTH)) + 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = Home(folder / "home").create()
        rows = fill(home, codes, end - years * 8766, end - 1, 1)
        print(f"\n{years} years, {len(codes)} authorities, {rows:,} staging rows; DuckDB {duckdb.__version__}\n")
        grid, floor = apart(run_floor, home.staging, folder)
        full, models = apart(run_build, home)
        print("| what | CPU-s | ratio to the floor | s | peak GB |\n|---|---|---|---|---|")
        print(row("floor: the grid alone", grid, floor))
        print(row("floor: bare SQL", floor, floor))
        print(row("full build", full, floor))
        print(row("copy of the version", apart(copy_version, home, folder), floor))
        for landing, (hours, what) in enumerate(
            [(24, "day"), (24, "day, again"), (1, "hour"), (744, "month")], start=2
        ):
            fill(home, codes, end, end + hours - 1, landing)
            end += hours
            usage, newest = apart(run_build, home)
            print(row(f"one more {what}", usage, floor))
            if what == "day, again":
                of_day = newest
        print(row("nothing new", apart(run_build, home)[0], floor))
        print(row("check --digests", apart(compare_rows, home), floor))
        for question, sql in QUESTIONS.items():
            print(row(question, apart(ask, home, sql), floor))
        for what, taken in (("the full build", models), ("one more day", of_day)):
            most = sorted(taken.items(), key=lambda item: -item[1])[:12]
            print(f"\nCPU-s of {what}: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in most))
        print(
            f"\nstaging {home.staging.stat().st_size / 1e9:.2f} GB, a version {home.energy.stat().st_size / 1e9:.2f} GB"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--years", type=int, nargs="+", default=[10])
    parser.add_argument("--authorities", type=int, nargs="+", default=[60])
    arguments = parser.parse_args()
    for years in arguments.years:
        for authorities in arguments.authorities:
            measure(years, authorities)


if __name__ == "__main__":
    main()
