"""Look for renames of files that were not flushed to the disk before, in the file operations of each command."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.torture import commands, ground
from tests.torture.kill_operations import needs_watching
from tests.torture.operations import Operation
from tests.torture.scenarios import SCENARIOS, Scenario
from tests.torture.trial import Part, Trial

WRITES = {"write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "copy_file_range", "ioctl", "ftruncate"}
FLUSHES = {"fsync", "fdatasync"}
PLACES = {"rename", "renameat", "renameat2", "link", "linkat"}


def unflushed(operations: list[Operation], home: Path) -> tuple[int, list[str]]:
    """Return how many files and folders got their name in the home, and what was not flushed in time.

    A file is flushed after its last write and before it gets its name; of a folder, all files in it. The folder that
    holds the name is flushed after that.
    """
    dirty: set[Path] = set()
    named: dict[Path, str] = {}  # folders that hold a new name, and are to be flushed
    found, placed = [], 0
    for operation in operations:
        path, other = operation.path, operation.other
        if operation.name in WRITES:
            dirty.add(path)
        elif operation.name in FLUSHES:
            dirty.discard(path)
            named.pop(path, None)
        elif operation.name in PLACES and other is not None and other.is_relative_to(home / "warehouse"):
            placed += 1
            found += [f"{file} is not flushed before {operation}" for file in dirty if file.is_relative_to(path)]
            named[other.parent] = str(operation)
    return placed, found + [f"the folder is not flushed after {operation}" for operation in named.values()]


def _look(base: ground.Ground, scenario: Scenario, folder: Path) -> dict[str, int]:
    home = base.copy(scenario.state, f"{folder.name}/case")
    done = base.run(home, *scenario.words, root=home)
    assert done.status == 0, str(done)
    placed, found = unflushed(done.operations, home)
    assert not found, "; ".join(found[:5])
    return {"renames": placed, "flushes": sum(one.name in FLUSHES for one in done.operations)}


def _run(trial: Trial) -> None:
    commands.preload()
    base = ground.prepare(trial.folder)
    try:
        trial.each([(scenario.name, partial(_look, base, scenario)) for scenario in SCENARIOS])
    finally:
        base.close()


PART = Part(
    name="flushed",
    promise="Every file and folder that is published was flushed to the disk before it got its name, and the folder "
    "that holds the name after that.",
    unit="commands",
    standard=len(SCENARIOS),
    small=len(SCENARIOS),
    run=_run,
    needs=needs_watching,
)
