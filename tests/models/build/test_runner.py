"""A build publishes a complete, audited version, or nothing."""

import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest
from filelock import FileLock

from energywh.core.paths import Home
from energywh.errors import LockedError, ModelError, StorageError, UnknownNameError
from energywh.models.build.events import BuildEvent, ModelStarted, messages_to
from energywh.models.build.options import BuildOptions
from energywh.models.build.runner import build
from energywh.models.versions.publish import current_version
from tests.models.folder import DEMAND, Desk, model


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.land_demand(date(2024, 1, 1), 10)
    desk.land_demand(date(2024, 2, 1), 10)
    return desk


def small(tmp_path: Path, **models: str) -> Desk:
    """Return a desk with models `n.<name>` of the given text."""
    return Desk(tmp_path, {f"n/{name}.sql": text for name, text in models.items()})


def test_nothing_new_publishes_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.build()
    desk.land_demand(date(2024, 3, 1), 10)  # changes what a step reads
    first = desk.build()
    versions = desk.versions()
    monkeypatch.delattr("energywh.models.build.fill.link")  # it is found without parsing SQL
    second = desk.build()
    assert first.published
    assert not second.published
    assert second.version == first.version
    assert desk.versions() == versions


def test_new_words_are_published_without_building_rows(desk: Desk) -> None:
    desk.build()
    desk.write("normalized/demand.sql", DEMAND.replace('"Demand, MWh."', '"Demand as it was reported, MWh."'))
    report = desk.build()
    assert [(result.name, result.changed) for result in report.models if result.built] == [("normalized.demand", 0)]
    assert desk.query(
        "SELECT comment FROM duckdb_columns() WHERE table_name = 'demand' AND column_name = 'demand_mwh'"
    ) == [("Demand as it was reported, MWh.",)]


def test_descriptions_become_comments_and_facts_the_meta_tables(desk: Desk) -> None:
    report = desk.build()
    assert desk.query(
        "SELECT comment FROM duckdb_tables() WHERE schema_name = 'normalized' AND table_name = 'grid'"
    ) == [("One row an hour, without gaps.",)]
    assert desk.query("SELECT comment FROM duckdb_views() WHERE view_name = 'shifted'") == [
        ("A view over the grid, that looks one hour back.",)
    ]
    assert desk.query(
        "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'shifted' ORDER BY column_index"
    ) == [
        ("region", "Authority."),
        ("hour_utc", "Start of the hour, UTC."),
        ("before_mwh", "Demand one hour before, MWh."),
    ]
    assert desk.query("SELECT version, landing_id, base_kind FROM energywh.version") == [(report.version, 2, "fresh")]
    assert desk.query("SELECT name, type, unit FROM energywh.\"column\" WHERE model = 'normalized.demand'") == [
        ("region", "VARCHAR", None),
        ("hour_utc", "TIMESTAMP", "UTC"),
        ("demand_mwh", "DOUBLE", "MWh"),
    ]
    assert desk.query("SELECT grain, lookback_hours, rows FROM energywh.model WHERE name = 'features.shifted'") == [
        (["region", "hour_utc"], 1, 2 * (31 * 24 + 24))
    ]
    assert desk.query("SELECT upstream FROM energywh.dependency WHERE model = 'normalized.generation' ORDER BY 1") == [
        ("normalized.fuel",),
        ("staging.eia.fuel_type_data",),
    ]


def test_readers_have_no_staging_and_need_none(desk: Desk) -> None:
    desk.build()
    desk.home.staging.unlink()
    assert desk.query("SELECT count(*) FROM features.shifted") == [(2 * (31 * 24 + 24),)]


def test_a_model_that_is_gone_is_dropped_and_one_that_turns_into_a_view_is_one(tmp_path: Path) -> None:
    desk = small(tmp_path, x=model("select 1 as a"), y=model("select a from n.x"))
    desk.build()
    (desk.sql / "n" / "y.sql").unlink()
    desk.write("n/x.sql", model("select 2 as a", head='materialized = "view"'))
    desk.build()
    assert desk.query("SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'n'") == [
        ("x", "VIEW")
    ]
    desk.write("n/x.sql", model("select 3 as a"))
    desk.build()
    assert desk.query("FROM n.x") == [(3,)]


def test_a_view_follows_the_columns_of_what_it_reads_when_only_that_is_built(tmp_path: Path) -> None:
    view = model("select * from n.x", head='materialized = "view"')
    desk = small(tmp_path, x=model("select 1 as a"), y=view, z=model("select a from n.x"))
    desk.build()
    desk.write("n/x.sql", model("select 'text' as a"))
    report = desk.build("x")
    assert [result.name for result in report.models] == ["n.x", "n.y"]
    assert desk.query("FROM n.y") == [("text",)]
    assert desk.query("FROM n.z") == [(1,)]
    desk.build()
    assert desk.query("FROM n.z") == [("text",)]


