"""What people do to published files with other programs: found, never taken over, and healed."""

from __future__ import annotations

import os
from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest

from energywh.core.paths import Home
from energywh.errors import StorageError
from energywh.models.build.view_sql import without_if
from energywh.models.catalog.check import check_digests, digest_rules
from energywh.models.versions.publish import current_version, list_versions
from energywh.models.versions.records import is_changed, require_unchanged
from energywh.models.versions.verify import changed_tables
from energywh.warehouse import Warehouse
from tests.models.folder import Desk
from tests.support.desk import typed

JANUARY, FEBRUARY = date(2024, 1, 1), date(2024, 2, 1)


def current(home: Home) -> Path:
    path = current_version(home)
    assert path is not None
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("built"))
    desk.land_demand(JANUARY, 48)
    desk.land_demand(FEBRUARY, 48)
    desk.build()
    return desk


@pytest.fixture
def desk(built: Desk, tmp_path: Path) -> Desk:
    return built.copied(tmp_path)


def test_published_files_are_read_only_and_of_the_storage_version_of_duckdb_15(desk: Desk) -> None:
    desk.land_demand(FEBRUARY, 7)
    assert desk.build().base in ("cloned", "copied")
    for version in list_versions(desk.home):
        assert version.path.stat().st_mode & 0o222 == 0
    stored = desk.query("SELECT tags['storage_version'] FROM duckdb_databases() WHERE NOT internal")
    assert stored == [("v1.5.0+",)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every file")
def test_another_program_cannot_open_a_version_for_writing(desk: Desk) -> None:
    with pytest.raises(duckdb.Error, match="Permission denied"):
        duckdb.connect(current(desk.home))


def test_what_another_program_changed_is_named_refused_and_healed(desk: Desk) -> None:
    sound = desk.contents()
    assert is_changed(current(desk.home)) is False
    path = desk.change_published(
        "UPDATE normalized.demand SET demand_mwh = 1e6 WHERE hour_utc = '2024-02-01 05:00' AND region = 'A'",
        "UPDATE seeds.fuel SET family = 'sunny' WHERE fueltype = 'SUN'",
        "DROP TABLE features.total",
    )
    assert is_changed(path) is True
    assert "published, changed by another program" in typed("--home", str(desk.home.path), "versions").stdout
    with Warehouse(desk.home) as warehouse:
        with pytest.raises(StorageError, match=r"another program wrote to energy-.*'energywh build'"):
            require_unchanged(warehouse.path)
        rules = digest_rules(warehouse.connection)
        found = {each.rule.model: each for each in check_digests(warehouse.connection, path, rules)}
        assert found.keys() == {"normalized.demand", "seeds.fuel", "features.total"}
        demand = found["normalized.demand"]
        assert (demand.first_hour_utc, demand.last_hour_utc) == (datetime(2024, 2, 1), datetime(2024, 2, 29, 23))
        assert demand.sample[0]["months"] == "2024-02"
        assert "does not exist" in found["features.total"].trouble
    report = desk.build("features.shifted")  # models that are not asked for must not come from the changed file
    assert (report.published, report.base) == (True, "fresh")
    assert desk.contents() == sound
    assert is_changed(current(desk.home)) is False


def test_a_build_goes_on_from_the_newest_version_that_nobody_changed(desk: Desk) -> None:
    first = current(desk.home)
    desk.land_demand(FEBRUARY, 7)
    desk.build()
    sound = desk.contents()
    desk.change_published("DELETE FROM normalized.demand")
    report = desk.build()
    assert (report.published, report.base in ("cloned", "copied")) == (True, True)
    assert desk.query("SELECT base_version FROM energywh.version") == [(first.stem,)]
    assert desk.contents() == sound


def test_a_table_that_another_program_adds_is_reported_and_does_not_stay(desk: Desk) -> None:
    path = desk.change_published("CREATE TABLE features.mine AS SELECT 1 AS a")
    with Warehouse(desk.home) as warehouse:
        (found,) = check_digests(warehouse.connection, path, digest_rules(warehouse.connection))
    assert (found.severity, found.holds) == ("warn", False)
    desk.build()
    assert desk.query("FROM duckdb_tables() WHERE table_name = 'mine'") == []


def test_reading_a_file_that_was_opened_for_writing_leaves_its_seal_and_a_log_breaks_it(desk: Desk) -> None:
    path = desk.change_published("FROM normalized.demand", "CREATE TEMP TABLE mine AS FROM normalized.demand")
    assert is_changed(path) is False
    path.with_name(f"{path.name}.wal").write_bytes(b"of a program that was killed")
    assert is_changed(path) is True


def test_digests_are_compared_on_demand_in_a_file_that_nothing_wrote_to(desk: Desk) -> None:
    with Warehouse(desk.home) as warehouse:
        assert changed_tables(warehouse.connection) == []
        (found,) = check_digests(warehouse.connection, warehouse.path, digest_rules(warehouse.connection), always=True)
    assert found.holds


@pytest.mark.parametrize(
    ("sql", "written"),
    [
        (
            "if(a, 'é', if(b, [1, 2], {'x': (3, 4)}))",
            "(CASE WHEN a THEN 'é' ELSE (CASE WHEN b THEN [1, 2] ELSE {'x': (3, 4)} END) END)",
        ),
        ("IF (f(a, b), 'if(x, y)', \"if\") -- if(", "(CASE WHEN f(a, b) THEN 'if(x, y)' ELSE \"if\" END) -- if("),
        ("if(a, b)", "(CASE WHEN a THEN b END)"),
        ("exists (select if, x.if from t)", "exists (select if, x.if from t)"),
    ],
)
def test_views_are_written_with_case_in_place_of_if(sql: str, written: str) -> None:
    assert " ".join(without_if(sql).split()) == written
