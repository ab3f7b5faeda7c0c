"""No feature may depend at hour t on data after t, nor on more of t than its description states.

Which columns there are, and what each claims, is read from the model files: of each model in sql/features every column
but the grain begins its description with a mark in brackets, or no column of it does and none depends on anything that
is measured, as the calendar.

Worlds are built and each is disturbed: two months of staging, in which everything after t changes, is withdrawn or
added; the same, in which everything changes that is not yet published at t; the same, in which everything measured
changes at any time, and then forecasts and prices too; and thirteen months of normalized.grid, in which the hour t
changes too. Leaks are planted in the models, and must be found in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import duckdb
import pytest

from energywh.sources import publication_lag_rows
from energywh.sources.base import Dataset
from tests.sql.filled_grid import FEATURES, GRID, build_features, copied, filled_grid, measured
from tests.sql.filled_staging import LAST, fill_staging, key_rows, read_datasets
from tests.sql.model_files import MODELS, build, column_types, graph, load_seeds, rows, warehouse

NOW = datetime(2024, 11, 20, 17)
REGION = "CISO"
SHIPPED = {name: MODELS[name].sql for name in FEATURES}
MARKS = ("target", "hindsight", "ahead", "day ahead", "at t", "past", "published")
TARGET = ("normalized.demand_reported", "demand_mwh")
EVERY_SIXTH = "hash({key}, 'withdrawn') % 6 = 0"

HOUR = timedelta(hours=1)

Column = tuple[str, str]  # model, column
Ahead = tuple[duckdb.DuckDBPyConnection, duckdb.DuckDBPyConnection]


def words_of(name: str) -> Mapping[str, str]:
    """The descriptions of the columns of a model, those that it inherits among them."""
    return graph().models[name].columns


def mark_of(column: Column) -> str | None:
    """What a column of a features model claims to know."""
    found = re.match(r"\[(.+?)\]", words_of(column[0])[column[1]])
    return found[1] if found else None


def marked(*marks: str) -> set[Column]:
    """Columns of features models with one of the marks."""
    return {(name, column) for name in FEATURES for column in words_of(name) if mark_of((name, column)) in marks}


KNOWN_BEFORE = sorted({name for name, _ in marked("ahead", "day ahead")})


# Whole warehouses, from staging on


def filled() -> duckdb.DuckDBPyConnection:
    con = warehouse()
    load_seeds(con)
    fill_staging(con)
    return con


def build_all_features(con: duckdb.DuckDBPyConnection) -> None:
    """Build the features, and what they are built of."""
    build(con, *(name for name in graph().order if name in graph().ancestors(FEATURES)))


def changed(value: str) -> str:
    """An assignment that moves a value far up or down."""
    return f"{value} = if(hash({value}) % 2 = 0, 3, -3) * {value} + 77"


def disturb(
    con: duckdb.DuckDBPyConnection, dataset: Dataset, where: str, withdrawn: str, values: Sequence[str]
) -> None:
    """Change `values` of the rows of a dataset that lie `where`, withdraw some, and add those that were not there."""
    table, time = f"staging.{dataset.name}", dataset.time_column
    keys = ", ".join((time, *dataset.keys))
    of_hour = {"file"} & {*dataset.keys}  # a file holds the hours of its half only
    some = EVERY_SIXTH.format(key=keys)
    con.execute(f"create or replace temp table gone as select {keys} from {table} where {some} and {withdrawn}")
    con.execute(f"delete from {table} where {some} and {withdrawn}")
    con.execute(f"update {table} set {', '.join(map(changed, values))} where {where}")
    con.execute(f"""
        insert into {table} by name
        select *, {", ".join(f"4321.5 as {value}" for value in values)}, timestamp '2025-01-01' as known_from_utc
        from (
            select h.{time}, k.*
            from (select distinct {", ".join((time, *of_hour))} from {table} where {where}) as h
            cross join (select distinct {", ".join(dataset.keys)} from {table}) as k
            where {" and ".join(f"h.{key} = k.{key}" for key in of_hour) or "true"}
            except select {keys} from {table}
            except select {keys} from gone
        )
        where {where}
    """)


def after_now(con: duckdb.DuckDBPyConnection) -> None:
    """Disturb everything after NOW."""
    for dataset in read_datasets():
        end = NOW + timedelta(hours=1 + dataset.stamp_offset_hours)
        future = f"{dataset.time_column} >= timestamp '{end}'"
        disturb(con, dataset, future, future, dataset.values)
    con.execute(  # a fuel that the region never had
        "insert into staging.eia.fuel_type_data values (?, 'AVRN', 'SNB', 5, now()::timestamp)",
        [LAST - timedelta(days=19)],
    )


def publication_lags() -> dict[tuple[str, str], int]:
    """Hours from the end of an hour to its publication, by dataset and measure."""
    return {(name, measure or ""): hours for name, _, measure, hours, _ in publication_lag_rows()}


# Half-year files repeat what the API has published before: a column counts as published with the API's.
REPEATED = {
    ("eia_files.balance", "demand_mwh"): ("eia.region_data", "D"),
    ("eia_files.balance", "demand_forecast_mwh"): ("eia.region_data", "DF"),
    ("eia_files.balance", "net_generation_mwh"): ("eia.region_data", "NG"),
    ("eia_files.balance", "total_interchange_mwh"): ("eia.region_data", "TI"),
    ("eia_files.balance", ""): ("eia.fuel_type_data", ""),
    ("eia_files.interchange", ""): ("eia.interchange_data", ""),
}


def not_yet_published(con: duckdb.DuckDBPyConnection) -> None:
    """Disturb everything that is published later than at the start of NOW."""
    lags = publication_lags()

    def unpublished(dataset: Dataset, lag: int) -> str:
        start = f"date_trunc('hour', {dataset.time_column}) - interval {dataset.stamp_offset_hours} hour"
        return f"{start} + to_hours({1 + lag}) > timestamp '{NOW}'"

    for dataset in read_datasets():
        measures = {measure: lag for (name, measure), lag in lags.items() if name == dataset.name and measure}
        of_file = {column: lags[api] for (name, column), api in REPEATED.items() if name == dataset.name}
        if measures:
            (key,) = [
                key for key in dataset.keys if {k[dataset.keys.index(key)] for k in key_rows(dataset)} & {*measures}
            ]
            branches = " ".join(
                f"when {key} = '{measure}' then {unpublished(dataset, lag)}" for measure, lag in measures.items()
            )
            where = f"case {branches} else {unpublished(dataset, lags[dataset.name, ''])} end"
            disturb(con, dataset, where, where, dataset.values)
        elif of_file:
            last = unpublished(dataset, min(of_file.values()))
            for value in dataset.values:
                where = unpublished(dataset, of_file.get(value, of_file[""]))
                con.execute(f"update staging.{dataset.name} set {changed(value)} where {where}")
            con.execute(
                f"delete from staging.{dataset.name} where {EVERY_SIXTH.format(key=dataset.time_column)} and {last}"
            )
        else:
            where = unpublished(dataset, lags[dataset.name, ""])
            disturb(con, dataset, where, where, dataset.values)


def made_ahead() -> set[tuple[str, str]]:
    """Datasets and measures that are made before their hour: those published ahead, and the forecast of demand."""
    return {measure for measure, lag in publication_lags().items() if lag < 0} | {("eia.region_data", "DF")}


def change_all(con: duckdb.DuckDBPyConnection, *, ahead: bool) -> None:
    """Change all values that are made before their hour, or all others."""
    made = made_ahead()
    for dataset in read_datasets():
        columns = [value for value in dataset.values if REPEATED.get((dataset.name, value)) in made]
        measures = ", ".join(f"'{measure}'" for name, measure in sorted(made) if name == dataset.name and measure)
        whole = (dataset.name, "") in made
        if measures:
            is_ahead = " or ".join(f"{key} in ({measures})" for key in dataset.keys)
            con.execute(
                f"update staging.{dataset.name} set {', '.join(map(changed, dataset.values))} "
                f"where ({is_ahead}) = {ahead}"
            )
        elif values := [value for value in dataset.values if (whole or value in columns) == ahead]:
            con.execute(f"update staging.{dataset.name} set {', '.join(map(changed, values))}")


@pytest.fixture(scope="module")
def calm() -> duckdb.DuckDBPyConnection:
    """Everything built from filled staging."""
    con = filled()
    build_all_features(con)
    return con


@pytest.fixture(scope="module")
def stormy() -> duckdb.DuckDBPyConnection:
    """The same, with other values after NOW."""
    con = filled()
    after_now(con)
    build_all_features(con)
    return con


@pytest.fixture(scope="module")
def unread() -> duckdb.DuckDBPyConnection:
    """The same, with other values wherever they are not yet published at NOW."""
    con = filled()
    not_yet_published(con)
    build_all_features(con)
    return con


@pytest.fixture(scope="module")
def otherwise() -> Ahead:
    """The same, with other values of all that is measured; and with other forecasts and prices."""
    worlds = filled(), filled()
    for con, ahead in zip(worlds, (False, True), strict=True):
        change_all(con, ahead=ahead)
        build_all_features(con)
    return worlds


def told_apart(
    calm: duckdb.DuckDBPyConnection, other: duckdb.DuckDBPyConnection, name: str, sql: str | None = None
) -> set[Column]:
    """Columns of a features model, or of `sql` in its place, that differ between two worlds at NOW or before."""
    before, after = (
        rows(con, f"from ({sql or f'from {name}'}) where hour_utc <= '{NOW}'", MODELS[name].grain)
        for con in (calm, other)
    )
    assert len(before) > 700
    assert before.keys() == after.keys()
    return {(name, column) for key, row in before.items() for column in row if row[column] != after[key][column]}


def test_a_column_says_when_it_is_known() -> None:
    for name in FEATURES:
        marks = {column: mark_of((name, column)) for column in words_of(name) if column not in MODELS[name].grain}
        wrong = [column for column, mark in marks.items() if mark not in MARKS]
        assert not wrong, f"{name}: {', '.join(wrong)} must begin with one of {MARKS} in brackets"


def claimed(name: str, *marks: str) -> list[str]:
    """Columns of a features model with one of the marks."""
    return [column for column in words_of(name) if mark_of((name, column)) in marks]


def told_early(calm: duckdb.DuckDBPyConnection, worlds: Ahead, name: str, sql: str | None = None) -> set[Column]:
    """Columns of a features model, or of `sql` in its place, that are known later than their description states."""
    found: set[Column] = set()
    for world, marks in zip(worlds, (("ahead", "day ahead"), ("ahead",)), strict=True):
        if columns := claimed(name, *marks):
            only = f"select {', '.join((*MODELS[name].grain, *columns))} from ({sql or f'from {name}'})"
            found |= told_apart(calm, world, name, only)
    return found


@pytest.mark.parametrize("name", KNOWN_BEFORE)
def test_what_is_known_ahead_moves_with_nothing_measured_and_only_a_day_ahead_with_forecasts_and_prices(
    calm: duckdb.DuckDBPyConnection, otherwise: Ahead, name: str
) -> None:
    assert told_early(calm, otherwise, name) == set()
    day_ahead = claimed(name, "day ahead")
    if day_ahead:
        only = f"select {', '.join((*MODELS[name].grain, *day_ahead))} from {name}"
        assert told_apart(calm, otherwise[1], name, only) == {(name, column) for column in day_ahead}


@pytest.mark.parametrize(
    ("name", "written", "leaking", "found"),
    [
        ("features.hourly", "g.demand_forecast_mwh,\n", "g.demand_forecast_mwh + g.wind_mwh as demand_forecast_mwh,\n",
         {"demand_forecast_mwh"}),
        ("features.hourly", "g.price_zp26_usd_per_mwh,\n",
         "y.net_generation_max_365d_mwh / g.demand_forecast_mwh as price_zp26_usd_per_mwh,\n",
         {"price_zp26_usd_per_mwh"}),
        ("features.hourly", "c.hour_sin,\n", "c.hour_sin + g.net_generation_mwh as hour_sin,\n", {"hour_sin"}),
        ("features.hourly", "c.hour_sin,\n", "c.hour_sin + g.price_sp15_usd_per_mwh as hour_sin,\n", {"hour_sin"}),
        ("features.hourly_asof", "o.week_cos,\n", "o.week_cos + d.demand_lag_1h_mwh as week_cos,\n", {"week_cos"}),
    ],
)  # fmt: skip
def test_a_column_that_is_not_known_so_long_before_would_be_found(
    calm: duckdb.DuckDBPyConnection, otherwise: Ahead, name: str, written: str, leaking: str, found: set[str]
) -> None:
    assert written in SHIPPED[name]
    planted = told_early(calm, otherwise, name, SHIPPED[name].replace(written, leaking, 1))
    assert {column for _, column in planted} == found


def test_a_column_that_two_features_models_have_says_the_same_in_both() -> None:
    texts = words_of("features.hourly")
    for name in FEATURES:
        if name.startswith("features.past_"):
            of_family = {column: text for column, text in words_of(name).items() if column not in MODELS[name].grain}
            assert {column: texts.get(column) for column in of_family} == of_family


@pytest.mark.parametrize("name", FEATURES)
def test_nothing_moves_when_the_future_of_every_source_changes(
    calm: duckdb.DuckDBPyConnection, stormy: duckdb.DuckDBPyConnection, name: str
) -> None:
    assert told_apart(calm, stormy, name) <= marked("hindsight")


def test_what_is_published_does_not_move_with_what_is_not(
    calm: duckdb.DuckDBPyConnection, unread: duckdb.DuckDBPyConnection
) -> None:
    assert told_apart(calm, unread, "features.hourly_asof") == set()


@pytest.mark.parametrize(
    ("written", "leaking", "found"),
    [
        ("lag.demand)", "1)", {"demand_newest_mwh", "demand_mean_24h_mwh", "demand_of_max_365d_ratio"}),
        ("lag.forecast)", "lag.demand)", {"forecast_error_mean_24h_mwh", "forecast_error_abs_mean_168h_mwh"}),
        ("lag.supply)", "30)", {"net_load_newest_mwh", "renewable_mean_24h_ratio"}),
        ("lag.interchange)", "30)", {"interchange_newest_mwh", "interchange_ramp_3h_mwh"}),
        ("lag.pairs + 1)", "55)", {"import_newest_mwh", "export_newest_mwh"}),
        ("lag.weather)", "142)", {"temperature_newest_c", "heating_degrees_mean_24h_c"}),
        ("lag.market)", "0)", {"price_rtm_sp15_newest_usd_per_mwh"}),
        ("o.demand_lag_24h_mwh", "d.demand_lag_1h_mwh - o.demand_lag_1h_mwh", {"demand_lag_24h_mwh"}),
        ("o.price_sp15_usd_per_mwh",
         "lead(o.price_sp15_usd_per_mwh, 12) over (partition by o.region order by o.hour_utc)",
         {"price_sp15_usd_per_mwh"}),
    ],
)  # fmt: skip
def test_the_use_of_what_is_not_published_would_be_found(
    calm: duckdb.DuckDBPyConnection, unread: duckdb.DuckDBPyConnection, written: str, leaking: str, found: set[str]
) -> None:
    name = "features.hourly_asof"
    assert written in SHIPPED[name]
    moved = {column for _, column in told_apart(calm, unread, name, SHIPPED[name].replace(written, leaking))}
    assert found <= moved
    assert "hour_sin" not in moved


@pytest.mark.parametrize(
    ("name", "written", "leaking", "found"),
    [
        ("features.past_demand", "lag(demand_mwh, 1) over hours", "lead(demand_mwh, 1) over hours",
         {"demand_lag_1h_mwh", "demand_ramp_1h_mwh", "demand_zscore_168h"}),
        ("features.past_demand", "demand_screened_mwh as demand_mwh", "demand_clean_mwh as demand_mwh", None),
        ("features.past_supply", "lag(solar_mwh, 24) over hours", "lead(solar_mwh, 24) over hours",
         {"solar_lag_24h_mwh"}),
        ("features.past_exchange", "lag(neighbor_exact, 1)", "lead(neighbor_exact, 1)", {"neighbor_demand_lag_1h_mwh"}),
        ("features.past_weather", "between 24 preceding and 1 preceding", "between 24 preceding and 9 following",
         {"temperature_mean_24h_c", "temperature_max_24h_c"}),
        ("features.past_market", "lag(price_rtm_sp15_usd_per_mwh, 1)", "lead(price_rtm_sp15_usd_per_mwh, 9)",
         {"price_rtm_sp15_lag_1h_usd_per_mwh"}),
        ("features.past_year", "between 365 preceding and 1 preceding", "between 365 preceding and current row",
         {"demand_max_365d_mwh", "load_factor_365d_ratio", "adequacy_365d_ratio"}),
        ("features.hourly", "g.solar_mwh,\n",
         "lead(g.solar_mwh) over (partition by g.region order by g.hour_utc) as solar_mwh,\n", {"solar_mwh"}),
    ],
)  # fmt: skip
def test_a_look_ahead_would_be_found(
    calm: duckdb.DuckDBPyConnection,
    stormy: duckdb.DuckDBPyConnection,
    name: str,
    written: str,
    leaking: str,
    found: set[str] | None,
) -> None:
    assert written in SHIPPED[name]
    moved = told_apart(calm, stormy, name, SHIPPED[name].replace(written, leaking, 1)) - marked("hindsight")
    if found is None:  # whatever the screening makes of the hours to come
        assert moved or not MODELS["normalized.demand_screen"].lookahead
    else:
        assert found <= {column for _, column in moved}


# Thirteen months of the grid, in which t itself changes

UP_AND_DOWN = ("+", "-")  # up for what takes the greatest, down for what takes the least
Worlds = dict[str, list[duckdb.DuckDBPyConnection]]


def holds_target(calm: duckdb.DuckDBPyConnection) -> list[str]:
    """Columns of the grid that hold the target of their own hour, as demand less solar and wind does."""
    table, target = TARGET
    between = graph().ancestors([GRID]) - {table}
    downstream = [name for name in graph().order if name in between and table in graph().ancestors([name])]

    def hour() -> dict[str, object]:
        build(calm, *downstream)
        return rows(calm, f"from {GRID} where hour_utc = '{NOW}' and region = '{REGION}'", ["region"])[REGION,]

    calm.execute("begin")
    calm.execute(f"update {table} set {target} = 12345.5 where hour_utc = '{NOW}'")
    before = hour()
    calm.execute(f"update {table} set {target} = 13579.5 where hour_utc = '{NOW}'")
    after = hour()
    calm.execute("rollback")
    return sorted(name for name in measured(GRID) if before[name] != after[name])


def world(
    grid: duckdb.DuckDBPyConnection, names: Iterable[str] = (), where: str = "", sign: str = "+"
) -> duckdb.DuckDBPyConnection:
    """The features of a copy of the grid in which columns are changed, each otherwise."""
    con = copied(grid)
    if changes := [
        f"{name} = {sign}({number}.5 * abs({name}) + {number} * (1 + hour(hour_utc)))"
        for number, name in enumerate(names, 2)
    ]:
        con.execute(f"update {GRID} set {', '.join(changes)} where {where}")
    build_features(con)
    return con


@pytest.fixture(scope="module")
def worlds(calm: duckdb.DuckDBPyConnection) -> Worlds:
    """The grid as it is, and as it is when it changes before, at or after NOW."""
    every, grid = measured(GRID), filled_grid()
    at_now, earlier = f"hour_utc = '{NOW}'", f"hour_utc < '{NOW}'"
    target = holds_target(calm)
    assert {"demand_mwh", "demand_screened_mwh", "net_load_mwh", "balance_residual_mwh"} <= {*target}
    lately = f"hour_utc between '{NOW - 3 * HOUR}' and '{NOW - HOUR}'"  # a peak
    return {
        "calm": [world(grid)],
        "after": [world(grid, every, f"hour_utc > '{NOW}'", sign) for sign in UP_AND_DOWN],
        "target": [world(grid, target, at_now, sign) for sign in UP_AND_DOWN],
        "at": [world(grid, every, at_now, sign) for sign in UP_AND_DOWN],
        "before": [*(world(grid, every, earlier, sign) for sign in UP_AND_DOWN), world(grid, every, lately)],
    }


def moved(worlds: Worlds, change: str, name: str, sql: str | None = None) -> set[Column]:
    """Columns of a features model, or of `sql` in its place, that a change moves at NOW."""

    def hour(con: duckdb.DuckDBPyConnection) -> dict[str, object]:
        of_now = f"from ({sql or f'from {name}'}) where hour_utc = '{NOW}' and region = '{REGION}'"
        return rows(con, of_now, ["region"])[REGION,]

    before = hour(worlds["calm"][0])
    after = [hour(con) for con in worlds[change]]
    return {(name, column) for column in before for other in after if before[column] != other[column]}


def leaks(worlds: Worlds, name: str, sql: str | None = None) -> set[Column]:
    """Columns of a model that depend on more of the grid than their description states."""
    found = moved(worlds, "after", name, sql)
    found |= moved(worlds, "target", name, sql) - marked("target", "hindsight")
    return found | (moved(worlds, "at", name, sql) - marked("target", "hindsight", "at t", "day ahead"))


def test_features_read_nothing_measured_but_the_grid() -> None:
    """The assumptions of `leaks` hold."""
    read = {table for name in FEATURES for table in graph().upstream(name) if table in MODELS} - {*FEATURES}
    assert [name for name in sorted(read) if measured(name) and MODELS[name].materialized != "inline"] == [GRID]
    assert not any(graph().staging(name) for name in FEATURES)


@pytest.mark.parametrize("name", FEATURES)
def test_no_column_knows_more_than_it_says(worlds: Worlds, name: str) -> None:
    assert leaks(worlds, name) == set()


@pytest.mark.parametrize("name", FEATURES)
def test_every_column_that_claims_to_know_the_hour_or_the_past_does(worlds: Worlds, name: str) -> None:
    ours = {(name, column) for column, kind in column_types()[name].items() if kind != "VARCHAR"}
    assert marked("target", "hindsight", "at t") & ours <= moved(worlds, "at", name)
    counts = {column for column in ours if "_count_" in column[1]}  # no value comes or goes
    assert (marked("past", "published") & ours) - counts <= moved(worlds, "before", name)


@pytest.mark.parametrize(
    ("name", "written", "leaking", "found"),
    [
        ("features.past_demand", "lag(demand_mwh, 24) over hours", "demand_mwh", {"demand_lag_24h_mwh"}),
        ("features.past_demand", "between 24 preceding and 1 preceding", "between 24 preceding and current row",
         {f"demand_{what}_24h_mwh" for what in ("mean", "std", "min", "max")} | {"forecast_error_abs_mean_24h_mwh"}),
        ("features.past_year", "lag(demand_screened_mwh, 8760) over hours", "lead(demand_screened_mwh, 24) over hours",
         {"demand_lag_8760h_mwh"}),
        ("features.hourly", "g.solar_mwh,\n", "g.solar_mwh + 1e-3 * g.demand_mwh as solar_mwh,\n", {"solar_mwh"}),
    ],
)  # fmt: skip
def test_a_column_that_knows_more_than_it_says_would_be_found(
    worlds: Worlds, name: str, written: str, leaking: str, found: set[str]
) -> None:
    assert written in SHIPPED[name]
    planted = leaks(worlds, name, SHIPPED[name].replace(written, leaking, 1))
    assert found <= {column for _, column in planted}
