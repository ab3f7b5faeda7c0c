"""Windows over a file equal windows in memory."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import energywh
from energywh.core.paths import Home
from energywh.datasets.windows import backends as arrays
from energywh.datasets.windows import load
from energywh.datasets.windows.windows import Windows
from energywh.errors import StorageError, UsageError, WindowError
from tests.datasets.cutting import cut_windows
from tests.datasets.published import publish_demo
from tests.datasets.reference import Rows, table_of
from tests.datasets.windows.test_windows import QUICK, histories
from tests.support.examples import examples

NAMES = ("inputs", "targets", "mask", "target_mask", "future_covariates", "future_covariates_mask", "region_encoding")


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[energywh.Warehouse]:
    home = Home(tmp_path_factory.mktemp("memory"))
    publish_demo(home, hours=24 * 10)
    with energywh.open(home.path) as warehouse:
        yield warehouse


def cut(warehouse: energywh.Warehouse, source: str = "features.hourly", **change: Any) -> Windows:
    arguments: dict[str, Any] = {"target": "demand_mwh", "length": 24, "stride": 24, "horizon": 6}
    windows = warehouse.windows(source, **(arguments | {"memmap": True} | change)).all
    assert isinstance(windows, Windows)
    return windows


@pytest.fixture
def few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "STREAMED_ROWS", 7)


@pytest.mark.usefixtures("few_rows_at_a_time")
@settings(QUICK, max_examples=examples(25))
@given(
    rows=histories(),
    shuffled=st.booleans(),
    gaps=st.sampled_from(["mask", "split", "drop"]),
    narrow=st.sampled_from([("numpy", "float32"), ("numpy", "float16"), ("mlx", "float16"), ("mlx", "bfloat16")]),
)
def test_windows_over_a_file_are_those_over_memory(
    rows: Rows, shuffled: bool, gaps: Any, narrow: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    arguments: dict[str, Any] = {
        "target": "y",
        "features": "y",
        "future_covariates": "x",
        "length": 3,
        "stride": 2,
        "gaps": gaps,
    }
    arguments |= {"backend": narrow[0], "dtype": narrow[1]}
    with table_of(rows, shuffled) as connection:
        try:
            wanted = cut_windows(connection, "main.series", **arguments)
        except WindowError as error:
            with pytest.raises(WindowError) as caught:
                cut_windows(connection, "main.series", memmap=True, **arguments)
            assert str(caught.value) == str(error)  # noqa: PT017 - either outcome is right, and both ways must agree
            return
        folder = tmp_path_factory.getbasetemp() / "files"
        found = cut_windows(connection, "main.series", memmap=folder, **arguments)
    assert list(folder.iterdir()) == []
    assert isinstance(wanted, Windows)
    assert isinstance(found, Windows)
    assert found.starts.tolist() == wanted.starts.tolist()
    pairs = zip(found.batches(3, shuffle=True), wanted.batches(3, shuffle=True), strict=True)
    for ours, theirs in (*pairs, (found.window(0), wanted.window(0)), *zip(
        found.shard(1, 2).batches(2), wanted.shard(1, 2).batches(2), strict=True
    )):  # fmt: skip
        for name in NAMES:
            if hasattr(theirs, name):
                one, other = getattr(ours, name), getattr(theirs, name)
                assert one.dtype == other.dtype
                assert one.tolist() == other.tolist()


def test_only_the_masks_are_in_memory_and_nothing_stays_behind(warehouse: energywh.Warehouse) -> None:
    resident = cut(warehouse, memmap=False)
    windows = cut(warehouse)
    assert windows.disk_nbytes == resident.nbytes == 2 * 240 * (3 + 1) * 4
    assert windows.nbytes == resident.disk_nbytes == 0
    assert list(warehouse.home.cache.iterdir()) == []
    descriptors = Path("/proc/self/maps")
    if descriptors.exists():
        assert str(warehouse.home.cache) in descriptors.read_text()
        del windows
        gc.collect()
        assert str(warehouse.home.cache) not in descriptors.read_text()


def test_a_view_of_a_numpy_window_is_not_a_copy(warehouse: energywh.Warehouse) -> None:
    windows = cut(warehouse, backend="numpy")
    assert np.shares_memory(windows.window(3).inputs, windows.frame.features.values)
    assert not windows.window(3).inputs.flags.writeable


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot set room aside beforehand")
def test_a_full_disk_is_reported_before_anything_is_written(
    warehouse: energywh.Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(arrays.os, "posix_fallocate", full)  # type: ignore[attr-defined]
    with pytest.raises(StorageError, match=r"cannot lay windows of 0.00 GB into .*cache: .*No space left .*memmap="):
        cut(warehouse)


def test_bad_requests(warehouse: energywh.Warehouse, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot lay windows of .* into .*name another folder"):
        cut(warehouse, memmap=tmp_path / "file")
    with pytest.raises(UsageError, match="memmap must be True, False or the Path of a folder, not 'file'"):
        cut(warehouse, memmap="file")
    with pytest.raises(WindowError, match="more than one row of"):
        cut(warehouse, "SELECT * FROM features.hourly UNION ALL FROM features.hourly")
    with pytest.raises(UsageError, match="Conversion Error"):
        cut(warehouse, "SELECT region, hour_utc, demand_mwh, (note || 'x')::INTEGER AS broken FROM features.hourly")


def test_batches_of_an_array_too_long_to_be_strided_are_the_same(
    warehouse: energywh.Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = cut(warehouse, memmap=False, dtype="bfloat16")
    strided = next(iter(windows.batches(4, shuffle=True)))
    monkeypatch.setattr(arrays, "MOST_STRIDED", 1)
    copied = next(iter(windows.batches(4, shuffle=True)))
    assert copied.inputs.dtype == strided.inputs.dtype
    assert copied.inputs.tolist() == strided.inputs.tolist()


@pytest.mark.parametrize("memmap", [False, True])
def test_what_refers_to_a_batch_keeps_its_values_while_the_next_are_made(
    warehouse: energywh.Warehouse, memmap: Any
) -> None:
    windows = cut(warehouse, memmap=memmap)
    batches = windows.batches(2, prefetch=1)
    lazy = [-batch.inputs for batch in batches]  # computed after all batches have come and gone
    wanted = [batch.inputs.tolist() for batch in batches]
    assert [(-found).tolist() for found in lazy] == wanted


def test_the_mask_of_windows_that_miss_nothing_takes_no_memory(warehouse: energywh.Warehouse) -> None:
    mask = np.asarray(next(iter(cut(warehouse).batches(4))).mask)
    assert mask.all()
    assert mask.strides == (0, 0, 0)
