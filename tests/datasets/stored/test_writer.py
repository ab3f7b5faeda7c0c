"""Stored datasets contain the requested windows, whatever existed before, and survive failures while they are made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

import energywh
from energywh.core.paths import Home
from energywh.datasets.stored import split_writer as fill
from energywh.datasets.stored.manifest import Manifest
from energywh.datasets.stored.reader import load_dataset
from energywh.datasets.stored.spec import DatasetSpec
from energywh.datasets.stored.verify import verify
from energywh.datasets.stored.writer import MadeDataset, make_dataset
from energywh.datasets.windows.source import bind, tables_read
from energywh.errors import (
    CorruptError,
    EnergywhError,
    LockedError,
    StorageError,
    UnknownNameError,
    UsageError,
    WindowError,
)
from tests.datasets.cutting import cut_windows
from tests.datasets.published import META, publish_demo
from tests.datasets.reference import Rows, table_of
from tests.datasets.windows.test_windows import QUICK, histories
from tests.support.examples import examples

NAMES = ("inputs", "targets", "mask", "target_mask", "future_covariates", "future_covariates_mask", "region_encoding")
CUTS = ("2023-02-10", "2023-03-01")
ASKED: dict[str, Any] = {"length": 48, "stride": 24, "horizon": 24, "splits": CUTS, "normalize": "zscore"}
NEAR_FEBRUARY = 724  # hours by which histories are moved, so that months change within them
MONTHS = """
INSERT INTO energywh.model (name, time_column, lookahead_hours, lookback_hours)
    VALUES ('main.series', 'hour_utc', 0, 2);
INSERT INTO energywh.month
    SELECT 'main.series', date_trunc('month', hour_utc)::DATE, count(*), sum(hash(source))::VARCHAR
    FROM series AS source GROUP BY 2;
