"""A stored dataset as inputs of an MLflow run: one `mlflow.data.dataset.Dataset` a split."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import mlflow
from mlflow.data.dataset import Dataset
from mlflow.entities import Dataset as StoredEntry
from mlflow.entities import DatasetInput, InputTag
from mlflow.exceptions import MlflowException
from mlflow.types import ColSpec, DataType, Schema
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from energywh.datasets.stored.manifest import FILE, Manifest, SplitEntry
from energywh.errors import StorageError
from energywh.integrations.dataset_facts import amounts, facts
from energywh.integrations.mlflow.source import StoredSource

# The contexts that MLflow's documentation uses. Other splits ("all") keep their names.
_CONTEXTS = {"train": "training", "valid": "validation", "test": "testing"}
# MLflow accepts 36 characters and recommends at most 10; the whole digest is in the source and the profile.
_DIGEST_CHARACTERS = 10


class SplitDataset(Dataset):  # type: ignore[misc]
    """A split of a stored dataset as an MLflow dataset."""

    def __init__(self, source: StoredSource, manifest: Manifest, split: SplitEntry, name: str) -> None:
        self._manifest = manifest
        self._split = split
        # MLflow identifies the datasets of an experiment by name and digest alone, and splits share a digest.
        super().__init__(source, f"{name}/{split.name}", manifest.digest[:_DIGEST_CHARACTERS])

    @property
    def schema(self) -> Schema:
        """The columns of the split's Parquet files; a column without missing values in the split is required."""
        floats = [
            ColSpec(DataType.float, column.name, required=column.missing.get(self._split.name) == 0)
            for column in self._manifest.columns
        ]
        return Schema([ColSpec(DataType.string, "region"), ColSpec(DataType.datetime, "hour_utc"), *floats])

    @property
    def profile(self) -> dict[str, Any]:
        """The amounts of the split and the facts of the dataset, as plain data."""
        regions = [stretch.region for stretch in self._split.regions]
        return {**amounts(self._split), "regions": regions, **facts(self._manifest)}

    def to_dict(self) -> dict[str, str]:
        """Return what MLflow stores for a dataset, schema and profile as JSON."""
        stored: dict[str, str] = super().to_dict()
        stored["schema"] = json.dumps({"mlflow_colspec": self.schema.to_dict()})
        stored["profile"] = json.dumps(self.profile)
        return stored


def log(folder: Path, manifest: Manifest, run: Any, name: str, files: bool) -> None:
    """Log the splits as inputs of ``run``; with ``files`` also the files, as artifacts below `datasets/NAME`.

    Raises:
        StorageError: MLflow did not accept them.
    """
    source = StoredSource(str(folder), manifest.digest)
    inputs = [
        DatasetInput(StoredEntry(**SplitDataset(source, manifest, split, name).to_dict()), _tags(manifest, split))
        for split in manifest.splits
    ]
    client = mlflow.MlflowClient()
    try:
        client.log_inputs(run.info.run_id, inputs)
        for path in [FILE, *manifest.files] if files else ():
            client.log_artifact(run.info.run_id, str(folder / path), str(PurePosixPath("datasets", name, path).parent))
    except (MlflowException, OSError) as error:
        raise StorageError(
            f"MLflow did not accept dataset '{manifest.name}' as input of run {run.info.run_id}: {error}; if the run "
            "is in another store than the one MLflow uses now, set it with mlflow.set_tracking_uri"
        ) from error


def _tags(manifest: Manifest, split: SplitEntry) -> list[InputTag]:
    """Return the tags of this use of the dataset."""
    # The version is a tag too: MLflow keeps only the first profile of a name and digest in an experiment.
    return [
        InputTag(MLFLOW_DATASET_CONTEXT, _CONTEXTS.get(split.name, split.name)),
        InputTag("energywh.warehouse_version", manifest.provenance.version),
    ]
