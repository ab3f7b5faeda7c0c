"""The shards of a ring make up the window: each hour once, in its place, for any length, world and layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energywh.datasets.windows.ring import LAYOUTS, Ring
from energywh.datasets.windows.windows import Windows
from energywh.errors import UsageError
from tests.datasets.cutting import cut_windows
from tests.datasets.reference import EPOCH_HOUR, Rows, table_of
from tests.support.examples import examples

QUICK = settings(max_examples=examples(100), deadline=None)
lengths = st.integers(1, 70)
worlds = st.integers(1, 16)
layouts = st.sampled_from(LAYOUTS)


def causal_pairs(ring: Ring, rank: int) -> int:
    """Return how many query-key pairs a rank computes under a causal mask."""
    return int((ring.positions(rank)[ring.own(rank)].astype(np.int64) + 1).sum())


@QUICK
@given(length=lengths, world=worlds, layout=layouts)
def test_shards_tile_the_window_exactly_once_and_are_of_one_size(length: int, world: int, layout: Any) -> None:
    ring = Ring(length, world, layout)
    seen: list[int] = []
    for rank in range(world):
        positions, own = ring.positions(rank), ring.own(rank)
        assert positions.dtype == np.int32
        assert positions.shape == own.shape == (ring.hours,)
        assert (positions[~own] == length).all()  # padding is after every hour
        assert (np.diff(positions[own]) > 0).all()
        seen += positions[own].tolist()
    assert sorted(seen) == list(range(length))
    slices = 2 * world if layout == "zigzag" else world
    assert ring.hours * world - length < slices, "more padding than the next multiple needs"


@QUICK
@given(length=lengths, world=worlds, overlap=st.integers(0, 69))
def test_an_overlap_repeats_the_hours_before_a_shard_and_owns_none_of_them(
    length: int, world: int, overlap: int
) -> None:
    ring, bare = Ring(length, world, overlap=min(overlap, length - 1)), Ring(length, world)
    for rank in range(world):
        positions, own = ring.positions(rank), ring.own(rank)
        halo, rest = positions[: ring.overlap], positions[ring.overlap :]
        np.testing.assert_array_equal(rest, bare.positions(rank))
        assert not own[: ring.overlap].any()
        first = int(rest.min())
        if first < length:  # a rank without any hour repeats what it likes
            wanted = [place if place >= 0 else length for place in range(first - ring.overlap, first)]
            assert halo.tolist() == wanted


@QUICK
@given(length=lengths, world=worlds, layout=layouts, axis=st.sampled_from([0, 1, -2]), mlx=st.booleans())
def test_the_inverse_of_sharding_gives_the_window_back(
    length: int, world: int, layout: Any, axis: int, mlx: bool
) -> None:
    import mlx.core as mx

    ring = Ring(length, world, layout)
    window = np.random.default_rng(0).normal(size=(length, 2) if axis == 0 else (3, length, 2)).astype(np.float32)
    padded = np.concatenate([window, np.full_like(np.take(window, [0], axis), np.nan)], axis)  # padding is no data
    shards = [np.take(padded, ring.positions(rank), axis) for rank in range(world)]
    back = ring.unshard([mx.array(shard) for shard in shards] if mlx else shards, axis)
    assert isinstance(back, mx.array if mlx else np.ndarray)
    np.testing.assert_array_equal(np.asarray(back), window)


@pytest.mark.parametrize("world", range(1, 17))
def test_zigzag_and_striped_share_causal_work_evenly_and_contiguous_does_not(world: int) -> None:
    for layout, most in (("zigzag", 0.003), ("striped", 0.002), ("contiguous", 1.0)):
        ring = Ring(8760, world, layout)  # type: ignore[arg-type]
        work = np.array([causal_pairs(ring, rank) for rank in range(world)], np.float64)
        assert work.sum() == 8760 * 8761 / 2
        uneven = np.abs(work / work.mean() - 1).max()
        assert uneven <= most
        if layout == "contiguous":
            assert uneven == pytest.approx(1 - 1 / world, abs=0.002)  # the last rank has nearly twice the mean


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Two regions; every fifth value and every eleventh hour missing."""
    rows: Rows = {}
    for region, begin in (("BPAT", EPOCH_HOUR), ("CISO", EPOCH_HOUR + 3)):
        for step in range(90):
            if step % 11 != 5:
                rows[region, begin + step] = (None if step % 5 == 2 else step + 0.5, None if step % 7 == 3 else -step)
    return rows


def cut(rows: Rows, **changes: Any) -> Windows:
    arguments: dict[str, Any] = {"regions": ["CISO", "BPAT"], "target": "y", "length": 21, "stride": 4}
    with table_of(rows) as connection:
        windows = cut_windows(connection, "main.series", **(arguments | changes))
    assert isinstance(windows, Windows)
    return windows


def placed(whole: Any, positions: np.ndarray[Any, Any], fill: Any) -> np.ndarray[Any, Any]:
    """Return the hours ``positions`` of (B, L, ...), ``fill`` in padding."""
    whole = np.asarray(whole)
    padded = np.concatenate([whole, np.full_like(whole[:, :1], fill)], axis=1)
    return np.asarray(padded[:, positions])


