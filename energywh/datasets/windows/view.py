"""What windows and their shards are cut from: the frozen arrays, and how a batch is to look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from energywh.datasets.windows.backends import Arrays
from energywh.datasets.windows.matrix import Ahead, Frame, Matrix
from energywh.datasets.windows.splits import Shape


@dataclass(frozen=True)
class WindowView:
    """The arrays of windows, and how a batch is to look.

    Attributes:
        frame: the arrays, with the record of what is missing.
        shape: hours of a window.
        library: the array library that batches are of.
        ahead: columns known ahead.
        one_target: the target was not given as a list, so that targets have no axis for it.
        one_hot: regions are encoded as 0 and 1, not by their number.
    """

    frame: Frame
    shape: Shape
    library: Arrays
    ahead: Ahead
    one_target: bool
    one_hot: bool

    @property
    def regions(self) -> tuple[str, ...]:
        return self.frame.axis.regions

    def region_of(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the number of the region of each row."""
        return (np.searchsorted(self.frame.axis.offset, rows, side="right") - 1).astype(np.int32)

    def places_of(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.str_], NDArray[np.datetime64]]:
        """Return the region and the hour (UTC) of each row."""
        axis, region = self.frame.axis, self.region_of(rows)
        hours = rows - axis.offset[region] + axis.first_hour[region]
        return np.array(axis.regions)[region], hours.view("datetime64[h]")

    def squeezes(self, matrix: Matrix) -> bool:
        """Return whether the last axis of the matrix is left out: the one target was not given as a list."""
        return self.one_target and matrix is self.frame.targets
