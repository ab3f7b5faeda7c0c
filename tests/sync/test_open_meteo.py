"""Weather end to end: from Open-Meteo's answers over HTTP to normalized.weather, each value at its hour."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from energywh.core.time import hour_number
from energywh.models.build.runner import build
from energywh.simulate.faults import Faults
from energywh.simulate.open_meteo import OpenMeteoApi
from energywh.simulate.server import Simulator
from energywh.simulate.weather import Weather
from energywh.sources.open_meteo import UNITS, calls, places
from energywh.sync.replay import replay
from tests.support.desk import Desk, desk_with_simulator
from tests.support.scripted import Answer, scripted
from tests.support.staging import everything, has_twins, query, statuses
from tests.support.weather import as_asked, recorded_body
from tests.sync.conftest import MovableClock

HOUR = timedelta(hours=1)
TABLE = "open_meteo.hourly"
MODEL = "normalized.weather"
MEANS = {"shortwave_radiation": "shortwave_w_per_m2", "precipitation": "precipitation_mm"}  # of the hour before
INSTANTS = {
    "temperature_2m": "temperature_c",
    "dew_point_2m": "dew_point_c",
    "wind_speed_10m": "wind_10m_m_per_s",
    "wind_speed_100m": "wind_100m_m_per_s",
    "cloud_cover": "cloud_cover_percent",
}
REGIONS = ["GVL,EPE,CISO"]
SPRING = {"since": "2025-02-20", "until": "2025-03-10"}


def weather_desk(desk: Desk, sim: Simulator) -> Desk:
    return desk.facing(sim, "open_meteo")


def page_of(sim: Simulator) -> OpenMeteoApi:
    page = sim.apis["open_meteo"]
    assert isinstance(page, OpenMeteoApi)
    return page


def weather_rows(desk: Desk, order: str = "region, hour_utc") -> list[tuple[Any, ...]]:
    return query(desk.home.energy.resolve(), f"from {MODEL} order by {order}")


def held(desk: Desk) -> list[tuple[Any, ...]]:
    return query(desk.staging, f"select * exclude (known_from_utc) from {TABLE} order by all")


@pytest.fixture
def present(tmp_path: Path, clock: MovableClock) -> Iterator[tuple[Desk, Simulator]]:
    """A simulator with the time of the clock."""
    with Simulator(seed=9, now=clock.now()) as sim:
        yield weather_desk(Desk(tmp_path, sim.url), sim), sim


def test_recorded_weather_comes_through_each_value_at_its_hour(recorded: Path, tmp_path: Path) -> None:
    """What was recorded for Berlin, served as that of El Paso and Las Cruces."""
    body = recorded_body(recorded)
    one, two = places()["EPE"]
    bodies = [as_asked(body, one), as_asked(body, two, warmer=2.0)]

    def serve(number: int, path: str) -> Answer:
        assert urlsplit(path).path == "/v2/archive"
        return Answer(json.dumps(bodies, ensure_ascii=False).encode())

    with scripted(serve) as server:
        desk = Desk(tmp_path, server.url).having(OPEN_METEO_URL=server.url, OPEN_METEO_REQUESTS_PER_SECOND="0")
        done = desk.run("sync", "open_meteo", "--region", "EPE", "--since", "2022-12-31T23", "--until", "2023-01-02T22")
        assert done.returncode == 0, done.stderr
    assert len(server.asked) == 1
    stamps = [datetime.fromisoformat(text) for text in body["hourly"]["time"]]
    expected = [
        (stamp, "EPE", place.place, *(served["hourly"][name][at] for name in UNITS))
        for at, stamp in enumerate(stamps)
        for place, served in zip((one, two), bodies, strict=True)
    ]
    assert len(expected) == 96
    assert held(desk) == sorted(expected, key=lambda row: row[:3])

    done = desk.run("build", MODEL)
    assert done.returncode == 0, done.stderr
    weights = [869 / 1089, 220 / 1089]  # of the seed
    found = {
        hour: (temperature, wind, radiation, rain, cloud)
        for hour, temperature, wind, radiation, rain, cloud in query(
            desk.home.energy.resolve(),
            "select hour_utc, temperature_c, wind_100m_m_per_s, shortwave_w_per_m2, precipitation_mm, "
            "cloud_cover_percent from normalized.weather",
        )
    }
    assert len(found) == 49  # one more than stamps: the first stamp ends an hour, and the last begins one
    berlin = body["hourly"]
    for at, stamp in enumerate(stamps):
        temperature, wind, *_, cloud = found[stamp]
        assert temperature == pytest.approx(berlin["temperature_2m"][at] + 2.0 * weights[1], abs=0.0051)
        assert wind == pytest.approx(berlin["wind_speed_80m"][at] / 3.6, abs=0.0051)
        assert cloud == berlin["cloud_cover"][at]
        *_, radiation, rain, _ = found[stamp - HOUR]
        assert (radiation, rain) == (berlin["shortwave_radiation"][at], berlin["precipitation"][at])
    assert found[stamps[-1]][2:4] == (None, None)
    assert found[stamps[0] - HOUR][:2] == (None, None)


def test_what_the_simulator_computes_arrives_instants_at_the_start_of_their_hour_and_means_over_it(
    tmp_path: Path,
) -> None:
    with desk_with_simulator(tmp_path, seed=4) as (plain, sim):
        desk = weather_desk(plain, sim)
        assert desk.sync("open_meteo", regions=REGIONS, **SPRING).ok
    assert desk.run("build", MODEL).returncode == 0
    hours = [datetime(2025, 2, 20) + at * HOUR for at in range(19 * 24)]
    starts = np.array([hour_number(hour) for hour in hours], dtype=np.int64)
    seed = {
        (region, place): (round(latitude, 1), round(longitude, 1), weight)
        for region, place, latitude, longitude, weight in query(
            desk.home.energy.resolve(), "select region, place, latitude, longitude, weight from seeds.weather_place"
        )
    }
    for region in REGIONS[0].split(","):
        spots = [seed[region, place.place][:2] for place in places()[region]]
        weights = np.array([seed[region, place.place][2] for place in places()[region]], dtype=float)
        at_start, at_end = (Weather(4).observed(spots, starts + later) for later in (0, 1))
        found = query(
            desk.home.energy.resolve(),
            f"select hour_utc, {', '.join([*INSTANTS.values(), *MEANS.values()])}, heating_degrees, cooling_degrees, "
            f"places from normalized.weather where region = '{region}' order by hour_utc",
        )
        # Before the first stamp of the first hour nothing was asked for, so the instants of that hour lack.
        assert [row[0] for row in found[: len(hours)]] == hours
        assert found[0][1:6] == (None,) * 5
        table = np.array([row[1:] for row in found[1 : len(hours)]], dtype=float).T
        truth = [weights @ at_start[name][:, 1:] / weights.sum() for name in INSTANTS]
        truth += [weights @ at_end[name][:, 1:] / weights.sum() for name in MEANS]
        temperature = at_start["temperature_2m"][:, 1:]
        truth += [weights @ np.maximum(18.3 - temperature, 0) / weights.sum()]
        truth += [weights @ np.maximum(temperature - 18.3, 0) / weights.sum()]
        for column, expected in zip(table, [*truth, np.full(len(hours) - 1, len(spots))], strict=True):
            assert np.abs(column - expected).max() <= 0.0501
        temperatures = np.abs(table[0] - truth[0])
        assert temperatures.max() <= 0.00501


@pytest.mark.soak
def test_a_fifth_of_requests_failing_in_every_way_leaves_the_same_tables(tmp_path: Path) -> None:
    half_a_year = {"regions": ["GVL,EPE,TVA,PNM"], "since": "2025-01-01", "until": "2025-06-30"}
    with desk_with_simulator(tmp_path, seed=37) as (plain, sim):
        calm = weather_desk(plain.another("calm"), sim)
        assert calm.sync("open_meteo", **half_a_year).ok
    with desk_with_simulator(tmp_path, seed=37, faults=Faults(rate=0.2, hang_seconds=1.0)) as (plain, sim):
        stormy = weather_desk(plain.another("stormy"), sim)
        result = stormy.sync("open_meteo", **half_a_year)
    assert result.ok, result.errors
    assert len(sim.counters.faults) >= 4, "the storm was not a full one"
    assert held(stormy) == held(calm)
    assert len(held(calm)) == (1 + 2 + 4 + 2) * 181 * 24
    assert set(statuses(stormy.staging)) == {"done"}
    assert not has_twins(stormy.staging)


def test_replay_gives_the_same_tables(present: tuple[Desk, Simulator], clock: MovableClock) -> None:
    desk, sim = present
    for _ in range(3):
        assert desk.sync("open_meteo", regions=["EPE"], since="2025-05-20").ok
        clock.advance(36)
        sim.clock.advance(36)
    expected = everything(desk.staging)
    assert query(desk.staging, f"select count(*) > 100 from {TABLE}_revision") == [(True,)]
    asked = len(sim.requests)
    desk.staging.unlink()
    replay(desk.settings())
    assert everything(desk.staging) == expected
    assert len(sim.requests) == asked


def test_forecasts_are_replaced_by_the_archive_and_only_then_settled(
    present: tuple[Desk, Simulator], clock: MovableClock
) -> None:
    desk, sim = present
    assert desk.sync("open_meteo", regions=["GVL"], since="2025-05-01").ok
    assert query(desk.staging, f"select max(time) from {TABLE}") == [(datetime(2025, 6, 22, 6),)]  # a week ahead
    first_routes = {urlsplit(served.path).path for served in sim.requests}
    assert first_routes == {"/open-meteo/v1/archive", "/open-meteo/v1/forecast"}
    for _ in range(12):  # until all of the first weeks is old enough
        sim.requests.clear()
        clock.advance(72)
        sim.clock.advance(72)
        assert desk.sync("open_meteo", regions=["GVL"], since="2025-05-01", until="2025-06-20").ok
    sim.requests.clear()
    assert desk.sync("open_meteo", regions=["GVL"], since="2025-05-01", until="2025-06-20").requests == 0
    spots = [(round(place.latitude, 1), round(place.longitude, 1)) for place in places()["GVL"]]
    stamps = query(desk.staging, f"select time, temperature_2m from {TABLE} where time <= '2025-06-20' order by time")
    truth = Weather(9).observed(spots, np.array([hour_number(row[0]) for row in stamps], dtype=np.int64))
    assert [row[1] for row in stamps] == truth["temperature_2m"][0].tolist()
    assert query(desk.staging, f"select count(*) > 200 from {TABLE}_revision") == [(True,)]


@pytest.mark.soak
def test_a_build_of_what_changed_equals_a_full_build(present: tuple[Desk, Simulator], clock: MovableClock) -> None:
    desk, sim = present
    clock.advance(24 * 16 - 6)  # to the first of July
    sim.clock.advance(24 * 16 - 6)
    partial = []
    for _ in range(4):
        assert desk.sync("open_meteo", regions=REGIONS, since="2025-01-01").ok
        report = build(desk.home, [MODEL])
        partial.append(next(model.months for model in report.models if model.name == MODEL))
        clock.advance(50)
        sim.clock.advance(50)
    assert partial[0] is None
    assert all(months is not None and 2 <= months <= 4 for months in partial[1:]), partial
    by_month = weather_rows(desk)
    build(desk.home, [MODEL], full=True)
    assert weather_rows(desk) == by_month
    assert len(by_month) > 3 * 180 * 24


def costs(sim: Simulator) -> list[int]:
    """Return as how many calls each request so far is to count, from its address alone."""
    found = []
    for served in sim.requests:
        params = {name: values[0] for name, values in parse_qs(urlsplit(served.path).query).items()}
        first, last = (date.fromisoformat(params[name]) for name in ("start_date", "end_date"))
        found.append(calls(len(params["latitude"].split(",")), (last - first).days + 1))
    return found


def wait_until(said: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_no_more_calls_are_made_in_an_hour_than_are_allowed_as_the_source_counts_them(tmp_path: Path) -> None:
    with desk_with_simulator(tmp_path, seed=4) as (plain, sim):
        page_of(sim).limits = {"hourly": 30}
        desk = weather_desk(plain, sim).having(OPEN_METEO_REQUESTS_PER_HOUR="30", SYNC_JOBS="2")
        days = ("--since", "2024-01-01", "--until", "2025-06-30")
        process = desk.start("sync", "open_meteo", "--region", "PJM,CISO", *days)
        wait_until(lambda: sum(costs(sim)) > 30 - 8)
        time.sleep(2.0)  # in which nothing more may come
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert 30 - 8 < sum(costs(sim)) <= 30
    assert page_of(sim).calls == pytest.approx(sum(costs(sim)))
    assert set(sim.counters.statuses) == {200}
    done = query(desk.staging, "select count(*) from sync.chunk where status = 'done'")
    assert done == [(len(sim.requests),)]


@pytest.mark.soak
def test_at_its_usual_pace_a_request_leaves_each_second_and_no_faster(tmp_path: Path) -> None:
    with desk_with_simulator(tmp_path, seed=4, paces={"open_meteo": (1.0, None)}) as (plain, sim):
        desk = weather_desk(plain, sim).having(OPEN_METEO_REQUESTS_PER_SECOND="1")
        assert desk.sync("open_meteo", regions=["GVL"], since="2025-01-01", until="2025-03-15").ok
    times = [served.at for served in sim.requests]
    assert len(times) >= 4
    assert np.diff(times).min() > 1.0
    assert sim.counters.over_rate == 0


def test_a_used_up_limit_ends_the_sync_and_leaves_the_rest_due(tmp_path: Path) -> None:
    with desk_with_simulator(tmp_path, seed=4) as (plain, sim):
        page_of(sim).limits = {"daily": 16}
        desk = weather_desk(plain, sim)
        ended = desk.sync("open_meteo", regions=["PJM"], since="2025-01-01", until="2025-06-30")
        assert ended.ok
        assert re.search(r"limit of calls is used up.*Daily API request limit exceeded", ended.spent[0])
        assert sum(sim.counters.statuses.values()) <= 2 + 3  # two answered, and no thread asks twice after that
        assert statuses(desk.staging)["due"] >= 5
        page_of(sim).limits = {}
        assert desk.sync("open_meteo", regions=["PJM"], since="2025-01-01", until="2025-06-30").ok
    assert set(statuses(desk.staging)) == {"done"}
    assert len(held(desk)) == 8 * 181 * 24
