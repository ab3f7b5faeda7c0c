"""A window, or a batch of them, cut from the arrays held; shapes are told in `energywh.datasets.windows.windows`."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from energywh.core.wording import abbreviate
from energywh.datasets.windows.matrix import EVERY, Matrix

if TYPE_CHECKING:
    import pyarrow as pa

    from energywh.datasets.windows.windows import Windows


class _Cut:
    """What a batch and a single window share: inputs and targets cut from the frame, all else on demand."""

    def __init__(self, windows: Windows, rows: list[int], batched: bool) -> None:
        self._windows = windows
        self._rows = rows
        self._batched = batched
        shape = windows.shape
        self.inputs = self._values(windows.frame.features, 0, shape.length)
        self.targets = self._values(windows.frame.targets, shape.target_offset, shape.target_length)

    @cached_property
    def mask(self) -> Any:
        """Booleans like ``inputs``; False where a value is missing (and 0). ``mask.all(-1)`` tells whole hours."""
        return self._present(self._windows.frame.features, 0, self._windows.shape.length)

    @cached_property
    def target_mask(self) -> Any:
        """Booleans like ``targets``; False where a value is missing (and 0)."""
        shape = self._windows.shape
        return self._present(self._windows.frame.targets, shape.target_offset, shape.target_length)

    @cached_property
    def future_covariates(self) -> Any:
        """What is known before of the hours of the targets; columns are `Windows.future_covariates`."""
        shape, future_covariates = self._windows.shape, self._windows.ahead
        values = self._values(future_covariates.matrix, shape.target_offset, shape.target_length)
        return (
            values
            if future_covariates.picks is None
            else self._windows.library.columns(values, future_covariates.picks)
        )

    @cached_property
    def future_covariates_mask(self) -> Any:
        """Booleans like ``future_covariates``; False where a value is missing (and 0)."""
        shape, future_covariates = self._windows.shape, self._windows.ahead
        return self._present(
            future_covariates.matrix, shape.target_offset, shape.target_length, future_covariates.picks
        )

    @cached_property
    def region_encoding(self) -> Any:
        """Which region of `Windows.regions` it is, by number or one-hot."""
        numbers = self._windows.region_of(np.array(self._rows))
        return self._windows.library.classes(
            numbers if self._batched else numbers[0], len(self._windows.regions), one_hot=self._windows.one_hot
        )

    def ready(self) -> None:
        """Compute all that the window has now, and not when it is used."""
        arrays = [self.inputs, self.targets, self.mask, self.target_mask, self.region_encoding]
        if self._windows.future_covariates:
            arrays += [self.future_covariates, self.future_covariates_mask]
        self._windows.library.compute(arrays)

    def _values(self, matrix: Matrix, offset: int, length: int) -> Any:
        library = self._windows.library
        if self._batched:
            values = library.stack(matrix.values, [row + offset for row in self._rows], length)
        else:
            values = library.slice(matrix.values, self._rows[0] + offset, length)
        return values[..., 0] if self._windows.squeezes(matrix) else values

    def _present(self, matrix: Matrix, offset: int, length: int, picks: list[int] | None = None) -> Any:
        library = self._windows.library
        rows = [row + offset for row in self._rows]
        shape = (len(rows), length, len(matrix.columns) if picks is None else len(picks))
        if matrix.missing.any_in(rows, length):
            mask, view = library.mask(shape)
            matrix.missing.clear(view, rows, picks=EVERY if picks is None else picks)
        else:
            mask = library.full_mask(shape)
        if self._windows.squeezes(matrix):
            mask = mask[..., 0]
        return mask if self._batched else mask[0]


class Batch(_Cut):
    """B windows, and which they are: ``indices`` among all, ``regions`` and first ``hours`` (UTC), each (B,)."""

    def __init__(self, windows: Windows, indices: NDArray[np.int64]) -> None:
        rows = windows.rows[indices]
        super().__init__(windows, rows.tolist(), batched=True)
        self.indices = indices
        self.regions, self.hours = windows.places_of(rows)

    def to_arrow(self) -> pa.RecordBatch:
        """Return a row a window: region, hour_utc, and as tensors of fixed shape inputs, targets and their masks.

        future_covariates and future_covariates_mask too, where there are columns known ahead; bfloat16, which Arrow
        does not have, as float32.
        """
        import pyarrow as pa

        names = ["inputs", "targets", "mask", "target_mask"]
        if self._windows.future_covariates:
            names += ["future_covariates", "future_covariates_mask"]
        tensors = {}
        for name in names:
            array = self._windows.library.numpy(getattr(self, name))
            kind = pa.fixed_shape_tensor(pa.from_numpy_dtype(array.dtype), array.shape[1:])
            # pyarrow's own way from NumPy (26.0) refuses arrays with an axis of one.
            flat = pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array[0].size)
            tensors[name] = pa.ExtensionArray.from_storage(kind, flat)
        return pa.RecordBatch.from_pydict(
            {"region": pa.array(self.regions), "hour_utc": pa.array(self.hours.astype("datetime64[s]")), **tensors}
        )

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        regions = abbreviate(tuple(dict.fromkeys(self.regions.tolist())))
        return f"<Batch of {len(self)}: inputs {self.inputs.shape}, targets {self.targets.shape}, of {regions}>"


class Window(_Cut):
    """One window, shapes as the module says without B. Arrays are views of the resident array."""

    def __init__(self, windows: Windows, index: int) -> None:
        rows = windows.rows[index : index + 1]
        super().__init__(windows, rows.tolist(), batched=False)
        regions, hours = windows.places_of(rows)
        self.region, self.hour = str(regions[0]), hours[0]

    def __repr__(self) -> str:
        return f"<Window {self.region} {self.hour}: inputs {self.inputs.shape}, targets {self.targets.shape}>"
