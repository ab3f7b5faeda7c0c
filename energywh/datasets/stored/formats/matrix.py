"""Write the matrix of a split; `energywh.datasets.stored.formats` documents its tensors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from energywh.core.checksums import hashing
from energywh.datasets.stored.formats import containers, safetensors
from energywh.datasets.stored.formats.content import SplitContent, hours_of
from energywh.datasets.stored.formats.safetensors import Tensor
from energywh.datasets.stored.manifest import FORMAT
from energywh.datasets.windows.matrix import BLOCK_ROWS, Axis, Matrix, check_range
from energywh.datasets.windows.scaler import scaled_blocks

MatrixFormat = Literal["safetensors", "npz", "hdf5"]
SUFFIXES: Mapping[MatrixFormat, str] = {"safetensors": ".safetensors", "npz": ".npz", "hdf5": ".h5"}
FLOATS: Mapping[str, str] = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}


def mark_of(number: int) -> str:
    """Return what names the schema in the metadata of a matrix."""
    return f"energywh format {number}"


def write_matrix(content: SplitContent, file: Path, form: MatrixFormat) -> str:
    """Write the matrix, block by block, and return the SHA-256 of the file.

    Raises:
        StorageError: the disk is full, or the file cannot be written; an incomplete file may remain.
        UnknownNameError: a region or column that the scaler does not have.
        UsageError: HDF5 without h5py.
        WindowError: a value that a 16-bit float cannot hold.
    """
    tensors, about = _tensors(content), metadata(content)
    if form == "hdf5":
        return containers.write_hdf5(file, tensors, about)
    with hashing(file) as stream:
        (safetensors.write if form == "safetensors" else containers.write_npz)(stream, tensors, about)  # type: ignore[arg-type]
    return stream.sha256


def metadata(content: SplitContent) -> dict[str, str]:
    """Return the metadata of the matrix: columns and regions in their order, shape of windows, scaler."""
    frame, shape = content.frame, content.shape
    return {
        "format": mark_of(FORMAT),
        "split": content.name,
        "features": as_json(frame.features.columns),
        "targets": as_json(frame.targets.columns),
        "future_covariates": as_json(content.future_covariates),
        "regions": as_json(content.regions),
        "length": str(shape.length),
        "stride": str(shape.stride),
        "horizon": str(shape.horizon),
        "scaler": as_json(None if content.scaler is None else content.scaler.to_dict()),
    }


def as_json(value: object) -> str:
    """Return plain data as JSON, as the metadata of a matrix have it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _tensors(content: SplitContent) -> list[Tensor]:
    """Return the tensors, in descending size of their elements."""
    frame = content.frame
    axis, rows = frame.axis, frame.axis.rows
    matrices = {"features": frame.features, "targets": frame.targets}
    if frame.future_covariates.columns:
        matrices["future_covariates"] = frame.future_covariates
    return [
        Tensor("hour", "I64", (rows,), partial(_hours, axis)),
        Tensor("starts", "I64", (sum(map(len, content.starts)),), lambda: content.starts),
        Tensor("region", "I32", (rows,), partial(_region_numbers, content)),
        *(
            Tensor(name, FLOATS[content.dtype], (rows, len(matrix.columns)), partial(_values, content, matrix))
            for name, matrix in matrices.items()
        ),
        *(
            Tensor(f"{name}_mask", "BOOL", (rows, len(matrix.columns)), partial(_mask, matrix, rows))
            for name, matrix in matrices.items()
        ),
    ]


def _hours(axis: Axis) -> Iterator[NDArray[np.int64]]:
    for region in range(len(axis.regions)):
        yield hours_of(axis, region, slice(int(axis.offset[region]), int(axis.offset[region + 1])))


def _region_numbers(content: SplitContent) -> Iterator[NDArray[np.int32]]:
    axis = content.frame.axis
    for region, name in enumerate(axis.regions):
        yield np.full(axis.hours(region), content.regions.index(name), np.int32)


def _values(content: SplitContent, matrix: Matrix) -> Iterator[NDArray[Any]]:
    """Yield the values scaled, checked and rounded as in windows."""
    dtype = np.dtype(np.float16 if content.dtype == "float16" else np.float32)
    blocks: Iterator[NDArray[Any]]
    if content.scaler is not None:
        blocks = (block.astype(dtype) for _, block in scaled_blocks(content.frame.axis, matrix, content.scaler, dtype))
    else:
        blocks = _unscaled(matrix, dtype)
    for block in blocks:
        yield safetensors.bfloat16(block) if content.dtype == "bfloat16" else block


def _unscaled(matrix: Matrix, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    for low in range(0, len(matrix.values), BLOCK_ROWS):
        block = matrix.values[low : low + BLOCK_ROWS]
        check_range(matrix.columns, block, dtype)
        yield block.astype(dtype)


def _mask(matrix: Matrix, rows: int) -> Iterator[NDArray[np.bool_]]:
    for low in range(0, rows, BLOCK_ROWS):
        yield matrix.missing.present(low, min(BLOCK_ROWS, rows - low))
