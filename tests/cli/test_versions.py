"""The commands `energywh versions`, `diff`, `sql --version` and `build --as-of`, and `open(version=)`."""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from unittest import mock

import duckdb
import pytest
from click.testing import CliRunner, Result

import energywh
from energywh.cli import cli
from energywh.core.paths import Home
from energywh.errors import StorageError, UnknownNameError, UsageError
from energywh.models.versions.publish import Version, list_versions
from energywh.models.versions.records import versions_of
from tests.models.folder import Desk, model
from tests.support.desk import typed

JANUARY, MARCH = date(2024, 1, 1), date(2024, 3, 1)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Four versions, the first pruned: January; January and March; another January; the same again."""
    desk = Desk(tmp_path_factory.mktemp("built"))
    desk.land_demand(JANUARY, 10)
    desk.build()
    desk.land_demand(MARCH, 10)
    desk.build()
    desk.land_demand(JANUARY, 12, regions="'A'", hours=23)
    desk.land(
        "UPDATE eia.region_data SET value = NULL WHERE period = TIMESTAMP '2024-01-01 05:00' AND respondent = 'B'",
        changes={"eia.region_data": [JANUARY]},
    )
    desk.build()
    desk.build(full=True)
    return desk


@pytest.fixture
def desk(built: Desk, tmp_path: Path) -> Desk:
    """A copy of the versions for each test."""
    desk = copy.copy(built)
    desk.home, desk.sql = Home(tmp_path / "home"), tmp_path / "sql"
    shutil.copytree(built.home.path, desk.home.path, symlinks=True)
    shutil.copytree(built.sql, desk.sql)
    return desk


def run(desk: Desk, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(desk.home.path), *arguments])


def names(desk: Desk) -> list[str]:
    return [version.name for version in list_versions(desk.home)]


def test_versions_are_listed_newest_first_with_those_pruned(desk: Desk) -> None:
    found = json.loads(run(desk, "versions", "list", "--json").output)
    assert [(each["number"], each["state"]) for each in found] == [
        (4, "published"),
        (3, "kept"),
        (2, "kept"),
        (1, "pruned"),
    ]
    records = [each["record"] for each in found]
    assert [record["base_kind"] == "fresh" for record in records] == [True, False, False, True]
    assert records[0]["changed"] == {}
    assert records[1]["changed"]["normalized.demand"] == 1
    assert records[3]["changed"] is None, "there was none before"
    assert {table["name"]: table["rows"] for table in records[2]["tables"]}["normalized.demand"] == 96
    one, other = ({table["name"]: table["digest"] for table in record["tables"]} for record in records[:2])
    assert one == other
    assert records[0]["watermarks"] == [
        {
            "dataset": "eia.region_data",
            "landing_id": 4,
            "landed_at_utc": "2025-01-01T00:00:04",
            "newest_hour_utc": "2024-03-01T23:00:00",
        }
    ]
    assert records[0]["options"]["full"] is True
    lines = run(desk, "versions").output.splitlines()
    assert lines[1].startswith(names(desk)[-1])
    assert "published" in lines[1]
    assert "the same rows" in lines[1]
    assert len(lines) == 5
    assert (
        run(desk, "versions", "list", "--limit", "1").output.splitlines()[-1]
        == "3 older ones: 'energywh versions list --limit 0' shows all"
    )


def test_versions_prints_what_one_was_built_from(desk: Desk) -> None:
    for wanted in ("latest~1", "3", names(desk)[1]):
        output = run(desk, "versions", "show", wanted).output
        assert output.startswith(f"{names(desk)[1]}: kept\n")
        assert "eia.region_data  2024-03-01T23      2025-01-01 00:00" in output
    assert ": pruned\n" in run(desk, "versions", "show", "1").output, "its record is left"


def test_versions_of_a_folder_without_any_are_none(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert run(desk, "versions").output == f"nothing is built yet in {desk.home.path}\n"
    assert json.loads(run(desk, "versions", "list", "--json").output) == []
    assert isinstance(run(desk, "versions", "show", "latest").exception, StorageError)


def test_a_version_that_is_pruned_while_they_are_listed_is_pruned(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = list_versions(desk.home)

    def before(home: Home, suffix: str = ".duckdb") -> list[Version]:
        return listed if suffix == ".duckdb" else list_versions(home, suffix)

    monkeypatch.setattr("energywh.models.versions.records.list_versions", before)
    listed[0].path.unlink()
    assert [each.state for each in versions_of(desk.home)] == ["published", "kept", "pruned", "pruned"]


def test_a_damaged_version_and_a_damaged_record_are_still_listed(desk: Desk) -> None:
    older, newer, newest = list_versions(desk.home)
    older.path.write_bytes(b"<html>")
    newer.path.with_suffix(".json").write_text("{")
    newest.path.with_suffix(".json").unlink()
    first, second, third, _ = versions_of(desk.home)
    assert third.state == "damaged"
    assert third.record is not None
    assert third.record.rows > 0
    assert second.record is not None, "the version itself says it"
    assert second.record.watermarks[0].dataset == "eia.region_data"
    assert first.record is not None, "so here"
    assert first.record.rows == second.record.rows
    assert run(desk, "versions").exit_code == 0


def test_a_pinned_version_is_not_pruned_until_it_is_released(desk: Desk) -> None:
    oldest = names(desk)[0]
    assert run(desk, "versions", "pin", "2").output == f"{oldest} is pinned\n"
    for value in (20, 30, 40):
        desk.land_demand(JANUARY, value)
        desk.build()
    assert [version.number for version in list_versions(desk.home)] == [2, 5, 6, 7]
    assert "kept, pinned" in run(desk, "versions").output
    assert run(desk, "versions", "unpin", oldest).exit_code == 0
    desk.land_demand(JANUARY, 50)
    desk.build()
    assert [version.number for version in list_versions(desk.home)] == [6, 7, 8]
    with energywh.open(desk.home.path, version="7") as warehouse:
        assert warehouse.sql("SELECT min(demand_mwh) FROM normalized.demand").fetchall() == [(11.0,)]


def test_the_error_of_an_unknown_version_suggests_the_nearest(desk: Desk) -> None:
    wrong = names(desk)[1][:-1] + "9"
    for command in (("versions", "pin"), ("versions", "show"), ("diff",), ("sql", "SELECT 1", "--version")):
        result = run(desk, *command, wrong)
        assert isinstance(result.exception, UnknownNameError)
        message = str(result.exception)  # names of the same second are equally near
        assert "did you mean " in message
        assert names(desk)[1] in message
    for pruned in ("1", run(desk, "versions", "list", "--json").output.split('"version": "')[-1][:30]):
        assert "was pruned, and only its record is left" in str(run(desk, "diff", pruned).exception)
    assert "there are energy-" in str(run(desk, "diff", "latest~7").exception)
    assert "there is no file" in str(run(desk, "diff", "then.duckdb").exception)


def test_diff_says_which_months_and_columns_differ_and_by_how_much(desk: Desk) -> None:
    result = run(desk, "diff", "2", "3")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == " -> ".join(names(desk)[:2])
    at = next(i for i, line in enumerate(lines) if line.startswith("normalized.demand:"))
    assert lines[at] == "normalized.demand: 0 rows added, 0 removed, 24 changed in 2024-01"
    assert lines[at + 1] == (
        "    demand_mwh: 23 changed, 1 became NULL; difference 2 on average, 2 at most, "
        "at A 2024-01-01 00:00:00 (11 -> 13)"
    )
    assert lines[-1].startswith("equal: ")
    assert "normalized.fuel" in lines[-1]


def test_diff_of_rows_that_came_and_went(desk: Desk) -> None:
    desk.land(f"DELETE FROM eia.region_data WHERE period < '{MARCH}'", changes={"eia.region_data": [JANUARY]})
    desk.build(allow_loss=True)
    (table,) = json.loads(run(desk, "diff", "latest~1", "latest", "--model", "demand", "--json").output)["tables"]
    assert (table["rows_added"], table["rows_removed"], table["rows_changed"]) == (0, 48, 0)
    assert table["months"] == ["2024-01-01"]
    (table,) = json.loads(run(desk, "diff", "latest", "latest~1", "--model", "demand", "--json").output)["tables"]
    assert (table["rows_added"], table["rows_removed"], table["rows_changed"]) == (48, 0, 0)


def test_diff_is_the_same_however_few_months_are_joined_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write(
        "normalized/demand.sql",
        (desk.sql / "normalized" / "demand.sql").read_text().replace("value as", "value + 1 as"),
    )
    desk.build()
    at_once = run(desk, "diff", "latest~1", "--json").output
    (table,) = [each for each in json.loads(at_once)["tables"] if each["name"] == "normalized.demand"]
    assert table["months"] == ["2024-01-01", "2024-03-01"]
    assert table["columns"][0]["greatest_difference"] == 1
    assert table["columns"][0]["place"] == {"region": "A", "hour_utc": "2024-01-01T00:00:00"}, "the first of equal ones"
    monkeypatch.setattr("energywh.models.versions.diff.MOST_VALUES", 1)
    assert run(desk, "diff", "latest~1", "--json").output == at_once


def test_diff_pairs_rows_whose_time_is_not_in_the_grain_and_moved_to_another_month(desk: Desk) -> None:
    select = "select region, max(hour_utc) as hour_utc from normalized.demand group by region"
    last = model(select, "region hour_utc", head='refresh = "full"')
    desk.write("n/last.sql", last.replace("['region', 'hour_utc']", "['region']"))
    desk.build()
    desk.land_demand(date(2024, 4, 1), 10)
    desk.build()
    (table,) = json.loads(run(desk, "diff", "latest~1", "--model", "n.last", "--json").output)["tables"]
    assert (table["rows_added"], table["rows_removed"], table["rows_changed"]) == (0, 0, 2)
    assert [(column["name"], column["changed"]) for column in table["columns"]] == [("hour_utc", 2)]


def test_diff_of_equal_versions_says_that_all_is_equal(desk: Desk) -> None:
    found = json.loads(run(desk, "diff", "latest~1", "--json").output)
    assert found["tables"] == []
    assert "normalized.demand" in found["equal"]
    assert run(desk, "diff", "latest~1").output.count("\n") == 2


def test_diff_reports_added_removed_and_changed_models_columns_and_types(desk: Desk) -> None:
    demand = (desk.sql / "normalized" / "demand.sql").read_text()
    desk.write(
        "normalized/demand.sql",
        demand.replace("demand_mwh = ", 'twice_mwh = "Twice, MWh."\ndemand_mwh = ').replace(
            "value as demand_mwh", "2 * value as twice_mwh, (value + 1)::float as demand_mwh"
        ),
    )
    desk.write("n/new.sql", demand.replace("Demand.", "Another."))
    (desk.sql / "features" / "rolling.sql").unlink()
    desk.write("seeds/fuel.csv", "fueltype,family\nSUN,sun\n")
    desk.build()
    found = json.loads(run(desk, "diff", "latest~1", "--json").output)
    tables = {table["name"]: table for table in found["tables"]}
    assert (tables["n.new"]["state"], tables["n.new"]["rows_after"]) == ("added", 96)
    assert tables["features.rolling"]["state"] == "dropped"
    changed = tables["normalized.demand"]
    assert (changed["sql_changed"], changed["columns_added"], changed["types_changed"]) == (
        True,
        ["twice_mwh"],
        ["demand_mwh"],
    )
    assert changed["rows_changed"] == 95, "all but the one without a value"
    assert (changed["columns"][0]["mean_difference"], changed["months"]) == (1.0, ["2024-01-01", "2024-03-01"])
    assert tables["seeds.fuel"]["note"] == "a seed; its file differs"
    output = run(desk, "diff", "latest~1").output
    assert "SQL changed; columns added: twice_mwh; types changed: demand_mwh" in output


def test_a_kept_version_and_a_file_can_be_queried_and_stay_in_place(desk: Desk, tmp_path: Path) -> None:
    query = "SELECT min(demand_mwh) AS least FROM normalized.demand WHERE region = 'A' AND hour_utc < '2024-02-01'"
    for wanted in ("latest~1", "3", names(desk)[1], str(list_versions(desk.home)[1].path)):
        assert run(desk, "sql", query, "--version", wanted, "--format", "csv").output == "least\n13.0\n"
    assert run(desk, "sql", query, "--version", "2", "--format", "csv").output == "least\n11.0\n"
    with energywh.open(desk.home.path, version=2) as warehouse:
        assert warehouse.version == names(desk)[0]
        desk.land_demand(JANUARY, 70)
        desk.build()
        assert not warehouse.refresh()
        assert warehouse.sql(query).fetchall() == [(11.0,)]
    with energywh.open(desk.home.path, version=list_versions(desk.home)[0].path) as warehouse:
        assert warehouse.sql("SELECT count(*) FROM demand").fetchall() == [(96,)]
    with duckdb.connect(tmp_path / "other.duckdb") as connection:
        connection.execute("CREATE TABLE x AS SELECT 1 AS y")
    with pytest.raises(StorageError, match="not a version of a warehouse"):
        energywh.open(desk.home.path, version=tmp_path / "other.duckdb")
    with pytest.raises(UsageError, match="by name, number or path, not True"):
        energywh.open(desk.home.path, version=True)


def type_in(desk: Desk, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the models of the desk."""
    with mock.patch("energywh.models.build.as_of.sql_dir", return_value=desk.sql):
        return typed("--home", str(desk.home.path), *words)