@settings(QUICK, max_examples=examples(25))
@given(
    length=st.integers(1, 30), horizon=st.integers(0, 4), world=st.integers(1, 6), layout=layouts,
    overlap=st.integers(0, 3), features=st.sampled_from(["y", ["y", "x"]]),
    future_covariates=st.sampled_from(["x", [], ["x"]]),
)  # fmt: skip
def test_shards_have_of_what_is_known_before_the_hours_of_their_targets(
    rows: Rows, length: int, horizon: int, world: int, layout: Any, overlap: int, features: Any, future_covariates: Any
) -> None:
    windows = cut(
        rows, backend="numpy", length=length, horizon=horizon, features=features, future_covariates=future_covariates
    )
    whole = next(iter(windows.batches(5)))
    for rank in range(world):
        shard = windows.shard(rank, world, layout, min(overlap, length - 1) if layout == "contiguous" else 0)
        part = next(iter(shard.batches(5)))
        for name, fill in (("future_covariates", 0), ("future_covariates_mask", False)):
            wanted = getattr(whole, name)
            found = getattr(part, name)
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted if horizon else placed(wanted, part.positions, fill))
        assert part.region_encoding.tolist() == whole.region_encoding.tolist()


@pytest.mark.parametrize("backend", ["mlx", "numpy"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("world", "overlap"), [(1, 0), (2, 0), (4, 5), (8, 0)])
@pytest.mark.parametrize("target", ["y", ["y", "x"]])
def test_a_shard_has_the_hours_of_the_same_windows_in_the_same_order(
    rows: Rows, backend: str, layout: Any, world: int, overlap: int, target: Any
) -> None:
    windows = cut(rows, backend=backend, target=target, region_encoding="one-hot")
    overlap = overlap if layout == "contiguous" else 0
    for rank in range(world):
        shard = windows.shard(rank, world, layout, overlap)
        assert len(shard) == len(windows)
        order = {"shuffle": True, "seed": 3, "epoch": 2}
        epoch = shard.batches(5, **order)
        assert len(epoch) == len(windows.batches(5, **order))
        for part, whole in zip(epoch, windows.batches(5, **order), strict=True):
            assert part.indices.tolist() == whole.indices.tolist()
            assert part.regions.tolist() == whole.regions.tolist()
            assert part.hours.tolist() == whole.hours.tolist()
            assert part.region_encoding.tolist() == whole.region_encoding.tolist()
            assert type(part.inputs) is type(whole.inputs)
            for name, fill in (("inputs", 0), ("mask", False), ("targets", 0), ("target_mask", False)):
                wanted = placed(getattr(whole, name), part.positions, fill)
                found = np.asarray(getattr(part, name))
                assert found.dtype == wanted.dtype
                np.testing.assert_array_equal(found, wanted, err_msg=name)
            assert part.valid.tolist() == (part.positions < 21).tolist()


def test_the_targets_of_a_horizon_are_whole_on_every_rank(rows: Rows) -> None:
    windows = cut(rows, horizon=6, future_covariates="x")
    whole = next(iter(windows.batches(4)))
    for rank in range(4):
        part = next(iter(windows.shard(rank, 4, "zigzag").batches(4)))
        assert part.inputs.shape == (4, 6, 2)
        for name in ("targets", "target_mask", "future_covariates", "future_covariates_mask"):
            np.testing.assert_array_equal(np.asarray(getattr(part, name)), np.asarray(getattr(whole, name)))


def test_a_ring_with_more_ranks_than_hours_has_ranks_of_padding_alone(rows: Rows) -> None:
    windows = cut(rows, length=2)
    parts = [next(iter(windows.shard(rank, 5).batches(3))) for rank in range(5)]
    assert [int(part.own.sum()) for part in parts] == [0, 0, 1, 0, 1]
    assert not np.asarray(parts[0].mask).any()
    whole = next(iter(windows.batches(3))).inputs
    np.testing.assert_array_equal(
        np.asarray(windows.shard(0, 5).unshard([part.inputs for part in parts])), np.asarray(whole)
    )


def test_single_windows_of_a_shard_are_batches_of_one(rows: Rows) -> None:
    shard = cut(rows).shard(1, 3, "striped")
    assert [part.indices.tolist() for part in shard] == [[index] for index in range(len(shard))]
    assert shard[-1].indices.tolist() == [len(shard) - 1]
    assert shard[2].inputs.shape == (1, 7, 2)
    with pytest.raises(IndexError, match="window 99 of"):
        shard[99]
    assert "Shard 1 of 3, striped: 7 of 21 hours" in repr(shard)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, 3), "rank must be a whole number from 0 to 2"),
        ((-1, 3), "rank must be"),
        ((True, 3), "rank must be"),
        ((0, 0), "world must be a whole number, 1 or more"),
        ((0, 2.0), "world must be"),
        ((0, 2, "zig-zag"), "layout must be contiguous, striped or zigzag, not 'zig-zag'; did you mean zigzag"),
        ((0, 2, "contiguous", -1), "overlap must be a whole number"),
        ((0, 2, "contiguous", 21), "overlap must be shorter than the window, 21 hours"),
        ((0, 2, "striped", 2), "a striped shard is not one stretch of hours"),
    ],
)
def test_a_shard_that_cannot_be_is_refused(rows: Rows, arguments: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        cut(rows).shard(*arguments)


def test_outputs_of_too_few_ranks_are_not_put_together() -> None:
    ring = Ring(10, 3)
    part = np.zeros((1, 4))
    with pytest.raises(UsageError, match="the 4 hours of each of 3 ranks, not 2 outputs, of 4, 4 hours"):
        ring.unshard([part, part])
