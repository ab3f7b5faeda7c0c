"""What a build that touches only some months relies on: a row reads its own hour, at most
`lookback` before it and at most `lookahead` after it."""

from collections.abc import Callable
from datetime import datetime, timedelta

import duckdb
import pytest

from energywh.core.sql_text import within
from energywh.sources.base import Dataset
from tests.sql.filled_staging import REGIONS, fill_staging, read_datasets, region_key, stamps
from tests.sql.model_files import MODELS, NAMES, build, columns, graph, load_seeds, warehouse

MONTH, NEXT = datetime(2024, 11, 1), datetime(2024, 12, 1)
TIMED = [name for name in NAMES if MODELS[name].time_column is not None]
INCREMENTAL = [name for name in NAMES if MODELS[name].by_month]


@pytest.fixture(scope="module")
def whole() -> duckdb.DuckDBPyConnection:
    """A warehouse built in one piece."""
    con = warehouse()
    load_seeds(con)
    fill_staging(con)
    build(con, *graph().order)
    return con


CORRECTED = [name for name in INCREMENTAL if "normalized.correction" in MODELS[name].sql]


@pytest.fixture(scope="module")
def corrected() -> duckdb.DuckDBPyConnection:
    """The same as far as corrections are read, with clocks that were wrong across both ends of MONTH."""
    con = warehouse()
    load_wrong_clocks(con)
    fill_staging(con)
    build(con, *(name for name in graph().order if name in {*CORRECTED, *graph().ancestors(CORRECTED)}))
    return con


def load_wrong_clocks(con: duckdb.DuckDBPyConnection) -> None:
    """Create the seeds, with corrections on, of clocks that were hours behind or ahead or followed local time."""
    load_seeds(con)
    con.execute("update seeds.option set enabled = true where name = 'corrections'")
    con.execute("delete from seeds.clock_correction; delete from seeds.sign_correction")
    con.executemany(
        """
        insert into seeds.clock_correction by name
        select measure, region, if(measure = 'interchange', r.other, null) as neighbor, shift_hours, utc_offset_of,
            first_hour_utc, last_hour_utc
        from (select ? as region, ? as other, ?::timestamp as first_hour_utc, ?::timestamp as last_hour_utc,
            ? as shift_hours, ? as utc_offset_of) as r
        cross join unnest(['demand', 'net_generation', 'total_interchange', 'generation', 'interchange']) as m(measure)
        """,
        [
            (REGIONS[0], REGIONS[1], "2024-10-20", "2024-11-30 23:00", -7, None),
            (REGIONS[1], REGIONS[2], "2024-10-31 20:00", "2024-12-20", 1, None),
            (REGIONS[2], REGIONS[0], "2024-09-01", "2025-01-30", 1, "America/New_York"),
        ],
    )


def rebuilt(
    whole: duckdb.DuckDBPyConnection,
    name: str,
    first: datetime,
    end: datetime,
    seeds: Callable[[duckdb.DuckDBPyConnection], None] = load_seeds,
) -> duckdb.DuckDBPyConnection:
    """A warehouse that holds what `name` may read for hours in [first, end), and `name` built of it.

    Of a table with one row a month, what is read begins with a whole month, as in a build.
    """
    con = warehouse()
    read = graph().staging(name)
    for dataset in read_datasets():
        if f"staging.{dataset.name}" not in read and f"staging.{dataset.name}_revision" not in read:
            continue
        copy_staging(whole, con, dataset, stamps(dataset, first, end))
    seeds(con)
    for other in graph().upstream(name):
        if other not in MODELS:
            continue
        model = MODELS[other]
        begin = first.replace(day=1, hour=0) if model.time_column == "month_utc" else first
        hours = within(model.time_column, begin, end) if model.time_column else "true"
        con.register("source", whole.sql(f"select * from {other} where {hours}").to_arrow_table())
        con.execute(f"create table {other} as from source")
    build(con, name)
    return con


def copy_staging(
    whole: duckdb.DuckDBPyConnection, con: duckdb.DuckDBPyConnection, dataset: Dataset, where: str
) -> None:
    for table in (dataset.name, f"{dataset.name}_revision"):
        con.register("source", whole.sql(f"select * from staging.{table} where {where}").to_arrow_table())
        con.execute(f"insert into staging.{table} from source")


