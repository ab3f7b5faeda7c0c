"""A stored dataset for runs: train and test of two regions, in a separate folder for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

import energywh
from energywh.core.paths import Home
from energywh.datasets.stored.reader import StoredDataset, load_dataset
from tests.datasets.published import publish_demo
from tests.datasets.storing import store

VERSION = "energy-20240101T000000Z-1"
GAP = "UPDATE features.hourly SET demand_mwh = NULL WHERE region = 'BPAT' AND hour_utc::DATE = DATE '2023-01-03'"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty days of January 2023, as if made of a query; a day of demand is missing in train, none in test."""
    folder = tmp_path_factory.mktemp("made") / "grid"
    home = Home(folder.parent)
    publish_demo(home, hours=480, then=[GAP])
    with energywh.open(home.path) as warehouse:
        splits = warehouse.windows(
            "features.hourly",
            target="demand_mwh",
            features=["demand_mwh", "hour_sin"],
            length=24,
            stride=24,
            purge=0,
            splits=["2023-01-15"],
            backend="numpy",
        )
        assert isinstance(splits, tuple)
        manifest = store(folder, splits, splits[0].scaler(), parquet=True)
    missing = {"demand_mwh": {"train": 24, "test": 0}, "hour_sin": {"train": 0, "test": 0}}
    replace(
        manifest,
        request=replace(manifest.request, source="select * from read_parquet('/home/someone/grid.parquet')"),
        columns=[replace(column, missing=missing[column.name]) for column in manifest.columns],
        provenance=replace(manifest.provenance, version=VERSION, models={"features.hourly": {"sql": "1"}}),
    ).with_digest().write(folder)
    return folder


@pytest.fixture
def dataset(made: Path, tmp_path: Path) -> StoredDataset:
    """The dataset; the name of its folder needs escaping in an address."""
    folder = tmp_path / "my data" / "grid"
    shutil.copytree(made, folder)
    return load_dataset(folder, backend="numpy")
