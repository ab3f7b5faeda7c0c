"""Warehouses as earlier energywh wrote them: `python -m tests.support.old_homes [NAME…]` makes those that are missing.

For each it takes the tree of a commit out of git, and lets that energywh sync two days of its own simulated EIA, build,
export, and make a dataset where it knows how to. What the folder then holds is kept in `tests/fixtures/homes`.

After a change of a schema number, add the last commit that wrote the number before.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "fixtures" / "homes"
KEY = "simulated-key-of-an-old-home-0123456789"
FIRST, LAST = "2024-03-01", "2024-03-02"
DATASETS = ("eia.region_data", "eia.fuel_type_data")


@dataclass(frozen=True)
class OldHome:
    """A warehouse that an earlier energywh wrote.

    Attributes:
        commit: the tree that wrote it.
        staging, version, dataset: the schema number of each; None where it had no such thing.
        sources: datasets of other sources that it synced too.
    """

    name: str
    commit: str
    staging: int
    version: int
    dataset: int | None = None
    sources: tuple[str, ...] = ()
    dataset_command: tuple[str, ...] = ("dataset", "make")

    @property
    def file(self) -> Path:
        return FOLDER / f"{self.name}.tar.xz"

    def unpack(self, folder: Path) -> Path:
        """Unpack it into ``folder`` and return the home."""
        with tarfile.open(self.file) as archive:
            archive.extractall(folder, filter="data")
        return folder / "warehouse"


OLD_HOMES = (
    OldHome("when-planned", "6043993", 1, 1),
    OldHome("rows-with-value", "50bd3b1", 1, 2),
    OldHome("version-records", "94d0606", 1, 3, sources=("caiso.load",)),
    OldHome("values-by-month", "3110ae4", 1, 4),
    OldHome("own-models", "77864ff", 1, 5),
    OldHome("datasets", "3d850fd", 1, 5, 1, dataset_command=("dataset",)),
    OldHome("gaps", "6f8d537", 1, 5, 1),
)


@contextmanager
def _simulator(tree: Path, environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """Serve the simulator of a tree, and yield the variables that it prints."""
    words = ("simulate", "--port", "0", "--time-scale", "0", "--now", "2026-01-01T00", "--api-key", KEY)
    process = subprocess.Popen(_command(*words), cwd=tree, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        printed = ""
        for line in process.stdout:
            printed += line
            if "energywh sync" in line:
                break
        yield dict(re.findall(r"(\w+_(?:URL|KEY))=(\S+)", printed))
    finally:
        process.terminate()
        process.wait()


def _command(*words: str) -> list[str]:
    return [sys.executable, "-u", "-m", "energywh", *words]


def make(home: OldHome) -> None:
    """Make the fixture of a home."""
    with tempfile.TemporaryDirectory() as name:
        tree, work = Path(name) / "tree", Path(name) / "work"
        tree.mkdir()
        work.mkdir()
        archive = subprocess.run(
            ["git", "archive", home.commit, "energywh", "sql"], cwd=ROOT, check=True, stdout=subprocess.PIPE
        ).stdout
        subprocess.run(["tar", "-x", "-C", str(tree)], input=archive, check=True)
        # The paths that a home remembers are to be short, and none of this machine's.
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("ENERGYWH_", "EIA_"))},
            "ENERGYWH_HOME": "warehouse",
            "ENERGYWH_STATE_FOLDER": "warehouse/state",
            "PYTHONPATH": str(tree),
        }
        with _simulator(tree, environment) as variables:
            environment |= variables

            def run(*words: str) -> None:
                subprocess.run(_command(*words), cwd=work, env=environment, check=True)

            days = ("--since", FIRST, "--until", LAST)
            for source in (*DATASETS, *home.sources):
                run("sync", source, *days, *(("--region", "CISO") if source in DATASETS else ()))
            run("build")
            run("export", "normalized.demand")
            if home.dataset is not None:
                words = (*home.dataset_command, "old", "--source", "normalized.demand", "--target", "demand_mwh")
                run(*words, "--length", "6", "--stride", "6", "--splits", LAST, "--purge", "0", "--normalize", "zscore")
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tarfile.open(home.file, "w:xz") as packed:
            packed.add(work / "warehouse", "warehouse")
    print(f"{home.file.name}: {home.file.stat().st_size:,} bytes")


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for each in OLD_HOMES:
        if each.name in wanted or (not wanted and not each.file.exists()):
            make(each)
