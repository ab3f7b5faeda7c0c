"""docs/reliability.md: the promises, each with the numbers of the run that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from tests.torture.table import cells
from tests.torture.trial import Part, PartResult

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
HEAD = """# Reliability

What energywh promises when something goes wrong, each promise with the numbers of a run that tried to break it. The
command below tried all of it and wrote this page; what is not on it is not promised. How the parts work stands in
[tests/torture](../tests/torture).

```bash
python -m tests.torture                         # all parts, 25 minutes on two cores
python -m tests.torture kill-operations=100     # one part, and how many are tried
python -m tests.torture kill-operations --case sync:7    # one case alone, as a failure names it
python -m tests.torture --write docs/reliability.md      # all parts, and this page
```

"""


def text_of(parts: Sequence[Part], results: Sequence[PartResult], seed: int) -> str:
    """Return the document."""
    by_name = {result.part: result for result in results}
    lines = [
        HEAD,
        f"Seed {seed}.\n\n",
        "| part | tried | failures | seconds | processor seconds | peak memory, MB |\n",
        "|---|--:|--:|--:|--:|--:|\n",
    ]
    lines += [f"| [{part.name}](#{part.name}) | {' | '.join(cells(by_name[part.name])[1:6])} |\n" for part in parts]
    for part in parts:
        result = by_name[part.name]
        *_, figures = cells(result)
        tried = f"{result.tried:,} {part.unit} tried, {len(result.failures):,} failed"
        said = f"{tried}{': ' if figures else ''}{figures}."
        lines.append(f"\n## {part.name}\n\n{fill(part.promise, 120)}\n\n{fill(said, 120)}\n")
    return "".join(lines)


def write_document(file: Path, parts: Sequence[Part], results: Sequence[PartResult], seed: int) -> None:
    """Write the document to a file."""
    file.write_text(text_of(parts, results, seed), encoding="utf-8")
