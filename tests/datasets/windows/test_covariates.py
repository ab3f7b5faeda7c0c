"""Gaps that split a history, and covariates known beside a window's past."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import energywh
from energywh.core.paths import Home
from energywh.datasets.windows.windows import Windows
from energywh.errors import UnknownNameError, UsageError, WindowError
from tests.datasets.cutting import cut_windows
from tests.datasets.published import publish_demo
from tests.datasets.reference import EPOCH_HOUR, Rows, table_of
from tests.datasets.windows.test_windows import QUICK, histories
from tests.support.examples import examples

MARKS = (
    "COMMENT ON COLUMN features.hourly.demand_mwh IS '[target] Demand, MWh.'",
    "COMMENT ON COLUMN features.hourly.hour_sin IS '[ahead] Sine of the hour.'",
    "COMMENT ON COLUMN features.hourly.is_midnight IS '[ahead] True at midnight.'",
    "DROP VIEW features.evening",
    "ALTER TABLE features.hourly ADD COLUMN wind_mwh DOUBLE",
    "UPDATE features.hourly SET wind_mwh = 5",
    "COMMENT ON COLUMN features.hourly.wind_mwh IS '[at t] Wind, MWh.'",
    "CREATE TABLE features.market AS SELECT region, hour_utc, demand_mwh, hour_sin, "
    "40.0 AS price_usd_per_mwh, 19000.0 AS demand_newest_mwh FROM features.hourly",
    "COMMENT ON COLUMN features.market.hour_sin IS '[ahead] Sine of the hour.'",
    "COMMENT ON COLUMN features.market.price_usd_per_mwh IS '[day ahead] Price, USD/MWh.'",
    "COMMENT ON COLUMN features.market.demand_newest_mwh IS '[published] Newest demand, MWh.'",
)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[energywh.Warehouse]:
    home = Home(tmp_path_factory.mktemp("covariates"))
    publish_demo(home, hours=24 * 10, then=MARKS)
    with energywh.open(home.path) as warehouse:
        yield warehouse


def cut(warehouse: energywh.Warehouse, source: str = "features.hourly", **change: Any) -> Windows:
    arguments: dict[str, Any] = {"target": "demand_mwh", "length": 24, "stride": 24, "horizon": 6, "backend": "numpy"}
    windows = warehouse.windows(source, **(arguments | change)).all
    assert isinstance(windows, Windows)
    return windows


@settings(QUICK, max_examples=examples(25))
@given(rows=histories(), length=st.integers(1, 8), stride=st.integers(1, 9), horizon=st.integers(0, 4))
def test_with_split_each_stretch_has_its_own_windows(rows: Rows, length: int, stride: int, horizon: int) -> None:
    span = length + max(horizon, 1)
    regions = sorted({region for region, _ in rows})
    wanted = []
    for region in regions:
        told = sorted(hour for (name, hour), (_, y) in rows.items() if name == region and y is not None)
        while told:
            run = next((i for i in range(1, len(told)) if told[i] != told[0] + i), len(told))
            wanted += [(region, hour) for hour in range(told[0], told[0] + run - span + 1, stride)]
            told = told[run:]
    with table_of(rows) as connection:
        arguments: dict[str, Any] = {"target": "y", "length": length, "stride": stride, "horizon": horizon}
        arguments |= {"gaps": "split", "backend": "numpy"}
        if not wanted:
            with pytest.raises(WindowError, match=r"unbroken hours.*shorter length, or gaps='mask'|no value at all"):
                cut_windows(connection, "main.series", **arguments)
            return
        windows = cut_windows(connection, "main.series", regions=regions, **arguments)
    assert isinstance(windows, Windows)
    hours = windows.starts["hour_utc"].astype(np.int64).tolist()
    assert list(zip(windows.starts["region"].tolist(), hours, strict=True)) == wanted
    for window in map(windows.window, range(len(windows))):
        assert window.target_mask.all()
        assert window.mask[:, windows.columns.index("y")].all()


@pytest.mark.parametrize("kind", ["numpy", "mlx"])
@pytest.mark.parametrize("horizon", [0, 6])
def test_what_is_known_ahead_is_given_of_the_hours_of_the_targets(
    warehouse: energywh.Warehouse, horizon: int, kind: Any
) -> None:
    windows = cut(warehouse, horizon=horizon, backend=kind, dtype="float16")
    assert windows.columns == ("demand_mwh", "hour_sin", "is_midnight", "wind_mwh")
    assert windows.future_covariates == ("hour_sin", "is_midnight")
    hours = np.arange(25, 31) if horizon else np.arange(2, 26)
    wanted = np.stack([np.sin((hours - 1 + 24) * np.pi / 12), (hours - 1) % 24 == 0], axis=1)
    batch = next(iter(windows.batches(3)))
    assert batch.future_covariates.shape == batch.future_covariates_mask.shape == (3, horizon or 24, 2)
    assert batch.future_covariates.dtype == batch.inputs.dtype
    for future_covariates in (np.asarray(batch.future_covariates)[1], np.asarray(windows.window(1).future_covariates)):
        np.testing.assert_allclose(future_covariates, wanted, atol=1e-3)
    assert np.asarray(batch.future_covariates_mask).all()
    assert (
        windows.nbytes == cut(warehouse, future_covariates=[], backend=kind, dtype="float16").nbytes
    )  # taken from the features


def test_what_is_known_a_day_ahead_is_given_of_the_hours_of_the_targets_only_where_it_is_named(
    warehouse: energywh.Warehouse,
) -> None:
    assert cut(warehouse, "features.market").future_covariates == ("hour_sin",)
    named = cut(warehouse, "features.market", future_covariates=["price_usd_per_mwh", "hour_sin"])
    assert named.window(0).future_covariates[:, 0].tolist() == [40] * 6
    with pytest.raises(UsageError, match=r"'demand_newest_mwh' .*marked \[published\], not \[ahead\] or \[day ahead\]"):
        cut(warehouse, "features.market", future_covariates="demand_newest_mwh")


@pytest.mark.parametrize("kind", ["numpy", "mlx"])
def test_columns_known_ahead_need_not_be_features(warehouse: energywh.Warehouse, kind: Any) -> None:
    query = "SELECT * REPLACE (CASE WHEN hour(hour_utc) <> 2 THEN hour_sin END AS hour_sin) FROM features.hourly"
    windows = cut(warehouse, query, features="demand_mwh", future_covariates=["is_midnight", "hour_sin"], backend=kind)
    assert windows.columns == ("demand_mwh",)
    assert windows.future_covariates == ("is_midnight", "hour_sin")
    batch = next(iter(windows.batches(2)))
    assert np.asarray(batch.future_covariates)[1, :, 0].tolist() == [1, 0, 0, 0, 0, 0]
    assert np.asarray(batch.future_covariates_mask)[1].tolist() == [[True, hour != 2] for hour in range(6)]
    assert (
        np.asarray(windows.window(1).future_covariates_mask).tolist()
        == np.asarray(batch.future_covariates_mask)[1].tolist()
    )


def test_with_drop_no_window_misses_a_column_known_ahead_that_was_named(warehouse: energywh.Warehouse) -> None:
    gone = "CASE WHEN hour_utc <> '2023-01-03 02:00' THEN hour_sin END"
    query = f"SELECT * REPLACE ({gone} AS hour_sin) FROM features.hourly"
    arguments: dict[str, Any] = {"features": "demand_mwh", "regions": "CISO", "gaps": "drop", "stride": 1}
    every = cut(warehouse, query, **arguments)
    for features in ("demand_mwh", ["demand_mwh", "hour_sin"]):
        windows = cut(warehouse, query, future_covariates="hour_sin", **(arguments | {"features": features}))
        assert windows.future_covariates == ("hour_sin",)
        assert 0 < len(windows) < len(every)
        for batch in windows.batches(50):
            assert batch.future_covariates_mask.all()


@pytest.mark.parametrize(
    ("future_covariates", "error", "says"),
    [
        ("wind_mwh", UsageError, r"'wind_mwh' of features.hourly is not known before its hour: it is marked \[at t\]"),
        ("demand_mwh", UsageError, "'demand_mwh' is a target"),
        ("hour_sine", UnknownNameError, "no column 'hour_sine' to use as column known ahead; did you mean hour_sin"),
        (["hour_sin", "hour_sin"], UsageError, "named twice"),
        (3, UsageError, "future_covariates must be a name or a list of names, not 3"),
    ],
)
def test_what_cannot_be_known_ahead_is_refused(
    warehouse: energywh.Warehouse, future_covariates: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        cut(warehouse, future_covariates=future_covariates)


def test_the_mark_of_a_column_holds_in_a_query_too(warehouse: energywh.Warehouse) -> None:
    query = "SELECT *, 1.0 AS mine FROM features.hourly"
    assert cut(warehouse, query).future_covariates == ("hour_sin", "is_midnight")
    assert cut(warehouse, query, future_covariates="mine").future_covariates == ("mine",)  # nobody says that it is not
    with pytest.raises(UsageError, match=r"'wind_mwh' of the query .*\[at t\]"):
        cut(warehouse, query, future_covariates="wind_mwh")
    with pytest.raises(UsageError, match=r"'demand_mwh' of the query .*\[target\]"):
        cut(warehouse, query, future_covariates="demand_mwh", target="wind_mwh")


@pytest.mark.parametrize("kind", ["numpy", "mlx"])
def test_a_batch_tells_its_regions_by_number_or_one_hot(warehouse: energywh.Warehouse, kind: Any) -> None:
    windows = cut(warehouse, regions=["CISO", "BPAT"], backend=kind)
    batch = next(iter(windows.batches(len(windows), shuffle=True)))
    assert [windows.regions[number] for number in batch.region_encoding.tolist()] == batch.regions.tolist()
    assert str(batch.region_encoding.dtype).endswith("int32")
    assert int(windows.window(len(windows) - 1).region_encoding) == 1
    one_hot = cut(warehouse, regions=["CISO", "BPAT"], backend=kind, region_encoding="one-hot", dtype="float16")
    batch = next(iter(one_hot.batches(len(windows), shuffle=True)))
    assert batch.region_encoding.dtype == batch.inputs.dtype
    assert batch.region_encoding.tolist() == [[region == "CISO", region == "BPAT"] for region in batch.regions]
    assert one_hot.window(0).region_encoding.tolist() == [1, 0]


@pytest.mark.parametrize("kind", ["numpy", "mlx"])
def test_other_frameworks_take_batches_through_dlpack(warehouse: energywh.Warehouse, kind: Any) -> None:
    batch = next(iter(cut(warehouse, backend=kind).batches(2)))
    for array in (batch.inputs, batch.targets, batch.future_covariates, batch.region_encoding):
        np.testing.assert_array_equal(np.from_dlpack(array), np.asarray(array))


@pytest.mark.parametrize(("kind", "dtype"), [("numpy", "float16"), ("mlx", "float32"), ("mlx", "bfloat16")])
def test_other_programs_take_batches_through_arrow(kind: Any, dtype: Any) -> None:
    rows: Rows = {("CISO", EPOCH_HOUR + i): (None if i % 3 else 0.5, i % 100) for i in range(100)}
    with table_of(rows) as connection:
        windows = cut_windows(
            connection, "main.series", target="y", length=20, stride=3, future_covariates="x", backend=kind, dtype=dtype
        )
    assert isinstance(windows, Windows)
    batch = next(iter(windows.batches(4)))
    table = batch.to_arrow()
    assert table.num_rows == 4
    assert table["region"].to_pylist() == ["CISO"] * 4
    assert table["hour_utc"].to_numpy().tolist() == batch.hours.astype("datetime64[s]").tolist()
    for name in ("inputs", "targets", "mask", "target_mask", "future_covariates", "future_covariates_mask"):
        wanted = np.array(getattr(batch, name).tolist())
        found = table[name]
        assert found.type.shape == list(wanted.shape[1:])
        values = np.array(found.storage.flatten().to_pylist()).reshape(wanted.shape)
        np.testing.assert_array_equal(values, wanted)


def test_ranks_share_the_windows_of_a_warehouse(warehouse: energywh.Warehouse) -> None:
    windows = cut(warehouse, stride=5)
    ranks = [windows.batches(4, shuffle=True, seed=1, rank=rank, world=3) for rank in range(3)]
    seen = np.concatenate([batch.indices for rank in ranks for batch in rank])
    assert sorted(seen.tolist()) == list(range(len(windows)))
    rest = [batch.inputs for batch in windows.batches(4, shuffle=True, seed=1, rank=2, world=3, start=1)]
    for found, whole in zip(rest, [batch.inputs for batch in ranks[2]][1:], strict=True):
        np.testing.assert_array_equal(found, whole)


def test_a_stretch_that_no_target_parts_keeps_its_missing_features() -> None:
    rows: Rows = {("CISO", EPOCH_HOUR + i): (None if i == 2 else 1.0, float(i)) for i in range(6)}
    with table_of(rows) as connection:
        windows = cut_windows(
            connection, "main.series", target="y", length=5, stride=1, gaps="split", horizon=1, backend="numpy"
        )
    assert isinstance(windows, Windows)
    assert windows.window(0).mask[:, 0].tolist() == [True, True, False, True, True]
