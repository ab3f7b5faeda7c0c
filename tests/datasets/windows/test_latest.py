"""The latest hours, for inference."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import energywh
from energywh.core.paths import Home
from energywh.errors import UnknownNameError, UsageError, WindowError
from tests.datasets.published import publish_demo


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[energywh.Warehouse]:
    home = Home(tmp_path_factory.mktemp("context"))
    late = (
        "UPDATE features.hourly SET demand_mwh = NULL WHERE region = 'CISO' AND hour_utc >= '2023-01-10 20:00'",
        "DELETE FROM features.hourly WHERE region = 'BPAT' AND hour_utc < '2023-01-10 20:00'",
        "UPDATE features.hourly SET hour_sin = NULL WHERE region = 'BPAT'",
    )
    publish_demo(home, hours=240, then=late)
    with energywh.open(home.path) as warehouse:
        yield warehouse


def test_context_ends_at_the_last_hour_at_which_everything_has_arrived(warehouse: energywh.Warehouse) -> None:
    now = datetime(2023, 1, 11, 1, 30)
    context = warehouse.context(hours=6, regions=["CISO"], now=now)
    assert context.inputs.shape == context.mask.shape == (1, 6, 3)
    assert context.regions == ("CISO",)
    assert context.columns == ("demand_mwh", "hour_sin", "is_midnight")
    assert str(context.hours[0]) == "2023-01-10T19"
    assert context.age_hours.tolist() == [5.5]
    assert np.asarray(context.inputs)[0, :, 0].tolist() == [20000 + 230 + i for i in range(6)]
    assert bool(context.mask.all())


def test_short_histories_and_features_never_reported_are_masked(warehouse: energywh.Warehouse) -> None:
    context = warehouse.context(hours=6, regions=["CISO", "BPAT"], backend="numpy")
    assert context.regions == ("CISO", "BPAT")
    assert str(context.hours[1]) == "2023-01-10T23"
    assert context.mask[1].tolist() == [[False] * 3] * 2 + [[True, False, True]] * 4
    assert context.inputs[1, :2].tolist() == [[0, 0, 0]] * 2
    assert context.inputs[1, 2:, 0].tolist() == [6236, 6237, 6238, 6239]


@pytest.mark.parametrize("hours", [1, 24, 36, 168, 300])
def test_hours_that_only_the_forecast_has_reached_are_not_the_latest(tmp_path: Path, hours: int) -> None:
    home = Home(tmp_path)
    ahead = (  # rows run 48 hours ahead of demand, as the day-ahead forecast makes them do
        "ALTER TABLE features.hourly ADD COLUMN demand_forecast_mwh DOUBLE",
        "UPDATE features.hourly SET demand_forecast_mwh = 1, "
        "demand_mwh = CASE WHEN hour_utc < '2023-01-29' THEN demand_mwh END",
    )
    publish_demo(
        home,
        hours=24 * 30,
        then=["DROP VIEW features.evening", *ahead, "CREATE VIEW features.evening AS FROM features.hourly"],
    )
    with energywh.open(home.path) as warehouse:
        context = warehouse.context(hours=hours, backend="numpy", now=datetime(2023, 1, 29))
    assert [str(hour) for hour in context.hours] == ["2023-01-28T23"] * 2
    assert context.age_hours.tolist() == [0, 0]
    assert context.mask.all()
    assert context.inputs[0, :, 0].tolist() == [6000 + 672 - hours + i for i in range(hours)]


def test_all_authorities_by_default(warehouse: energywh.Warehouse) -> None:
    context = warehouse.context(hours=2, features=["is_midnight"], backend="numpy")
    assert context.regions == ("BPAT", "CISO")
    assert context.inputs.shape == (2, 2, 1)


def test_more_hours_than_any_region_has_are_refused(warehouse: energywh.Warehouse) -> None:
    assert warehouse.context(hours=236, backend="numpy").mask.shape == (2, 236, 3)
    for hours in (237, 1_000_000, 10**15):
        with pytest.raises(WindowError, match=rf"no region .* has {hours:,} hours .* 236, of CISO: ask for no more"):
            warehouse.context(hours=hours, backend="numpy")


def test_bad_requests(warehouse: energywh.Warehouse) -> None:
    with pytest.raises(UnknownNameError, match="did you mean CISO"):
        warehouse.context(regions=["CISI"], backend="numpy")
    with pytest.raises(UnknownNameError, match=r"no model is named 'features\.weekly'"):
        warehouse.context(source="features.weekly", backend="numpy")
    for hours in ("168", 1.5, True, 0):
        with pytest.raises(UsageError, match=rf"hours must be a whole number of hours, 1 or more, not {hours!r}"):
            warehouse.context(hours=hours, backend="numpy")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="regions must be a name or a list of names, not 5"):
        warehouse.context(regions=5, backend="numpy")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="the source must be the name of a model or an SQL query"):
        warehouse.context(source=3, backend="numpy")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="hours must be"):
        warehouse.context(hours=0, backend="numpy")


class Halves:
    """Halves the values, and records the regions."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def transform(self, values: Any, *, columns: Any, regions: Any, mask: Any) -> Any:
        self.asked.append((regions, columns, values.shape, mask.shape))
        return np.where(mask, values / 2, 0)


def test_values_are_scaled_as_those_of_the_training_set_were(warehouse: energywh.Warehouse) -> None:
    plain = warehouse.context(hours=6, regions=["CISO", "BPAT"], backend="numpy")
    scaler = Halves()
    scaled = warehouse.context(hours=6, regions=["CISO", "BPAT"], backend="numpy", scaler=scaler)
    assert scaler.asked == [("CISO", plain.columns, (6, 3), (6, 3)), ("BPAT", plain.columns, (4, 3), (4, 3))]
    np.testing.assert_array_equal(scaled.inputs, plain.inputs / 2)
    np.testing.assert_array_equal(scaled.mask, plain.mask)


def test_a_value_beyond_float16_is_named_and_not_made_infinite(warehouse: energywh.Warehouse) -> None:
    query = "SELECT * REPLACE (demand_mwh * 10 AS demand_mwh) FROM features.hourly"
    with pytest.raises(WindowError, match=r"column 'demand_mwh' reaches 202,\d+, more than float16's 65,504"):
        warehouse.context(hours=6, regions=["CISO"], source=query, backend="numpy", dtype="float16")
