"""The files of a split of a stored dataset: its matrix, and its rows by month.

The matrix (safetensors, npz or HDF5) has values as windows hold them, R rows of F features, T targets and K columns
known ahead, region after region and hour after hour:

    hour                    (R,) int64     start of the hour, hours since 1970-01-01T00 UTC
    starts                  (W,) int64     row at which each of W windows starts
    region                  (R,) int32     place in the dataset's regions
    features                (R, F)         float32, float16 or bfloat16; 0 where a value is missing
    targets                 (R, T)         the same
    future_covariates       (R, K)         only where the columns known ahead are not all among the features
    features_mask           (R, F) bool    True where the source has the value
    targets_mask            (R, T) bool
    future_covariates_mask  (R, K) bool

The strings beside them make the file readable alone: `metadata`. Parquet has the same rows in the units of the source,
as 32-bit floats, NULL where a value is missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from energywh.core.checksums import hashing
from energywh.core.time import hour_number, hour_time
from energywh.datasets.stored import containers, safetensors
from energywh.datasets.stored.manifest import FORMAT, SplitRecord, Stretch
from energywh.datasets.stored.safetensors import Tensor
from energywh.datasets.windows.matrix import BLOCK_ROWS, Axis, Frame, Matrix, check_range
from energywh.datasets.windows.scaler import Scaler, scaled_blocks
from energywh.datasets.windows.spec import DType
from energywh.datasets.windows.splits import Shape

Form = Literal["safetensors", "npz", "hdf5"]
SUFFIXES: Mapping[Form, str] = {"safetensors": ".safetensors", "npz": ".npz", "hdf5": ".h5"}
FLOATS: Mapping[str, str] = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
ROW_GROUP_ROWS = 122_880
MARK = f"energywh format {FORMAT}"


@dataclass(frozen=True)
class Part:
    """One split, ready to be written.

    Attributes:
        name: "train", "valid", "test", "all".
        frame: NumPy float32 (or mapped from a file), in the units of the source, missing values 0.
        regions: those of the whole dataset, in its order; the frame may have fewer of them, in the same order.
        starts: per region of the frame, the rows at which windows start, ascending.
        future_covariates: columns known ahead, in the order of the windows, also where they are features.
        scaler: what values are to be normalized with.
        dtype: what they are to be held as.
        about: by column, what its field in Parquet says of it, such as unit and description.
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


def metadata(part: Part) -> dict[str, str]:
    """Return what the matrix says of itself: names of columns and regions in their order, shape of windows, scaler."""
    frame, shape = part.frame, part.shape
    scaler = None if part.scaler is None else part.scaler.to_dict()
    return {
        "format": MARK,
        "split": part.name,
        "features": as_json(frame.features.columns),
        "targets": as_json(frame.targets.columns),
        "future_covariates": as_json(part.future_covariates),
        "regions": as_json(part.regions),
        "length": str(shape.length),
        "stride": str(shape.stride),
        "horizon": str(shape.horizon),
        "scaler": as_json(scaler),
    }


def write_matrix(part: Part, file: Path, form: Form) -> str:
    """Write the matrix, block by block, and return the SHA-256 of the file.

    Raises:
        StorageError: the disk is full, or the file cannot be written; what is there of it is not whole.
        UnknownNameError: a region or column that the scaler does not have.
        UsageError: HDF5 without h5py.
        WindowError: a value that a 16-bit float cannot hold.
    """
    tensors, told = _tensors(part), metadata(part)
    if form == "hdf5":
        return containers.write_hdf5(file, tensors, told)
    with hashing(file) as stream:
        (safetensors.write if form == "safetensors" else containers.write_npz)(stream, tensors, told)  # type: ignore[arg-type]
    return stream.sha256


