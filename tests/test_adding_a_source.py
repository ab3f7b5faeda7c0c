"""docs/adding-a-source.md is correct: its source, model and test work."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from energywh import sources as package
from energywh.core.paths import sql_dir
from energywh.models.build.runner import build
from energywh.models.project.model import read_model
from energywh.models.project.parse_cache import ParseCache
from tests.support.desk import Desk
from tests.support.scripted import Answer, scripted
from tests.support.staging import query

PAGE = Path(__file__).parents[1] / "docs" / "adding-a-source.md"
SOURCE, TEST = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
(MODEL,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The source of the page among the sources, and a copy of `sql/` with its model."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "carbon_intensity.py").write_text(SOURCE, "utf-8")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    package.sources.cache_clear()
    models = tmp_path / "sql"
    shutil.copytree(sql_dir(), models)
    (models / "normalized" / "carbon_intensity.sql").write_text(MODEL, "utf-8")
    yield models
    sys.modules.pop("energywh.sources.carbon_intensity", None)
    package.sources.cache_clear()


def test_the_test_of_the_page_passes(added: Path, tmp_path: Path) -> None:
    names: dict[str, object] = {}
    exec(TEST, names)
    names["test_half_hours_come_out_at_their_hours"](tmp_path)  # type: ignore[operator]


def test_its_rows_become_the_model_of_the_page(added: Path, tmp_path: Path) -> None:
    actual = {"05:00": 90, "05:30": None, "06:00": 5}
    rows = [{"from": f"2024-03-01T{at}Z", "intensity": {"forecast": 100, "actual": g}} for at, g in actual.items()]
    body = json.dumps({"data": rows})
    with scripted(lambda number, path: Answer(body.encode())) as server:
        desk = Desk(tmp_path, server.url).having(CARBON_INTENSITY_URL=server.url)
        assert desk.sync("carbon_intensity", since="2024-03-01T05", until="2024-03-01T05").ok
        assert [path for _, path in server.asked] == ["/v2/intensity/2024-03-01T05:00Z/2024-03-01T06:00Z"]
    report = build(desk.home, ["carbon_intensity"], sql=added)
    assert query(report.path, "from normalized.carbon_intensity") == [("GB", datetime(2024, 3, 1, 5), 90.0, 1)]


def test_its_settings_are_there(added: Path, tmp_path: Path) -> None:
    settings = Desk(tmp_path, "http://localhost/v2").having(CARBON_INTENSITY_REQUESTS_PER_SECOND="0.5").settings()
    assert settings.get("carbon_intensity.requests_per_second") == 0.5


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the tree with the source and the test of the page: one file each, and nothing else changed."""
    root = PAGE.parents[1]
    left_out = shutil.ignore_patterns("__pycache__", ".git", ".*_cache", "warehouse")
    shutil.copytree(root, tmp_path / "tree", ignore=left_out, symlinks=True)
    (tmp_path / "tree" / "energywh" / "sources" / "carbon_intensity.py").write_text(SOURCE, "utf-8")
    (tmp_path / "tree" / "tests" / "sources" / "test_carbon_intensity.py").write_text(TEST, "utf-8")
    return tmp_path / "tree"


def suite(tree: Path, *arguments: str) -> None:
    """Run tests in a copy of the tree; raises AssertionError with what pytest prints if one fails."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(words, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def test_one_source_file_and_one_test_file_are_all_that_a_source_needs(tree: Path) -> None:
    suite(tree, "tests/sources/test_carbon_intensity.py", "tests/sources/test_declarations.py",
          "tests/sql/test_quality_covers_datasets.py", "tests/sql/test_models.py", "-k",
          "carbon or declarations or covers or sources or quality or hourly_asof")  # fmt: skip


@pytest.mark.soak
def test_the_suites_of_sql_and_sources_pass_with_another_source(tree: Path) -> None:
    suite(tree, "tests/sql", "tests/sources")


def test_the_model_is_one_and_the_source_is_formatted(tmp_path: Path) -> None:
    path = tmp_path / "normalized" / "carbon_intensity.sql"
    path.parent.mkdir()
    path.write_text(MODEL, "utf-8")
    assert read_model(path, ParseCache("project", str(path.parents[1]))).name == "normalized.carbon_intensity"
    file = tmp_path / "carbon_intensity.py"
    file.write_text(SOURCE, "utf-8")
    for words in (["check"], ["format", "--check"]):
        config = str(PAGE.parents[1] / "pyproject.toml")
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--config", config, str(file)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
