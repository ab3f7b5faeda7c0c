"""The batches of an epoch: their order, their distribution over ranks, and where to resume.

The windows are put in order; of W ranks, rank r takes every W-th of them from the r-th on, and cuts its share into
batches of ``size``. So W ranks with batches of B see, step by step, exactly the windows that one rank sees with
batches of W x B, and no window comes twice in an epoch.

| windows do not divide | `drop_last=False` (default)            | `drop_last=True`                             |
|-----------------------|----------------------------------------|----------------------------------------------|
| windows of an epoch   | all                                    | up to W x B - 1 are left out                 |
| last batch of a rank  | may be smaller                         | full, as every other                         |
| batches of the ranks  | differ by one at most                  | equal: for ranks that wait for each other    |

No random number is drawn while batches are taken, so (seed, epoch, step) is enough to resume.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from energywh.core.arguments import whole_number
from energywh.core.wording import count
from energywh.errors import UsageError

B_co = TypeVar("B_co", covariant=True)


class Batched(ABC, Generic[B_co]):
    """A source of batches: whole windows, or the share of one device of each window."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batch(self, indices: NDArray[np.int64]) -> B_co:
        """Return the windows ``indices`` as one batch."""

    def batches(
        self,
        size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        epoch: int = 0,
        drop_last: bool = False,
        rank: int = 0,
        world: int = 1,
        start: int = 0,
        prefetch: int = 0,
    ) -> Batches[B_co]:
        """Return the batches of one epoch, each window once, or the share of ``rank`` of them.

        `energywh.datasets.windows.sampler` describes how ranks share windows that do not divide. On
        CPU, MLX gives all freed memory but 32 MB back to the system; batches raise that to twice their size for the
        process, unless `mx.set_cache_limit` was called before.

        Args:
            size: windows a batch and rank; the last may be smaller, unless ``drop_last``.
            shuffle: in an order that follows from ``seed`` and ``epoch`` alone, on every machine and release.
            rank, world: which of how many processes this is, each of which takes other windows. All ranks of a ring
                that shares each window take the same windows, and leave these out.
            start: batches to leave out from the beginning, as they were taken before: with the same other arguments
                exactly those after them come.
            prefetch: batches that a thread makes ahead, complete with masks, while the last one is worked on; 2 will
                do. `prefetch.Prefetch`, which is what iterates then, also says how much was waited.

        Raises:
            UsageError: ``seed``, ``epoch`` or another argument is not a whole number, or not in its range.
        """
        for name, value in (("seed", seed), ("epoch", epoch)):
            if not isinstance(value, Integral):
                raise UsageError(f"{name} must be a whole number, from which the order follows, not {value!r}")
        size = whole_number(size, "size", 1, "windows")
        world = whole_number(world, "world", 1, "ranks")
        rank = whole_number(rank, "rank", 0, "ranks before this one")
        if rank >= world:
            raise UsageError(f"rank must be 0 to {world - 1}, as world is {world}, not {rank}")
        start = whole_number(start, "start", 0, "batches already taken")
        order = permutation(len(self), int(seed), int(epoch)) if shuffle else None
        prefetch = whole_number(prefetch, "prefetch", 0, "batches made ahead")
        return Batches(self, size, order, drop_last, rank, world, start, prefetch)


@dataclass(frozen=True)
class Batches(Generic[B_co]):
    """The batches that one rank takes of one epoch, from ``start`` on; they can be iterated again.

    Its length is the number of batches that are left, known beforehand.
    """

    windows: Batched[B_co]
    size: int
    order: NDArray[np.int64] | None  # None: as they come
    drop_last: bool
    rank: int = 0
    world: int = 1
    start: int = 0
    prefetch: int = 0

    def __post_init__(self) -> None:
        if self.start > self.steps:
            raise UsageError(
                f"start is {self.start:,}, but rank {self.rank} of {self.world} has "
                f"{count(self.steps, 'batch', 'batches')} per epoch; "
                "continue with the next epoch"
            )

    @property
    def steps(self) -> int:
        """Batches of this rank in the whole epoch."""
        if self.drop_last:
            return len(self.windows) // (self.size * self.world)
        share = -((self.rank - len(self.windows)) // self.world)
        return -(-share // self.size)

    def __len__(self) -> int:
        return self.steps - self.start

    def __iter__(self) -> Iterator[B_co]:
        made = self._made()
        if not self.prefetch:
            return made
        from energywh.datasets.windows.prefetch import Prefetch

        return Prefetch(made, self.prefetch)

    def _made(self) -> Iterator[B_co]:
        return (self.windows.batch(self._indices(step)) for step in range(self.start, self.steps))

    def _indices(self, step: int) -> NDArray[np.int64]:
        """Return the windows of batch number ``step``."""
        together = self.size * self.world
        stop = min((step + 1) * together, len(self.windows))
        places = np.arange(step * together + self.rank, stop, self.world)
        return places if self.order is None else self.order[places]


def permutation(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return 0 to ``count`` shuffled by ``seed`` and ``epoch``.

    Sorted by splitmix64 of the index: NumPy does not promise the same shuffle in its next release.
    """
    with np.errstate(over="ignore"):
        state = _splitmix64(np.array([seed & 0xFFFF_FFFF_FFFF_FFFF], np.uint64))
        state = _splitmix64(state ^ np.array([epoch & 0xFFFF_FFFF_FFFF_FFFF], np.uint64))
        keys = _splitmix64(state + np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return np.argsort(keys, kind="stable").astype(np.int64)


def _splitmix64(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
