"""What a build that touches only some months relies on: a row reads its own hour and at most `lookback` before it."""

from datetime import datetime, timedelta

import duckdb
import pytest

from energywh.sync.staging import all_datasets
from tests.sql.model_files import MODELS, ORDER, build, columns, load_seeds, warehouse

FIRST, LAST = datetime(2024, 10, 20), datetime(2024, 12, 20)
MONTH, NEXT = datetime(2024, 11, 1), datetime(2024, 12, 1)
REGIONS = ("CISO", "LGEE", "NYIS", "AVRN")
STAGING = {
    "region_data": ("respondent", "type", ("D", "DF", "NG", "TI")),
    "fuel_type_data": ("respondent", "fueltype", ("COL", "NG", "SUN", "WND", "WAT", "OTH", "BAT", "OES", "UES")),
    "interchange_data": ("fromba", "toba", ("BPAT", "AZPS", "IESO", "PJM")),
    "region_sub_ba_data": ("parent", "subba", ("0001", "ZONA")),
}
FILES = {"balance": None, "interchange": ("AZPS", "IESO", "BCHA"), "subregion": ("0001", "ZONB")}  # codes of the key
INCREMENTAL = [name for name in ORDER if MODELS[name].is_incremental]


def fill_staging(con: duckdb.DuckDBPyConnection) -> None:
    """Two months of fractional values with holes and nulls; NYIS has no sun until the middle of November."""
    for table, (who, what, codes) in STAGING.items():
        con.execute(f"""
            insert into staging.eia.{table}
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
    for table, codes in FILES.items():
        dataset = all_datasets()[f"eia_files.{table}"]
        key = next((key for key in dataset.keys if key not in ("file", "region")), None)
        values = ", ".join(
            f"case when hash(h.period, r.region, {i}) % 3 = 0 then 10 + hash(h.period, {i}) % 500 / 7.0 end as {value}"
            for i, value in enumerate(dataset.values)
        )
        con.execute(f"""
            insert into staging.eia_files.{table} by name
            select h.period, r.region, f.file, {f"c.code as {key}," if key else ""} {values},
                timestamp '2025-01-01' + to_hours((hash(h.period, f.file) % 3)::integer - 1) as known_from_utc
            from (select unnest(generate_series(timestamp '{FIRST}', timestamp '{LAST}', interval 1 hour)) as period) h,
                (select unnest({list(REGIONS)}) as region) r,
                (select unnest(['2024_Jul_Dec', '2025_Jan_Jun']) as file) f,
                (select unnest({list(codes or ("",))}) as code) c
            where (f.file = '2024_Jul_Dec' or h.period between timestamp '2024-12-01' and timestamp '2024-12-02')
                and hash(h.period, r.region, c.code, 3) % 29 <> 0
                and not (r.region = 'NYIS' and h.period < timestamp '2024-11-15')
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
    whos = {f"eia.{table}": who for table, (who, _, _) in STAGING.items()}
    for table, who in (whos | {f"eia_files.{table}": "region" for table in FILES}).items():
        periods = f"period > '{first}' and period <= '{end}' and {where.replace('region', who)}"
        con.register("source", whole.sql(f"select * from staging.{table} where {periods}").to_arrow_table())
        con.execute(f"insert into staging.{table} from source")
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


def test_the_lookback_of_the_hourly_features_is_no_longer_than_they_need(whole: duckdb.DuckDBPyConnection) -> None:
    short = MODELS["features.hourly"].lookback - timedelta(hours=1)
    assert differing(whole, rebuilt(whole, "features.hourly", MONTH - short, NEXT), "features.hourly", IN_MONTH) > 0


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
