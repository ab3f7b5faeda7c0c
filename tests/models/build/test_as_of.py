"""Builds as of a time use exactly the values known at that time."""

from __future__ import annotations

import errno
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energywh.core.paths import Home
from energywh.core.time import hour_number
from energywh.errors import ModelError, StorageError, UsageError
from energywh.models.build.as_of import build_as_of, show_as_of
from energywh.models.build.events import BuildEvent, ModelEnded
from energywh.models.build.options import BuildOptions
from energywh.models.build.runner import build
from energywh.models.versions.publish import current_version
from energywh.simulate.reporting import Reporting
from energywh.simulate.server import Simulator
from energywh.sources import all_datasets
from energywh.sources.base import Chunk, PublicationLag
from energywh.sync.merge import Arrival, merge
from energywh.sync.schema import open_staging
from tests.models.folder import Desk as SmallDesk
from tests.support.desk import KEY, Desk
from tests.support.examples import examples
from tests.support.few import FEW, few_regions
from tests.support.staging import query
from tests.sync.conftest import MovableClock, clock

__all__ = ["clock"]

OPTIONS = BuildOptions(threads=2, wait_seconds=30)
JULY = {"since": "2025-07-02", "until": "2025-07-04"}  # few days of a half, so that its file is small


def digests(file: Path) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Return rows and digest of every month of every model of a warehouse file."""
    with duckdb.connect(file, read_only=True) as connection:
        rows = connection.execute("SELECT model, month, rows, digest FROM energywh.month").fetchall()
    return {row[:2]: row[2:] for row in rows}


@pytest.mark.parametrize("names", [("generation", "interchange"), pytest.param((), marks=pytest.mark.soak, id="all")])
def test_a_build_as_of_a_time_equals_the_one_that_was_made_then(
    tmp_path: Path, clock: MovableClock, names: tuple[str, ...]
) -> None:
    """Data of the API and the half-year files, both with revised and withdrawn values."""
    clock.advance(20 * 24)
    reporting = Reporting(revision_rate=0.1, withdrawn_rate=0.02, null_rate=0.02, gap_rate=0.02)
    with Simulator(seed=9, now=clock.now(), api_key=KEY, reporting=reporting, atlas=few_regions()) as sim:
        desk = Desk(tmp_path, sim.url).facing(sim, "eia", "eia_files")
        made: list[tuple[datetime, dict[tuple[Any, ...], tuple[Any, ...]]]] = []
        for _ in range(2):
            assert all(desk.sync(source, regions=FEW, **JULY).ok for source in ("eia", "eia_files"))
            build(desk.home, names, options=OPTIONS)
            current = current_version(desk.home)
            assert current is not None
            made.append((clock.now(), digests(current)))
            clock.advance(30)
            sim.clock.advance(30)
    (moment, then), (_, now) = made
    changed = {model for (model, month), digest in then.items() if now.get((model, month)) != digest}
    assert {"normalized.generation", "normalized.interchange"} <= changed
    for table in ("eia.region_data", "eia_files.balance", "eia_files.interchange", "eia_files.subregion"):
        assert query(desk.staging, f"select count(*) > 0 from {table}_revision") == [(True,)], table
    to = tmp_path / "then.duckdb"
    assert build_as_of(desk.home, moment, to, names, options=OPTIONS).path == to
    assert digests(to) == then
    assert current_version(desk.home) == current, "nothing was published"


DATASET = all_datasets()["eia.region_data"]
START = datetime(2024, 5, 1)
CHUNK = Chunk(DATASET.name, "A", hour_number(START), hour_number(START) + 3)
# What the source says of four hours and two types; absent: no row.
ANSWERS = st.dictionaries(
    st.tuples(st.integers(0, 3), st.sampled_from(["D", "DF"])), st.sampled_from([None, 1.0, 2.0, 3.0])
)
State = dict[tuple[int, str], float | None]


def arrival(rows: State, at: datetime) -> Arrival:
    keys = list(rows)
    table = pa.table(
        {
            "period": pa.array([START + timedelta(hours=hour + 1) for hour, _ in keys], pa.timestamp("us")),
            "respondent": pa.array(["A"] * len(keys), pa.string()),
            "type": pa.array([type_ for _, type_ in keys], pa.string()),
            "value": pa.array([rows[key] for key in keys], pa.float64()),
        }
    )
    return Arrival(CHUNK, table, at)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """A connection whose database `staging_now` is an empty staging, in memory."""
    path = tmp_path_factory.mktemp("as-of") / "staging.duckdb"
    with open_staging(path):
        pass
    connection = duckdb.connect()
    connection.execute(f"ATTACH '{path}' AS empty (READ_ONLY); ATTACH ':memory:' AS staging_now")
    connection.execute("COPY FROM DATABASE empty TO staging_now; DETACH empty; USE staging_now")
    for other in all_datasets().values():
        if other != DATASET:
            connection.execute(f"DROP TABLE {other.name}; DROP TABLE {other.name}_revision")
    return connection


def empty(connection: duckdb.DuckDBPyConnection) -> None:
    for table in (DATASET.name, f"{DATASET.name}_revision"):
        connection.execute(f"DELETE FROM {table}")


def seen(connection: duckdb.DuckDBPyConnection, at: datetime, lags: tuple[PublicationLag, ...] = ()) -> list[State]:
    """Return the rows known at a time, and how often each was revised by then, as the views show them."""
    dataset = replace(DATASET, publication_lags=lags) if lags else DATASET
    show_as_of(connection, at, "published-lag" if lags else "landed", [dataset])
    hour = f"date_diff('hour', TIMESTAMP '{START}', period) - 1"
    rows = connection.execute(f"SELECT {hour}, type, value FROM staging.{DATASET.name}").fetchall()
    revised = connection.execute(
        f"SELECT {hour}, type, count(*) FROM staging.{DATASET.name}_revision GROUP BY ALL"
    ).fetchall()
    connection.execute("DETACH staging")
    assert len({row[:2] for row in rows}) == len(rows), "two values known at once"
    return [{row[:2]: row[2] for row in rows}, {row[:2]: row[2] for row in revised}]


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), ANSWERS), min_size=1, max_size=5))
def test_what_was_known_at_any_time_is_what_had_landed_by_then(
    held: duckdb.DuckDBPyConnection, landings: list[tuple[int, State]]
) -> None:
    empty(held)
    at = datetime(2024, 5, 2)
    history: list[tuple[datetime, State, State]] = [(datetime.min, {}, {})]
    for number, (hours, rows) in enumerate(landings):
        at += timedelta(hours=hours)  # 0: at the same moment as the one before
        merge(held, DATASET, [arrival(rows, at)], number)
        _, before, revised = history[-1]
        changed = [key for key, value in before.items() if key not in rows or rows[key] != value]
        history.append((at, rows, revised | {key: (revised.get(key) or 0) + 1 for key in changed}))
    for moment in {moment + timedelta(minutes=shift) for moment, *_ in history[1:] for shift in (-1, 0)}:
        assert seen(held, moment) == [states for landed, *states in history if landed <= moment][-1]


def test_a_clock_that_is_set_back_never_makes_two_values_known_at_once(held: duckdb.DuckDBPyConnection) -> None:
    empty(held)
    noon = datetime(2024, 5, 2, 12)
    for number, (hours, value) in enumerate([(0, 1.0), (2, 2.0), (1, 3.0), (3, 4.0)]):
        merge(held, DATASET, [arrival({(0, "D"): value}, noon + timedelta(hours=hours))], number)
    known = [seen(held, noon + timedelta(hours=hours))[0] for hours in (0, 1, 1.5, 2, 3)]
    assert known == [{(0, "D"): value} for value in (1.0, 1.0, 1.0, 3.0, 4.0)]


def test_a_row_that_comes_back_after_the_clock_was_set_back_is_known_again_when_it_was_gone(
    held: duckdb.DuckDBPyConnection,
) -> None:
    empty(held)
    noon = datetime(2024, 5, 2, 12)
    for number, (hours, rows) in enumerate([(0, {(0, "D"): 1.0}), (2, {}), (1, {(0, "D"): 3.0})]):
        merge(held, DATASET, [arrival(rows, noon + timedelta(hours=hours))], number)
    assert [seen(held, noon + timedelta(hours=hours))[0].get((0, "D")) for hours in (0, 1.5, 2)] == [1.0, 1.0, 3.0]


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), ANSWERS), min_size=1, max_size=6))
def test_whatever_the_clock_does_no_two_values_are_known_at_once(
    held: duckdb.DuckDBPyConnection, landings: list[tuple[int, State]]
) -> None:
    empty(held)
    at = datetime(2024, 5, 2)
    moments = {at}
    for number, (hours, rows) in enumerate(landings):
        at += timedelta(hours=hours)
        moments.add(at)
        merge(held, DATASET, [arrival(rows, at)], number)
    assert seen(held, max(moments))[0] == landings[-1][1]
    for moment in moments:
        seen(held, moment)


def test_of_history_loaded_later_the_first_value_counts_as_known_since_it_was_published(
    held: duckdb.DuckDBPyConnection,
) -> None:
    empty(held)
    loaded = datetime(2025, 1, 1)
    first: State = {(0, "D"): 1.0, (1, "D"): 2.0, (0, "DF"): 5.0, (3, "DF"): None}
    second = first | {(0, "D"): 9.0}
    third = {key: value for key, value in second.items() if key != (1, "D")}
    for number, rows in enumerate((first, second, third)):
        merge(held, DATASET, [arrival(rows, loaded + timedelta(days=number))], number)

    def at(hours: float) -> State:
        return seen(held, START + timedelta(hours=hours), (PublicationLag(2, ""), PublicationLag(-3, "", "DF")))[0]

    forecast: State = {(0, "DF"): 5.0}
    assert at(-2.1) == {}
    assert at(-2) == forecast
    assert at(1) == forecast | {(3, "DF"): None}
    assert at(3) == forecast | {(3, "DF"): None, (0, "D"): 1.0}
    assert at(1000) == first, "a revision is known since it landed, and no sooner"
    days = (loaded - START) / timedelta(hours=1)
    assert [at(days + hours) for hours in (23, 24, 47, 48)] == [first, second, second, third]
    assert seen(held, loaded) == [first, {}], "what had landed is known in any case"
    assert seen(held, loaded - timedelta(seconds=1)) == [{}, {}]
    assert len(seen(held, START + timedelta(hours=2), (PublicationLag(1, ""),))[0]) == 2, "one lag for all measures"


@pytest.fixture
def small(tmp_path: Path) -> SmallDesk:
    """A small warehouse, whose only landing became known on 2025-01-01."""
    desk = SmallDesk(tmp_path)
    desk.land_demand(date(2024, 1, 1), 10)
    return desk


def test_a_file_as_of_a_time_records_that_time(small: SmallDesk, tmp_path: Path) -> None:
    to = tmp_path / "then.duckdb"
    build_as_of(small.home, datetime(2025, 2, 1, 5, 30), to, sql=small.sql)
    with duckdb.connect(to, read_only=True) as connection:
        assert connection.execute("SELECT version, as_of_utc, knowledge FROM energywh.version").fetchall() == [
            ("then", datetime(2025, 2, 1, 5, 30), "landed")
        ]
        assert connection.execute("SELECT count(*) FROM normalized.demand").fetchall() == [(48,)]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_time_before_anything_was_known_and_one_to_come_are_refused(small: SmallDesk, tmp_path: Path) -> None:
    to = tmp_path / "then.duckdb"
    with pytest.raises(UsageError, match=r"nothing was known.*first landing was at 2025-01-01.*published-lag"):
        build_as_of(small.home, datetime(2024, 12, 31), to, sql=small.sql)
    with pytest.raises(UsageError, match="it is in the future"):
        build_as_of(small.home, datetime(2999, 1, 1), to, sql=small.sql)
    build_as_of(small.home, datetime(2024, 1, 5), to, knowledge="published-lag", sql=small.sql)
    with pytest.raises(UsageError, match="all that is held was published later"):
        build_as_of(small.home, datetime(2024, 1, 1), to, knowledge="published-lag", sql=small.sql, force=True)
    assert to.exists(), "a build that failed replaced the file"


def test_only_a_warehouse_file_is_replaced_and_only_by_force(small: SmallDesk, tmp_path: Path) -> None:
    then = datetime(2025, 2, 1)
    to = tmp_path / "then.duckdb"
    build_as_of(small.home, then, to, sql=small.sql)
    with pytest.raises(UsageError, match="--force to replace"):
        build_as_of(small.home, then, to, sql=small.sql)
    build_as_of(small.home, then, to, sql=small.sql, force=True)
    for text in ("my notes", ""):
        to.write_text(text)
        with pytest.raises(UsageError, match="not a warehouse file"):
            build_as_of(small.home, then, to, sql=small.sql, force=True)
        assert to.read_text() == text
    to.unlink()
    with duckdb.connect(to) as connection:
        connection.execute("CREATE TABLE mine AS SELECT 1 AS x")
    with pytest.raises(UsageError, match="not a warehouse file"):
        build_as_of(small.home, then, to, sql=small.sql, force=True)
    small.build()
    for own in (small.home.staging, small.home.energy, small.home.versions / "x.duckdb"):
        with pytest.raises(UsageError, match=r"of the warehouse .* itself"):
            build_as_of(small.home, then, own, sql=small.sql, force=True)
    with pytest.raises(UsageError, match="is a folder"):
        build_as_of(small.home, then, tmp_path, sql=small.sql)
    with pytest.raises(UsageError, match="there is no folder"):
        build_as_of(small.home, then, tmp_path / "nowhere" / "x.duckdb", sql=small.sql)


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_during_the_build_is_not_replaced(
    small: SmallDesk, tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_notes(event: BuildEvent) -> None:
        if isinstance(event, ModelEnded):
            to.write_text("my notes")

    def refuse(*paths: Path) -> None:
        raise OSError(errno.ENOTSUP, "no links here")

    if not links:
        monkeypatch.setattr("os.link", refuse)
    to = tmp_path / "then.duckdb"
    with pytest.raises(UsageError, match="--force to replace"):
        build_as_of(small.home, datetime(2025, 2, 1), to, sql=small.sql, listeners=[write_notes])
    assert to.read_text() == "my notes"
    to.unlink()
    assert build_as_of(small.home, datetime(2025, 2, 1), to, sql=small.sql).path == to
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "sql", "then.duckdb"]


def test_the_link_to_the_warehouse_is_known_by_every_way_to_it(small: SmallDesk, tmp_path: Path) -> None:
    (tmp_path / "way").symlink_to(tmp_path)
    home = Home(tmp_path / "way" / "home")  # nothing is published: the link is not there yet
    with pytest.raises(UsageError, match=r"of the warehouse .* itself"):
        build_as_of(home, datetime(2025, 2, 1), home.energy, sql=small.sql)


def test_a_model_that_fails_leaves_no_file(small: SmallDesk, tmp_path: Path) -> None:
    small.write(
        "normalized/demand.sql", (small.sql / "normalized" / "demand.sql").read_text() + " and 1 / 0 > nonsense"
    )
    with pytest.raises(ModelError, match="nonsense"):
        build_as_of(small.home, datetime(2025, 2, 1), tmp_path / "then.duckdb", sql=small.sql)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "sql"]


def test_a_missing_sync_is_reported(tmp_path: Path) -> None:
    small = SmallDesk(tmp_path)
    small.home.staging.unlink()
    with pytest.raises(StorageError, match="nothing has been synced"):
        build_as_of(small.home, datetime(2025, 2, 1), tmp_path / "then.duckdb", sql=small.sql)
