"""Array libraries: MLX, and plain NumPy where MLX cannot be imported; each in memory or in a file.

Both hold one matrix (rows x columns) and return batches of slices of it.
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

from energywh.core.storage_errors import storage_errors
from energywh.datasets.windows.mlx_cache import cache_limit
from energywh.datasets.windows.spec import DType
from energywh.errors import UsageError, WindowError, did_you_mean

Backend = Literal["mlx", "numpy"]
Memmap = bool | Path
Shape = tuple[int, ...]
MOST_STRIDED = 2**31 - 1  # numbers in an array that `mx.as_strided` takes


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

    @property
    def padded(self) -> bool:
        return self.hours > self.count

    @property
    def consecutive(self) -> bool:
        """Whether it is consecutive hours without padding."""
        return self.step == 1 and not self.padded

    def rows(self, window: int) -> slice:
        """Return its rows, of the window that starts at row ``window``."""
        first = window + self.start
        return slice(first, first + self.step * (self.count - 1) + 1 if self.count else first, self.step)


class Arrays(Protocol):
    """The operations that windows need from an array library."""

    def allocate(self, shape: Shape) -> tuple[Any, NDArray[Any]]:
        """Return a zeroed array and a NumPy view to fill it through (the same memory)."""

    def settle(self, array: Any) -> Any:
        """Return the filled array in its final form."""

    def of_file(self, values: NDArray[Any]) -> Any:
        """Return a matrix that is mapped from a file (bfloat16 as its bits), read into memory or as it is."""

    def slice(self, base: Any, start: int, length: int) -> Any:
        """Return rows ``start`` to ``start + length`` as a view."""

    def stack(self, base: Any, starts: Sequence[int], length: int) -> Any:
        """Return (len(starts), length, ...) slices of ``base``, copied."""

    def pieces(self, base: Any, starts: Sequence[int], pieces: Sequence[Piece]) -> Any:
        """Return (len(starts), hours of all pieces, ...): each window's pieces one after the other, padded by 0."""

    def columns(self, values: Any, picks: list[int]) -> Any:
        """Return some columns, of the last axis."""

    def classes(self, numbers: NDArray[np.int32], count: int, *, one_hot: bool) -> Any:
        """Return which of ``count`` classes each is: int32 of the same shape, or 0 and 1 over one more axis."""

    def numpy(self, array: Any) -> NDArray[Any]:
        """Return the array as NumPy, C-contiguous; bfloat16 as float32."""

    def begin(self, array: Any) -> Any:
        """Begin to compute an array that would be computed when it is used, and return it without waiting."""

    def compute(self, arrays: Sequence[Any]) -> None:
        """Compute arrays now that would be computed when they are used."""

    def mask(self, shape: Shape) -> tuple[Any, NDArray[np.bool_]]:
        """Return an array of True and a NumPy view to clear some of it through (the same memory)."""

    def full_mask(self, shape: Shape) -> Any:
        """Return an array of True; with MLX, it takes no memory."""


def folder_of(memmap: Memmap, cache: Path | None) -> Path | None:
    """Return the folder of the files of mapped arrays, None for memmap=False.

    Args:
        cache: folder for memmap=True; by default that for temporary files.

    Raises:
        UsageError: it is neither a boolean nor the Path of a folder.
    """
    if isinstance(memmap, Path):
        return memmap
    if not isinstance(memmap, bool):
        raise UsageError(f"memmap must be True, False or the Path of a folder, not {memmap!r}")
    return (cache or Path(tempfile.gettempdir())) if memmap else None


def mapped(shape: Shape, dtype: np.dtype[Any], folder: Path) -> NDArray[Any]:
    """Return a zeroed array in a file of ``folder`` that is mapped into memory.

    The file has no name, so it is gone with the array, or with the process, however that ends.

    Raises:
        StorageError: the folder cannot be written to, or has no room.
    """
    size = math.prod(shape) * dtype.itemsize
    if not size:
        return np.zeros(shape, dtype)
    advice = "name another folder with memmap=Path(...), or take fewer regions, features or years"
    doing = f"lay windows of {size / 1e9:,.2f} GB into"
    with storage_errors(doing, folder, {"system": advice, "full": advice}):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):  # later, a full disk would end the process with SIGBUS
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "r+" if os.fstat(file.fileno()).st_size == size else "w+", shape=shape)


def lay(batch: NDArray[Any], base: NDArray[Any], starts: Sequence[int], pieces: Sequence[Piece]) -> None:
    """Copy each window's pieces of ``base`` into its place of ``batch``, one after the other, padded by 0."""
    at = 0
    for piece in pieces:
        begin, end = at + piece.before, at + piece.before + piece.count
        batch[:, at:begin] = 0
        for place, start in enumerate(starts):
            batch[place, begin:end] = base[piece.rows(start)]
        at += piece.hours
        batch[:, end:at] = 0