"""

hours = st.sampled_from([NEAR_FEBRUARY + hour for hour in range(1, 45)])
arguments = st.fixed_dictionaries(
    {
        "length": st.integers(1, 6),
        "stride": st.integers(1, 5),
        "horizon": st.integers(0, 3),
        "splits": st.lists(hours, max_size=2, unique=True).map(sorted),
        "gaps": st.sampled_from(["mask", "split", "drop"]),
        "borrow_context": st.booleans(),
        "purge": st.sampled_from([None, 0, 3, "lookback"]),
        "holdout_regions": st.sampled_from([None, None, ["CISO"]]),
        "future_covariates": st.sampled_from([None, ["x"]]),
        "features": st.sampled_from([["x", "y"], ["y"]]),
        "normalize": st.sampled_from([None, {"kind": "zscore", "by": "global"}]),
        "dtype": st.sampled_from(["float32", "float16"]),
    }
)


def database(rows: Rows) -> duckdb.DuckDBPyConnection:
    """Return a warehouse in memory with ``rows`` as its one model, moved to the turn of a month."""
    connection = table_of({(region, hour + NEAR_FEBRUARY): row for (region, hour), row in rows.items()})
    connection.execute(META)
    connection.execute(MONTHS)
    return connection


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file in ``folder``."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
    }


def inodes(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_ino for name in contents(folder)}


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(QUICK, max_examples=examples(30))
@given(rows=histories(), later=histories(), asked=arguments)
def test_a_dataset_brought_up_to_date_equals_one_made_from_scratch(
    rows: Rows, later: Rows, asked: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    from energywh.core.time import hour_time

    first = 464_592  # 2023-01-01T00
    asked = asked | {"splits": [hour_time(first + hour) for hour in asked["splits"]], "target": "y"}
    old, new = (Home(tmp_path_factory.mktemp(name)) for name in ("old", "new"))
    with database(rows) as connection, pytest.MonkeyPatch.context() as patch:
        patch.setattr(fill, "CHUNK_BYTES", 1)
        try:
            wanted = cut_windows(connection, "main.series", backend="numpy", **asked)
        except EnergywhError as error:
            with pytest.raises(type(error)) as caught:
                make_dataset(connection, old, "set", DatasetSpec(source="main.series", **asked), version="energy-1")
            assert str(caught.value) == str(error)  # noqa: PT017 - either outcome is right, and both ways must agree
            assert not (old.datasets / "set").exists()
            return
        request = DatasetSpec(source="main.series", **asked)
        make_dataset(connection, old, "set", request, version="energy-1")
    assert isinstance(wanted, tuple)
    assert verify(old.datasets / "set") == []
    stored = load_dataset(old.datasets / "set", backend="numpy")
    assert stored.names == tuple(windows.name for windows in wanted)
    for ours, theirs in zip(stored, wanted, strict=True):
        assert ours.starts.tolist() == theirs.starts.tolist()
        assert ours.regions == theirs.regions
        every = np.arange(len(theirs))
        for name in NAMES:
            if theirs.future_covariates or not name.startswith("future_covariates"):
                one, other = (getattr(windows.batch(every), name) for windows in (ours, theirs))
                assert one.dtype == other.dtype
                np.testing.assert_array_equal(one, other)

    # The rows of the first history with some of the second's: months of theirs changed, came, or stayed.
    changed = rows | dict(list(later.items())[: len(later) // 2])
    with database(changed) as connection:
        try:
            make_dataset(connection, new, "set", request, version="energy-1")
        except EnergywhError:
            return
        request = DatasetSpec(source="main.series", **asked)
        make_dataset(connection, old, "set", request, version="energy-1")
    assert contents(old.datasets / "set") == contents(new.datasets / "set")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "warehouse")
    publish_demo(home)  # 90 days: January to March 2023
    return home


def make(home: Home, name: str = "set", **asked: Any) -> MadeDataset:
    with energywh.open(home.path) as warehouse:
        return warehouse.dataset(name, **asked)


def test_only_what_a_new_month_changes_is_written(home: Home, tmp_path: Path) -> None:
    made = make(home, **ASKED)
    assert list(made.manifest.files) == [
        "test.safetensors",
        "test/2023-03.parquet",
        "train.safetensors",
        "train/2023-01.parquet",
        "train/2023-02.parquet",
        "valid.safetensors",
        "valid/2023-02.parquet",
    ]
    before = inodes(made.folder)
    publish_demo(home, hours=24 * 100, number=2)
    again = make(home)
    assert again.written == ("test.safetensors", "test/2023-04.parquet")
    after = inodes(made.folder)
    assert {name for name, inode in before.items() if after[name] != inode} == {"dataset.json", "test.safetensors"}
    assert again.manifest.digest != made.manifest.digest
    anew = Home(tmp_path / "anew")
    publish_demo(anew, hours=24 * 100, number=2)
    make(anew, **ASKED)
    assert contents(anew.datasets) == contents(home.datasets)


def test_a_revision_in_train_changes_the_statistics_and_so_every_matrix(home: Home, tmp_path: Path) -> None:
    made = make(home, **ASKED)
    revision = "UPDATE features.hourly SET demand_mwh = 1 WHERE region = 'CISO' AND hour_utc = '2023-01-10 20:00'"
    publish_demo(home, number=2, then=[revision])
    again = make(home)
    assert again.written == (
        "test.safetensors",
        "train.safetensors",
        "train/2023-01.parquet",
        "valid.safetensors",
    )
    assert again.manifest.scaler != made.manifest.scaler
    anew = Home(tmp_path / "anew")
    publish_demo(anew, number=2, then=[revision])
    make(anew, **ASKED)
    assert contents(anew.datasets) == contents(home.datasets)


def test_a_revision_in_test_leaves_train_alone(home: Home) -> None:
    made = make(home, **ASKED)
    before = inodes(made.folder)
    revision = "UPDATE features.hourly SET demand_mwh = NULL WHERE region = 'CISO' AND hour_utc = '2023-03-10 20:00'"
    publish_demo(home, number=2, then=[revision])
    assert make(home).written == ("test.safetensors", "test/2023-03.parquet")
    after = inodes(made.folder)
    assert all(after[name] == inode for name, inode in before.items() if name.startswith(("train", "valid")))
    manifest = Manifest.read(made.folder)
    assert manifest.columns[0].missing == {"train": 0, "valid": 0, "test": 1}
    assert [split.missing for split in manifest.splits] == [0, 0, 1]


def test_nothing_new_writes_nothing(home: Home) -> None:
    made = make(home, **ASKED)
    assert made.changed
    before = inodes(made.folder.parent), made.folder.stat().st_ino
    publish_demo(home, number=2)  # the same rows
    for again in (make(home), make(home, **ASKED)):
        assert (again.changed, again.written, again.differs) == (False, (), ())
        assert again.manifest == made.manifest
    assert (inodes(made.folder.parent), made.folder.stat().st_ino) == before


def test_the_same_rows_of_other_sql_are_unchanged_too(home: Home) -> None:
    made = make(home, **ASKED)
    publish_demo(home, number=2, then=["UPDATE energywh.model SET sql_hash = 'other'"])
    assert not make(home).changed
    assert Manifest.read(made.folder).provenance == made.manifest.provenance


def test_a_changed_request_reuses_the_months_with_the_same_rows(home: Home) -> None:
    made = make(home, **ASKED)
    other = make(home, **(ASKED | {"length": 24, "formats": "npz"}))
    assert other.differs == ("length 24 (was 48)", "formats npz (was none)")
    assert {name for name in other.reused if name.endswith(".parquet")} == {
        name for name in made.manifest.files if name.endswith(".parquet")
    }
    assert {Path(name).suffix for name in other.written} == {".safetensors", ".npz"}
    full = make(home, full=True)
    assert full.manifest == other.manifest
    assert full.reused == ()


def test_a_damaged_file_is_named_and_made_again(home: Home) -> None:
    made = make(home, **ASKED)
    wanted = contents(made.folder)
    file = made.folder / "train" / "2023-02.parquet"
    size = file.stat().st_size
    file.write_bytes(b"x" * size)
    (made.folder / "valid.safetensors").unlink()
    (made.folder / "notes.txt").write_text("mine")
    again = make(home)
    assert {problem.file: problem.kind for problem in again.damaged} == {
        "train/2023-02.parquet": "content",
        "valid.safetensors": "missing",
    }
    assert again.written == ("train/2023-02.parquet", "valid.safetensors")
    assert contents(made.folder) == wanted | {"notes.txt": b"mine"}


def test_a_stray_file_among_the_parquet_is_refused_before_it_is_read(home: Home) -> None:
    made = make(home, **ASKED)
    stray = made.folder / "train" / "zz.parquet"
    stray.write_bytes((made.folder / "train" / "2023-01.parquet").read_bytes())
    (made.folder / "train" / ".DS_Store").write_bytes(b"of a file manager")
    found = {problem.file: problem.kind for problem in verify(made.folder)}
    assert found == {"train/zz.parquet": "stray", "train/.DS_Store": "foreign"}
    with pytest.raises(StorageError, match=r"train/zz.parquet was not made with the dataset.*move it away"):
        make(home)


def test_a_damaged_manifest_leaves_the_files_of_others(home: Home) -> None:
    made = make(home, **ASKED)
    wanted = contents(made.folder)
    (made.folder / "notes.txt").write_text("mine")
    (made.folder / "dataset.json").write_text("{")
    make(home, **ASKED)
    assert contents(made.folder) == wanted | {"notes.txt": b"mine"}


def test_a_dataset_as_of_a_moment_is_not_updated_with_what_is_known_now(home: Home) -> None:
    publish_demo(
        home, number=2, then=["UPDATE energywh.version SET as_of_utc = '2023-04-01 06:00', knowledge = 'landed'"]
    )
    make(home, **ASKED)
    publish_demo(home, hours=24 * 100, number=3)
    with pytest.raises(
        UsageError, match=r"made from energy-20240101T000000Z-2, which holds what was known at 2023-04-01"
    ):
        make(home)
    assert make(home, **ASKED).manifest.provenance.as_of is None


def test_a_feature_without_a_value_in_train_is_left_out_with_a_note_unless_it_is_named(home: Home) -> None:
    late = "SELECT *, CASE WHEN hour_utc >= '2023-03-01' THEN demand_mwh END AS level FROM features.hourly"
    with pytest.warns(UserWarning, match="level left out of the features: no value in the train split"):
        made = make(home, source=late, **ASKED)
    columns = ["demand_mwh", "hour_sin", "is_midnight"]
    assert [column.name for column in made.manifest.columns] == columns
    assert not make(home).changed
    with energywh.open(home.path) as warehouse:
        asked = ASKED | {"target": "demand_mwh", "backend": "numpy"}
        with pytest.warns(UserWarning, match="level left out"):
            train, *_ = warehouse.windows(late, **asked)
        assert list(train.columns) == columns
        with pytest.raises(WindowError, match="level cannot be scaled: no value at all in the train split"):
            warehouse.windows(late, **asked, features=["hour_sin", "level"])


@pytest.mark.parametrize("change", [('"train": 0', '"train": 7'), ('"length": 48', '"length": 24'), ("{", "")])
def test_no_file_is_reused_under_a_changed_manifest(home: Home, change: tuple[str, str]) -> None:
    made = make(home, **ASKED)
    wanted = contents(made.folder)
    file = made.folder / "dataset.json"
    file.write_text(file.read_text().replace(*change, 1))
    with pytest.raises(CorruptError, match=r"dataset.json (was changed|is damaged).* and its options"):
        make(home)
    again = make(home, **ASKED)
    assert [(problem.file, problem.kind) for problem in again.damaged] == [("dataset.json", "manifest")]
    assert again.reused == ()
    assert contents(made.folder) == wanted


def test_a_dataset_of_a_query_is_made_again_as_a_whole_or_not_at_all(home: Home) -> None:
    query = "SELECT region, hour_utc, demand_mwh FROM features.evening"
    asked: dict[str, Any] = {"source": query, "length": 24, "stride": 24, "splits": "2023-03-01"}
    made = make(home, **asked)
    assert set(made.manifest.provenance.models) == {"features.evening", "features.hourly", "normalized.region"}
    assert not make(home).changed
    publish_demo(home, hours=24 * 91, number=2)
    assert make(home).reused == ()
    clock = query + " WHERE hour_utc < now()"
    make(home, **(asked | {"source": clock}))
    assert make(home).reused == ()


def test_a_query_that_reads_files_or_the_clock_is_made_again(home: Home, tmp_path: Path) -> None:
    other = publish_demo(Home(tmp_path / "other"), hours=24)
    query = "SELECT region, hour_utc, demand_mwh FROM hourly WHERE "
    with energywh.open(home.path) as warehouse:
        warehouse.connection.execute(f"ATTACH '{other}' AS other (READ_ONLY)")
        for condition, certain in (
            ("region IN (SELECT region FROM normalized.region)", True),
            ("hour_utc < today()", False),
            ("hour_utc::TIME < current_localtime()", False),
            ("age(hour_utc) > INTERVAL 1 DAY", False),
            ("random() < 0.5", False),
            ("uuidv7() IS NOT NULL", False),
            ("getvariable('since') IS NULL", False),
            ("region IN (SELECT region FROM duckdb_tables())", False),
            ("region IN (SELECT region FROM other.normalized.region)", False),
        ):
            found = tables_read(warehouse.connection, bind(warehouse.connection, query + condition))
            assert "features.hourly" in found[0]
            assert found[1] == certain, condition


def test_the_manifest_has_the_provenance_of_the_values(home: Home) -> None:
    as_of = "UPDATE energywh.version SET as_of_utc = '2023-04-01 06:00', knowledge = 'landed'"
    publish_demo(home, number=2, then=[as_of])
    manifest = make(home, **ASKED).manifest
    told = manifest.provenance
    assert (told.version, told.energywh) == ("energy-20240101T000000Z-2", energywh.__version__)
    assert (told.as_of, told.knowledge) == ("2023-04-01T06:00:00", "landed")
    assert set(told.models) == {"features.hourly", "normalized.region"}
    assert set(told.models["features.hourly"]) == {"sql", "file", "digest"}
    assert told.staging == {
        "eia.region_data": {"landing": 7, "landed_at": "2023-04-01T06:00:00", "newest_hour": "2023-03-31T23"}
    }
    assert [(column.name, column.roles, column.unit) for column in manifest.columns] == [
        ("demand_mwh", ["feature", "target"], "MWh"),
        ("hour_sin", ["feature"], None),
        ("is_midnight", ["feature"], None),
    ]
    assert manifest.columns[0].description == "Demand, MWh."


def test_a_large_split_that_is_mapped_and_read_in_pieces_has_the_same_bytes(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = make(home, **ASKED).manifest
    monkeypatch.setattr(fill, "MAPPED_BYTES", 0)
    monkeypatch.setattr(fill, "CHUNK_BYTES", 1)
    steps: list[str] = []
    with energywh.open(home.path) as warehouse:
        made = warehouse.dataset("set", full=True, on_step=lambda what, done, of: steps.append(what))
    assert made.manifest == wanted
    assert steps.count("train: loading") == 2  # two months
    assert [file.name for file in made.folder.iterdir() if file.name.startswith(".")] == []


def test_a_request_that_cannot_be_made_is_refused_before_anything_is_written(home: Home) -> None:
    with pytest.raises(UsageError, match=r"there is no dataset 'set' in .* yet: give .* length and stride"):
        make(home)
    for error, says, wrong in (
        (UsageError, "needs both length and stride", {"length": 24}),
        (UsageError, "needs both length and stride", {"source": "features.evening"}),
        (UsageError, "needs both length and stride", {"target": "hour_sin"}),
        (UsageError, "dtype must be float32, float16 or bfloat16, not 'float23'; did", ASKED | {"dtype": "float23"}),
        (UsageError, "formats must be npz or hdf5, not 'csv'", ASKED | {"formats": "csv"}),
        (UnknownNameError, "no column 'demand'", ASKED | {"features": "demand"}),
        (UnknownNameError, "no model is named 'features.hourli'", ASKED | {"source": "features.hourli"}),
        (WindowError, "no region of features.hourly has 9,024 hours", ASKED | {"length": 9000}),
        (WindowError, "leaves no hour on one of its sides", ASKED | {"splits": "2025-01-01"}),
        (UsageError, "ascending", ASKED | {"splits": CUTS[::-1]}),
        (
            UsageError,
            "CISO cannot be scaled by region",
            ASKED | {"splits": CUTS[0], "holdout_regions": "CISO"},
        ),
    ):
        with pytest.raises(error, match=says):
            make(home, **wrong)
    with pytest.raises(TypeError, match="unexpected keyword argument 'lenght'"):
        make(home, lenght=3)
    assert not home.datasets.exists() or list(home.datasets.iterdir()) == []


def test_a_format_that_cannot_be_written_is_refused_before_any_work(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    steps: list[str] = []
    with pytest.raises(UsageError, match="HDF5 files need h5py"):
        make(home, **ASKED, formats="hdf5", on_step=lambda what, done, of: steps.append(what))
    assert steps == []


def test_numbers_of_numpy_are_stored_as_numbers() -> None:
    numbers: Any = dict(zip(("length", "stride", "horizon", "purge"), np.arange(4, 8), strict=True))
    request = DatasetSpec(source="features.hourly", target="demand_mwh", **numbers)
    stored = msgspec.json.decode(msgspec.json.encode(request), type=DatasetSpec)
    assert (stored, stored.purge) == (request, 7)


@pytest.mark.parametrize("name", ["", ".hidden", "../set", "a/b", "-x", "a b"])
def test_a_name_that_cannot_be_a_folder_is_refused(home: Home, name: str) -> None:
    with pytest.raises(UsageError, match=r"of letters, digits"):
        make(home, name, **ASKED)


def test_a_folder_of_something_else_is_left_alone(home: Home) -> None:
    (home.datasets / "set").mkdir(parents=True)
    (home.datasets / "set" / "thesis.txt").write_text("mine")
    with pytest.raises(StorageError, match="holds something else"):
        make(home, **ASKED)
    assert contents(home.datasets) == {"set/thesis.txt": b"mine"}


def test_a_full_disk_leaves_the_dataset_as_it_was(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(home, **ASKED)
    wanted = contents(home.datasets)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fill, "write_matrix", full)
    with pytest.raises(StorageError, match="no room on the disk"):
        make(home, **(ASKED | {"length": 24}))
    assert contents(home.datasets) == wanted
    monkeypatch.setattr(fill.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))  # type: ignore[attr-defined]
    with pytest.raises(StorageError, match=r"the train split takes about 0.0 GB to make.*make room"):
        make(home, **(ASKED | {"length": 24}))
    assert contents(home.datasets) == wanted
    assert not made.folder.with_name("other").exists()


KILLED = """
import os, signal, sys
import energywh
from energywh.datasets.stored import split_writer as fill

