"""The commands `energywh lineage` and `energywh docs`."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from energywh.cli import cli
from energywh.errors import UnknownNameError
from tests.models.folder import Desk, model, write_models


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    desk.land_demand(date(2024, 1, 1), 10)
    desk.build()
    return desk


def run(desk: Desk, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(desk.home.path), *arguments])


def test_a_column_is_printed_as_a_tree_down_to_its_source(desk: Desk) -> None:
    result = run(desk, "lineage", "rolling.past_mwh")
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "features.rolling.past_mwh\n"
        "└─ normalized.grid.demand_mwh\n"
        "   └─ normalized.demand.demand_mwh\n"
        "      └─ staging.eia.region_data.value\n"
        '            EIA API v2, route electricity/rto/region-data: "value" where type = D\n'
    )


def test_conditions_are_printed_when_asked_for(desk: Desk) -> None:
    result = run(desk, "lineage", "--conditions", "grid.sun_mwh")
    assert result.stdout.splitlines() == [
        "normalized.grid.sun_mwh",
        "│  by: normalized.generation (family, hour_utc, region), normalized.spine (hour_utc, region)",
        "└─ normalized.generation.generation_mwh",
        "   └─ staging.eia.fuel_type_data.value",
        '         EIA API v2, route electricity/rto/fuel-type-data: "value"',
        "rows of normalized.grid by: normalized.spine",
    ]


def test_a_column_expanded_before_is_not_repeated(desk: Desk) -> None:
    lines = run(desk, "lineage", "grid.hour_utc").stdout.splitlines()
    assert sum("staging.eia.region_data.period" in line for line in lines) == 1
    assert any(line.endswith("normalized.demand.hour_utc  (as above)") for line in lines)


def test_a_table_is_printed_with_all_it_is_made_of(desk: Desk) -> None:
    lines = run(desk, "lineage", "grid").stdout.splitlines()
    assert lines[:3] == [
        "normalized.grid",
        "├─ normalized.demand",
        "│  └─ staging.eia.region_data  EIA API v2, route electricity/rto/region-data",
    ]
    assert any(line.strip("│├└─ ") == "seeds.fuel" for line in lines)


def test_json_holds_the_same_tree(desk: Desk) -> None:
    step = json.loads(run(desk, "lineage", "rolling.past_mwh", "--json").stdout)
    assert "normalized.grid.*" in step["rows"]
    while step["values"]:
        (step,) = step["values"]
    assert step["name"] == "staging.eia.region_data.value"
    assert step["source"] == {
        "source": "eia",
        "origin": "route electricity/rto/region-data",
        "fields": ["value"],
        "where": [{"field": "type", "values": ["D"]}],
    }


def test_downstream_says_what_breaks(desk: Desk) -> None:
    lines = run(desk, "lineage", "--downstream", "eia.fuel_type_data").stdout.splitlines()
    assert lines[:3] == [
        "normalized.generation",
        "  its rows depend on it",
        "  made of it alone: region, hour_utc, fuel, generation_mwh",
    ]
    assert lines[lines.index("normalized.grid") + 1] == "  made of it alone: sun_mwh"
    found = json.loads(run(desk, "lineage", "--downstream", "eia.fuel_type_data", "--json").stdout)
    assert [each["model"] for each in found] == ["normalized.generation", "normalized.grid"]
    assert run(desk, "lineage", "--downstream", "caiso.load").stdout == "nothing depends on staging.caiso.load\n"


def test_wrong_requests_are_refused_with_a_hint(desk: Desk, tmp_path: Path) -> None:
    wrong = run(desk, "lineage", "grid.demand_mw")
    assert isinstance(wrong.exception, UnknownNameError)
    assert "did you mean normalized.grid.demand_mwh" in str(wrong.exception)
    assert run(desk, "lineage").exit_code == 2
    assert run(desk, "lineage", "grid", "--html", str(tmp_path / "x.html")).exit_code == 2


def test_pages_are_written_before_anything_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the shipped models and the user's own."""
    write_models(tmp_path / "mine", {"own/z.sql": model("select region as a from features.hourly")})
    monkeypatch.setenv("ENERGYWH_BUILD_MODELS", str(tmp_path / "mine"))
    home = ["--home", str(tmp_path / "home")]
    page = CliRunner().invoke(cli, [*home, "lineage", "--html", str(tmp_path / "lineage.html")])
    assert page.stdout == f"wrote {tmp_path / 'lineage.html'}\n"
    for name in ("features.hourly", "own.z"):
        assert name in (tmp_path / "lineage.html").read_text("utf-8")
    site = CliRunner().invoke(cli, [*home, "docs", "--to", str(tmp_path / "site")])
    assert site.exit_code == 0, site.output
    assert (tmp_path / "site" / "tables" / "own.z.html").is_file()
    assert "nothing is built yet" in (tmp_path / "site" / "index.html").read_text("utf-8").lower()


def test_docs_lie_in_the_home_by_default(desk: Desk) -> None:
    result = run(desk, "docs")
    assert result.exit_code == 0, result.output
    assert str(desk.home.path / "docs" / "index.html") in result.stdout
    assert "normalized.grid" in (desk.home.path / "docs" / "index.html").read_text("utf-8")
