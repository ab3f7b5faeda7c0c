"""Export models as Parquet, one file per month, rewriting only what changed.

    parquet/<model>/export_year=YYYY/YYYY-MM.parquet     a model with a time column
    parquet/<model>/<model>.parquet                      a model without
    parquet/.export/<model>.json                         the manifest: what each file holds

A file is left alone when the digest of its rows, its columns and its size are those of the manifest, and its time of
modification or else its checksum. The manifest drops the digest of a file before the file is rewritten, so the files of
a killed export are never trusted. Only files that the manifest names are removed: other files in the folder are someone
else's.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from energywh.core.checksums import Hashed, digest_of
from energywh.core.files import TEMPORARY_SUFFIX, flush, make_folder, replacing
from energywh.core.locks import OnWait, file_lock
from energywh.core.query import ask
from energywh.core.sql_text import quoted
from energywh.core.storage_errors import Cause, query_errors, storage_errors
from energywh.datasets.export_manifest import (
    STATE_FOLDER,
    ExportedFile,
    ExportManifest,
    as_found,
    read_manifest,
    write_manifest,
)
from energywh.datasets.windows.source import models, pick_model
from energywh.errors import UsageError
from energywh.models.project.project import SEEDS

if TYPE_CHECKING:
    import duckdb

    from energywh.core.paths import Home

FORMAT = 2  # of the files; another number rewrites all
# Key of the folders of a year. Readers that know hive partitioning add a column of this name, so no model has one.
YEAR_KEY = "export_year"
ROW_GROUP_ROWS = 122_880
_ADVICE: dict[Cause, str] = {
    "full": "the files written so far are complete; free some space and run this again to continue",
    "system": "choose a writable folder with --to",
}
MANIFEST_SECONDS = 5.0  # a killed export loses no more than this much work

OnFile = Callable[[str, int, int], None]  # model, files done, files to write


@dataclass(frozen=True)
class Exported:
    """What the export of one model did.

    Attributes:
        written, skipped, removed: numbers of files.
        damaged: names of files whose bytes were not those that were written; they were written again.
        rows, bytes: of the files that were written.
        total_rows, total_bytes: of all files of the model.
    """

    model: str
    folder: Path
    written: int
    skipped: int
    removed: int
    rows: int
    bytes: int
    total_rows: int
    total_bytes: int
    seconds: float
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportLayout:
    """How a model is laid out in files.

    Attributes:
        columns: in the order of the model.
        order: columns that rows are sorted by.
        shape: digest of what every file shares: columns, types, comments, order.
        metadata: of every file.
        digests: by file, relative to the model's folder, the digest of its rows.
    """

    model: str
    columns: tuple[str, ...]
    time_column: str | None
    order: tuple[str, ...]
    shape: str
    metadata: dict[str, str]
    digests: dict[str, str]


def export_models(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    names: list[str] | None,
    folder: Path | None = None,
    *,
    full: bool = False,
    wait_seconds: float = 600.0,
    on_wait: OnWait | None = None,
    on_file: OnFile | None = None,
) -> Iterator[Exported]:
    """Export models into ``folder`` (by default the home's ``parquet/``), one after the other.

    Args:
        connection: a published version, open for reading.
        names: models, with or without schema; None for all but the seeds.
        full: write every file, also those that did not change.
        on_wait: called once with a sentence when another export is under way.
        on_file: called before each file is written, and once at the end of a model.

    Raises:
        UnknownNameError: no such model; nothing was written.
        UsageError: a column has the name of a key in the path of the files; nothing was written.
        LockedError: another export ran for longer than ``wait_seconds``.
        StorageError: the folder cannot be written to, or the disk is full; files in place are whole.
    """
    known = models(connection)
    if names is not None:
        chosen = [pick_model(name, known) for name in names]
    else:
        chosen = [name for name in known if not name.startswith(f"{SEEDS}.")]
    target = folder if folder is not None else home.parquet
    with query_errors():
        layouts = [_layout_of(connection, name) for name in dict.fromkeys(chosen)]
    for layout in layouts:
        _check_keys(layout, target)
    state = target / STATE_FOLDER
    with (
        query_errors(),
        storage_errors("export into", target, _ADVICE),
        file_lock(state / "lock", f"another export into {target}", wait_seconds, on_wait),
    ):
        for leftover in state.glob(f".*{TEMPORARY_SUFFIX}"):  # of a killed export: no other one runs now
            leftover.unlink(missing_ok=True)
        for layout in layouts:
            yield _export(connection, layout, target, on_file, full=full)


def _check_keys(layout: ExportLayout, target: Path) -> None:
    """Refuse a column that is also the key of a folder: Polars and DuckDB would give the folder's value instead.

    Raises:
        UsageError: there is one.
    """
    # DuckDB takes keys from the whole path, and compares names without regard to case.
    columns = {column.casefold(): column for column in layout.columns}
    for part in target.absolute().parts:
        key, equals, _ = part.partition("=")
        if equals and (column := columns.get(key.casefold())):
            raise UsageError(
                f"cannot export {layout.model} into {target}: readers take '{part}' in its path for the value of the "
                f"model's own column '{column}'; choose another folder with --to"
            )
    if layout.time_column is not None and (column := columns.get(YEAR_KEY)):
        raise UsageError(
            f"cannot export {layout.model}: its column '{column}' has the name of the folders {YEAR_KEY}=YYYY, and "
            "readers would give the folder's value in its place; rename the column in the model"
        )


def _layout_of(connection: duckdb.DuckDBPyConnection, model: str) -> ExportLayout:
    """Read how the warehouse describes a model, and the digest of each of its months."""
    names = dict(zip(("schema", "table"), model.split(".", 1), strict=True))
    described = ask(
        connection,
        """
        SELECT column_name, data_type, comment FROM duckdb_columns()
        WHERE database_name = current_database() AND schema_name = $schema AND table_name = $table
        ORDER BY column_index
        """,
        names,
    ).fetchall()
    comments = ask(
        connection,
        """
        SELECT comment FROM duckdb_tables() WHERE database_name = current_database()
            AND schema_name = $schema AND table_name = $table
        UNION ALL
        SELECT comment FROM duckdb_views() WHERE database_name = current_database()
            AND schema_name = $schema AND view_name = $table
        """,
        names,
    ).fetchall()
    columns = tuple(name for name, *_ in described)
    order, time_column = _grain_and_time(connection, model)
    metadata = {"energywh:model": model}
    metadata |= {f"energywh:column:{name}": comment for name, _, comment in described if comment}
    if comments and comments[0][0]:
        metadata["energywh:description"] = comments[0][0]
    shape = digest_of([FORMAT, described, order, metadata])
    digests = _digests(connection, model, time_column)
    return ExportLayout(model, columns, time_column, order, shape, metadata, digests)


def _grain_and_time(connection: duckdb.DuckDBPyConnection, model: str) -> tuple[tuple[str, ...], str | None]:
    """Return the grain and the time column that the model declares; a seed declares neither."""
    rows = ask(connection, "SELECT grain, time_column FROM energywh.model WHERE name = $1", [model]).fetchall()
    return (tuple(rows[0][0]), rows[0][1]) if rows else ((), None)


def _digests(connection: duckdb.DuckDBPyConnection, model: str, time_column: str | None) -> dict[str, str]:
    """Return by file the digest of its rows, as the build stored it for tables, views and seeds."""
    rows = ask(
        connection,
        """
        SELECT month, rows, digest FROM energywh.month WHERE model = $1
        UNION ALL
        SELECT NULL, rows, digest FROM energywh.seed WHERE name = $1
        ORDER BY 1
        """,
        [model],
    ).fetchall()
    if time_column is None:
        return {f"{model}.parquet": digest_of(rows)}
    return {
        f"{YEAR_KEY}={month:%Y}/{month:%Y-%m}.parquet": digest_of([count, digest])
        for month, count, digest in rows
        if count
    }


def _export(
    connection: duckdb.DuckDBPyConnection, layout: ExportLayout, target: Path, on_file: OnFile | None, *, full: bool
) -> Exported:
    """Bring the files of one model up to date."""
    began = last_saved = time.monotonic()
    folder, state = target / layout.model, target / STATE_FOLDER
    make_folder(folder)
    # A manifest that was changed by hand must not name files of others.
    ours = re.compile(rf"({YEAR_KEY}=\d{{4}}/)?(\d{{4}}-\d\d|{re.escape(layout.model)})\.parquet")
    manifest = read_manifest(state, layout.model) or ExportManifest(layout.model, layout.shape, {})
    there = manifest.files
    current, damaged = {}, []
    for name, entry in there.items() if manifest.shape == layout.shape and not full else ():
        if entry.digest is not None and entry.digest == layout.digests.get(name):
            if (found := as_found(folder / name, entry)) is not None:
                current[name] = found
            else:
                damaged.append(name)
    due = [name for name in layout.digests if name not in current]
    stale = [folder / name for name in there if name not in layout.digests and ours.fullmatch(name)]
    skipped = len(current)
    for file in stale:  # on the disk too, before they leave the manifest
        file.unlink(missing_ok=True)
        if file.parent != folder:
            with contextlib.suppress(OSError):  # a year that still has files
                file.parent.rmdir()
        flush(file.parent if file.parent.is_dir() else folder)
    if due or there != current:
        write_manifest(state, layout.model, layout.shape, dict.fromkeys(due, ExportedFile()) | current)
    rows = size = 0
    try:
        for done, name in enumerate(due):
            if on_file is not None:
                on_file(layout.model, done, len(due))
            entry = _write(connection, layout, folder / name, name, state)
            current[name] = entry
            rows += entry.rows
            size += entry.bytes
            if time.monotonic() - last_saved > MANIFEST_SECONDS:
                write_manifest(state, layout.model, layout.shape, dict.fromkeys(due, ExportedFile()) | current)
                last_saved = time.monotonic()
    finally:
        if due:
            write_manifest(state, layout.model, layout.shape, dict.fromkeys(due, ExportedFile()) | current)
    if on_file is not None:
        on_file(layout.model, len(due), len(due))
    return Exported(
        model=layout.model,
        folder=folder,
        written=len(due),
        skipped=skipped,
        removed=len(stale),
        rows=rows,
        bytes=size,
        total_rows=sum(entry.rows for entry in current.values()),
        total_bytes=sum(entry.bytes for entry in current.values()),
        seconds=time.monotonic() - began,
        damaged=tuple(damaged),
    )


def _write(
    connection: duckdb.DuckDBPyConnection, layout: ExportLayout, file: Path, name: str, state: Path
) -> ExportedFile:
    """Write one file whole or not at all, and return its entry for the manifest."""
    where = ""
    if layout.time_column is not None:
        month = f"TIMESTAMP '{file.stem}-01'"
        column = quoted(layout.time_column)
        where = f"WHERE {column} >= {month} AND {column} < {month} + INTERVAL 1 MONTH"
    order = f"ORDER BY {', '.join(map(quoted, layout.order))}" if layout.order else ""
    make_folder(file.parent)
    with replacing(file, state) as temporary:
        query = ask(connection, f"SELECT * FROM {quoted(layout.model)} {where} {order}")
        with Hashed(temporary) as stream:
            rows = _copy(query, stream, layout.metadata)
        found = temporary.stat()
    return ExportedFile(layout.digests[name], rows, found.st_size, stream.sha256, found.st_mtime_ns)


def _copy(query: duckdb.DuckDBPyRelation, file: Hashed, metadata: dict[str, str]) -> int:
    """Write the rows of ``query`` to ``file``, a row group at a time, and return their number."""
    # PyArrow and not DuckDB's COPY, which marks a column as never null while the table holds no null: files written at
    # different times would differ in schema, and readers that take the schema of the first file would find nulls in a
    # column declared without. PyArrow is also faster (a year of 60 regions x 40 columns: 0.8 s against 1.1 s).
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 0
    reader = query.to_arrow_reader(ROW_GROUP_ROWS)
    schema = reader.schema.with_metadata(metadata)
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_table(pa.Table.from_batches([batch]).replace_schema_metadata(metadata))
            rows += batch.num_rows
    return rows
