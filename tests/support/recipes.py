"""The recipes of docs/recipes.md; `python -m tests.support.recipes HOME` writes what they print there into the page."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"
RECIPE = re.compile(
    r"^## (?P<title>\d+\. .+?)$.*?^```sql\n(?P<sql>.+?)^```\n(?:\n```text\n(?P<printed>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Recipe:
    title: str
    sql: str
    printed: str  # what `energywh sql` prints on the demo


def recipes() -> list[Recipe]:
    text = PAGE.read_text(encoding="utf-8")
    return [Recipe(found["title"], found["sql"], found["printed"] or "") for found in RECIPE.finditer(text)]


def printed_by(home: Path, sql: str) -> str:
    command = [sys.executable, "-m", "energywh", "--home", str(home), "sql", sql]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main() -> None:
    home = Path(sys.argv[1])

    def with_answer(found: re.Match[str]) -> str:
        whole = found[0] if found["printed"] is None else found[0].replace(f"\n```text\n{found['printed']}```\n", "")
        return f"{whole}\n```text\n{printed_by(home, found['sql'])}```\n"

    PAGE.write_text(RECIPE.sub(with_answer, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
