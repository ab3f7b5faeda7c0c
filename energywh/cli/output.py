"""Tables, progress and notes for the terminal."""

from __future__ import annotations

import shutil
import sys
import time
import warnings
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

LINE_EVERY_SECONDS = 10.0
_CLEAR = "\r\x1b[K"  # to the start of the line, and erase it


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Container[str] = (), wrap: Container[str] = ()
) -> None:
    """Print a table: as wide as the terminal, or with one line per row where the output is not a terminal.

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


def print_text(text: str, indent: str = "") -> None:
    """Print a paragraph, filled to the width of the terminal; as one line where the output is not a terminal.

    Args:
        indent: begins the second line and those after it.
    """
    import textwrap

    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        text = textwrap.fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    print(text)


class Count(click.IntRange):
    """A whole number within limits, with a plain message where it is not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return int(super().convert(value, param, ctx))
        except click.BadParameter:
            limits = f", {self.min} or more" if self.max is None else f" from {self.min} to {self.max}"
            self.fail(f"must be a whole number{limits}, not '{value}'", param, ctx)


class Progress:
    """Shows the current step: one line that is replaced on a terminal, a line every ten seconds in a log."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._last = time.monotonic()

    def __call__(self, what: str, done: int, of: int) -> None:
        line = f"{what}, {done / of:.0%}" if of > 1 else what
        if self._terminal:
            # A line that wraps could not be erased.
            click.echo(f"{_CLEAR}{line[: shutil.get_terminal_size().columns - 1]}", err=True, nl=False)
        elif time.monotonic() - self._last > LINE_EVERY_SECONDS:
            self._last = time.monotonic()
            click.echo(line, err=True)

    def end(self) -> None:
        if self._terminal:
            click.echo(_CLEAR, err=True, nl=False)


@contextmanager
def notes() -> Iterator[None]:
    """Print warnings as lines that begin with "note:"."""
    clear = _CLEAR if sys.stderr.isatty() else ""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        click.echo(f"{clear}note: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield
