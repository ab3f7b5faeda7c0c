"""EIA's half-year files of real size: read into staging columns, landed and built, compared with `read_csv` alone.

Run it with `python -m tests.benchmarks.files [--halves 22] [--share 1.0] [--kinds BALANCE,INTERCHANGE,SUBREGION]`. One
file of each kind is simulated at true size and written again for every half, with its dates moved; `--share` takes the
first part of its rows. All figures come from one run; read the ratios, not the seconds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa

from energywh.core.time import hour_number, hour_time, utc_now
from energywh.models.build.options import BuildOptions
from energywh.models.build.runner import build
from energywh.simulate.api import World
from energywh.simulate.eia_files import EiaFilesApi
from energywh.simulate.grid import Grid
from energywh.simulate.hours import parse_period
from energywh.simulate.reporting import Reporting
from energywh.sources import load_settings
from energywh.sources.base import Chunk
from energywh.sources.eia_files import SOURCE, EiaFiles, FileDataset, halves, hours_of
from energywh.sync.merge import Arrival, merge
from energywh.sync.runner import sync
from energywh.sync.schema import open_staging
from energywh.sync.selection import parse_selection
from tests.support.half_year import serving
from tests.support.scripted import scripted


def true_file(kind: str, half: str, share: float) -> bytes:
    """Return a simulated file, or the first share of its rows."""
    page = EiaFilesApi(World(Grid(0), lambda: parse_period("2026-11-01T00"), Reporting()))
    body = page.file(kind, half).body
    return body if share >= 1 else body[: body.find(b"\n", int(len(body) * share)) + 1]


def moved(body: bytes, model: str, half: str) -> bytes:
    """Return the file of one half as that of another, of the same half of another year."""
    years = [(int(model[:4]) + more, int(half[:4]) + more) for more in (1, 0)]  # some hours end in the next year
    for end in (" ", ","):
        for old, _ in years:
            body = body.replace(f"/{old}{end}".encode(), f"/y{old}{end}".encode())
        for old, new in years:
            body = body.replace(f"/y{old}{end}".encode(), f"/{new}{end}".encode())
    return body


def compressed(body: bytes, path: Path) -> Path:
    with pa.OSFile(str(path), "wb") as raw, pa.CompressedOutputStream(raw, "zstd") as stream:
        stream.write(body)
    return path


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Return the best of some runs."""
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def read_csv(path: Path) -> int:
    with duckdb.connect(config={"threads": 2}) as connection:
        return len(connection.sql(f"from read_csv('{path}', compression = 'zstd', thousands = ',')").to_arrow_table())


def land(folder: Path, dataset: FileDataset, chunk: Chunk, path: Path) -> int:
    """Read a file and land it in a staging file of its own."""
    rows = SOURCE.read_file(chunk, path).rows
    staging = folder / f"{time.perf_counter_ns()}.duckdb"
    with open_staging(staging) as connection:
        connection.execute("begin")
        merge(connection, dataset, [Arrival(chunk, rows, utc_now())], 1)
        connection.execute("commit")
    staging.unlink()
    return len(rows)


def one_file(kind: str, body: bytes, half: str) -> None:
    dataset = next(one for one in EiaFiles.datasets if isinstance(one, FileDataset) and one.kind == kind)
    chunk = Chunk(dataset.name, half, *hours_of(half))
    with tempfile.TemporaryDirectory() as name:
        path = compressed(body, Path(name) / "body.zst")
        rows = read_csv(path)
        alone = seconds(lambda: read_csv(path))
        read = seconds(lambda: SOURCE.read_file(chunk, path))
        landed = seconds(lambda: land(Path(name), dataset, chunk, path))
    print(
        f"{kind:<12} {len(body) / 1e6:>6.1f} MB {rows:>10,} rows: read_csv alone {rows / alone:>9,.0f} rows/s, "
        f"read_file {rows / read:>9,.0f} ({alone / read:.2f}x), "
        f"to staging {rows / landed:>9,.0f} ({alone / landed:.2f}x)"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--halves", type=int, default=22, help="how many halves, from the newest past one back")
    parser.add_argument("--share", type=float, default=1.0, help="share of the rows of each file")
    parser.add_argument("--kinds", default="BALANCE,INTERCHANGE,SUBREGION")
    words = parser.parse_args()
    kinds = words.kinds.split(",")
    past = [half for half in halves(hour_number(utc_now())) if hours_of(half)[1] < hour_number(utc_now())]
    chosen = past[-words.halves :]
    models = {half[5:]: f"2023_{half[5:]}" for half in chosen}  # a year without a 29th of February fits any other
    bodies = {(kind, model): true_file(kind, model, words.share) for kind in kinds for model in models.values()}
    for (kind, model), body in bodies.items():
        if model == next(iter(models.values())):
            one_file(kind, body, model)
    files = {
        f"EIA930_{kind}_{half}.csv": moved(bodies[kind, models[half[5:]]], models[half[5:]], half)
        for kind in kinds
        for half in chosen
    }
    print(f"{len(files)} files, {sum(map(len, files.values())) / 1e6:,.0f} MB")
    with tempfile.TemporaryDirectory() as name, scripted(serving(files)) as server:
        overrides = {"eia_files.url": server.url, "eia_files.requests_per_second": 0.0, "payloads.retention": "0h"}
        settings = load_settings(Path(name) / "warehouse", overrides)
        names = [f"eia_files.{kind.lower()}" for kind in kinds]
        started = time.perf_counter()
        first, last = hours_of(chosen[0])[0] + 120, hours_of(chosen[-1])[1] - 120
        selection = parse_selection(names, since=_day(first), until=_day(last))
        result = sync(settings, selection)
        assert result.ok, result.errors
        rows = sum(tally.counts.rows for tally in result.tallies)
        print(f"landed {rows:,} rows in {time.perf_counter() - started:.1f} s")
        report = build(settings.home, options=BuildOptions(threads=2))
        print(f"built in {report.seconds:.1f} s")
        for model in report.models:
            if model.seconds > 1:
                print(f"  {model.name:<28} {model.rows:>12,} rows {model.seconds:>7.1f} s")


def _day(hour: int) -> str:
    return f"{hour_time(hour):%Y-%m-%d}"


if __name__ == "__main__":
    main()
