"""The data routes of EIA's API, and the rows that a backend returns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from energywh.simulate.noise import Floats, Hours

Facets = Mapping[str, Collection[str]]


@dataclass(frozen=True)
class Route:
    """A data route: the two facets that, with the period, are the key of its rows, and their name columns."""

    id: str
    facets: tuple[str, str]
    name_columns: tuple[str, str]
    description: str
    region_facet: int = 0  # index of the facet that is the reporting region


_SOURCE = "  \n    Source: Form EIA-930\n    Product: Hourly Electric Grid Monitor"
ROUTES = {
    route.id: route
    for route in (
        Route(
            "region-data",
            ("respondent", "type"),
            ("respondent-name", "type-name"),
            "Hourly demand, day-ahead demand forecast, net generation, and interchange by balancing "
            "authority." + _SOURCE,
        ),
        Route(
            "fuel-type-data",
            ("respondent", "fueltype"),
            ("respondent-name", "type-name"),
            "Hourly net generation by balancing authority and energy source." + _SOURCE,
        ),
        Route(
            "interchange-data",
            ("fromba", "toba"),
            ("fromba-name", "toba-name"),
            "Daily interchange between neighboring balancing authorities." + _SOURCE,
        ),
        Route(
            "region-sub-ba-data",
            ("subba", "parent"),
            ("subba-name", "parent-name"),
            "Hourly demand by subregion." + _SOURCE,
            region_facet=1,
        ),
    )
}


@dataclass(frozen=True)
class Label:
    """One series of an answer: its two codes, in the order of the route's facets, and their names."""

    codes: tuple[str, str]
    names: tuple[str, str]


@dataclass(frozen=True)
class Answer:
    """All rows of a query, sorted by period and codes.

    Attributes:
        labels: the series.
        period: hours since 1970 of each row (end of the hour), shape (rows,).
        series: position in ``labels`` of each row, shape (rows,).
        value: megawatthours, NaN for null, shape (rows,).
    """

    labels: Sequence[Label]
    period: Hours
    series: NDArray[np.int64]
    value: Floats

    @classmethod
    def empty(cls) -> Answer:
        return cls([], np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))


class Backend(Protocol):
    """A provider of rows: the simulated grid, or recorded tables in tests."""

    def query(self, route: str, facets: Facets, first: int | None, last: int | None) -> Answer:
        """Return the rows that match the codes of every given facet, both periods included."""

    def options(self, route: str, facet: str) -> Mapping[str, str]:
        """Return the codes and names that a facet of a route can take."""
