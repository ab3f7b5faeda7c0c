"""Read what is kept of payloads: packs, single files, and journals."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from energywh.core.schema_number import folder_number
from energywh.core.time import EPOCH
from energywh.errors import CorruptError
from energywh.sync.journals import JOURNALS, Journal, read_journal
from energywh.sync.packs import PACK, Member, scan

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = 2  # of the folder of payloads
DAY = "%Y-%m-%d"  # names the folder of a UTC day
_ANY_DAY = "[0-9]" * 4 + "-[0-9][0-9]-[0-9][0-9]"


@dataclass(frozen=True)
class Damage:
    """A part of the payloads that cannot be read: where, and what is wrong with it."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class PayloadIndex:
    """Where each payload and journal is, by name, such as `eia.region_data/<sha-256>.zst`. For one thread.

    Attributes:
        members: of several copies of one payload, the one written last is last.
        damages: parts of packs, and packs, that cannot be read.
    """

    def __init__(self) -> None:
        self.members: dict[str, list[Member]] = {}
        self.damages: list[Damage] = []

    @classmethod
    def of(cls, folder: Path) -> PayloadIndex:
        """Return what is kept in the folder of payloads.

        Raises:
            StorageError: a newer energywh wrote it.
        """
        folder_number(folder, SCHEMA)
        found = cls()
        found.add_folder(folder)
        return found

    def add_folder(self, folder: Path) -> None:
        """Add what is kept in the folder of payloads."""
        for day in days(folder):
            with contextlib.suppress(FileNotFoundError):  # a sync prunes it meanwhile
                self.add_day(day)
        for file in folder.glob("*/[0-9a-f][0-9a-f]/*.zst"):
            self._add_file(f"{file.parent.parent.name}/{file.name}", file)
        for file in sorted((folder / JOURNALS).glob("*.json")):
            self._add_file(f"{JOURNALS}/{file.name}", file)

    def add_day(self, day: Path) -> None:
        """Add what is kept in the folder of a day."""
        for pack in sorted(day.glob(f"*{PACK}")):
            self.add_pack(pack)
        for file in sorted(day.glob("*/*.zst")):
            self._add_file(f"{file.parent.name}/{file.name}", file)

    def add(self, name: str, member: Member) -> None:
        """Add a copy of a payload, or a journal."""
        self.members.setdefault(name, []).append(member)

    def _add_file(self, name: str, file: Path) -> None:
        """Add a file of its own."""
        with contextlib.suppress(FileNotFoundError):  # a sync prunes it meanwhile
            state = file.stat()
            self.add(name, Member(file, 0, state.st_size, EPOCH + timedelta(seconds=int(state.st_mtime))))

    def add_pack(self, pack: Path) -> int | None:
        """Add what is in a pack; return its length where it can be appended to."""
        try:
            found = scan(pack)
        except OSError as error:
            self.damages.append(Damage(str(pack), f"cannot be read ({error.strerror or error})"))
            return None
        for name, member in found.members:
            self.add(name, member)
        for at, size in found.holes:
            self.damages.append(Damage(f"{pack}, byte {at:,}", f"{size:,} bytes are damaged"))
        return found.end if found.whole else None

    def file(self, dataset: str, payload_id: str) -> Path:
        """Return the file of a payload that has a file of its own, zstd; its content is not checked.

        Raises:
            FileNotFoundError: it was pruned, or never kept.
        """
        for member in reversed(self.members.get(payload_name(dataset, payload_id), ())):
            if member.offset == 0 and member.file.exists():
                return member.file
        raise FileNotFoundError(f"payload {payload_id} of {dataset}")

    def read(self, dataset: str, payload_id: str) -> bytes:
        """Return the body.

        Raises:
            FileNotFoundError: it was pruned, or never kept.
            CorruptError: the bytes are not those that were kept.
        """
        fault = None
        for member in reversed(self.members.get(payload_name(dataset, payload_id), ())):
            try:
                body = _unpacked(member)
            except FileNotFoundError:
                continue
            except OSError as error:
                fault = fault or Damage(member.where, f"it cannot be unpacked ({error})")
                continue
            if hashlib.sha256(body).hexdigest() == payload_id:
                return body
            fault = fault or Damage(member.where, "its content does not match its name")
        if fault is None:
            raise FileNotFoundError(f"payload {payload_id} of {dataset}")
        raise CorruptError(f"payload {payload_id} of {dataset} in {fault}")

    def has(self, dataset: str, payload_id: str) -> bool:
        """Return whether the payload is still kept."""
        members = self.members.get(payload_name(dataset, payload_id), ())
        return any(member.offset or member.file.exists() for member in members)

    def verify(self, name: str) -> Damage | None:
        """Return what is wrong with the newest copy of a payload or journal; None if any copy is whole."""
        stem = name.rpartition("/")[2].partition(".")[0]
        fault = None
        for member in reversed(self.members[name]):
            if name.startswith(f"{JOURNALS}/"):
                fault = None if read_journal(name, member) else "cannot be decoded"
            else:
                fault = fault_of(member, stem)
            if fault is None:
                return None
        return Damage(self.members[name][-1].where, f"{name} {fault}")

    def journals(self) -> dict[str, Journal]:
        """Return the journals by name, in the order of landing; a damaged one is added to `damages` instead.

        A new staging file numbers its landings from 1 again, so only their time gives the order.
        """
        found: dict[str, Journal] = {}
        for path, members in self.members.items():
            folder, _, name = path.partition("/")
            if folder != JOURNALS:
                continue
            journal = next(
                (each for each in (read_journal(name, member) for member in reversed(members)) if each), None
            )
            if journal is not None:
                found[name] = journal
            else:
                self.damages.append(Damage(members[-1].where, f"the journal {name} is damaged"))
        return dict(sorted(found.items(), key=lambda item: (item[1].landed_at_utc, item[1].landing_id)))


def days(folder: Path) -> list[Path]:
    """Return the folders of days, oldest first."""
    return sorted(day for day in folder.glob(_ANY_DAY) if day.is_dir())


def days_before(folder: Path, moment: datetime) -> list[Path]:
    """Return the folders of days that ended by ``moment`` (naive UTC), oldest first."""
    found = []
    for day in days(folder):
        with contextlib.suppress(ValueError):  # a name such as 2026-99-99
            if datetime.strptime(day.name, DAY) <= moment - timedelta(days=1):
                found.append(day)
    return found


def payload_name(dataset: str, payload_id: str) -> str:
    """Return the name of a payload in an index, and its path in the folder of a day."""
    return f"{dataset}/{payload_id}.zst"


def _stream(member: Member) -> pa.CompressedInputStream:
    import pyarrow as pa

    if member.offset:
        return pa.CompressedInputStream(pa.BufferReader(member.content()), "zstd")
    return pa.CompressedInputStream(pa.OSFile(str(member.file)), "zstd")


def _unpacked(member: Member) -> bytes:
    with _stream(member) as stream:
        body: bytes = stream.read()
    return body


def fault_of(member: Member, payload_id: str) -> str | None:
    """Return what is wrong with a payload; None if it is whole."""
    digest = hashlib.sha256()
    try:
        with _stream(member) as stream:
            while piece := stream.read(2**20):
                digest.update(piece)
    except OSError as error:
        return f"cannot be unpacked ({error})"
    return None if digest.hexdigest() == payload_id else "does not match its name"
