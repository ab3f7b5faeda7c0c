"""A build of what changed equals a full build, after any sequence of events."""

import tempfile
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from energywh.models.build import stale_months
from energywh.models.versions.publish import current_version
from tests.models.folder import DEMAND, FUEL_CSV, GRID, MODELS, ROLLING, START, TABLES, Desk

HOURS = st.integers(0, 24 * 150)
REGION = st.sampled_from(["A", "B", "C"])
VALUE = st.integers(-5, 50) | st.none()


def stamp(hour: int) -> str:
    """Return the period (end of the hour) of an hour counted from `START`."""
    return f"TIMESTAMP '{START + timedelta(hours=hour + 1)}'"


def month(hour: int) -> date:
    return (START + timedelta(hours=hour)).date().replace(day=1)


@st.composite
def write_hours(draw: st.DrawFn) -> tuple[str, ...]:
    """New or revised values of one region over a stretch of hours, which may cross months."""
    table, key, codes = draw(
        st.sampled_from([("region_data", "type", ["D", "NG"]), ("fuel_type_data", "fueltype", ["SUN", "WND", "OTH"])])
    )
    region, code, value, first = draw(REGION), draw(st.sampled_from(codes)), draw(VALUE), draw(HOURS)
    length = draw(st.sampled_from([1, 2, 30, 800]))
    keep = draw(st.booleans())  # False: the hours are withdrawn
    return (
        "land",
        table,
        key,
        region,
        code,
        str(value) if value is not None else "NULL",
        str(first),
        str(length),
        str(keep),
    )


DOUBLED = GRID.replace("d.demand_mwh,", "2 * d.demand_mwh as demand_mwh,")
STEPS = st.one_of(
    write_hours(),
    write_hours(),
    write_hours(),
    st.just(("build",)),
    st.tuples(st.just("build"), st.sampled_from(TABLES)),
    st.tuples(st.just("seed"), st.sampled_from([FUEL_CSV, "fueltype,family\nSUN,solar\nWND,solar\n"])),
    st.tuples(
        st.just("model"), st.sampled_from([GRID, GRID.replace("d.demand_mwh,", "2 * d.demand_mwh as demand_mwh,")])
    ),
    st.tuples(st.just("lookback"), st.sampled_from([ROLLING, ROLLING.replace("72 hour", "24 hour")])),
)


def take(desk: Desk, step: tuple[str, ...]) -> None:
    match step:
        case ("land", table, key, region, code, value, first, length, keep):
            start, hours = int(first), int(length)
            where = f"period >= {stamp(start)} AND period < {stamp(start + hours)}"
            statements = [f"DELETE FROM eia.{table} WHERE respondent = '{region}' AND {key} = '{code}' AND {where}"]
            if keep == "True":
                statements.append(
                    f"INSERT INTO eia.{table} SELECT {stamp(start)} + to_hours(h::INTEGER), '{region}', '{code}', "
                    f"{value}::DOUBLE + h % 7, now() FROM range({hours}) t(h)"
                )
            months = sorted({month(start + hour) for hour in range(hours)})
            desk.land(*statements, changes={f"eia.{table}": months})
        case ("build", *names):
            desk.build(*names)
        case ("seed", text):
            desk.write("seeds/fuel.csv", text)
        case ("model", text):
            desk.write("normalized/grid.sql", text)
        case ("lookback", text):
            desk.write("features/rolling.sql", text)


@pytest.mark.parametrize("examples", [2, pytest.param(25, marks=pytest.mark.soak)])
def test_any_history_of_changes_gives_what_a_full_build_gives(examples: int) -> None:
    histories = given(st.lists(STEPS, min_size=3, max_size=12), st.sampled_from([0.0, 0.5, 2.0]))
    settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))(histories(replay))()


