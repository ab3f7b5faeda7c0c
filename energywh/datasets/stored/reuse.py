"""Files of an existing dataset that its next state can reuse."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from energywh.datasets.stored.manifest import FILE, File, Manifest
from energywh.datasets.stored.verify import Problem, verify


class Existing:
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
        self.manifest = manifest
        self._trusted = trusted
        self._folder = folder
        problems = verify(folder) if (folder / FILE).exists() else []
        self.damaged: list[Problem] = [problem for problem in problems if problem.kind not in ("foreign", "stray")]
        self.stray = [problem.file for problem in problems if problem.kind == "stray"]
        self._foreign = [problem.file for problem in problems if problem.kind == "foreign"]

    def kept(self, made_of: Mapping[str, str]) -> dict[str, File]:
        """Return by name the undamaged files that were made from the same input as they would be now.

        Args:
            made_of: by file, the digest of its input; empty where that is not known.
        """
        files = self.manifest.files if self.manifest is not None and self._trusted else {}
        bad = {problem.file for problem in self.damaged}
        return {
            name: files[name]
            for name, digest in made_of.items()
            if digest and name in files and name not in bad and files[name].made_of == digest
        }

    def take(self, name: str, new: Path) -> None:
        """Put the file into the folder ``new`` too, as a hard link where possible."""
        target = new / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(self._folder / name, target)
        except OSError:  # no hard links on this file system; a full disk fails the copy too
            shutil.copyfile(self._folder / name, target)

    def take_foreign(self, new: Path) -> None:
        """Put the files of others in the folder into ``new`` too, where their names are free."""
        for name in self._foreign:
            if name != FILE and not (new / name).exists():
                self.take(name, new)
