"""Check that exported Parquet files are, byte for byte, those that were written. Neither DuckDB nor Arrow is needed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from energywh.core.folders import HeldFolder, holding_folder
from energywh.core.storage_errors import storage_errors
from energywh.datasets.export_manifest import STATE_FOLDER, ExportedFile, ExportManifest, manifest_file, read_manifest
from energywh.datasets.stored.verify import THREADS, OnFile, Problem, check_file
from energywh.errors import StorageError, UnknownNameError, did_you_mean


def verify_export(
    folder: str | os.PathLike[str], models: Iterable[str] = (), *, on_file: OnFile | None = None
) -> dict[str, list[Problem]]:
    """Compare every byte of exported models with the manifests that `energywh export` wrote.

        problems = energywh.verify_export("warehouse/parquet")
        assert not any(problems.values())

    Args:
        folder: what was exported into: ``parquet`` of the home, or that of ``--to``.
        models: with or without schema; all that were exported, if none is given.
        on_file: called after each file with its path, the bytes checked so far, and the bytes in all.

    Returns:
        For each model its problems, with paths below its folder. A file of the kind "unfinished" is one at which an
        export was interrupted, or is at work now.

    Raises:
        UnknownNameError: a model was not exported into ``folder``.
        StorageError: nothing was exported into it, or it cannot be read.
    """
    target = Path(folder)
    state = target / STATE_FOLDER
    with storage_errors("verify", target):
        chosen = _chosen(target, list(models))
        manifests = {model: read_manifest(state, model) for model in chosen}
        total = sum(file.bytes for manifest in manifests.values() if manifest for file in manifest.files.values())
        problems: dict[str, list[Problem]] = {}
        done = 0
        for model, manifest in manifests.items():
            found = []
            for name, entry, problem in _check(target / model, manifest):
                done += entry.bytes
                if on_file is not None:
                    on_file(f"{model}/{name}", done, total)
                if problem is not None:
                    found.append(problem)
            if found:  # an export may have replaced files meanwhile
                found = _again(target, model, manifest, found)
            problems[model] = found + _others(target, model, manifest)
    return problems


def _chosen(target: Path, names: list[str]) -> list[str]:
    """Return the models that have a manifest, or a folder as only models have; or those of them that are named."""
    known = {file.stem for file in (target / STATE_FOLDER).glob("[!.]*.json")}
    known |= {folder.name for folder in target.glob("[!.]*.*") if any(folder.rglob("*.parquet"))}
    if not known:
        raise StorageError(
            f"nothing was exported into {target}: export models with 'energywh export', or give another folder"
        )
    by_name = {model.split(".")[-1]: model for model in sorted(known)} | {model: model for model in known}
    for name in names:
        if name.casefold() not in by_name:
            near = did_you_mean(name, by_name) or f"; there are {', '.join(sorted(known))}"
            raise UnknownNameError(f"no model '{name}' was exported into {target}{near}")
    return list(dict.fromkeys(by_name[name.casefold()] for name in names)) or sorted(known)


def _check(folder: Path, manifest: ExportManifest | None) -> Iterator[tuple[str, ExportedFile, Problem | None]]:
    """Yield each file of a manifest with its problem, if it has any."""
    if manifest is None or not manifest.files:
        return
    with ExitStack() as stack:
        try:
            held = stack.enter_context(holding_folder(folder))
        except (FileNotFoundError, NotADirectoryError):
            for name, entry in manifest.files.items():
                yield name, entry, Problem(name, "missing", "it is not there")
            return
        with ThreadPoolExecutor(THREADS) as pool:
            checked = pool.map(lambda item: _problem(held, *item), manifest.files.items())
            for (name, entry), problem in zip(manifest.files.items(), checked, strict=True):
                yield name, entry, problem


def _problem(folder: HeldFolder, name: str, entry: ExportedFile) -> Problem | None:
    if entry.digest is None:
        return Problem(name, "unfinished", "an export was interrupted when it was due, or is at work now")
    return check_file(folder, name, entry.bytes, entry.sha256)


def _again(target: Path, model: str, before: ExportManifest | None, problems: list[Problem]) -> list[Problem]:
    """Return the problems that are left where files with one are compared with the manifest as it is now."""
    now = read_manifest(target / STATE_FOLDER, model)
    if now is None or now == before:
        return problems
    concerned = {problem.file for problem in problems}
    files = {name: entry for name, entry in now.files.items() if name in concerned}
    return [problem for _, _, problem in _check(target / model, ExportManifest(model, now.shape, files)) if problem]


def _others(target: Path, model: str, before: ExportManifest | None) -> list[Problem]:
    """Return the problems of a manifest, and of files that it does not name."""
    state, folder = target / STATE_FOLDER, target / model
    manifest = read_manifest(state, model)
    if manifest is None:
        file = manifest_file(state, model)
        why = "it is damaged" if file.exists() else "it is missing"
        return [Problem(file.name, "manifest", f"{why}, so nothing is known of the files of {model}")]
    known = {*manifest.files, *(before.files if before is not None else ())}
    others = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    return [
        Problem(name, "stray", "it was not exported, and is read with the model: move it away")
        if name.endswith(".parquet") and not Path(name).name.startswith((".", "_"))
        else Problem(name, "foreign", "it was not exported")
        for name in others
        if name not in known
    ]
