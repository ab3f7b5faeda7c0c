"""The sources. A module of this package with a `SOURCE` is one: adding the file adds the source."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from energywh.config.options import Option
    from energywh.config.settings import Settings
    from energywh.sources.base import Dataset, Source


@cache
def sources() -> dict[str, Source]:
    """Return every source by name.

    Raises:
        ValueError: a dataset does not begin with the name of its source.
    """
    found: dict[str, Source] = {}
    for module in pkgutil.iter_modules(__path__):
        source = getattr(importlib.import_module(f"{__name__}.{module.name}"), "SOURCE", None)
        if source is not None:
            check_names(source)
            found[source.name] = source
    return found


def check_names(source: Source) -> None:
    """Raise ValueError where a dataset does not begin with the name of its source."""
    strange = [f"dataset '{dataset.name}'" for dataset in source.datasets if dataset.source != source.name]
    if strange:
        raise ValueError(f"source '{source.name}' has {strange[0]}, whose name must begin with '{source.name}.'")


def all_datasets() -> dict[str, Dataset]:
    """Return every dataset of every source by name."""
    return {dataset.name: dataset for source in sources().values() for dataset in source.datasets}


def publication_lag_rows() -> list[tuple[str, str | None, str | None, int, str]]:
    """Return the publication lags of all datasets: dataset, key, measure, hours and the source of the fact.

    Key and measure are None in the row that holds for all measures without a row of their own.
    """
    return [
        (name, dataset.measure_key if lag.measure else None, lag.measure or None, lag.hours, lag.source)
        for name, dataset in all_datasets().items()
        for lag in dataset.publication_lags
    ]


def source_options() -> tuple[Option, ...]:
    """Return the settings that the sources declare."""
    from energywh.config.options import options_of

    return tuple(option for source in sources().values() for option in options_of(source.name, source.section))


def load_settings(
    home_option: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings that hold, of the core and of every source: see `energywh.config.settings.load`."""
    from energywh.config import settings

    return settings.load(source_options(), home_option, overrides, environment=environment)
