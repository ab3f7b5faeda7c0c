"""The dated corrections of clocks and signs: one setting applies them, without it no trace is left."""

import shutil
from datetime import date, datetime
from pathlib import Path

import pytest

from energywh.core.paths import sql_dir
from energywh.models.build.options import BuildOptions
from energywh.models.build.report import BuildReport
from energywh.models.build.runner import build
from tests.models.build.test_shipped_models import empty_desk
from tests.models.folder import Desk

NAMES = ("normalized.demand", "normalized.generation", "normalized.interchange")
READ = ("normalized.demand_reported", "normalized.generation_reported", "normalized.interchange")
MONTHS = [date(2024, month, 1) for month in range(1, 11)]
# Spans that begin, end and cross where months meet.
CLOCKS = """measure,region,neighbor,first_hour_utc,last_hour_utc,shift_hours,utc_offset_of
demand,TEPC,,2024-01-20 00:00,2024-03-31 23:00,1,
net_generation,TEPC,,2024-02-01 00:00,2024-02-29 23:00,-7,
generation,SC,,2024-01-15 00:00,2024-03-20 00:00,0,America/New_York
interchange,TEPC,SRP,2024-02-29 20:00,2024-03-31 23:00,4,
"""
SIGNS = """measure,region,neighbor,first_hour_utc,last_hour_utc
interchange,TEPC,SRP,2024-01-10 00:00,2024-03-01 02:00
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Four months, more than the corrections reach."""
    return desk_of(tmp_path, MONTHS[:4])


def desk_of(tmp_path: Path, months: list[date]) -> Desk:
    """Return months of two authorities, by API and by file, and the shipped models with other corrections."""
    desk = empty_desk(tmp_path)
    shutil.rmtree(desk.sql)
    shutil.copytree(sql_dir(), desk.sql)
    desk.write("seeds/clock_correction.csv", CLOCKS)
    desk.write("seeds/sign_correction.csv", SIGNS)
    count = 30 * 24 * len(months)
    hours = f"select timestamp '2024-01-01' + to_hours(h::integer) as period, h from range(1, {count} + 1) t(h)"
    regions = "(select unnest(['SC', 'TEPC']) as region)"
    known = "timestamp '2025-01-01' as known_from_utc"
    desk.land(
        f"insert into eia.region_data by name select period, region as respondent, type, h + hash(type) % 90 as value, "
        f"{known} from ({hours}), {regions}, (select unnest(['D', 'DF', 'NG', 'TI']) as type) where h % 50 > 5",
        f"insert into eia.fuel_type_data by name select period, region as respondent, fueltype, "
        f"h + hash(fueltype) % 90 as value, {known} from ({hours}), {regions}, "
        "(select unnest(['COL', 'SUN']) as fueltype) where h % 50 > 5",
        f"insert into eia.interchange_data by name select period, 'TEPC' as fromba, toba, h * 1.5 as value, {known} "
        f"from ({hours}), (select unnest(['SRP', 'EPE']) as toba) where h % 50 > 5",
        f"insert into eia_files.balance by name select period, '2024_Jan_Jun' as file, region, h * 2 as demand_mwh, "
        f"h * 3 as net_generation_mwh, h * 4 as net_generation_imputed_mwh, h * 5 as col_mwh, {known} "
        f"from ({hours}), {regions} where h % 50 < 9",
        f"insert into eia_files.interchange by name select period, '2024_Jan_Jun' as file, 'TEPC' as region, "
        f"'SRP' as neighbor, h * 6 as interchange_mwh, {known} from ({hours}) where h % 50 < 9",
        changes={
            **{f"eia.{table}": months for table in ("region_data", "fuel_type_data", "interchange_data")},
            **{f"eia_files.{table}": months for table in ("balance", "interchange")},
        },
    )
    return desk


def built(desk: Desk, *, corrections: bool, full: bool = False) -> BuildReport:
    options = BuildOptions(keep_versions=9, threads=2, corrections=corrections)
    return build(desk.home, NAMES, sql=desk.sql, full=full, options=options)


