"""Zips from outside: complete ones are read, others are rejected before they do harm."""

from __future__ import annotations

import contextlib
import random
import struct
import tracemalloc
import zipfile

import pytest

from energywh.errors import PayloadError
from energywh.sources.zipped import ZipMember, read_zip
from tests.support.oasis import zip_of

TEXT = "a,b\n" + "1,2\n" * 1000
WHOLE = zip_of({"one.csv": TEXT})


def read(body: bytes, max_files: int = 1, max_bytes: int = 2**26) -> list[ZipMember]:
    return read_zip(body, max_files=max_files, max_bytes=max_bytes)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_the_one_file_of_a_zip_is_read(compression: int) -> None:
    assert read(zip_of({"one.csv": TEXT}, compression)) == [ZipMember("one.csv", TEXT.encode())]


def test_folders_in_a_zip_are_no_files() -> None:
    assert [member.name for member in read(zip_of({"folder/": "", "folder/one.csv": TEXT}))] == ["folder/one.csv"]


@pytest.mark.parametrize(
    ("files", "said"),
    [({}, "without a file"), ({"one.csv": TEXT, "two.csv": TEXT}, r"2 files \(one.csv, two.csv\), where 1 at most")],
)
def test_another_number_of_files_than_expected_is_refused(files: dict[str, str], said: str) -> None:
    with pytest.raises(PayloadError, match=said):
        read(zip_of(files))


@pytest.mark.parametrize("size", [len(WHOLE) // 2, len(WHOLE) - 1, 30, 4, 0])
def test_a_zip_that_breaks_off_is_refused(size: int) -> None:
    with pytest.raises(PayloadError, match="not a whole zip"):
        read(WHOLE[:size])


@pytest.mark.parametrize("place", range(40, 60))
def test_a_zip_with_a_byte_changed_is_refused(place: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[place] ^= 0xFF
    with pytest.raises(PayloadError):
        read(bytes(damaged))


def test_a_bomb_is_refused_by_its_ratio_without_being_unpacked() -> None:
    body = zip_of({"bomb.csv": b"\0" * 2**26})
    tracemalloc.start()
    with pytest.raises(PayloadError, match=r"unpacks [\d,]+ bytes to 67,108,864 \(bomb.csv\)"):
        read(body, max_bytes=2**30)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**22


def test_more_bytes_than_can_be_wanted_are_refused() -> None:
    with pytest.raises(PayloadError, match=r"a zip of 4,004 bytes unpacked \(one.csv\), where 1,000 are the most"):
        read(WHOLE, max_bytes=1000)


def test_a_bomb_that_understates_its_size_is_not_unpacked_beyond_it() -> None:
    body = zip_of({"bomb.csv": b"\0" * 2**26})
    lie = body.replace(struct.pack("<I", 2**26), struct.pack("<I", 1000))
    assert lie != body
    tracemalloc.start()
    with pytest.raises(PayloadError, match="not a whole zip"):
        read(lie)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**24


def test_whatever_zipfile_raises_is_a_payload_error() -> None:
    """ValueError of a negative seek, LZMAError, IndexError, UnicodeDecodeError, NotImplementedError …"""
    draw = random.Random(5)
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        body = zip_of({"a.csv": "1,2\n" * 40}, compression)
        for cut in range(len(body)):
            with pytest.raises(PayloadError):
                read(body[cut + 1 :])
        for _ in range(1000):
            harmed = bytearray(body)
            for _ in range(draw.randint(1, 6)):
                harmed[draw.randrange(len(harmed))] = draw.randrange(256)
            with contextlib.suppress(PayloadError):
                read(bytes(harmed))
