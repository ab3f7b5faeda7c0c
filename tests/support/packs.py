"""Look into the packs of a home's payloads, and harm them."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Collection
from pathlib import Path

from energywh.sync.journals import JOURNALS, Journal
from energywh.sync.packs import Member, scan
from energywh.sync.payload_index import PayloadIndex


def packs(payloads: Path) -> list[Path]:
    """Return the packs, oldest first."""
    return sorted(payloads.glob("*/*.tar"))


def journals(payloads: Path) -> list[tuple[str, Journal]]:
    """Return the journals by name, in the order of landing."""
    return list(PayloadIndex.of(payloads).journals().items())


def bodies(payloads: Path, dataset: str = "") -> list[Member]:
    """Return the payloads in packs, of one dataset or of all."""
    members = [each for pack in packs(payloads) for each in scan(pack).members]
    return [member for name, member in members if name.startswith(dataset) and not name.startswith(JOURNALS)]


def drop(payloads: Path, names: Collection[str]) -> None:
    """Rewrite the packs without these members, names of journals and `eia.region_data/….zst`."""
    for pack in packs(payloads):
        kept = [
            (name, member.content())
            for name, member in scan(pack).members
            if name.removeprefix(f"{JOURNALS}/") not in names
        ]
        state = pack.stat()
        with tarfile.open(pack, "w", format=tarfile.USTAR_FORMAT) as out:
            for name, content in kept:
                header = tarfile.TarInfo(name)
                header.size, header.mtime = len(content), int(state.st_mtime)
                out.addfile(header, io.BytesIO(content))
        os.truncate(pack, scan(pack).end)


def overwrite(member: Member, content: bytes) -> None:
    """Write over the first bytes of a member."""
    with member.file.open("r+b") as stream:
        stream.seek(member.offset)
        stream.write(content)
