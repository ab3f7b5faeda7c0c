"""Files of an existing dataset that its next state can reuse."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from energywh.datasets.stored.manifest import FILE, FileEntry, Manifest
from energywh.datasets.stored.verify import Problem, verify


class ExistingDataset:
    """The dataset in a folder, or an empty one.

    Attributes:
        damaged: the problems of its files.
        stray: files among its Parquet that were not made with it.
    """

    def __init__(self, folder: Path, manifest: Manifest | None, *, trusted: bool) -> None:
        """Check every byte of it.

        Args:
            manifest: None where there is none that can be trusted.
            trusted: its files may be reused.
        """
        self._files = manifest.files if manifest is not None and trusted else {}
        self._folder = folder
        problems = verify(folder) if (folder / FILE).exists() else []
        self.damaged: list[Problem] = [problem for problem in problems if problem.kind not in ("foreign", "stray")]
        self.stray = [problem.file for problem in problems if problem.kind == "stray"]
        self._foreign = [problem.file for problem in problems if problem.kind == "foreign"]

    def reusable(self, input_digests: Mapping[str, str]) -> dict[str, FileEntry]:
        """Return by name the undamaged files that were made from the same input as they would be now.

        Args:
            input_digests: by file, a digest of its input; "" where that is not known.
        """
        bad = {problem.file for problem in self.damaged}
        return {
            name: self._files[name]
            for name, digest in input_digests.items()
            if digest and name in self._files and name not in bad and self._files[name].input_digest == digest
        }

    def copy_to(self, new: Path, name: str) -> None:
        """Put the file into the folder ``new`` too, as a hard link where possible."""
        target = new / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(self._folder / name, target)
        except OSError:  # no hard links on this file system; a full disk fails the copy too
            shutil.copyfile(self._folder / name, target)

    def copy_foreign_to(self, new: Path) -> None:
        """Put the files of others in the folder into ``new`` too, where their names are free."""
        for name in self._foreign:
            if name != FILE and not (new / name).exists():
                self.copy_to(new, name)
