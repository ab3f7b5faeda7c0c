"""The example script of the README runs and learns."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from energywh.core.paths import Home
from tests.datasets.published import publish_demo
from tests.examples.processes import ROOT, run_ranks

pytest.importorskip("mlx.core", reason="MLX cannot be imported here, and the example is in MLX")

SCRIPT = ROOT / "examples" / "first_step.py"
# Days of one shape, on a level that moves from week to week.
SHAPED = [
    "DROP VIEW features.evening",
    "ALTER TABLE features.hourly ADD COLUMN hour_cos DOUBLE",
    "UPDATE features.hourly SET hour_cos = sin(epoch(hour_utc) / 3600 * pi() / 12 + pi() / 2), "
    "demand_mwh = 9000 + 2000 * hour_sin + 1500 * sin(epoch(hour_utc) / 3600 * pi() / 480)",
]


def test_the_first_step_beats_last_week_in_the_warehouse_of_the_working_folder(tmp_path: Path) -> None:
    publish_demo(Home(tmp_path / "warehouse"), hours=24 * 960, then=SHAPED)
    (said,) = run_ranks(1, [str(SCRIPT)], tmp_path)
    errors = [float(percent) for percent in re.findall(r"off by ([\d.]+)%", said)]
    assert len(errors) == 2
    assert errors[0] < errors[1]


def test_the_readme_shows_the_script_as_it_is() -> None:
    assert f"```python\n{SCRIPT.read_text('utf-8')}```" in (ROOT / "README.md").read_text("utf-8")
