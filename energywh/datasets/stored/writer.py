"""Make a stored dataset, or bring it up to date.

The same request to the same warehouse gives the same bytes, whether the dataset was made in one step or in many.
"""

# Splits are made one after the other, so that memory does not grow with the dataset. A new folder is filled beside the
# old one and takes its place once it is whole. Files are reused when their input is the same: a month of Parquet by the
# digest that the build keeps of each month, a matrix when all its months, windows and statistics are the same. Where a
# matrix needs the rows of a reused month, they are read from its Parquet.

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from energywh.core.database import limited
from energywh.core.folders import heal_folder, replacing_folder
from energywh.core.locks import DEFAULT_WAIT_SECONDS, OnWait, file_lock
from energywh.core.paths import Home
from energywh.core.storage_errors import query_errors, storage_errors
from energywh.datasets.stored.formats.containers import import_h5py
from energywh.datasets.stored.manifest import FILE, FORMAT, ColumnEntry, FileEntry, Manifest, WarehouseState
from energywh.datasets.stored.plan import DatasetPlan, OnStep, plan_dataset
from energywh.datasets.stored.provenance import source_state
from energywh.datasets.stored.reuse import ExistingDataset
from energywh.datasets.stored.spec import DatasetSpec, check_name, differences
from energywh.datasets.stored.split_writer import WrittenSplit, write_split
from energywh.datasets.stored.verify import Problem
from energywh.datasets.windows.plan import make_plan
from energywh.datasets.windows.splits import Split
from energywh.errors import CorruptError, StorageError, UsageError

if TYPE_CHECKING:
    import duckdb

_ADVICE = "the dataset is unchanged: mend it, and run this again"
_ADVICE_ON_ROOM = "the dataset is unchanged: make room, and run this again"
MEMORY_LIMIT = "1500MB"  # the default of the setting dataset.memory_limit


@dataclass(frozen=True)
class MakeOptions:
    """How a dataset is made.

    Attributes:
        full: make every file again.
        memory_limit: what DuckDB may take meanwhile, such as "1500MB"; "" for its own limit.
        wait_seconds: how long to wait for another process that makes the dataset.
        on_wait: called once with a sentence when there is one.
        on_step: called with the name of the step, how much of it is done, and of how much.
    """

    full: bool = False
    memory_limit: str = MEMORY_LIMIT
    wait_seconds: float = DEFAULT_WAIT_SECONDS
    on_wait: OnWait | None = None
    on_step: OnStep | None = None


