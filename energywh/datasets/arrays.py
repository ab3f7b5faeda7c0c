"""The two kinds of an array: MLX, and plain NumPy where MLX cannot be imported; each in memory or in a file.

Both hold one matrix (rows x columns) and hand out batches of slices of it. Measured at 8,760 x 32 float32, the
whole resident (MLX 0.32.4 on CPU): a stack of slices of a resident `mx.array` takes 1.0 ms for 8 windows and 20 ms
for 32; NumPy slices followed by one copy into an `mx.array` 1.4 and 25 ms; a gather from an `as_strided` view 0.7
and 19 ms here, but several times more in other releases and shapes. So: slices of the resident array.

A matrix that memory cannot hold lies in a file mapped into memory, of which the system keeps what is in use. The file
has no name, so it is gone with the array that uses it, or with the process, however that ends.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from energywh.errors import StorageError, UsageError, WindowError, did_you_mean

Kind = Literal["mlx", "numpy"]
DType = Literal["float32", "float16", "bfloat16"]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Piece:
    """A slice of a window, and the padding around it.

    Attributes:
        start: hour of the window at which it begins.
        count: hours taken, ``step`` apart.
        hours: hours of its place, of which the first ``before``, and what is left after the ``count``, are padding.
    """

    start: int
    count: int
    hours: int
    step: int = 1
    before: int = 0

    def rows(self, window: int) -> slice:
        """Return its rows, of the window that starts at row ``window``."""
        first = window + self.start
        return slice(first, first + self.step * (self.count - 1) + 1 if self.count else first, self.step)


class Arrays(Protocol):
    """What windows need of an array library."""

    def allocate(self, shape: Shape) -> tuple[Any, NDArray[Any]]:
        """Return a zeroed array and a NumPy view to fill it through (the same memory)."""

    def settle(self, array: Any) -> Any:
        """Return the filled array as it is to be held from now on."""

    def of_file(self, values: NDArray[Any]) -> Any:
        """Return a matrix that is mapped from a file, of bfloat16 the bits, as it is to be held: read, or as it is."""

    def slice(self, base: Any, start: int, length: int) -> Any:
        """Return rows ``start`` to ``start + length`` as a view."""

    def stack(self, base: Any, starts: Sequence[int], length: int) -> Any:
        """Return (len(starts), length, ...) slices of ``base``."""

    def pieces(self, base: Any, starts: Sequence[int], pieces: Sequence[Piece]) -> Any:
        """Return (len(starts), hours of all pieces, ...): each window's pieces one after the other, padded by 0."""

    def columns(self, values: Any, picks: list[int]) -> Any:
        """Return some columns, of the last axis."""

    def classes(self, numbers: NDArray[np.int32], count: int, *, one_hot: bool) -> Any:
        """Return which of ``count`` classes each is: int32 of the same shape, or 0 and 1 over one more axis."""

    def numpy(self, array: Any) -> NDArray[Any]:
        """Return the array as NumPy, C-contiguous; bfloat16 as float32."""

    def compute(self, arrays: Sequence[Any]) -> None:
        """Compute what would be computed when it is used."""

    def mask(self, present: NDArray[np.bool_] | None, shape: Shape) -> Any:
        """Return a boolean array; None stands for all True."""


def mapped(shape: Shape, dtype: np.dtype[Any], folder: Path) -> NDArray[Any]:
    """Return a zeroed array that lies in a nameless file in ``folder``.

    Raises:
        StorageError: the folder cannot be written to, or has no room.
    """
    size = math.prod(shape) * dtype.itemsize
    if not size:
        return np.zeros(shape, dtype)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):  # later, a full disk would end the process with SIGBUS
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "r+" if os.fstat(file.fileno()).st_size == size else "w+", shape=shape)
    except OSError as error:
        raise StorageError(
            f"windows of {size / 1e9:,.2f} GB cannot be laid into {folder}: {error.strerror or error}; "
            "name another folder with memory=Path(...), or take fewer regions, features or years"
        ) from None


class NumpyArrays:
    """NumPy arrays, read-only once filled; in a file of ``folder`` where one is given."""

    def __init__(self, dtype: DType, folder: Path | None = None) -> None:
        self._folder = folder
        if dtype == "bfloat16":
            raise UsageError("NumPy has no bfloat16; use dtype='float32' or 'float16', or as_='mlx'")
        self._dtype = np.dtype(dtype)

    def allocate(self, shape: Shape) -> tuple[Any, NDArray[Any]]:
        array = np.zeros(shape, self._dtype) if self._folder is None else mapped(shape, self._dtype, self._folder)
        return array, array

    def settle(self, array: Any) -> Any:
        array.flags.writeable = False
        return array

    def of_file(self, values: NDArray[Any]) -> Any:
        return values if self._folder is not None else self.settle(np.array(values))

    def slice(self, base: Any, start: int, length: int) -> Any:
        return base[start : start + length]

    def stack(self, base: Any, starts: Sequence[int], length: int) -> Any:
        batch = np.empty((len(starts), length, *base.shape[1:]), base.dtype)
        for place, start in enumerate(starts):
            batch[place] = base[start : start + length]
        return batch

    def pieces(self, base: Any, starts: Sequence[int], pieces: Sequence[Piece]) -> Any:
        batch = np.zeros((len(starts), sum(piece.hours for piece in pieces), *base.shape[1:]), base.dtype)
        at = 0
        for piece in pieces:
            begin = at + piece.before
            for place, start in enumerate(starts):
                batch[place, begin : begin + piece.count] = base[piece.rows(start)]
            at += piece.hours
        return batch

    def columns(self, values: Any, picks: list[int]) -> Any:
        return values[..., picks]

    def classes(self, numbers: NDArray[np.int32], count: int, *, one_hot: bool) -> Any:
        return np.eye(count, dtype=self._dtype)[numbers] if one_hot else numbers

    def numpy(self, array: Any) -> NDArray[Any]:
        return np.ascontiguousarray(array)

    def compute(self, arrays: Sequence[Any]) -> None:
        pass

    def mask(self, present: NDArray[np.bool_] | None, shape: Shape) -> Any:
        return np.ones(shape, np.bool_) if present is None else present


