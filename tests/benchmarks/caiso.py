"""A day of CAISO's prices to committed staging rows, compared with reading its CSV alone.

Run it with `python -m tests.benchmarks.caiso`. The day is the recorded one of 162,848 rows where it is there
(`../shared/data/recorded`), else a simulated one of 1,700 nodes. All figures come from one run; read the ratios, not
the seconds. pandas is measured where it is installed; nothing here needs it.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from energywh.core.time import utc_now
from energywh.simulate.server import Simulator
from energywh.sources.base import ALL_SLICES, Chunk, Response
from energywh.sources.caiso import SOURCE, first_hour_of, operating_day
from energywh.sync.merge import Arrival, merge
from energywh.sync.schema import open_staging
from tests.support.desk import PRESENT_HOUR

REPEATS = 7
RECORDED = (
    Path(__file__).parents[3] / "shared/data/recorded/caiso/SingleZip_PRC_LMP_DAM_20200101_20200101_all-APnodes.zip"
)
DATASET = SOURCE.dataset("caiso.price_dam")


def price_day() -> tuple[str, Chunk, bytes]:
    """Return where the day is from, the chunk that it answers, and the zip."""
    from energywh.core.time import hour_number, parse_hour

    if RECORDED.exists():
        first = hour_number(parse_hour("2020-01-02"))
        return "recorded", Chunk(DATASET.name, ALL_SLICES, first, first + 23), RECORDED.read_bytes()
    day = operating_day(hour_number(parse_hour("2025-06-02T12")))
    chunk = Chunk(DATASET.name, ALL_SLICES, first_hour_of(day), first_hour_of(day + 1) - 1)
    with Simulator(seed=1, now="2026-01-01T00") as simulator:
        from energywh.sources import load_settings

        request = SOURCE.next_request(
            chunk, [], load_settings(overrides={"caiso.url": simulator.urls["caiso"]}), present_hour=PRESENT_HOUR
        )
        assert request is not None
        import requests

        return "simulated", chunk, requests.get(request.url, params=request.params, timeout=60).content


def unpacked(body: bytes) -> list[bytes]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return [archive.read(name) for name in archive.namelist()]


def with_pandas(body: bytes) -> int:
    """The simple way: read the CSV into a frame and parse its times."""
    import pandas

    frames = [pandas.read_csv(io.BytesIO(content)) for content in unpacked(body)]
    frame = pandas.concat(frames)
    frame["INTERVALSTARTTIME_GMT"] = pandas.to_datetime(frame["INTERVALSTARTTIME_GMT"])
    return len(frame)


def with_pyarrow(body: bytes) -> int:
    """The whole CSV into a table, types guessed."""
    from pyarrow import BufferReader, csv

    return sum(len(csv.read_csv(BufferReader(content))) for content in unpacked(body))


def to_rows(chunk: Chunk, body: bytes) -> int:
    return len(SOURCE.read(chunk, Response("benchmark", 200, body)).rows)


def to_staging(chunk: Chunk, body: bytes, path: Path) -> int:
    """Read, check and land, as a sync does with one answer."""
    rows = SOURCE.read(chunk, Response("benchmark", 200, body)).rows
    with open_staging(path) as connection:
        connection.execute("begin")
        merge(connection, DATASET, [Arrival(chunk, rows, utc_now())], 1)
        connection.execute("commit")
    return len(rows)


def timed(work: Callable[[], int]) -> tuple[int, float]:
    started = time.perf_counter()
    rows = work()
    return rows, time.perf_counter() - started


def main() -> None:
    where, chunk, body = price_day()
    print(f"a {where} day of prices: {len(body) / 1e6:.1f} MB, {sum(map(len, unpacked(body))) / 1e6:.1f} MB of CSV")
    works: dict[str, Callable[[], int]] = {
        "pyarrow alone, every column": lambda: with_pyarrow(body),
        "read and checked (caiso.read)": lambda: to_rows(chunk, body),
    }
    try:
        import pandas  # noqa: F401
    except ImportError:
        print("pandas is not installed: left out")
    else:
        works = {"pandas alone": lambda: with_pandas(body), **works}
    seconds: dict[str, list[float]] = {}
    rows = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(REPEATS):
            path = Path(folder) / f"{number}.duckdb"
            with open_staging(path):  # a sync makes the file when it plans
                pass
            landing = {
                "to staging, all rows new": lambda path=path: to_staging(chunk, body, path),  # type: ignore[misc]
                "to staging again, unchanged": lambda path=path: to_staging(chunk, body, path),  # type: ignore[misc]
            }
            for name, work in {**works, **landing}.items():
                rows, spent = timed(work)
                seconds.setdefault(name, []).append(spent)
    base = next(iter(seconds))
    print(f"{'':<34}{'rows/s':>12}  time against {base}")
    for name, spent in seconds.items():
        ratio = statistics.median(b / a for a, b in zip(seconds[base], spent, strict=True))
        print(f"{name:<34}{rows / statistics.median(spent):>12,.0f}  {ratio:.2f}x")


if __name__ == "__main__":
    main()
