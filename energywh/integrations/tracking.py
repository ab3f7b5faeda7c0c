"""Stored datasets in experiment tracking: a run of MLflow or Weights & Biases records what it was trained on.

Neither client is needed to import this: `pip install 'energywh[mlflow]'` and `'energywh[wandb]'` bring them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from energywh.errors import CorruptError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from energywh.datasets.stored.manifest import Manifest
    from energywh.datasets.stored.reader import StoredDataset

_TAKEN = (
    "log_dataset takes a run of MLflow (what mlflow.start_run() or MlflowClient.create_run returns) or of "
    "Weights & Biases (what wandb.init() returns)"
)


def log_dataset(
    dataset: StoredDataset, run: Any, *, name: str | None = None, files: bool = False, check: bool = False
) -> None:
    """Record in a run of MLflow or Weights & Biases that it uses ``dataset``, identified by its digest.

        with mlflow.start_run() as run:
            log_dataset(dataset, run)

    MLflow: one input per split, named NAME/SPLIT, with the context "training", "validation" or "testing" ("all" for a
    dataset without splits). Its digest is the first ten digits of the dataset's; its schema is the columns; its
    profile has the numbers of rows, windows and missing values, the hours and regions, and the version of the
    warehouse. Its source, `mlflow.data.get_source(...)`, loads the dataset again. The record goes to the tracking
    store that MLflow uses now; ``run`` need not be the active run.

    Weights & Biases: an artifact of type "dataset" that the run uses, with the same facts as its metadata, and a
    reference with a checksum for each file, for which every file is read. An offline run logs the artifact instead.

    The dataset's folder and name are recorded too, and nothing else about the machine. The text of a query that the
    dataset was made from stays in its `dataset.json`. Logging twice gives one input, one version.

    Args:
        dataset: what `energywh.load_dataset` returned.
        run: what mlflow.start_run(), MlflowClient.create_run or wandb.init() returned.
        name: name of the dataset in the tracker; by default its own.
        files: store copies of the dataset's files with the run, `dataset.json` too: as artifacts below
            `datasets/NAME` (MLflow), or instead of the references (Weights & Biases).
        check: compare every byte of the files with the manifest first; otherwise only their sizes.

    Raises:
        UsageError: ``run`` is something else, or the tracker does not accept the name; nothing was recorded.
        CorruptError: a file is missing or was changed, or the dataset was made again since it was loaded; nothing was
            recorded.
        StorageError: files cannot be read, or the tracker did not accept the record.
    """
    tracker = _tracker_of(run)
    if tracker is None:
        hint = "; no run is active" if run is None else ""
        raise UsageError(f"{_TAKEN}, not {type(run).__name__}{hint}")
    _check_current(dataset.path, dataset.manifest, every_byte=check)
    if tracker == "mlflow":
        from energywh.integrations.mlflow.inputs import log
    else:
        from energywh.integrations.wandb import log
    # Absolute, as the record may be read from another folder. Links stay: people know the folder by that path.
    log(dataset.path.absolute(), dataset.manifest, run, name or dataset.manifest.name, files)


def _tracker_of(run: Any) -> str | None:
    """Return "mlflow" or "wandb" by the class of ``run``, without importing either; None for anything else."""
    for base in type(run).__mro__:
        # Runs of wandb.Api() come from wandb.apis: records of the past, which accept no new inputs.
        if base.__name__ == "Run" and base.__module__.startswith(("mlflow.", "wandb.sdk.")):
            return base.__module__.partition(".")[0]
    return None


def _check_current(folder: Path, manifest: Manifest, *, every_byte: bool) -> None:
    """Refuse a dataset whose digest changed since it was loaded, or of which a file is missing or changed.

    Args:
        every_byte: compare the content of the files, not only their sizes.

    Raises:
        CorruptError: as said.
        StorageError: its files cannot be read.
    """
    from energywh.datasets.stored.manifest import Manifest
    from energywh.datasets.stored.verify import verify

    now = Manifest.read(folder).digest
    if now != manifest.digest:
        raise CorruptError(
            f"{folder} was made again since it was loaded: its digest is {now}, and was {manifest.digest}; "
            "load it again, or keep datasets that runs use under names of their own"
        )
    if every_byte:
        problems = [f"{folder / one.file}: {one.text}" for one in verify(folder) if one.kind != "foreign"]
    else:
        problems = [text for path, file in manifest.files.items() if (text := _wrong_size(folder / path, file.bytes))]
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise CorruptError(
            f"dataset '{manifest.name}' is not logged: its files are not those that were made ({problems[0]}{more}); "
            f"make it again with 'energywh dataset make {manifest.name}'"
        )


def _wrong_size(file: Path, size_bytes: int) -> str | None:
    try:
        found = file.stat().st_size
    except OSError as error:
        return f"{file}: {error.strerror or error}"
    return None if found == size_bytes else f"{file}: it has {found:,} bytes, and was made with {size_bytes:,}"
