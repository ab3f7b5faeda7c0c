"""Tables fit the terminal, and words in them are not broken."""

from __future__ import annotations

import sys

import click
import pytest

from energywh.cli import output
from energywh.cli.output import Progress, print_table

COLUMNS = ("dataset", "digest", "windows by split", "size", "made from")
ROW = (
    "day-ahead",
    "0123456789ab",
    "train 12,345, valid 3,456, test 5,678",
    "1.5 MB",
    "energy-20240101T000000Z-1, as of 2024",
)


def printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int, terminal: bool
) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    print_table(COLUMNS, [ROW], right=("size",), wrap=("windows by split", "made from"))
    return [line.rstrip() for line in click.unstyle(capsys.readouterr().out).splitlines()]


def test_a_table_fits_a_terminal_of_80_columns_with_every_word_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = printed(capsys, monkeypatch, 80, terminal=True)
    assert max(map(len, lines)) <= 80
    assert len(lines) > 2
    words = " ".join(lines).split()
    assert all(word in words for cell in ROW for word in cell.split())


def test_words_stay_whole_on_a_terminal_too_narrow_for_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = " ".join(printed(capsys, monkeypatch, 20, terminal=True)).split()
    assert all(word in words for cell in ROW for word in cell.split())


def test_a_row_is_one_line_where_the_output_is_not_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    heading, line = printed(capsys, monkeypatch, 40, terminal=False)
    assert heading.split()[:2] == ["dataset", "digest"]
    assert all(cell in line for cell in ROW)
    assert line.index("1.5 MB") + len("1.5 MB") == heading.index("size") + len("size"), "numbers end where headings do"


def test_progress_on_a_terminal_is_one_line_that_fits_and_is_erased(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Progress()
    progress("exporting features.hourly", 1, 4)
    progress.end()
    assert capsys.readouterr().err == "\r\x1b[Kexporting features.\r\x1b[K"


def test_progress_in_a_log_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = Progress()
    progress("exporting features.hourly", 1, 4)
    monkeypatch.setattr(output, "LINE_EVERY_SECONDS", 0.0)
    progress("exporting features.hourly", 2, 4)
    progress.end()
    assert capsys.readouterr().err == "exporting features.hourly, 50%\n"
