"""Print the lowest versions of all dependencies that pyproject.toml allows, as requirements for pip."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

TOOLS = ("mypy", "ruff", "types-")  # no test uses them


def lowest(project: dict[str, Any], requirements: Iterable[str]) -> Iterator[str]:
    """Yield the requirements with `>=` as `==`, and those of the extras that they name."""
    for requirement in requirements:
        if extras := re.fullmatch(r"energywh\[(.*)\]", requirement):
            for extra in extras[1].split(","):
                yield from lowest(project, project["optional-dependencies"][extra.strip()])
        elif not requirement.startswith(TOOLS):
            yield re.sub(r">=\s*([\w.]+)(,[^;]*)?", r"==\1", requirement)


if __name__ == "__main__":
    described = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*described["dependencies"], *described["optional-dependencies"]["dev"]]
    print(*sorted(set(lowest(described, wanted))), sep="\n")
