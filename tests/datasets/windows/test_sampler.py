"""Every window occurs once per epoch, for any number of ranks and from any step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from energywh.datasets.windows.sampler import Batched, Batches, permutation
from energywh.errors import UsageError
from tests.support.examples import examples

FIRST_SHUFFLE = [0, 7, 2, 5, 4, 6, 3, 1]


class Numbers(Batched[list[int]]):
    """Windows that consist only of their numbers."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def batch(self, indices: NDArray[np.int64]) -> list[int]:
        return indices.tolist()


def batches(count: int, size: Any, **options: Any) -> Batches[list[int]]:
    every: dict[str, Any] = {"shuffle": True, "seed": 3, "epoch": 1}
    return Numbers(count).batches(size, **(every | options))


counts, sizes, worlds = st.integers(0, 200), st.integers(1, 40), st.integers(1, 9)
several = settings(max_examples=examples(100), deadline=None)


@several
@given(counts, sizes, worlds, st.booleans(), st.booleans())
def test_the_ranks_together_take_each_window_once(
    count: int, size: int, world: int, shuffle: bool, drop_last: bool
) -> None:
    ranks = [batches(count, size, shuffle=shuffle, drop_last=drop_last, rank=r, world=world) for r in range(world)]
    taken = [list(rank) for rank in ranks]
    assert [len(rank) for rank in ranks] == [len(parts) for parts in taken]
    windows = [window for parts in taken for part in parts for window in part]
    assert len(set(windows)) == len(windows)
    most, least = max(map(len, taken)), min(map(len, taken))
    if drop_last:
        assert most == least == count // (size * world)
        assert all(len(part) == size for parts in taken for part in parts)
    else:
        assert sorted(windows) == list(range(count))
        assert most - least <= 1
        assert all(len(part) == size for parts in taken for part in parts[:-1])
        assert all(0 < len(part) <= size for parts in taken for part in parts)


@several
@given(counts, sizes, worlds, st.booleans())
def test_ranks_see_step_by_step_what_one_rank_sees_in_greater_batches(
    count: int, size: int, world: int, shuffle: bool
) -> None:
    alone = list(batches(count, size * world, shuffle=shuffle))
    ranks = [list(batches(count, size, shuffle=shuffle, rank=r, world=world)) for r in range(world)]
    for step, whole in enumerate(alone):
        together = [window for rank in ranks for part in rank[step : step + 1] for window in part]
        assert sorted(together) == sorted(whole)


@several
@given(counts, sizes, worlds, st.booleans(), st.data())
def test_from_any_step_on_the_same_batches_come(
    count: int, size: int, world: int, drop_last: bool, data: st.DataObject
) -> None:
    rank = data.draw(st.integers(0, world - 1))
    options: dict[str, Any] = {"rank": rank, "world": world, "drop_last": drop_last}
    whole = list(batches(count, size, **options))
    start = data.draw(st.integers(0, len(whole)))
    rest = batches(count, size, start=start, **options)
    assert list(rest) == whole[start:]
    assert len(rest) == len(whole) - start
    assert rest.steps == len(whole)
    with pytest.raises(UsageError, match=f"has {len(whole)} batch(es)? per epoch; continue with the next"):
        batches(count, size, start=len(whole) + 1, **options)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        *(({"size": size}, "size must be a whole number of windows, 1 or more") for size in ("a", 0, 2.5, True, None)),
        ({"seed": "a"}, "seed must be a whole number, from which"),
        ({"epoch": None}, "epoch must be a whole number, from which"),
        ({"world": 0}, "world must be a whole number of ranks, 1 or more"),
        ({"rank": -1}, "rank must be a whole number"),
        ({"rank": 2, "world": 2}, "rank must be 0 to 1, as world is 2, not 2"),
        ({"prefetch": -1}, "prefetch must be a whole number of batches made ahead, 0 or more"),
        ({"start": 1.5}, "start must be a whole number"),
    ],
)
def test_bad_requests_say_what_is_wrong(change: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        batches(10, **({"size": 2} | change))


def test_shuffles_follow_from_seed_and_epoch_alone() -> None:
    orders = {(seed, epoch): permutation(500, seed, epoch).tolist() for seed in range(3) for epoch in range(3)}
    assert all(sorted(order) == list(range(500)) for order in orders.values())
    assert len({tuple(order) for order in orders.values()}) == 9
    assert orders[1, 2] == permutation(500, 1, 2).tolist()
    assert batches(500, 1, seed=np.int64(1), epoch=np.int32(2)).order.tolist() == orders[1, 2]  # type: ignore[union-attr]
    # Written down, so that a release that shuffles otherwise is noticed.
    assert permutation(8, 0, 0).tolist() == FIRST_SHUFFLE
