"""Homes that earlier energywh wrote (`tests/support/old_homes.py`) go on under this one, and newer ones are refused."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as parquet
import pytest

from energywh.core.paths import Home
from energywh.datasets.stored import manifest
from energywh.datasets.stored.reader import load_dataset
from energywh.datasets.stored.verify import verify
from energywh.errors import CorruptError, StorageError
from energywh.models.build.report import BuildReport
from energywh.models.build.runner import build
from energywh.models.contents.schema import FORMAT, OLDEST_READ
from energywh.models.versions.publish import current_version
from energywh.simulate.server import Simulator
from energywh.sync.migrations import newest_number
from energywh.sync.payload_index import SCHEMA as PAYLOADS
from energywh.warehouse import Warehouse
from tests.support.desk import Desk
from tests.support.old_homes import DATASETS, FIRST, LAST, OLD_HOMES, OldHome
from tests.support.staging import Rows, query
from tests.sync.conftest import desk, sim, still_simulator
from tests.test_chain import one_model

__all__ = ["desk", "sim", "still_simulator"]

CHUNK = "dataset, slice, first_hour_utc, last_hour_utc, status, rows, attempts, fetched_at_utc, payloads"
TABLES = {
    **{name: f"from {name} order by all" for name in DATASETS},
    "ledger": f"select {CHUNK} from sync.chunk order by all",
    "landing": "from sync.landing order by all",
    "change": "from sync.change order by all",
    "identity": "select staging_id from sync.meta",
}
ASKED = ("--region", "CISO", "--since", FIRST, "--until", LAST)

each_old_home = pytest.mark.parametrize("old", OLD_HOMES, ids=[home.name for home in OLD_HOMES])


@pytest.fixture
def home(desk: Desk, old: OldHome) -> Home:
    return Home(old.unpack(desk.folder))


def held(staging: Path) -> dict[str, Rows]:
    return {name: query(staging, sql) for name, sql in TABLES.items()}


def number_of(staging: Path) -> int:
    return int(query(staging, "select schema_version from sync.meta")[0][0])


def tables_of(report: BuildReport) -> Rows:
    """Return the digest of each table."""
    return query(report.path, "from energywh.digest order by name")


def test_a_home_is_kept_of_every_older_schema_number() -> None:
    datasets = {old.dataset for old in OLD_HOMES if old.dataset is not None}
    written = ({old.staging for old in OLD_HOMES}, {old.version for old in OLD_HOMES}, datasets)
    todo = "add the last commit that wrote the number before to tests/support/old_homes.py, and run it"
    assert written == tuple(set(range(1, newest)) for newest in (newest_number(), FORMAT, manifest.FORMAT)), todo


@each_old_home
def test_status_reads_an_older_home_as_it_is_and_sync_and_build_go_on_with_it(
    desk: Desk, sim: Simulator, old: OldHome, home: Home, tmp_path: Path
) -> None:
    content = home.staging.read_bytes()
    done = desk.run("status")
    assert (done.returncode, "0 chunks due, 0 failed" in done.stdout) == (0, True), done
    assert f"it opens, schema {old.staging}, " in desk.run("doctor").stdout
    assert home.staging.read_bytes() == content

    before, sql = held(home.staging), one_model(tmp_path / "sql")
    old_version = current_version(home)
    assert old_version is not None
    done = desk.run("sync", *DATASETS, *ASKED)
    assert (done.returncode, "nothing is due" in done.stdout + done.stderr) == (0, True), done
    assert not sim.requests, "what is settled is not fetched again"
    assert held(home.staging) == before
    assert number_of(home.staging) == newest_number()

    report = build(home, sql=sql)
    fresh = Home(tmp_path / "fresh").create()
    fresh.staging.write_bytes(home.staging.read_bytes())
    assert (report.published, report.base) == (True, "fresh")
    assert tables_of(report) == tables_of(build(fresh, sql=sql))
    with Warehouse(home, old_version) as warehouse:
        assert warehouse.sql("select count(*) from normalized.demand").fetchall() == [(48,)], "the older one stays"


@each_old_home
def test_a_replay_of_an_older_home_gives_its_rows_again(desk: Desk, home: Home) -> None:
    before = held(home.staging)
    done = desk.run("replay")
    assert done.returncode == 0, done.stderr
    after = held(home.staging)
    assert {**after, "identity": ""} == {**before, "identity": ""}


@pytest.mark.parametrize("old", {home.version: home for home in OLD_HOMES}.values(), ids=lambda home: home.name)
def test_the_catalog_of_an_older_version_is_read_or_says_what_to_do(desk: Desk, old: OldHome, home: Home) -> None:
    assert desk.run("versions").returncode == 0
    for words in (("models",), ("export", "normalized.demand"), ("revisions",)):
        done = desk.run(*words)
        if words == ("revisions",):  # reads columns of a model, which older files may not have had
            assert done.returncode == 0 or "run 'energywh build'" in done.stderr
        elif old.version >= OLDEST_READ:
            assert done.returncode == 0, done.stderr
        else:
            said = f"published by an older energywh (schema {old.version}; this one reads {OLDEST_READ} to {FORMAT})"
            assert said in done.stderr
            assert "'energywh build' publishes it anew" in done.stderr


@pytest.mark.parametrize("old", OLD_HOMES[-1:], ids=["gaps"])
def test_a_version_of_a_newer_energywh_is_refused_unless_all_is_built_anew(
    desk: Desk, home: Home, tmp_path: Path
) -> None:
    version = current_version(home)
    assert version is not None
    version.chmod(0o644)
    with duckdb.connect(version) as connection:
        connection.execute(f"update energywh.version set format = {FORMAT + 1}")
    said = rf"newer energywh \(schema {FORMAT + 1}; this one knows {FORMAT}\): upgrade energywh"
    with pytest.raises(StorageError, match=said):
        Warehouse(home)
    with pytest.raises(StorageError, match=said):
        build(home, sql=one_model(tmp_path / "sql"))
    assert current_version(home) == version
    assert build(home, sql=tmp_path / "sql", full=True).published
    assert version.exists()


@pytest.mark.parametrize("old", OLD_HOMES[-1:], ids=["gaps"])
def test_payloads_of_a_newer_energywh_are_refused_and_left_as_they_are(desk: Desk, home: Home) -> None:
    (home.payloads / "schema.json").write_text(json.dumps({"schema": PAYLOADS + 1}))
    before = {file: file.read_bytes() for file in home.payloads.rglob("*") if file.is_file()}
    for words in (("sync", DATASETS[0], "--region", "BPAT", "--since", FIRST, "--until", FIRST), ("replay",)):
        done = desk.run(*words)
        said = f"payloads was written by a newer energywh (schema {PAYLOADS + 1}; this one knows {PAYLOADS})"
        assert (done.returncode, said in done.stderr) == (1, True), done
    assert {file: file.read_bytes() for file in home.payloads.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("old", OLD_HOMES[-1:], ids=["gaps"])
def test_a_link_that_leads_to_itself_is_reported_and_a_build_mends_it(desk: Desk, home: Home, tmp_path: Path) -> None:
    home.energy.unlink()
    home.energy.symlink_to("energy.duckdb")
    for words in (("sql", "select 1"), ("export", "--all"), ("check",)):
        done = desk.run(*words)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False), done
    assert "energy.duckdb leads to no file (it is a link to energy.duckdb): 'energywh build'" in done.stderr
    build(home, sql=one_model(tmp_path / "sql"))
    assert desk.run("sql", "select 1").returncode == 0


WITH_A_DATASET = [home for home in OLD_HOMES if home.dataset is not None]


@pytest.mark.parametrize("old", WITH_A_DATASET, ids=[home.name for home in WITH_A_DATASET])
def test_a_dataset_of_an_older_energywh_is_read_and_made_again(desk: Desk, home: Home) -> None:
    folder = home.datasets / "old"
    written = json.loads((folder / "dataset.json").read_text())
    assert not verify(folder)
    train, test = dataset = load_dataset(folder, backend="numpy")
    assert dataset.digest == written["digest"]
    window = train[0]
    assert (len(train), len(test), window.inputs.shape) == (3, 3, (6, len(written["columns"])))
    lead = parquet.read_table(folder / "train" / "2024-03.parquet").column("demand_mwh").to_numpy()
    scale, center = (written["scaler"][key][0][0] for key in ("scale", "center"))
    assert np.allclose(window.inputs[:, 0] * scale + center, lead[:6])

    (folder / "dataset.json").write_text(json.dumps({**written, "regions": ["BPAT"]}))
    with pytest.raises(CorruptError, match="another digest than it states"):
        load_dataset(folder, backend="numpy")
