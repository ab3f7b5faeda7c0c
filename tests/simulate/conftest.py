"""A simulator of a few neighbors, and helpers to request its routes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from energywh.simulate.server import Simulator

KEY = "k-test"
Ask = Callable[..., requests.Response]


def asker(sim: Simulator) -> Ask:
    """Return a function that asks a simulator for a route; keyword facets, other parameters as given."""
    session = requests.Session()

    def ask(route: str, /, *, api_key: str | None = KEY, **params: Any) -> requests.Response:
        query: dict[str, Any] = {"frequency": "hourly", "data[0]": "value"}
        for name, value in params.items():
            facet = name in {"respondent", "type", "fueltype", "fromba", "toba"}
            query[f"facets[{name}][]" if facet else name] = value
        if api_key is not None:
            query["api_key"] = api_key
        return session.get(f"{sim.url}/electricity/rto/{route}/data/", params=query, timeout=20)

    return ask


def full_sort(*columns: str) -> dict[str, str]:
    """Return the parameters that sort by columns, ascending."""
    pairs: dict[str, str] = {}
    for at, column in enumerate(columns):
        pairs |= {f"sort[{at}][column]": column, f"sort[{at}][direction]": "asc"}
    return pairs


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(seed=3, now="2026-01-01T00", api_key=KEY) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def ask(sim: Simulator) -> Ask:
    return asker(sim)
