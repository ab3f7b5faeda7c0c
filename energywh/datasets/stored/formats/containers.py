"""The tensors of a split as npz and as HDF5: the same arrays under the same names, written block by block.

Neither format has bfloat16: its values are written as float32. The same content makes the same bytes.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from energywh.core.checksums import MAKE_WRITABLE, sha256_of
from energywh.core.storage_errors import storage_errors
from energywh.datasets.stored.formats.safetensors import DTYPES, Tensor, widened
from energywh.errors import UsageError

# The time and system that a zip archive records are fixed, so that the bytes depend on the content alone.
EPOCH = (1980, 1, 1, 0, 0, 0)
UNIX = 3


def write_npz(stream: BinaryIO, tensors: Sequence[Tensor], metadata: Mapping[str, str]) -> None:
    """Write an uncompressed npz in one pass; ``metadata`` becomes one more array, a string of JSON."""
    text = np.array(json.dumps(dict(metadata), ensure_ascii=False))
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for tensor in tensors:
            _write_npy(archive, tensor.name, _dtype(tensor), tensor.shape, _blocks(tensor))
        _write_npy(archive, "metadata", text.dtype, (), [text])


def _write_npy(archive: zipfile.ZipFile, name: str, dtype: np.dtype[Any], shape: tuple[int, ...], blocks: Any) -> None:
    entry = zipfile.ZipInfo(f"{name}.npy", EPOCH)
    entry.create_system = UNIX
    header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with archive.open(entry, "w", force_zip64=True) as member:
        npy.write_array_header_1_0(member, header)
        for block in blocks:
            member.write(np.ascontiguousarray(block, dtype).reshape(-1).view(np.uint8).data)


def import_h5py() -> Any:
    """Return the module h5py.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise UsageError(
            f'HDF5 files need h5py, which cannot be imported ({error}): pip install "energywh[hdf5]", or '
            "leave this format out"
        ) from None
    return h5py


def write_hdf5(file: Path, tensors: Sequence[Tensor], metadata: Mapping[str, str]) -> str:
    """Write an HDF5 file with ``metadata`` as attributes, and return its SHA-256.

    Raises:
        UsageError: h5py is not installed.
        StorageError: the disk is full, or the file cannot be written.
    """
    h5py = import_h5py()
    with storage_errors("write", file, MAKE_WRITABLE):
        file.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(file, "w", libver=("v110", "v110")) as store:
            for key, text in metadata.items():
                store.attrs[key] = text
            for tensor in tensors:
                array = store.create_dataset(tensor.name, tensor.shape, _dtype(tensor), track_times=False)
                at = 0
                for block in _blocks(tensor):
                    array[at : at + len(block)] = block
                    at += len(block)
        # HDF5 seeks back while it writes, so the digest is taken afterwards.
        with file.open("rb") as stream:
            return sha256_of(stream)


def _dtype(tensor: Tensor) -> np.dtype[Any]:
    return DTYPES["F32" if tensor.dtype == "BF16" else tensor.dtype]


def _blocks(tensor: Tensor) -> Iterator[NDArray[Any]]:
    return (widened(block) if tensor.dtype == "BF16" else block for block in tensor.blocks())
