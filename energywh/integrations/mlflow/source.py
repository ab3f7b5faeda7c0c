"""The source of a stored dataset in MLflow: leads from a run's input back to the folder.

MLflow finds it by the entry point `mlflow.dataset_source`, so that `mlflow.data.get_source(...)` works in any process.
"""

# MLflow imports this module whenever it is imported itself: heavy imports stay inside functions.

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.data.dataset_source import DatasetSource

from energywh.errors import CorruptError

if TYPE_CHECKING:
    from energywh.datasets.stored.reader import StoredDataset


class StoredSource(DatasetSource):  # type: ignore[misc]
    """The folder of a stored dataset and the digest that it had when it was logged.

    Attributes:
        path: the folder, absolute.
        digest: of the dataset, 64 hexadecimal digits.
    """

    def __init__(self, path: str, digest: str) -> None:
        self.path = path
        self.digest = digest

    def load(self, **options: Any) -> StoredDataset:
        """Return the dataset that the run used.

        Args:
            options: of `energywh.load_dataset`: as_, memory, check.

        Raises:
            StorageError: the folder holds no dataset any more.
            CorruptError: it holds another dataset now, or a damaged one.
        """
        from energywh.datasets.stored.reader import load_dataset

        dataset = load_dataset(Path(self.path), **options)
        if dataset.digest != self.digest:
            raise CorruptError(
                f"{self.path} holds another dataset now: its digest is {dataset.digest}, and the run used "
                f"{self.digest}; make it again as it was with 'energywh dataset make', or keep datasets that runs use "
                "under names of their own"
            )
        return dataset

    def to_dict(self) -> dict[str, Any]:
        return {"path": self.path, "digest": self.digest}

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> StoredSource:
        return cls(source_dict["path"], source_dict["digest"])

    @staticmethod
    def _get_source_type() -> str:
        return "energywh"

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        # MLflow asks this for any path or address that is logged; those belong to its own sources.
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> StoredSource:
        raise NotImplementedError
