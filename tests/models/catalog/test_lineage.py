"""Lineage of columns upstream and downstream, of model files and of a published version."""

from datetime import date
from pathlib import Path

import pytest

from energywh.core.paths import Home
from energywh.errors import UnknownNameError
from energywh.models.catalog.lineage import Lineage
from energywh.models.catalog.read_lineage import read_lineage
from tests.models.folder import Desk

UNION = """/*---
description = "Both."
grain = ["region", "hour_utc", "kind"]
[columns]
region = "Authority."
hour_utc = "Start of the hour, UTC."
kind = "demand or sun."
mwh = "Energy, MWh."
---*/
select region, hour_utc, 'demand' as kind, demand_mwh as mwh from normalized.demand
union all
select region, hour_utc, 'sun', generation_mwh from normalized.generation where family = 'solar'
"""
DEMAND_ONLY = """/*---
description = "Of both, one."
grain = ["region", "hour_utc"]
[columns]
region = "Authority."
hour_utc = "Start of the hour, UTC."
mwh = "Energy, MWh."
---*/
select region, hour_utc, mwh from normalized.both where kind = 'demand'
"""
PIVOTED = """/*---
description = "Columns that are values of rows."
grain = ["region", "hour_utc"]
[columns]
region = "Authority."
hour_utc = "Start of the hour, UTC."
sun_mwh = "Solar, MWh."
---*/
select region, hour_utc, solar as sun_mwh
from (select region, hour_utc, family, generation_mwh from normalized.generation)
pivot (sum(generation_mwh) for family in ('solar'))
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A published version with a UNION and a PIVOT among its models."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    for name, text in {"normalized/both": UNION, "features/one": DEMAND_ONLY, "features/pivoted": PIVOTED}.items():
        desk.write(f"{name}.sql", text)
    desk.land_demand(date(2024, 1, 1), 1)
    desk.build()
    return desk


@pytest.fixture(scope="module")
def lineage(desk: Desk) -> Lineage:
    return read_lineage(desk.home)


def sources(lineage: Lineage, name: str) -> list[str]:
    step = lineage.step(lineage.pick(name))
    return sorted({str(each.field or each.name) for each in step.steps() if each.kind != "model"})


DEMAND = 'EIA API v2, route electricity/rto/region-data: "value" where type = D'
GENERATION = 'EIA API v2, route electricity/rto/fuel-type-data: "value"'


def test_a_column_is_followed_to_the_field_of_its_source(lineage: Lineage) -> None:
    assert sources(lineage, "features.rolling.past_mwh") == [DEMAND]
    assert sources(lineage, "features.rolling.before_mwh") == [DEMAND]
    assert sources(lineage, "normalized.generation.family") == ["seeds.fuel.family"]


def test_files_and_the_version_built_from_them_have_the_same_lineage(desk: Desk, tmp_path: Path) -> None:
    of_files = read_lineage(Home(tmp_path), sql=desk.sql)
    of_version = read_lineage(desk.home)
    assert of_files.models == of_version.models
    assert of_files.reads == of_version.reads
    assert of_files.sql == of_version.sql


def test_a_version_keeps_its_lineage_when_the_files_change(desk: Desk) -> None:
    path = desk.sql / "features" / "one.sql"
    text = path.read_text("utf-8")
    path.write_text(text.replace("mwh from", "1.0 as mwh from"), "utf-8")
    try:
        assert sources(read_lineage(desk.home), "features.one.mwh") == [DEMAND]
    finally:
        path.write_text(text, "utf-8")


def test_the_sides_of_a_union_are_distinguished_by_their_constant(lineage: Lineage) -> None:
    assert sources(lineage, "normalized.both.mwh") == [GENERATION, DEMAND]
    assert sources(lineage, "features.one.mwh") == [DEMAND]


def test_a_model_that_cannot_be_followed_comes_from_all_that_it_reads_and_says_so(lineage: Lineage) -> None:
    step = lineage.step(("features.pivoted", "sun_mwh"))
    assert "PIVOT" in step.note
    columns = ("family", "fuel", "generation_mwh", "hour_utc", "region")
    assert [each.name for each in step.origins] == [
        "normalized.generation",
        *(f"normalized.generation.{column}" for column in columns),
    ]
    assert "seeds.fuel.family" in {each.name for each in step.steps()}
    downstream = lineage.downstream(lineage.pick("generation.generation_mwh"))
    assert "features.pivoted" in [each.model for each in downstream]


def test_downstream_tells_what_comes_from_it_alone_from_what_has_other_origins(lineage: Lineage) -> None:
    found = {each.model: each for each in lineage.downstream(lineage.pick("eia.region_data"))}
    assert found["normalized.demand"].only == ("region", "hour_utc", "demand_mwh")
    assert found["normalized.demand"].rows
    assert found["normalized.both"].partly == dict.fromkeys(
        ("region", "hour_utc", "mwh"), ("staging.eia.fuel_type_data",)
    )
    assert found["features.one"].only == ("region", "hour_utc", "mwh")
    assert "normalized.fuel" not in found

    found = {each.model: each for each in lineage.downstream(lineage.pick("generation.family"))}
    assert "sun_mwh" in found["normalized.grid"].chosen
    assert found["normalized.both"].rows


@pytest.mark.parametrize(
    ("typed", "meant"),
    {
        "normalized.grid.demand_mwh": "normalized.grid.demand_mwh",
        "GRID.demand_mwh": "normalized.grid.demand_mwh",
        "grid.demand": "normalized.grid.demand_mwh",
        "normalized.grid.demand": "normalized.grid.demand_mwh",
        "past": "features.rolling.past_mwh",
        "grid": "normalized.grid",
        "eia.region_data": "staging.eia.region_data",
        "region_data.value": "staging.eia.region_data.value",
        "fuel": "normalized.fuel",
        "seeds.fuel": "seeds.fuel",
    }.items(),
)
def test_names_may_be_typed_short(lineage: Lineage, typed: str, meant: str) -> None:
    table, column = lineage.pick(typed)
    assert (table if column == "*" else f"{table}.{column}") == meant


@pytest.mark.parametrize(
    ("typed", "said"),
    {
        "grid.demand_mw": r"did you mean normalized\.grid\.demand_mwh",
        "normalized.grit": r"did you mean normalized\.grid",
        "demand_mwh": r"may be normalized\.demand\.demand_mwh, normalized\.grid\.demand_mwh.*give more",
        "xyzzy": "energywh models",
    }.items(),
)
def test_a_name_that_is_not_there_or_not_enough_names_the_nearest(lineage: Lineage, typed: str, said: str) -> None:
    with pytest.raises(UnknownNameError, match=said):
        lineage.pick(typed)