@dataclass(frozen=True)
class MadeDataset:
    """The result of making a dataset.

    Attributes:
        written, reused: names of files.
        damaged: problems of the files of the dataset before, which were made again.
        differs: how the request differs from the one before, in words.
        changed: False if the dataset was up to date, and nothing was written.
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
    options: MakeOptions = MakeOptions(),
) -> MadeDataset:
    """Make the dataset ``name`` of ``home``, or bring it up to date.

    Args:
        connection: the version of the warehouse that is open.
        request: what the dataset is to hold; None for what it was made with.
        version: name of the version.

    Raises:
        UnknownNameError: no such model, column or region.
        UsageError: wrong SQL or arguments; or no request, and there is no such dataset yet.
        WindowError: histories too short, duplicate hours, a column without values.
        LockedError: another process was making it for longer than ``options.wait_seconds``.
        StorageError: no room, or a folder that cannot be written to; the dataset is unchanged.
    """
    began = time.monotonic()
    folder = home.datasets / check_name(name)
    home.create()
    with (
        file_lock(
            home.locks / f"dataset-{name}.lock",
            f"another making of dataset {name}",
            options.wait_seconds,
            options.on_wait,
        ),
        query_errors(),
        storage_errors("make", folder, {"system": _ADVICE, "full": _ADVICE_ON_ROOM}),
        limited(connection, options.memory_limit),
    ):
        heal_folder(folder)
        before = _manifest_before(folder, name, required=request is None)
        existing = ExistingDataset(folder, before, trusted=not options.full)
        if existing.stray:
            raise StorageError(
                f"{folder / existing.stray[0]} was not made with the dataset, and would be read with it: move it away, "
                "and run this again"
            )
        wanted = request
        if wanted is None:
            assert before is not None
            wanted = before.request
        if "hdf5" in wanted.formats:
            import_h5py()  # so that hours of work do not end with its absence
        windows = make_plan(connection, wanted)
        wanted = msgspec.structs.replace(wanted, source=windows.source.model or wanted.source)
        source = source_state(connection, windows.source, version)
        if request is None and before is not None and not source.warehouse.same_moment(before.provenance):
            raise UsageError(_other_moment(name, before.provenance, source.warehouse))
        differs = () if before is None else tuple(differences(wanted, before.request))

        def made(manifest: Manifest, reused: Mapping[str, FileEntry], *, changed: bool) -> MadeDataset:
            return MadeDataset(
                folder=folder,
                manifest=manifest,
                written=tuple(file for file in manifest.files if file not in reused),
                reused=tuple(reused),
                damaged=tuple(existing.damaged),
                differs=differs,
                changed=changed,
                seconds=time.monotonic() - began,
            )

        same = None if options.full or differs or existing.damaged else before
        if same is not None and source.certain and source.warehouse.same_rows(same.provenance):
            return made(same, same.files, changed=False)
        on_step = options.on_step or (lambda step, done, of: None)
        plan = plan_dataset(connection, wanted, windows, source, None if options.full else before, on_step)
        kept = existing.reusable(plan.input_digests)
        if same is not None and set(kept) == set(same.files) == set(plan.input_digests):
            manifest = _manifest_of(name, plan, [_split_before(same, plan, split, kept) for split in plan.splits])
            if manifest.digest == same.digest and source.warehouse.same_moment(same.provenance):
                return made(same, kept, changed=False)
        with replacing_folder(folder, FILE) as new:
            for file in kept:
                existing.copy_to(new, file)
            written = [
                _split_before(before, plan, split, kept)
                if before is not None and kept.keys() >= set(plan.files_of(split))
                else write_split(connection, plan, split, kept, new, on_step)
                for split in plan.splits
            ]
            manifest = _manifest_of(name, plan, written)
            manifest.write(new)
            existing.copy_foreign_to(new)
        return made(manifest, kept, changed=True)


def _manifest_before(folder: Path, name: str, *, required: bool) -> Manifest | None:
    """Return the manifest of the existing dataset; None if there is none, or if it is damaged or was changed.

    Raises:
        UsageError: it is ``required``, and there is none.
        CorruptError: it is required, and damaged or changed, so that the request cannot be trusted.
        StorageError: a later energywh wrote it, or the folder holds something else.
    """
    if not (folder / FILE).exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise StorageError(
                f"{folder} holds something else, or a dataset that lost its {FILE}: move it away, and make the dataset "
                "with all its options"
            )
        if required:
            raise UsageError(
                f"there is no dataset '{name}' in {folder.parent} yet: give what it is to hold, at least its length "
                "and stride"
            )
        return None
    try:
        manifest = Manifest.read(folder)
        manifest.check(folder)
    except CorruptError:
        if required:
            raise
        return None
    return manifest


def _other_moment(name: str, before: WarehouseState, now: WarehouseState) -> str:
    then, offered = (
        f"{each.version}, which holds what was known at {each.as_of}" if each.as_of else f"{each.version}, as known now"
        for each in (before, now)
    )
    return (
        f"dataset {name} was made from {then}, and would be made from {offered}: give --version as before, or all its "
        "options to make it from the other"
    )


def _split_before(before: Manifest, plan: DatasetPlan, split: Split, kept: Mapping[str, FileEntry]) -> WrittenSplit:
    """Return a split all of whose files are reused, as the manifest before has it."""
    (entry,) = (entry for entry in before.splits if entry.name == split.name)
    missing = {column.name: column.missing[split.name] for column in before.columns}
    return WrittenSplit(entry, missing, {name: kept[name] for name in plan.files_of(split)})


def _manifest_of(name: str, plan: DatasetPlan, splits: Sequence[WrittenSplit]) -> Manifest:
    files = {file: entry for split in splits for file, entry in split.files.items()}
    return Manifest(
        format=FORMAT,
        name=name,
        request=plan.request,
        columns=[
            ColumnEntry(
                name=column,
                roles=roles,
                unit=plan.about[column].get("unit"),
                description=plan.about[column].get("description", ""),
                missing={split.entry.name: split.missing[column] for split in splits},
            )
            for column, roles in plan.roles.items()
        ],
        regions=list(plan.regions),
        splits=[split.entry for split in splits],
        scaler=None if plan.scaler is None else plan.scaler.to_dict(),
        files=dict(sorted(files.items())),
        provenance=plan.source.warehouse,
    ).with_digest()
