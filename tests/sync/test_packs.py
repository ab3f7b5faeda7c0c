"""Payloads packed by day: nothing half-written is read, nothing whole is lost, and a day is removed in one piece."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from energywh.errors import CorruptError, StorageError
from energywh.sync.journals import Journal, JournalEntry
from energywh.sync.packs import PACK, scan
from energywh.sync.payload_index import PayloadIndex
from energywh.sync.payloads import PayloadStore
from tests.support.packs import overwrite, packs

NAME = "eia.region_data"
NOON = datetime(2026, 11, 5, 12)
BODIES = [f'{{"body": {number}}}'.encode() * (100 * number + 1) for number in range(5)]


def store_at(folder: Path, now: datetime = NOON) -> PayloadStore:
    return PayloadStore(folder, lambda: now)


def keep(folder: Path, bodies: list[bytes], now: datetime = NOON) -> list[str]:
    """Keep bodies and a journal of them, as one process does."""
    store = store_at(folder, now)
    names = [store.keep(NAME, body) for body in bodies]
    store.write_journal(journal(*names, now=now))
    store.close()
    return names


def journal(*payloads: str, now: datetime = NOON) -> Journal:
    return Journal(1, now, (JournalEntry(NAME, "CISO", now, now, now, 1, payloads),))


def readable(folder: Path) -> list[bytes]:
    """Return the bodies that can be read, in the order of BODIES."""
    index = PayloadIndex.of(folder)
    return [body for body in BODIES if index.has(NAME, sha(body)) and index.read(NAME, sha(body)) == body]


def sha(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def test_a_pack_cut_at_any_byte_gives_every_whole_payload_and_is_not_appended_to(tmp_path: Path) -> None:
    keep(tmp_path / "made", BODIES)
    (pack,) = packs(tmp_path / "made")
    content = pack.read_bytes()
    ends = [member.offset + member.size for _, member in scan(pack).members]
    for length in [*range(0, len(content), 97), *ends, *(end - 1 for end in ends)]:
        folder = tmp_path / "cut"
        cut = folder / pack.relative_to(tmp_path / "made")
        cut.parent.mkdir(parents=True)
        cut.write_bytes(content[:length])
        found = scan(cut)
        whole = sum(-(-end // 512) * 512 <= length for end in ends)
        assert (len(found.members), found.holes) == (whole, [])
        assert readable(folder) == BODIES[:whole]
        keep(folder, BODIES)
        assert readable(folder) == BODIES
        assert cut.read_bytes()[:length] == content[:length]
        assert len(packs(folder)) == (1 if found.whole else 2)
        shutil.rmtree(folder)


def test_one_harmed_header_or_body_costs_that_payload_alone_and_is_told(tmp_path: Path) -> None:
    names = keep(tmp_path, BODIES)
    (pack,) = packs(tmp_path)
    members = scan(pack).members
    overwrite(members[3][1], b"not zstd")
    index = PayloadIndex.of(tmp_path)
    with pytest.raises(CorruptError, match=rf"payload {names[3]} .*{pack.name}, byte {members[3][1].offset:,}"):
        index.read(NAME, names[3])
    assert index.verify(members[3][0]) is not None
    with pack.open("r+b") as stream:
        stream.seek(members[1][1].offset - 400)
        stream.write(b"?")
    index = PayloadIndex.of(tmp_path)
    assert [damage.where for damage in index.damages] == [f"{pack}, byte {members[1][1].offset - 512:,}"]
    assert [index.has(NAME, name) for name in names] == [True, False, True, True, True]
    assert len(index.journals()) == 1
    # what comes again is kept beside the harmed copies, and read from there
    keep(tmp_path, BODIES)
    assert readable(tmp_path) == BODIES
    assert len(packs(tmp_path)) == 1


def test_a_journal_with_a_changed_digit_is_told_and_left_out(tmp_path: Path) -> None:
    keep(tmp_path, BODIES[:1])
    ((name, member),) = [each for each in scan(packs(tmp_path)[0]).members if each[0].startswith("journal/")]
    overwrite(member, b'{"landing_id":7')
    index = PayloadIndex.of(tmp_path)
    assert index.journals() == {}
    assert [(damage.where, name.rpartition("/")[2] in damage.what) for damage in index.damages] == [
        (member.where, True)
    ]


def test_each_process_has_a_pack_of_its_own_and_the_next_one_goes_on_with_one_of_them(tmp_path: Path) -> None:
    first, second = store_at(tmp_path), store_at(tmp_path)
    first.keep(NAME, BODIES[0])
    second.keep(NAME, BODIES[1])
    assert len(packs(tmp_path)) == 2
    first.keep(NAME, BODIES[2])
    first.close()
    second.close()
    keep(tmp_path, BODIES)
    assert len(packs(tmp_path)) == 2
    assert readable(tmp_path) == BODIES
    assert sum(not name.startswith("journal") for pack in packs(tmp_path) for name, _ in scan(pack).members) == 5


def test_a_killed_process_leaves_what_it_kept_and_no_lock(tmp_path: Path) -> None:
    victim = (
        "import os, pathlib, sys; from energywh.sync.payloads import PayloadStore;"
        "store = PayloadStore(pathlib.Path(sys.argv[1])); store.keep('eia.region_data', b'one');"
        "pack = store._writer; pack.flush(); os.pwrite(pack._descriptor, b'torn', pack._end); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", victim, str(tmp_path)], check=False)
    assert PayloadIndex.of(tmp_path).read(NAME, sha(b"one")) == b"one"
    keep(tmp_path, BODIES, datetime.strptime(packs(tmp_path)[0].parent.name, "%Y-%m-%d"))
    assert readable(tmp_path) == BODIES


def test_a_full_disk_leaves_no_part_of_a_payload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_at(tmp_path)
    store.keep(NAME, BODIES[0])
    before = packs(tmp_path)[0].read_bytes()
    really = os.pwrite

    def fill(descriptor: int, content: bytes, at: int) -> int:
        if at % 512:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return really(descriptor, content[:100], at)

    monkeypatch.setattr("energywh.sync.packs.os.pwrite", fill)
    with pytest.raises(StorageError, match="no room on the disk"):
        store.keep(NAME, BODIES[1])
    monkeypatch.undo()
    assert packs(tmp_path)[0].read_bytes() == before
    store.keep(NAME, BODIES[1])
    store.close()
    assert readable(tmp_path) == BODIES[:2]


def test_a_day_goes_as_a_whole_and_only_once_all_of_it_is_old(tmp_path: Path) -> None:
    for day in range(3):
        keep(tmp_path, BODIES[day : day + 1], NOON + timedelta(days=day))
    incoming = tmp_path / "incoming"
    incoming.write_bytes(bytes(pa.compress(BODIES[4], "zstd", asbytes=True)))
    store_at(tmp_path).place(NAME, sha(BODIES[4]), incoming)
    assert readable(tmp_path) == [*BODIES[:3], BODIES[4]]
    store = store_at(tmp_path)
    assert store.prune(datetime(2026, 11, 5, 23)) == 0
    assert store.prune(datetime(2026, 11, 6, 1)) == 2
    assert readable(tmp_path) == BODIES[1:3]
    assert store.prune(datetime.max) == 2
    assert list(tmp_path.glob(f"*/*{PACK}")) == []


def test_payloads_of_the_first_versions_in_files_of_their_own_are_read_until_they_are_old(tmp_path: Path) -> None:
    name = sha(BODIES[0])
    file = tmp_path / NAME / name[:2] / f"{name}.zst"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(pa.compress(BODIES[0], "zstd", asbytes=True)))
    old = tmp_path / "journal" / f"0000000001-{NOON:%Y%m%dT%H%M%S.%f}.json"
    old.parent.mkdir()
    old.write_bytes(journal(name).encode()[1])
    keep(tmp_path, BODIES[1:2], NOON + timedelta(days=1))
    assert readable(tmp_path) == BODIES[:2]
    listed = PayloadIndex.of(tmp_path).journals()
    assert [each.entries[0].payloads for each in listed.values()] == [(name,), (sha(BODIES[1]),)]
    assert next(iter(listed)) == old.name
    for each in (file, old):
        os.utime(each, (NOON.timestamp(),) * 2)
    assert store_at(tmp_path).prune(NOON + timedelta(days=1)) == 2
    assert not file.parent.exists()
    assert readable(tmp_path) == BODIES[1:2]


def test_a_payload_that_is_pruned_while_an_index_is_made_is_left_out(tmp_path: Path) -> None:
    keep(tmp_path, BODIES[:1])
    for place in (f"2026-11-05/{NAME}", f"{NAME}/ab", "journal"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        # Listed, and gone when it is looked at.
        (tmp_path / place / f"{sha(BODIES[1])}.{'json' if place == 'journal' else 'zst'}").symlink_to(tmp_path / "gone")
    assert readable(tmp_path) == BODIES[:1]


def test_a_folder_of_the_last_day_there_is_does_not_stop_pruning(tmp_path: Path) -> None:
    keep(tmp_path, BODIES[:1])
    (tmp_path / "9999-12-31").mkdir()
    store_at(tmp_path).prune(NOON + timedelta(days=1, hours=12))
    assert packs(tmp_path) == []
