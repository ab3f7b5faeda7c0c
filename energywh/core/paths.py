"""Paths: the home folder of one warehouse, and the SQL that ships with the package."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from energywh.core.storage_errors import storage_errors
from energywh.errors import StorageError

DEFAULT_HOME = Path("warehouse")


@dataclass(frozen=True)
class Home:
    """The folder that holds one warehouse. Everything in it is named here and nowhere else."""

    path: Path

    @property
    def settings_file(self) -> Path:
        return self.path / "energywh.toml"

    @property
    def staging(self) -> Path:
        """Database of typed rows as the sources say; written by sync only."""
        return self.path / "staging.duckdb"

    @property
    def energy(self) -> Path:
        """Link to the newest published version; what people query."""
        return self.path / "energy.duckdb"

    @property
    def versions(self) -> Path:
        return self.path / "versions"

    @property
    def payloads(self) -> Path:
        return self.path / "payloads"

    @property
    def parquet(self) -> Path:
        return self.path / "parquet"

    @property
    def datasets(self) -> Path:
        """Stored training datasets, a folder each."""
        return self.path / "datasets"

    @property
    def cache(self) -> Path:
        """Nameless files of windows that memory cannot hold, and warehouse files as of the origins of folds."""
        return self.path / "cache"

    @property
    def as_of(self) -> Path:
        """Warehouse files as of the origins of folds; they go with the version that they belong to."""
        return self.cache / "as-of"

    @property
    def docs(self) -> Path:
        return self.path / "docs"

    @property
    def locks(self) -> Path:
        return self.path / "locks"

    def create(self) -> Home:
        """Make the folder and prove that it can be written to.

        Raises:
            StorageError: the folder cannot be made or written to.
        """
        with storage_errors("create the warehouse folder", self.path, "choose another with --home or ENERGYWH_HOME"):
            self.locks.mkdir(parents=True, exist_ok=True)
        if not os.access(self.path, os.W_OK) or not os.access(self.locks, os.W_OK):
            raise StorageError(
                f"the warehouse folder {self.path} is read-only; "
                "make it writable, or choose another with --home or ENERGYWH_HOME"
            )
        return self

    @property
    def simulated_mark(self) -> Path:
        """File that says that the data of this folder are simulated."""
        return self.path / "SIMULATED"

    def mark_simulated(self) -> None:
        """Mark the folder as holding simulated data."""
        from energywh.core.files import write_file

        self.create()
        write_file(
            self.simulated_mark,
            b"The data in this folder are simulated by energywh. Delete the folder to remove them.\n",
        )

    def mixing(self, real: str) -> str:
        """Return the message that rejects real data."""
        return (
            f"{self.path} holds simulated data, of 'energywh demo' or 'simulate', and {real}. They do not mix: "
            "delete the folder, or give another with --home or ENERGYWH_HOME"
        )


def sql_dir() -> Path:
    """Return the folder of seeds and models: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    for folder in (package / "_sql", package.parent / "sql"):
        if (folder / "seeds").is_dir():
            return folder
    raise StorageError(f"the sql folder is missing beside {package}; install energywh again")
