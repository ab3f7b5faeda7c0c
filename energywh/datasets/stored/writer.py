"""Make a dataset: a folder of files that holds windows, ready to train on without the warehouse.

It is made split by split, each loaded alone, so that memory does not grow with the dataset. A new folder is filled
beside the old one and takes its place once it is whole. Files that would be made of the same as before are taken over:
a month of Parquet whose rows in the warehouse are the same, by the digest that the build keeps of each month; a matrix
all of whose months, windows and statistics are. Where a matrix needs the rows of months that are taken over, they are
read from their Parquet.

A dataset does not depend on whether it was made in one step or in many: the same request of the same warehouse makes
the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from energywh.core.database import limited
from energywh.core.files import put_back, replacing_folder
from energywh.core.locks import DEFAULT_WAIT_SECONDS, OnWait, file_lock
from energywh.core.paths import Home
from energywh.core.storage_errors import query_errors, storage_errors
from energywh.datasets.stored.containers import import_h5py
from energywh.datasets.stored.manifest import FILE, FORMAT, Column, File, Manifest, Provenance
from energywh.datasets.stored.provenance import origin_of
from energywh.datasets.stored.request import DatasetSpec, check_name, differences
from energywh.datasets.stored.reuse import Existing
from energywh.datasets.stored.split_writer import Filled, fill_section
from energywh.datasets.stored.task import OnStep, Task, plan_task
from energywh.datasets.stored.verify import Problem
from energywh.datasets.windows.plan import make_plan
from energywh.datasets.windows.splits import Split
from energywh.errors import CorruptError, StorageError, UsageError

if TYPE_CHECKING:
    import duckdb

_ADVICE = "what was there before is as it was: make room or mend it, and run this again"
MEMORY_LIMIT = "1500MB"  # as the setting dataset.memory_limit


@dataclass(frozen=True)
class Made:
    """What the making of a dataset came to.

    Attributes:
        written, reused: names of files.
        damaged: files of the dataset as it was that were not as they had been made, and are made again.
        differs: what was asked otherwise than of the dataset as it was, in words.
        changed: False where all is as it was, and nothing was written at all.
    """

    folder: Path
    manifest: Manifest = field(repr=False)
    written: tuple[str, ...]
    reused: tuple[str, ...]
    damaged: tuple[Problem, ...]
    differs: tuple[str, ...]
    changed: bool
    seconds: float


def make_dataset(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    name: str,
    request: DatasetSpec | None = None,
    *,
    version: str,
    full: bool = False,
    memory_limit: str = MEMORY_LIMIT,
    wait_seconds: float = DEFAULT_WAIT_SECONDS,
    on_wait: OnWait | None = None,
    on_step: OnStep | None = None,
) -> Made:
    """Make the dataset ``name`` of ``home``, or bring it up to date.

    Args:
        connection: the version of the warehouse that is open.
        request: what it is to hold; None for what it was made with.
        version: name of the version.
        full: make every file anew.
        memory_limit: what DuckDB may take meanwhile, such as "1500MB"; "" for its own limit.
        on_wait: called once with a sentence when another process is making it.
        on_step: called with what is done now, how much of it is done, and of how much.

    Raises:
        UnknownNameError: no such model, column or region.
        UsageError: wrong SQL or arguments; or none, and there is no such dataset yet.
        WindowError: histories too short, duplicate hours, a column without values.
        LockedError: another process was making it for longer than ``wait_seconds``.
        StorageError: no room, or a folder that cannot be written to; the dataset is as it was.
    """
    began = time.monotonic()
    folder = home.datasets / check_name(name)
    home.create()
    with (
        file_lock(home.locks / f"dataset-{name}.lock", f"another making of dataset {name}", wait_seconds, on_wait),
        query_errors(),
        storage_errors("make", folder, {"system": _ADVICE, "full": _ADVICE}),
        limited(connection, memory_limit),
    ):
        put_back(folder)
        before = _manifest(folder, name, must=request is None)
        existing = Existing(folder, before, trusted=not full)
        if existing.stray:
            raise StorageError(
                f"{folder / existing.stray[0]} was not made with the dataset, and who reads its folder reads it too: "
                "move it away, and run this again"
            )
        again = request is None
        if request is None:
            assert before is not None
            request = before.request
        if "hdf5" in request.formats:
            import_h5py()  # that it is missing is said before hours of work
        plan = make_plan(connection, request)
        request = msgspec.structs.replace(request, source=plan.source.model or request.source)
        origin = origin_of(connection, plan.source, version)
        if again and before is not None and not _same_moment(before.provenance, origin.provenance):
            raise UsageError(_other_moment(name, before.provenance, origin.provenance))
        differs = () if before is None else tuple(differences(request, before.request))
        done = partial(_made, folder, existing, differs, began)

        same = None if full or differs or existing.damaged else before
        if same is not None and origin.certain and _same_warehouse(same.provenance, origin.provenance):
            return done(same, same.files, changed=False)
        step = on_step or (lambda what, done, of: None)
        task = plan_task(connection, request, plan, origin, None if full else before, step)
        kept = existing.kept(task.made_of)
        if same is not None and set(kept) == set(same.files) == set(task.made_of):
            manifest = _manifest_of(name, task, [_as_before(same, task, section, kept) for section in task.sections])
            if manifest.digest == same.digest and _same_moment(same.provenance, origin.provenance):
                return done(same, kept, changed=False)
        with replacing_folder(folder, FILE) as new:
            for file in kept:
                existing.take(file, new)
            filled = [
                _as_before(before, task, section, kept)
                if before is not None and kept.keys() >= set(task.files_of(section))
                else fill_section(connection, task, section, kept, new, step)
                for section in task.sections
            ]
            manifest = _manifest_of(name, task, filled)
            manifest.write(new)
            existing.take_foreign(new)
        return done(manifest, kept, changed=True)


def _made(
    folder: Path,
    existing: Existing,
    differs: tuple[str, ...],
    began: float,
    manifest: Manifest,
    kept: Mapping[str, File],
    *,
    changed: bool,
) -> Made:
    return Made(
        folder=folder,
        manifest=manifest,
        written=tuple(file for file in manifest.files if file not in kept),
        reused=tuple(kept),
        damaged=tuple(existing.damaged),
        differs=differs,
        changed=changed,
        seconds=time.monotonic() - began,
    )


def _manifest(folder: Path, name: str, *, must: bool) -> Manifest | None:
    """Return the manifest of the dataset that is there; None where there is none, or one damaged or changed.

    Raises:
        UsageError: there ``must`` be one, and there is none.
        CorruptError: there must be one, and it is damaged or was changed: what was asked for may be lost with it.
        StorageError: a later energywh wrote it.
    """
    if not (folder / FILE).exists():
        if must:
            raise UsageError(
                f"there is no dataset '{name}' in {folder.parent} yet: say what it is to hold, at least its length "
                "and stride"
            )
        return None
    try:
        manifest = Manifest.read(folder)
        manifest.check(folder)
    except CorruptError:
        if must:
            raise
        return None
    return manifest


def _same_warehouse(one: Provenance, other: Provenance) -> bool:
    """Say whether the same energywh makes the same of both."""
    made_by = (one.energywh, one.pyarrow) == (other.energywh, other.pyarrow)
    return one.models == other.models and made_by and _same_moment(one, other)


def _same_moment(one: Provenance, other: Provenance) -> bool:
    return (one.as_of, one.knowledge) == (other.as_of, other.knowledge)


def _other_moment(name: str, made_of: Provenance, offered: Provenance) -> str:
    """Say that a dataset would come to know more, or less, than it was made with."""
    then, now = (
        f"{each.version}, which holds what was known at {each.as_of}" if each.as_of else f"{each.version}, as known now"
        for each in (made_of, offered)
    )
    return (
        f"dataset {name} was made of {then}, and would be made of {now}: give --version as before, or all its options "
        "to have it made of the other"
    )


def _as_before(before: Manifest, task: Task, section: Split, kept: Mapping[str, File]) -> Filled:
    """Return what the manifest said of a split whose files are all taken over."""
    (split,) = (split for split in before.splits if split.name == section.name)
    missing = {column.name: column.missing[section.name] for column in before.columns}
    return Filled(split, missing, {name: kept[name] for name in task.files_of(section)})


def _manifest_of(name: str, task: Task, filled: Sequence[Filled]) -> Manifest:
    files = {file: entry for each in filled for file, entry in each.files.items()}
    return Manifest(
        format=FORMAT,
        name=name,
        request=task.request,
        columns=[
            Column(
                column,
                roles,
                task.about[column].get("unit"),
                task.about[column].get("description", ""),
                {each.split.name: each.missing[column] for each in filled},
            )
            for column, roles in task.roles.items()
        ],
        regions=list(task.regions),
        splits=[each.split for each in filled],
        scaler=None if task.scaler is None else task.scaler.to_dict(),
        files=dict(sorted(files.items())),
        provenance=task.origin.provenance,
    ).with_digest()
