"""A stored dataset made of windows: every split holds all rows of their frame, and the first has every region."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from energywh.datasets.stored.formats import SUFFIXES, Form, Part, months, split_of, write_matrix, write_month
from energywh.datasets.stored.manifest import FORMAT, Column, File, Manifest, Provenance
from energywh.datasets.stored.request import DatasetSpec
from energywh.datasets.windows.scaler import Scaler
from energywh.datasets.windows.windows import Windows

PROVENANCE = Provenance("energy-1", None, None, {}, {}, "0.1.0", "26.0.0")


def part_of(
    windows: Windows, scaler: Scaler | None = None, dtype: Any = "float32", regions: tuple[str, ...] | None = None
) -> Part:
    """Return windows in the units of the source, as NumPy float32, as a part of a dataset of ``regions``."""
    return Part(
        windows.name,
        windows.frame,
        regions or windows.regions,
        list(windows._starts),
        windows.shape,
        scaler,
        dtype,
        windows.future_covariates,
        {windows.targets[0]: {"unit": "MWh"}},
    )


def store(
    folder: Path,
    splits: Sequence[Windows],
    scaler: Scaler | None = None,
    dtype: Any = "float32",
    forms: Sequence[Form] = ("safetensors",),
    parquet: bool = False,
) -> Manifest:
    """Write the files and the manifest of a dataset of ``splits``, and return the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}
    parts = [part_of(windows, scaler, dtype, splits[0].regions) for windows in splits]
    for part in parts:
        for form in forms:
            name = f"{part.name}{SUFFIXES[form]}"
            files[name] = write_matrix(part, folder / name, form)
        for month in months(part.frame.axis) if parquet else ():
            name = f"{part.name}/{month:%Y-%m}.parquet"
            files[name] = write_month(part, month, folder / name) or ""
    first = splits[0]
    roles = {"feature": first.columns, "target": first.targets, "future_covariate": first.future_covariates}
    request = DatasetSpec(
        source="main.series",
        target=first.targets[0] if first.view.one_target else first.targets,
        length=first.length,
        stride=first.stride,
        horizon=first.horizon,
        region_encoding="one-hot" if first.view.one_hot else "index",
        dtype=dtype,
    )
    manifest = Manifest(
        format=FORMAT,
        name=folder.name,
        request=request,
        columns=[
            Column(name, [role for role, names in roles.items() if name in names], None, "", {})
            for name in dict.fromkeys(name for names in roles.values() for name in names)
        ],
        regions=list(first.regions),
        splits=[split_of(part) for part in parts],
        scaler=None if scaler is None else scaler.to_dict(),
        files={name: File(files[name], (folder / name).stat().st_size, "") for name in sorted(files)},
        provenance=PROVENANCE,
    ).with_digest()
    manifest.write(folder)
    return manifest
