"""Folds train on hours before their origin and test later hours, each hour once."""

from __future__ import annotations

import gc
import weakref
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import energywh
from energywh.core.paths import Home
from energywh.core.time import hour_time
from energywh.datasets.windows.folds import Folds
from energywh.errors import UnknownNameError, UsageError, WindowError
from tests.datasets.cutting import cut_folds
from tests.datasets.published import publish_demo
from tests.datasets.reference import EPOCH_HOUR, Rows, table_of
from tests.support.examples import examples

QUICK = settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def folds_of(rows: Rows, **changes: Any) -> Folds:
    arguments: dict[str, Any] = {"target": "y", "features": ["x", "y"], "length": 6, "stride": 1, "horizon": 2}
    arguments |= {"purge": 0, "backend": "numpy"} | changes
    return cut_folds(table_of(rows), "main.series", **arguments)


def rising(hours: int, regions: tuple[str, ...] = ("BPAT", "CISO")) -> Rows:
    return {
        (region, EPOCH_HOUR + i): (float(i % 7), float(1000 * number + i))
        for number, region in enumerate(regions)
        for i in range(hours)
    }


@QUICK
@given(
    first=st.integers(30, 60),
    every=st.integers(8, 30),
    length=st.integers(1, 12),
    stride=st.integers(1, 4),
    horizon=st.integers(1, 5),
    purge=st.integers(0, 6),
    history=st.sampled_from([None, "20h"]),
    gaps=st.sampled_from(["mask", "split", "drop"]),
)
def test_targets_are_tested_once_and_train_ends_before_its_origin(
    first: int, every: int, length: int, stride: int, horizon: int, purge: int, history: str | None, gaps: Any
) -> None:
    hours = 100
    try:
        folds = folds_of(
            rising(hours), length=length, stride=stride, horizon=horizon, purge=purge, history=history, gaps=gaps,
            first=hour_time(EPOCH_HOUR + first), every=f"{every}h",
        )  # fmt: skip
    except WindowError as error:
        assert "the fold at" in str(error)  # noqa: PT017 - either outcome is right, the text is not free
        assert (hours - first) % every in range(1, horizon) or (history and length + horizon > 20)
        return
    assert folds.origins == tuple(hour_time(EPOCH_HOUR + hour) for hour in range(first, hours, every))
    tested: list[tuple[str, int]] = []
    for number, fold in enumerate(folds):
        origin = first + number * every
        assert fold.origin == hour_time(EPOCH_HOUR + origin)
        train = fold.train.starts["hour_utc"].astype(np.int64) - EPOCH_HOUR
        assert train.max() + length + horizon <= origin - purge
        assert train.min() == (0 if history is None else max(0, origin - purge - 20))
        targets = fold.test.starts["hour_utc"].astype(np.int64) - EPOCH_HOUR + length
        assert targets.min() == origin
        assert targets.max() + horizon <= min(origin + every, hours)
        tested += zip(fold.test.starts["region"].tolist(), targets.tolist(), strict=True)
    assert len(set(tested)) == len(tested)


def test_folds_share_one_array_and_a_normalized_one_goes_with_its_fold() -> None:
    folds = folds_of(rising(400), first=hour_time(EPOCH_HOUR + 100), every="24h")
    arrays = [fold.train.frame.features.values for fold in folds]
    assert len(arrays) == 13
    assert all(array is arrays[0] for array in arrays)
    folds = folds_of(rising(400), first=hour_time(EPOCH_HOUR + 100), every="24h", normalize="zscore")
    held = []
    for fold in folds:
        held.append(weakref.ref(fold.train.frame))
        assert fold.train.frame is fold.test.frame
        assert sum(frame() is not None for frame in held) <= 2  # that before it goes once the next is made
    del fold
    gc.collect()
    assert not any(frame() for frame in held)


def test_each_fold_is_scaled_by_its_own_train() -> None:
    raw = folds_of(rising(300), origins=[hour_time(EPOCH_HOUR + 100), hour_time(EPOCH_HOUR + 200)])
    made = folds_of(rising(300), origins=[hour_time(EPOCH_HOUR + 100), hour_time(EPOCH_HOUR + 200)], normalize="zscore")
    assert len(raw) == len(made) == 2
    scalers = []
    for before, after in zip(raw, made, strict=True):
        scaler = after.train.normalization
        assert scaler == before.train.scaler()
        assert scaler is not None
        scalers.append(scaler)
        for old, new in zip(before.test.batches(5), after.test.batches(5), strict=True):
            back = scaler.inverse(new.targets, columns="y", regions=new.regions)
            np.testing.assert_allclose(back, old.targets, rtol=1e-5)
    # Train is hours 0 to 99, then 0 to 199, in a straight line.
    assert [scaler.table(["y"], "BPAT")[0][0] for scaler in scalers] == [49.5, 99.5]
    assert [scaler.last_hour for scaler in scalers] == ["2023-01-05T03", "2023-01-09T07"]


