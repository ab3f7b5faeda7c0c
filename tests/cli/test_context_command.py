"""The command `energywh context`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from energywh.cli import cli
from energywh.core.paths import Home
from tests.datasets.published import publish_demo


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("context"))
    late = (
        "UPDATE features.hourly SET demand_mwh = NULL WHERE region = 'CISO' AND hour_utc >= '2023-01-10 20:00'",
        "UPDATE features.hourly SET hour_sin = NULL WHERE region = 'BPAT'",
        "UPDATE features.hourly SET demand_mwh = NULL WHERE hour_utc = '2023-01-10 18:00'",
    )
    publish_demo(home, hours=240, then=late)
    return home.path


def run(home: Path, *words: str) -> str:
    done = CliRunner().invoke(cli, ["--home", str(home), "context", *words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def row(text: str, *cells: str) -> Sequence[str]:
    """Return the one line that begins with ``cells``, as words."""
    (line,) = (words for words in map(str.split, text.splitlines()) if words[: len(cells)] == list(cells))
    return line


def test_the_latest_complete_hours_are_printed_by_region(home: Path) -> None:
    text = run(home, "--hours", "4")
    assert row(text, "CISO")[1:3] == ["2023-01-10T16", "2023-01-10T19"]
    assert row(text, "BPAT")[1:3] == ["2023-01-10T20", "2023-01-10T23"]
    assert row(text, "CISO")[-1] == "91.7%"
    assert row(text, "BPAT")[-1] == "66.7%"
    assert "mean" not in text


def test_statistics_of_one_region_are_printed(home: Path) -> None:
    text = run(home, "--hours", "4", "--region", "ciso")
    mean = f"{20000 + (232 + 233 + 235) / 3:,.6g}"
    assert row(text, "CISO", "demand_mwh")[2:] == ["20,235", mean, "20,232", "20,235", "1"]
    text = run(home, "--hours", "4", "--column", "hour_sin,demand_mwh")
    assert row(text, "BPAT", "hour_sin")[2:] == ["4"]
    assert "is_midnight" not in text


def test_json_holds_all_columns(home: Path) -> None:
    found = {each["region"]: each for each in json.loads(run(home, "features.hourly", "--hours", "4", "--json"))}
    assert set(found) == {"BPAT", "CISO"}
    assert found["CISO"]["last_hour"] == "2023-01-10 19:00:00"
    assert found["CISO"]["age_hours"] > 24
    demand = next(column for column in found["CISO"]["columns"] if column["name"] == "demand_mwh")
    assert (demand["last"], demand["least"], demand["greatest"], demand["missing"]) == (20235, 20232, 20235, 1)
    silent = next(column for column in found["BPAT"]["columns"] if column["name"] == "hour_sin")
    assert (silent["last"], silent["mean"], silent["missing"]) == (None, None, 4)
