"""The safetensors format: written block by block, read as a memory map.

    8 bytes     length of the header, little-endian
    header      JSON: {"__metadata__": {text: text}, name: {"dtype", "shape", "data_offsets": [begin, end]}, ...}
    tensors     one after the other, C order, little-endian, no gap between them and nothing after the last

Specified at https://huggingface.co/docs/safetensors. The format's own library and MLX write only arrays that are in
memory; a matrix may be larger than memory.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from energywh.errors import CorruptError

HEADER_BYTES = 100_000_000  # limit of the format's own library
# NumPy has no bfloat16: its bits are kept as integers.
DTYPES: Mapping[str, np.dtype[Any]] = {
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "BOOL": np.dtype("?"),
}


@dataclass(frozen=True)
class Tensor:
    """A tensor to write: ``blocks`` returns its elements in C order, as arrays of the NumPy type in `DTYPES`."""

    name: str
    dtype: str  # one of `DTYPES`
    shape: tuple[int, ...]
    blocks: Callable[[], Iterable[NDArray[Any]]]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


@dataclass(frozen=True)
class Contents:
    """A file that was read: its metadata, and its tensors as read-only views of the mapped file."""

    metadata: Mapping[str, str]
    dtypes: Mapping[str, str]
    tensors: Mapping[str, NDArray[Any]]


def write(stream: BinaryIO, tensors: Sequence[Tensor], metadata: Mapping[str, str]) -> None:
    """Write the tensors in one pass without seeking; they are given in descending size of their elements."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    at = 0
    for tensor in tensors:
        header[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [at, at + tensor.nbytes],
        }
        at += tensor.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    # With the header padded to 8 bytes and the largest elements first, each tensor is aligned to its elements, as a
    # memory map needs.
    text += b" " * (-len(text) % 8)
    stream.write(struct.pack("<Q", len(text)))
    stream.write(text)
    for tensor in tensors:
        for block in tensor.blocks():
            stream.write(np.ascontiguousarray(block, DTYPES[tensor.dtype]).reshape(-1).view(np.uint8).data)


def read(stream: BinaryIO, file: Path) -> Contents:
    """Map the open file ``stream`` after checking its header; values are not checked.

    Args:
        file: its path, for messages.

    Raises:
        CorruptError: it is not a safetensors file, or was cut short.
    """
    size = os.fstat(stream.fileno()).st_size
    try:
        metadata, entries, begin = _header(stream, size)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptError(f"{file} is not a whole safetensors file: {error}") from None
    whole = np.memmap(stream, np.uint8, "r", shape=(size,))
    tensors = {
        name: whole[begin + first : begin + end].view(DTYPES[dtype]).reshape(shape)
        for name, (dtype, shape, first, end) in entries.items()
    }
    return Contents(metadata, {name: entry[0] for name, entry in entries.items()}, tensors)


Entry = tuple[str, tuple[int, ...], int, int]  # dtype, shape, first byte, byte after the last


def _header(stream: BinaryIO, size: int) -> tuple[dict[str, str], dict[str, Entry], int]:
    """Return the metadata, the tensors, and the position of their first byte.

    Raises:
        ValueError, KeyError, TypeError: the header is wrong.
    """
    if size < 8:
        raise ValueError(f"it has {size} bytes")
    stream.seek(0)
    (length,) = struct.unpack("<Q", stream.read(8))
    if length > min(size - 8, HEADER_BYTES):
        raise ValueError(f"its header is said to have {length:,} bytes, and the file has {size:,}")
    header = json.loads(stream.read(length).decode(), object_pairs_hook=_once)
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")  # noqa: TRY004 - a fault of the file, not of an argument
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("its metadata are not all strings")
    entries = {name: _entry(name, **fields) for name, fields in header.items()}
    at = 0
    for name, (_, _, first, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if first != at:
            raise ValueError(f"tensor '{name}' begins at byte {first:,}, the one before ends at {at:,}")
        at = end
    if 8 + length + at != size:
        raise ValueError(f"it has {size:,} bytes, and its header describes {8 + length + at:,}")
    return metadata, entries, 8 + length


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name given twice: readers differ in which of the two they take."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is given twice in its header")
    return found


def _entry(name: str, dtype: str, shape: list[int], data_offsets: list[int]) -> Entry:
    first, end = data_offsets
    numbers = [*shape, first, end]
    if any(isinstance(number, bool) or not isinstance(number, int) or number < 0 for number in numbers):
        raise ValueError(f"tensor '{name}' has the shape {shape} and the bytes {data_offsets}")
    if dtype not in DTYPES:
        raise ValueError(f"tensor '{name}' is of {dtype}, which is not supported")
    if end - first != math.prod(shape) * DTYPES[dtype].itemsize:
        raise ValueError(f"tensor '{name}' of {dtype} and shape {shape} cannot be the bytes {first:,} to {end:,}")
    return dtype, tuple(shape), first, end


def bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return the bits of finite ``values`` rounded to bfloat16, to nearest, ties to even."""
    bits = values.view(np.uint32)
    return ((bits + (0x7FFF + (bits >> 16 & 1))) >> 16).astype(np.uint16)


def widened(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return bfloat16 values, given as bits, as float32; this is exact."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