def command(desk: Desk, *words: str) -> list[str]:
    with_models = (
        "import sys, pathlib; from energywh.models.build import as_of, runner; from energywh.cli import main; "
        "folder = pathlib.Path(sys.argv.pop(1)); as_of.sql_dir = runner.sql_dir = lambda: folder; main()"
    )
    return [sys.executable, "-c", with_models, str(desk.sql), "--home", str(desk.home.path), *words]


def test_build_as_of_writes_a_file_that_can_be_queried_and_compared(desk: Desk, tmp_path: Path) -> None:
    to = str(tmp_path / "then.duckdb")
    done = type_in(desk, "build", "--as-of", "2025-01-01", "--to", to)
    assert done.returncode == 0, done.stderr
    assert f"wrote {to} as of 2025-01-01 00:00:00 UTC (landed): 9 models" in done.stdout
    assert f'to query it: energywh sql --version {to} "select ..."' in done.stdout
    asked = type_in(desk, "sql", "--version", to, "--format", "csv", "SELECT count(*) AS n FROM normalized.demand")
    assert asked.stdout == "n\n96\n"
    assert type_in(desk, "diff", to).stdout.startswith(f"then -> {names(desk)[-1]}\nequal: ")
    assert "as of 2025-01-01 00:00:00 UTC, knowledge landed" in type_in(desk, "versions", "show", to).stdout
    assert len(names(desk)) == 3, "nothing was published"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--as-of", "2025-01-01"], "name it with --to FILE"),
        (["--to", "x.duckdb"], "--to belongs to --as-of"),
        (["--knowledge", "landed"], "--knowledge belongs to --as-of"),
        (["--force"], "--force belongs to --as-of"),
        (["--as-of", "yesterday", "--to", "x.duckdb"], "--as-of must be a UTC day or moment"),
        (["--as-of", "2025-01-01", "--to", "x.duckdb", "--full"], "computes everything anyway"),
        (["--as-of", "2999-01-01T00:30", "--to", "x.duckdb"], "it is in the future"),
        (["--as-of", "2024-12-31 12:00", "--to", "x.duckdb"], "nothing was known at 2024-12-31T12:00:00 UTC"),
    ],
)
def test_wrong_arguments_of_build_as_of_are_reported(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.setattr("energywh.models.build.as_of.sql_dir", lambda: desk.sql)
    monkeypatch.chdir(tmp_path)
    result = run(desk, "build", *words)
    assert isinstance(result.exception, UsageError)
    assert says in str(result.exception)
    assert not (tmp_path / "x.duckdb").exists()


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_build_as_of_that_dies_leaves_no_file_under_the_name_and_the_next_sweeps(
    desk: Desk, tmp_path: Path, sign: signal.Signals
) -> None:
    slow = "select sum(i * j)::bigint as a from range(3000000) t(i), range(3000000) u(j)"
    desk.write("z/slow.sql", '/*---\ndescription = "Days."\ngrain = ["a"]\n[columns]\na = "A."\n---*/\n' + slow)
    folder = tmp_path / "out"
    folder.mkdir()
    words = ["build", "--as-of", "2025-01-01", "--to", str(folder / "then.duckdb")]
    with subprocess.Popen(
        command(desk, *words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ
    ) as building:
        assert building.stdout is not None
        lines = [building.stdout.readline() for _ in range(8)]  # all models but the one that takes days
        assert lines[0].startswith("normalized.")
        time.sleep(0.2)
        building.send_signal(sign)
    assert building.returncode == (130 if sign == signal.SIGINT else -signal.SIGKILL)
    left = [path.name for path in folder.iterdir()]
    assert "then.duckdb" not in left
    assert bool(left) == (sign == signal.SIGKILL)
    (desk.sql / "z" / "slow.sql").unlink()
    assert type_in(desk, *words).returncode == 0
    assert [path.name for path in folder.iterdir()] == ["then.duckdb"]