def test_an_unknown_model_is_refused(desk: Desk) -> None:
    with pytest.raises(UnknownNameError, match=r"'normalized\.demnd'; did you mean normalized\.demand"):
        desk.build("normalized.demnd")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (model("select 1 as a, 2 as b"), r"x\.sql:9: n\.x does not return .*: \[columns\] does not list b"),
        (model("select 1 as a", "a b"), "it does not return b"),
        (model("select 1 as b"), "it does not return a; .* does not list b"),
        (model("select 1 as a, 2 as a"), "it returns twice a"),
        (model("select date '2024-01-01' as hour_utc", "hour_utc"), "'hour_utc' is DATE; it must be TIMESTAMP"),
        (model("select null::timestamp as hour_utc", "hour_utc"), "'hour_utc' is NULL in 1 row;"),
        (model("select\n  nope(1) as a"), r"x\.sql:10: n\.x failed: .*nope"),
        (model("select a from staging.eia.region_dat"), r"x\.sql:9: '.*region_dat' is not in .*\.region_data"),
        (model("select 'x'::int as a"), r"n\.x failed: Conversion Error"),
    ],
)  # fmt: skip
def test_a_broken_model_leaves_what_was_published(tmp_path: Path, text: str, message: str) -> None:
    desk = small(tmp_path, x=model("select 1 as a"))
    desk.build()
    before = desk.versions()
    desk.write("n/x.sql", text)
    with pytest.raises(ModelError, match=message):
        desk.build()
    assert desk.versions() == before
    assert desk.query("FROM n.x") == [(1,)]


def test_comments_stay_where_only_rows_change(desk: Desk) -> None:
    query = "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE schema_name <> 'energywh' ORDER BY ALL"
    desk.build()
    before = desk.query(query)
    desk.land_demand(date(2024, 2, 1), 20)
    report = desk.build()
    assert {result.name for result in report.models if result.changed} >= {"normalized.grid", "features.shifted"}
    assert desk.query(query) == before


