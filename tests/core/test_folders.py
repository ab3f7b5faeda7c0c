"""A folder is replaced in one step: who looks for it finds the old one or the new one, whole, at any instant."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from energywh.core import folders
from energywh.core.files import make_folder, write_file
from energywh.core.folders import heal_folder, holding_folder, replacing_folder
from energywh.core.storage_errors import storage_errors
from energywh.errors import StorageError

FILES = ("first.txt", "second.txt", "deep/third.txt")


def fill(folder: Path, text: str) -> None:
    """Replace ``folder`` by one whose files all have the content ``text``."""
    with replacing_folder(folder, ".mark") as new:
        for name in FILES:
            (new / name).parent.mkdir(exist_ok=True)
            (new / name).write_text(text)


def content(folder: Path) -> str:
    """Return the one text that all files of ``folder`` have."""
    (text,) = {(folder / name).read_text() for name in FILES}
    return text


@pytest.fixture(params=["exchange", "link"])
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to replace, on a file system that exchanges two names, and on one that does not."""
    if request.param == "link":
        monkeypatch.setattr(folders, "exchange", lambda one, other: False)
    return tmp_path / "site"


def seen(folder: Path) -> list[str]:
    """Return what lies beside ``folder``, without what a link to it needs."""
    needed = {folder.name, str(folder.readlink()) if folder.is_symlink() else ""}
    return sorted(path.name for path in folder.parent.iterdir() if path.name not in needed)


def test_a_folder_is_replaced_when_whole_and_kept_when_its_writer_fails(site: Path) -> None:
    for text in ("old", "new"):
        fill(site, text)
        assert content(site) == text

    def fail_halfway() -> None:
        with replacing_folder(site, ".mark") as new:
            (new / "first.txt").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_halfway()
    assert content(site) == "new"
    assert seen(site) == []


OPERATIONS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "exchange")


def killed_at(operation: int, folder: Path) -> bool:
    """Replace ``folder`` in a process that is killed before its file operation of this number; return if it was."""
    child = os.fork()
    if child == 0:
        count = 0

        def observe(event: str, arguments: object) -> None:
            nonlocal count
            if event in OPERATIONS:
                if count == operation:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1

        real = folders.exchange

        def observed(one: Path, other: Path) -> bool:  # the system call itself raises no event
            observe("exchange", ())
            return real(one, other)

        folders.exchange = observed
        sys.addaudithook(observe)
        fill(folder, "new")
        os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


