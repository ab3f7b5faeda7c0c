"""The catalog before and after a build."""

from datetime import date
from pathlib import Path

import pytest

from energywh.errors import UnknownNameError
from energywh.models.catalog.catalog import find_model, read_catalog
from tests.models.folder import STEP, TABLES, Desk


def test_the_catalog_of_the_files_stands_in_before_the_first_build(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    catalog = read_catalog(desk.home, sql=desk.sql)
    assert [model.name for model in catalog] == sorted([*TABLES, STEP])
    demand = find_model(catalog, "demand")
    assert (demand.rows, demand.months, demand.grain) == (None, None, ["region", "hour_utc"])
    assert [(column.name, column.unit) for column in demand.columns] == [
        ("region", None),
        ("hour_utc", "UTC"),
        ("demand_mwh", "MWh"),
    ]


def test_the_catalog_of_a_warehouse_knows_rows_months_types_and_audits(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.land_demand(date(2024, 1, 1), 1)
    desk.land_demand(date(2024, 3, 1), 1)
    desk.build()
    catalog = {model.name: model for model in read_catalog(desk.home)}
    assert sorted(catalog) == sorted([*TABLES, STEP])
    demand = catalog["normalized.demand"]
    assert (demand.rows, demand.months) == (96, 2)
    assert (demand.first_month, demand.last_month) == (date(2024, 1, 1), date(2024, 3, 1))
    assert demand.reads == ["staging.eia.region_data"]
    assert [column.type for column in demand.columns] == ["VARCHAR", "TIMESTAMP", "DOUBLE"]
    assert [(audit.name, audit.failures) for audit in demand.audits] == [
        ("unique(region, hour_utc)", 0),
        ("not_null(region, hour_utc)", 0),
    ]
    assert (catalog["normalized.fuel"].rows, catalog["normalized.fuel"].months) == (2, None)
    assert catalog["features.shifted"].materialized == "view"
    assert (catalog[STEP].materialized, catalog[STEP].rows, catalog[STEP].months) == ("inline", None, None)


def test_columns_without_a_value_are_named_and_counted_anew_with_every_build(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.land_demand(date(2024, 1, 1), 1)
    desk.land_demand(date(2024, 2, 1), 1)
    desk.build()
    grid = find_model(read_catalog(desk.home), "grid")
    assert grid.empty_columns == ["sun_mwh"]
    assert [column.rows_with_value for column in grid.columns] == [grid.rows, grid.rows, 96, 0]
    stored = desk.query("SELECT name FROM energywh.\"column\" WHERE model = 'normalized.grid' AND rows_with_value = 0")
    assert stored == [("sun_mwh",)]

    sun = "INSERT INTO eia.fuel_type_data VALUES ('2024-01-05 01:00', 'A', 'SUN', 5, '2025-01-01')"
    desk.land(sun, changes={"eia.fuel_type_data": [date(2024, 1, 1)]})
    report = desk.build()
    assert next(result.months for result in report.models if result.name == "normalized.grid") == 1
    grid = find_model(read_catalog(desk.home), "grid")
    assert (grid.empty_columns, grid.columns[3].rows_with_value) == ([], 1)

    desk.land("DELETE FROM eia.fuel_type_data", changes={"eia.fuel_type_data": [date(2024, 1, 1)]})
    desk.build()
    catalog = read_catalog(desk.home)
    assert find_model(catalog, "grid").empty_columns == ["sun_mwh"]
    assert find_model(catalog, "generation").rows == 0
    assert find_model(catalog, "generation").empty_columns == []
    assert find_model(read_catalog(Desk(tmp_path / "none").home, sql=desk.sql), "grid").empty_columns == []


def test_an_unknown_model_names_the_nearest(tmp_path: Path) -> None:
    catalog = read_catalog(Desk(tmp_path).home, sql=Desk(tmp_path / "x").sql)
    with pytest.raises(UnknownNameError, match=r"did you mean normalized\.demand"):
        find_model(catalog, "normalized.demant")
