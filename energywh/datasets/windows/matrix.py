"""The arrays of windows: the hours of all regions stacked, gap-free, beside a record of what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from energywh.errors import WindowError

BLOCK_ROWS = 4096
EVERY = slice(None)


@dataclass(frozen=True)
class Axis:
    """The rows of a matrix: hours of each region from its first to its last, region after region."""

    regions: tuple[str, ...]
    first_hour: NDArray[np.int64]  # per region, hours since 1970-01-01T00 UTC
    offset: NDArray[np.int64]  # per region, its first row; one more entry for the end

    @property
    def rows(self) -> int:
        return int(self.offset[-1])

    @property
    def ends(self) -> NDArray[np.int64]:
        """By region, the hour after its last, since 1970."""
        ends: NDArray[np.int64] = self.first_hour + np.diff(self.offset)
        return ends

    def hours(self, region: int) -> int:
        """Return how many hours region number ``region`` spans."""
        return int(self.offset[region + 1] - self.offset[region])


@dataclass(frozen=True)
class Missing:
    """Which values of a matrix are missing, in the rows that miss any, one bit per value."""

    columns: int
    rows: NDArray[np.int64]  # ascending
    bits: NDArray[np.uint8]  # (len(rows), ceil(columns / 8)); 1 is missing

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + self.bits.nbytes

    def between(self, start: int, stop: int) -> slice:
        """Return where in `rows` the rows ``start`` to ``stop`` (exclusive) stand."""
        low, high = np.searchsorted(self.rows, (start, stop))
        return slice(int(low), int(high))

    def any_in(self, starts: NDArray[np.int64], length: int) -> bool:
        """Return whether any of the slices misses a value."""
        low, high = np.searchsorted(self.rows, (starts, starts + length))
        return bool((high > low).any())

    def unpack(self, where: slice) -> NDArray[np.bool_]:
        """Return (rows, columns) booleans of the held rows ``where``; True is missing."""
        return np.unpackbits(self.bits[where], axis=1, count=self.columns).view(np.bool_)

    def clear(
        self, mask: NDArray[np.bool_], starts: Sequence[int], step: int = 1, picks: list[int] | slice = EVERY
    ) -> None:
        """Set (len(starts), hours, columns) booleans, of rows ``step`` apart, to False where a value is missing.

        Args:
            picks: columns that the mask has; all by default.
        """
        for place, start in enumerate(starts):
            where = self.between(start, start + mask.shape[1] * step)
            if where.stop > where.start:
                after, here = self.rows[where] - start, ~self.unpack(where)[:, picks]
                taken = after % step == 0
                mask[place, after[taken] // step] = here[taken]

    def present(self, start: int, length: int) -> NDArray[np.bool_]:
        """Return (length, columns) booleans of the rows from ``start`` on; True is a value the source has."""
        mask = np.ones((length, self.columns), np.bool_)
        self.clear(mask[np.newaxis], [start])
        return mask

    def counts(self, axis: Axis) -> NDArray[np.int64]:
        """Return (regions, columns): how many values are missing."""
        totals = np.zeros((len(axis.regions), self.columns), np.int64)
        for region in range(len(axis.regions)):
            where = self.between(int(axis.offset[region]), int(axis.offset[region + 1]))
            for low in range(where.start, where.stop, BLOCK_ROWS):
                totals[region] += self.unpack(slice(low, min(low + BLOCK_ROWS, where.stop))).sum(axis=0)
        return totals


@dataclass(frozen=True)
class Matrix:
    """Values (rows, columns), missing ones 0, and where they are missing."""

    columns: tuple[str, ...]
    values: Any  # mx.array or NumPy
    missing: Missing

    @property
    def nbytes(self) -> int:
        """Bytes in memory; none for the values of a matrix in a file, which the system caches."""
        return self.missing.nbytes + (0 if isinstance(self.values, np.memmap) else int(self.values.nbytes))

    @property
    def disk_nbytes(self) -> int:
        return int(self.values.nbytes) if isinstance(self.values, np.memmap) else 0


@dataclass(frozen=True)
class Ahead:
    """The columns known ahead: some of the matrix of features, or all of a matrix of their own."""

    matrix: Matrix
    picks: list[int] | None

    @property
    def columns(self) -> tuple[str, ...]:
        return self.matrix.columns if self.picks is None else tuple(self.matrix.columns[pick] for pick in self.picks)

    def missing_rows(self) -> NDArray[np.int64]:
        """Return the rows that miss a value of some column known ahead."""
        bad = self.matrix.missing.unpack(slice(None))
        return self.matrix.missing.rows[(bad if self.picks is None else bad[:, self.picks]).any(axis=1)]


@dataclass(frozen=True)
class Frame:
    """Features and targets of some regions over one axis of hours."""

    axis: Axis
    features: Matrix
    targets: Matrix
    future_covariates: Matrix
    without_target: tuple[str, ...] = ()  # regions left out, see `energywh.datasets.windows.load.Wanted`

    @property
    def nbytes(self) -> int:
        return self.features.nbytes + self.targets.nbytes + self.future_covariates.nbytes

    @property
    def disk_nbytes(self) -> int:
        return self.features.disk_nbytes + self.targets.disk_nbytes + self.future_covariates.disk_nbytes

    @property
    def columns(self) -> tuple[str, ...]:
        """Features, targets and columns known ahead, each once."""
        return tuple(dict.fromkeys((*self.features.columns, *self.targets.columns, *self.future_covariates.columns)))

    def with_values(self) -> set[tuple[str, str]]:
        """Return each (region, column) that has a value."""
        return {
            (region, column)
            for matrix in (self.features, self.targets, self.future_covariates)
            for place, (region, counts) in enumerate(
                zip(self.axis.regions, matrix.missing.counts(self.axis).tolist(), strict=True)
            )
            for column, count in zip(matrix.columns, counts, strict=True)
            if count < self.axis.hours(place)
        }


def check_range(columns: Sequence[str], block: NDArray[np.float32], dtype: np.dtype[Any]) -> None:
    """Reject values that a 16-bit float cannot hold, instead of making them infinite.

    Raises:
        WindowError: there is one; it names the column.
    """
    most = np.finfo(dtype).max
    if np.abs(block).max(initial=0) > most:
        place = int(np.flatnonzero((np.abs(block) > most).any(axis=0))[0])
        raise WindowError(
            f"column '{columns[place]}' reaches {np.abs(block[:, place]).max():,.0f}, more than "
            f"float16's {most:,.0f}; use dtype='bfloat16' or 'float32', or scale it in the SQL"
        )
