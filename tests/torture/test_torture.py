"""Each part of the torture runs small; its command runs it whole."""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.torture.__main__ import run_apart
from tests.torture.document import DOCUMENT, text_of
from tests.torture.flushed import unflushed
from tests.torture.operations import Operation, answer_all, can_watch
from tests.torture.parts import PARTS
from tests.torture.trial import Part, PartResult, Trial


@pytest.mark.soak
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_part_of_the_torture_finds_nothing(part: Part, tmp_path: Path) -> None:
    result = run_apart(part, part.small, seed=1, jobs=2, folder=tmp_path)
    if result.missing:
        pytest.skip(result.missing)
    assert result.failures == []
    assert result.tried > 0


def test_the_document_promises_what_the_command_tries_and_nothing_else() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    promises = re.findall(r"^## ([\w-]+)\n\n(.+?)\n\n", text, re.MULTILINE | re.DOTALL)
    assert [(name, " ".join(words.split())) for name, words in promises] == [
        (part.name, part.promise) for part in PARTS
    ]
    rows = re.findall(r"^\| \[([\w-]+)\].*?\| ([\d,]+) \| ([\d,]+) \|", text, re.MULTILINE)
    assert [name for name, _, _ in rows] == [part.name for part in PARTS]
    assert {failures for _, _, failures in rows} == {"0"}


def test_the_document_says_what_did_not_run() -> None:
    part = PARTS[0]
    text = text_of([part], [PartResult(part.name, 0, [], 0.0, {}, missing="needs Linux")], seed=3)
    assert "0 kills tried, 0 failed: not run: needs Linux." in text


def test_a_file_that_got_its_name_before_it_was_flushed_is_found() -> None:
    home = Path("/home")
    new, file = home / "warehouse" / ".new", home / "warehouse" / "file"

    def done(*calls: str) -> list[Operation]:
        known = {
            "write": Operation("write", new, None, True),
            "fsync": Operation("fsync", new, None, False),
            "rename": Operation("rename", new, file, True),
            "folder": Operation("fsync", file.parent, None, False),
        }
        return [known[call] for call in calls]

    assert unflushed(done("write", "fsync", "rename", "folder"), home) == (1, [])
    for wrong in (("write", "rename", "folder"), ("fsync", "write", "rename", "folder"), ("write", "fsync", "rename")):
        assert len(unflushed(done(*wrong), home)[1]) == 1, wrong


@pytest.mark.skipif(not can_watch(), reason="needs Linux with seccomp's user notifications")
def test_a_process_is_watched_at_each_operation_on_a_file_and_can_be_refused(tmp_path: Path) -> None:
    script = (
        "import socket, sys\n"
        "from pathlib import Path\n"
        "from tests.torture.operations import be_watched\n"
        "folder = Path(sys.argv[1])\n"
        "be_watched(socket.socket(fileno=int(sys.argv[2])))\n"
        "(folder / 'a').write_text('x')\n"
        "(folder / 'a').rename(folder / 'b')\n"
        "try:\n    (folder / 'c').mkdir()\n"
        "except OSError as error:\n    sys.exit(error.errno)\n"
    )
    here, there = socket.socketpair()
    words = [sys.executable, "-c", script, str(tmp_path), str(there.fileno())]
    with subprocess.Popen(words, cwd=Path(__file__).parents[2], pass_fds=[there.fileno()]) as process:
        there.close()
        seen: list[str] = []

        def answer(operation: Operation) -> int:
            seen.append(f"{operation.name} {operation.path.name}")
            return errno.ENOSPC if operation.path.name == "c" else 0

        assert answer_all(here, tmp_path, answer, 30)
    assert process.returncode == errno.ENOSPC
    assert [line.replace("at ", " ") for line in seen] == ["open a", "write a", "rename a", "mkdir c"]


def test_a_case_that_fails_or_ends_its_worker_is_counted(tmp_path: Path) -> None:
    def fails(folder: Path) -> None:
        raise AssertionError("wrong rows")

    trial = Trial("part", tmp_path, 4, seed=1, jobs=2)
    trial.each([("a", lambda folder: {"reads": 1}), ("b", fails), ("c", lambda folder: os._exit(1))])
    assert trial.tried == 2
    assert sorted(trial.failures) == [("-", "a worker ended before 1 of its cases"), ("b", "wrong rows")]
    assert trial.counts == {"reads": 1}