def replay(steps: list[tuple[str, ...]], whole_above: float) -> None:
    """Run the steps with their builds, and compare with a full build."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(stale_months, "WHOLE_ABOVE", whole_above)
        desk = Desk(Path(folder))
        desk.land_demand(date(2024, 1, 1), 10, hours=24 * 150)
        desk.build()
        for step in steps:
            take(desk, step)
        desk.build()
        incremental = desk.contents()
        assert not desk.build().published
        desk.build(full=True)
        assert incremental == desk.contents()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    for number in range(1, 7):
        desk.land_demand(date(2024, number, 1), number, hours=24 * 20)
    return desk


def test_only_the_month_that_changed_is_built_and_those_that_read_it(desk: Desk) -> None:
    desk.build()
    desk.land_demand(date(2024, 3, 1), 100)
    report = desk.build()
    assert {result.name: (result.built, result.months, result.changed) for result in report.models} == {
        "normalized.fuel": (False, 0, 0),
        "normalized.generation": (False, 0, 0),
        "normalized.demand": (True, 1, 1),
        "normalized.span": (True, None, 0),
        "normalized.spine": (False, 0, 0),
        "normalized.grid": (True, 1, 1),
        "features.shifted": (True, 2, 1),
        "features.rolling": (True, 3, 2),
        "features.total": (True, None, 1),
    }


def test_a_change_that_changes_nothing_goes_no_further(desk: Desk) -> None:
    desk.build()
    desk.land(changes={"eia.region_data": [date(2024, 2, 1)]})
    report = desk.build()
    assert [result.name for result in report.models if result.built] == ["normalized.demand"]
    assert not desk.build().published


def test_a_value_at_the_end_of_a_month_reaches_the_next_by_lookback_and_its_own_by_lookahead(desk: Desk) -> None:
    desk.land_demand(date(2024, 1, 1), 1, hours=24 * 31)
    desk.build()
    digests = "SELECT (model, month), digest FROM energywh.month WHERE model LIKE 'features.%' AND month IS NOT NULL"
    before = dict(desk.query(digests))
    desk.land(
        "UPDATE eia.region_data SET value = value + 5 WHERE period = '2024-02-01 00:00:00'",
        changes={"eia.region_data": [date(2024, 1, 1)]},
    )
    desk.build()
    after = dict(desk.query(digests))
    assert {key for key in before if before[key] != after[key]} == {
        ("features.shifted", date(2024, 2, 1)),
        ("features.rolling", date(2024, 1, 1)),
        ("features.rolling", date(2024, 2, 1)),
    }


def test_months_that_are_withdrawn_vanish_everywhere(desk: Desk) -> None:
    desk.build()
    desk.land(
        "DELETE FROM eia.region_data WHERE period > '2024-06-01'", changes={"eia.region_data": [date(2024, 6, 1)]}
    )
    desk.build(allow_loss=True)
    vanished = desk.query("SELECT count(*) FROM features.rolling WHERE hour_utc >= '2024-06-01'")
    assert vanished == [(0,)]
    assert desk.query("SELECT DISTINCT model FROM energywh.month WHERE month = '2024-06-01'") == []


def test_models_left_out_catch_up_later(desk: Desk) -> None:
    desk.build()
    desk.land_demand(date(2024, 2, 1), 50)
    first = desk.build("demand")
    assert [result.name for result in first.models] == ["normalized.demand"]
    assert not desk.build("normalized.demand").published
    desk.land_demand(date(2024, 4, 1), 70)
    desk.build("normalized.span")
    report = desk.build()
    assert next(r.months for r in report.models if r.name == "normalized.grid") == 2
    incremental = desk.contents()
    desk.build(full=True)
    assert incremental == desk.contents()


def test_each_version_is_brought_forward_from_the_one_before_and_readers_keep_theirs(desk: Desk) -> None:
    import duckdb

    reports = [desk.build()]
    oldest = current_version(desk.home)
    assert oldest is not None
    with duckdb.connect(oldest, read_only=True) as reader:
        before = reader.execute("SELECT sum(demand_mwh) FROM normalized.demand").fetchall()
        for number in range(1, 7):
            desk.land_demand(date(2024, number, 1), 200 + number)
            reports.append(desk.build())
        assert reader.execute("SELECT sum(demand_mwh) FROM normalized.demand").fetchall() == before
    assert not oldest.exists()
    assert reports[0].base == "fresh"
    assert {report.base for report in reports[1:]} <= {"copied", "cloned"}
    assert desk.query("SELECT base_version FROM energywh.version") == [(reports[-2].version,)]
    assert len(desk.versions()) == 3
    incremental = desk.contents()
    desk.build(full=True)
    assert incremental == desk.contents()


def test_another_staging_file_with_the_same_landing_numbers_is_noticed(desk: Desk, tmp_path: Path) -> None:
    desk.build()
    other = Desk(tmp_path / "other", MODELS)
    other.landings = 0
    for number in range(1, 7):
        other.land_demand(date(2024, number, 1), 1000)
    other.land("UPDATE sync.landing SET landed_at_utc = landed_at_utc + interval 1 day", changes={})
    other.home.staging.replace(desk.home.staging)
    assert desk.build(allow_loss=True).published
    assert desk.query("SELECT min(demand_mwh) FROM normalized.demand") == [(1001.0,)]


def test_rows_of_a_month_lie_together(desk: Desk) -> None:
    desk.build()
    desk.land_demand(date(2024, 3, 1), 100)
    desk.build()
    runs = desk.query(
        "SELECT count(*) FROM (SELECT month, lag(month) OVER (ORDER BY id) AS before FROM "
        "(SELECT rowid AS id, date_trunc('month', hour_utc) AS month FROM normalized.grid)) "
        "WHERE month IS DISTINCT FROM before"
    )
    assert runs == [(6,)]


WEATHER = """/*---
description = "Temperature, from a source that stamps the start of the hour."
grain = ["hour_utc"]
[columns]
hour_utc = "Start of the hour, UTC."
temperature_c = "Temperature, degrees Celsius."
---*/
select {column} as hour_utc, value as temperature_c from staging.sky.weather
"""


@pytest.mark.parametrize("column", ["period", "hour_start"])
def test_a_month_keeps_its_first_and_last_hour_whichever_end_of_the_hour_a_source_stamps(
    tmp_path: Path, column: str
) -> None:
    desk = Desk(tmp_path, {"n/weather.sql": WEATHER.format(column=column), "n/demand.sql": DEMAND})
    months = [date(2024, number, 1) for number in range(1, 7)]
    desk.land(
        "CREATE SCHEMA sky",
        f"CREATE TABLE sky.weather AS SELECT hour AS {column}, 20.0 AS value "
        "FROM generate_series(TIMESTAMP '2024-01-01', TIMESTAMP '2024-06-30 23:00', INTERVAL 1 HOUR) t(hour)",
        f"INSERT INTO sync.dataset VALUES ('sky.weather', '{column}', 0)",
        f"INSERT INTO eia.region_data SELECT {column} + INTERVAL 1 HOUR, 'A', 'D', 20, '2025-01-01' FROM sky.weather",
        changes={"sky.weather": months, "eia.region_data": months},
    )
    desk.build()
    desk.land(
        f"UPDATE sky.weather SET value = 30 WHERE month({column}) = 3",
        "UPDATE eia.region_data SET value = 30 WHERE month(period - INTERVAL 1 HOUR) = 3",
        changes={"sky.weather": [date(2024, 3, 1)], "eia.region_data": [date(2024, 3, 1)]},
    )
    assert {result.months for result in desk.build().models} == {1}
    for value, table in (("temperature_c", "n.weather"), ("demand_mwh", "n.demand")):
        assert desk.query(
            f"SELECT {value}, count(*), min(hour_utc), max(hour_utc) FROM {table} WHERE month(hour_utc) = 3 GROUP BY 1"
        ) == [(30, 31 * 24, datetime(2024, 3, 1), datetime(2024, 3, 31, 23))]
    incremental = desk.contents(("n.weather", "n.demand"))
    desk.build(full=True)
    assert incremental == desk.contents(("n.weather", "n.demand"))
