"""Shards: the hours of every window divided over the devices of a ring, windows in the same order on each.

Shapes: B windows of L hours, F features, T targets, h = horizon; n hours a shard, the same on every rank.

    inputs             (B, n, F)
    mask               like inputs        False in padding, where inputs are 0
    targets            (B, n[, T])        with horizon=0: sharded with the inputs
                       (B, h[, T])        with horizon=h: whole, the same on every rank
    target_mask        like targets
    future_covariates  (B, n, K)          of the hours of the targets: K columns known before them
                       (B, h, K)          with horizon=h: whole, the same on every rank
    future_covariates_mask                like future_covariates
    region_encoding    (B,) or (B, R)     which of R regions, the same on every rank
    positions          (n,) int32         each hour's place in its window, 0 to L - 1; L in padding
    valid              (n,) bool          False in padding
    own                (n,) bool          valid, and not a neighbor's hour repeated by `overlap`: what a loss may count

Padding has position L, after every hour, so that a causal mask made of positions hides it from every query.

`energywh.datasets.windows.ring` draws the layouts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from energywh.core.wording import count
from energywh.datasets.windows.batch import Batch
from energywh.datasets.windows.ring import Ring
from energywh.datasets.windows.sampler import Batched
from energywh.datasets.windows.view import WindowView


class Shard(Batched[Batch]):
    """The share of one rank of every window. Made by `Windows.shard`; windows keep their order.

    Attributes:
        ring: how the hours are divided, with `Ring.positions` of every rank, and the inverse, `Ring.unshard`.
        positions, valid, own: as in a batch, the same for every window.
    """

    def __init__(self, view: WindowView, rows: NDArray[np.int64], ring: Ring, rank: int) -> None:
        self.ring = ring
        self.rank = rank
        self._view = view
        self._rows = rows
        self._share = ring.share(rank)
        self.positions, self.valid, self.own = self._share.positions, self._share.valid, self._share.own

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return (
            f"<Shard {self.rank} of {self.ring.world}, {self.ring.layout}: {int(self.own.sum()):,} of "
            f"{self.ring.length:,} hours, {self.ring.hours:,} with padding, of {count(len(self), 'window')}>"
        )

    def __getitem__(self, index: int) -> Batch:
        """Return this rank's share of window number ``index``, as a batch of one.

        Raises:
            IndexError: no window has this index.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        return self.batch(np.array([index % len(self)], np.int64))

    def __iter__(self) -> Iterator[Batch]:
        return (self[index] for index in range(len(self)))

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Return this rank's share of the windows ``indices``."""
        return Batch(self._view, indices, self._rows[indices], self._share)

    def unshard(self, outputs: Sequence[Any], axis: int = 1) -> Any:
        """Put the outputs of all ranks together again, see `Ring.unshard`."""
        return self.ring.unshard(outputs, axis)
