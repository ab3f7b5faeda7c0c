"""A stored dataset opened again: the windows it was made of, without the warehouse, DuckDB or Arrow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from energywh.config.settings import resolve_home
from energywh.core.wording import abbreviate
from energywh.datasets.stored.manifest import FILE, Column, Manifest
from energywh.datasets.stored.split_reader import read_split
from energywh.datasets.windows.backends import Backend, arrays
from energywh.datasets.windows.scaler import Scaler
from energywh.datasets.windows.windows import Windows
from energywh.errors import CorruptError, UnknownNameError, UsageError, did_you_mean


class Dataset:
    """A stored dataset, open: its splits are windows, as `energywh.Warehouse.windows` gives them. See `load_dataset`.

    Attributes:
        path: its folder.
        manifest: all of its `dataset.json`.
        scaler: what its values were normalized with, to take predictions back; None where they are as in the source.
    """

    def __init__(self, path: Path, manifest: Manifest, windows: Mapping[str, Windows], scaler: Scaler | None) -> None:
        self.path = path
        self.manifest = manifest
        self.scaler = scaler
        self._windows = windows

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, in order of time."""
        return tuple(self._windows)

    @property
    def columns(self) -> dict[str, Column]:
        """What each column is: its roles, unit, description, and how often it is missing."""
        return {column.name: column for column in self.manifest.columns}

    @property
    def digest(self) -> str:
        """SHA-256 of all that training can see; the same for the same content."""
        return self.manifest.digest

    def __len__(self) -> int:
        return len(self._windows)

    def __iter__(self) -> Iterator[Windows]:
        return iter(self._windows.values())

    def __getitem__(self, split: str) -> Windows:
        if split not in self._windows:
            near = did_you_mean(str(split), self._windows) or f"; it has {', '.join(self._windows)}"
            raise UnknownNameError(f"dataset {self.manifest.name} has no split '{split}'{near}")
        return self._windows[split]

    def __repr__(self) -> str:
        first = next(iter(self))
        counts = ", ".join(f"{name} {len(windows):,}" for name, windows in self._windows.items())
        return (
            f"<Dataset {self.manifest.name}: {counts} windows of {first.length:,} hours x {len(first.columns)} "
            f"features, horizon {first.horizon}, {len(first.regions)} regions ({abbreviate(first.regions)}), "
            f"{self.manifest.request.dtype}, digest {self.digest[:12]}>"
        )


def load_dataset(
    path: str | os.PathLike[str],
    *,
    backend: Backend = "mlx",
    memmap: bool = False,
    check: bool = True,
) -> Dataset:
    """Open a dataset that `energywh dataset make` wrote: the same windows in the same order, without the warehouse.

        train, valid, test = energywh.load_dataset("warehouse/datasets/day-ahead")
        for batch in train.batches(8, shuffle=True): ...

    and, for the newest hours as the model knows them, with the warehouse:

        dataset = energywh.load_dataset("day-ahead")
        train = dataset["train"]
        wh.context(train.length, train.regions, features=train.columns, scaler=dataset.scaler)

    Values have the dtype they were stored with. Neither DuckDB nor Arrow is imported, nor MLX with ``backend="numpy"``.

    Args:
        path: the dataset's folder, its `dataset.json`, or its name in the folder ``datasets`` of the home, which is
            `ENERGYWH_HOME` or else `./warehouse`.
        backend: "mlx" (default) for mx.array, "numpy" for NumPy arrays.
        memmap: map the file of the matrix instead of reading it, for data that memory cannot hold; the system keeps
            in memory what is in use.
        check: compare every byte of the matrix with the manifest; the size and the header always are.

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
    manifest = Manifest.read(folder)
    while True:
        try:
            dataset = _load(folder, manifest, backend, memmap, check)
        except CorruptError:
            newer = Manifest.read(folder)
            if newer == manifest:
                raise
        else:
            newer = Manifest.read(folder)
            if newer == manifest:
                return dataset
        manifest = newer  # it was made anew while it was read


def find_dataset(path: str | os.PathLike[str]) -> Path:
    """Return the folder of the dataset that a person called ``path``; see `load_dataset`.

    Raises:
        UnknownNameError: it is a name, and no dataset has it.
        UsageError: it is no path.
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


def _load(folder: Path, manifest: Manifest, backend: Backend, memmap: bool, check: bool) -> Dataset:
    dtype = manifest.request.dtype
    if check:
        manifest.check(folder)
    if backend == "numpy" and dtype == "bfloat16":
        raise UsageError(
            f"dataset {manifest.name} is of bfloat16, which NumPy has not: load it with backend='mlx', or make it with "
            "--dtype float32"
        )
    library = arrays(backend, dtype, folder if memmap else None)
    scaler = None if manifest.scaler is None else Scaler.from_dict(manifest.scaler)
    windows = {split.name: read_split(folder, manifest, split, library, scaler, check) for split in manifest.splits}
    return Dataset(folder, manifest, windows, scaler)