def test_a_writer_killed_before_any_file_operation_leaves_the_old_folder_or_the_new_one(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # for speed: a kill loses nothing that was written
    operation = 0
    texts = []
    fill(site, "old")
    while killed_at(operation, site):
        texts.append(content(site))
        heal_folder(site)
        assert seen(site) == []
        assert content(site) == texts[-1]
        fill(site, "old")
        operation += 1
    assert content(site) == "new"
    assert texts == sorted(texts, reverse=True), "once the new one is there, it stays"
    assert set(texts) == {"old", "new"}
    assert operation > 20


def test_what_a_killed_writer_left_is_removed_also_where_its_number_belongs_to_another_process(site: Path) -> None:
    site.parent.joinpath(f".site.{0:08x}.writing").mkdir()
    site.parent.joinpath(".site.copy").mkdir()
    fill(site, "new")
    assert seen(site) == [".site.copy"]


def test_a_folder_that_lost_its_name_between_two_steps_gets_it_back(tmp_path: Path, site: Path) -> None:
    fill(site, "old")
    real = site.resolve()
    if site.is_symlink():
        site.unlink()
    else:
        real.rename(tmp_path / ".site.0123abcd")
    heal_folder(site)
    assert content(site) == "old"


def test_a_folder_of_another_file_system_becomes_a_link_where_names_cannot_be_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    fill(site, "old")
    assert not site.is_symlink()
    with monkeypatch.context() as patch:
        patch.setattr(folders, "exchange", lambda one, other: False)
        fill(site, "linked")
        assert site.is_symlink()
        assert content(site) == "linked"
    fill(site, "new")
    assert not site.is_symlink()
    assert (content(site), seen(site)) == ("new", [])


def test_a_folder_in_a_layer_of_a_container_image_stays_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    fill(site, "old")
    rename = Path.rename

    def refused(self: Path, target: Path) -> Path:
        if self == site:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    monkeypatch.setattr(folders, "exchange", lambda one, other: False)
    with pytest.raises(StorageError, match=f"{site} belongs to a layer of a container image.*move it away"):
        fill(site, "new")
    assert (content(site), seen(site)) == ("old", [])


def test_the_folder_that_a_link_of_someone_else_points_to_is_replaced_where_it_is(tmp_path: Path, site: Path) -> None:
    disk = tmp_path / "other disk"
    disk.mkdir()
    site.symlink_to(disk / "mine")
    for text in ("old", "new"):
        fill(site, text)
        assert site.readlink() == disk / "mine"
        assert content(disk / "mine") == text
    assert seen(disk / "mine") == []


def test_a_reader_keeps_the_folder_it_opened_and_the_next_writer_removes_it(site: Path) -> None:
    fill(site, "old")
    with holding_folder(site) as held:
        fill(site, "new")
        assert sorted(held.names()) == [".mark", *sorted(FILES)]
        for name in FILES:
            with held.open(name) as stream:
                assert stream.read() == b"old"
        assert len(seen(site)) == 1
    fill(site, "newer")
    assert (content(site), seen(site)) == ("newer", [])


def test_a_writer_is_left_alone_by_another_that_heals(site: Path) -> None:
    with replacing_folder(site, ".mark") as new:
        heal_folder(site)
        assert (new / ".mark").exists()


def test_where_folders_cannot_be_locked_the_old_one_goes_at_once_and_leftovers_after_a_day(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    fill(site, "old")
    leftovers = [site.with_name(f".site.{number:08x}.writing") for number in range(2)]
    for folder in leftovers:
        folder.mkdir()
    os.utime(leftovers[0], (0, 0))
    fill(site, "new")
    assert (content(site), seen(site)) == ("new", [leftovers[1].name])
    with holding_folder(site) as held:
        assert ".mark" in held.names()


READER = """
import sys
from pathlib import Path
from energywh.core.folders import holding_folder
folder, stop = Path(sys.argv[1]), Path(sys.argv[2])
reads, texts = 0, set()
while not stop.exists():
    with holding_folder(folder) as held:
        found = set()
        for name in sys.argv[3:]:
            with held.open(name) as stream:
                found.add(stream.read())
    assert len(found) == 1 and b"" not in found, found
    assert (folder / sys.argv[3]).read_bytes(), "empty"
    reads, texts = reads + 1, texts | found
    if reads == 1:
        print("reading", flush=True)
print(reads, len(texts))
"""


@pytest.mark.parametrize("swaps", [150, pytest.param(20_000, marks=pytest.mark.soak)])
def test_a_reader_never_finds_an_empty_or_a_mixed_folder_while_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swaps: int
) -> None:
    site, stop = tmp_path / "site", tmp_path / "stop"
    monkeypatch.setattr(folders, "flush_tree", lambda folder: None)  # for speed: no power is cut here
    monkeypatch.setattr(folders, "flush", lambda path: None)
    fill(site, "first")
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(site), str(stop), *FILES], stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "reading\n"
    for number in range(swaps):
        fill(site, f"{number}")
    stop.touch()
    reads, texts = map(int, reader.communicate(timeout=60)[0].split())
    assert reader.returncode == 0
    assert texts > 5
    assert reads > swaps // 100
    heal_folder(site)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site", "stop"]


def test_folders_and_files_have_the_modes_that_the_umask_gives(site: Path) -> None:
    for umask in (0o002, 0o077):
        before = os.umask(umask)
        try:
            fill(site, "new")
            write_file(site.parent / "single", b"1")
        finally:
            os.umask(before)
        modes = {path.name: path.stat().st_mode & 0o777 for path in (site, site / "deep", site / "first.txt")}
        assert modes == {"site": 0o777 & ~umask, "deep": 0o777 & ~umask, "first.txt": 0o666 & ~umask}
        assert (site.parent / "single").stat().st_mode & 0o777 == 0o666 & ~umask


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


def test_every_file_of_a_folder_reaches_the_disk_before_the_folder_gets_its_name_and_then_the_old_one_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    fill(site, "old")
    steps: list[str] = []
    fsync, exchange, rmtree = os.fsync, folders.exchange, shutil.rmtree

    def named(descriptor: int) -> None:
        steps.append(f"flush {re.sub('[.]site[.].{8}', 'new', Path(f'/proc/self/fd/{descriptor}').readlink().name)}")
        fsync(descriptor)

    def exchanged(one: Path, other: Path) -> bool:
        steps.append("exchange")
        return exchange(one, other)

    def removed(path: Path, **options: bool) -> None:
        steps.append("remove")
        rmtree(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", named)
    monkeypatch.setattr(folders, "exchange", exchanged)
    monkeypatch.setattr(shutil, "rmtree", removed)
    fill(site, "new")
    files = [f"flush {name}" for name in (".mark", "deep", "first.txt", "new.writing", "second.txt", "third.txt")]
    assert sorted(steps[:6]) == files
    assert steps[6:] == ["exchange", f"flush {tmp_path.name}", "remove"]


def test_the_names_of_new_folders_reach_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(os.fstat(descriptor).st_ino))
    make_folder(tmp_path / "a" / "b")
    assert sorted(flushed) == sorted([tmp_path.stat().st_ino, (tmp_path / "a").stat().st_ino])
    make_folder(tmp_path / "a" / "b")
    assert len(flushed) == 2
