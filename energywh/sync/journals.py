"""Journals: which payloads a landing took, and when they were fetched."""

from __future__ import annotations

import contextlib
import hashlib
from datetime import datetime

import msgspec

from energywh.sync.packs import Member

JOURNALS = "journal"


class JournalEntry(msgspec.Struct, frozen=True):
    """One answered chunk. Hours are counted by their start, both ends inclusive; times are naive UTC."""

    dataset: str
    slice: str
    first_hour_utc: datetime
    last_hour_utc: datetime
    fetched_at_utc: datetime
    attempts: int
    payloads: tuple[str, ...]


class Journal(msgspec.Struct, frozen=True):
    """What one landing took."""

    landing_id: int
    landed_at_utc: datetime
    entries: tuple[JournalEntry, ...]

    def encode(self) -> tuple[str, bytes]:
        """Return its name, such as `journal/0000000012-20261105T101500.000000-0a1b2c3d.json`, and its content.

        The last part of the name proves the content.
        """
        content = msgspec.json.encode(self)
        name = f"{self.landing_id:010d}-{self.landed_at_utc:%Y%m%dT%H%M%S.%f}-{_digest(content)}.json"
        return name, content


def read_journal(name: str, member: Member) -> Journal | None:
    """Return a journal; None if it is damaged."""
    try:
        content = member.content()
    except OSError:
        return None
    parts = name.rpartition("/")[2].removesuffix(".json").split("-")
    if len(parts) == 3 and _digest(content) != parts[2]:  # those of the first versions have two parts
        return None
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(content, type=Journal)
    return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8]