def write_month(part: Part, month: date, file: Path) -> str | None:
    """Write the rows of one month as Parquet, and return the SHA-256 of the file; None where there is none.

    Columns: region, hour_utc, and each feature, target and column known ahead once.

    Raises:
        StorageError: the disk is full, or the file cannot be written; what is there of it is not whole.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    axis = part.frame.axis
    taken = _rows_of(axis, month)
    if not taken:
        return None
    counts = [rows.stop - rows.start for _, rows in taken]
    hours = np.concatenate([_hours(axis, region, rows) for region, rows in taken])
    arrays: dict[str, Any] = {
        "region": pa.array(np.repeat([axis.regions[region] for region, _ in taken], counts), pa.string()),
        "hour_utc": pa.array(hours.view("datetime64[h]").astype("datetime64[us]")),
    }
    for matrix in (part.frame.features, part.frame.targets, part.frame.future_covariates):
        values = np.concatenate([matrix.values[rows] for _, rows in taken])
        missing = ~np.concatenate(
            [matrix.missing.present(rows.start, count) for (_, rows), count in zip(taken, counts, strict=True)]
        )
        for place, name in enumerate(matrix.columns):
            if name not in arrays:
                arrays[name] = pa.array(np.ascontiguousarray(values[:, place]), mask=missing[:, place])
    schema = pa.schema([pa.field(name, array.type, metadata=part.about.get(name)) for name, array in arrays.items()])
    # Measurements repeat too seldom for a dictionary: split by byte, a month of 150 columns takes 40 % less, and is
    # written in a third of the time.
    split = [name for name, array in arrays.items() if pa.types.is_floating(array.type)]
    layout = {"compression": "zstd", "use_dictionary": ["region"], "use_byte_stream_split": split}
    with hashing(file) as stream, pq.ParquetWriter(stream, schema, **layout) as writer:
        writer.write_table(pa.Table.from_arrays(list(arrays.values()), schema=schema), ROW_GROUP_ROWS)
    return stream.sha256


def months(axis: Axis) -> list[date]:
    """Return the first days of the months that the rows lie in, ascending."""
    found: set[np.datetime64] = set()
    for region in range(len(axis.regions)):
        if axis.hours(region):
            ends = axis.first_hour[region] + np.array([0, axis.hours(region) - 1])
            first, last = ends.astype("datetime64[h]").astype("datetime64[M]")
            found.update(np.arange(first, last + 1))
    return [month.astype("datetime64[D]").item() for month in sorted(found)]


def split_of(part: Part) -> SplitRecord:
    """Return what the manifest says of the split."""
    axis, features = part.frame.axis, part.frame.features
    there = [region for region in range(len(axis.regions)) if axis.hours(region)]
    first, end = axis.first_hour, axis.first_hour + np.diff(axis.offset)
    return SplitRecord(
        part.name,
        _told(min(first[there])),
        _told(max(end[there]) - 1),
        axis.rows,
        sum(map(len, part.starts)),
        axis.rows * len(features.columns),
        int(features.missing.counts(axis).sum()),
        [
            Stretch(
                axis.regions[region],
                _told(first[region]),
                axis.hours(region),
                int(axis.offset[region]),
                len(part.starts[region]),
            )
            for region in there
        ],
    )


def _tensors(part: Part) -> list[Tensor]:
    """Return the tensors, in descending size of their elements."""
    frame = part.frame
    axis, rows = frame.axis, frame.axis.rows
    matrices = {"features": frame.features, "targets": frame.targets}
    if frame.future_covariates.columns:
        matrices["future_covariates"] = frame.future_covariates
    return [
        Tensor("hour", "I64", (rows,), partial(_all_hours, axis)),
        Tensor("starts", "I64", (sum(map(len, part.starts)),), lambda: part.starts),
        Tensor("region", "I32", (rows,), partial(_region_numbers, part)),
        *(
            Tensor(name, FLOATS[part.dtype], (rows, len(matrix.columns)), partial(_values, part, matrix))
            for name, matrix in matrices.items()
        ),
        *(
            Tensor(f"{name}_mask", "BOOL", (rows, len(matrix.columns)), partial(_mask, matrix, rows))
            for name, matrix in matrices.items()
        ),
    ]


def _all_hours(axis: Axis) -> Iterator[NDArray[np.int64]]:
    for region in range(len(axis.regions)):
        yield _hours(axis, region, slice(int(axis.offset[region]), int(axis.offset[region + 1])))


def _hours(axis: Axis, region: int, rows: slice) -> NDArray[np.int64]:
    """Return the hours since 1970 of ``rows``, which are of one region."""
    first = int(axis.first_hour[region] - axis.offset[region])
    return np.arange(first + rows.start, first + rows.stop, dtype=np.int64)


def _region_numbers(part: Part) -> Iterator[NDArray[np.int32]]:
    axis = part.frame.axis
    for region, name in enumerate(axis.regions):
        yield np.full(axis.hours(region), part.regions.index(name), np.int32)


def _values(part: Part, matrix: Matrix) -> Iterator[NDArray[Any]]:
    """Yield the values as they are to be held: scaled, checked and rounded as in windows."""
    dtype = np.dtype(np.float16 if part.dtype == "float16" else np.float32)
    blocks: Iterator[NDArray[Any]]
    if part.scaler is not None:
        blocks = (block.astype(dtype) for _, block in scaled_blocks(part.frame.axis, matrix, part.scaler, dtype))
    else:
        blocks = _as_they_are(matrix, dtype)
    for block in blocks:
        yield safetensors.bfloat16(block) if part.dtype == "bfloat16" else block


def _as_they_are(matrix: Matrix, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    for low in range(0, len(matrix.values), BLOCK_ROWS):
        block = matrix.values[low : low + BLOCK_ROWS]
        check_range(matrix.columns, block, dtype)
        yield block.astype(dtype)


def _mask(matrix: Matrix, rows: int) -> Iterator[NDArray[np.bool_]]:
    for low in range(0, rows, BLOCK_ROWS):
        yield matrix.missing.present(low, min(BLOCK_ROWS, rows - low))


def _rows_of(axis: Axis, month: date) -> list[tuple[int, slice]]:
    """Return by region the rows of a month, where it has any."""
    first = hour_number(datetime(month.year, month.month, 1))
    end = hour_number(datetime(month.year + month.month // 12, month.month % 12 + 1, 1))
    found = []
    for region in range(len(axis.regions)):
        low = max(first - int(axis.first_hour[region]), 0)
        high = min(end - int(axis.first_hour[region]), axis.hours(region))
        if low < high:
            found.append((region, slice(int(axis.offset[region]) + low, int(axis.offset[region]) + high)))
    return found


def _told(hour: int) -> str:
    return f"{hour_time(int(hour)):%Y-%m-%dT%H}"


def as_json(value: object) -> str:
    """Return plain data as the strings of a matrix hold it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
