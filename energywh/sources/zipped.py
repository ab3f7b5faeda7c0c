"""Zips that come from outside, read in memory within limits: what they say of themselves is not believed."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

from energywh.core.printable import printable
from energywh.errors import PayloadError

MOST_RATIO = 200  # real CSV of a grid shrinks to a 24th at most (recorded); a bomb to a thousandth
SMALL_BYTES = 2**20  # below it, how well a file was packed does not matter


@dataclass(frozen=True)
class ZipMember:
    """One file of a zip."""

    name: str
    content: bytes


def read_zip(body: bytes, *, max_files: int, max_bytes: int) -> list[ZipMember]:
    """Return the files of a zip.

    Args:
        max_files: more files are refused.
        max_bytes: of all files together, unpacked. Nothing is unpacked of a zip that says it holds more, and no
            file beyond the size that it says it has.

    Raises:
        PayloadError: it is no whole zip, or is beyond a limit.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            files = [file for file in archive.infolist() if not file.is_dir()]
            names = ", ".join(file.filename[:80] for file in files[:4])
            if not files:
                raise PayloadError("a zip without a file")
            if len(files) > max_files:
                raise PayloadError(f"a zip of {len(files)} files ({names}), where {max_files} at most are expected")
            size = sum(file.file_size for file in files)
            if size > max_bytes:
                raise PayloadError(f"a zip of {size:,} bytes unpacked ({names}), where {max_bytes:,} are the most")
            for file in files:
                if file.file_size > SMALL_BYTES and file.file_size > MOST_RATIO * max(file.compress_size, 1):
                    raise PayloadError(
                        f"a zip that unpacks {file.compress_size:,} bytes to {file.file_size:,} ({file.filename[:80]})"
                    )
            return [ZipMember(file.filename, _unpacked(archive, file)) for file in files]
    except PayloadError:
        raise
    except (
        Exception
    ) as error:  # zipfile lets through what its parts raise: ValueError, IndexError, LZMAError, struct.error
        raise PayloadError(f"not a whole zip ({printable(error) or type(error).__name__})") from None


def _unpacked(archive: zipfile.ZipFile, file: zipfile.ZipInfo) -> bytes:
    """Return the content; its checksum is checked at its end. Without a size, all that is packed would be unpacked."""
    with archive.open(file) as stream:
        return stream.read(file.file_size)
