"""The content of one split of a dataset, from which its files are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from energywh.datasets.windows.matrix import Axis, Frame
from energywh.datasets.windows.scaler import Scaler
from energywh.datasets.windows.spec import DType
from energywh.datasets.windows.splits import Shape


@dataclass(frozen=True)
class SplitContent:
    """The values and windows of one split.

    Attributes:
        name: "train", "valid", "test", "all".
        frame: NumPy float32 (or mapped from a file), in the units of the source, missing values 0.
        regions: those of the whole dataset, in its order; the frame may have fewer of them, in the same order.
        starts: per region of the frame, the rows at which windows start, ascending.
        scaler: what the values of the matrix are normalized with.
        dtype: of the values of the matrix.
        future_covariates: columns known ahead, in the order of the windows, also where they are features.
        about: by column, the metadata of its field in Parquet, such as unit and description.
    """

    name: str
    frame: Frame
    regions: tuple[str, ...]
    starts: list[NDArray[np.int64]]
    shape: Shape
    scaler: Scaler | None
    dtype: DType
    future_covariates: tuple[str, ...] = ()
    about: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def hours_of(axis: Axis, region: int, rows: slice) -> NDArray[np.int64]:
    """Return the hours since 1970 of ``rows``, which are rows of one region."""
    first = int(axis.first_hour[region] - axis.offset[region])
    return np.arange(first + rows.start, first + rows.stop, dtype=np.int64)
