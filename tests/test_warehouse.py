"""Opening and querying the published warehouse."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import duckdb
import pytest

import energywh
from energywh.core.paths import Home
from energywh.errors import LockedError, StorageError, UnknownNameError, UsageError
from energywh.sources import load_settings
from tests.datasets.published import publish_demo


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "warehouse")
    publish_demo(home, hours=48)
    return home


def test_opens_the_newest_version_by_path_and_by_environment(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with energywh.open(home.path) as warehouse:
        assert warehouse.version == "energy-20240101T000000Z-1"
        assert warehouse.sql("SELECT count(*) FROM features.hourly").fetchall() == [(144,)]
    monkeypatch.setenv("ENERGYWH_HOME", str(home.path))
    with energywh.open() as warehouse:
        assert warehouse.home.path == home.path
    monkeypatch.delenv("ENERGYWH_HOME")
    monkeypatch.chdir(home.path.parent)
    with energywh.open() as warehouse:
        assert warehouse.sql("SELECT 1").fetchall() == [(1,)]


def test_the_tilde_means_the_same_to_the_command_line(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home.path.parent))
    monkeypatch.setenv("ENERGYWH_HOME", f"~/{home.path.name}")
    with energywh.open() as warehouse:
        assert warehouse.home == load_settings().home == home
    with energywh.open(f"~/{home.path.name}") as warehouse:
        assert warehouse.home == home


def test_nothing_built_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"nothing is built yet.*energywh build.*energywh demo"):
        energywh.open(tmp_path / "nowhere")


def test_an_open_warehouse_stays_as_it_was_until_refreshed(home: Home) -> None:
    with energywh.open(home.path) as warehouse:
        assert not warehouse.refresh()
        publish_demo(home, hours=24, number=2)
        assert warehouse.sql("SELECT count(*) FROM features.hourly").fetchall() == [(144,)]
        with energywh.open(home.path) as other:
            assert other.sql("SELECT count(*) FROM features.hourly").fetchall() == [(72,)]
        assert warehouse.refresh()
        assert warehouse.version.endswith("-2")
        assert warehouse.sql("SELECT count(*) FROM features.hourly").fetchall() == [(72,)]


def test_a_closed_warehouse_says_so(home: Home) -> None:
    warehouse = energywh.open(home.path)
    warehouse.close()
    warehouse.close()
    assert "closed" in repr(warehouse)
    with pytest.raises(StorageError, match="is closed"):
        warehouse.sql("SELECT 1")


def test_sql_takes_parameters_and_runs_in_utc(home: Home) -> None:
    with energywh.open(home.path) as warehouse:
        assert warehouse.sql("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]
        assert warehouse.sql("SELECT $a + 1", {"a": 2}).fetchall() == [(3,)]
        counted = warehouse.sql("SELECT count(*) FROM features.hourly WHERE region = ?", ["CISO"])
        assert counted.fetchall() == [(48,)]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT * FROM features.hourl", 'Did you mean "hourly"'),
        ("SELECT regio FROM features.hourly", 'Candidate bindings: "region"'),
        ("SELEC 1", "syntax error"),
        ("INSERT INTO normalized.region VALUES ('X', 'Y')", "read-only"),
        ("DROP TABLE features.hourly", "read-only"),
        ("-- nothing", "returns no rows"),
    ],
)
def test_wrong_sql_is_a_usage_error_that_keeps_the_hint(home: Home, query: str, says: str) -> None:
    with energywh.open(home.path) as warehouse, pytest.raises(UsageError, match=says) as caught:
        warehouse.sql(query)
    assert caught.value.exit_code == 2


def test_an_unknown_model_names_the_nearest(home: Home) -> None:
    with energywh.open(home.path) as warehouse:
        with pytest.raises(UnknownNameError, match=r"did you mean features\.hourly"):
            warehouse.windows("features.houry", target="demand_mwh", length=2, stride=1, backend="numpy")
        with pytest.raises(UsageError, match="no column 'region'"):
            warehouse.windows("SELECT 1 AS x", target="x", length=2, stride=1, backend="numpy")


def _hold(file: Path, held: multiprocessing.synchronize.Event, release: multiprocessing.synchronize.Event) -> None:
    with duckdb.connect(file) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS main.t AS SELECT 1 AS x")
        held.set()
        release.wait(30)


def test_attaching_staging_waits_for_its_writer(home: Home) -> None:
    with energywh.open(home.path) as warehouse:
        with pytest.raises(StorageError, match=r"no staging database.*energywh sync"):
            warehouse.attach_staging()
        context = multiprocessing.get_context("spawn")
        held, release = context.Event(), context.Event()
        writer = context.Process(target=_hold, args=(home.staging, held, release))
        writer.start()
        try:
            assert held.wait(30)
            with pytest.raises(LockedError, match=rf"process {writer.pid}"):
                warehouse.attach_staging(wait_seconds=0.2)

            def on_wait(text: str) -> None:
                said.append(text)
                release.set()

            said: list[str] = []
            warehouse.attach_staging(wait_seconds=30, on_wait=on_wait)
            warehouse.attach_staging()  # again, which does nothing
        finally:
            release.set()
            writer.join(30)
        assert said[0].startswith("waiting for ")
        assert "staging.duckdb, held by process" in said[0]
        assert warehouse.sql("SELECT x FROM staging.main.t").fetchall() == [(1,)]


def test_a_staging_file_that_is_not_a_database_is_named(home: Home) -> None:
    home.staging.write_bytes(b"<html>" * 1000)
    with energywh.open(home.path) as warehouse, pytest.raises(StorageError, match="is not a DuckDB database"):
        warehouse.attach_staging()


@pytest.mark.parametrize("path", [3, b"warehouse", ["warehouse"]])
def test_a_value_that_is_not_a_path_cannot_be_opened(path: Any) -> None:
    with pytest.raises(UsageError, match=r"open\(\) takes the path of the warehouse's folder"):
        energywh.open(path)


def test_every_error_is_exported() -> None:
    from energywh import errors

    tree = [name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, Exception)]
    assert set(tree) <= set(energywh.__all__)
    assert all(getattr(energywh, name) is getattr(errors, name) for name in tree)
