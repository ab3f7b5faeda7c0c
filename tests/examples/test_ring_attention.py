"""The example of ring attention: exact over real processes, and trained by one command."""

from __future__ import annotations

import importlib
import json
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import energywh
from energywh.core.paths import Home
from energywh.datasets.windows.ring import LAYOUTS, Ring
from tests.datasets.published import publish
from tests.examples.processes import ROOT, run_ranks

pytest.importorskip("mlx.core", reason="MLX cannot be imported here, and the example is in MLX")

EXAMPLE = ROOT / "examples" / "ring_attention"


def of_the_example(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a file of the example, whose names are too plain to stay imported."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module(name)
    monkeypatch.delitem(sys.modules, name)
    return module


@pytest.mark.parametrize("world", [1, 2, 4])
def test_outputs_and_gradients_equal_full_attention_in_each_layout(world: int, tmp_path: Path) -> None:
    for output in run_ranks(world, [str(Path(__file__).with_name("one_rank.py")), "1"], tmp_path):
        worst = json.loads(output)
        assert set(worst) == set(LAYOUTS)
        for layout, differences in worst.items():
            assert max(differences) < 1e-4, f"{layout}: {differences}"


def test_scores_too_great_to_exponentiate_do_no_harm(tmp_path: Path) -> None:
    for output in run_ranks(2, [str(Path(__file__).with_name("one_rank.py")), "100"], tmp_path):
        for layout, differences in json.loads(output).items():  # gradients of keys are 100 times greater
            assert differences[0] < 1e-3, f"{layout}: {differences}"
            assert all(np.isfinite(differences))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("length", [1, 7, 100, 203])
def test_blocks_hold_every_place_once_and_no_jump(layout: str, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = of_the_example("ring", monkeypatch).blocks

    for rank in range(4):
        positions = Ring(length, 4, layout).positions(rank)  # type: ignore[arg-type]
        found = blocks(positions, 8)
        assert [place for block in found for place in range(len(positions))[block.places]] == [*range(len(positions))]
        for block in found:
            part = positions[block.places]
            assert len(part) <= 8
            assert (block.first, block.last) == (part.min(), part.max())
            assert len(set(np.diff(part).tolist())) <= 1


GRID = """
CREATE TABLE normalized.region AS
    SELECT * FROM (VALUES ('BPAT', 'authority'), ('CISO', 'authority')) AS t (region, kind);
CREATE TABLE normalized.grid AS
SELECT
    region, TIMESTAMP '2023-01-01' + to_hours(hour::INTEGER) AS hour_utc,
    -- weekly waves, and a slow one that only the days before tell of
    1000 * size * (3 + sin(hour * pi() / 12) + 0.3 * sin(hour * pi() / 84) + 0.5 * sin(hour / 100.0)) AS value,
    CASE WHEN hour % 97 <> 5 THEN value END AS demand_clean_mwh,
    demand_clean_mwh AS demand_screened_mwh,
    value * 1.01 AS demand_forecast_mwh,
    NULL::DOUBLE AS temperature_c
FROM range(1200) AS t (hour) CROSS JOIN (VALUES ('BPAT', 1), ('CISO', 4)) AS r (region, size);
CREATE TABLE features.calendar AS
SELECT
    region, hour_utc, sin(hour(hour_utc) * pi() / 12) AS hour_sin, cos(hour(hour_utc) * pi() / 12) AS hour_cos,
    sin(epoch(hour_utc) * pi() / 302400) AS week_sin, cos(epoch(hour_utc) * pi() / 302400) AS week_cos,
    0 AS year_sin, 1 AS year_cos, isodow(hour_utc) > 5 AS is_weekend, false AS is_holiday
FROM normalized.grid;
INSERT INTO energywh.model (name, materialized, grain, time_column, lookahead_hours, lookback_hours) VALUES
    ('normalized.region', 'table', ['region'], NULL, 0, 0),
    ('normalized.grid', 'table', ['region', 'hour_utc'], 'hour_utc', 168, 0),  -- as repaired demand looks ahead
    ('features.calendar', 'table', ['region', 'hour_utc'], 'hour_utc', 0, 0);
"""
CHANGED = "2023-02-10"  # from here on, other values


def test_inputs_of_the_model_are_a_day_old_and_its_scale_is_from_before_the_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = of_the_example("data", monkeypatch)
    found = []
    for number, change in enumerate(("", "value + 777")):
        home = Home(tmp_path / str(number))
        columns = ", ".join(
            f"{change or name} AS {name}"
            for name in ("demand_clean_mwh", "demand_screened_mwh", "demand_forecast_mwh", "temperature_c")
        )
        replaced = (
            f"CREATE OR REPLACE TABLE normalized.grid AS FROM normalized.grid WHERE hour_utc < '{CHANGED}' "
            f"UNION ALL SELECT * REPLACE ({columns}) FROM normalized.grid WHERE hour_utc >= '{CHANGED}'"
        )
        publish(home, [GRID, replaced])
        with energywh.open(home.path) as warehouse:
            told = f"SELECT region, hour_utc, {', '.join(data.KNOWN + data.CALENDAR)} FROM ({data.QUERY}) ORDER BY ALL"
            # The row of an hour is for the hour after it: known is what is 24 hours older than that.
            inputs = warehouse.sql(f"SELECT * FROM ({told}) WHERE hour_utc < TIMESTAMP '{CHANGED}' + INTERVAL 23 HOUR")
            last = warehouse.sql(f"SELECT * FROM ({told}) WHERE hour_utc = TIMESTAMP '{CHANGED}' + INTERVAL 23 HOUR")
            scale = data.scale_before(warehouse, ("BPAT", "CISO"), datetime.fromisoformat(CHANGED))
            found.append((inputs.fetchall(), (scale.mean.tolist(), scale.deviation.tolist()), last.fetchall()))
    (inputs, scale, last), (other_inputs, other_scale, other_last) = found
    assert len(inputs) > 1800
    assert inputs == other_inputs
    assert scale == other_scale
    assert last != other_last


def test_nothing_of_train_is_computed_from_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = of_the_example("data", monkeypatch)
    # A test of 288 hours takes 300 more before it for its first window, and 168 are kept free before these.
    since, free = datetime.fromisoformat("2023-02-08"), "2023-01-19 12:00"
    changed = f"UPDATE normalized.grid SET demand_clean_mwh = 7 WHERE hour_utc >= '{free}'"
    scales = []
    for number, statements in enumerate(([], [changed])):
        home = Home(tmp_path / str(number))
        publish(home, [GRID, *statements])
        with energywh.open(home.path) as warehouse, pytest.warns(UserWarning, match="train gives up"):
            train, test, scale, _ = data.load(warehouse, None, 300, since)
        assert train.starts["hour_utc"].max() + 300 < np.datetime64(free) == test.starts["hour_utc"].min() - 168
        scales.append((scale.mean.tolist(), scale.deviation.tolist()))
    assert scales[0] == scales[1]


SMALL = ("--length", "101", "--steps", "5", "--batch", "3", "--width", "8", "--heads", "2", "--block", "32")


def test_a_ring_of_two_learns_what_one_device_learns_and_reports_and_draws(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the picture needs matplotlib, of the extra 'examples'")
    home = Home(tmp_path / "home")
    publish(home, [GRID])
    said = {}
    for world in (1, 2):
        picture = tmp_path / f"{world}.png"
        command = [str(EXAMPLE / "train.py"), "--home", str(home.path), *SMALL, "--picture", str(picture)]
        first, *others = run_ranks(world, command, tmp_path)
        assert not any(others), "only the first rank speaks"
        assert picture.read_bytes().startswith(b"\x89PNG")
        said[world] = first
    curves = {
        world: [float(error) for error in re.findall(r"step +\d+  error ([\d.]+)", text)]
        for world, text in said.items()
    }
    assert len(curves[1]) == 5
    assert curves[2] == pytest.approx(curves[1], abs=2e-4)
    assert curves[1][-1] < curves[1][0]
    tables = {world: re.findall(r"([\d.]+) %", text.partition("test:")[2]) for world, text in said.items()}
    assert [float(x) for x in tables[2]] == pytest.approx([float(x) for x in tables[1]], abs=0.03)
    assert "1.00 %" in said[1]  # the day-ahead forecast is 1 % too high throughout
    for words in ("tokens/s", "waiting for data", "peak memory", "drawn:"):
        assert words in said[1]
