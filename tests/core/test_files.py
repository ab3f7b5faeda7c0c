"""Files are written completely or not at all."""

import os
from pathlib import Path

import pytest

from energywh.core.files import replace_link, replacing, write_file


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
