"""Fixtures and hooks of all tests."""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from pathlib import Path

# Where the environment forbids bytecode, each of the hundreds of commands that tests start would compile energywh anew,
# and each run all tests. With pytest's own cache folder as its place, none of it lands beside the sources.
if sys.dont_write_bytecode:
    sys.pycache_prefix = str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
    sys.dont_write_bytecode = False
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# All processes, of this run and of later ones, share what they parse: it is kept by content and by the parsing code.
os.environ["XDG_CACHE_HOME"] = str(Path(__file__).parents[1] / ".pytest_cache" / "user")

import pytest
from hypothesis import settings

# The same examples in every run: nobody's change fails by an example that it did not bring about, nor by the speed of
# the machine. `--hypothesis-profile=long` draws more of them (`tests.support.examples`), `search` as many others.
settings.register_profile("search", deadline=None, max_examples=200)
settings.register_profile("long", settings.get_profile("search"), derandomize=True)
settings.register_profile("same", settings.get_profile("long"), max_examples=50)
settings.load_profile("same")

NUMBERS = count()
LONGEST = tuple(
    f"tests/{name}.py"
    for name in (
        "models/build/test_as_of",
        "models/build/test_shipped_models",
        "models/build/test_killed_builds",
        "sync/test_kill",
        "sync/test_together",
        "sync/test_caiso",
        "test_demo",
        "test_watch",
    )
)


def pytest_xdist_auto_num_workers() -> int:
    """One process more than processors for `-n auto`, because some tests wait for a clock or another process."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest tests first, so that none of them runs alone at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.fixture(scope="session")
def recorded() -> Path:
    """The folder of recorded real payloads; tests that need it are skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data" / "recorded"
    if not folder.is_dir():
        pytest.skip("the recorded payloads (../shared/data/recorded) are not on this machine")
    return folder


@pytest.fixture(scope="session", autouse=True)
def interrupts_arrive() -> None:
    """Let Ctrl-C reach the processes of tests; in the background of a shell, they would ignore it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Isolate the tests from the settings, the key and the request limits of the user who runs them."""
    for name in ("ENERGYWH_HOME", "ENERGYWH_EIA_URL", "ENERGYWH_EIA_API_KEY", "EIA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    # Not in `tmp_path`: to make one for each of thousands of tests that need none takes seconds.
    monkeypatch.setenv("ENERGYWH_STATE_FOLDER", str(tmp_path_factory.getbasetemp() / f"state-{next(NUMBERS)}"))
