"""What a build that touches only some months relies on: a row reads its own hour and at most `lookback` before it."""

from datetime import datetime, timedelta

import duckdb
import pytest

from tests.sql.model_files import MODELS, ORDER, build, columns, load_seeds, warehouse

FIRST, LAST = datetime(2024, 10, 20), datetime(2024, 12, 20)
MONTH, NEXT = datetime(2024, 11, 1), datetime(2024, 12, 1)
REGIONS = ("CISO", "LGEE", "NYIS", "AVRN")
STAGING = {
    "region_data": ("respondent", "type", ("D", "DF", "NG", "TI")),
    "fuel_type_data": ("respondent", "fueltype", ("COL", "NG", "SUN", "WND", "WAT", "OTH", "BAT", "OES", "UES")),
    "interchange_data": ("fromba", "toba", ("BPAT", "AZPS", "IESO", "PJM")),
}
WEATHER = (
    "temperature_2m, dew_point_2m, wind_speed_10m, wind_speed_100m, shortwave_radiation, cloud_cover, precipitation"
)
INCREMENTAL = [name for name in ORDER if MODELS[name].is_incremental]


def fill_staging(con: duckdb.DuckDBPyConnection) -> None:
    """Two months of fractional values with holes and nulls; NYIS has no sun until the middle of November."""
    for table, (who, what, codes) in STAGING.items():
        con.execute(f"""
            create table staging.eia.{table} as
            select
                h.period,
                r.region as {who},
                c.code as {what},
                case when hash(h.period, r.region, c.code, 1) % 37 <> 0
                    then round(1000 + (hash(h.period, r.region, c.code) % 100000) / 7.0, 4) end as value,
                timestamp '2025-01-01' as known_from_utc
            from (select unnest(generate_series(timestamp '{FIRST}', timestamp '{LAST}', interval 1 hour)) as period) h,
                (select unnest({list(REGIONS)}) as region) r,
                (select unnest({list(codes)}) as code) c
            where hash(h.period, r.region, c.code, 2) % 29 <> 0
                and not (r.region = 'NYIS' and c.code = 'SUN' and h.period < timestamp '2024-11-15')
                and not (r.region = 'AVRN' and c.code in ('D', 'DF'))
        """)
    weather = ", ".join(
        f"case when hash(h.time, p.place, '{name}') % 31 <> 0 then (hash(h.time, p.place, '{name}') % 1000) / 10.0 end "
        f"as {name}"
        for name in WEATHER.split(", ")
    )
    con.execute(f"""
        create table staging.open_meteo.hourly as
        select h.time, p.region, p.place, {weather}, timestamp '2025-01-01' as known_from_utc
        from (select unnest(generate_series(timestamp '{FIRST}', timestamp '{LAST}', interval 1 hour)) as time) h,
            seeds.weather_place p
        where p.region in {REGIONS} and hash(h.time, p.place) % 23 <> 0
    """)


@pytest.fixture(scope="module")
def whole() -> duckdb.DuckDBPyConnection:
    """A warehouse built in one piece."""
    con = warehouse()
    load_seeds(con)
    fill_staging(con)
    build(con, *ORDER)
    return con


def rebuilt(
    whole: duckdb.DuckDBPyConnection, name: str, first: datetime, end: datetime, where: str = "true"
) -> duckdb.DuckDBPyConnection:
    """A warehouse that holds what `name` may read for hours in [first, end), with `name` built from it."""
    con = warehouse()
    for table, (who, _, _) in STAGING.items():
        periods = f"period > '{first}' and period <= '{end}' and {where.replace('region', who)}"
        con.register("source", whole.sql(f"select * from staging.eia.{table} where {periods}").to_arrow_table())
        con.execute(f"create table staging.eia.{table} as from source")
    stamps = f"time > '{first}' and time <= '{end}' and {where}"
    con.register("source", whole.sql(f"select * from staging.open_meteo.hourly where {stamps}").to_arrow_table())
    con.execute("create table staging.open_meteo.hourly as from source")
    load_seeds(con)
    for other in ORDER:
        if other == name:
            continue
        hours = f"hour_utc >= '{first}' and hour_utc < '{end}' and {where}" if MODELS[other].has_time else "true"
        con.register("source", whole.sql(f"select * from {other} where {hours}").to_arrow_table())
        con.execute(f"create table {other} as from source")
    build(con, name)
    return con


def differing(a: duckdb.DuckDBPyConnection, b: duckdb.DuckDBPyConnection, name: str, where: str) -> int:
    """Rows, to the last bit, that one of two warehouses has and the other has not."""
    assert columns(a, f"from {name}") == columns(b, f"from {name}")
    a.register("theirs", b.sql(f"select * from {name} where {where}").to_arrow_table())
    ours = f"select * from {name} where {where}"
    found = a.execute(
        f"select count(*) from (({ours} except all from theirs) union all (from theirs except all {ours}))"
    ).fetchall()
    return int(found[0][0])


IN_MONTH = f"hour_utc >= '{MONTH}' and hour_utc < '{NEXT}'"


@pytest.mark.parametrize("name", INCREMENTAL)
def test_a_month_rebuilt_from_its_lookback_equals_the_month_of_a_whole_build(
    whole: duckdb.DuckDBPyConnection, name: str
) -> None:
    part = rebuilt(whole, name, MONTH - MODELS[name].lookback, NEXT)
    assert part.execute(f"select count(*) from {name} where {IN_MONTH}").fetchall()[0][0] > 0
    assert differing(whole, part, name, IN_MONTH) == 0


@pytest.mark.parametrize("name", ["features.hourly", "normalized.weather"])
def test_a_lookback_is_no_longer_than_its_model_needs(whole: duckdb.DuckDBPyConnection, name: str) -> None:
    short = MODELS[name].lookback - timedelta(hours=1)
    assert differing(whole, rebuilt(whole, name, MONTH - short, NEXT), name, IN_MONTH) > 0


@pytest.mark.parametrize("name", [n for n in ORDER if MODELS[n].has_time])
def test_a_region_built_alone_equals_the_region_built_among_others(whole: duckdb.DuckDBPyConnection, name: str) -> None:
    alone = rebuilt(whole, name, FIRST - timedelta(days=40), LAST, "region = 'NYIS'")
    assert differing(whole, alone, name, "region = 'NYIS'") == 0


def test_the_spine_has_every_hour_of_a_region_once(whole: duckdb.DuckDBPyConnection) -> None:
    for name in ("normalized.grid", "features.calendar", "features.hourly"):
        found = whole.execute(f"""
            select region, count(*), count(distinct hour_utc), date_diff('hour', min(hour_utc), max(hour_utc)) + 1
            from {name} group by region order by region
        """).fetchall()
        assert [f[0] for f in found] == sorted(REGIONS)
        assert all(f[1] == f[2] == f[3] for f in found), (name, found)
