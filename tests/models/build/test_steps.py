"""A step (materialized = "inline") is checked but not stored, and its readers follow its changes."""

from datetime import date
from pathlib import Path

import pytest

from energywh.errors import ModelError, UsageError
from energywh.warehouse import Warehouse
from tests.models.folder import SPINE, STEP, Desk

JANUARY, MARCH = date(2024, 1, 1), date(2024, 3, 1)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.land_demand(JANUARY, 100)
    desk.build()
    return desk


def test_a_step_is_in_the_catalog_but_not_a_table(desk: Desk) -> None:
    assert desk.query(f"select materialized, rows from energywh.model where name = '{STEP}'") == [("inline", 0)]
    assert desk.query("select 1 from duckdb_tables() where table_name = 'spine'") == []
    assert not desk.build().published


def test_the_error_of_selecting_from_a_step_says_where_it_is_inlined(desk: Desk) -> None:
    with Warehouse(desk.home) as warehouse, pytest.raises(UsageError, match=r"put into normalized\.grid"):
        warehouse.sql("select * from normalized.spine")


def test_what_reads_a_step_is_built_again_when_its_sql_changes_and_not_for_its_words(desk: Desk) -> None:
    desk.write("normalized/spine.sql", SPINE.replace("The hours", "All hours"))
    built = {result.name for result in desk.build().models if result.built}
    assert built == {STEP}
    desk.write("normalized/spine.sql", SPINE + "where region = 'A'")
    desk.build(allow_loss=True)  # the rows of B
    assert desk.query("select distinct region from normalized.grid") == [("A",)]


def test_months_are_built_alone_through_a_step(desk: Desk) -> None:
    desk.land_demand(MARCH, 200)
    desk.build()
    desk.land_demand(JANUARY, 300)
    (grid,) = (result for result in desk.build().models if result.name == "normalized.grid")
    assert grid.months == 1
    contents = desk.contents()
    desk.build(full=True)
    assert desk.contents() == contents


def test_building_one_reader_leaves_the_others_out_of_date(desk: Desk) -> None:
    """A step has the age of its newest reader."""
    step = (
        SPINE.replace("from normalized.span", "from staging.eia.region_data")
        .replace("unnest(generate_series(first_hour_utc, last_hour_utc, interval 1 hour))", "period - interval 1 hour")
        .replace("select region", "select respondent as region")
    )
    reader = step.replace('"inline"', '"table"').split("---*/")[0] + "---*/\nselect * from normalized.spine\n"
    desk.write("normalized/spine.sql", step)
    for name in ("one", "two"):
        desk.write(f"features/{name}.sql", reader)
    desk.build()
    desk.land_demand(MARCH, 100)
    desk.build("features.one")
    counts = "select (select count(*) from features.one), (select count(*) from features.two)"
    assert desk.query(counts) == [(96, 48)]
    desk.build()
    assert desk.query(counts) == [(96, 96)]


@pytest.mark.parametrize("kind", ["table", "view"])
def test_a_step_can_become_a_table_or_a_view_and_a_step_again(desk: Desk, kind: str) -> None:
    contents = desk.contents()
    desk.write("normalized/spine.sql", SPINE.replace("inline", kind))
    desk.build()
    assert desk.query("select count(*) from normalized.spine") == [(48,)]
    desk.write("normalized/spine.sql", SPINE)
    desk.build()
    assert desk.query("select 1 from information_schema.tables where table_name = 'spine'") == []
    assert desk.contents() == contents


def test_a_step_that_breaks_its_promise_ends_the_build(desk: Desk) -> None:
    desk.write("normalized/spine.sql", SPINE.replace("as hour_utc", "as hour"))
    with pytest.raises(ModelError, match=r"spine\.sql:9: .* does not return the columns it promises"):
        desk.build()
