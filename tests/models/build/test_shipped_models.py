"""The shipped models built by the runner: month by month as in one piece."""

from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from energywh.core.paths import Home, sql_dir
from energywh.core.time import utc_now
from energywh.models.build.options import BuildOptions
from energywh.models.build.report import BuildReport
from energywh.models.build.runner import build
from energywh.models.project.project import load_project
from energywh.sources import all_datasets
from energywh.sources.open_meteo import HOURLY
from energywh.sync.schema import open_staging
from tests.models.folder import Desk
from tests.support.staging import create_tables

MONTHS = [date(2024, month, 1) for month in range(1, 7)]
TABLES = {
    "region_data": ("respondent", "type", ["D", "DF", "NG", "TI"]),
    "fuel_type_data": ("respondent", "fueltype", ["COL", "NG", "SUN", "WND", "OTH", "BAT", "GEO"]),
    "interchange_data": ("fromba", "toba", ["AZPS", "IESO"]),
}


def shipped(desk: Desk, *, full: bool = False) -> BuildReport:
    return build(desk.home, sql=sql_dir(), full=full, options=BuildOptions(keep_versions=9, threads=2))


def empty_desk(tmp_path: Path) -> Desk:
    """A desk whose staging has the tables of every dataset, without rows."""
    desk = Desk(tmp_path, {})
    with duckdb.connect(desk.home.staging) as connection:
        create_tables(connection)
        for dataset in all_datasets().values():
            connection.execute("DELETE FROM sync.dataset WHERE name = ?", [dataset.name])
            facts = [dataset.name, dataset.time_column, dataset.stamp_offset_hours]
            connection.execute("INSERT INTO sync.dataset VALUES (?, ?, ?)", facts)
    return desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Half a year of three authorities, with fractions (as many digits as are reported), nulls and holes."""
    desk = empty_desk(tmp_path)
    statements = [
        f"INSERT INTO eia.{table} SELECT TIMESTAMP '2024-01-01' + to_hours(h::INTEGER), region, code, "
        "CASE WHEN hash(h, region, code) % 41 <> 0 THEN round(1000 + hash(region, code, h) % 100000 / 7.0, 3) END, "
        "TIMESTAMP '2025-01-01' "
        f"FROM range(1, 4369) t(h), (SELECT unnest(['CISO', 'LGEE', 'NYIS']) AS region), "
        f"(SELECT unnest({codes}) AS code) WHERE hash(code, h, region) % 53 <> 0"
        for table, (_, _, codes) in TABLES.items()
    ]
    weather = [f"hash(h, place, {number}) % 1000 / 10.0" for number in range(len(HOURLY.values))]
    statements.append(
        f"INSERT INTO {HOURLY.name} SELECT TIMESTAMP '2024-01-01' + to_hours(h::INTEGER), region, place, "
        f"{', '.join(weather)}, TIMESTAMP '2025-01-01' FROM range(1, 4369) t(h), "
        f"read_csv('{sql_dir()}/seeds/weather_place.csv') WHERE region IN ('CISO', 'LGEE', 'NYIS')"
    )
    desk.land(*statements, changes={**{f"eia.{table}": MONTHS for table in TABLES}, HOURLY.name: MONTHS})
    return desk


# Daily, tests/sql/test_incremental.py compares the months of each model on its own.
@pytest.mark.soak
@pytest.mark.parametrize("changed", [("region_data",), pytest.param(tuple(TABLES), id="every table")])
def test_shipped_models_built_by_month_equal_those_built_whole(desk: Desk, changed: tuple[str, ...]) -> None:
    tables = tuple(name for name, model in load_project(sql_dir()).models.items() if model.materialized != "inline")
    shipped(desk)
    for number, table in enumerate(changed):
        who, *_ = TABLES[table]
        month = MONTHS[1 + number]
        desk.land(
            f"UPDATE eia.{table} SET value = round(value * 1.01, 3) WHERE {who} = 'CISO' AND "
            f"period > '{month}' AND period < TIMESTAMP '{month}' + interval 9 day",
            f"DELETE FROM eia.{table} WHERE {who} = 'NYIS' AND period > '{month + timedelta(days=20)}' "
            f"AND period < '{month + timedelta(days=22)}'",
            changes={f"eia.{table}": [month]},
        )
        report = shipped(desk)
        grid = next(result for result in report.models if result.name == "normalized.grid")
        # Gaps of the month before and of the one after are filled by what this one says too.
        months = 3 if table == "region_data" else 1
        assert (grid.months, grid.changed) == (months, months)
    # The radiation of the last hour of April is stamped May 1st 00:00, and so is the temperature of the first of May.
    desk.land(
        f"UPDATE {HOURLY.name} SET shortwave_radiation = 7, temperature_2m = 7 WHERE time = '2024-05-01'",
        changes={HOURLY.name: [date(2024, 4, 1)]},
    )
    weather_model = next(result for result in shipped(desk).models if result.name == "normalized.weather")
    assert (weather_model.months, weather_model.changed) == (2, 2)
    by_month = desk.contents(tables)
    shipped(desk, full=True)
    assert by_month == desk.contents(tables)


def test_shipped_models_build_from_a_staging_without_rows(tmp_path: Path) -> None:
    desk = empty_desk(tmp_path)
    began = utc_now()
    report = shipped(desk)
    assert report.published
    timed = [name for name, model in load_project(sql_dir()).models.items() if model.time_column is not None]
    assert {result.rows for result in report.models if result.name in timed} == {0}
    assert desk.query("SELECT built_at_utc FROM energywh.version")[0][0] >= began.replace(microsecond=0)


def test_one_model_can_be_built_first_with_what_its_audits_read(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with open_staging(home.staging):
        pass
    report = build(home, ["normalized.demand_reported"])
    read = {"normalized.correction", "normalized.region", "normalized.filed_balance"}
    assert {result.name for result in report.models} == {"normalized.demand_reported", *read}
