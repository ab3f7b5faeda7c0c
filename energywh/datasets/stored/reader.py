"""Open a stored dataset: the windows it was made with, without the warehouse, DuckDB or Arrow."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from energywh.config.settings import resolve_home
from energywh.core.folders import HeldFolder
from energywh.core.wording import abbreviate, count
from energywh.datasets.stored.manifest import FILE, ColumnEntry, Manifest, opened_dataset
from energywh.datasets.stored.split_reader import read_split
from energywh.datasets.windows.backends import Backend, arrays
from energywh.datasets.windows.scaler import Scaler
from energywh.datasets.windows.splits import Splits
from energywh.datasets.windows.windows import Windows
from energywh.errors import CorruptError, UnknownNameError, UsageError, did_you_mean


class StoredDataset(Splits[Windows]):
    """The splits of a stored dataset, as `energywh.Warehouse.windows` gives them; see `load_dataset`.

    Attributes:
        path: its folder.
        manifest: its `dataset.json`.
        scaler: what its values were normalized with, to transform predictions back; None if they were not.
    """

    path: Path
    manifest: Manifest
    scaler: Scaler | None

    def __new__(cls, splits: Iterable[Windows], path: Path, manifest: Manifest, scaler: Scaler | None) -> StoredDataset:
        dataset = super().__new__(cls, splits)
        dataset.path, dataset.manifest, dataset.scaler = path, manifest, scaler
        return dataset

    @property
    def columns(self) -> dict[str, ColumnEntry]:
        """By name, the roles, unit, description and numbers of missing values of each column."""
        return {column.name: column for column in self.manifest.columns}

    @property
    def digest(self) -> str:
        """SHA-256 of all that training can see; the same for the same content."""
        return self.manifest.digest

    def __repr__(self) -> str:
        first = self[0]
        counts = ", ".join(f"{windows.name} {len(windows):,}" for windows in self)
        return (
            f"<StoredDataset {self.manifest.name}: {counts} windows of {count(first.length, 'hour')} x "
            f"{count(len(first.columns), 'feature')}, horizon {first.horizon}, {count(len(first.regions), 'region')} "
            f"({abbreviate(first.regions)}), {self.manifest.request.dtype}, digest {self.digest[:12]}>"
        )


def load_dataset(
    path: str | os.PathLike[str],
    *,
    backend: Backend = "mlx",
    memmap: bool = False,
    check: bool = True,
) -> StoredDataset:
    """Open a dataset that `energywh dataset make` wrote: the same windows in the same order, without the warehouse.

        train, valid, test = energywh.load_dataset("warehouse/datasets/day-ahead")
        for batch in train.batches(8, shuffle=True): ...

    and, for the newest hours with the same columns and scaling, with the warehouse:

        dataset = energywh.load_dataset("day-ahead")
        train = dataset.train
        wh.context(train.length, train.regions, features=train.columns, scaler=dataset.scaler)

    Values have the dtype they were stored with. Neither DuckDB nor Arrow is imported, nor MLX with ``backend="numpy"``.

    Returns:
        The splits in order of time: ``train, valid, test = dataset``, ``dataset.train``, ``dataset["train"]``.

    Args:
        path: the dataset's folder, its `dataset.json`, or its name in the folder ``datasets`` of the home, which is
            `ENERGYWH_HOME` or else `./warehouse`.
        backend: "mlx" (default) for mx.array, "numpy" for NumPy arrays.
        memmap: map the file of the matrix instead of reading it, for data that memory cannot hold; the system keeps
            in memory what is in use.
        check: compare every byte of the matrix with the manifest; its size and header are always checked.

    Raises:
        UnknownNameError: no dataset has that name.
        UsageError: a wrong argument, or bfloat16 as NumPy.
        StorageError: no dataset is there, a file cannot be read, or a later energywh wrote it.
        CorruptError: a file is missing, damaged, or was changed; the message names it.
        WindowError: MLX cannot be imported.
    """
    if not isinstance(memmap, bool):
        raise UsageError(f"memmap must be True or False, not {memmap!r}")
    folder = find_dataset(path)
    while True:
        with opened_dataset(folder) as held:
            manifest = Manifest.read_from(held)
            try:
                dataset = _load(held, manifest, backend, memmap, check)
            except CorruptError:
                # Where folders cannot be locked, files are removed when the dataset is made again meanwhile.
                if Manifest.read(folder) == manifest:
                    raise
            else:
                if Manifest.read_from(held) == manifest:  # else a copy of the dataset was brought up to date in place
                    return dataset


def find_dataset(path: str | os.PathLike[str]) -> Path:
    """Return the folder of the dataset at ``path`` or of that name; see `load_dataset`.

    Raises:
        UnknownNameError: no dataset has that name.
        UsageError: it is not a path.
    """
    if not isinstance(path, str | os.PathLike) or not str(path).strip():
        raise UsageError(f"a dataset is opened by the path of its folder, or by its name, not {path!r}")
    given = Path(path).expanduser()
    if given.name == FILE:
        return given.parent
    if len(given.parts) != 1 or (given / FILE).exists():
        return given
    folder = resolve_home()[0].datasets
    if (folder / given / FILE).exists():
        return folder / given
    if given.exists():
        return given
    names = sorted(file.parent.name for file in folder.glob(f"[!.]*/{FILE}"))
    near = did_you_mean(str(given), names) or (
        f"; it has {', '.join(names)}" if names else "; make one with 'energywh dataset make', or give a path"
    )
    raise UnknownNameError(f"no dataset in {folder} is named '{given}'{near}")


def _load(held: HeldFolder, manifest: Manifest, backend: Backend, memmap: bool, check: bool) -> StoredDataset:
    folder = held.path
    dtype = manifest.request.dtype
    if check:
        manifest.check(folder)
    if backend == "numpy" and dtype == "bfloat16":
        raise UsageError(
            f"dataset {manifest.name} is of bfloat16, which NumPy does not have: load it with backend='mlx', or "
            "make it with --dtype float32"
        )
    library = arrays(backend, dtype, folder if memmap else None)
    scaler = None if manifest.scaler is None else Scaler.from_dict(manifest.scaler)
    splits = [read_split(held, manifest, split, library, scaler, check) for split in manifest.splits]
    return StoredDataset(splits, folder, manifest, scaler)
