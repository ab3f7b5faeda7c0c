"""Windows of features cover hours, and no more than they state, on a grid of over a year with holes."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from itertools import pairwise

import duckdb
import pytest

from tests.sql.filled_grid import FEATURES, GRID, LAST, build_features, filled_grid
from tests.sql.model_files import MODELS, column_types, graph, rows, warehouse
from tests.sql.test_incremental import differing

SINCE = datetime(2024, 12, 1, 23)  # the last hour of a day, which looks back furthest where days are counted
ROWS = f"hour_utc >= '{SINCE}'"
AT = datetime(2024, 12, 9, 5)  # more than a year after the first hour, and the hour of a value

# What a lag is of, by how the name of its column begins; longer beginnings first.
LAGGED = {
    "net_load": "if(demand_screened_mwh is null, null, net_load_mwh)",
    "net_generation": "net_generation_screened_mwh",
    "demand": "demand_screened_mwh",
    "forecast_error": "demand_screened_mwh - demand_forecast_screened_mwh",
    "solar": "solar_mwh",
    "wind_100m": "wind_100m_m_per_s",
    "wind": "wind_mwh",
    "renewable": "renewable_mwh / fuel_sum_mwh",
    "interchange": "total_interchange_screened_mwh",
    "import": "import_mwh",
    "export": "export_mwh",
    "temperature": "temperature_c",
    "shortwave": "shortwave_w_per_m2",
    "caiso_load_error": "caiso_load_mwh - caiso_load_forecast_mwh",
    "price_rtm_dam_sp15": "price_rtm_sp15_usd_per_mwh - price_sp15_usd_per_mwh",
    "price_rtm_sp15": "price_rtm_sp15_usd_per_mwh",
    "price_sp15": "price_sp15_usd_per_mwh",
}
NEIGHBORS = "neighbor_"  # their lags are of other regions
LAG = re.compile(r"(?P<what>\w+)_lag_(?P<hours>\d+)h_(?P<unit>\w+)")


@pytest.fixture(scope="module")
def whole() -> duckdb.DuckDBPyConnection:
    """Thirteen months with holes of an hour, a day and ten days, and a few absurd values."""
    con = filled_grid()
    measured = [name for name, kind, *_ in con.execute(f"describe {GRID}").fetchall() if kind == "DOUBLE"]
    nothing = ", ".join(f"{name} = null" for name in measured)
    for first, hours in (("2024-03-05 07:00", 1), ("2024-06-01 00:00", 24), ("2024-11-05 00:00", 240)):
        con.execute(f"""
            update {GRID} set {nothing}
            where hour_utc >= timestamp '{first}' and hour_utc < timestamp '{first}' + to_hours({hours})
        """)
    con.execute(
        f"update {GRID} set gas_mwh = 9e9, net_generation_screened_mwh = 9e9 where hour_utc = '2024-05-05 05:00'"
    )
    con.execute(f"update {GRID} set gas_mwh = 2e4 where hour_utc between '2023-12-01 23:00' and '2023-12-02 00:00'")
    build_features(con)
    return con


def rebuilt(whole: duckdb.DuckDBPyConnection, name: str, back: timedelta) -> duckdb.DuckDBPyConnection:
    """`name` built of what it may read for the hours from SINCE on."""
    con = warehouse()
    for other in graph().upstream(name):
        time_column = MODELS[other].time_column if other in MODELS else None
        hours = f"{time_column} >= timestamp '{SINCE - back}'" if time_column else "true"
        if time_column == "month_utc":
            hours = f"{time_column} >= date_trunc('month', timestamp '{SINCE - back}')"
        con.register("source", whole.sql(f"select * from {other} where {hours}").to_arrow_table())
        con.execute(f"create table {other} as from source")
    con.execute(f"create table {name} as {graph().sql(name)}")
    return con


@pytest.mark.parametrize("name", FEATURES)
def test_rows_built_from_their_lookback_equal_those_of_a_whole_build(
    whole: duckdb.DuckDBPyConnection, name: str
) -> None:
    assert whole.execute(f"select count(*) from {name} where {ROWS}").fetchall()[0][0] > 24 * 8
    assert differing(whole, rebuilt(whole, name, graph().models[name].lookback), name, ROWS) == 0


@pytest.mark.parametrize("name", [name for name in FEATURES if MODELS[name].lookback])
def test_the_lookback_of_a_feature_model_is_not_longer_than_it_needs(
    whole: duckdb.DuckDBPyConnection, name: str
) -> None:
    short = graph().models[name].lookback - timedelta(hours=1)
    assert differing(whole, rebuilt(whole, name, short), name, ROWS) > 0


def lags() -> list[tuple[str, str, str, int]]:
    """Model, column, what it lags, and by how many hours, of every column that is a plain lag."""
    found = []
    for name in FEATURES:
        for column in graph().models[name].columns if name.startswith("features.past_") else ():
            if (match := LAG.fullmatch(column)) and not column.startswith(NEIGHBORS):
                what = match["what"]
                if not what.endswith(("_capacity_factor", "_headroom")):
                    found.append((name, column, LAGGED[what], int(match["hours"])))
    return found


@pytest.mark.parametrize("name", sorted({lag[0] for lag in lags()}))
def test_a_lag_is_the_value_so_many_hours_before_whatever_is_missing_between(
    whole: duckdb.DuckDBPyConnection, name: str
) -> None:
    for model, column, value, hours in lags():
        if model != name:
            continue
        wrong, told = whole.execute(f"""
            select
                count(*) filter (where f.{column} is distinct from g.value),
                count(g.value)
            from {name} as f
            left join (select region, hour_utc, {value} as value from {GRID}) as g
                on g.region = f.region and g.hour_utc = f.hour_utc - to_hours({hours})
        """).fetchall()[0]
        assert (wrong, told > 0) == (0, True), column


def test_the_past_year_is_of_365_whole_days_and_an_absurd_hour_does_not_count_for_generation(
    whole: duckdb.DuckDBPyConnection,
) -> None:
    row = rows(whole, f"from features.past_year where region = 'CISO' and hour_utc = '{AT}'", ["region"])["CISO",]
    first, end = datetime(2023, 12, 10), datetime(2024, 12, 9)
    values = whole.execute(f"""
        select demand_screened_mwh, gas_mwh, net_generation_screened_mwh, -total_interchange_screened_mwh, hour_utc
        from {GRID}
        where region = 'CISO' and hour_utc >= timestamp '{first}' - interval 1 hour and hour_utc < '{end}'
        order by hour_utc
    """).fetchall()
    assert len(values) == 8761

    def held(place: int) -> float:
        return max(
            min(a[place], b[place]) for a, b in pairwise(values) if a[place] is not None and b[place] is not None
        )

    demand = [value[0] for value in values[1:] if value[0] is not None]
    assert row["demand_max_365d_mwh"] == max(demand)
    assert row["load_factor_365d_ratio"] == pytest.approx(sum(demand) / len(demand) / max(demand))
    assert (row["net_generation_max_365d_mwh"], row["net_import_max_365d_mwh"]) == (held(2), held(3))
    assert held(1) < 1e6
    (gas,) = whole.execute(
        f"select gas_mwh from {GRID} where region = 'CISO' and hour_utc = timestamp '{AT}' - interval 1 hour"
    ).fetchall()
    assert row["gas_capacity_factor_lag_1h_ratio"] == pytest.approx(gas[0] / held(1))
    assert LAST > AT


def test_no_lag_of_publication_is_longer_than_hourly_asof_reads_back(whole: duckdb.DuckDBPyConnection) -> None:
    """If the seed gets a longer correction, the lookback must grow with it."""
    read = "'eia.region_data', 'eia.fuel_type_data', 'eia.interchange_data', 'open_meteo.hourly', 'caiso.price_rtm'"
    (longest,) = whole.execute(f"select max(lag_hours) from seeds.publication_lag where dataset in ({read})").fetchall()
    assert timedelta(hours=longest[0]) <= graph().models["features.hourly_asof"].lookback


@pytest.mark.parametrize(("mwh", "counted"), [(999_999_999_999.0, 168), (2_147_480_000.0, 168), (1e12, 0), (1e300, 0)])
def test_absurd_demand_fits_the_exact_sums_or_is_left_out_of_them(mwh: float, counted: int) -> None:
    con = warehouse()
    types = column_types()[GRID]
    con.execute(f"create table {GRID} ({', '.join(f'{column} {kind}' for column, kind in types.items())})")
    columns = [column for column in types if column.endswith("screened_mwh") or column in ("net_load_mwh", "solar_mwh")]
    con.execute(
        f"insert into {GRID} by name select 'A' as region, timestamp '2024-01-01' + to_hours(cast(h as integer)) as "
        f"hour_utc, {', '.join(f'if(h % 2 = 0, 1, -1) * {mwh}::double as {column}' for column in columns)} "
        "from range(400) as t(h)"
    )
    for name in ("features.past_demand", "features.past_supply", "features.past_year"):
        con.execute(f"create table {name} as {graph().sql(name)}")
    (last,) = con.execute(
        "select demand_count_168h, demand_mean_168h_mwh, demand_std_168h_mwh from features.past_demand "
        "order by hour_utc desc limit 1"
    ).fetchall()
    if counted:
        assert last == (168, 0.0, pytest.approx(mwh * (168 / 167) ** 0.5, rel=1e-12))
    else:
        assert last == (0, None, None)
