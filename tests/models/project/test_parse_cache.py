"""What was found in model files is kept; what changed is parsed anew; a file that cannot be used does no harm."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from energywh.errors import ModelError
from energywh.models.catalog.read_lineage import lineage_of_files
from energywh.models.project import graph, parse, parse_cache
from energywh.models.project.graph import Graph, link
from energywh.models.project.project import load_project
from energywh.models.project.references import Parsed
from tests.models.folder import FUEL_CSV, MODELS, write_models

COMMAND = """
import sys
from pathlib import Path
from energywh.models.catalog.read_lineage import lineage_of_files
from energywh.models.project.graph import link
from energywh.models.project.project import load_project

project = load_project(Path(sys.argv[1]))
link(project)
lineage_of_files(project)
print("sqlglot" in sys.modules)
"""


PASSED = """/*---
description = "Passes columns on."
grain = ["region", "hour_utc"]
[columns]
region = "Authority."
---*/
select * from normalized.demand
"""


class Tree:
    """A tree of models, read as by one command after another.

    Attributes:
        parsed: the SELECTs that the last one parsed.
    """

    def __init__(self, folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = write_models(folder, MODELS)
        (folder / "seeds" / "fuel.csv").write_text(FUEL_CSV)
        self.cache = cache
        self.parsed: list[str] = []
        parse_select = parse.parse_select

        def counted(sql: str, error: Callable[[str, int], ModelError]) -> Parsed:
            self.parsed.append(sql)
            return parse_select(sql, error)

        monkeypatch.setattr(parse, "parse_select", counted)

    def read(self) -> Graph:
        """Read the tree as a new process does."""
        parse_cache._in_memory.clear()
        parse_cache._code.cache_clear()
        graph._linked.clear()
        self.parsed.clear()
        project = load_project(self.folder)
        lineage_of_files(project)
        return link(project)

    def files(self) -> list[Path]:
        return sorted(self.cache.iterdir())


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """A tree that was read once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tree = Tree(tmp_path / "tree", parse_cache.cache_folder(), monkeypatch)
    tree.read()
    assert len(tree.parsed) == len(MODELS)
    return tree


def test_an_unchanged_tree_is_not_parsed_again(tree: Tree) -> None:
    before = tree.read()
    assert tree.parsed == []
    for file in tree.files():
        file.unlink()
    assert tree.read() == before
    assert len(tree.parsed) == len(MODELS)


def test_what_changed_is_parsed_and_traced_anew(tree: Tree) -> None:
    def passed() -> dict[str, str]:
        return dict(tree.read().models["features.passed"].columns)

    key = {"region": "Authority.", "hour_utc": "Start of the hour, UTC."}
    write_models(tree.folder, {"features/passed.sql": PASSED})
    assert passed() == {**key, "demand_mwh": "Demand, MWh."}
    assert len(tree.parsed) == 1
    demand = MODELS["normalized/demand.sql"].replace("Demand, MWh.", "Load, MWh.")
    write_models(tree.folder, {"normalized/demand.sql": demand})
    assert passed() == {**key, "demand_mwh": "Load, MWh."}
    assert tree.parsed == []  # no SELECT changed
    # The SELECT of the reader stays, and what it reads has one column more.
    demand = demand.replace("as demand_mwh", "as demand_mwh, true as is_new")
    demand = demand.replace("\n[[audits]]", '\nis_new = "Whether it is new."\n[[audits]]', 1)
    write_models(tree.folder, {"normalized/demand.sql": demand})
    assert passed() == {**key, "demand_mwh": "Load, MWh.", "is_new": "Whether it is new."}
    assert len(tree.parsed) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-10],
        lambda content: content.replace(b"demand", b"dEmand"),
        lambda content: b"#!/bin/sh\nexit 1\n",
    ],
    ids=["empty", "cut", "altered", "of another program"],
)
def test_a_damaged_file_is_ignored_and_replaced(tree: Tree, damage: Callable[[bytes], bytes]) -> None:
    before = tree.read()
    for file in tree.files():
        file.write_bytes(damage(file.read_bytes()))
    assert tree.read() == before
    assert len(tree.parsed) == len(MODELS)
    tree.read()
    assert tree.parsed == []


def test_a_file_that_another_user_wrote_is_ignored(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    tree.read()
    assert len(tree.parsed) == len(MODELS)


def test_another_release_parses_anew(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse_cache, "VERSION", "9.9.9")
    tree.read()
    assert len(tree.parsed) == len(MODELS)
    monkeypatch.undo()


def test_without_a_cache_folder_the_models_are_parsed(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a file"))
    for _ in range(2):
        tree.read()
        assert len(tree.parsed) == len(MODELS)


def test_a_full_disk_does_no_harm(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for file in tree.files():
        file.unlink()
    monkeypatch.setattr(parse_cache, "write_file", full)
    tree.read()
    assert len(tree.parsed) == len(MODELS)
    assert tree.files() == []


def test_models_below_a_path_that_is_not_utf8_are_read(tree: Tree, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    try:
        write_models(folder, MODELS)
    except OSError:
        pytest.skip("the file system takes UTF-8 only")
    (folder / "seeds" / "fuel.csv").write_text(FUEL_CSV)
    expected = tree.read().order
    tree.folder = folder
    assert tree.read().order == expected


def test_the_files_used_last_are_kept(tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse_cache, "MAX_FILES", 4)
    newest = tree.files()
    for file in newest:
        os.utime(file, (2e9, 2e9))
    for number in range(3):
        tree.folder = write_models(tmp_path / str(number), MODELS)
        (tree.folder / "seeds" / "fuel.csv").write_text(FUEL_CSV)
        tree.read()
    assert len(tree.files()) == 4
    assert set(newest) <= set(tree.files())


def test_processes_that_write_at_once_leave_whole_files_and_a_later_one_loads_no_parser(tree: Tree) -> None:
    for file in tree.files():
        file.unlink()
    command = [sys.executable, "-c", COMMAND, str(tree.folder)]
    together = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=60) for process in together] == [0, 0]
    later = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert later.stdout.strip() == "False"
    assert all(file.suffix == ".msgpack" for file in tree.files())