def test_a_correction_applies_with_the_setting_and_leaves_no_trace_without_it(desk: Desk) -> None:
    """All columns are equal except the flag of demand, which marks hours of a known wrong clock."""
    values = (*READ, NAMES[1], "(select * exclude (demand_flag) from normalized.demand)")
    flagged = "select min(hour_utc), max(hour_utc) from normalized.demand where demand_flag = 'clock_error'"
    built(desk, corrections=False)
    off = desk.contents(NAMES)
    as_reported = [desk.query(f"from {table} order by all") for table in values]
    assert desk.query(flagged) == [(datetime(2024, 1, 20), datetime(2024, 3, 31, 23))]
    desk.write("seeds/clock_correction.csv", CLOCKS.splitlines()[0] + "\n")
    desk.write("seeds/sign_correction.csv", SIGNS.splitlines()[0] + "\n")
    built(desk, corrections=False, full=True)
    assert [desk.query(f"from {table} order by all") for table in values] == as_reported
    assert desk.query(flagged) == [(None, None)]

    desk.write("seeds/clock_correction.csv", CLOCKS)
    desk.write("seeds/sign_correction.csv", SIGNS)
    built(desk, corrections=True)
    on = desk.contents(NAMES)
    assert desk.query(flagged) == [(None, None)]
    assert [on[name] != off[name] for name in NAMES] == [True, True, True]
    for table in READ:
        marks = desk.query(f"select distinct correction from {table} where correction is not null order by 1")
        assert marks == [("clock",), ("clock+sign",), ("sign",)] if table == READ[2] else [("clock",)]

    built(desk, corrections=False)
    assert desk.contents(NAMES) == off


def test_no_value_is_lost_except_where_another_takes_its_hour(desk: Desk) -> None:
    """After the span of TEPC's demand one hour, before the span of SC's fuels five: each is spoken for as reported."""
    sums = (
        "select count(demand_mwh), sum(demand_mwh) from normalized.demand_reported where region = 'TEPC'",
        "select count(*), sum(generation_mwh) from normalized.generation_reported where region = 'SC'",
    )
    giving_way = (
        f"{sums[0]} and hour_utc = '2024-03-31 23:00'",
        f"{sums[1]} and hour_utc between '2024-01-15 00:00' and '2024-01-15 04:00'",
    )
    built(desk, corrections=False)
    before, less = ([desk.query(sql)[0] for sql in queries] for queries in (sums, giving_way))
    assert [count for count, _ in less] == [1, 10]
    built(desk, corrections=True)
    assert [desk.query(sql)[0] for sql in sums] == [
        (count - fewer, total - lower)  # type: ignore[operator]
        for (count, total), (fewer, lower) in zip(before, less, strict=True)
    ]


@pytest.mark.soak
def test_corrected_hours_built_by_month_equal_those_built_whole(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, MONTHS)  # so many that what changes is built by month
    built(desk, corrections=True)
    for number, month in enumerate(MONTHS[1:3]):
        desk.land(
            f"update eia.region_data set value = value + 7 where period > '{month}'::timestamp - interval 3 hour "
            f"and period < '{month}'::timestamp + interval 30 day",
            f"update eia_files.balance set demand_mwh = demand_mwh + {number}, col_mwh = null where "
            f"period > '{month}'::timestamp and period < '{month}'::timestamp + interval 9 hour",
            f"delete from eia.interchange_data where period > '{month}'::timestamp + interval 27 day "
            f"and period <= '{month}'::timestamp + interval 30 day",
            changes={
                "eia.region_data": MONTHS[number : number + 2],
                "eia_files.balance": [month],
                "eia.interchange_data": MONTHS[number + 1 : number + 3],
            },
        )
        report = built(desk, corrections=True)
        months = {result.name: result.months for result in report.models}
        assert None not in [months[name] for name in READ]
    by_month = desk.contents(NAMES)
    built(desk, corrections=True, full=True)
    assert by_month == desk.contents(NAMES)
