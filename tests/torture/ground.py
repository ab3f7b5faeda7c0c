"""A small warehouse in the states that commands begin from, and what people see of one."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from energywh.core.paths import Home
from tests.models.folder import FUEL_CSV, MODELS, write_models
from tests.torture import commands

KEY = "Zx81kT0pSecretKeyOfTheTorture0123456789ab"
DATASETS = ("eia.region_data", "caiso.load", "open_meteo.hourly")
REGIONS = ("--region", "CISO", "--since", "2024-03-01")
DATASET = ("dataset", "make", "set")
DATASET_OPTIONS = ("--source", "normalized.grid", "--target", "demand_mwh", "--length", "6", "--stride", "3")
KEPT = (".export", ".lock")  # hidden, and part of a home
TABLES = ("normalized.demand", "normalized.grid", "features.rolling", "features.total")


@dataclass(frozen=True)
class Ground:
    """A simulator that runs, and homes to copy: `two_days`, `three_days` and `published` after a build of these."""

    folder: Path
    urls: dict[str, str]
    simulator: int  # its process
    link: Connection = field(repr=False)  # which ends it when it is closed

    def environment(self, home: Path) -> dict[str, str]:
        """Return the environment of a command on a home. Its state lies in the home's folder, so that it is watched."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        ours = {"HOME": home / "warehouse", "STATE_FOLDER": home / "state", "SYNC_JOBS": 1, "BUILD_THREADS": 1}
        ours |= {f"{source.upper()}_URL": url for source, url in self.urls.items()}
        ours |= {f"{source.upper()}_REQUESTS_PER_SECOND": 500 for source in self.urls}
        named = {f"ENERGYWH_{name}": str(value) for name, value in ours.items()}
        return {**kept, **named, "EIA_API_KEY": KEY, "TORTURE_SQL": str(self.folder / "sql"), "COLUMNS": "200"}

    def run(self, home: Path, *words: str, **disturbances: Any) -> commands.Ended:
        return commands.run(self.environment(home), *words, **disturbances)

    def copy(self, state: str, name: str) -> Path:
        """Return a copy of a state, with which a case can do what it likes."""
        target = self.folder / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.folder / state, target, symlinks=True)
        return target

    def close(self) -> None:
        commands.end(self.simulator)


def prepare(folder: Path) -> Ground:
    """Return the ground, made below ``folder``."""
    folder = folder.resolve()
    simulator, link = commands.background(simulate)
    assert link.poll(60), "the simulator does not start"
    ground = Ground(folder, link.recv(), simulator, link)
    models = write_models(folder / "sql", MODELS)
    (models / "seeds" / "fuel.csv").write_text(FUEL_CSV)
    (folder / "nothing").mkdir(parents=True)
    first = ground.copy("nothing", "two_days")
    _must(ground, first, "sync", *DATASETS, *REGIONS, "--until", "2024-03-02")
    _must(ground, first, "build")
    _must(ground, first, "export", "--all")
    _must(ground, first, *DATASET, *DATASET_OPTIONS)
    second = ground.copy("two_days", "three_days")
    _must(ground, second, "sync", *DATASETS, *REGIONS, "--until", "2024-03-03")
    third = ground.copy("three_days", "published")
    _must(ground, third, "build")
    return ground


def _must(ground: Ground, home: Path, *words: str) -> None:
    done = ground.run(home, *words)
    assert done.status == 0, f"{' '.join(words)}: {done}"


def simulate(link: Connection) -> None:
    """Serve all sources until the other end of the link is closed, after sending their addresses."""
    from energywh.simulate.server import Simulator
    from tests.support.few import few_regions

    few = Simulator(seed=5, now="2026-01-01T00", atlas=few_regions())  # so that half-year files are small
    with Simulator(seed=5, now="2026-01-01T00", api_key=KEY) as simulator, few:
        link.send({**simulator.urls, "eia_files": few.urls["eia_files"]})
        link.poll(None)  # until the other end is closed


def staging_of(home: Path) -> dict[str, Any]:
    """Return the rows of staging by table, without when they were learned."""
    from tests.support.staging import has_twins, values

    staging = Home(home / "warehouse").staging
    if not staging.exists():
        return {}
    assert not has_twins(staging), "a row is there twice"
    return {table: rows for table, rows in values(staging).items() if rows}


def ledger_of(home: Path) -> dict[str, int]:
    """Return how many chunks have each status."""
    from tests.support.staging import statuses

    return statuses(Home(home / "warehouse").staging)


def published_of(home: Path) -> dict[str, Any]:
    """Return the rows of the published tables."""
    import duckdb

    with duckdb.connect(str(Home(home / "warehouse").energy), read_only=True) as connection:
        return {table: connection.execute(f"from {table} order by all").fetchall() for table in TABLES}


def exported_of(home: Path) -> dict[str, Any]:
    """Return the rows of each exported file, by path."""
    import duckdb

    folder = Home(home / "warehouse").parquet
    files = [path for path in sorted(folder.rglob("*.parquet")) if not path.name.startswith(".")]
    with duckdb.connect() as connection:
        return {
            str(path.relative_to(folder)): connection.execute(
                "select * from read_parquet(?, hive_partitioning = false) order by all", [str(path)]
            ).fetchall()
            for path in files
        }


def dataset_of(home: Path) -> str:
    """Return a digest of what training sees of the stored dataset."""
    import numpy as np

    from energywh import load_dataset

    digest = hashlib.sha256()
    for windows in load_dataset(Home(home / "warehouse").datasets / "set", backend="numpy"):
        for batch in windows.batches(16):
            for array in (batch.inputs, batch.targets, batch.mask):
                digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def leftovers_of(home: Path) -> list[Path]:
    """Return hidden files that a command leaves only when it is killed."""
    return sorted(path for path in home.rglob(".*") if path.name not in KEPT)