class NumpyArrays:
    """NumPy arrays, read-only once filled; in a file of ``folder`` where one is given."""

    def __init__(self, dtype: DType, folder: Path | None = None) -> None:
        self._folder = folder
        if dtype == "bfloat16":
            raise UsageError("NumPy has no bfloat16; use dtype='float32' or 'float16', or backend='mlx'")
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
        return self.pieces(base, starts, (Piece(0, length, length),))

    def pieces(self, base: Any, starts: Sequence[int], pieces: Sequence[Piece]) -> Any:
        batch = np.empty((len(starts), sum(piece.hours for piece in pieces), *base.shape[1:]), base.dtype)
        lay(batch, base, starts, pieces)
        return batch

    def columns(self, values: Any, picks: list[int]) -> Any:
        return values[..., picks]

    def classes(self, numbers: NDArray[np.int32], count: int, *, one_hot: bool) -> Any:
        return np.eye(count, dtype=self._dtype)[numbers] if one_hot else numbers

    def numpy(self, array: Any) -> NDArray[Any]:
        return np.ascontiguousarray(array)

    def begin(self, array: Any) -> Any:
        return array

    def compute(self, arrays: Sequence[Any]) -> None:
        pass

    def mask(self, shape: Shape) -> tuple[Any, NDArray[np.bool_]]:
        array = np.ones(shape, np.bool_)
        return array, array

    def full_mask(self, shape: Shape) -> Any:
        return np.ones(shape, np.bool_)  # a view without memory would be read-only, which older DLPack refuses


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
        return self._open(self._mx.zeros(shape, self._filled_as))

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
        """Return mapped values as `mx.array`; bfloat16 may be given as its bits."""
        if values.dtype == np.uint16:
            return self._mx.array(values).view(self._mx.bfloat16)
        return self._mx.array(values, self._dtype)

    def slice(self, base: Any, start: int, length: int) -> Any:
        values = base[start : start + length]
        return self._copied(values) if self._mapped else values

    def stack(self, base: Any, starts: Sequence[int], length: int) -> Any:
        if self._mapped or base.size > MOST_STRIDED:
            return self.pieces(base, starts, (Piece(0, length, length),))
        # A batch of 32 x 8,760 x 150 float32 out of a resident `mx.array` (168 MB; MLX 0.32.4 on CPU, 2 cores; NumPy
        # copies as much into memory in use in 31 ms) takes: gather from an `as_strided` view 28 ms, concatenation 39,
        # zeros filled through NumPy 50, stack of slices 56, NumPy slices and one copy into an `mx.array` 77; three to
        # five times as much in memory fresh from the system. Two threads copy no faster than one.
        columns = base.shape[1]
        cache_limit.make_room(self._mx, len(starts) * length * columns * base.itemsize)
        views = self._mx.as_strided(base, (len(base) - length + 1, length, columns), (columns, columns, 1))
        return views[self._mx.array(starts, self._mx.int32)]

    def pieces(self, base: Any, starts: Sequence[int], pieces: Sequence[Piece]) -> Any:
        shape = (len(starts), sum(piece.hours for piece in pieces), base.shape[1])
        # NumPy has no bfloat16: it is copied as 16 bits. In a file of our own it is a float32.
        narrow = not self._mapped and self._dtype != self._filled_as
        rows = np.asarray(base.view(self._mx.uint16) if narrow else base)
        bits = rows.dtype == np.uint16
        cache_limit.make_room(self._mx, math.prod(shape) * rows.itemsize)
        batch, view = self._open(self._mx.zeros(shape, self._mx.uint16 if bits else self._filled_as))
        lay(view, rows, starts, pieces)
        return batch.view(self._dtype) if bits else batch.astype(self._dtype)

    def _open(self, array: Any) -> tuple[Any, NDArray[Any]]:
        """Compute a new array, and return it with a view to fill it through, before anything else refers to it."""
        self._mx.eval(array)
        return array, np.asarray(array)

    def columns(self, values: Any, picks: list[int]) -> Any:
        return self._mx.take(values, self._mx.array(picks, self._mx.int32), axis=-1)

    def classes(self, numbers: NDArray[np.int32], count: int, *, one_hot: bool) -> Any:
        index = self._mx.array(numbers)
        return self._mx.eye(count, dtype=self._dtype)[index] if one_hot else index

    def numpy(self, array: Any) -> NDArray[Any]:
        return np.ascontiguousarray(array.astype(self._mx.float32) if array.dtype == self._mx.bfloat16 else array)

    def begin(self, array: Any) -> Any:
        # What is not computed yet belongs to a stream of its thread, and no other thread could use it.
        self._mx.async_eval(array)
        return array

    def compute(self, arrays: Sequence[Any]) -> None:
        self._mx.eval(arrays)

    def mask(self, shape: Shape) -> tuple[Any, NDArray[np.bool_]]:
        return self._open(self._mx.ones(shape, self._mx.bool_))

    def full_mask(self, shape: Shape) -> Any:
        return self._mx.broadcast_to(self._mx.array(True), shape)


def import_mlx() -> Any:
    """Import `mlx.core`.

    Raises:
        WindowError: MLX cannot be imported here.
    """
    try:
        import mlx.core as mx
    except ImportError as error:
        raise WindowError(
            f"MLX cannot be imported here ({error}); pass backend='numpy' for NumPy arrays, "
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
    raise UsageError(f"backend must be 'mlx' or 'numpy', not {kind!r}")
