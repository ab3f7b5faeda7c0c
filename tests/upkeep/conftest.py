"""A small home with everything in it: staging, payloads, versions, exports, a dataset and settings."""

from __future__ import annotations

import shutil
from datetime import date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from energywh.cli import cli
from energywh.core.paths import Home
from energywh.core.time import utc_now
from energywh.sync.journals import Journal, JournalEntry
from energywh.sync.payloads import FileVersion, PayloadStore
from tests.datasets.published import publish_demo
from tests.models.folder import DEMAND, Desk

ASKED = ("--length", "48", "--stride", "24", "--horizon", "24", "--splits", "2023-02-10,2023-03-01")


@pytest.fixture(scope="session")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    desk = Desk(tmp_path_factory.mktemp("upkeep"), {"normalized/demand.sql": DEMAND})
    for day in (1, 2, 3):
        desk.land_demand(date(2024, day, 1), 10)
        desk.build()
    home = desk.home
    store, now = PayloadStore(home.payloads), utc_now()
    kept = tuple(store.keep("eia.region_data", f'{{"body": {number}}}'.encode() * 40) for number in range(4))
    hour = datetime(2024, 1, 1)
    store.write_journal(Journal(1, now, (JournalEntry("eia.region_data", "A", hour, hour, now, 1, kept),)))
    store.save_file_version("eia_files.balance", "2023_Jul_Dec", FileVersion("https://eia.test/file", kept[0]))
    store.close()
    for words in (("export", "--all"), ("versions", "pin", "latest~1")):
        done = CliRunner().invoke(cli, ["--home", str(home.path), *words])
        assert done.exit_code == 0, done.output
    other = Home(tmp_path_factory.mktemp("dataset"))
    publish_demo(other)
    done = CliRunner().invoke(cli, ["--home", str(other.path), "dataset", "make", "ahead", *ASKED])
    assert done.exit_code == 0, done.output
    shutil.copytree(other.datasets, home.datasets, symlinks=True)
    home.settings_file.write_text('[eia]\napi_key = "0123456789abcdef0123456789abcdef01234567"\n')
    home.settings_file.chmod(0o600)
    return home.path


@pytest.fixture
def home(made_home: Path, tmp_path: Path) -> Home:
    """A copy for each test."""
    shutil.copytree(made_home, tmp_path / "home", symlinks=True)
    return Home(tmp_path / "home")