class MlxArrays:
    """`mx.array`, filled in place through its NumPy view: no second copy of the matrix ever exists.

    Where a ``folder`` is given, the matrix is NumPy's in a file there, and what is cut from it is copied.
    """

    def __init__(self, dtype: DType, folder: Path | None = None) -> None:
        self._mx = import_mlx()
        self._dtype = getattr(self._mx, dtype)
        # NumPy cannot view bfloat16: such a matrix is filled as float32 and narrowed once.
        self._filled_as = self._mx.float32 if dtype == "bfloat16" else self._dtype
        self._mapped = None if folder is None else NumpyArrays("float32" if dtype == "bfloat16" else dtype, folder)

    def allocate(self, shape: Shape) -> tuple[Any, NDArray[Any]]:
        if self._mapped:
            return self._mapped.allocate(shape)
        array = self._mx.zeros(shape, self._filled_as)
        self._mx.eval(array)
        return array, np.asarray(array)

    def settle(self, array: Any) -> Any:
        if self._mapped:
            return self._mapped.settle(array)
        if self._dtype != self._filled_as:
            array = array.astype(self._dtype)
            self._mx.eval(array)
        return array

    def of_file(self, values: NDArray[Any]) -> Any:
        if self._mapped:
            return values
        array = self._copied(values)
        self._mx.eval(array)
        return array

    def _copied(self, values: NDArray[Any]) -> Any:
        """Return what lies in a file as `mx.array`; of bfloat16, it may be the bits."""
        if values.dtype == np.uint16:
            return self._mx.array(values).view(self._mx.bfloat16)
        return self._mx.array(values, self._dtype)

    def slice(self, base: Any, start: int, length: int) -> Any:
        values = base[start : start + length]
        return self._copied(values) if self._mapped else values

    def stack(self, base: Any, starts: Sequence[int], length: int) -> Any:
        if self._mapped:
            return self._copied(self._mapped.stack(base, starts, length))
        return self._mx.stack([base[start : start + length] for start in starts])

    def pieces(self, base: Any, starts: Sequence[int], pieces: Sequence[Piece]) -> Any:
        if self._mapped:
            return self._copied(self._mapped.pieces(base, starts, pieces))
        parts = []
        for piece in pieces:
            part = self._mx.stack([base[piece.rows(start)] for start in starts])
            after = piece.hours - piece.before - piece.count
            if piece.before or after:
                part = self._mx.pad(part, [(0, 0), (piece.before, after), *((0, 0) for _ in base.shape[1:])])
            parts.append(part)
        return parts[0] if len(parts) == 1 else self._mx.concatenate(parts, axis=1)

    def columns(self, values: Any, picks: list[int]) -> Any:
        return self._mx.take(values, self._mx.array(picks, self._mx.int32), axis=-1)

    def classes(self, numbers: NDArray[np.int32], count: int, *, one_hot: bool) -> Any:
        index = self._mx.array(numbers)
        return self._mx.eye(count, dtype=self._dtype)[index] if one_hot else index

    def numpy(self, array: Any) -> NDArray[Any]:
        return np.ascontiguousarray(array.astype(self._mx.float32) if array.dtype == self._mx.bfloat16 else array)

    def compute(self, arrays: Sequence[Any]) -> None:
        self._mx.eval(arrays)

    def mask(self, present: NDArray[np.bool_] | None, shape: Shape) -> Any:
        if present is None:
            return self._mx.broadcast_to(self._mx.array(True), shape)
        return self._mx.array(present)


def import_mlx() -> Any:
    """Import `mlx.core`.

    Raises:
        WindowError: MLX cannot be imported here.
    """
    try:
        import mlx.core as mx
    except ImportError as error:
        raise WindowError(
            f"MLX cannot be imported here ({error}); pass as_='numpy' for NumPy arrays, "
            "or install it: 'pip install mlx' on macOS, 'pip install \"mlx[cpu]\"' on Linux"
        ) from None
    return mx


def arrays(kind: str, dtype: str, folder: Path | None = None) -> Arrays:
    """Return the array library ``kind`` ("mlx" or "numpy") holding ``dtype``, in a file of ``folder`` if given.

    Raises:
        UsageError: no such kind or dtype, or the two do not go together.
        WindowError: MLX cannot be imported here.
    """
    if dtype not in ("float32", "float16", "bfloat16"):
        known = ("float32", "float16", "bfloat16")
        raise UsageError(f"dtype must be float32, float16 or bfloat16, not {dtype!r}{did_you_mean(str(dtype), known)}")
    if kind == "numpy":
        return NumpyArrays(dtype, folder)  # type: ignore[arg-type]
    if kind == "mlx":
        return MlxArrays(dtype, folder)  # type: ignore[arg-type]
    raise UsageError(f"as_ must be 'mlx' or 'numpy', not {kind!r}")
