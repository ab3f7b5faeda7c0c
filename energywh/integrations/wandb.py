"""A stored dataset as an artifact of type "dataset" that a run of Weights & Biases uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import wandb

from energywh.datasets.stored.manifest import FILE, Manifest
from energywh.errors import StorageError, UsageError
from energywh.integrations.dataset_facts import amounts, facts


def log(folder: Path, manifest: Manifest, run: Any, name: str, files: bool) -> None:
    """Declare the dataset as an input of ``run``; with ``files``, store copies of its files.

    Raises:
        UsageError: the name is not valid for an artifact.
        StorageError: Weights & Biases did not accept it.
    """
    if run.disabled:
        return
    try:
        artifact = wandb.Artifact(name, type="dataset", metadata=_metadata(manifest))
    except ValueError as error:
        raise UsageError(
            f"Weights & Biases does not accept an artifact named '{name}': {error}; give another name="
        ) from None
    try:
        for path in (FILE, *manifest.files):
            if files:
                # An offline run is uploaded later, when the folder may hold another dataset: "mutable" copies it now.
                policy = "mutable" if run.offline else "immutable"
                artifact.add_file(str(folder / path), name=path, policy=policy, skip_cache=True)
            else:
                artifact.add_reference((folder / path).as_uri(), name=path)
        if run.offline:  # it cannot look up which version of an artifact it would use
            run.log_artifact(artifact)
        else:
            run.use_artifact(artifact)
    except (wandb.Error, ValueError, OSError) as error:
        raise StorageError(
            f"Weights & Biases did not accept dataset '{manifest.name}' as input of run {run.id}: {error}"
        ) from error


def _metadata(manifest: Manifest) -> dict[str, Any]:
    def columns(role: str) -> list[str]:
        return [column.name for column in manifest.columns if role in column.roles]

    return {
        **facts(manifest),
        "features": columns("feature"),
        "targets": columns("target"),
        "future_covariates": columns("future_covariate"),
        "regions": manifest.regions,
        "splits": {split.name: amounts(split) for split in manifest.splits},
    }