def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

fill.write_matrix = killed
energywh.open(sys.argv[1]).dataset("set", length=24, stride=24)
"""


def test_a_killed_process_leaves_the_old_dataset_and_the_next_cleans_up(home: Home) -> None:
    made = make(home, **ASKED)
    done = subprocess.run([sys.executable, "-c", KILLED, home.path], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    hidden = [folder for folder in home.datasets.iterdir() if folder.name.startswith(".")]
    assert len(hidden) == 1
    assert verify(made.folder) == []
    assert load_dataset(made.folder, backend="numpy").digest == made.manifest.digest
    again = make(home, length=24, stride=24)
    assert [split.name for split in again.manifest.splits] == ["all"]
    assert list(home.datasets.iterdir()) == [made.folder]


def test_a_dataset_set_aside_by_a_killed_process_is_put_back(home: Home) -> None:
    made = make(home, **ASKED)
    made.folder.rename(made.folder.with_name(".set.0123abcd"))
    again = make(home)
    assert (again.changed, again.manifest) == (False, made.manifest)
    assert load_dataset(made.folder, backend="numpy").digest == made.manifest.digest
    make(home, full=True)
    assert list(home.datasets.iterdir()) == [made.folder]


def test_two_processes_that_make_one_dataset_wait_for_each_other(home: Home) -> None:
    waits: list[str] = []
    home.create()
    with FileLock(home.locks / "dataset-set.lock"), pytest.raises(LockedError, match="another making of dataset set"):
        make(home, **ASKED, wait_seconds=0.01, on_wait=waits.append)
    assert waits == ["waiting for another making of dataset set"]
    make(home, **ASKED)


def test_an_open_dataset_keeps_its_files_when_it_is_made_again(home: Home) -> None:
    make(home, **ASKED)
    train, *_ = load_dataset(home.datasets / "set", backend="numpy", memmap=True)
    before = train.batch(np.arange(3)).inputs.copy()
    make(home, **(ASKED | {"normalize": None}))
    np.testing.assert_array_equal(train.batch(np.arange(3)).inputs, before)
