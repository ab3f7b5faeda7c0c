"""The first script that a user of MLX writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from energywh.home import Home
from tests.datasets.published import publish_demo
from tests.examples.processes import ROOT, run_ranks

pytest.importorskip("mlx.core", reason="MLX cannot be imported here, and the example is in MLX")


def test_the_first_step_learns_from_a_warehouse_in_the_working_folder(tmp_path: Path) -> None:
    publish_demo(
        Home(tmp_path / "warehouse"),
        hours=24 * 100,
        then=[
            "DROP VIEW features.evening",
            *(
                f"ALTER TABLE features.hourly ADD COLUMN {column} DOUBLE DEFAULT {value}"
                for column, value in (("demand_lag_24h_mwh", 9000), ("demand_lag_168h_mwh", 9000), ("hour_cos", 1))
            ),
        ],
    )
    (said,) = run_ranks(1, [str(ROOT / "examples" / "first_step.py")], tmp_path)
    errors = [float(line.removesuffix(" MWh").replace(",", "")) for line in said.splitlines()]
    assert len(errors) >= 3
    assert errors[-1] < errors[0]
