"""Every published column has a description and a unit."""

from __future__ import annotations

import re

import pytest

from energywh.models.project.units import unit_of
from tests.sql.model_files import NAMES, column_types, graph

# What a number without a unit in its name may say instead.
UNITLESS = re.compile(r"no unit|unit of the|ratio|count|how many|\d+ ?(=|to|in) ", re.IGNORECASE)


@pytest.mark.parametrize("name", NAMES)
def test_a_number_has_its_unit_in_its_name_or_says_that_it_has_none(name: str) -> None:
    for column, kind in column_types()[name].items():
        words = graph().models[name].columns[column]
        assert words
        if kind not in ("VARCHAR", "BOOLEAN", "DATE", "TIMESTAMP"):
            assert unit_of(column) or UNITLESS.search(words), f"{name}.{column}: {words}"


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        ("demand_mwh", "MWh"),
        ("mwh", "MWh"),
        ("price_usd_per_mwh", "USD/MWh"),
        ("heating_degrees", "°C"),
        ("utc_offset_hours", "h"),
        ("share_solar", None),
        ("basic", None),
    ],
)
def test_units_are_read_from_the_ends_of_names(column: str, unit: str | None) -> None:
    assert unit_of(column) == unit
