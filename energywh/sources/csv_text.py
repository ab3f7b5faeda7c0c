"""CSV files of a source: their header, their cells as text, and whether they are complete.

Cells are not trusted: a reader converts them with `number_sql` and `stamps.stamp_sql`, which return NULL for unreadable
text.
"""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from energywh.errors import PayloadError

HEADER_BYTES = 2**16
MAX_COLUMNS = 1000  # ten times those of EIA's widest file; each costs the reader memory
PIECE_BYTES = 2**20
# What stands in a cell where there is no value, as EIA, mirrors and spreadsheets write it.
NO_VALUE = ("n/a", "#n/a", "na", "null", "none", "nan", "-", "--", ".")


_BREAKS = str.maketrans("\r\n", "  ")


def folded(header: str) -> str:
    """Return a header without what varies: white space, a byte order mark, quotes and the case of letters."""
    return " ".join(header.replace("\ufeff", "").strip("\"' \t\r\n").split()).casefold()


def read_headers(file: Path, name: str) -> tuple[list[str], int]:
    """Return the headers of a CSV file (zstd), without empty ones at the end, and the lines that they take up.

    Raises:
        PayloadError: it is no text, or does not hold its first line to the end, or its last.
    """
    import pyarrow as pa  # here, because every command imports the sources

    try:
        with pa.OSFile(str(file)) as raw, pa.CompressedInputStream(raw, "zstd") as stream:
            opening = stream.read(HEADER_BYTES)
            ending = opening
            while piece := stream.read(PIECE_BYTES):
                ending = (ending + piece)[-HEADER_BYTES:]
        line = _first_line(opening.decode("utf-8-sig", "strict" if len(opening) < HEADER_BYTES else "replace"))
    except (OSError, UnicodeDecodeError) as error:
        raise PayloadError(f"{name} cannot be read: {error}") from None
    if not line:
        begins = " ".join(opening[:120].decode("utf-8", "replace").split()) or "(empty)"
        raise PayloadError(f"{name} is cut short within its first line, or is no table: {begins}")
    headers = next(csv.reader([line.translate(_BREAKS)]), [])
    while headers and not folded(headers[-1]):
        headers.pop()
    if len(headers) > MAX_COLUMNS:
        raise PayloadError(f"{name} has {len(headers):,} columns, where {MAX_COLUMNS} are the most")
    last = ending[ending.rstrip(b"\r\n").rfind(b"\n") + 1 :].decode("utf-8", "replace")
    cells = next(csv.reader(io.StringIO(last.replace("\r", " "))), [])
    if not last.endswith("\n") and len(cells) < len(headers):
        raise PayloadError(f"{name} is not a whole half-year file: it is cut within its last line: {last[:80]}")
    return headers, 1 + sum(letter in "\r\n" for letter in line.rstrip("\r"))


def _first_line(text: str) -> str:
    """Return the first line, whose quoted fields may hold line ends; empty where it does not end."""
    quoted = False
    for place, letter in enumerate(text):
        if letter == '"':
            quoted = not quoted
        elif letter == "\n" and not quoted:
            return text[:place]
    return ""


def number_sql(text: str) -> str:
    """Return the SQL of the number in the text column ``text``, NULL where there is none or it is not finite."""
    number = f"try_cast(replace({text}, ',', '') as double)"
    return f"if(isfinite({number}), {number}, null)"


def is_unreadable_sql(text: str, number: str) -> str:
    """Return the SQL of whether ``text`` holds something that is read as no ``number`` and says not that it is none."""
    tokens = ", ".join(f"'{token}'" for token in ("", *NO_VALUE))
    return f"({number} is null and {text} is not null and lower(trim({text})) not in ({tokens}))"


def read_number(value: object) -> tuple[float | None, bool]:
    """Return the number that a value of JSON or CSV is, None where it is none, and whether it could be read."""
    if value is None or (isinstance(value, str) and value.strip().casefold() in ("", *NO_VALUE)):
        return None, True
    try:
        number = float(value.replace(",", "") if isinstance(value, str) else value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None, False
    return (number, True) if math.isfinite(number) else (None, False)
