"""The table of results, for the terminal and for the document."""

from __future__ import annotations

from collections.abc import Sequence

from tests.torture.trial import PartResult

COLUMNS = ("part", "tried", "failures", "seconds", "peak MB", "of these")


def cells(result: PartResult) -> tuple[str, ...]:
    """Return the row of a part."""
    figures = ", ".join(f"{count:,} {name}" for name, count in sorted(result.counts.items()) if count)
    return (
        result.part,
        f"{result.tried:,}",
        f"{len(result.failures):,}",
        f"{result.seconds:,.0f}",
        f"{result.peak_bytes / 1e6:,.0f}",
        f"not run: {result.missing}" if result.missing else figures,
    )


def table(results: Sequence[PartResult], *, head: bool = True) -> str:
    """Return the lines of the table."""
    rows = [cells(result) for result in results]
    lines = [f"{'part':16} {'tried':>8} {'failures':>8} {'seconds':>8} {'peak MB':>8}  of these"] if head else []
    lines += [f"{row[0]:16} {row[1]:>8} {row[2]:>8} {row[3]:>8} {row[4]:>8}  {row[5]}" for row in rows]
    return "\n".join(lines)
