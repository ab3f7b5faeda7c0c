"""The catalog before and after a build."""

from datetime import date
from pathlib import Path

import pytest

from energywh.errors import UnknownNameError
from energywh.models.catalog import find_model, read_catalog
from tests.models.folder import TABLES, Desk


def test_the_catalog_of_the_files_stands_in_before_the_first_build(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    catalog = read_catalog(desk.home, sql=desk.sql)
    assert [model.name for model in catalog] == sorted(TABLES)
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
    assert sorted(catalog) == sorted(TABLES)
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


def test_an_unknown_model_names_the_nearest(tmp_path: Path) -> None:
    catalog = read_catalog(Desk(tmp_path).home, sql=Desk(tmp_path / "x").sql)
    with pytest.raises(UnknownNameError, match=r"did you mean normalized\.demand"):
        find_model(catalog, "normalized.demant")
