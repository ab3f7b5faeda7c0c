"""Files are written completely or not at all."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from energywh.core.files import replace_link, replacing, replacing_folder, write_file
from energywh.core.storage_errors import storage_errors
from energywh.errors import StorageError


def test_a_file_is_replaced_when_whole_and_kept_when_its_writer_fails(tmp_path: Path) -> None:
    file = tmp_path / "answer.csv"
    for text in ("old", "new"):
        with replacing(file) as temporary:
            temporary.write_text(text)
            assert temporary.parent == tmp_path
            assert temporary.name.startswith(".answer.csv.")
        assert file.read_text() == text

    def fail_halfway() -> None:
        with replacing(file) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_halfway()
    assert [path.name for path in tmp_path.iterdir()] == ["answer.csv"]
    assert file.read_text() == "new"


def test_a_folder_is_replaced_when_whole_and_kept_when_its_writer_fails(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    for text in ("old", "new"):
        with replacing_folder(folder, ".mark") as temporary:
            (temporary / "page.html").write_text(text)
        assert (folder / "page.html").read_text() == text

    def fail_halfway() -> None:
        with replacing_folder(folder, ".mark") as temporary:
            (temporary / "page.html").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_halfway()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    assert (folder / "page.html").read_text() == "new"


KILLED = """
import os, sys
from pathlib import Path
from energywh.core.files import replacing_folder
rename = Path.rename
def once(self, target):
    rename(self, target)
    os._exit(9)
Path.rename = once
with replacing_folder(Path(sys.argv[1]), ".mark") as temporary:
    (temporary / "page.html").write_text("new")
"""


def test_a_folder_whose_writer_is_killed_between_two_renames_is_put_back_by_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    with replacing_folder(folder, ".mark") as temporary:
        (temporary / "page.html").write_text("old")
    assert subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False, timeout=60).returncode == 9
    assert not folder.exists()
    living = tmp_path / f".site.{os.getpid()}-other.writing"
    living.mkdir()
    with replacing_folder(folder, ".mark"):
        assert (folder / "page.html").read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [living, folder]


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(StorageError, match="holds something else"), replacing_folder(tmp_path, ".mark"):
        pass
    with pytest.raises(StorageError, match="holds something else"), replacing_folder(tmp_path / "thesis.txt", ".mark"):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("way", [partial(storage_errors, "write"), lambda place: replacing_folder(place, ".mark")])
def test_a_full_disk_is_reported_with_the_name_of_what_did_not_fit(
    tmp_path: Path, way: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    with (
        pytest.raises(StorageError, match=f"cannot write {tmp_path / 'new'}: no room on the disk"),
        way(tmp_path / "new"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_file_reaches_the_disk_before_its_name_and_the_name_before_the_writer_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def flushed(descriptor: int) -> None:
        steps.append("folder" if os.fstat(descriptor).st_ino == tmp_path.stat().st_ino else "content")
        fsync(descriptor)

    def renamed(self: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", renamed)
    write_file(tmp_path / "answer.csv", b"1")
    assert steps == ["content", "rename", "folder"]
    steps.clear()
    replace_link(tmp_path / "newest", Path("answer.csv"))
    assert steps == ["rename", "folder"]
    assert (tmp_path / "newest").read_bytes() == b"1"


def test_every_file_of_a_folder_reaches_the_disk_before_the_folder_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: set[int] = set()
    at_rename: list[set[int]] = []
    fsync, rename = os.fsync, Path.rename

    def flush(descriptor: int) -> None:
        flushed.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def renamed(self: Path, target: Path) -> Path:
        at_rename.append(set(flushed))
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(Path, "rename", renamed)
    with replacing_folder(tmp_path / "site", ".mark") as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / "page.html").write_text("new")
    wanted = {path.stat().st_ino for path in (tmp_path / "site").rglob("*")} | {(tmp_path / "site").stat().st_ino}
    assert [wanted <= each for each in at_rename] == [True]
    assert tmp_path.stat().st_ino in flushed
