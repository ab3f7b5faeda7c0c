"""The models of freshness and revisions cover every dataset."""

import pytest

from energywh.sources import all_datasets
from tests.sql.model_files import graph


@pytest.mark.parametrize("model", ["quality.arrival", "quality.revisions"])
def test_every_dataset_and_its_revisions_are_watched(model: str) -> None:
    tables = {f"staging.{name}{end}" for name in all_datasets() for end in ("", "_revision")}
    assert set(graph().staging(model)) == tables
