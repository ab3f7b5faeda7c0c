"""Write the files of one split: its values are loaded alone, from the warehouse or from reused months."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from energywh.core.sql_text import text
from energywh.core.time import hour_number, hour_time
from energywh.datasets.stored.formats.content import SplitContent
from energywh.datasets.stored.formats.matrix import write_matrix
from energywh.datasets.stored.formats.parquet import months_of, write_month
from energywh.datasets.stored.manifest import FileEntry, RegionEntry, SplitEntry
from energywh.datasets.stored.plan import DatasetPlan, OnStep, matrix_file, month_file
from energywh.datasets.windows.backends import arrays
from energywh.datasets.windows.load import load_stretch
from energywh.datasets.windows.matrix import Frame
from energywh.datasets.windows.source import Bound
from energywh.datasets.windows.splits import Split
from energywh.errors import StorageError
from energywh.models.contents.months import next_month, start_of

if TYPE_CHECKING:
    import duckdb

CHUNK_BYTES = 256 << 20  # of values that one query of a model returns
MAPPED_BYTES = 256 << 20  # the values of a larger split are mapped from a file while it is written
HOURS_OF_A_MONTH = 31 * 24


@dataclass(frozen=True)
class WrittenSplit:
    """A split whose files exist, with the number of missing values by column."""

    entry: SplitEntry
    missing: dict[str, int]
    files: dict[str, FileEntry]


def write_split(
    connection: duckdb.DuckDBPyConnection,
    plan: DatasetPlan,
    split: Split,
    kept: Mapping[str, FileEntry],
    folder: Path,
    on_step: OnStep,
) -> WrittenSplit:
    """Write the files of ``split`` into ``folder``, except those ``kept``, which are there.

    Raises:
        StorageError: the disk is full, or a file cannot be written.
        WindowError: a value that a 16-bit float cannot hold.
    """
    _check_room(plan, split, kept, folder)
    frame = _load(connection, plan, split, kept, folder, on_step)
    content = SplitContent(
        split.name,
        frame,
        plan.regions,
        list(split.starts),
        plan.windows.shape,
        plan.scaler,
        plan.request.dtype,
        plan.windows.ahead,
        plan.about,
    )
    files = {name: kept[name] for name in plan.files_of(split) if name in kept}
    due = [month for month in months_of(split.axis) if month_file(split, month) not in kept]
    for done, month in enumerate(due):
        on_step(f"{split.name}: writing months", done, len(due))
        name = month_file(split, month)
        files[name] = _file_entry(plan, folder, name, write_month(content, month, folder / name))
    for form in plan.formats:
        if (name := matrix_file(split, form)) not in kept:
            on_step(f"{split.name}: writing {name}", 0, 1)
            files[name] = _file_entry(plan, folder, name, write_matrix(content, folder / name, form))
    return WrittenSplit(entry_of(content), _missing(frame), files)


def entry_of(content: SplitContent) -> SplitEntry:
    """Return the entry of a split in the manifest."""
    axis, features = content.frame.axis, content.frame.features
    with_hours = [region for region in range(len(axis.regions)) if axis.hours(region)]
    first, end = axis.first_hour, axis.first_hour + np.diff(axis.offset)
    return SplitEntry(
        name=content.name,
        first_hour_utc=_as_text(min(first[with_hours])),
        last_hour_utc=_as_text(max(end[with_hours]) - 1),
        rows=axis.rows,
        windows=sum(map(len, content.starts)),
        values=axis.rows * len(features.columns),
        missing=int(features.missing.counts(axis).sum()),
        regions=[
            RegionEntry(
                region=axis.regions[region],
                first_hour_utc=_as_text(first[region]),
                hours=axis.hours(region),
                first_row=int(axis.offset[region]),
                windows=len(content.starts[region]),
            )
            for region in with_hours
        ],
    )


def _as_text(hour: int) -> str:
    return f"{hour_time(int(hour)):%Y-%m-%dT%H}"


def _file_entry(plan: DatasetPlan, folder: Path, name: str, sha256: str | None) -> FileEntry:
    assert sha256 is not None  # every month of an axis has rows
    return FileEntry(sha256, (folder / name).stat().st_size, plan.input_digests[name])


def _missing(frame: Frame) -> dict[str, int]:
    return {
        name: int(count)
        for matrix in (frame.features, frame.targets, frame.future_covariates)
        for name, count in zip(matrix.columns, matrix.missing.counts(frame.axis).sum(axis=0), strict=True)
    }


def _bytes(plan: DatasetPlan, rows: int) -> int:
    """Return the size of the values of so many rows, as float32."""
    wanted = plan.windows.wanted
    return rows * (len(wanted.features) + len(wanted.targets) + len(wanted.future_covariates)) * 4


def _check_room(plan: DatasetPlan, split: Split, kept: Collection[str], folder: Path) -> None:
    """Check that the disk can hold a split, before the work. Parquet is left out: its size is not known.

    Raises:
        StorageError: there is no room.
    """
    size = _bytes(plan, split.axis.rows)
    written = sum(matrix_file(split, form) not in kept for form in plan.formats)
    needed = size * written * (1 if plan.request.dtype == "float32" else 0.5)
    needed += size if size > MAPPED_BYTES else 0
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"the {split.name} split takes about {needed / 1e9:,.1f} GB to make, and the disk that holds "
            f"{folder.parent} has {free / 1e9:,.1f} GB free; make room, or take fewer regions, features or years"
        )


def _load(
    connection: duckdb.DuckDBPyConnection,
    plan: DatasetPlan,
    split: Split,
    kept: Collection[str],
    folder: Path,
    on_step: OnStep,
) -> Frame:
    """Return the values of a split; those of a large one are mapped from an unnamed file of ``folder``."""
    mapped = _bytes(plan, split.axis.rows) > MAPPED_BYTES
    library = arrays("numpy", "float32", folder if mapped else None)
    first, end = int(split.axis.first_hour.min()), int(split.ends.max())

    def pieces() -> Iterator[tuple[Bound, int, int]]:
        for source, low, high in _pieces(plan, split, kept, folder):
            on_step(f"{split.name}: loading", max(low - first, 0), end - first)
            yield source, max(low, first), min(high, end) - 1

    return load_stretch(connection, pieces(), plan.windows.wanted, split.axis, library)


def _pieces(plan: DatasetPlan, split: Split, kept: Collection[str], folder: Path) -> Iterator[tuple[Bound, int, int]]:
    """Yield the sources to read the values from, each with its first hour and the hour after its last."""
    source, span = plan.windows.source, months_of(split.axis)
    for reused, group in groupby(span, lambda month: month_file(split, month) in kept):
        run = list(group)
        # A query runs once for all hours: it may compute over all of them, and would do so each time.
        step = _months_at_once(plan, split) if source.model is not None or reused else len(run)
        for place in range(0, len(run), step):
            some = run[place : place + step]
            files = ", ".join(text(str(folder / month_file(split, month))) for month in some)
            yield (
                replace(source, sql=f"read_parquet([{files}])") if reused else source,
                hour_number(start_of(some[0])),
                hour_number(start_of(next_month(some[-1]))),
            )


def _months_at_once(plan: DatasetPlan, split: Split) -> int:
    return max(1, CHUNK_BYTES // _bytes(plan, HOURS_OF_A_MONTH * len(split.regions)))
