"""The models on recorded answers of EIA's API for all authorities on 2022-07-10."""

import csv
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from tests.sql.model_files import build, graph, load_seeds, warehouse

TABLES = {
    "region_data": ("region-data", "respondent", "type"),
    "fuel_type_data": ("fuel-type-data", "respondent", "fueltype"),
    "interchange_data": ("interchange-data", "fromba", "toba"),
}
Key = tuple[str, str, datetime]
# Families of the nine codes of 2022, written out here so that the seed is checked too.
FAMILY = {
    "COL": "coal", "NG": "gas", "NUC": "nuclear", "OIL": "oil", "OTH": "other",
    "SUN": "solar", "UNK": "unknown", "WAT": "hydro", "WND": "wind",
}  # fmt: skip


@pytest.fixture(scope="module")
def reported(recorded: Path) -> dict[str, dict[Key, float | None]]:
    """{table: {(region, code, start of the hour): value}} read without DuckDB."""
    found: dict[str, dict[Key, float | None]] = {}
    for table, (route, who, what) in TABLES.items():
        path = next((recorded / "eia").glob(f"gridemissions_apiv2_{route}_*.csv"))
        with path.open(newline="", encoding="utf-8") as file:
            found[table] = {
                (
                    row[who],
                    row[what],
                    datetime.strptime(row["period"], "%Y-%m-%dT%H") - timedelta(hours=1),
                ): float(row["value"]) if row["value"] else None
                for row in csv.DictReader(file)
            }
    return found


@pytest.fixture(scope="module")
def con(recorded: Path) -> duckdb.DuckDBPyConnection:
    """A warehouse built from the recorded tables."""
    con = warehouse()
    load_seeds(con)
    for table, (route, who, what) in TABLES.items():
        path = recorded / "eia" / f"gridemissions_apiv2_{route}_*.csv"
        con.execute(f"""
            insert into staging.eia.{table}
            select strptime(period, '%Y-%m-%dT%H') as period, {who}, {what}, value,
                timestamp '2024-07-07' as known_from_utc
            from read_csv('{path}', types = {{'period': 'varchar', 'value': 'double'}})
        """)
    build(con, *graph().order)
    return con


def test_demand_holds_each_recorded_value_at_the_start_of_its_hour(
    con: duckdb.DuckDBPyConnection, reported: dict[str, dict[Key, float | None]]
) -> None:
    columns = {
        "D": "demand_mwh",
        "DF": "demand_forecast_mwh",
        "NG": "net_generation_mwh",
        "TI": "total_interchange_mwh",
    }
    expected = {k: v for k, v in reported["region_data"].items() if v is not None}
    actual = {
        (region, code, hour): value
        for code, column in columns.items()
        for region, hour, value in con.execute(
            f"select region, hour_utc, {column} from normalized.demand where {column} is not null"
        ).fetchall()
    }
    assert len(expected) > 4000
    assert actual == expected


def test_generation_and_interchange_hold_just_what_was_recorded(
    con: duckdb.DuckDBPyConnection, reported: dict[str, dict[Key, float | None]]
) -> None:
    fuels = con.execute("select region, fuel, hour_utc, generation_mwh from normalized.generation").fetchall()
    pairs = con.execute("select region, neighbor, hour_utc, interchange_mwh from normalized.interchange").fetchall()
    assert {(r, f, h): v for r, f, h, v in fuels} == reported["fuel_type_data"]
    assert {(r, n, h): v for r, n, h, v in pairs} == reported["interchange_data"]
    assert (len(fuels), len(pairs)) == (7000, 7425)


def test_the_grid_adds_up_recorded_fuels_by_family_and_pairs_by_region(
    con: duckdb.DuckDBPyConnection, reported: dict[str, dict[Key, float | None]]
) -> None:
    families: dict[Key, float] = defaultdict(float)
    for (region, fuel, hour), value in reported["fuel_type_data"].items():
        if value is not None:
            families[region, FAMILY[fuel], hour] += value
    actual = {
        (region, family, hour): value
        for family in sorted(set(FAMILY.values()))
        for region, hour, value in con.execute(
            f"select region, hour_utc, {family}_mwh from normalized.grid where {family}_mwh is not null"
        ).fetchall()
    }
    assert actual == pytest.approx(families)
    sums: dict[tuple[str, datetime], float] = defaultdict(float)
    for (region, _, hour), value in reported["interchange_data"].items():
        if value is not None:
            sums[region, hour] += value
    found = con.execute(
        "select region, hour_utc, interchange_sum_mwh from normalized.grid where interchange_sum_mwh is not null"
    ).fetchall()
    assert {(r, h): v for r, h, v in found} == pytest.approx(sums)


def test_every_authority_that_reports_demand_and_fuels_has_a_net_load(con: duckdb.DuckDBPyConnection) -> None:
    """Also the ones without sun or wind, whose net load is their demand."""
    found = con.execute("""
        select count(*) filter (where net_load_mwh is null), count(*) filter (where net_load_mwh = demand_mwh), count(*)
        from normalized.grid where demand_mwh is not null and fuel_sum_mwh is not null
    """).fetchall()
    lost, without, hours = found[0]
    assert hours > 1200
    assert lost == 0
    assert without > 100


def test_fuels_add_up_to_net_generation_as_often_as_was_found_by_hand(con: duckdb.DuckDBPyConnection) -> None:
    """1,489 of 1,550 hours within 3 MWh, 1,426 of 1,550 for the neighbors: soft identities, counted and kept."""
    found = con.execute("""
        select count(*) filter (where abs(fuel_residual_mwh) <= 3), count(*) filter (where interchange_residual_mwh = 0)
        from normalized.grid
    """).fetchall()
    assert found[0] == (1489, 1426)
