"""Answers of SQL queries in the forms that people and programs read."""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from energywh.core.checksums import MAKE_WRITABLE
from energywh.core.files import replacing
from energywh.core.sql_text import identifier
from energywh.core.storage_errors import query_errors, storage_errors
from energywh.errors import UsageError

if TYPE_CHECKING:
    import duckdb

_SUFFIXES = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".pq": "parquet", ".txt": "table"}
_RIGHT = ("int", "integer", "float", "double", "decimal")
_BATCH_ROWS = 20_000
# Characters of a text or a column's name, in a table too wide for the terminal: the first at which it fits, else the
# last, which is a timestamp. Numbers are never cut shorter than the first.
_LONGEST = (40, 32, 24, 19)


def format_of(file: Path) -> str:
    """Return the form that the name of a file asks for.

    Raises:
        UsageError: its suffix says nothing.
    """
    try:
        return _SUFFIXES[file.suffix.lower()]
    except KeyError:
        raise UsageError(
            f"cannot tell the format from the name '{file.name}'; add --format csv, json, parquet or table"
        ) from None


def form_for(form: str | None, file: Path | None) -> str:
    """Return the form of an answer: the one asked for, or what the name of the file says, or a table.

    Raises:
        UsageError: they contradict each other, or nothing says it.
    """
    if form is None:
        return "table" if file is None else format_of(file)
    said = None if file is None else _SUFFIXES.get(file.suffix.lower())
    if file is not None and said is not None and said not in (form, "table"):
        raise UsageError(f"--format {form} contradicts the name '{file.name}', which says {said}; change one of them")
    return form


@contextmanager
def scratch_folders(form: str, file: Path | None) -> Iterator[list[Path]]:
    """Yield the folders that `write_file` or `write_stream` let DuckDB write in: one for Parquet, else none.

    Raises:
        StorageError: it cannot be made beside ``file``.
    """
    if form != "parquet":
        yield []
        return
    with ExitStack() as stack:
        with storage_errors("write", file or Path(tempfile.gettempdir()), MAKE_WRITABLE):
            folder = tempfile.TemporaryDirectory(prefix=".energywh-", dir=None if file is None else file.parent)
        yield [Path(stack.enter_context(folder)).resolve()]


def write_file(
    relation: duckdb.DuckDBPyRelation, form: str, file: Path, max_rows: int = 0, scratch: Path | None = None
) -> int:
    """Write the answer to ``file``, which is replaced in one step when the answer is whole; return its rows.

    Raises:
        StorageError: the file cannot be written.
        UsageError: the query fails while it runs.
    """
    with storage_errors("write", file, MAKE_WRITABLE), replacing(file, scratch) as temporary:
        if form == "parquet":
            return _save_parquet(relation, temporary)
        with temporary.open("wb") as stream:
            return write_stream(relation, form, stream, max_rows)


def write_stream(
    relation: duckdb.DuckDBPyRelation,
    form: str,
    stream: BinaryIO,
    max_rows: int = 0,
    width: int | None = None,
    scratch: Path | None = None,
) -> int:
    """Write the answer to an open binary stream, a batch of rows at a time; return how many rows were written.

    Args:
        form: "csv" with a header, NULL empty; "json", one array with one object per line, NULL, NaN and infinities
            null; "parquet", zstd; "table", drawn for the eye, NULL written out.
        max_rows: rows that a table shows; 0 for all.
        width: characters that a line of a table may have: long values and the columns in the middle give way.

    Raises:
        UsageError: the query fails while it runs.
        CorruptError: the database is damaged.
    """
    if form == "csv":
        return _write_csv(relation, stream)
    elif form == "json":
        return _write_json(relation, stream)
    if form == "parquet":
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            file = Path(folder) / "answer.parquet"
            rows = _save_parquet(relation, file)
            with file.open("rb") as whole:
                shutil.copyfileobj(whole, stream, 1 << 20)
        return rows
    return _write_table(relation, stream, max_rows, width)


def _save_parquet(relation: duckdb.DuckDBPyRelation, file: Path) -> int:
    import pyarrow.parquet

    with query_errors():
        relation.write_parquet(str(file), compression="zstd")
    return int(pyarrow.parquet.read_metadata(file).num_rows)


def _write_csv(relation: duckdb.DuckDBPyRelation, stream: BinaryIO) -> int:
    count = 0
    stream.write(_csv_lines([relation.columns]))
    for rows in _text_rows(relation):
        stream.write(_csv_lines(rows))
        count += len(rows)
    return count


