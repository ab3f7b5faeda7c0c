"""Checks of exported Parquet and of stored datasets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from energywh.core.wording import count
from energywh.errors import EnergywhError
from energywh.upkeep.diagnosis import Diagnosis, Examined, Severity, reason

_EXPORT_WHY = "who reads the files gets other rows than the warehouse has"


def check_exports(examined: Examined) -> Iterator[Diagnosis]:
    """Every exported file is there in its size (with ``full`` byte for byte), and no other beside them."""
    from energywh.datasets.export_manifest import STATE_FOLDER, manifest_file, read_manifest
    from energywh.datasets.export_verify import verify_export

    folder = examined.home.parquet
    state = folder / STATE_FOLDER
    models = sorted(each.name for each in folder.glob("[!.]*.*") if any(each.rglob("*.parquet")))
    if not models:
        return
    wrong = 0
    if examined.full:
        for model, problems in verify_export(folder).items():
            for problem in problems:
                if problem.kind == "foreign":
                    continue
                wrong += 1
                file = state / problem.file if problem.kind == "manifest" else folder / model / problem.file
                again = f"energywh export {model} --full"
                severity: Severity = "problem" if problem.kind != "manifest" or file.exists() else "note"
                yield Diagnosis("exports", severity, problem.text, examined.name(file), _EXPORT_WHY, again)
    else:
        for model in models:
            manifest = read_manifest(state, model)
            again = f"energywh export {model} --full"
            if manifest is None:
                wrong += 1
                file = manifest_file(state, model)
                # An earlier energywh kept none.
                severity, what = ("problem", "damaged") if file.exists() else ("note", "missing")
                yield Diagnosis("exports", severity, f"the manifest is {what}", examined.name(file), _EXPORT_WHY, again)
                continue
            sizes = {name: entry.bytes for name, entry in manifest.files.items() if entry.digest is not None}
            for file, what in _wrong_sizes(folder / model, sizes):
                wrong += 1
                yield Diagnosis("exports", "problem", what, examined.name(file), _EXPORT_WHY, again)
    if not wrong:
        yield Diagnosis(
            "exports",
            "ok",
            f"{count(len(models), 'model')}, {'every byte' if examined.full else 'by the sizes of their files'}",
            examined.name(folder),
        )


def check_datasets(examined: Examined) -> Iterator[Diagnosis]:
    """Every stored dataset has its manifest and its files in their sizes (with ``full`` byte for byte)."""
    from energywh.datasets.stored.listing import list_datasets
    from energywh.datasets.stored.manifest import FILE
    from energywh.datasets.stored.verify import verify

    listed = list_datasets(examined.home.datasets)
    wrong = 0
    for each in listed:
        todo = f"energywh dataset verify {each.name}, and make it again"
        found: list[tuple[Path, str]] = []
        if each.manifest is None:
            found.append((each.folder / FILE, reason(each.error or EnergywhError("it cannot be read"))))
        elif examined.full:
            found += [(each.folder / problem.file, problem.text) for problem in verify(each.folder)]
        else:
            found += _wrong_sizes(each.folder, {name: entry.bytes for name, entry in each.manifest.files.items()})
            if each.manifest.measured() != each.manifest.digest:
                found.append((each.folder / FILE, "it was changed: its content has another digest than it states"))
        for file, what in found:
            wrong += 1
            yield Diagnosis("datasets", "problem", what, examined.name(file), "training would read other values", todo)
    if listed and not wrong:
        yield Diagnosis(
            "datasets",
            "ok",
            f"{count(len(listed), 'dataset')}, {'every byte' if examined.full else 'by the sizes of their files'}",
            examined.name(examined.home.datasets),
        )


def _wrong_sizes(folder: Path, sizes: Mapping[str, int]) -> list[tuple[Path, str]]:
    found = []
    for name, size in sizes.items():
        file = folder / name
        try:
            there = file.stat().st_size
        except OSError as error:
            found.append((file, f"it cannot be read: {error.strerror}"))
            continue
        if there != size:
            found.append((file, f"it has {there:,} bytes, and was made with {size:,}"))
    return found
