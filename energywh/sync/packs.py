"""Packs: tar files of the payloads and journals of one UTC day, which only grow at their end.

    payloads/2026-11-05/101500-3f2a9c1b.tar
        eia.region_data/<sha-256 of the body>.zst
        journal/<landing>-<time>-<sha-256 of the content, 8 digits>.json

A process appends to a pack that no other holds and whose end is whole, else to a new one. What was written is never
changed, so a kill or a power cut can only leave an unfinished member at the end, which readers leave out.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from energywh.core.files import flush, flush_open
from energywh.core.time import EPOCH

PACK = ".tar"
_BLOCK = tarfile.BLOCKSIZE
_MAGIC = b"ustar"
_MAGIC_AT = 257
_STRETCH = 2**20  # bytes read at once in search of the next member, a multiple of the block


@dataclass(frozen=True, slots=True)
class Member:
    """A file within a pack, or a file of its own (``offset`` 0): ``size`` bytes from ``offset`` on."""

    file: Path
    offset: int
    size: int
    kept_at_utc: datetime

    @property
    def where(self) -> str:
        """Where it is, for messages."""
        return f"{self.file}, byte {self.offset:,}" if self.offset else str(self.file)

    def content(self) -> bytes:
        """Return the bytes.

        Raises:
            OSError: they cannot be read.
        """
        with self.file.open("rb") as stream:
            stream.seek(self.offset)
            return stream.read(self.size)


@dataclass
class Scan:
    """The members of a pack in the order of writing, and where it is damaged.

    Attributes:
        holes: first byte and length of each part that is no member, with members behind it.
        end: length up to the end of the last whole member.
        torn: behind it is an unfinished member, which a kill or a power cut left, and not a damaged one.
    """

    members: list[tuple[str, Member]] = field(default_factory=list)
    holes: list[tuple[int, int]] = field(default_factory=list)
    end: int = 0
    size: int = 0
    torn: bool = False

    @property
    def whole(self) -> bool:
        """Whether the pack ends with a whole member."""
        return self.end == self.size


def scan(pack: Path, start: int = 0) -> Scan:
    """Return what is in a pack from byte ``start`` on, where a member begins; contents are not read.

    Raises:
        OSError: the pack cannot be read.
    """
    found = Scan(end=start)
    with pack.open("rb", buffering=0) as stream:
        found.size = os.fstat(stream.fileno()).st_size
        at = start
        while at < found.size:
            header = os.pread(stream.fileno(), _BLOCK, at)
            member = _member(pack, header, at)
            if member is None or member[1].offset + _padded(member[1].size) > found.size:
                behind = _next_member(stream.fileno(), at + _BLOCK, found.size)
                if behind is None:
                    # Zeros are what a power cut leaves of content that did not reach the disk.
                    found.torn = member is not None or len(header) < _BLOCK or not any(header)
                    break
                found.holes.append((at, behind - at))
                at = behind
                continue
            found.members.append(member)
            at = found.end = member[1].offset + _padded(member[1].size)
    return found


def _member(pack: Path, header: bytes, at: int) -> tuple[str, Member] | None:
    """Return the member whose header this is; None if it is no header."""
    if len(header) < _BLOCK or header[_MAGIC_AT : _MAGIC_AT + 5] != _MAGIC:
        return None
    try:
        # The checksum counts its own field as eight blanks.
        if int(header[148:155].strip(b"\0 "), 8) != sum(header) - sum(header[148:156]) + 256:
            return None
        size, kept_at = int(header[124:135], 8), int(header[136:147], 8)
        name = header[:100].rstrip(b"\0").decode()
    except ValueError:
        return None
    return name, Member(pack, at + _BLOCK, size, datetime.fromtimestamp(kept_at, UTC).replace(tzinfo=None))


def _next_member(descriptor: int, at: int, size: int) -> int | None:
    """Return where the next whole member begins, from ``at`` on."""
    while at < size:
        stretch = os.pread(descriptor, _STRETCH, at)
        for block in range(0, len(stretch), _BLOCK):
            if stretch[block + _MAGIC_AT : block + _MAGIC_AT + 5] == _MAGIC:
                member = _member(Path(), stretch[block : block + _BLOCK], at + block)
                if member is not None and member[1].offset + _padded(member[1].size) <= size:
                    return at + block
        at += len(stretch) or size
    return None


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


class PackWriter:
    """Appends to one pack, which it holds until it is closed. Not for several threads at once."""

    def __init__(self, pack: Path, descriptor: int, end: int) -> None:
        self.pack = pack
        self._descriptor = descriptor
        self._end = end

    @classmethod
    def new(cls, folder: Path, now: datetime) -> PackWriter:
        """Begin a new pack in a folder that exists.

        Raises:
            OSError: it cannot be written.
        """
        pack = folder / f"{now:%H%M%S}-{uuid.uuid4().hex[:8]}{PACK}"
        descriptor = os.open(pack, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        _lock(descriptor)
        flush(folder)
        return cls(pack, descriptor, 0)

    @classmethod
    def append_to(cls, pack: Path, end: int) -> PackWriter | None:
        """Take up a pack of ``end`` bytes; None where another process holds it, or wrote to it since.

        Raises:
            OSError: it cannot be written.
        """
        descriptor = os.open(pack, os.O_RDWR)
        if _lock(descriptor) and os.fstat(descriptor).st_size == end:
            return cls(pack, descriptor, end)
        os.close(descriptor)
        return None

    def append(self, name: str, content: bytes, now: datetime) -> Member:
        """Write a member at the end; it is on the disk after `flush`.

        Raises:
            OSError: it cannot be written (disk full); nothing of it is left.
        """
        header = tarfile.TarInfo(name)
        header.size, header.mtime = len(content), int((now - EPOCH).total_seconds())
        start = self._end
        rest = memoryview(
            b"".join((header.tobuf(tarfile.USTAR_FORMAT), content, bytes(_padded(len(content)) - len(content))))
        )
        try:
            while rest:
                written = os.pwrite(self._descriptor, rest, self._end)
                self._end += written
                rest = rest[written:]
        except OSError:
            self._end = start
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, start)
            raise
        return Member(self.pack, start + _BLOCK, len(content), now.replace(microsecond=0))

    def flush(self) -> None:
        """Write what was appended from the system's memory to the disk.

        Raises:
            OSError: it cannot be written.
        """
        flush_open(self._descriptor)

    def close(self) -> None:
        """Give the pack up."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextlib.contextmanager
def held(pack: Path) -> Iterator[bool]:
    """Hold a pack; yield False where another process appends to it, or the file system has no locks.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(pack, os.O_RDONLY)
    try:
        yield _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock an open pack until it is closed; return whether that was possible."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process holds it, or the file system has no locks: each process has packs of its own then
        return False
    return True
