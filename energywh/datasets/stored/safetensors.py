"""The safetensors format, written as the values come and read as a map of the file.

    8 bytes     length of the header, little-endian
    header      JSON: {"__metadata__": {text: text}, name: {"dtype", "shape", "data_offsets": [begin, end]}, ...}
    tensors     one after the other, C order, little-endian, no hole between them and nothing behind the last

As https://huggingface.co/docs/safetensors tells it. Its own library and MLX write from arrays that are all in memory;
a matrix that memory cannot hold is written here block by block. Tensors lie in descending size of their elements behind
a header padded to 8 bytes, so each is aligned to its elements and can be used as it is mapped.
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

HEADER_BYTES = 100_000_000  # no longer header is read, as in the format's own library
# How the elements lie in NumPy; it has no bfloat16, of which the bits are held.
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
    """A tensor to be written: ``blocks`` gives its elements in C order, as arrays of the dtype's NumPy type."""

    name: str
    dtype: str  # one of `DTYPES`
    shape: tuple[int, ...]
    blocks: Callable[[], Iterable[NDArray[Any]]]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


@dataclass(frozen=True)
class Contents:
    """A file that was read: its strings, and its tensors as read-only views of the mapped file."""

    metadata: Mapping[str, str]
    dtypes: Mapping[str, str]
    tensors: Mapping[str, NDArray[Any]]


def write(stream: BinaryIO, tensors: Sequence[Tensor], metadata: Mapping[str, str]) -> None:
    """Write the tensors, given in descending size of their elements, from first to last; nothing is sought back."""
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
    text += b" " * (-len(text) % 8)
    stream.write(struct.pack("<Q", len(text)))
    stream.write(text)
    for tensor in tensors:
        for block in tensor.blocks():
            stream.write(np.ascontiguousarray(block, DTYPES[tensor.dtype]).reshape(-1).view(np.uint8).data)


def read(stream: BinaryIO, file: Path) -> Contents:
    """Map the file that ``stream`` has open; its header is checked, the values are not looked at.

    Args:
        file: its name, for messages.

    Raises:
        CorruptError: it is no safetensors file, or was cut short.
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
    """Return the strings, the tensors, and the byte at which they begin.

    Raises:
        ValueError, KeyError, TypeError: whatever is wrong with it.
    """
    if size < 8:
        raise ValueError(f"it has {size} bytes")
    stream.seek(0)
    (length,) = struct.unpack("<Q", stream.read(8))
    if length > min(size - 8, HEADER_BYTES):
        raise ValueError(f"it says that its header has {length:,} bytes, and has {size:,} itself")
    header = json.loads(stream.read(length).decode(), object_pairs_hook=_once)
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")  # noqa: TRY004 - of the file, not of an argument
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("its metadata are not all text")
    entries = {name: _entry(name, **told) for name, told in header.items()}
    at = 0
    for name, (_, _, first, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if first != at:
            raise ValueError(f"tensor '{name}' begins at byte {first:,}, the one before ends at {at:,}")
        at = end
    if 8 + length + at != size:
        raise ValueError(f"it has {size:,} bytes, and its header tells of {8 + length + at:,}")
    return metadata, entries, 8 + length


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name given twice, of which other readers may take the other one."""
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
        raise ValueError(f"tensor '{name}' is of {dtype}, which this version does not read")
    if end - first != math.prod(shape) * DTYPES[dtype].itemsize:
        raise ValueError(f"tensor '{name}' of {dtype} and shape {shape} cannot be the bytes {first:,} to {end:,}")
    return dtype, tuple(shape), first, end


def bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return the bits of finite ``values`` rounded to bfloat16, to the nearest, of two as near to the even one."""
    bits = values.view(np.uint32)
    return ((bits + (0x7FFF + (bits >> 16 & 1))) >> 16).astype(np.uint16)


def widened(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the float32 values of the bits of bfloat16, which are exactly theirs."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
