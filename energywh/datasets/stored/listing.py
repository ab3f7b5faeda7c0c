"""The stored datasets of a home."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from energywh.datasets.stored.manifest import Manifest
from energywh.errors import EnergywhError, UnknownNameError, did_you_mean


@dataclass(frozen=True)
class ListedDataset:
    """A dataset with its manifest, or with the error of reading it."""

    folder: Path
    manifest: Manifest | None
    error: EnergywhError | None = None

    @property
    def name(self) -> str:
        return self.folder.name


def list_datasets(datasets: Path) -> list[ListedDataset]:
    """Return the datasets in the folder ``datasets`` by name, also those that cannot be read."""
    found = []
    for folder in dataset_folders(datasets).values():
        try:
            found.append(ListedDataset(folder, Manifest.read(folder)))
        except EnergywhError as error:
            found.append(ListedDataset(folder, None, error))
    return found


def dataset_folders(datasets: Path) -> dict[str, Path]:
    """Return the folders of all datasets by name, also of those that lost their manifest, or all they had."""
    # A link that leads nowhere is what a copy leaves that does not follow links.
    return {
        folder.name: folder
        for folder in sorted(datasets.glob("[!.]*"))
        if folder.is_dir() or (folder.is_symlink() and not folder.exists())
    }


def pick_datasets(datasets: Path, names: tuple[str, ...]) -> dict[str, Path]:
    """Return the folders of the datasets ``names`` by name, or of all where no name is given.

    Raises:
        UnknownNameError: no dataset has that name.
    """
    folders = dataset_folders(datasets)
    for name in names:
        if name not in folders:
            near = did_you_mean(name, folders) or f"; there are {', '.join(folders) or 'none'}"
            raise UnknownNameError(f"no dataset in {datasets} is named '{name}'{near}")
    return {name: folders[name] for name in names} or folders
