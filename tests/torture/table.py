"""The table of results, for the terminal and for the document."""

from __future__ import annotations

from collections.abc import Sequence

from tests.torture.trial import PartResult

COLUMNS = ("part", "tried", "failures", "seconds", "CPU s", "peak MB", "of these")


def cells(result: PartResult) -> tuple[str, ...]:
    """Return the row of a part."""
    figures = ", ".join(f"{name}: {count:,}" for name, count in sorted(result.counts.items()) if count)
    return (
        result.part,
        f"{result.tried:,}",
        f"{len(result.failures):,}",
        f"{result.seconds:,.0f}",
        f"{result.cpu_seconds:,.0f}",
        f"{result.peak_bytes / 1e6:,.0f}",
        f"not run: {result.missing}" if result.missing else figures,
    )


def table(results: Sequence[PartResult], *, head: bool = True) -> str:
    """Return the lines of the table."""
    rows = [COLUMNS] if head else []
    rows += [cells(result) for result in results]
    return "\n".join(f"{row[0]:16} {' '.join(f'{cell:>8}' for cell in row[1:6])}  {row[6]}" for row in rows)
