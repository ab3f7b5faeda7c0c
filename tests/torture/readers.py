"""Read the published version and a stored dataset, over and over, while both are replaced all the time."""

from __future__ import annotations

from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from energywh.core.paths import Home
from tests.torture import commands
from tests.torture.trial import Part, Trial

HOURS = 24 * 10
TABLES = ("normalized.demand", "normalized.grid")
_last: dict[Path, int] = {}  # by home, the newest number that this worker has read


def _publish(folder: Path, link: Connection) -> None:
    """Publish and make the dataset anew without end; each time all demand is a number greater by one."""
    from datetime import date

    import energywh
    from tests.models.folder import Desk

    desk = Desk(folder)
    number = 0
    while True:
        number += 1
        desk.land(
            "DELETE FROM eia.region_data",
            f"INSERT INTO eia.region_data SELECT TIMESTAMP '2024-01-01' + to_hours(h::INTEGER), r, 'D', {number}, "
            f"TIMESTAMP '2025-01-01' FROM range(1, {HOURS + 1}) t(h), (SELECT unnest(['A', 'B']) r)",
            changes={"eia.region_data": [date(2024, 1, 1)]},
        )
        desk.build()
        with energywh.open(desk.home.path) as warehouse:
            warehouse.dataset("set", source="normalized.grid", features=["demand_mwh"], length=24, stride=24)
        (folder / "published").write_text(str(number))
        if number == 1:
            link.send(str(desk.home.path))


def _newer(home: Path, what: str, number: int) -> None:
    key = home / what
    assert number >= _last.get(key, 0), f"an older state is read after a newer one: {number} after {_last[key]}"
    _last[key] = number


def read_version(home: Path, folder: Path) -> dict[str, int]:
    """Read every table of the published version, and check that it is one state, whole."""
    import duckdb

    with duckdb.connect(str(Home(home).energy), read_only=True) as connection:
        found = [
            connection.execute(f"select min(demand_mwh), max(demand_mwh), count(demand_mwh) from {table}").fetchone()
            for table in TABLES
        ]
    assert len(set(found)) == 1, f"tables of different states: {found}"
    low, high, rows = found[0] or (0, 1, 0)
    assert (low, rows) == (high, 2 * HOURS), f"not one whole state: {found}"
    _newer(home, "version", int(low))
    return {"reads of the published version": 1}


def read_dataset(home: Path, folder: Path) -> dict[str, int]:
    """Load the dataset, and check that it is one state, whole."""
    import numpy as np

    import energywh

    splits = energywh.load_dataset(Home(home).datasets / "set", backend="numpy")
    values = np.concatenate([np.ravel(batch.inputs) for windows in splits for batch in windows.batches(64)])
    assert len(values) == 2 * 24 * (HOURS // 24 - 1), f"{len(values)} values"
    numbers = np.unique(values)
    assert len(numbers) == 1, f"values of different states: {numbers}"
    _newer(home, "dataset", int(numbers[0]))
    return {"reads of a dataset": 1}


def _run(trial: Trial) -> None:
    commands.preload()
    folder = trial.folder / "published"
    folder.mkdir()
    publisher, link = commands.background(partial(_publish, folder))
    try:
        assert link.poll(120), "nothing is published"
        home = Path(link.recv())
        reads = (read_version, read_dataset)
        trial.each([(f"{number}", partial(reads[number % 2], home)) for number in range(trial.number)])
        trial.counts["publications meanwhile"] = int((folder / "published").read_text())
    finally:
        commands.end(publisher)


PART = Part(
    name="readers",
    promise="A reader that opens the warehouse or a stored dataset while they are published anew finds one whole "
    "state, and never an older one than before: no read fails or is empty.",
    unit="reads",
    standard=10_000,
    small=200,
    run=_run,
)
