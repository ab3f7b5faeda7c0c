"""Parquet export: the files written, the files left unchanged, and the state after a killed export."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars
import pyarrow.dataset
import pyarrow.parquet
import pytest

import energywh
from energywh.core.checksums import Hashed
from energywh.core.paths import Home, sql_dir
from energywh.datasets import parquet_export as exporting
from energywh.datasets.parquet_export import Exported, export_models
from energywh.errors import LockedError, StorageError, UnknownNameError, UsageError
from energywh.models.project.graph import link
from energywh.models.project.project import load_project
from tests.datasets.published import publish_demo
from tests.models.folder import Desk

HOURLY = "features.hourly"
ALL = ("features.evening", HOURLY, "normalized.region")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "warehouse")
    publish_demo(home)  # 90 days: January to March 2023
    return home


def export(home: Home, names: list[str] | None, **options: Any) -> dict[str, Exported]:
    with energywh.open(home.path) as warehouse:
        return {done.model: done for done in export_models(warehouse.connection, home, names, **options)}


def files(home: Home, model: str) -> dict[str, tuple[int, int]]:
    """Return inode and change time of every Parquet file of a model."""
    folder = home.parquet / model
    return {
        file.relative_to(folder).as_posix(): (file.stat().st_ino, file.stat().st_mtime_ns)
        for file in sorted(folder.rglob("*.parquet"))
    }


def test_a_file_a_month_sorted_and_described(home: Home) -> None:
    report = export(home, [HOURLY])[HOURLY]
    assert (report.written, report.skipped, report.removed) == (3, 0, 0)
    assert report.rows == report.total_rows == 3 * 24 * 90
    assert list(files(home, HOURLY)) == [f"export_year=2023/2023-0{month}.parquet" for month in (1, 2, 3)]
    file = pyarrow.parquet.ParquetFile(home.parquet / HOURLY / "export_year=2023" / "2023-02.parquet")
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    metadata = file.metadata.metadata
    assert metadata[b"energywh:description"] == b"One row an hour and region."
    assert metadata[b"energywh:column:demand_mwh"] == b"Demand, MWh."
    keys = file.read(["region", "hour_utc"]).to_pylist()
    assert keys == sorted(keys, key=lambda row: (row["region"], row["hour_utc"]))
    assert len(keys) == 3 * 24 * 28
    assert report.total_bytes == sum(file.stat().st_size for file in (home.parquet / HOURLY).rglob("*.parquet"))


def test_every_reader_gets_the_rows_of_the_model(home: Home) -> None:
    export(home, [HOURLY])
    folder = home.parquet / HOURLY
    with energywh.open(home.path) as warehouse:
        wanted = warehouse.sql(f"SELECT * FROM {HOURLY} ORDER BY region, hour_utc").to_arrow_table()
    pattern = folder / "**" / "*.parquet"
    with duckdb.connect() as connection:
        found = connection.sql(
            f"SELECT * EXCLUDE (export_year) FROM read_parquet('{pattern}', hive_partitioning = true) "
            "WHERE export_year = 2023 ORDER BY region, hour_utc"
        ).to_arrow_table()
    assert found.equals(wanted)
    dataset = pyarrow.dataset.dataset(folder, partitioning="hive")
    table = dataset.to_table(filter=pyarrow.dataset.field("export_year") == 2023).drop_columns(["export_year"])
    assert table.sort_by([("region", "ascending"), ("hour_utc", "ascending")]).equals(wanted)


def read_by(reader: str, folder: Path) -> Any:
    """Return the files of a folder as an Arrow table, read as users of a library do."""
    if reader == "pyarrow":  # and pandas, whose read_parquet calls this
        return pyarrow.parquet.read_table(folder)
    if reader == "polars folder":
        return polars.read_parquet(folder).to_arrow()
    if reader == "polars":
        return polars.scan_parquet(folder / "**" / "*.parquet", hive_partitioning=True).collect().to_arrow()
    with duckdb.connect() as connection:
        return connection.sql(f"FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = true)").to_arrow_table()


@pytest.mark.parametrize("reader", ["pyarrow", "polars", "polars folder", "duckdb"])
def test_a_model_keeps_its_own_year_and_month_columns_with_every_reader(home: Home, reader: str) -> None:
    own = [f"ALTER TABLE features.hourly ADD COLUMN {name} INTEGER" for name in ("year", "month", "export_month")]
    values = "UPDATE features.hourly SET year = 1999, month = hour(hour_utc), export_month = -1"
    publish_demo(home, number=2, then=["DROP VIEW features.evening", *own, values])
    export(home, [HOURLY])
    table = read_by(reader, home.parquet / HOURLY)
    assert table.num_rows == 3 * 24 * 90
    assert set(table["year"].to_pylist()) == {1999}
    assert set(table["export_month"].to_pylist()) == {-1}
    assert table["month"].to_pylist() == [hour.hour for hour in table["hour_utc"].to_pylist()]
    assert {int(year) for year in table["export_year"].to_pylist()} == {2023}


@pytest.mark.parametrize("name", ["export_year", "Export_Year"])
def test_a_column_named_as_the_folders_of_a_year_is_refused_before_anything_is_written(home: Home, name: str) -> None:
    publish_demo(home, number=2, then=["DROP VIEW features.evening", f"ALTER TABLE {HOURLY} RENAME note TO {name}"])
    with pytest.raises(UsageError, match=rf"features\.hourly: its column '{name}'.*rename"):
        export(home, ["normalized.region", HOURLY])
    assert not home.parquet.exists()


def test_a_target_whose_path_sets_a_column_of_the_model_is_refused(home: Home, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'REGION=west' in its path.* own column 'region'.*--to"):
        export(home, [HOURLY], folder=tmp_path / "REGION=west" / "parquet")
    assert export(home, [HOURLY], folder=tmp_path / "owner=west")[HOURLY].written == 3


def test_no_shipped_model_has_a_column_named_as_the_folders_of_a_year() -> None:
    columns = {column for model in link(load_project(sql_dir())).models.values() for column in model.columns}
    assert "region" in columns
    assert exporting.YEAR_KEY not in {column.casefold() for column in columns}


def test_nothing_new_writes_nothing(home: Home) -> None:
    export(home, None)
    before = {model: files(home, model) for model in (HOURLY, "features.evening", "normalized.region")}
    manifest = home.parquet / ".export" / f"{HOURLY}.json"
    inode = manifest.stat().st_ino
    again = export(home, None)
    assert sorted(again) == ["features.evening", HOURLY, "normalized.region"]
    assert all(report.written == report.rows == 0 for report in again.values())
    assert again[HOURLY].skipped == 3
    assert again[HOURLY].total_rows == 3 * 24 * 90
    assert {model: files(home, model) for model in before} == before
    assert manifest.stat().st_ino == inode


def test_only_changed_months_are_rewritten_and_vanished_ones_removed(home: Home) -> None:
    export(home, None)
    before = files(home, HOURLY)
    evening = files(home, "features.evening")
    publish_demo(
        home,
        number=2,
        then=[
            "UPDATE features.hourly SET demand_mwh = 1 WHERE region = 'CISO' AND hour_utc = '2023-02-10 20:00'",
            "DELETE FROM features.hourly WHERE hour_utc >= '2023-03-01'",
        ],
    )
    reports = export(home, None)
    for model, old in ((HOURLY, before), ("features.evening", evening)):
        report, now = reports[model], files(home, model)
        assert (report.written, report.skipped, report.removed) == (1, 1, 1)
        assert list(now) == ["export_year=2023/2023-01.parquet", "export_year=2023/2023-02.parquet"]
        assert now["export_year=2023/2023-01.parquet"] == old["export_year=2023/2023-01.parquet"]
        assert now["export_year=2023/2023-02.parquet"] != old["export_year=2023/2023-02.parquet"]
    assert reports["normalized.region"].written == 0


def test_a_year_without_months_leaves_no_folder(home: Home) -> None:
    export(home, [HOURLY])
    publish_demo(home, number=2, then=["UPDATE features.hourly SET hour_utc = hour_utc + INTERVAL 1 YEAR"])
    report = export(home, [HOURLY])[HOURLY]
    assert report.removed == 3
    assert [folder.name for folder in (home.parquet / HOURLY).iterdir() if folder.is_dir()] == ["export_year=2024"]


def test_files_of_others_in_the_folder_stay(home: Home) -> None:
    folder = home.parquet / HOURLY
    foreign = [
        folder / "mine.parquet",
        folder / "export_year=2019" / "2019-01.parquet",
        folder / "deep" / ".draft.writing",
        folder / ".draft.writing",
    ]
    for file in foreign:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"mine")
    leftover = home.parquet / ".export" / ".2023-01.parquet.4711.writing"
    leftover.parent.mkdir()
    leftover.write_bytes(b"half")
    assert export(home, [HOURLY])[HOURLY].removed == 0
    assert all(file.read_bytes() == b"mine" for file in foreign)
    assert not leftover.exists()


def test_a_month_that_vanished_after_a_killed_export_is_removed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", _replace_all_but_the_manifest)
        patch.setattr(exporting, "MANIFEST_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            export(home, [HOURLY])
    assert len(files(home, HOURLY)) == 1  # in place, and the manifest never learned its digest
    publish_demo(home, number=2, then=["DELETE FROM features.hourly WHERE hour_utc < '2023-02-01'"])
    report = export(home, [HOURLY])[HOURLY]
    assert (report.written, report.removed) == (2, 1)
    assert list(files(home, HOURLY)) == ["export_year=2023/2023-02.parquet", "export_year=2023/2023-03.parquet"]


@pytest.mark.parametrize("change", ["ALTER TABLE features.hourly RENAME note TO remark", "SELECT 1"])
def test_vanished_months_are_removed_also_when_the_columns_changed(home: Home, change: str) -> None:
    export(home, [HOURLY])
    less = "DELETE FROM features.hourly WHERE hour_utc >= '2023-03-01'"
    publish_demo(home, number=2, then=["DROP VIEW features.evening", change, less])
    assert export(home, [HOURLY])[HOURLY].removed == 1


@pytest.mark.parametrize("name", ["hourly", "Features.Hourly", "HOURLY"])
def test_models_are_named_as_everywhere(home: Home, name: str) -> None:
    assert list(export(home, [name, "region", HOURLY])) == [HOURLY, "normalized.region"]


def test_months_with_and_without_nulls_have_one_schema(home: Home) -> None:
    export(home, [HOURLY])
    publish_demo(home, number=2, then=["UPDATE features.hourly SET demand_mwh = NULL WHERE hour_utc = '2023-02-10'"])
    assert export(home, [HOURLY])[HOURLY].written == 1
    table = pyarrow.dataset.dataset(home.parquet / HOURLY, partitioning="hive").to_table()
    assert table["demand_mwh"].null_count == 3
    assert table.schema.field("demand_mwh").nullable


def test_a_model_without_time_is_one_file(home: Home) -> None:
    export(home, ["normalized.region"])
    file = home.parquet / "normalized.region" / "normalized.region.parquet"
    assert pyarrow.parquet.read_table(file)["region"].to_pylist() == ["BPAT", "CISO", "US48"]
    publish_demo(home, number=2, then=["DELETE FROM normalized.region WHERE region = 'US48'"])
    assert export(home, ["normalized.region"])["normalized.region"].written == 1
    assert pyarrow.parquet.read_table(file)["region"].to_pylist() == ["BPAT", "CISO"]


@pytest.mark.parametrize("damage", ["cut short", "deleted", "manifest", "column", "comment"])
def test_what_does_not_match_the_manifest_is_written_again(home: Home, damage: str) -> None:
    export(home, [HOURLY])
    file = home.parquet / HOURLY / "export_year=2023" / "2023-02.parquet"
    if damage == "cut short":
        file.write_bytes(file.read_bytes()[:100])
    elif damage == "deleted":
        file.unlink()
    elif damage == "manifest":
        (home.parquet / ".export" / f"{HOURLY}.json").write_text("{")
    else:
        change = {
            "column": "ALTER TABLE features.hourly RENAME note TO remark",
            "comment": "COMMENT ON COLUMN features.hourly.note IS 'A remark.'",
        }[damage]
        publish_demo(home, number=2, then=["DROP VIEW features.evening", change])
    assert export(home, [HOURLY])[HOURLY].written == (1 if damage in ("cut short", "deleted") else 3)
    assert pyarrow.parquet.read_table(file).num_rows == 3 * 24 * 28


def flip(file: Path, *, keep_time: bool) -> None:
    """Change one byte in the middle of a file, as a disk does, or as a program does, which changes its time too."""
    before = file.stat()
    with file.open("r+b") as stream:
        stream.seek(before.st_size // 2)
        (byte,) = stream.read(1)
        stream.seek(before.st_size // 2)
        stream.write(bytes([byte ^ 1]))
    shift = 0 if keep_time else 1_000_000
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + shift))


def test_a_flipped_byte_is_found_by_verify_and_mended_by_full(home: Home) -> None:
    export(home, None)
    file = home.parquet / HOURLY / "export_year=2023" / "2023-02.parquet"
    good = file.read_bytes()
    assert energywh.verify_export(home.parquet) == {model: [] for model in ALL}
    flip(file, keep_time=True)
    found = energywh.verify_export(home.parquet)
    assert [(problem.file, problem.kind) for problem in found.pop(HOURLY)] == [
        ("export_year=2023/2023-02.parquet", "content")
    ]
    assert not any(found.values())
    assert export(home, [HOURLY], full=True)[HOURLY].written == 3
    assert energywh.verify_export(home.parquet, ["Hourly"]) == {HOURLY: []}
    assert file.read_bytes() == good


def test_an_export_mends_what_a_program_changed_and_keeps_what_was_only_copied(home: Home) -> None:
    export(home, [HOURLY])
    one, other = sorted((home.parquet / HOURLY / "export_year=2023").glob("*.parquet"))[:2]
    flip(one, keep_time=False)
    other.write_bytes(other.read_bytes())
    before = files(home, HOURLY)
    report = export(home, [HOURLY])[HOURLY]
    assert (report.written, report.damaged) == (1, ("export_year=2023/2023-01.parquet",))
    after = files(home, HOURLY)
    assert [name for name in after if after[name] != before[name]] == ["export_year=2023/2023-01.parquet"]
    assert not any(energywh.verify_export(home.parquet).values())


def test_verify_names_what_is_missing_unfinished_or_was_not_exported(home: Home) -> None:
    with pytest.raises(StorageError, match="nothing was exported into"):
        energywh.verify_export(home.parquet)
    export(home, None)
    year = home.parquet / HOURLY / "export_year=2023"
    (year / "2023-01.parquet").unlink()
    (year / "2022-12.parquet").write_bytes(b"PAR1")
    (year / "notes.txt").touch()
    (home.parquet / ".export" / "features.evening.json").write_text("{")
    (home.parquet / ".export" / "normalized.region.json").unlink()
    found = energywh.verify_export(home.parquet)
    assert {model: [(each.file, each.kind) for each in problems] for model, problems in found.items()} == {
        HOURLY: [
            ("export_year=2023/2023-01.parquet", "missing"),
            ("export_year=2023/2022-12.parquet", "stray"),
            ("export_year=2023/notes.txt", "foreign"),
        ],
        "features.evening": [("features.evening.json", "manifest")],
        "normalized.region": [("normalized.region.json", "manifest")],
    }
    with pytest.raises(UnknownNameError, match=r"'hourli'.*did you mean.*hourly"):
        energywh.verify_export(home.parquet, ["hourli"])


def test_files_replaced_while_they_are_verified_are_no_problem(home: Home) -> None:
    export(home, [HOURLY])
    flip(home.parquet / HOURLY / "export_year=2023" / "2023-03.parquet", keep_time=True)
    publish_demo(home, number=2, then=["UPDATE features.hourly SET demand_mwh = 1"])
    done: list[str] = []

    def exported_meanwhile(name: str, *_: int) -> None:
        if not done:
            export(home, [HOURLY])
        done.append(name)

    assert energywh.verify_export(home.parquet, on_file=exported_meanwhile) == {HOURLY: []}
    assert len(done) == 3


def test_every_exported_file_and_new_folder_reaches_the_disk_before_the_manifest_names_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: set[int] = set()
    fsync, replace = os.fsync, Path.replace
    named: list[str] = []

    def flush(descriptor: int) -> None:
        flushed.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def renamed(self: Path, target: Path) -> Path:
        assert self.stat().st_ino in flushed, f"{target} was not flushed"
        if target.suffix == ".json":
            entries = json.loads(self.read_bytes())["files"]
            for name in (name for name, entry in entries.items() if entry["digest"]):
                file = home.parquet / HOURLY / name
                assert {each.stat().st_ino for each in (file, file.parent, file.parents[1], file.parents[2])} <= flushed
                named.append(name)
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(Path, "replace", renamed)
    export(home, [HOURLY])
    assert set(named) == {f"export_year=2023/2023-0{month}.parquet" for month in (1, 2, 3)}


def test_a_seed_and_a_model_without_rows_are_exported_by_what_the_build_stored(tmp_path: Path) -> None:
    desk = Desk(tmp_path)  # staging without rows
    desk.build()
    done = export(desk.home, ["seeds.fuel", "normalized.demand", "features.shifted", "normalized.fuel"])
    assert {model: (report.written, report.rows) for model, report in done.items()} == {
        "seeds.fuel": (1, 2),
        "normalized.demand": (0, 0),
        "features.shifted": (0, 0),
        "normalized.fuel": (1, 2),
    }
    desk.land_demand(date(2024, 1, 1), 10)
    desk.write("seeds/fuel.csv", "fueltype,family\nSUN,solar\n")
    desk.build()
    again = export(desk.home, ["seeds.fuel", "normalized.demand", "features.shifted", "normalized.fuel"])
    assert {model: report.written for model, report in again.items()} == {
        "seeds.fuel": 1,
        "normalized.demand": 1,
        "features.shifted": 1,
        "normalized.fuel": 1,
    }
    assert all(report.written == 0 for report in export(desk.home, [*again]).values())


def test_an_unknown_model_names_the_nearest_and_writes_nothing(home: Home) -> None:
    with pytest.raises(UnknownNameError, match=r"'features.hourli'.*did you mean features\.hourly"):
        export(home, [HOURLY, "features.hourli"])
    assert not home.parquet.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_leaves_whole_files_and_says_so(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    export(home, [HOURLY])
    before = files(home, HOURLY)
    publish_demo(home, number=2, then=["UPDATE features.hourly SET demand_mwh = 1"])
    monkeypatch.setattr(exporting, "_copy", _fail_on_a_full_disk)
    with pytest.raises(StorageError, match=r"cannot export into .*: no room on the disk .*written so far are complete"):
        export(home, [HOURLY])
    assert files(home, HOURLY) == before
    assert not list(home.parquet.rglob("*.writing"))
    monkeypatch.undo()
    assert export(home, [HOURLY])[HOURLY].written == 3


def _replace_all_but_the_manifest(self: Path, target: Path) -> None:
    """Simulate a kill after a file is in place and before the manifest is written."""
    if target.suffix == ".json" and list(target.parents[1].rglob("*.parquet")):
        raise KeyboardInterrupt
    os.replace(self, target)  # noqa: PTH105 - Path.replace is this function


def _fail_on_a_full_disk(query: duckdb.DuckDBPyRelation, file: Hashed, metadata: dict[str, str]) -> int:
    file.write(b"PAR1")
    with Path("/dev/full").open("wb", buffering=0) as full:
        return full.write(b"x")


def test_a_folder_that_cannot_be_written_to(home: Home) -> None:
    home.parquet.write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot export into .*--to"):
        export(home, [HOURLY])


def test_two_exports_at_once_take_turns(home: Home) -> None:
    with energywh.open(home.path) as warehouse:
        first = export_models(warehouse.connection, home, [HOURLY, "normalized.region"])
        next(first)
        with pytest.raises(LockedError, match="another export"):
            export(home, [HOURLY], wait_seconds=0.1)
        assert [report.model for report in first] == ["normalized.region"]
        assert export(home, [HOURLY])[HOURLY].written == 0


KILLED = """
import sys, energywh
from pathlib import Path
from energywh.datasets.parquet_export import export_models
with energywh.open(sys.argv[1]) as warehouse:
    print("go", flush=True)
    for _ in export_models(warehouse.connection, warehouse.home, ["features.hourly"]):
        pass
"""


def killed_exports(home: Home) -> Iterator[None]:
    """Kill an export at several instants after its start."""
    for wait in (0.0, 0.01, 0.03, 0.06, 0.1, 0.15):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(home.path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        yield


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_export_leaves_complete_files_and_the_next_continues(home: Home) -> None:
    publish_demo(home, hours=24 * 365 * 3, number=2)
    for _ in killed_exports(home):
        for file in home.parquet.rglob("*.parquet"):
            assert pyarrow.parquet.ParquetFile(file).metadata.num_rows > 0
        others = [file for file in (home.parquet / HOURLY).rglob("*.*") if file.suffix != ".parquet" and file.is_file()]
        assert not others, "Polars refuses a folder that holds other files"
        manifest = home.parquet / ".export" / f"{HOURLY}.json"
        if manifest.exists():
            json.loads(manifest.read_text())
    report = export(home, [HOURLY])[HOURLY]
    assert report.written + report.skipped == 36
    assert report.total_rows == 3 * 24 * 365 * 3
    assert pyarrow.dataset.dataset(home.parquet / HOURLY, partitioning="hive").count_rows() == 3 * 24 * 365 * 3
    assert not list(home.parquet.rglob("*.writing"))
