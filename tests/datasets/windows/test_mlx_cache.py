"""MLX keeps the memory of batches, within limits that change nobody else's setting."""

from __future__ import annotations

import pytest

from energywh.datasets.windows.mlx_cache import BATCHES, MLX_LIMIT, CacheLimit

LARGE = MLX_LIMIT


class Mlx:
    """The only function of MLX that `CacheLimit` needs."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.calls = 0

    def set_cache_limit(self, limit: int) -> int:
        self.calls += 1
        before, self.limit = self.limit, limit
        return before


def test_the_limit_grows_with_the_batches_and_never_shrinks() -> None:
    mlx, kept = Mlx(MLX_LIMIT), CacheLimit()
    kept.make_room(mlx, MLX_LIMIT // BATCHES)
    assert (mlx.limit, mlx.calls) == (MLX_LIMIT, 0)
    for size, most in ((LARGE, LARGE), (3 * LARGE, 3 * LARGE), (LARGE, 3 * LARGE)):
        kept.make_room(mlx, size)
        assert mlx.limit == BATCHES * most


@pytest.mark.parametrize("limit", [0, MLX_LIMIT - 1, 10**12])
def test_a_limit_that_somebody_else_set_stays(limit: int) -> None:
    mlx, kept = Mlx(limit), CacheLimit()
    kept.make_room(mlx, LARGE)
    kept.make_room(mlx, 2 * LARGE)
    assert mlx.limit == limit


def test_a_limit_set_later_stays_too() -> None:
    mlx, kept = Mlx(MLX_LIMIT), CacheLimit()
    kept.make_room(mlx, LARGE)
    mlx.limit = 5
    kept.make_room(mlx, 2 * LARGE)
    assert mlx.limit == 5
