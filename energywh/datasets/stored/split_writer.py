"""Write the files of one split: its values loaded alone, from the warehouse or from months that are taken over."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from energywh.core.sql_text import text
from energywh.core.time import hour_number
from energywh.datasets.stored.formats import Part, months, split_of, write_matrix, write_month
from energywh.datasets.stored.manifest import File, SplitRecord
from energywh.datasets.stored.task import OnStep, Task, matrix_file, month_file
from energywh.datasets.windows.backends import arrays
from energywh.datasets.windows.matrix import Frame, load_stretch
from energywh.datasets.windows.source import Bound
from energywh.datasets.windows.splits import Split
from energywh.errors import StorageError
from energywh.models.build.months import next_month, start_of

if TYPE_CHECKING:
    import duckdb

CHUNK_BYTES = 256 << 20  # of values asked for in one query of a model
MAPPED_BYTES = 256 << 20  # a split of more lies in a file while it is written


@dataclass(frozen=True)
class Filled:
    """What a split came to; ``missing`` counts by column, ``files`` are all of its files."""

    split: SplitRecord
    missing: dict[str, int]
    files: dict[str, File]


def fill_section(
    connection: duckdb.DuckDBPyConnection,
    task: Task,
    section: Split,
    kept: Mapping[str, File],
    folder: Path,
    on_step: OnStep,
) -> Filled:
    """Write the files of ``section`` into ``folder`` that are not among ``kept``, which are there.

    Raises:
        StorageError: the disk is full, or a file cannot be written.
        WindowError: a value that a 16-bit float cannot hold.
    """
    _check_room(task, section, kept, folder)
    frame = _load(connection, task, section, kept, folder, on_step)
    part = Part(
        section.name,
        frame,
        task.regions,
        list(section.starts),
        task.plan.shape,
        task.scaler,
        task.request.dtype,
        task.plan.ahead,
        task.about,
    )
    files = {name: kept[name] for name in task.files_of(section) if name in kept}
    due = [month for month in months(section.axis) if month_file(section, month) not in kept]
    for done, month in enumerate(due):
        on_step(f"{section.name}: writing months", done, len(due))
        name = month_file(section, month)
        files[name] = _entry(task, folder, name, write_month(part, month, folder / name))
    for form in task.forms:
        if (name := matrix_file(section, form)) not in kept:
            on_step(f"{section.name}: writing {name}", 0, 1)
            files[name] = _entry(task, folder, name, write_matrix(part, folder / name, form))
    return Filled(split_of(part), _missing(frame), files)


def _entry(task: Task, folder: Path, name: str, sha256: str | None) -> File:
    assert sha256 is not None  # every month of an axis has rows
    return File(sha256, (folder / name).stat().st_size, task.made_of[name])


def _missing(frame: Frame) -> dict[str, int]:
    return {
        name: int(count)
        for matrix in (frame.features, frame.targets, frame.future_covariates)
        for name, count in zip(matrix.columns, matrix.missing.counts(frame.axis).sum(axis=0), strict=True)
    }


def _bytes(task: Task, rows: int) -> int:
    """Return the bytes of the values of so many rows."""
    wanted = task.plan.wanted
    return rows * (len(wanted.features) + len(wanted.targets) + len(wanted.future_covariates)) * 4


def _check_room(task: Task, section: Split, kept: Collection[str], folder: Path) -> None:
    """Refuse a split that the disk cannot hold, before the work; Parquet, whose size is not known, counts nothing.

    Raises:
        StorageError: there is no room.
    """
    size = _bytes(task, section.axis.rows)
    written = sum(matrix_file(section, form) not in kept for form in task.forms)
    needed = size * written * (1 if task.request.dtype == "float32" else 0.5)
    needed += size if size > MAPPED_BYTES else 0
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"the {section.name} split takes about {needed / 1e9:,.1f} GB to make, and the disk that holds "
            f"{folder.parent} has {free / 1e9:,.1f} GB free; make room, or take fewer regions, features or years"
        )


def _load(
    connection: duckdb.DuckDBPyConnection,
    task: Task,
    section: Split,
    kept: Collection[str],
    folder: Path,
    on_step: OnStep,
) -> Frame:
    """Return the values of a split; in a nameless file of ``folder`` where they are many."""
    mapped = _bytes(task, section.axis.rows) > MAPPED_BYTES
    library = arrays("numpy", "float32", folder if mapped else None)
    first, end = int(section.axis.first_hour.min()), int(section.ends.max())

    def asked() -> Iterator[tuple[Bound, int, int]]:
        for source, low, high in _asked(task, section, kept, folder):
            on_step(f"{section.name}: loading", max(low - first, 0), end - first)
            yield source, max(low, first), min(high, end) - 1

    return load_stretch(connection, asked(), task.plan.wanted, section.axis, library)


def _asked(task: Task, section: Split, kept: Collection[str], folder: Path) -> Iterator[tuple[Bound, int, int]]:
    """Yield what to ask for the values, from which hour to before which."""
    source, span = task.plan.source, months(section.axis)
    for stored, group in groupby(span, lambda month: month_file(section, month) in kept):
        run = list(group)
        # A query is asked once, and for all hours: what it computes over them it would compute each time.
        step = _months_at_once(task, section) if source.model is not None or stored else len(run)
        for place in range(0, len(run), step):
            some = run[place : place + step]
            files = ", ".join(text(str(folder / month_file(section, month))) for month in some)
            yield (
                replace(source, sql=f"read_parquet([{files}])") if stored else source,
                hour_number(start_of(some[0])),
                hour_number(start_of(next_month(some[-1]))),
            )


def _months_at_once(task: Task, section: Split) -> int:
    return max(1, CHUNK_BYTES // _bytes(task, 744 * len(section.regions)))
