"""Locks between processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from energywh.core.locks import file_lock, remove_if_free
from energywh.errors import LockedError

HOLD = """
import sys
from pathlib import Path
from energywh.core.locks import file_lock
with file_lock(Path(sys.argv[1]), "another build", 0):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_waiting_process_learns_which_process_holds_the_lock_and_a_dead_holder_frees_it(tmp_path: Path) -> None:
    file = tmp_path / "locks" / "build.lock"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        said: list[str] = []
        held = f"another build (process {process.pid})"
        with pytest.raises(LockedError) as caught, file_lock(file, "another build", 0.1, said.append):
            pass
        assert said == [f"waiting for {held}"]
        assert f"for {held}; wait for it to end" in str(caught.value)
        assert not remove_if_free(file)
    finally:
        process.kill()
        process.communicate()
    with file_lock(file, "another build", 10):
        assert not remove_if_free(file)
    assert remove_if_free(file)
    assert list(file.parent.iterdir()) == []


def test_a_lock_file_that_is_a_link_leaves_the_file_that_it_leads_to_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("content")
    (tmp_path / "build.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"), file_lock(tmp_path / "build.lock", "another build", 0):
        pass
    assert (tmp_path / "precious").read_text() == "content"
