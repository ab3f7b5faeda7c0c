"""The seed that says how long after the end of an hour each dataset publishes it."""

from __future__ import annotations

import csv

import pytest

from energywh.core.paths import sql_dir
from energywh.sources import all_datasets
from energywh.sources.base import Dataset

with (sql_dir() / "seeds" / "publication_lag.csv").open(newline="", encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))


@pytest.mark.parametrize("dataset", all_datasets().values(), ids=all_datasets())
def test_every_dataset_has_a_lag_for_all_of_it_and_more_for_values_of_one_of_its_keys(dataset: Dataset) -> None:
    rows = [row for row in ROWS if row["dataset"] == dataset.name]
    assert [row["key"] for row in rows if not row["measure"]] == [""], "one lag for what has none of its own"
    assert {row["key"] for row in rows if row["measure"]} <= set(dataset.keys)
    assert len({row["measure"] for row in rows}) == len(rows)
    assert all(row["lag_hours"].lstrip("-").isdigit() and row["source"].endswith(".") for row in rows)


def test_no_lag_is_of_a_dataset_that_there_is_not() -> None:
    assert {row["dataset"] for row in ROWS} == set(all_datasets())
