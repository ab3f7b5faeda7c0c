"""How much of a file shares its blocks with other files, such as clones on XFS, btrfs and APFS."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

_FIEMAP = 0xC020660B  # linux/fs.h: FS_IOC_FIEMAP
_SHARED = 0x2000  # linux/fiemap.h: FIEMAP_EXTENT_SHARED
_LAST = 0x1  # FIEMAP_EXTENT_LAST
_HEADER = struct.Struct("=QQIIII")
_EXTENT = struct.Struct("=QQQQQIIII")
_AT_ONCE = 512  # extents


def shared_bytes(file: Path) -> int | None:
    """Return the bytes that a file shares with others; None where the system does not say."""
    if sys.platform != "linux":
        return None
    import fcntl

    shared = start = 0
    try:
        with file.open("rb") as stream:
            while True:
                request = bytearray(_HEADER.size + _AT_ONCE * _EXTENT.size)
                _HEADER.pack_into(request, 0, start, 2**63 - 1, 0, 0, _AT_ONCE, 0)
                fcntl.ioctl(stream.fileno(), _FIEMAP, request)
                mapped = _HEADER.unpack_from(request)[3]
                for number in range(mapped):
                    logical, _, length, _, _, flags, *_ = _EXTENT.unpack_from(
                        request, _HEADER.size + number * _EXTENT.size
                    )
                    shared += length if flags & _SHARED else 0
                    start = logical + length
                    if flags & _LAST:
                        return shared
                if not mapped:
                    return shared
    except OSError:
        return None
