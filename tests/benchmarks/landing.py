"""Payload bytes to committed staging rows, compared with decoding alone and with plain Python.

Run it with `python -m tests.benchmarks.landing`. 100 pages of 5,000 rows as EIA sends them. All figures come from
one run; read the ratios, not the seconds.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Queue

import msgspec

from energywh.core.time import utc_now
from energywh.simulate.server import Simulator
from energywh.sources.base import Chunk, Response
from energywh.sources.eia import DATASETS, SOURCE, Body, RegionRow
from energywh.sync.merge import Arrival, merge
from energywh.sync.schema import open_staging
from tests.support.desk import PRESENT_HOUR

PAGES = 100
PAGES_A_LANDING = 50  # as many rows as a sync lands at once (LAND_ROWS)
REPEATS = 7

Page = tuple[Chunk, bytes]


def fetch_pages() -> list[Page]:
    """Return full pages of region-data with the chunks that they answer."""
    import requests

    from energywh.core.time import hour_number, parse_hour

    first = hour_number(parse_hour("2019-01-02"))
    pages = []
    with Simulator(seed=1, now="2026-07-01T00") as simulator:
        for region in ("CISO", "ERCO"):
            for number in range(PAGES // 2):
                start = first + number * 1250
                chunk = Chunk("eia.region_data", region, start, start + 1249)
                from energywh.sources import load_settings

                settings = load_settings(overrides={"eia.url": simulator.url, "eia.api_key": "simulated-key"})
                request = SOURCE.next_request(chunk, [], settings, present_hour=PRESENT_HOUR)
                assert request is not None
                body = requests.get(request.url, params=[*request.params, *request.secrets], timeout=60).content
                pages.append((chunk, body))
    return pages


def decode_alone(pages: list[Page]) -> int:
    decoder = msgspec.json.Decoder(Body[RegionRow[str]], strict=False)
    return sum(len(decoder.decode(body).response.data) for _, body in pages)


def land_pages(pages: list[Page], path: Path) -> int:
    """Land as a sync does: decode while the earlier rows are landed."""
    answered: Queue[list[Arrival] | None] = Queue(maxsize=2)

    def decode() -> None:
        batch = []
        for chunk, body in pages:
            batch.append(Arrival(chunk, SOURCE.read(chunk, Response("benchmark", 200, body)).rows, utc_now()))
            if len(batch) == PAGES_A_LANDING:
                answered.put(batch)
                batch = []
        if batch:
            answered.put(batch)
        answered.put(None)

    threading.Thread(target=decode, daemon=True).start()
    rows = 0
    while (batch := answered.get()) is not None:
        with open_staging(path) as connection:
            connection.execute("begin")
            rows += merge(connection, DATASETS[0], batch, 1)[0].rows
            connection.execute("commit")
    return rows


def plain_python(pages: list[Page], path: Path) -> int:
    """The simple way: json.loads and executemany."""
    rows = []
    for _, body in pages:
        for row in json.loads(body)["response"]["data"]:
            value = None if row["value"] is None else float(row["value"])
            rows.append((row["period"].replace("T", " ") + ":00", row["respondent"], row["type"], value))
    with open_staging(path) as connection:
        connection.execute("create table plain (period timestamp, respondent varchar, type varchar, value double)")
        connection.execute("begin")
        connection.executemany("insert into plain values (?, ?, ?, ?)", rows)
        connection.execute("commit")
    return len(rows)


def timed(work: Callable[[], int]) -> tuple[int, float]:
    started = time.perf_counter()
    rows = work()
    return rows, time.perf_counter() - started


def main() -> None:
    pages = fetch_pages()
    print(f"{len(pages)} pages, {sum(len(body) for _, body in pages) / 1e6:.0f} MB")
    alone, first, again, rows = [], [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(REPEATS):
            path = Path(folder) / f"{number}.duckdb"
            with open_staging(path):  # a sync makes the file when it plans
                pass
            alone.append(timed(lambda: decode_alone(pages))[1])
            rows, seconds = timed(lambda path=path: land_pages(pages, path))  # type: ignore[misc]
            first.append(seconds)
            again.append(timed(lambda path=path: land_pages(pages, path))[1])  # type: ignore[misc]
        few = pages[:2]
        plain_rows, plain_seconds = timed(lambda: plain_python(few, Path(folder) / "plain.duckdb"))
    base = statistics.median(alone)
    print(f"{'':<34}{'rows/s':>12}  against decoding alone")
    for name, seconds_list in (
        ("msgspec decode alone", alone),
        ("landed, all rows new", first),
        ("landed again, unchanged", again),
    ):
        seconds = statistics.median(seconds_list)
        ratio = statistics.median(a / b for a, b in zip(alone, seconds_list, strict=True))
        print(f"{name:<34}{rows / seconds:>12,.0f}  {ratio:.2f}x")
    plain_rate = plain_rows / plain_seconds
    print(f"{'json.loads + executemany':<34}{plain_rate:>12,.0f}  {plain_rate * base / rows:.4f}x")
    print(f"unchanged against new: {statistics.median(b / a for a, b in zip(first, again, strict=True)):.2f}x the time")


if __name__ == "__main__":
    main()
