"""The staging file: created, migrated, and rejected if it is another database."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from energywh.errors import CorruptError, StorageError
from energywh.models.build.runner import build
from energywh.simulate.server import Simulator
from energywh.sources import sources
from energywh.sync import schema as staging
from energywh.sync.migrations import newest_number
from energywh.sync.replay import replay
from energywh.sync.schema import open_staging, sweep
from tests.support.desk import Desk
from tests.support.staging import query, values
from tests.test_chain import one_model

DAY = {"since": "2024-03-01", "until": "2024-03-01"}
OLDER = (
    "drop table eia.interchange_data",
    "drop table eia.interchange_data_revision",
    "delete from sync.dataset where name = 'eia.interchange_data'",
    "alter table sync.chunk add column planned_at_utc timestamp",
    "alter table sync.chunk drop column gap",
    "drop table sync.payload_warning",
    "update sync.meta set schema_version = 1",
    "delete from sync.chunk where dataset = 'eia.interchange_data'",
)


def make_older(desk: Desk) -> None:
    """Change the staging file to one made without the interchange dataset."""
    with duckdb.connect(desk.staging) as connection:
        for statement in OLDER:
            connection.execute(statement)


def test_status_and_dry_run_read_a_file_made_before_a_dataset_existed(desk: Desk, sim: Simulator) -> None:
    assert desk.sync("eia.region_data", regions=["CISO"], **DAY).ok
    make_older(desk)
    done = desk.run("status")
    assert done.returncode == 0, done.stderr
    assert "eia.region_data" in done.stdout
    dry = desk.run("sync", "--region", "CISO", "--since", DAY["since"], "--until", DAY["until"], "--dry-run")
    assert dry.returncode == 0, dry.stderr


def test_sync_and_replay_continue_with_a_file_made_before_a_dataset_existed(desk: Desk, sim: Simulator) -> None:
    assert desk.sync("eia.region_data", regions=["CISO"], **DAY).ok
    rows = values(desk.staging)["eia.region_data"]
    make_older(desk)
    replay(desk.settings())
    assert values(desk.staging)["eia.region_data"] == rows
    make_older(desk)
    assert desk.sync(regions=["CISO"], **DAY).ok
    found = values(desk.staging)
    assert found["eia.region_data"] == rows
    assert found["eia.interchange_data"]
    assert query(desk.staging, "select count(*) from duckdb_columns() where column_name = 'planned_at_utc'") == [(0,)]


def test_a_build_takes_a_dataset_that_the_file_lacks_as_empty(desk: Desk, sim: Simulator, tmp_path: Path) -> None:
    assert desk.sync("eia.region_data", regions=["CISO"], **DAY).ok
    make_older(desk)
    sql = one_model(tmp_path / "sql")
    model = (sql / "normalized" / "demand.sql").read_text()
    model = model.replace("from staging.eia.region_data where type = 'D'", "from staging.eia.interchange_data")
    (sql / "normalized" / "demand.sql").write_text(model.replace("respondent as region", "fromba as region"))
    report = build(desk.home, sql=sql)
    assert [result.rows for result in report.models] == [0, 0]


def having(monkeypatch: pytest.MonkeyPatch, **changes: tuple[str, ...]) -> None:
    """Let the demand dataset have other columns."""
    declared = {dataset.name: dataset for source in sources().values() for dataset in source.datasets}
    declared["eia.region_data"] = replace(declared["eia.region_data"], **changes)  # type: ignore[arg-type]
    monkeypatch.setattr(staging, "all_datasets", lambda: declared)


def test_a_value_that_is_new_gets_its_column(desk: Desk, sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    assert desk.sync("eia.region_data", regions=["CISO"], **DAY).ok
    having(monkeypatch, values=("value", "imputed"))
    with open_staging(desk.staging, read_only=True) as connection:
        region_data = next(each for each in staging.datasets_in(connection) if each.table == "region_data")
        assert region_data.values == ("value",)
    with open_staging(desk.staging) as connection:
        for table in ("eia.region_data", "eia.region_data_revision"):
            assert connection.execute(f"select count(imputed) from {table}").fetchall() == [(0,)]
        region_data = next(each for each in staging.datasets_in(connection) if each.table == "region_data")
        assert region_data.values == ("value", "imputed")


def test_a_key_that_is_new_without_a_migration_is_refused_and_the_file_left_as_it_is(
    desk: Desk, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desk.sync("eia.region_data", regions=["CISO"], **DAY).ok
    before = values(desk.staging)
    having(monkeypatch, keys=("respondent", "type", "version"))
    said = r"eia.region_data has the keys period, respondent, type, and .* needs .*version; no migration .* report this"
    with pytest.raises(StorageError, match=said), open_staging(desk.staging):
        pass
    monkeypatch.undo()
    assert values(desk.staging) == before


def test_a_database_of_something_else_is_refused_and_left_as_it_is(desk: Desk) -> None:
    desk.home.create()
    with duckdb.connect(desk.staging) as connection:
        connection.execute("create table mine (a int)")
    content = desk.staging.read_bytes()
    for words in (("sync", "--region", "CISO"), ("status",), ("build",), ("sync", "--dry-run")):
        done = desk.run(*words)
        assert done.returncode == 1
        assert "staging.duckdb is not a staging database of energywh" in done.stderr, words
        assert "main.mine" in done.stderr
    assert desk.staging.read_bytes() == content


def test_a_file_of_a_newer_energywh_is_refused_and_left_as_it_is(desk: Desk, sim: Simulator) -> None:
    assert desk.sync("eia.region_data", regions=["CISO"], **DAY).ok
    newer = newest_number() + 1
    with duckdb.connect(desk.staging) as connection:
        connection.execute(f"update sync.meta set schema_version = {newer}; checkpoint")
    content = desk.staging.read_bytes()
    said = f"newer energywh (schema {newer}; this one knows {newer - 1}): upgrade energywh"
    for words in (("sync", "--region", "CISO"), ("status",), ("build",), ("replay",), ("sync", "--dry-run")):
        done = desk.run(*words)
        assert (done.returncode, said in done.stderr) == (1, True), (words, done.stderr)
    assert desk.staging.read_bytes() == content


def test_reading_an_older_file_leaves_it_as_it_is(desk: Desk, sim: Simulator) -> None:
    assert desk.sync("eia.region_data", regions=["CISO"], **DAY).ok
    shown = desk.run("status").stdout
    make_older(desk)
    content = desk.staging.read_bytes()
    assert desk.run("status").stdout == shown
    assert desk.run("sync", "--region", "CISO", "--since", DAY["since"], "--until", DAY["until"], "--dry-run").stdout
    assert desk.staging.read_bytes() == content


KILLED = """
import os, sys
from pathlib import Path
import energywh.sync.migrations as migrations
from energywh.sync.schema import open_staging
migrations.migrations()[-1].__class__.run = lambda self, connection: (
    connection.execute("delete from eia.region_data; alter table sync.chunk drop column planned_at_utc"), os._exit(9))
