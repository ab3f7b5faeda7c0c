"""`DatasetSpec`: the request for a stored dataset, windows and the formats of their files. The manifest keeps it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from energywh.core.arguments import as_names, one_of
from energywh.datasets.windows.spec import DEFAULT_SOURCE, DEFAULT_TARGET, WindowSpec, about, default_of, spec_of
from energywh.errors import UsageError

FORMATS = ("npz", "hdf5")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class DatasetSpec(WindowSpec, frozen=True, kw_only=True):
    """Windows to store, and the formats of their files beside safetensors and Parquet: "npz", "hdf5".

    Without ``splits`` all windows are one split, or two where regions are held out.
    """

    formats: Annotated[tuple[str, ...], about("Also write npz or hdf5.", "FORMAT")] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        formats = as_names(self.formats, "formats")
        for form in formats:
            one_of(form, "formats", FORMATS)
        msgspec.structs.force_setattr(self, "formats", tuple(form for form in FORMATS if form in formats))
        msgspec.structs.force_setattr(self, "splits", self.splits or ())


def dataset_spec_of(given: Mapping[str, Any]) -> DatasetSpec | None:
    """Return the request in the arguments of `energywh.Warehouse.dataset`; None if they are all left out.

    Raises:
        UsageError: a wrong argument, or one without length and stride.
    """
    fields = [field for field in msgspec.structs.fields(DatasetSpec) if field.name in given]
    asked = {field.name: given[field.name] for field in fields}
    if all(asked[field.name] == default_of(field) for field in fields):
        return None
    if not isinstance(asked["source"], WindowSpec):
        if asked["length"] is None or asked["stride"] is None:
            raise UsageError("a dataset needs both length and stride, in hours; its name alone makes it again")
        asked["source"] = asked["source"] or DEFAULT_SOURCE
        asked["target"] = asked["target"] or DEFAULT_TARGET
    return spec_of(DatasetSpec, "dataset", asked)


def check_name(name: str) -> str:
    """Return the name of a dataset.

    Raises:
        UsageError: it cannot be the name of a folder.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"the name of a dataset is of letters, digits, '-', '_' and '.', with a letter or digit first, not {name!r}"
        )
    return name


def differences(asked: DatasetSpec, before: DatasetSpec) -> list[str]:
    """Return in words how a request differs from the one before."""
    fields = ((name, getattr(asked, name), getattr(before, name)) for name in asked.__struct_fields__)
    return [f"{name} {_shown(now)} (was {_shown(then)})" for name, now, then in fields if now != then]


def _shown(value: object) -> str:
    if value is None:
        return "not given"
    if isinstance(value, dict):
        return "a scaler" if "center" in value else str(value["kind"])
    return (", ".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)
