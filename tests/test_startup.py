"""Start-up is fast: help and usage errors load no heavy packages."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "duckdb",
    "filelock",
    "mlflow",
    "mlx",
    "msgspec",
    "numpy",
    "openlineage",
    "platformdirs",
    "pyarrow",
    "pyrate_limiter",
    "requests",
    "rich",
    "sqlglot",
    "tenacity",
    "wandb",
)


def loaded_by(*arguments: str) -> set[str]:
    """Return which heavy packages a command line has loaded when it ends."""
    script = (
        "import sys, atexit; from energywh.cli import main; sys.argv = ['energywh', *sys.argv[1:]]\n"
        f"atexit.register(lambda: print('LOADED', *[name for name in {HEAVY!r} if name in sys.modules]))\n"
        "main()"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    line = next(line for line in answer.stdout.splitlines() if line.startswith("LOADED"))
    return set(line.split()[1:])


def test_help_loads_nothing_heavy() -> None:
    assert loaded_by("--help") == set()
    assert loaded_by("sync", "--help") == set()


def test_a_misspelt_command_loads_nothing_heavy() -> None:
    assert loaded_by("snyc") == set()


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = f"import sys, energywh; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert answer.stdout.split() == []


def test_the_sources_load_no_package_of_arrays() -> None:
    script = "import sys; from energywh.sources import sources; sources()\n"
    script += f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert set(answer.stdout.split()) <= {"msgspec"}
