"""Tables for the terminal."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterable, Sequence


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Container[str] = (), wrap: Container[str] = ()
) -> None:
    """Print a table: as wide as the terminal, or with one line per row where the output is no terminal.

    Cells are never cut, so names and digests can be copied.

    Args:
        columns: headings.
        right: headings of the columns of numbers, which are aligned to the right.
        wrap: headings of the columns of text, which go on in a second line where the terminal is too narrow.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table

    lines = [list(row) for row in rows]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    needed = 0
    for place, name in enumerate(columns):
        wraps = name in wrap and sys.stdout.isatty()
        table.add_column(name, justify="right" if name in right else "left", no_wrap=not wraps)
        cells = [name, *(line[place] for line in lines)]
        needed += 2 + max(cell_len(piece) for cell in cells for piece in (cell.split() if wraps else [cell]) or [""])
    for line in lines:
        table.add_row(*line)
    # Rich would cut cells that do not fit; a terminal that is too narrow for them wraps the line instead.
    console = Console(highlight=False, markup=False)
    console.width = max(console.width, needed)
    console.print(table, soft_wrap=True)


def print_text(text: str) -> None:
    """Print a paragraph, filled to the width of the terminal; as one line where the output is no terminal."""
    import shutil
    import textwrap

    if sys.stdout.isatty():
        text = textwrap.fill(text, shutil.get_terminal_size().columns, break_long_words=False, break_on_hyphens=False)
    print(text)