def _csv_lines(rows: Sequence[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _write_json(relation: duckdb.DuckDBPyRelation, stream: BinaryIO) -> int:
    columns = []
    for name, kind in zip(relation.columns, relation.types, strict=True):
        column = identifier(name)
        # NaN and infinity are no JSON.
        real = str(kind.id) in ("float", "double")
        columns.append(f"CASE WHEN isfinite({column}) THEN {column} END AS {column}" if real else column)
    unique = len(set(relation.columns)) == len(columns)
    inner = f"SELECT {', '.join(columns)} FROM answer" if unique else "FROM answer"
    objects = _query(relation, f"SELECT to_json(line)::VARCHAR FROM ({inner}) AS line")
    count, between = 0, "[\n"
    for rows in _text_rows(objects):
        stream.write((between + ",\n".join(str(line) for (line,) in rows)).encode())
        between = ",\n"
        count += len(rows)
    stream.write(b"\n]\n" if count else b"[]\n")
    return count


def _query(relation: duckdb.DuckDBPyRelation, sql: str) -> duckdb.DuckDBPyRelation:
    """Return a query over the relation, which it calls ``answer``."""
    with query_errors():
        result = relation.query("answer", sql)
    if result is None:
        raise UsageError("the SQL returns no rows; use SELECT")
    return result


def _write_table(relation: duckdb.DuckDBPyRelation, stream: BinaryIO, max_rows: int, width: int | None) -> int:
    """Draw the first ``max_rows`` rows as a box, and say below how many there are in all; return how many it shows."""
    if relation.columns == ["explain_key", "explain_value"]:
        # The answer of EXPLAIN is a drawing of its own, of many lines.
        plans = [str(plan) for rows in _text_rows(relation) for _, plan in rows]
        stream.write(("\n".join(plans).rstrip() + "\n").encode())
        return len(plans)
    cells = [
        tuple("NULL" if cell is None else _one_line(cell) for cell in row)
        for rows in _text_rows(relation.limit(max_rows + 1) if max_rows else relation, few=bool(max_rows))
        for row in rows
    ]
    total = len(cells)
    if max_rows and total > max_rows:
        cells = cells[:max_rows]
        total = _count(relation)
    columns = [[name, *(row[place] for row in cells)] for place, name in enumerate(relation.columns)]
    right = [str(kind.id).endswith(_RIGHT) for kind in relation.types]
    left_out = 0
    if width is not None and _line_length(columns) > width:
        columns, right, left_out = _fit(columns, right, width)
    widths = [max(map(len, column)) for column in columns]
    names, *lines = zip(*columns, strict=True)

    def line(left: str, middle: str, end: str) -> str:
        return left + middle.join("─" * (width + 2) for width in widths) + end

    def texts(row: tuple[str, ...]) -> str:
        padded = (
            f"{cell:>{width}}" if to_right else f"{cell:<{width}}"
            for cell, width, to_right in zip(row, widths, right, strict=True)
        )
        return f"│ {' │ '.join(padded)} │"

    drawn = [line("┌", "┬", "┐"), texts(names), line("├", "┼", "┤"), *map(texts, lines), line("└", "┴", "┘")]
    notes = [f"{total:,} row{'' if total == 1 else 's'}"]
    if len(cells) < total:
        notes[0] += f", the first {len(cells):,} shown; --max-rows 0 shows all"
    if left_out:
        notes.append(f"{len(relation.columns) - left_out} of {len(relation.columns)} columns fit, --format csv has all")
    count = "; ".join(notes)
    if width is not None and len(count) > width:
        count = "\n".join(notes)
    stream.write(("\n".join([*drawn, count]) + "\n").encode())
    return len(cells)


def _line_length(columns: list[list[str]]) -> int:
    return 1 + sum(max(map(len, column)) + 3 for column in columns)


def _fit(columns: list[list[str]], right: list[bool], width: int) -> tuple[list[list[str]], list[bool], int]:
    """Shorten texts and names, then leave out columns in the middle, until a line has at most ``width`` characters.

    Returns:
        The columns with one of dots in place of those left out, which stand to the right, and how many were left out.
    """
    for longest in _LONGEST:
        shorter = [
            [_cut(column[0], min(longest, width - 4))]
            + [_cut(cell, min(_LONGEST[0] if to_right else longest, width - 4)) for cell in column[1:]]
            for column, to_right in zip(columns, right, strict=True)
        ]
        if _line_length(shorter) <= width:
            return shorter, right, 0
    columns = shorter
    dots = ["…"] * len(columns[0])
    front, back = 0, len(columns)
    while front < back:
        from_front = front <= len(columns) - back
        kept = (front + from_front, back - (not from_front))
        if _line_length([*columns[: kept[0]], dots, *columns[kept[1] :]]) > width:
            break
        front, back = kept
    return [*columns[:front], dots, *columns[back:]], [*right[:front], False, *right[back:]], back - front


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: max(longest - 1, 0)] + "…"


def _count(relation: duckdb.DuckDBPyRelation) -> int:
    """Return how many rows the query has, counted by DuckDB: their values never become Python's."""
    with query_errors():
        ((count,),) = relation.aggregate("count(*)").fetchall()
    return int(count)


def _one_line(text: str) -> str:
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _text_rows(relation: duckdb.DuckDBPyRelation, *, few: bool = False) -> Iterator[Sequence[tuple[str | None, ...]]]:
    """Yield batches of rows, each value in DuckDB's own text.

    Args:
        few: yield all rows at once; loads no Arrow, which takes longer than a short query.

    Raises:
        UsageError: the query fails while it runs.
    """
    with query_errors():
        texts = relation.project("CAST(COLUMNS(*) AS VARCHAR)")
        if few:
            yield texts.fetchall()
            return
        for batch in texts.to_arrow_reader(_BATCH_ROWS):
            yield list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
