"""The simulator answers as CAISO's OASIS does: zips of CSV in the recorded shape, errors in zips, Pacific days."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from energywh.simulate.caiso import ERRORS, TOO_FAST
from energywh.simulate.california import NODES
from energywh.simulate.hours import Calendar, hour_number
from energywh.simulate.reporting import Reporting
from energywh.simulate.server import Simulator
from tests.support.oasis import moment, recordings

NOW = "2026-01-01T00"  # four in the afternoon of New Year's Eve, Pacific time
PRICES = {"queryname": "PRC_LMP", "market_run_id": "DAM"}
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(seed=3, now=NOW) as simulator:
        yield simulator


def ask(sim: Simulator, **params: Any) -> requests.Response:
    query = {"resultformat": "6", "version": "1", **params}
    return requests.get(f"{sim.urls['caiso']}/SingleZip", params=query, timeout=20)


def load(sim: Simulator, first: str = "2025-06-01T07:00", end: str = "2025-06-02T07:00", **params: Any) -> Any:
    """Ask for the load; times without dashes are made of those given."""
    times = {
        "startdatetime": first.replace("-", "") + "-0000",
        "enddatetime": end.replace("-", "") + "-0000",
    }
    return ask(sim, **{"queryname": "SLD_FCST", "market_run_id": "ACTUAL", **times, **params})


def files(answer: requests.Response) -> dict[str, Rows]:
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {name: list(csv.DictReader(io.StringIO(archive.read(name).decode()))) for name in archive.namelist()}


def rows(answer: requests.Response) -> Rows:
    (found,) = files(answer).values()
    return found


def error(answer: requests.Response) -> int:
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["INVALID_REQUEST.xml"]
        xml = archive.read("INVALID_REQUEST.xml").decode()
    code = re.search(r"<m:ERR_CODE>(\d+)</m:ERR_CODE>\n<m:ERR_DESC>(.+)</m:ERR_DESC>", xml)
    assert code is not None
    assert code[2] == ERRORS[int(code[1])]
    return int(code[1])


def test_answers_have_the_columns_that_were_recorded_in_their_order(sim: Simulator, recorded: Path) -> None:
    for one in recordings(recorded / "caiso"):
        with zipfile.ZipFile(one.file) as archive:
            name = archive.namelist()[0]
            real = archive.read(name).decode().splitlines()
        params = {"node": NODES[4]} if one.report == "PRC_LMP" else {}
        answer = load(sim, queryname=one.report, market_run_id=one.market, **params)
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            (member,) = archive.namelist()
            served = archive.read(member).decode().splitlines()
        assert served[0] == real[0]
        form = re.sub(r"\d", "9", re.sub(r"_v\d+", "_v9", name))
        assert re.sub(r"\d", "9", member) == form
        assert answer.headers["Content-Type"] == "application/x-zip-compressed"
        assert answer.headers["Content-Disposition"] == f"inline; filename={member.removesuffix('.csv')}.zip;"


def test_rows_are_not_sorted(sim: Simulator) -> None:
    stamps = [row["INTERVALSTARTTIME_GMT"] for row in rows(load(sim))]
    assert stamps != sorted(stamps)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"queryname": "SLD_RTO"}, 1001),
        ({"market_run_id": "RTM"}, 1001),
        ({"resultformat": "1"}, 1001),
        (PRICES, 1001),
        ({"startdatetime": "2024-01-01T00:00-0000"}, 1002),
        ({"startdatetime": "20250230T00:00-0000"}, 1002),
        ({"enddatetime": "20250601T07:00"}, 1002),
        ({"enddatetime": "20250601T07:00-0000"}, 1002),
        ({"enddatetime": "20250702T07:01-0000"}, 1004),
        (
            {"queryname": "PRC_LMP", "market_run_id": "DAM", "grp_type": "ALL", "enddatetime": "20250603T07:00-0000"},
            1004,
        ),
        ({**PRICES, "node": ",".join(NODES[:11])}, 1017),
        ({**PRICES, "node": "NOWHERE_1_N001"}, 1000),
        ({"version": "7"}, 1020),
        ({"version": ""}, 1020),
        ({"startdatetime": "20260201T08:00-0000", "enddatetime": "20260202T08:00-0000"}, 1014),
        ({"startdatetime": "20200201T08:00-0000", "enddatetime": "20200202T08:00-0000"}, 1000),
    ],
)
def test_errors_come_in_a_zip_under_http_200(sim: Simulator, params: dict[str, str], code: int) -> None:
    assert error(load(sim, **params)) == code


def test_another_path_is_not_found(sim: Simulator) -> None:
    assert requests.get(f"{sim.urls['caiso']}/GroupZip", timeout=10).status_code == 404


def test_a_second_request_within_five_seconds_is_answered_in_html(recorded: Path) -> None:
    with Simulator(now=NOW, paces={"caiso": (0.2, None)}) as sim:
        assert load(sim).status_code == 200
        refused = load(sim)
    assert refused.status_code == 429
    assert refused.content == TOO_FAST == (recorded / "caiso" / "error_http429_acceptable_use.html").read_bytes()
    assert sim.counters.over_rate == 1


@pytest.mark.parametrize(
    ("day", "first", "clock_hours"),
    [
        ("2024-03-10", "08", [1, 2, *range(4, 25)]),
        ("2025-03-09", "08", [1, 2, *range(4, 25)]),
        ("2024-11-03", "07", [1, 2, 25, *range(3, 25)]),
        ("2025-11-02", "07", [1, 2, 25, *range(3, 25)]),
    ],
)
def test_the_days_on_which_the_clock_changes(sim: Simulator, day: str, first: str, clock_hours: list[int]) -> None:
    begin = datetime.fromisoformat(f"{day}T{first}")
    end = begin + timedelta(hours=len(clock_hours))
    found = rows(load(sim, f"{begin:%Y-%m-%dT%H:%M}", f"{end:%Y-%m-%dT%H:%M}"))
    total = [row for row in found if row["TAC_AREA_NAME"] == "CA ISO-TAC"]
    total.sort(key=lambda row: row["INTERVALSTARTTIME_GMT"])
    assert [int(row["OPR_HR"]) for row in total] == clock_hours
    assert {row["OPR_DT"] for row in total} == {day}
    assert [moment(row["INTERVALSTARTTIME_GMT"]) for row in total] == [
        begin + timedelta(hours=n) for n in range(len(clock_hours))
    ]


def test_the_load_of_california_is_ciso_of_the_grid_and_its_areas_add_up(sim: Simulator) -> None:
    found = rows(load(sim))
    periods = Calendar(np.arange(24) + hour_number(datetime(2025, 6, 1, 7)) + 1)
    demand = sim.world.grid.region_data(["CISO"], periods, ("D",))["D"][0][0]
    by_area: dict[str, dict[datetime, float]] = {}
    for row in found:
        by_area.setdefault(row["TAC_AREA_NAME"], {})[moment(row["INTERVALSTARTTIME_GMT"])] = float(row["MW"])
    total = by_area["CA ISO-TAC"]
    assert [total[hour] for hour in sorted(total)] == list(demand)
    for hour, load_mw in total.items():
        parts = [series[hour] for area, series in by_area.items() if area.endswith("-TAC") and area != "CA ISO-TAC"]
        assert sum(parts) == pytest.approx(load_mw, abs=0.005)
    assert "PGE" in by_area


def test_sun_and_wind_of_the_hubs_are_those_of_the_grid(sim: Simulator) -> None:
    found = rows(load(sim, queryname="SLD_REN_FCST"))
    made = sim.world.grid.generation(["CISO"], Calendar(np.arange(24) + hour_number(datetime(2025, 6, 1, 7)) + 1))
    from energywh.simulate.atlas import FUELS

    for fuel, codes in {"Solar": ("SUN", "SNB"), "Wind": ("WND",)}.items():
        output = sum(made.fuels[0, FUELS.index(code)] for code in codes)
        sums = [0.0] * 24
        for row in found:
            if row["RENEWABLE_TYPE"] == fuel:
                hour = moment(row["INTERVALSTARTTIME_GMT"]) - datetime(2025, 6, 1, 7)
                sums[hour // timedelta(hours=1)] += float(row["MW"])
        assert sums == pytest.approx(list(output), abs=0.01)


def test_a_price_is_the_sum_of_its_components(sim: Simulator) -> None:
    for report, market, column, count in (("PRC_LMP", "DAM", "MW", 24), ("PRC_INTVL_LMP", "RTM", "VALUE", 288)):
        found = rows(load(sim, queryname=report, market_run_id=market, node=",".join(NODES[4:6])))
        prices: dict[tuple[str, str], dict[str, float]] = {}
        for row in found:
            key = row["NODE"], row["INTERVALSTARTTIME_GMT"]
            prices.setdefault(key, {})[row["LMP_TYPE"]] = float(row[column])
        assert len(prices) == 2 * count
        for parts in prices.values():
            assert parts["LMP"] == pytest.approx(sum(parts.values()) - parts["LMP"], abs=1e-9)


def test_all_nodes_come_as_a_file_a_component(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("energywh.simulate.caiso.NODES", NODES[:200])
    found = files(load(sim, queryname="PRC_LMP", market_run_id="DAM", grp_type="ALL", version="12"))
    assert [re.sub(r".*DAM_", "", name) for name in found] == [
        f"{component}_v12.csv" for component in ("LMP", "MCC", "MCE", "MCL", "MGHG")
    ]
    assert {len(part) for part in found.values()} == {24 * 200}


def test_totals_of_schedules_are_the_sum_of_the_isos_own_zones(sim: Simulator) -> None:
    found = rows(load(sim, queryname="ENE_SLRS", market_run_id="RTM"))
    assert len({row["INTERVALSTARTTIME_GMT"] for row in found}) == 288
    at = found[0]["INTERVALSTARTTIME_GMT"]
    then = [row for row in found if row["INTERVALSTARTTIME_GMT"] == at]
    now = {(row["TAC_ZONE_NAME"], row["SCHEDULE"]): float(row["MW"]) for row in then}
    own = ("TAC_ECNTR", "TAC_NCNTR", "TAC_NORTH", "TAC_SOUTH")
    for schedule in ("Export", "Generation", "Import"):
        assert now["Caiso_Totals", schedule] == pytest.approx(sum(now[zone, schedule] for zone in own), abs=0.01)


@pytest.mark.parametrize(
    ("market", "last"),
    [("ACTUAL", "2025-12-31T23"), ("DAM", "2026-01-02T07"), ("2DA", "2026-01-03T07"), ("7DA", "2026-01-09T07")],
)
def test_each_market_is_published_as_far_as_its_day_ahead(sim: Simulator, market: str, last: str) -> None:
    found = rows(load(sim, "2025-12-30T08:00", "2026-01-12T08:00", market_run_id=market))
    assert max(moment(row["INTERVALSTARTTIME_GMT"]) for row in found) == datetime.fromisoformat(last)


def test_a_slice_of_a_longer_query_is_the_same_as_a_query_of_its_own(sim: Simulator) -> None:
    for report, market, node in (
        ("SLD_FCST", "7DA", None),
        ("SLD_REN_FCST", "DAM", None),
        ("PRC_INTVL_LMP", "RTM", NODES[0]),
        ("ENE_SLRS", "RTM", None),
    ):
        params = {"queryname": report, "market_run_id": market, **({"node": node} if node else {})}
        day = rows(load(sim, "2025-05-03T07:00", "2025-05-04T07:00", **params))
        month = rows(load(sim, "2025-04-30T07:00", "2025-05-06T07:00", **params))
        shared = [row for row in month if row["OPR_DT"] == "2025-05-03"]
        assert sorted(map(str, day)) == sorted(map(str, shared))


def test_some_prices_are_corrected_within_two_weeks() -> None:
    with Simulator(seed=3, now="2025-06-03T00", reporting=Reporting(revision_rate=0.1)) as sim:
        params = {**PRICES, "node": NODES[4]}

        def prices() -> dict[tuple[str, str], str]:
            return {(row["INTERVALSTARTTIME_GMT"], row["LMP_TYPE"]): row["MW"] for row in rows(load(sim, **params))}

        first = prices()
        sim.clock.advance(hours=24 * 15)
        last = prices()
        sim.clock.advance(hours=24 * 30)
        assert prices() == last
    moved = {kind for (_, kind), price in first.items() if price != last[_, kind]}
    assert moved == {"LMP", "MCC"}
