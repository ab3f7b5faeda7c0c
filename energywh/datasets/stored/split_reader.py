"""Read one split of a stored dataset as windows; `energywh.datasets.stored.formats` documents its matrix."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from energywh.core.checksums import sha256_of
from energywh.core.folders import HeldFolder
from energywh.core.storage_errors import storage_error
from energywh.core.time import hour_number, parse_hour
from energywh.datasets.stored.formats import safetensors
from energywh.datasets.stored.formats.matrix import FLOATS, as_json, mark_of
from energywh.datasets.stored.formats.safetensors import Contents
from energywh.datasets.stored.manifest import FILE, Manifest, SplitEntry
from energywh.datasets.stored.migrations import renamed_in_matrix
from energywh.datasets.windows.backends import Arrays
from energywh.datasets.windows.matrix import BLOCK_ROWS, Ahead, Axis, Frame, Matrix, Missing
from energywh.datasets.windows.scaler import Scaler
from energywh.datasets.windows.splits import Shape
from energywh.datasets.windows.view import WindowView
from energywh.datasets.windows.windows import Windows
from energywh.errors import CorruptError

# Roles of columns, as the manifest and the matrix name them.
ROLES = {"feature": "features", "target": "targets", "future_covariate": "future_covariates"}


def read_split(
    folder: HeldFolder, manifest: Manifest, split: SplitEntry, library: Arrays, scaler: Scaler | None, check: bool
) -> Windows:
    """Return the windows of one split.

    Raises:
        CorruptError: its matrix does not agree with the manifest.
        StorageError: it cannot be read.
    """
    file = folder.path / f"{split.name}.safetensors"
    contents = _read(folder, file, manifest, check)
    request = manifest.request
    columns = _columns(file, contents, manifest, split)
    axis = _axis(file, manifest, split)
    matrices = {
        name: Matrix(columns[name], library.of_file(contents.tensors[name]), _missing(contents.tensors[f"{name}_mask"]))
        for name in ("features", "targets", "future_covariates")
        if name in contents.tensors
    }
    nothing = Matrix(
        (), np.empty((split.rows, 0), np.float32), Missing(0, np.empty(0, np.int64), np.empty((0, 0), np.uint8))
    )
    frame = Frame(axis, matrices["features"], matrices["targets"], matrices.get("future_covariates", nothing))
    own = "future_covariates" in matrices
    picks = None if own else [frame.features.columns.index(name) for name in columns["future_covariates"]]
    counts = {entry.region: entry.windows for entry in split.regions}
    ends = np.cumsum([counts.get(region, 0) for region in manifest.regions])
    view = WindowView(
        frame,
        Shape(request.length, request.stride, request.horizon),
        library,
        Ahead(frame.future_covariates if own else frame.features, picks),
        one_target=isinstance(request.target, str),
        one_hot=request.region_encoding == "one-hot",
    )
    starts = np.split(np.array(contents.tensors["starts"]), ends[:-1])
    return Windows(view, starts, name=split.name, normalization=scaler)


def _again(manifest: Manifest) -> str:
    return f"make it again with 'energywh dataset make {manifest.name}'"


def _read(folder: HeldFolder, file: Path, manifest: Manifest, check: bool) -> Contents:
    """Map the matrix after checking its size, its header and, with ``check``, its bytes."""
    entry = manifest.files.get(file.name)
    if entry is None:
        raise CorruptError(f"{file.parent / FILE} does not list {file.name}; {_again(manifest)}")
    advice = f"{_again(manifest)}, or see with 'energywh dataset verify {manifest.name}' what else is wrong"
    try:
        with folder.open(file.name) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size != entry.bytes:
                raise CorruptError(f"{file} has {size:,} bytes, and was made with {entry.bytes:,}; {advice}")
            if check and sha256_of(stream) != entry.sha256:
                raise CorruptError(f"{file} was changed: its bytes are not those that it was made with; {advice}")
            found = safetensors.read(stream, file)
    except FileNotFoundError:
        raise CorruptError(f"{file} is missing; {advice}") from None
    except OSError as error:
        raise storage_error(error, "read", file) from None
    return Contents(
        *(renamed_in_matrix(each, manifest.format) for each in (found.metadata, found.dtypes, found.tensors))
    )


def _columns(file: Path, contents: Contents, manifest: Manifest, split: SplitEntry) -> dict[str, tuple[str, ...]]:
    """Check metadata, columns and shapes, and return the names of features, targets and columns known ahead.

    Raises:
        CorruptError: it is not the matrix that the manifest describes.
    """
    expected, metadata = _expected_metadata(manifest, split), contents.metadata
    wrong = [f"{key} is {metadata.get(key)}, not {text}" for key, text in expected.items() if metadata.get(key) != text]
    try:
        columns = {role: tuple(map(str, json.loads(metadata[role]))) for role in ROLES.values()}
    except (KeyError, ValueError, TypeError) as error:
        raise CorruptError(f"{file} does not name its columns ({error!r}); {_again(manifest)}") from None
    named = {(role, column.name) for column in manifest.columns for role in column.roles}
    if named != {(role, name) for role, key in ROLES.items() for name in columns[key]}:
        wrong.append(f"its columns are {columns}")
    found = {name: (contents.dtypes[name], tensor.shape) for name, tensor in contents.tensors.items()}
    if found != (shapes := _expected_shapes(columns, manifest.request.dtype, split)):
        wrong.append(f"it holds {found}, not {shapes}")
    if wrong:
        raise CorruptError(f"{file} is not the matrix that {FILE} describes: {'; '.join(wrong)}; {_again(manifest)}")
    return columns


def _expected_metadata(manifest: Manifest, split: SplitEntry) -> dict[str, str]:
    """Return what the metadata of the matrix must have, besides its columns."""
    request = manifest.request
    return {
        "format": mark_of(manifest.format),
        "split": split.name,
        "regions": as_json(manifest.regions),
        "length": str(request.length),
        "stride": str(request.stride),
        "horizon": str(request.horizon),
        "scaler": as_json(manifest.scaler),
    }


def _expected_shapes(
    columns: Mapping[str, tuple[str, ...]], dtype: str, split: SplitEntry
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return dtype and shape of each tensor that the matrix must have."""
    rows = split.rows
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "hour": ("I64", (rows,)),
        "starts": ("I64", (split.windows,)),
        "region": ("I32", (rows,)),
    }
    for name, names in columns.items():
        if name != "future_covariates" or not set(names) <= set(columns["features"]):
            shapes[name] = (FLOATS[dtype], (rows, len(names)))
            shapes[f"{name}_mask"] = ("BOOL", (rows, len(names)))
    return shapes


