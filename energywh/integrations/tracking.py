"""Datasets in experiment tracking: a run of MLflow or Weights & Biases records what it was trained on.

Neither is needed to import this. `pip install 'energywh[mlflow]'` and `'energywh[wandb]'` bring a client of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from energywh.errors import UsageError

if TYPE_CHECKING:
    from energywh.datasets.stored.reader import Dataset

_TAKEN = (
    "log_dataset takes a run of MLflow (what mlflow.start_run() or MlflowClient.create_run returns) or of "
    "Weights & Biases (what wandb.init() returns)"
)


def log_dataset(
    dataset: Dataset, run: Any, *, name: str | None = None, files: bool = False, check: bool = False
) -> None:
    """Record in ``run`` that it uses ``dataset``: see `energywh.datasets.stored.reader.Dataset.log_dataset`.

    Raises:
        UsageError, CorruptError, StorageError: as there.
    """
    kind = _kind(run)
    if kind is None:
        hint = "; no run is active" if run is None else ""
        raise UsageError(f"{_TAKEN}, not {type(run).__name__}{hint}")
    from energywh.integrations.dataset_current import check_current

    check_current(dataset.path, dataset.manifest, full=check)
    if kind == "mlflow":
        from energywh.integrations.mlflow import log
    else:
        from energywh.integrations.wandb import log
    # Absolute, as the record may be read from elsewhere; links are left as they are: people know the folder by them.
    log(dataset.path.absolute(), dataset.manifest, run, name or dataset.manifest.name, files)


def _kind(run: Any) -> str | None:
    """Return "mlflow" or "wandb" by the class of ``run``, so that nothing is imported; None for a run of neither."""
    for base in type(run).__mro__:
        # Runs of wandb.Api() are of wandb.apis: records of the past, which take no new inputs.
        if base.__name__ == "Run" and base.__module__.startswith(("mlflow.", "wandb.sdk.")):
            return base.__module__.partition(".")[0]
    return None
