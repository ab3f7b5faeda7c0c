"""The simulator answers as EIA's API does: paging, inclusive ends, echoes, errors."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from energywh.simulate.server import Simulator
from tests.simulate.conftest import KEY, Ask, asker, full_sort

REGION_SORT = full_sort("period", "respondent", "type")


def rows(response: requests.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["response"]["data"]
    return found


def test_both_ends_are_included(ask: Ask) -> None:
    found = rows(ask("region-data", respondent="PACW", type="DF", start="2024-01-01T05", end="2024-01-01T07"))
    assert {row["period"] for row in found} == {"2024-01-01T05", "2024-01-01T06", "2024-01-01T07"}


def test_a_bare_end_date_means_its_first_hour(ask: Ask) -> None:
    found = rows(ask("region-data", respondent="PACW", type="D", start="2024-01-01", end="2024-01-07"))
    assert max(row["period"] for row in found) == "2024-01-07T00"
    assert len(found) <= 145


def test_start_equal_to_end_is_one_hour(ask: Ask) -> None:
    found = rows(ask("region-data", respondent=["PACW", "CISO"], start="2024-01-01", end="2024-01-01"))
    assert {row["period"] for row in found} == {"2024-01-01T00"}


def test_a_page_holds_5000_rows_at_most_and_says_that_it_is_partial(ask: Ask) -> None:
    body = ask("region-data", respondent="CISO", start="2024-01-01", end="2024-12-31", length=100_000).json()
    assert len(body["response"]["data"]) == 5000
    assert int(body["response"]["total"]) > 30_000
    assert body["warnings"][0]["warning"] == "incomplete return"
    assert body["request"]["params"]["length"] == "100000"


def test_a_complete_page_has_no_warning_and_a_last_page_has(ask: Ask) -> None:
    query: dict[str, Any] = {"respondent": "PACW", "type": "D", "start": "2024-01-01T00", "end": "2024-01-02T00"}
    assert "warnings" not in ask("region-data", **query).json()
    last = ask("region-data", **query, offset=20, length=16).json()
    assert "warnings" in last
    assert len(last["response"]["data"]) == int(last["response"]["total"]) - 20


def test_pages_in_full_order_make_up_the_whole(ask: Ask) -> None:
    query: dict[str, Any] = {"respondent": ["CISO", "BPAT"], "start": "2024-05-01", "end": "2024-06-30"}
    query |= REGION_SORT
    first = ask("region-data", **query).json()["response"]
    total = int(first["total"])
    found = list(first["data"])
    while len(found) < total:
        found += rows(ask("region-data", **query, offset=len(found)))
    keys = [(row["period"], row["respondent"], row["type"]) for row in found]
    assert keys == sorted(set(keys))
    assert rows(ask("region-data", **query, offset=total)) == []


def test_pages_without_a_full_sort_repeat_and_lose_rows(ask: Ask) -> None:
    query: dict[str, Any] = {"start": "2024-05-01T00", "end": "2024-05-01T03", **full_sort("period")}
    pages = [rows(ask("fuel-type-data", **query, offset=offset, length=300)) for offset in (0, 300)]
    keys = [(row["period"], row["respondent"], row["fueltype"]) for page in pages for row in page]
    assert len(set(keys)) < len(keys)
    assert [key[0] for key in keys] == sorted(key[0] for key in keys)


def test_sorting_downwards(ask: Ask) -> None:
    query = {"sort[0][column]": "period", "sort[0][direction]": "desc"}
    found = rows(ask("region-data", respondent="PACW", start="2024-05-01", end="2024-05-03", **query))
    periods = [row["period"] for row in found]
    assert periods == sorted(periods, reverse=True)


def test_values_and_totals_are_strings_and_nulls_are_null(ask: Ask) -> None:
    body = ask("region-data", respondent="TVA", type="D", start="2023-01-01", end="2023-06-30").json()
    values = [row["value"] for row in body["response"]["data"]]
    assert isinstance(body["response"]["total"], str)
    assert {type(value) for value in values} == {str, type(None)}
    assert any("." in value for value in values if value)
    assert not any(value.endswith(".0") for value in values if value)


def test_the_request_is_echoed_with_the_key(ask: Ask) -> None:
    params = ask("region-data", respondent="PACW", start="2024-01-01", end="2024-01-02").json()["request"]["params"]
    assert params["api_key"] == KEY
    assert params["facets"] == {"respondent": ["PACW"]}
    assert params["data"] == ["value"]


def test_facets_with_an_index_are_understood(sim: Simulator) -> None:
    url = f"{sim.url}/electricity/rto/region-data/data?api_key={KEY}&frequency=hourly&data[]=value"
    url += "&facets[respondent][0]=PACW&facets[respondent][1]=CISO&start=2024-01-01&end=2024-01-01"
    assert {row["respondent"] for row in rows(requests.get(url, timeout=10))} == {"PACW", "CISO"}


def test_without_a_data_parameter_rows_have_no_value(sim: Simulator) -> None:
    url = f"{sim.url}/electricity/rto/region-data/data/?api_key={KEY}&facets[respondent][]=PACW"
    assert "value" not in rows(requests.get(f"{url}&start=2024-01-01&end=2024-01-01", timeout=10))[0]


def test_an_unknown_facet_value_gives_no_rows(ask: Ask) -> None:
    body = ask("region-data", respondent="SPP", start="2024-01-01", end="2024-02-01").json()
    assert body["response"]["total"] == "0"
    assert body["response"]["data"] == []


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"facets[planet][]": "Mars"}, "Invalid facet 'planet' provided."),
        ({"frequency": "daily"}, "Invalid frequency 'daily' provided."),
        ({"data[0]": "price"}, "Invalid data 'price' provided."),
        ({"start": "today"}, "Invalid start 'today' provided."),
        ({"offset": "-1"}, "Invalid offset '-1' provided."),
        ({"sort[0][column]": "name"}, "Invalid sort column 'name' provided."),
    ],
)
def test_a_bad_request_is_a_400_of_the_application(ask: Ask, params: dict[str, str], text: str) -> None:
    response = ask("region-data", **params)
    assert response.status_code == 400
    assert response.json()["error"].startswith(text)
    assert response.json()["code"] == 400


def test_an_unknown_route_is_a_500_that_says_404(ask: Ask, sim: Simulator) -> None:
    for response in (ask("nothing-data"), requests.get(f"{sim.url}/weather?api_key={KEY}", timeout=10)):
        assert response.status_code == 500
        assert response.json() == {"error": "Not found.", "code": 404}


def test_a_missing_and_a_wrong_key_are_403_of_the_gateway(ask: Ask) -> None:
    for key, code in ((None, "API_KEY_MISSING"), ("wrong-key", "API_KEY_INVALID")):
        response = ask("region-data", api_key=key)
        assert response.status_code == 403
        assert response.json()["error"]["code"] == code
        assert "wrong-key" not in response.text


def test_a_key_in_the_header_is_taken(sim: Simulator) -> None:
    url = f"{sim.url}/electricity/rto/region-data/data/?start=2024-01-01&end=2024-01-01"
    assert requests.get(url, headers={"X-Api-Key": KEY}, timeout=10).status_code == 200


def test_gzip_when_asked_and_only_then(sim: Simulator) -> None:
    url = f"{sim.url}/electricity/rto/region-data/data/?api_key={KEY}&start=2024-01-01&end=2024-01-01T10"
    zipped = requests.get(url, headers={"Accept-Encoding": "gzip"}, timeout=10)
    plain = requests.get(url, headers={"Accept-Encoding": "identity"}, timeout=10)
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert int(zipped.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 3


def test_facet_lists_and_metadata(sim: Simulator) -> None:
    base = f"{sim.url}/electricity/rto/fuel-type-data"
    facets = requests.get(f"{base}/facet/respondent/?api_key={KEY}", timeout=10).json()["response"]["facets"]
    assert {"id": "PACW", "name": "PacifiCorp West"} in facets
    about = requests.get(f"{base}?api_key={KEY}", timeout=10).json()["response"]
    assert [facet["id"] for facet in about["facets"]] == ["respondent", "fueltype"]


def test_revisions_arrive_over_http_as_the_clock_advances() -> None:
    with Simulator(seed=3, now="2025-03-01T00", api_key=KEY) as sim:
        ask = asker(sim)
        query: dict[str, Any] = {"respondent": ["CISO", "PJM"], "start": "2025-02-20", **REGION_SORT}

        def seen() -> dict[tuple[str, str, str], str | None]:
            found = rows(ask("region-data", **query, end="2025-03-01T00"))
            return {(row["period"], row["respondent"], row["type"]): row["value"] for row in found}

        first, again = seen(), seen()
        assert first == again
        assert sim.clock.advance(hours=24 * 8).day == 9
        later = seen()
        assert 0 < sum(first.get(key) != value for key, value in later.items()) < 0.1 * len(later)
        sim.clock.advance(hours=24 * 300)
        assert seen() == later
