"""`dataset.json`: what a stored dataset holds, where it comes from, and the digest that identifies it.

    datasets/NAME/dataset.json            this
    datasets/NAME/train.safetensors       the matrix of a split, as windows use it: normalized, missing values 0
    datasets/NAME/train/2023-01.parquet   the same rows in the units of the source, missing values NULL; one a month
    datasets/NAME/train.npz, train.h5     the content of train.safetensors, where asked for

The digest covers all that a training run can see: the request, columns, regions, splits, statistics, and the bytes of
every file. It does not depend on the dataset's name, on the version of the warehouse, or on when and where the dataset
was made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec

from energywh.core.folders import HeldFolder, holding_folder
from energywh.core.schema_number import check_known
from energywh.core.storage_errors import storage_error
from energywh.datasets.stored.migrations import NEWEST, migrated
from energywh.datasets.stored.spec import DatasetSpec
from energywh.errors import CorruptError, StorageError, UsageError

FORMAT = NEWEST  # schema number of what this energywh writes
FILE = "dataset.json"


class _Format(msgspec.Struct):
    """The schema number."""

    format: Annotated[int, msgspec.Meta(ge=1)]


class ColumnEntry(msgspec.Struct, frozen=True):
    """A column.

    Attributes:
        roles: "feature", "target", "future_covariate".
        missing: number of missing values, by split.
    """

    name: str
    roles: list[str]
    unit: str | None
    description: str
    missing: dict[str, int]


class RegionEntry(msgspec.Struct, frozen=True):
    """The consecutive hours of one region in a split, its rows, and the number of its windows."""

    region: str
    first_hour_utc: str  # 2023-01-01T00
    hours: int
    first_row: int
    windows: int


class SplitEntry(msgspec.Struct, frozen=True):
    """A split; its rows lie region after region, in the order of ``regions``.

    Attributes:
        values, missing: numbers of feature values, and of those that are missing.
    """

    name: str
    first_hour_utc: str
    last_hour_utc: str
    rows: int
    windows: int
    values: int
    missing: int
    regions: list[RegionEntry]


class FileEntry(msgspec.Struct, frozen=True):
    """A file; ``input_digest`` identifies what it was made from, so that it can be reused when that is the same."""

    sha256: str
    bytes: int
    input_digest: str


class WarehouseState(msgspec.Struct, frozen=True):
    """The version of the warehouse that the values were read from.

    Attributes:
        version: its name.
        as_of, knowledge: of a version built as of a moment, that moment (UTC), and which rows count as known then.
        models: of each model that was read, directly or not, the hashes of its SQL and the digest of its rows.
        staging: of each dataset of staging, its newest landing and hour.
        energywh, pyarrow: releases that wrote the files.
    """

    version: str
    as_of: str | None
    knowledge: str | None
    models: dict[str, dict[str, str]]
    staging: dict[str, dict[str, Any]]
    energywh: str
    pyarrow: str

    def same_moment(self, other: WarehouseState) -> bool:
        """Return whether both hold what was known at the same moment."""
        return (self.as_of, self.knowledge) == (other.as_of, other.knowledge)

    def same_rows(self, other: WarehouseState) -> bool:
        """Return whether a dataset made from either has the same bytes."""
        made_by = (self.energywh, self.pyarrow) == (other.energywh, other.pyarrow)
        return self.models == other.models and made_by and self.same_moment(other)


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `dataset.json`."""

    format: int
    name: str
    digest: str = ""
    request: DatasetSpec
    columns: list[ColumnEntry]
    regions: list[str]
    splits: list[SplitEntry]
    scaler: dict[str, Any] | None
    files: dict[str, FileEntry]  # by path below the folder, sorted
    provenance: WarehouseState

    def with_digest(self) -> Manifest:
        """Return it with the digest of its content."""
        return msgspec.structs.replace(self, digest=self.measured())

    def measured(self) -> str:
        """Return the digest of the content, 64 hexadecimal digits."""
        return _digest_of(msgspec.to_builtins(self))

    def check(self, folder: Path) -> None:
        """Check that it is as it was written into ``folder``.

        Raises:
            CorruptError: it was changed.
        """
        if self.measured() != self.digest:
            raise CorruptError(
                f"{folder / FILE} was changed: its content has another digest than it states; make the dataset again "
                f"with 'energywh dataset make {self.name}' and its options"
            )

    def write(self, folder: Path) -> None:
        """Write it into ``folder``, the same bytes for the same content."""
        (folder / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read the manifest of ``folder``; its digest is not checked.

        Raises:
            StorageError: there is none, it cannot be read, or a newer energywh wrote it.
            CorruptError: it is damaged, or something else.
        """
        with opened_dataset(folder) as held:
            return cls.read_from(held)

    @classmethod
    def read_from(cls, folder: HeldFolder) -> Manifest:
        """Read the manifest of an open folder, as `read` does."""
        file = folder.path / FILE
        try:
            with folder.open(FILE) as stream:
                text = stream.read()
        except FileNotFoundError:
            raise _no_dataset(folder.path) from None
        except OSError as error:
            raise storage_error(error, "read", file) from None
        try:
            number = msgspec.json.decode(text, type=_Format).format
            check_known(file, number, FORMAT)
            if number < FORMAT:
                manifest = _read_older(msgspec.json.decode(text), number)
            else:
                manifest = msgspec.json.decode(text, type=cls)
            if outside := [name for name in manifest.files if Path(name).is_absolute() or ".." in Path(name).parts]:
                raise msgspec.ValidationError(f"{outside[0]} is not a file of its folder")
            return manifest
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, UsageError) as error:
            raise CorruptError(
                f"{file} is damaged or not the manifest of a dataset ({error}); make it again with "
                "'energywh dataset make NAME' and its options"
            ) from None


class OlderManifest(Manifest, frozen=True, kw_only=True):
    """A manifest of an older schema, brought forward; ``format`` and ``digest`` are as it was written."""

    digest_as_written: str

    def measured(self) -> str:
        return self.digest_as_written


def _read_older(document: dict[str, Any], number: int) -> Manifest:
    try:
        changed = {**migrated(document, number), "digest_as_written": _digest_of(document)}
    except (KeyError, TypeError, AttributeError) as error:
        raise msgspec.ValidationError(f"it lacks {error}") from None
    return msgspec.convert(changed, OlderManifest)


def _digest_of(document: Mapping[str, Any]) -> str:
    content = {name: document[name] for name in ("format", "request", "columns", "regions", "splits", "scaler")}
    content["files"] = {path: [file["sha256"], file["bytes"]] for path, file in document["files"].items()}
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


@contextmanager
def opened_dataset(folder: Path) -> Iterator[HeldFolder]:
    """Open a dataset, to read its files as they are now, also when it is made again meanwhile.

    Raises:
        StorageError: there is no such folder, or it cannot be read.
    """
    with ExitStack() as stack:
        try:
            held = stack.enter_context(holding_folder(folder))
        except (FileNotFoundError, NotADirectoryError):
            raise _no_dataset(folder) from None
        except OSError as error:
            raise storage_error(error, "read", folder) from None
        yield held


def _no_dataset(folder: Path) -> StorageError:
    return StorageError(
        f"{folder} holds no stored dataset: {FILE} is missing; make one with 'energywh dataset make NAME'"
    )