def _axis(file: Path, manifest: Manifest, split: SplitEntry) -> Axis:
    """Return the axis of the split over all regions of the dataset; a region without a row has no hours.

    Raises:
        CorruptError: the entries of the regions do not add up to the rows.
    """
    entries = {entry.region: entry for entry in split.regions}
    first = np.full(len(manifest.regions), _hour(split.first_hour_utc), np.int64)
    offset = np.zeros(len(manifest.regions) + 1, np.int64)
    for place, region in enumerate(manifest.regions):
        offset[place + 1] = offset[place]
        if region in entries:
            first[place] = _hour(entries[region].first_hour_utc)
            offset[place + 1] += entries[region].hours
    stated = [entries[region].first_row for region in manifest.regions if region in entries]
    windows = sum(entry.windows for entry in split.regions)
    counted = [int(offset[place]) for place, region in enumerate(manifest.regions) if region in entries]
    if stated != counted or offset[-1] != split.rows or windows != split.windows or len(stated) < len(split.regions):
        raise CorruptError(f"the regions of {split.name} in {file.parent / FILE} do not add up; {_again(manifest)}")
    return Axis(tuple(manifest.regions), first, offset)


def _hour(text: str) -> int:
    return hour_number(parse_hour(text))


def _missing(mask: NDArray[np.bool_]) -> Missing:
    """Return the missing values of a mask that is True where there is a value."""
    rows: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    bits = [np.empty((0, (mask.shape[1] + 7) // 8), np.uint8)]
    for low in range(0, len(mask), BLOCK_ROWS):
        block = mask[low : low + BLOCK_ROWS]
        some = np.flatnonzero(~block.all(axis=1))
        rows.append(some + low)
        bits.append(np.packbits(~block[some], axis=1))
    return Missing(mask.shape[1], np.concatenate(rows), np.concatenate(bits))