with open_staging(Path(sys.argv[1])):
    pass
"""


def test_a_migration_that_is_killed_leaves_the_file_as_it_was(desk: Desk, sim: Simulator) -> None:
    assert desk.sync("eia.region_data", regions=["CISO"], **DAY).ok
    before = values(desk.staging)
    make_older(desk)
    assert subprocess.run([sys.executable, "-c", KILLED, str(desk.staging)], check=False).returncode == 9
    assert query(desk.staging, "select schema_version, count(planned_at_utc) from sync.meta, sync.chunk group by 1")
    result = desk.sync("eia.region_data", regions=["CISO"], **DAY)
    assert (result.ok, result.requests) == (True, 0)
    assert values(desk.staging) == before


def test_what_fails_while_staging_is_open_is_not_called_a_failure_to_open_it(tmp_path: Path) -> None:
    path = tmp_path / "staging.duckdb"
    with (
        pytest.raises(StorageError, match=r"cannot finish work on .*staging\.duckdb: .*no_such_table"),
        open_staging(path) as connection,
    ):
        connection.execute("from no_such_table")
    with pytest.raises(CorruptError, match="is damaged"), open_staging(path):
        raise duckdb.IOException("IO Error: Corrupt database file")
    with pytest.raises(StorageError, match="no room on the disk"), open_staging(path):
        raise duckdb.IOException("IO Error: No space left on device")


def test_what_a_killed_process_left_while_making_the_file_is_swept_once_it_is_old(desk: Desk, sim: Simulator) -> None:
    desk.home.create()
    old, new = (desk.home.path / f".staging.duckdb-{name}" for name in ("old", "new"))
    for leftover in (old, new):
        leftover.write_text("")
    os.utime(old, (0, time.time() - 2 * staging.LEFTOVER_SECONDS))
    assert desk.sync("eia.region_data", regions=["CISO"], **DAY).ok
    assert not old.exists()
    assert new.exists(), "another process may be making it"


def test_what_killed_processes_left_beside_staging_goes_once_it_is_old(tmp_path: Path) -> None:
    staging = tmp_path / "staging.duckdb"
    names = (".staging.duckdb-1f", ".staging.duckdb-1f.wal", ".SIMULATED.7-2a.writing")
    for name in (*names, ".new.7-2a.writing", "mine.writing"):
        (tmp_path / name).touch()
        if name != ".new.7-2a.writing":
            os.utime(tmp_path / name, (0, 0))
    sweep(staging)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".new.7-2a.writing", "mine.writing"]
