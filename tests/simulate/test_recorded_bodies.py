"""The simulator's bodies have the shape of recorded ones, and recorded rows pass through its protocol unchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from energywh.simulate.eia_routes import ROUTES
from energywh.simulate.hours import parse_period
from energywh.simulate.server import Simulator
from tests.simulate.conftest import KEY, Ask, asker, full_sort
from tests.support.recorded import RecordedBackend


@pytest.fixture(scope="module")
def eia() -> Path:
    folder = Path(__file__).parents[3] / "shared" / "data" / "recorded" / "eia"
    if not folder.is_dir():
        pytest.skip(f"recorded EIA data is not at {folder}")
    return folder


def shape(body: Any) -> Any:
    """Return keys and types of a body, of a list those of its first item."""
    if isinstance(body, dict):
        return {key: shape(value) for key, value in body.items()}
    if isinstance(body, list):
        return [shape(body[0])] if body else []
    return type(body).__name__


def test_a_body_has_the_keys_and_types_of_a_recorded_one(eia: Path, ask: Ask) -> None:
    recorded = json.loads((eia / "region-data_PACW_D_2024-01-01_2024-01-03.json").read_text())
    query: dict[str, Any] = {"respondent": "PACW", "type": "D", "start": "2024-01-01", "end": "2024-01-03"}
    order = {"sort[0][column]": "period", "sort[0][direction]": "asc"}
    body = ask("region-data", **query, **order, length=5000, offset=0).json()
    recorded_params, params = recorded["request"].pop("params"), body["request"].pop("params")
    assert shape(body) == shape(recorded)
    assert list(body) == list(recorded)
    assert list(body["response"]["data"][0]) == list(recorded["response"]["data"][0])
    assert body["request"] == recorded["request"]
    assert body["response"]["description"] == recorded["response"]["description"]
    assert {**params, "api_key": "REDACTED"} == recorded_params


def test_a_partial_body_warns_as_a_recorded_one(eia: Path, ask: Ask) -> None:
    (path,) = eia.glob("fuel-type-data_PACW_2024-01-01_*_TRUNCATED_*")
    recorded = json.loads(path.read_text())
    body = ask("fuel-type-data", respondent="PACW", start="2024-01-01", end="2024-02-20").json()
    assert body["warnings"] == recorded["warnings"]
    assert shape(body["response"]) == shape(recorded["response"])


def test_errors_are_the_recorded_ones(eia: Path, ask: Ask) -> None:
    invalid = ask("region-data", api_key="nobody")
    assert invalid.text == (eia / "error_http403_API_KEY_INVALID.json").read_text()
    assert ask("no-data").text == (eia / "error_http500_not_found_route.json").read_text()


@pytest.mark.parametrize("route", ["region-data", "fuel-type-data", "interchange-data"])  # no other is recorded
def test_recorded_tables_come_back_unchanged(eia: Path, route: str) -> None:
    backend = RecordedBackend(eia)
    one, two = ROUTES[route].facets
    with Simulator(api_key=KEY, backend=backend) as sim:
        ask = asker(sim)
        query: dict[str, Any] = {"start": "2022-07-10T00", "end": "2022-07-11T00", **full_sort("period", one, two)}
        found: list[dict[str, Any]] = []
        total = 1
        while len(found) < total:
            response = ask(route, **query, offset=len(found)).json()["response"]
            total = int(response["total"])
            found += response["data"]
    first, last = parse_period("2022-07-10T00"), parse_period("2022-07-11T00")
    served = {
        (parse_period(row["period"]), row[one], row[two]): None if row["value"] is None else float(row["value"])
        for row in found
    }
    assert len(served) == len(found) > 4000
    assert served == {key: value for key, value in backend.rows[route].items() if first <= key[0] <= last}


def test_a_recorded_body_is_served_as_it_was(eia: Path) -> None:
    recorded = json.loads((eia / "fuel-type-data_PACW_2023-01-01_2023-01-08.json").read_text())
    with Simulator(api_key=KEY, backend=RecordedBackend(eia, tables=False)) as sim:
        query = {"start": "2023-01-01", "end": "2023-01-08", **full_sort("period", "respondent", "fueltype")}
        body = asker(sim)("fuel-type-data", respondent="PACW", **query).json()
    assert body["response"] == recorded["response"]
