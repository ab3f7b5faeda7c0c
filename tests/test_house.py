"""`python -m tests.house` finds circles, repeated class names, long files and long parameter lists."""

from __future__ import annotations

import re
from pathlib import Path

from tests.house import CIRCLES, CLASSES, FILES, PACKAGES, PARAMETERS, REASONS, look, without_reason

ROOT = Path(__file__).parents[1]


def tree(root: Path, **files: str) -> Path:
    """Write modules of a package energywh, named by their dotted names with `__` for a dot."""
    for name, text in files.items():
        path = root / "energywh" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return root


def test_a_circle_is_found_and_one_for_type_checkers_marked(tmp_path: Path) -> None:
    checked = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from energywh.sync.e import E\n"
    found = look(
        tree(
            tmp_path,
            a="from energywh.b import f\nimport os",
            b="try:\n    from energywh import c\nexcept ImportError:\n    c = None",
            c="import energywh.a",
            sync__d=checked,
            sync__e="from energywh.sync.d import D\n",
            lazy="from energywh.later import x",
            later="def f():\n    from energywh.lazy import y",
        )
    )
    assert found[CIRCLES] == [
        "energywh.a, energywh.b, energywh.c",
        "energywh.sync.d, energywh.sync.e (closed by TYPE_CHECKING)",
    ]


def test_packages_that_import_each_other_are_found_though_no_module_does(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        sync__inner__a="from energywh.sync import names",
        sync__plan="from energywh.core.time import now\nfrom energywh.sync.inner import a",
        core__time="",
        core__files="from energywh.sync.names import NAMES",
        sync__names="",
    )
    found = look(root)
    assert found[CIRCLES] == []
    assert found[PACKAGES] == ["energywh.core, energywh.sync"]


def test_a_class_name_used_twice_a_long_file_and_many_parameters_are_found(tmp_path: Path) -> None:
    eight = "a, b, /, c, d, *e, f, g, **h"
    root = tree(
        tmp_path,
        a=f"class Same:\n    def good(self, {eight}): ...\n    def bad(self, i, {eight}): ...",
        b="class Own:\n    class Same: ...\n" + 398 * "\n",
        c="def f():\n    def g(a, b, c, d, e, f, g, h, i): ...\n" + 399 * "\n",
    )
    (root / "sql").mkdir()
    (root / "sql" / "long.sql").write_text(401 * "select 1\n", "utf-8")
    assert look(root) == {
        CIRCLES: [],
        PACKAGES: [],
        CLASSES: ["Same: energywh.a, energywh.b"],
        FILES: ["energywh/c.py", "sql/long.sql"],
        PARAMETERS: ["energywh.a.Same.bad", "energywh.c.f.g"],
    }


def test_an_entry_without_a_reason_and_a_reason_without_an_entry_are_errors() -> None:
    found = {FILES: ["a.py", "b.py"], CLASSES: []}
    reasons = {FILES: {"a.py": "one table"}, CLASSES: {"Gone: a, b": "two things"}}
    assert without_reason(found, reasons) == [
        f"{FILES}: b.py",
        f"{CLASSES}: Gone: a, b: not found; delete its reason",
    ]


def test_every_entry_of_this_tree_has_a_reason_and_every_reason_an_entry() -> None:
    assert without_reason(look(ROOT), REASONS) == []


def test_the_page_on_testing_names_every_folder_of_tests_and_nothing_that_is_gone() -> None:
    page = (ROOT / "docs" / "testing.md").read_text("utf-8")
    named = {path for path in re.findall(r"(?<![\w./])(?:tests|energywh)/[\w./]+", page) if "SOURCE" not in path}
    named |= {str(Path(path).parent) for path in named if path.startswith("tests/") and path.endswith(".py")}
    named.discard("tests")
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
    folders = {file.parent.relative_to(ROOT).as_posix() for file in ROOT.glob("tests/*/**/test_*.py")}
    assert [each for each in sorted(folders) if not any(f"{each}/".startswith(f"{path}/") for path in named)] == []
