"""Tables for the terminal."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterable, Sequence


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Container[str] = (), wrap: Container[str] = ()
) -> None:
    """Print a table: as wide as the terminal, or with one line per row where the output is no terminal.

    Words are never cut or broken, so names and digests can be copied.

    Args:
        columns: headings.
        right: headings of the columns of numbers, which are aligned to the right.
        wrap: headings of the columns of text, which go on in a second line where the terminal is too narrow.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table

    lines = [list(row) for row in rows]
    console = Console(highlight=False, markup=False)
    cells = [[name, *(line[place] for line in lines)] for place, name in enumerate(columns)]
    natural = [max(map(cell_len, column)) for column in cells]
    least = [
        max(cell_len(word) for cell in column for word in cell.split() or [""])
        if name in wrap and sys.stdout.isatty()
        else width
        for name, column, width in zip(columns, cells, natural, strict=True)
    ]
    # Rich would shorten the widest columns first, and cut words that do not fit: the widths are set here.
    spare = max(console.width - sum(least) - 2 * (len(columns) - 1), 0)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name, width, narrow in zip(columns, natural, least, strict=True):
        taken = min(width - narrow, spare)
        spare -= taken
        table.add_column(name, justify="right" if name in right else "left", width=narrow + taken)
    for line in lines:
        table.add_row(*line)
    # A terminal that is too narrow for the words wraps the lines by itself.
    console.width = max(console.width, sum(natural) + 2 * len(columns))
    console.print(table)


def print_text(text: str) -> None:
    """Print a paragraph, filled to the width of the terminal; as one line where the output is no terminal."""
    import shutil
    import textwrap

    if sys.stdout.isatty():
        text = textwrap.fill(text, shutil.get_terminal_size().columns, break_long_words=False, break_on_hyphens=False)
    print(text)
