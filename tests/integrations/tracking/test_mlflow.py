"""Runs of MLflow in a store of files, without a server or a network."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from energywh.datasets.stored.reader import StoredDataset
from energywh.errors import CorruptError, StorageError, UsageError
from energywh.integrations import log_dataset
from tests.integrations.tracking.conftest import VERSION


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """MLflow on a store of its own, without telemetry."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        # A database would be made by some fifty migrations, in seconds.
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        patch.setenv("MLFLOW_TRACKING_URI", (tmp_path_factory.mktemp("mlflow") / "runs").as_uri())
        import mlflow

        yield mlflow


@pytest.fixture
def client(mlflow: Any) -> Any:
    return mlflow.MlflowClient()


@pytest.fixture
def experiment(client: Any, request: pytest.FixtureRequest) -> Any:
    """An experiment of the test's own: MLflow knows a dataset by name and digest in all runs of one."""
    return client.create_experiment(request.node.name)


@pytest.fixture
def run(client: Any, experiment: Any) -> Any:
    """A run that is not the active one."""
    return client.create_run(experiment)


def inputs(client: Any, run: Any) -> dict[str, Any]:
    """Return what a run has as inputs, by their context."""
    found = client.get_run(run.info.run_id).inputs.dataset_inputs
    return {{tag.key: tag.value for tag in used.tags}["mlflow.data.context"]: used.dataset for used in found}


def make_anew(dataset: StoredDataset) -> None:
    """Put a dataset of another request into the folder."""
    request = replace(dataset.manifest.request, source="features.hourly")
    replace(dataset.manifest, request=request).with_digest().write(dataset.path)


def test_a_run_has_each_split_as_an_input_with_its_context(dataset: StoredDataset, client: Any, run: Any) -> None:
    log_dataset(dataset, run)

    used = inputs(client, run)
    assert {context: entry.name for context, entry in used.items()} == {
        "training": "grid/train",
        "testing": "grid/test",
    }
    assert {entry.digest for entry in used.values()} == {dataset.digest[:10]}
    train = dataset.manifest.splits[0]
    expected = {
        "digest": dataset.digest,
        "rows": train.rows,
        "windows": len(dataset["train"]),
        "feature_values": 2 * train.rows,
        "feature_values_missing": 24,
        "regions": ["BPAT", "CISO"],
        "length_hours": 24,
        "normalize": "zscore",
        "warehouse_version": VERSION,
    }
    profile = json.loads(used["training"].profile)
    assert {name: profile[name] for name in expected} == expected


def test_the_schema_names_the_columns_and_those_without_a_gap(dataset: StoredDataset, client: Any, run: Any) -> None:
    log_dataset(dataset, run)

    def required(context: str) -> dict[str, bool]:
        columns = json.loads(inputs(client, run)[context].schema)["mlflow_colspec"]
        return {column["name"]: column["required"] for column in columns}

    assert required("training") == {"region": True, "hour_utc": True, "demand_mwh": False, "hour_sin": True}
    assert required("testing") == {"region": True, "hour_utc": True, "demand_mwh": True, "hour_sin": True}


def test_the_active_run_is_taken_as_well_and_twice_is_once(
    dataset: StoredDataset, mlflow: Any, client: Any, experiment: Any
) -> None:
    with mlflow.start_run(experiment_id=experiment) as run:
        log_dataset(dataset, run, name="west")
        log_dataset(dataset, run, name="west")

    found = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert sorted(used.dataset.name for used in found) == ["west/test", "west/train"]


def test_no_text_of_a_query_is_logged(dataset: StoredDataset, client: Any, run: Any) -> None:
    log_dataset(dataset, run)

    assert "someone" not in str([dict(entry) for entry in inputs(client, run).values()])


def test_files_become_artifacts_of_the_run_where_asked_for(dataset: StoredDataset, client: Any, run: Any) -> None:
    (dataset.path / "notes.txt").write_text("not of the dataset")
    log_dataset(dataset, run, files=True)

    kept = Path(client.download_artifacts(run.info.run_id, "datasets/grid"))
    assert {path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file()} == {
        "dataset.json",
        *dataset.manifest.files,
    }


def test_the_source_of_an_input_leads_back_to_the_folder(dataset: StoredDataset, client: Any, run: Any) -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))["project"]
    module, _, name = project["entry-points"]["mlflow.dataset_source"]["energywh"].partition(":")
    kind = getattr(import_module(module), name)

    log_dataset(dataset, run)
    logged = inputs(client, run)["training"]
    assert logged.source_type == kind._get_source_type()
    source = kind.from_json(logged.source)
    again = source.load(backend="numpy")
    assert (again.path, again.digest) == (dataset.path, dataset.digest)

    make_anew(dataset)
    with pytest.raises(CorruptError, match=f"holds another dataset now.*{dataset.digest}"):
        source.load(backend="numpy")


def test_a_run_that_takes_no_inputs_is_an_error_that_names_it(dataset: StoredDataset, client: Any, run: Any) -> None:
    client.delete_run(run.info.run_id)
    with pytest.raises(StorageError, match=rf"'grid' as input of run {run.info.run_id}.*set_tracking_uri"):
        log_dataset(dataset, run)


@pytest.mark.parametrize("full", [False, True])
def test_a_dataset_with_a_damaged_file_is_not_logged(dataset: StoredDataset, client: Any, run: Any, full: bool) -> None:
    damaged = dataset.path / "train.safetensors"
    damaged.write_bytes(damaged.read_bytes().swapcase() if full else b"short")
    with pytest.raises(CorruptError, match=r"'grid' is not logged.*train\.safetensors"):
        log_dataset(dataset, run, check=full)
    assert not inputs(client, run)


def test_a_dataset_made_again_since_it_was_loaded_is_not_logged(dataset: StoredDataset, client: Any, run: Any) -> None:
    make_anew(dataset)
    with pytest.raises(CorruptError, match="made again since it was loaded"):
        log_dataset(dataset, run)
    assert not inputs(client, run)


def test_something_that_is_not_a_run_is_refused(dataset: StoredDataset, mlflow: Any, client: Any, run: Any) -> None:
    for wrong in (None, run.info.run_id, run.info, client, mlflow, object()):
        with pytest.raises(UsageError, match=r"start_run.*wandb\.init"):
            log_dataset(dataset, wrong)
