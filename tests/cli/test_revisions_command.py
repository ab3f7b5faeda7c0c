"""The command `energywh revisions`, from syncs of a source that revises to the printed table."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from energywh.cli import cli
from energywh.core.paths import Home, sql_dir
from energywh.errors import StorageError, UnknownNameError
from energywh.models.build.options import BuildOptions
from energywh.models.build.runner import build
from energywh.sync.schema import open_staging
from tests.datasets.published import publish_demo
from tests.models.folder import Desk


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A warehouse of CISO, whose demand of three hours was revised, and BPAT, which withdrew two of three."""
    desk = Desk(tmp_path_factory.mktemp("desk"), {})
    model = sql_dir() / "quality" / "revisions.sql"
    desk.write("quality/revisions.sql", model.read_text("utf-8"))
    with open_staging(desk.home.staging):
        pass
    rows = [  # respondent, end of the hour, value now, value before, hours until it was revised
        ("CISO", "2024-03-01 06:00", 110, 100, 4),
        ("CISO", "2024-04-01 06:00", 130, 100, 40),
        ("CISO", "2024-04-01 07:00", 130, None, 60),
        ("BPAT", "2024-03-01 06:00", 5, 5, 0),
    ]
    desk.land(
        *(
            f"INSERT INTO eia.region_data VALUES ('{end}', '{region}', 'D', {now}, "
            f"TIMESTAMP '{end}' + INTERVAL {hours} HOUR)"
            for region, end, now, _, hours in rows
        ),
        *(
            f"INSERT INTO eia.region_data_revision VALUES ('{end}', '{region}', 'D', {before or 'NULL'}, '{end}', "
            f"TIMESTAMP '{end}' + INTERVAL {hours} HOUR)"
            for region, end, _, before, hours in rows
            if hours
        ),
        *(
            f"INSERT INTO eia.region_data_revision VALUES ('{end}', 'BPAT', 'D', 7, '{end}', "
            f"TIMESTAMP '{end}' + INTERVAL 5 HOUR)"
            for end in ("2024-03-01 07:00", "2024-03-01 08:00")
        ),
        changes={"eia.region_data": [datetime(2024, 3, 1).date(), datetime(2024, 4, 1).date()]},
    )
    build(desk.home, sql=desk.sql, options=BuildOptions(threads=2))
    return desk


def run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home), "revisions", *arguments])


def test_revisions_are_reported_by_dataset_and_region(desk: Desk) -> None:
    bpat, ciso = json.loads(run(desk.home.path, "--json").output)
    assert ciso == {
        "dataset": "eia.region_data",
        "region": "CISO",
        "rows": 3,
        "gone": 0,
        "revised": 3,
        "revisions": 3,
        "filled": 1,
        "withdrawn": 0,
        "typical_delay_hours": 50.0,
        "max_delay_hours": 60.0,
        "mean_change_percent": 20.0,
        "max_change": 30.0,
        "newest_revision_utc": "2024-04-03T19:00:00",
    }
    assert (bpat["rows"], bpat["revisions"], bpat["mean_change_percent"]) == (1, 2, None)
    lines = run(desk.home.path).output.splitlines()
    assert " ".join(lines[2].split()) == (
        "eia.region_data CISO 3 0 3 (100.0%) 3 1 0 50 h 60 h 20.0% 30 2024-04-03 19:00"
    )


def test_rows_that_are_gone_count_among_those_of_which_a_share_was_revised(desk: Desk) -> None:
    lines = run(desk.home.path).output.splitlines()
    assert " ".join(lines[1].split()).startswith("eia.region_data BPAT 1 2 2 (66.7%) 2 0 2 5 h 5 h")


def test_revisions_can_be_narrowed_to_regions_datasets_and_months(desk: Desk) -> None:
    (ciso,) = json.loads(run(desk.home.path, "--json", "--region", "ciso", "--since", "2024-03-20").output)
    assert ciso["rows"] == 3
    (ciso,) = json.loads(run(desk.home.path, "--json", "--dataset", "eia", "--since", "2024-04-20").output)
    assert (ciso["rows"], ciso["region"]) == (2, "CISO")
    assert len(json.loads(run(desk.home.path, "--json", "--dataset", "eia.region_data,eia").output)) == 2
    assert run(desk.home.path, "--since", "2025-01-01").output == "nothing is held of what was asked for\n"


def test_a_name_of_which_nothing_is_held_is_refused(desk: Desk) -> None:
    region = run(desk.home.path, "--region", "CSIO").exception
    assert isinstance(region, UnknownNameError)
    assert "did you mean CISO" in str(region)
    dataset = run(desk.home.path, "--dataset", "eia.region-data").exception
    assert isinstance(dataset, UnknownNameError)
    assert "did you mean eia.region_data" in str(dataset)


def test_a_version_without_the_model_says_what_to_do(desk: Desk, tmp_path: Path) -> None:
    home = Home(tmp_path / "old")
    publish_demo(home, hours=2)
    error = run(home.path).exception
    assert isinstance(error, StorageError)
    assert "run 'energywh build'" in str(error)
