"""The command `energywh demo`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from energywh import open as energywh_open
from tests.support.recipes import printed_by, recipes

# The short demo: one authority, and as many months as the windows of both splits need.
REGIONS, SINCE, UNTIL = ("CISO",), "2025-03-01", "2025-10-31"
SHORT = f"""
from energywh import cli, demo
demo.REGIONS, demo.SINCE, demo.UNTIL = {REGIONS}, "{SINCE}", "{UNTIL}"
cli.main()
"""


@dataclass(frozen=True)
class Demo:
    """A folder in which the demo has run, and what it printed."""

    folder: Path
    printed: str
    short: bool


def energywh(folder: Path, *arguments: str, short: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command in ``folder`` without a key, with its default home there."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ENERGYWH", "EIA"))}
    return subprocess.run(
        [sys.executable, *(("-c", SHORT) if short else ("-m", "energywh")), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module", params=["short", pytest.param("whole", marks=pytest.mark.soak)])
def demo(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Demo:
    """The full demo takes most of a minute on two cores; the short one runs the same code on less data."""
    folder, short = tmp_path_factory.mktemp("demo"), request.param == "short"
    answer = energywh(folder, "demo", short=short)
    assert answer.returncode == 0, answer.stderr
    return Demo(folder, answer.stdout, short)


def test_the_demo_says_that_its_data_are_simulated_and_shows_every_step(demo: Demo) -> None:
    printed = demo.printed
    assert "SIMULATED" in printed.splitlines()[0]
    assert re.findall(r"^== (\w+)", printed, re.MULTILINE) == ["sync", "build", "export", "sql", "windows"]
    assert "inputs (8, 2160, " in printed
    assert "Traceback" not in printed


def test_the_demo_leaves_a_warehouse_to_query(demo: Demo) -> None:
    answer = energywh(
        demo.folder,
        "sql",
        "--format",
        "csv",
        "select region, count(*) n, min(hour_utc), max(hour_utc) from normalized.demand group by 1 order by 1",
    )
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    assert len(lines) == (2 if demo.short else 7)
    span = f"5880,{SINCE} 00:00:00,{UNTIL}" if demo.short else "17544,2024-01-01 00:00:00,2025-12-31"
    assert lines[1] == f"{'CISO' if demo.short else 'BPAT'},{span} 23:00:00"


def test_features_of_a_source_that_is_not_synced_are_left_out_by_default(demo: Demo) -> None:
    """The demo syncs no real-time prices, so their lags are NULL in every row and no features."""
    import energywh

    with energywh.open(demo.folder / "warehouse") as warehouse:
        taken = warehouse.context(24, ["CISO"], backend="numpy").columns
        empty = {
            name
            for (name,) in warehouse.sql(
                "select name from energywh.\"column\" where model = 'features.hourly' and rows_with_value = 0"
            ).fetchall()
        }
        assert "price_rtm_sp15_lag_1h_usd_per_mwh" in empty
        assert not empty & set(taken)
        assert {"temperature_c", "price_sp15_usd_per_mwh", "demand_mwh"} <= set(taken)
        named = warehouse.context(24, ["CISO"], features=["price_rtm_sp15_lag_1h_usd_per_mwh"], backend="numpy")
        assert not named.mask.any()


def test_a_second_demo_finds_everything_in_place(demo: Demo) -> None:
    answer = energywh(demo.folder, "demo", short=demo.short)
    assert answer.returncode == 0, answer.stderr
    assert "nothing was due" in answer.stdout
    assert "nothing new" in answer.stdout
    assert "0 of them written now" in answer.stdout


def test_real_data_do_not_go_into_the_demo_folder(demo: Demo) -> None:
    answer = energywh(demo.folder, "sync")
    assert answer.returncode == 2
    assert "simulated data" in answer.stderr


def test_the_demo_does_not_go_into_a_folder_of_real_data(tmp_path: Path) -> None:
    home = tmp_path / "warehouse"
    home.mkdir()
    (home / "staging.duckdb").touch()
    answer = energywh(tmp_path, "demo")
    assert answer.returncode == 2
    assert "real data" in answer.stderr


def test_every_recipe_answers_on_the_demo_and_prints_there_what_the_page_shows(demo: Demo) -> None:
    found = recipes()
    assert len(found) == 12
    with energywh_open(demo.folder / "warehouse") as warehouse:
        for recipe in found:
            header = recipe.printed.splitlines()[1]
            answer = warehouse.sql(recipe.sql)
            assert [name.strip() for name in header.strip("│").split("│")] == answer.columns, recipe.title
            assert demo.short or answer.fetchall(), recipe.title
    if not demo.short:
        wrong = [each.title for each in found if printed_by(demo.folder / "warehouse", each.sql) != each.printed]
        assert not wrong, "write the page anew: python -m tests.support.recipes HOME"


READ_ALL = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
names = connection.execute(
    "SELECT schema_name || '.' || name FROM (SELECT schema_name, table_name AS name FROM duckdb_tables() "
    "UNION ALL SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal)"
).fetchall()
for (name,) in names:
    connection.execute(f"FROM {name} LIMIT 10".replace("energywh.column", 'energywh."column"')).fetchall()
rows = connection.execute("SELECT count(demand_mwh), count(DISTINCT region) FROM features.hourly").fetchall()
print(duckdb.__version__, len(names), *rows[0])
"""


def test_duckdb_1_5_reads_every_table_and_view_that_is_published(demo: Demo) -> None:
    python = os.environ.get("DUCKDB_15_PYTHON")
    if not python:
        pytest.skip("DUCKDB_15_PYTHON names no interpreter that has DuckDB 1.5; .ci/run makes one")
    file = demo.folder / "warehouse" / "energy.duckdb"
    done = subprocess.run([python, "-c", READ_ALL, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    version, relations, hours, regions = done.stdout.split()
    assert version.startswith("1.5")
    with energywh_open(demo.folder / "warehouse") as warehouse:
        counted = warehouse.sql("SELECT count(demand_mwh), count(DISTINCT region) FROM features.hourly").fetchall()
    assert counted == [(int(hours), int(regions))]
    assert int(relations) > 50