@pytest.mark.parametrize("normalize", [None, "zscore"])
def test_folds_over_a_file_are_those_in_memory(tmp_path: Path, normalize: Any) -> None:
    arguments: dict[str, Any] = {"origins": [hour_time(EPOCH_HOUR + 100)], "normalize": normalize}
    (there,), (here,) = (folds_of(rising(200), memmap=memmap, **arguments) for memmap in (tmp_path, False))
    for parts in ((there.train, here.train), (there.test, here.test)):
        assert [part.disk_nbytes > 0 for part in parts] == [True, False]
        for found, wanted in zip(*(part.batches(9) for part in parts), strict=True):
            np.testing.assert_array_equal(found.inputs, wanted.inputs)
            np.testing.assert_array_equal(found.targets, wanted.targets)


def test_a_region_held_out_is_tested_and_not_trained_on() -> None:
    arguments: dict[str, Any] = {"origins": [hour_time(EPOCH_HOUR + 100), hour_time(EPOCH_HOUR + 150)]}
    plain = folds_of(rising(200), **arguments)
    for fold, before in zip(folds_of(rising(200), holdout_regions="CISO", **arguments), plain, strict=True):
        assert fold.test.starts.tolist() == before.test.starts.tolist()
        assert fold.train.starts.tolist() == [start for start in before.train.starts.tolist() if start[0] == "BPAT"]
    for fold in folds_of(rising(200), holdout_regions="CISO", normalize={"by": "global"}, **arguments):
        assert fold.train.normalization == fold.train.scaler(by="global")


def test_a_warehouse_gives_folds_less_the_lookahead_of_its_models(tmp_path: Any) -> None:
    home = Home(tmp_path)
    publish_demo(home, hours=24 * 20)
    with energywh.open(home.path) as warehouse:
        folds = warehouse.folds(
            "features.hourly", target="demand_mwh", length=24, stride=24, horizon=24, normalize="robust",
            backend="numpy", first="2023-01-10", every="5d", dtype="float16",
        )  # fmt: skip
        assert folds.origins == (datetime(2023, 1, 10), datetime(2023, 1, 15), datetime(2023, 1, 20))
        fold = next(iter(folds))
        assert fold.train.normalization is not None
        assert fold.train.normalization.last_hour == "2023-01-08T23"  # models look 24 hours ahead
        assert fold.train.window(0).inputs.dtype == np.float16
        assert str(fold) == "<Fold 2023-01-10T00: 14 windows to train, 10 to test>"


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({}, UsageError, "folds take origins"),
        ({"first": "2023-01-03"}, UsageError, "first and every go together"),
        ({"origins": ["2023-01-03"], "every": "1d"}, UsageError, "folds take origins"),
        ({"origins": "2023-01-03"}, UsageError, "origins must be a list"),
        ({"origins": []}, UsageError, "origins must be a list"),
        ({"origins": ["2023-01-03", "2023-01-02"]}, UsageError, "origins must be ascending"),
        ({"origins": ["2024-01-03"]}, WindowError, "the origin 2024-01-03T00 leaves no hour"),
        ({"first": "2024-01-03", "every": "1d"}, WindowError, "the origin 2024-01-03T00 leaves no hour"),
        ({"first": "2023-01-03", "every": "0h"}, UsageError, "every must be an hour or more"),
        ({"first": "2023-01-03", "every": "monthly"}, UsageError, "every must be a number and h, d or w"),
        ({"origins": ["2023-01-01T03"]}, WindowError, "no window of 8 hours with a target in its train split"),
        ({"origins": ["2023-01-03"], "horizon": 0}, UsageError, "need a horizon of 1 or more"),
        ({"origins": ["2023-01-03"], "purge": "lookback"}, UsageError, "choose one of them"),
        (
            {"origins": ["2023-01-03"], "holdout_regions": "CISO", "normalize": "zscore"},
            UsageError,
            "CISO cannot be scaled",
        ),
        ({"origins": ["2023-01-03"], "holdout_regions": "ERCO"}, UnknownNameError, "no region 'ERCO' to hold out"),
        ({"origins": ["2023-01-03"], "memmap": "tape"}, UsageError, "memmap must be"),
        ({"origins": ["2023-01-03"], "history": "7h"}, WindowError, "no window of 8 hours"),
    ],
)
def test_bad_folds_say_what_is_wrong(change: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        folds_of(rising(200), **change)
