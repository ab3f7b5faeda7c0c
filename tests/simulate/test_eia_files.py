"""The simulated half-year files: headers, clocks, HTTP headers, and agreement with the API."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from energywh.simulate.server import Simulator
from tests.support.few import few_regions


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(now="2024-11-06T00", atlas=few_regions()) as simulator:
        yield simulator


def get(sim: Simulator, name: str, **headers: str) -> requests.Response:
    return requests.get(f"{sim.urls['eia_files']}/EIA930_{name}.csv", headers=headers, timeout=60)


def rows(answer: requests.Response) -> list[dict[str, Any]]:
    return list(csv.DictReader(answer.content.decode().splitlines()))


def test_the_headers_are_the_recorded_ones_and_from_2024_h2_on_65_with_eias_errors(
    recorded: Path, sim: Simulator
) -> None:
    for kind, half in (("BALANCE", "2020_Jul_Dec"), ("INTERCHANGE", "2022_Jan_Jun")):
        (excerpt,) = (recorded / "eia").glob(f"EIA930_{kind}_excerpt_*.csv")
        answer = get(sim, f"{kind}_{half}")
        assert answer.content.partition(b"\n")[0] == excerpt.read_bytes().partition(b"\n")[0]
    header = next(csv.reader([get(sim, "BALANCE_2024_Jul_Dec").content.decode().partition("\n")[0]]))
    assert len(header) == 65
    assert "Net Generation (MW) from Pumped Storage  (Adjusted)" in header
    assert "Net Generation (MW) from Solar witho Integrated Battery Storage (Adjusted)" in header


def test_hours_are_counted_by_the_local_clock(sim: Simulator) -> None:
    spring = [r for r in rows(get(sim, "BALANCE_2024_Jan_Jun")) if r["Balancing Authority"] == "CISO"]
    day = [r for r in spring if r["Data Date"] == "03/10/2024"]
    assert int(day[-1]["Hour Number"]) == 23
    assert [r["Local Time at End of Hour"] for r in day[:2]] == ["03/10/2024 1:00:00 AM", "03/10/2024 3:00:00 AM"]
    assert (spring[0]["Data Date"], spring[-1]["Data Date"]) == ("01/01/2024", "06/30/2024")
    assert spring[0]["UTC Time at End of Hour"] == "01/01/2024 9:00:00 AM"
    autumn = [r for r in rows(get(sim, "INTERCHANGE_2024_Jul_Dec")) if r["Balancing Authority"] == "CISO"]
    pair = [r for r in autumn if r["Directly Interconnected Balancing Authority"] == "BPAT"]
    day = [r for r in pair if r["Data Date"] == "11/03/2024"]
    assert int(day[-1]["Hour Number"]) == 25
    assert [r["Local Time at End of Hour"] for r in day].count("11/03/2024 1:00:00 AM") == 2


def test_thousands_are_apart_and_reported_values_are_those_of_the_api(sim: Simulator) -> None:
    found = {
        r["UTC Time at End of Hour"]: r["Demand (MW)"]
        for r in rows(get(sim, "BALANCE_2024_Jan_Jun"))
        if r["Balancing Authority"] == "CISO"
    }
    assert sum("," in value for value in found.values()) > 4000
    facets = {"facets[respondent][]": "CISO", "facets[type][]": "D", "data[]": "value", "api_key": "simulated-key"}
    hours = {"start": "2024-02-01T01", "end": "2024-02-29T12", "frequency": "hourly"}
    answer = requests.get(f"{sim.url}/electricity/rto/region-data/data/", params={**facets, **hours}, timeout=60)
    data = answer.json()["response"]["data"]
    assert len(data) > 600
    for row in data:
        day, hour = row["period"].split("T")
        half = f"{int(hour) % 12 or 12}:00:00 {'PM' if int(hour) >= 12 else 'AM'}"
        text = found[f"{day[5:7]}/{day[8:]}/{day[:4]} {half}"]
        assert (text.replace(",", "") or None) == row["value"]


def test_a_file_is_sent_from_any_place_on_and_not_at_all_where_it_is_known(sim: Simulator) -> None:
    whole = get(sim, "SUBREGION_2024_Jan_Jun", **{"Accept-Encoding": "identity"})
    assert int(whole.headers["Content-Length"]) == len(whole.content) > 1_000_000
    rest = get(sim, "SUBREGION_2024_Jan_Jun", Range="bytes=1000-", **{"If-Range": whole.headers["ETag"]})
    assert (rest.status_code, rest.content) == (206, whole.content[1000:])
    assert rest.headers["Content-Range"] == f"bytes 1000-{len(whole.content) - 1}/{len(whole.content)}"
    other = get(sim, "SUBREGION_2024_Jan_Jun", Range="bytes=1000-", **{"If-Range": '"other"'})
    assert (other.status_code, other.content) == (200, whole.content)
    known = get(sim, "SUBREGION_2024_Jan_Jun", **{"If-None-Match": whole.headers["ETag"]})
    assert (known.status_code, known.content) == (304, b"")


@pytest.mark.parametrize(
    "name", ["BALANCE_2015_Jan_Jun", "BALANCE_2025_Jan_Jun", "SUBREGION_2018_Jan_Jun", "BALANCES_2024_Jan_Jun"]
)
def test_a_half_that_eia_does_not_have_is_not_there(sim: Simulator, name: str) -> None:
    assert get(sim, name).status_code == 404


def test_the_running_half_grows_with_the_clock_and_a_past_one_does_not() -> None:
    with Simulator(now="2024-08-01T00", atlas=few_regions()) as sim:
        before = {half: get(sim, f"BALANCE_{half}") for half in ("2023_Jul_Dec", "2024_Jul_Dec")}
        sim.clock.advance(hours=48)
        after = {half: get(sim, f"BALANCE_{half}") for half in before}
    assert after["2023_Jul_Dec"].content == before["2023_Jul_Dec"].content
    assert len(after["2024_Jul_Dec"].content) > len(before["2024_Jul_Dec"].content)
    assert after["2024_Jul_Dec"].headers["ETag"] != before["2024_Jul_Dec"].headers["ETag"]


def test_what_a_balance_row_lacks_is_imputed_and_adjusted_for(sim: Simulator) -> None:
    found = [r for r in rows(get(sim, "BALANCE_2024_Jan_Jun")) if r["Balancing Authority"] == "CISO"]
    lacking = [r for r in found if not r["Demand (MW)"]]
    assert lacking
    for row in found:
        imputed = row["Demand (MW) (Imputed)"]
        assert bool(imputed) == (not row["Demand (MW)"])
        assert row["Demand (MW) (Adjusted)"] == (row["Demand (MW)"] or imputed)