def test_a_missing_sync_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nothing has been synced"):
        build(Home(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_of_a_staging_file_that_was_moved_away_it_says_how_to_get_it_back(tmp_path: Path) -> None:
    (tmp_path / "payloads/2026-01-01").mkdir(parents=True)
    (tmp_path / "payloads/2026-01-01/1.tar").touch()
    with pytest.raises(StorageError, match=r"staging\.duckdb is missing: .*'energywh replay'"):
        build(Home(tmp_path))


def test_a_staging_file_that_is_not_a_database_is_reported(desk: Desk) -> None:
    desk.home.staging.write_bytes(b"not a database" * 1000)
    with pytest.raises(StorageError, match=r"staging\.duckdb: .*is not a DuckDB database"):
        desk.build()
    assert not [name for name in desk.versions() if name.startswith(".")]


def test_a_database_that_is_not_a_staging_file_is_refused(desk: Desk) -> None:
    desk.land("DROP TABLE sync.dataset", changes={})
    with pytest.raises(StorageError, match="is not a staging database of energywh"):
        desk.build()


def test_a_staging_table_that_no_dataset_describes_is_refused(tmp_path: Path) -> None:
    desk = small(tmp_path, x=model("select a from staging.eia.other"))
    desk.land("CREATE TABLE eia.other AS SELECT 1 AS a", changes={})
    with pytest.raises(
        ModelError, match=r"x\.sql:9: 'staging\.eia\.other' is in the staging .* sync\.dataset does not"
    ):
        desk.build()


def test_errors_of_duckdb_outside_of_models_keep_its_words(desk: Desk) -> None:
    desk.build()
    before = desk.versions()
    desk.land("ALTER TABLE sync.change DROP COLUMN month", changes={})
    with pytest.raises(StorageError, match=r'(?s)DuckDB failed.*"month" not found.*run \'energywh build --full\''):
        desk.build()
    assert desk.versions() == before


def test_a_file_in_place_of_the_link_is_refused_before_anything_is_built(desk: Desk) -> None:
    desk.build()
    before = desk.versions()
    desk.land_demand(date(2024, 3, 1), 1)
    desk.home.energy.unlink()
    desk.home.energy.write_text("somebody's own")
    heard: list[str] = []

    def listen(event: BuildEvent) -> None:
        if isinstance(event, ModelStarted):
            heard.append(event.name)

    with pytest.raises(StorageError, match="should be a link"):
        build(desk.home, sql=desk.sql, listeners=[listen])
    assert desk.home.energy.read_text() == "somebody's own"
    assert (heard, desk.versions()) == ([], before)


def test_a_damaged_warehouse_is_built_anew(desk: Desk) -> None:
    desk.build()
    path = current_version(desk.home)
    assert path is not None
    path.write_bytes(b"damaged" * 10000)
    assert desk.build().base == "fresh"
    assert desk.query("SELECT count(*) FROM normalized.demand") == [(96,)]


def test_a_warehouse_cut_short_is_built_anew(desk: Desk) -> None:
    desk.build()
    path = current_version(desk.home)
    assert path is not None
    path.write_bytes(path.read_bytes()[:100_000])
    assert desk.build().base == "fresh"
    assert desk.query("SELECT count(*) FROM normalized.demand") == [(96,)]


def test_a_second_build_waits_and_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("energywh.core.locks.SAY_AFTER_SECONDS", 0.1)
    said: list[str] = []
    lock = FileLock(desk.home.locks / "build.lock")
    lock.acquire()

    def listen(message: str) -> None:
        said.append(message)
        lock.release()

    report = build(desk.home, sql=desk.sql, options=BuildOptions(wait_seconds=30), listeners=[messages_to(listen)])
    assert report.published
    assert [message for message in said if "waiting for another build" in message]

    with lock, pytest.raises(LockedError, match="waited 0 s for another build"):
        build(desk.home, sql=desk.sql, options=BuildOptions(wait_seconds=0))


def test_a_build_tells_the_time_by_the_moment_that_it_is_given(desk: Desk) -> None:
    report = build(desk.home, sql=desk.sql, now=datetime(2031, 5, 6, 7, 8, 9))
    assert report.version.startswith("energy-20310506T0708")
    times = desk.query("SELECT min(built_at_utc), max(built_at_utc) FROM energywh.model")[0]
    assert [f"{moment:%Y-%m-%d}" for moment in times] == ["2031-05-06"] * 2


def test_an_interrupted_build_publishes_nothing(desk: Desk) -> None:
    def interrupt(event: BuildEvent) -> None:
        if isinstance(event, ModelStarted) and event.position == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(desk.home, sql=desk.sql, listeners=[interrupt])
    assert desk.versions() == []
    assert current_version(desk.home) is None


def test_a_disk_error_is_reported_and_leaves_no_file(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.build()
    before = desk.versions()
    desk.land_demand(date(2024, 3, 1), 1)

    def full(*_: object, **__: object) -> Callable[[], None]:
        raise duckdb.IOException('Could not write file "x": No space left on device')

    monkeypatch.setattr("energywh.models.build.fill.Materializer.build", full)
    with pytest.raises(StorageError, match=r"No space left on device\); .* [\d,]+ MB that are free"):
        desk.build()
    assert desk.versions() == before


def test_keep_versions_counts_the_published_one(desk: Desk) -> None:
    for number in range(1, 4):
        desk.land_demand(date(2024, 1, 1), number)
        desk.build(keep=2)
    assert len(desk.versions()) == 2


def test_threads_and_memory_are_limited(tmp_path: Path) -> None:
    """A model returns the settings of the connection that builds."""
    limits = "select current_setting('threads') as a, current_setting('memory_limit') as b"
    desk = small(tmp_path, x=model(limits, "a b"))
    report = build(desk.home, sql=desk.sql, options=BuildOptions(threads=1, memory_limit="512MiB"))
    assert report.published
    assert desk.query("FROM n.x") == [(1, "512.0 MiB")]


def test_a_file_size_limit_is_taken_for_a_full_disk(desk: Desk) -> None:
    """A limit on file size stands in for a disk without room, which a test cannot have without being root."""
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        "from energywh.errors import StorageError\n"
        "from energywh.core.paths import Home\n"
        "from energywh.models.build.runner import build\n"
        "try:\n"
        "    build(Home(Path(sys.argv[1])), sql=Path(sys.argv[2]))\n"
        "except StorageError as error:\n"
        "    print(error)\n"
    )
    desk.land_demand(date(2024, 1, 1), 10, hours=24 * 365)
    done = subprocess.run(
        [sys.executable, "-c", script, str(desk.home.path), str(desk.sql)], capture_output=True, text=True, check=False
    )
    assert "cannot write a new version under" in done.stdout, done.stderr
    assert "make room and run this again" in done.stdout
    assert desk.versions() == []


def test_an_option_reaches_the_models_and_makes_those_that_read_it_stale(tmp_path: Path) -> None:
    desk = small(
        tmp_path,
        told=model("select enabled as a from seeds.option"),
        deaf=model("select 1 as a"),
    )
    desk.write("seeds/option.csv", "name,enabled\ncorrections,false\n")
    desk.build()
    assert desk.query("FROM n.told") == [(False,)]
    report = build(desk.home, sql=desk.sql, options=BuildOptions(corrections=True))
    assert desk.query("FROM n.told") == [(True,)]
    assert [result.name for result in report.models if result.built] == ["n.told"]
    assert not build(desk.home, sql=desk.sql, options=BuildOptions(corrections=True)).published


def test_a_model_may_say_that_it_may_be_empty(tmp_path: Path) -> None:
    select = "select 2 as a where false"
    desk = small(tmp_path, x=model(select), y=model(select, head="may_be_empty = true"))
    said: list[str] = []
    build(desk.home, sql=desk.sql, listeners=[messages_to(said.append)])
    assert said[-1] == "warning: no rows in n.x"
