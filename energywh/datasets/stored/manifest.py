"""`dataset.json`: what a stored dataset holds, where it comes from, and by which bytes it is known.

    datasets/NAME/dataset.json            this
    datasets/NAME/train.safetensors       the matrix of a split, as windows hold it: normalized, missing values 0
    datasets/NAME/train/2023-01.parquet   the same rows in the units of the source, missing values NULL, a file a month
    datasets/NAME/train.npz, train.h5     what is in train.safetensors, where asked for

The digest is that of all a training run can see: columns, regions, splits, statistics, and the bytes of every file. It
does not depend on the dataset's name, on the version of the warehouse (of which the content is in the files), or on
when or where it was made.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from energywh.core.storage_errors import storage_error
from energywh.datasets.stored.request import DatasetSpec
from energywh.errors import CorruptError, StorageError, UsageError

FORMAT = 1
FILE = "dataset.json"


class _Format(msgspec.Struct):
    """What is read first: whether the rest can be."""

    format: int


class Column(msgspec.Struct, frozen=True):
    """A column: its uses ("feature", "target", "future_covariate"), and how often it is missing, by split."""

    name: str
    roles: list[str]
    unit: str | None
    description: str
    missing: dict[str, int]


class Stretch(msgspec.Struct, frozen=True):
    """The consecutive hours of one region in a split, and the rows and windows that they take."""

    region: str
    first_hour_utc: str  # 2023-01-01T00
    hours: int
    first_row: int
    windows: int


class SplitRecord(msgspec.Struct, frozen=True):
    """A part of time: its rows lie region after region, as ``stretches`` tell; ``missing`` counts feature values."""

    name: str
    first_hour_utc: str
    last_hour_utc: str
    rows: int
    windows: int
    values: int
    missing: int
    stretches: list[Stretch]


class File(msgspec.Struct, frozen=True):
    """One file, by its bytes; ``made_of`` is the digest of what it was made of: a later build knows it by that."""

    sha256: str
    bytes: int
    made_of: str


class Provenance(msgspec.Struct, frozen=True):
    """The warehouse that the values were taken from.

    Attributes:
        version: name of the version.
        as_of, knowledge: of a version built as of a moment, that moment (UTC), and what counted as known.
        models: of each model that was read, directly or not, the hashes of its SQL, and the digest of its rows.
        staging: of each dataset of staging, its newest landing and hour.
        energywh, pyarrow: releases of what made the files.
    """

    version: str
    as_of: str | None
    knowledge: str | None
    models: dict[str, dict[str, str]]
    staging: dict[str, dict[str, Any]]
    energywh: str
    pyarrow: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All of `dataset.json`."""

    format: int
    name: str
    digest: str = ""
    request: DatasetSpec
    columns: list[Column]
    regions: list[str]
    splits: list[SplitRecord]
    scaler: dict[str, Any] | None
    files: dict[str, File]  # by path below the folder, sorted
    provenance: Provenance

    def with_digest(self) -> Manifest:
        """Return it with the digest of its content."""
        return msgspec.structs.replace(self, digest=self.measured())

    def measured(self) -> str:
        """Return the digest that the content has, 64 hexadecimal digits."""
        content = {
            "format": self.format,
            "request": self.request,
            "columns": self.columns,
            "regions": self.regions,
            "splits": self.splits,
            "scaler": self.scaler,
            "files": {path: [file.sha256, file.bytes] for path, file in self.files.items()},
        }
        return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()

    def check(self, folder: Path) -> None:
        """Make sure that it is as it was written into ``folder``.

        Raises:
            CorruptError: it was changed.
        """
        if self.measured() != self.digest:
            raise CorruptError(
                f"{folder / FILE} was changed: its content has another digest than it says; make it again with "
                f"'energywh dataset make {self.name}' and its options"
            )

    def write(self, folder: Path) -> None:
        """Write it into ``folder``, the same bytes for the same content."""
        (folder / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read that of ``folder``; the digest is not checked.

        Raises:
            StorageError: there is none, it cannot be read, or a later energywh wrote it.
            CorruptError: it is damaged, or something else.
        """
        file = folder / FILE
        try:
            text = file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise StorageError(
                f"{folder} holds no stored dataset: {FILE} is missing; make one with 'energywh dataset make NAME'"
            ) from None
        except OSError as error:
            raise storage_error(error, "read", file) from None
        try:
            written = msgspec.json.decode(text, type=_Format).format
            if written > FORMAT:
                raise StorageError(
                    f"{file} is of format {written}, written by a later energywh; this one reads {FORMAT}: upgrade it"
                )
            manifest = msgspec.json.decode(text, type=cls)
            if outside := [name for name in manifest.files if Path(name).is_absolute() or ".." in Path(name).parts]:
                raise msgspec.ValidationError(f"{outside[0]} is no file of its folder")
            return manifest
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, UsageError) as error:
            raise CorruptError(
                f"{file} is damaged or no manifest of a dataset ({error}); make it again with "
                "'energywh dataset make NAME' and its options"
            ) from None
