"""Datasets are made again while other processes load, verify and list them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from energywh.core import folders
from energywh.core.folders import heal_folder, replacing_folder
from energywh.core.time import hour_time
from energywh.datasets.stored.manifest import FILE
from energywh.datasets.windows.windows import Windows
from tests.datasets.cutting import cut_windows
from tests.datasets.published import META
from tests.datasets.reference import EPOCH_HOUR, table_of
from tests.datasets.storing import store

# Every value of a dataset is its number, so that one that mixes two of them shows two.
READER = """
import sys
from pathlib import Path
import numpy as np
from energywh.datasets.stored.listing import list_datasets
from energywh.datasets.stored.reader import load_dataset
from energywh.datasets.stored.verify import verify
folder, stop = Path(sys.argv[1]), Path(sys.argv[2])
loads, seen, held = 0, set(), []
while not stop.exists():
    dataset = load_dataset(folder, backend="numpy", memmap=loads % 2 == 0, check=loads % 3 == 0)
    numbers = {float(value) for windows in dataset for value in np.unique(windows.frame.features.values)}
    assert len(numbers) == 1 and len(dataset) == 2, numbers
    assert verify(folder) == []
    (listed,) = list_datasets(folder.parent)
    assert listed.error is None
    held = [*held[-3:], (numbers, dataset)]  # what is mapped keeps its values
    assert all(numbers == {float(windows.frame.features.values.max())} for numbers, (windows, _) in held)
    loads, seen = loads + 1, seen | numbers
    if loads == 1:
        print("reading", flush=True)
print(loads, len(seen))
"""


def windows_of(number: float) -> Sequence[Windows]:
    """Return two splits all of whose values are ``number``."""
    with table_of({("CISO", EPOCH_HOUR + hour): (number, number) for hour in range(60)}) as connection:
        connection.execute(META)
        splits: Sequence[Windows] = cut_windows(
            connection,
            "main.series",
            target="y",
            length=6,
            stride=3,
            splits=[hour_time(EPOCH_HOUR + 30)],
            backend="numpy",
        )
        return splits


@pytest.mark.parametrize("exchanged", [True, False])
@pytest.mark.parametrize("times", [40, pytest.param(10_000, marks=pytest.mark.soak)])
def test_who_loads_a_dataset_that_is_made_again_gets_the_old_one_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, exchanged: bool
) -> None:
    monkeypatch.setattr(folders, "flush_tree", lambda folder: None)  # for speed: no power is cut here
    monkeypatch.setattr(folders, "flush", lambda path: None)
    if not exchanged:
        monkeypatch.setattr(folders, "exchange", lambda one, other: False)
    folder, stop = tmp_path / "datasets" / "set", tmp_path / "stop"

    made = [windows_of(number) for number in range(1, 6)]

    def make(number: int) -> None:
        with replacing_folder(folder, FILE) as new:
            store(new, made[number % len(made)], parquet=True)

    make(1)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(folder), str(stop)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout is not None
    if reader.stdout.readline() != "reading\n":
        pytest.fail(reader.communicate()[1])
    for number in range(times):
        make(number)
    stop.touch()
    out, errors = reader.communicate(timeout=120)
    assert reader.returncode == 0, errors
    loads, seen = map(int, out.split())
    assert loads >= seen > 2
    heal_folder(folder)
    linked = [str(folder.readlink())] if folder.is_symlink() else []
    assert sorted(path.name for path in folder.parent.iterdir()) == [*linked, "set"]
