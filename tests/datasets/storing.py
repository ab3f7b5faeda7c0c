"""A stored dataset of windows: every split contains all rows of its frame, and the first has every region."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from energywh.datasets.stored.formats.content import SplitContent
from energywh.datasets.stored.formats.matrix import SUFFIXES, MatrixFormat, write_matrix
from energywh.datasets.stored.formats.parquet import months_of, write_month
from energywh.datasets.stored.manifest import FORMAT, ColumnEntry, FileEntry, Manifest, WarehouseState
from energywh.datasets.stored.spec import DatasetSpec
from energywh.datasets.stored.split_writer import entry_of
from energywh.datasets.windows.scaler import Scaler
from energywh.datasets.windows.windows import Windows

PROVENANCE = WarehouseState("energy-1", None, None, {}, {}, "0.1.0", "26.0.0")


def content_of(
    windows: Windows, scaler: Scaler | None = None, dtype: Any = "float32", regions: tuple[str, ...] | None = None
) -> SplitContent:
    """Return windows in the units of the source, as NumPy float32, as a split of a dataset of ``regions``."""
    return SplitContent(
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
    forms: Sequence[MatrixFormat] = ("safetensors",),
    parquet: bool = False,
) -> Manifest:
    """Write the files and the manifest of a dataset of ``splits``, and return the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}
    contents = [content_of(windows, scaler, dtype, splits[0].regions) for windows in splits]
    for content in contents:
        for form in forms:
            name = f"{content.name}{SUFFIXES[form]}"
            files[name] = write_matrix(content, folder / name, form)
        for month in months_of(content.frame.axis) if parquet else ():
            name = f"{content.name}/{month:%Y-%m}.parquet"
            files[name] = write_month(content, month, folder / name) or ""
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
            ColumnEntry(name, [role for role, names in roles.items() if name in names], None, "", {})
            for name in dict.fromkeys(name for names in roles.values() for name in names)
        ],
        regions=list(first.regions),
        splits=[entry_of(content) for content in contents],
        scaler=None if scaler is None else scaler.to_dict(),
        files={name: FileEntry(files[name], (folder / name).stat().st_size, "") for name in sorted(files)},
        provenance=PROVENANCE,
    ).with_digest()
    manifest.write(folder)
    return manifest