def differing(a: duckdb.DuckDBPyConnection, b: duckdb.DuckDBPyConnection, name: str, where: str) -> int:
    """Rows, to the last bit, that one of two warehouses has and the other has not."""
    assert columns(a, f"from {name}") == columns(b, f"from {name}")
    a.register("theirs", b.sql(f"select * from {name} where {where}").to_arrow_table())
    ours = f"select * from {name} where {where}"
    found = a.execute(
        f"select count(*) from (({ours} except all from theirs) union all (from theirs except all {ours}))"
    ).fetchall()
    return int(found[0][0])


# What a region reports is compared with what its neighbors do.
READS_NEIGHBORS = ("quality.balance",)


def in_month(name: str) -> str:
    """The condition that a row of a model is of MONTH."""
    time_column = MODELS[name].time_column
    assert time_column is not None
    return within(time_column, MONTH, NEXT)


@pytest.mark.parametrize("name", INCREMENTAL)
def test_a_month_rebuilt_from_what_it_may_read_equals_the_month_of_a_whole_build(
    whole: duckdb.DuckDBPyConnection, name: str
) -> None:
    part = rebuilt(whole, name, MONTH - graph().models[name].lookback, NEXT + graph().models[name].lookahead)
    assert part.execute(f"select count(*) from {name} where {in_month(name)}").fetchall()[0][0] > 0
    assert differing(whole, part, name, in_month(name)) == 0


@pytest.mark.parametrize("name", CORRECTED)
def test_a_month_rebuilt_with_corrections_equals_the_month_of_a_whole_build(
    corrected: duckdb.DuckDBPyConnection, name: str
) -> None:
    model = graph().models[name]
    part = rebuilt(corrected, name, MONTH - model.lookback, NEXT + model.lookahead, seeds=load_wrong_clocks)
    (moved,) = part.execute(f"select count(correction) from {name} where {in_month(name)}").fetchall()[0]
    assert moved > 0
    assert differing(corrected, part, name, in_month(name)) == 0
    keys = ", ".join(model.grain)
    assert part.execute(f"select {keys} from {name} group by all having count(*) > 1").fetchall() == []


@pytest.mark.parametrize("name", ["normalized.weather"])  # of features: test_feature_windows
def test_a_lookback_is_not_longer_than_its_model_needs(whole: duckdb.DuckDBPyConnection, name: str) -> None:
    short = MODELS[name].lookback - timedelta(hours=1)
    assert differing(whole, rebuilt(whole, name, MONTH - short, NEXT), name, in_month(name)) > 0


@pytest.fixture(scope="module")
def alone(whole: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A warehouse built in one piece from what the sources have of one region."""
    con = warehouse()
    load_seeds(con)
    for dataset in read_datasets():
        key = region_key(dataset)
        copy_staging(whole, con, dataset, f"{key} = 'NYIS'" if key else "true")
    for name in graph().order:
        if name in READS_NEIGHBORS:
            con.register("source", whole.sql(f"from {name} where region = 'NYIS'").to_arrow_table())
            con.execute(f"create table {name} as from source")
        else:
            build(con, name)
    return con


@pytest.mark.parametrize(
    "name", [n for n in TIMED if "region" in {*MODELS[n].grain, *MODELS[n].columns} and n not in READS_NEIGHBORS]
)
def test_a_region_built_alone_equals_the_region_built_among_others(
    whole: duckdb.DuckDBPyConnection, alone: duckdb.DuckDBPyConnection, name: str
) -> None:
    assert differing(whole, alone, name, "region = 'NYIS'") == 0


def test_the_spine_has_every_hour_of_a_region_once(whole: duckdb.DuckDBPyConnection) -> None:
    for name in ("normalized.grid", "features.calendar", "features.hourly"):
        found = whole.execute(f"""
            select region, count(*), count(distinct hour_utc), date_diff('hour', min(hour_utc), max(hour_utc)) + 1
            from {name} group by region order by region
        """).fetchall()
        assert [f[0] for f in found] == sorted(REGIONS)
        assert all(f[1] == f[2] == f[3] for f in found), (name, found)
