"""The declarations of each source, which lineage and the site show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from energywh.sources import all_datasets, check_names, publication_lag_rows, sources
from energywh.sources.base import Dataset, PublicationLag, Source
from energywh.sources.eia import Eia
from energywh.sources.eia_files import known_headers
from energywh.sync.schema import columns

SOURCES = list(sources().values())


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_every_source_says_where_it_is_under_what_licence_and_what_goes_wrong(source: Source) -> None:
    lacking = [name for name in ("title", "homepage", "licence", "irregularities") if not getattr(source, name)]
    assert not lacking, f"source '{source.name}' has no {' and no '.join(lacking)}"
    assert source.homepage.startswith("https://")
    assert all(each.what and each.known_from for each in source.irregularities)


def test_a_dataset_begins_with_the_name_of_its_source() -> None:
    class Misnamed(Eia):
        name = "other"

    with pytest.raises(ValueError, match=r"source 'other' has dataset 'eia\.region_data', .* begin with 'other\.'"):
        check_names(Misnamed())


@pytest.mark.parametrize("dataset", all_datasets().values(), ids=lambda dataset: dataset.name)
def test_every_staging_column_says_what_its_source_calls_it(dataset: Dataset) -> None:
    assert dataset.origin != dataset.table, f"'{dataset.name}' needs an `origin`: its route or report at the source"
    assert all(dataset.fields_of(column) for column in columns(dataset))
    values = [dataset.fields_of(value) for value in dataset.values]
    assert len(set(values)) == len(values)


def test_every_known_header_of_the_half_year_files_is_documented() -> None:
    for dataset in all_datasets().values():
        if dataset.source == "eia_files":
            held = known_headers(dataset.kind).values()  # type: ignore[attr-defined]
            kept = {column for headers in held for column in headers.split("+") if column}
            assert kept == set(columns(dataset)) - {"file", "known_from_utc"}
            for column in kept:
                assert dataset.fields_of(column) != (column,)


def test_a_fuel_of_the_files_is_known_by_the_headers_of_both_families() -> None:
    balance = all_datasets()["eia_files.balance"]
    assert balance.fields_of("wat_mwh") == (
        "Net Generation (MW) from Hydropower and Pumped Storage",
        "Net Generation (MW) from Hydropower Excluding Pumped Storage",
    )


@pytest.mark.parametrize("dataset", all_datasets().values(), ids=lambda dataset: dataset.name)
def test_every_dataset_says_what_its_rows_are_of_and_how_late_they_are_published(dataset: Dataset) -> None:
    assert {dataset.region_column, *dataset.part_keys, *filter(None, [dataset.measure_key])} <= set(dataset.keys)
    assert {*dataset.arrived, *(column for column, _ in dataset.followed)} <= set(dataset.values)
    assert all(lag.source.endswith(".") for lag in dataset.publication_lags)
    assert dataset.detail_keys or all(measure for _, measure in dataset.followed), "revisions without a measure"


def test_a_measure_without_a_lag_of_its_own_has_that_of_its_dataset() -> None:
    region_data = all_datasets()["eia.region_data"]
    assert [region_data.publication_lag_hours(measure) for measure in ("D", "DF", "NG", "", "NEW")] == [
        2,
        7,
        31,
        31,
        31,
    ]
    assert ("eia.region_data", "type", "D", 2) in [row[:4] for row in publication_lag_rows()]
    assert ("eia.fuel_type_data", None, None, 31) in [row[:4] for row in publication_lag_rows()]


@pytest.mark.parametrize("measures", [(), ("D",), ("", "D", "D"), ("", "")])
def test_a_dataset_with_no_lag_or_two_of_one_measure_is_refused(measures: tuple[str, ...]) -> None:
    lags = tuple(PublicationLag(1, "Somebody.", measure) for measure in measures)
    with pytest.raises(ValueError, match="one publication lag"):
        replace(all_datasets()["eia.region_data"], publication_lags=lags)
