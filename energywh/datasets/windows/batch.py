"""A window, or a batch of them, cut from the arrays; `energywh.datasets.windows.windows` lists the shapes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from energywh.core.wording import abbreviate
from energywh.datasets.windows.backends import Piece
from energywh.datasets.windows.matrix import EVERY, Matrix
from energywh.datasets.windows.ring import Share
from energywh.datasets.windows.view import WindowView

if TYPE_CHECKING:
    import pyarrow as pa


class _Sample:
    """What a batch and a single window share: inputs and targets cut from the frame, all else made on demand."""

    def __init__(self, view: WindowView, rows: NDArray[np.int64], share: Share, *, batched: bool) -> None:
        self._view = view
        self._rows = rows
        self._share = share
        self._batched = batched
        self.positions, self.valid, self.own = share.positions, share.valid, share.own
        self.inputs = self._values(view.frame.features, 0, share.pieces)
        self.targets = self._values(view.frame.targets, view.shape.target_offset, self._target_pieces)

    @cached_property
    def mask(self) -> Any:
        """Booleans like ``inputs``; False where a value is missing (and 0), and in padding."""
        return self._present(self._view.frame.features, 0, self._share.pieces)

    @cached_property
    def target_mask(self) -> Any:
        """Booleans like ``targets``; False where a value is missing (and 0), and in padding, not in repeated hours."""
        return self._present(self._view.frame.targets, self._view.shape.target_offset, self._target_pieces)

    @cached_property
    def future_covariates(self) -> Any:
        """What is known before of the hours of the targets; columns are `Windows.future_covariates`."""
        ahead = self._view.ahead
        values = self._values(ahead.matrix, self._view.shape.target_offset, self._target_pieces)
        library = self._view.library
        return values if ahead.picks is None else library.begin(library.columns(values, ahead.picks))

    @cached_property
    def future_covariates_mask(self) -> Any:
        """Booleans like ``future_covariates``; False where a value is missing (and 0), and in padding."""
        ahead, offset = self._view.ahead, self._view.shape.target_offset
        return self._present(ahead.matrix, offset, self._target_pieces, ahead.picks)

    @cached_property
    def region_encoding(self) -> Any:
        """Which region of `Windows.regions` each window is of, by number or one-hot."""
        numbers = self._view.region_of(self._rows)
        library = self._view.library
        return library.begin(
            library.classes(
                numbers if self._batched else numbers[0], len(self._view.regions), one_hot=self._view.one_hot
            )
        )

    @property
    def _target_pieces(self) -> tuple[Piece, ...]:
        """With a horizon, targets come after the window, and each rank has all of them."""
        horizon = self._view.shape.horizon
        return (Piece(0, horizon, horizon),) if horizon else self._share.pieces

    def ready(self) -> None:
        """Compute all that the batch has now, and not when it is used."""
        arrays = [self.inputs, self.targets, self.mask, self.target_mask, self.region_encoding]
        if self._view.ahead.columns:
            arrays += [self.future_covariates, self.future_covariates_mask]
        self._view.library.compute(arrays)

    def _values(self, matrix: Matrix, offset: int, pieces: Sequence[Piece]) -> Any:
        library, first = self._view.library, pieces[0]
        if not self._batched:  # a view, not a copy
            values = library.slice(matrix.values, int(self._rows[0]) + offset, first.count)
        elif len(pieces) == 1 and first.consecutive:
            values = library.stack(matrix.values, (self._rows + (offset + first.start)).tolist(), first.count)
        else:
            values = library.pieces(matrix.values, (self._rows + offset).tolist(), pieces)
        return library.begin(values[..., 0] if self._view.squeezes(matrix) else values)

    def _present(self, matrix: Matrix, offset: int, pieces: Sequence[Piece], picks: list[int] | None = None) -> Any:
        library, rows = self._view.library, self._rows + offset
        shape = (len(rows), sum(piece.hours for piece in pieces), len(matrix.columns) if picks is None else len(picks))
        holes = any(
            piece.padded or matrix.missing.any_in(rows + piece.start, piece.step * piece.count) for piece in pieces
        )
        if not holes:
            mask = library.full_mask(shape)
        else:
            mask, present = library.mask(shape)
            at = 0
            for piece in pieces:
                begin, end = at + piece.before, at + piece.before + piece.count
                present[:, at:begin] = False
                at += piece.hours
                present[:, end:at] = False
                matrix.missing.clear(
                    present[:, begin:end],
                    (rows + piece.start).tolist(),
                    piece.step,
                    EVERY if picks is None else picks,
                )
        mask = mask[..., 0] if self._view.squeezes(matrix) else mask
        return library.begin(mask if self._batched else mask[0])


class Batch(_Sample):
    """B windows, or of each of them the share of one rank.

    Attributes:
        inputs, targets: the values; masks and all else are made when they are used.
        indices, regions, hours: (B,) which of all windows they are, and their regions and first hours (UTC).
        positions, valid, own: as `energywh.datasets.windows.shard` says; every hour of whole windows is their own.
    """

    def __init__(self, view: WindowView, indices: NDArray[np.int64], rows: NDArray[np.int64], share: Share) -> None:
        super().__init__(view, rows, share, batched=True)
        self.indices = indices
        self.regions, self.hours = view.places_of(rows)

    def to_arrow(self) -> pa.RecordBatch:
        """Return one row per window: region, hour_utc, and as tensors of fixed shape inputs, targets and their masks.

        future_covariates and future_covariates_mask too, where there are columns known ahead; bfloat16, which Arrow
        does not have, as float32.
        """
        import pyarrow as pa

        names = ["inputs", "targets", "mask", "target_mask"]
        if self._view.ahead.columns:
            names += ["future_covariates", "future_covariates_mask"]
        tensors = {}
        for name in names:
            array = self._view.library.numpy(getattr(self, name))
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


class Window(_Sample):
    """One window, shapes as those of a batch without B; inputs and targets are views of the resident array."""

    def __init__(self, view: WindowView, row: int, share: Share) -> None:
        rows = np.array([row], np.int64)
        super().__init__(view, rows, share, batched=False)
        regions, hours = view.places_of(rows)
        self.region, self.hour = str(regions[0]), hours[0]

    def __repr__(self) -> str:
        return f"<Window {self.region} {self.hour}: inputs {self.inputs.shape}, targets {self.targets.shape}>"
