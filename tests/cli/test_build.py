"""The commands `energywh build` and `energywh models`."""

import json
import re
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from energywh.cli import cli
from energywh.errors import LossError, StorageError, UnknownNameError
from tests.models.folder import Desk, model
from tests.support.desk import typed


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A home whose commands build the small models of the tests."""
    desk = Desk(tmp_path)
    desk.land_demand(date(2024, 1, 1), 10)
    monkeypatch.setattr("energywh.models.build.runner.sql_dir", lambda: desk.sql)
    monkeypatch.setattr("energywh.models.catalog.catalog.sql_dir", lambda: desk.sql)
    return desk


def run(desk: Desk, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(desk.home.path), *arguments])


def test_build_prints_a_line_a_model_and_what_it_published(desk: Desk) -> None:
    result = run(desk, "build")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 10
    assert lines[-1].startswith("published energy-")
    assert "9 models built, 0 up to date" in lines[-1]
    assert any(line.startswith("normalized.demand") and "48 rows  built whole" in line for line in lines)
    assert run(desk, "build").stdout.startswith("nothing new; energy-")
    desk.land_demand(date(2024, 3, 1), 10)
    output = run(desk, "build", "demand").output
    assert ": 1 model built, 0 up to date, 1 month changed" in output


def test_build_counts_a_month_once_however_many_models_it_changes(desk: Desk) -> None:
    run(desk, "build")
    desk.land_demand(date(2024, 1, 1), 20)
    output = run(desk, "build").stdout
    assert "1 month changed" in output
    assert not output.startswith("1 model built")


def test_build_warns_of_models_without_rows(desk: Desk) -> None:
    result = run(desk, "build")
    assert "\nwarning: no rows in " not in result.stdout
    assert result.stderr == "warning: no rows in normalized.generation\n"


def test_build_warns_of_a_staging_without_rows_and_of_its_failures(desk: Desk) -> None:
    desk.land(
        "DELETE FROM eia.region_data",
        "INSERT INTO sync.chunk (dataset, slice, first_hour_utc, last_hour_utc, status) "
        "VALUES ('eia.region_data', 'CISO', '2024-01-01', '2024-01-02', 'failed')",
        changes={"eia.region_data": [date(2024, 1, 1)]},
    )
    said = f"warning: no rows in staging {desk.home.staging}; 1 chunk failed, see 'energywh status'\n"
    built = run(desk, "build")
    assert built.exit_code == 0
    assert built.stderr.startswith(said)
    again = run(desk, "build")
    assert again.stdout.startswith("nothing new")
    assert again.stderr == said


def test_build_counts_one_row_as_one(desk: Desk) -> None:
    desk.land_demand(date(2024, 1, 1), 10, regions="'B'", hours=0)
    desk.land("DELETE FROM eia.region_data WHERE respondent = 'B'", changes={"eia.region_data": [date(2024, 1, 1)]})
    total = next(line for line in run(desk, "build").output.splitlines() if line.startswith("features.total"))
    assert " 1 row   built" in total


def test_build_prints_warnings_with_a_sample(desk: Desk) -> None:
    demand = (desk.sql / "normalized" / "demand.sql").read_text()
    audit = '[[audits]]\nsql = "select * from normalized.demand where demand_mwh > 30"\nseverity = "warn"\n---*/'
    desk.write("normalized/demand.sql", demand.replace("---*/", audit))
    result = run(desk, "build", "normalized.demand")
    assert result.exit_code == 0, result.output
    assert "warning: normalized.demand: audit sql 3 fails (8 rows), such as\n  region = " in result.output


def test_build_of_an_unknown_model_and_of_nothing_synced_are_refused(desk: Desk) -> None:
    assert isinstance(run(desk, "build", "demnad").exception, UnknownNameError)
    desk.home.staging.unlink()
    assert isinstance(run(desk, "build").exception, StorageError)


def test_a_build_that_loses_rows_is_refused_until_an_option_or_a_setting_allows_it(desk: Desk) -> None:
    run(desk, "build")
    desk.land("DELETE FROM eia.region_data", changes={"eia.region_data": [date(2024, 1, 1)]})
    refused = run(desk, "build")
    assert isinstance(refused.exception, LossError)
    assert str(refused.exception).splitlines()[1] == "  normalized.demand: all 48 rows"
    as_of = run(desk, "build", "--allow-loss", "--as-of", "2024-01-01", "--to", "x.duckdb")
    assert "--allow-loss does not go with --as-of" in str(as_of.exception)
    allowed = run(desk, "build", "--allow-loss")
    assert (allowed.exit_code, allowed.stderr.count("warning: as allowed, rows are lost")) == (0, 3)
    desk.land_demand(date(2024, 1, 1), 10)
    run(desk, "build")
    desk.land("DELETE FROM eia.region_data", changes={"eia.region_data": [date(2024, 1, 1)]})
    desk.home.settings_file.write_text("[build]\nmax_loss_percent = 100\n")
    assert run(desk, "build").exit_code == 0


def test_models_lists_the_catalog(desk: Desk) -> None:
    before = run(desk, "models")
    assert before.exit_code == 0, before.output
    assert "features.rolling" in before.output
    run(desk, "build")
    listed = json.loads(run(desk, "models", "--json").output)
    assert {model["name"]: model["rows"] for model in listed}["normalized.demand"] == 48
    assert re.search(r"^normalized\.demand +table +region, hour_utc ", run(desk, "models").output, re.MULTILINE)


def test_models_prints_one_model_with_columns_units_and_audits(desk: Desk) -> None:
    run(desk, "build")
    output = run(desk, "models", "demand").output
    assert "48 rows from 2024-01 to 2024-01" in output
    assert "demand_mwh  DOUBLE     MWh     100%  Demand, MWh." in output
    assert "unique(region, hour_utc)" in output
    assert json.loads(run(desk, "models", "demand", "--json").output)["name"] == "normalized.demand"
    assert isinstance(run(desk, "models", "demnad").exception, UnknownNameError)


def test_models_says_which_columns_are_empty(desk: Desk) -> None:
    run(desk, "build")
    assert re.search(r"normalized\.grid .* 1 of 4 ", run(desk, "models").output)
    output = run(desk, "models", "grid").output
    assert "empty, NULL in every row: sun_mwh\n" in output
    assert re.search(r"sun_mwh +DOUBLE +MWh +empty +Solar", output)
    columns = json.loads(run(desk, "models", "grid", "--json").output)["columns"]
    assert [column["rows_with_value"] for column in columns] == [48, 48, 48, 0]


@pytest.mark.parametrize(("arguments", "status"), [(["build", "nonsense"], 2), (["build"], 1), (["models", "x"], 2)])
def test_exit_status(tmp_path: Path, arguments: list[str], status: int) -> None:
    done = typed("--home", str(tmp_path / "none"), *arguments)
    assert done.returncode == status, done.stderr
    assert done.stderr.startswith("energywh: ")
    assert "Traceback" not in done.stderr


def test_own_models_come_by_option_or_setting_and_a_broken_one_is_reported(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "own"
    folder.mkdir(parents=True)
    (folder / "z.sql").write_text(model("select 7 as a"))
    (folder / "w.sql").write_text(model("select b as a from own.z"))
    words = ["--home", str(desk.home.path), "build", "--models", str(tmp_path / "mine")]
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert done.return_value == 1, done.output
    assert f"left out own.w: {folder}/w.sql:9: own.w failed: " in done.stderr
    assert (
        "energywh: 1 model of your own failed and is not in this version: own.w; all other models are built"
        in done.stderr
    )
    assert "10 models built" in done.stdout
    (folder / "w.sql").unlink()
    desk.home.settings_file.write_text('[build]\nmodels = ["../mine"]\n')
    assert "\npublished" in run(desk, "build").stdout, "own.w is not left out any more"
    assert json.loads(run(desk, "models", "own.z", "--json").output)["rows"] == 1
    assert str(tmp_path / "mine") in run(desk, "config").stdout.replace("home/../", "")
