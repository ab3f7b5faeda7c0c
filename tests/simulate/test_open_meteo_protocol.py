"""The simulated Open-Meteo: bodies, units and errors as documented, and consistent weather."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import requests

from energywh.core.time import hour_number
from energywh.simulate.open_meteo import OpenMeteoApi
from energywh.simulate.server import Simulator
from energywh.simulate.weather import Weather
from tests.support.weather import recorded_body

TWO = {"latitude": "45.52,25.76", "longitude": "-122.68,-80.19"}
DAY = {"start_date": "2025-07-01", "end_date": "2025-07-01"}
ALL = "temperature_2m,dew_point_2m,wind_speed_10m,wind_speed_100m,shortwave_radiation,cloud_cover,precipitation"


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(seed=3, now="2026-01-01T00") as simulator:
        yield simulator


def ask(sim: Simulator, route: str = "archive", **params: str) -> requests.Response:
    return requests.get(f"{sim.urls['open_meteo']}/{route}", params=params, timeout=20)


def page_of(sim: Simulator) -> OpenMeteoApi:
    page = sim.apis["open_meteo"]
    assert isinstance(page, OpenMeteoApi)
    return page


def test_one_place_is_an_object_shaped_as_recorded(sim: Simulator, recorded: Path) -> None:
    theirs = recorded_body(recorded)
    shared = "temperature_2m,shortwave_radiation,wind_speed_10m,cloud_cover,precipitation"
    ours = ask(sim, latitude="52.52", longitude="13.41", hourly=shared, **DAY).json()
    assert list(ours) == list(theirs)
    assert (ours["timezone"], ours["utc_offset_seconds"]) == (theirs["timezone"], theirs["utc_offset_seconds"])
    names = ["time", *shared.split(",")]
    assert ours["hourly_units"] == {name: theirs["hourly_units"][name] for name in names}  # km/h unless asked otherwise
    assert list(ours["hourly"]) == names
    assert ours["hourly"]["time"][:2] == ["2025-07-01T00:00", "2025-07-01T01:00"]
    assert {len(column) for column in ours["hourly"].values()} == {24}
    for name in names[1:]:
        assert {type(value) for value in ours["hourly"][name]} <= {int, float}


def test_several_places_are_an_array_in_their_order_on_the_grid(sim: Simulator) -> None:
    portland, miami = ask(sim, hourly=ALL, **TWO, **DAY).json()
    assert (portland["latitude"], portland["longitude"]) == (45.5, -122.7)
    assert (miami["latitude"], miami["location_id"]) == (25.8, 1)
    assert "location_id" not in portland
    assert portland["hourly"]["temperature_2m"] != miami["hourly"]["temperature_2m"]


def test_a_place_is_the_same_alone_and_among_others_in_a_day_and_in_a_year(sim: Simulator) -> None:
    among = ask(sim, hourly=ALL, **TWO, start_date="2025-01-01", end_date="2025-12-26").json()[1]["hourly"]
    alone = ask(sim, hourly=ALL, latitude="25.76", longitude="-80.19", **DAY).json()["hourly"]
    start = among["time"].index(alone["time"][0])
    assert {name: column[start : start + 24] for name, column in among.items()} == alone


def test_units_are_converted_as_asked(sim: Simulator) -> None:
    ours = ask(sim, hourly=ALL, **TWO, **DAY, wind_speed_unit="ms").json()[0]
    theirs = ask(
        sim, hourly=ALL, **TWO, **DAY, wind_speed_unit="kmh", temperature_unit="fahrenheit", precipitation_unit="inch"
    ).json()[0]
    assert ours["hourly_units"]["wind_speed_10m"] == "m/s"
    assert theirs["hourly_units"]["temperature_2m"] == "°F"
    assert theirs["hourly"]["wind_speed_10m"] == pytest.approx(
        [3.6 * speed for speed in ours["hourly"]["wind_speed_10m"]], abs=0.03
    )
    assert theirs["hourly"]["temperature_2m"] == pytest.approx(
        [1.8 * degrees + 32 for degrees in ours["hourly"]["temperature_2m"]], abs=0.11
    )


@pytest.mark.parametrize(
    ("route", "params", "reason"),
    [
        ("archive", {**TWO, **DAY, "hourly": "temprature_2m"}, "from invalid String value temprature_2m"),
        ("archive", {**TWO, **DAY, "wind_speed_unit": "knots"}, "invalid|Invalid"),
        ("archive", {"latitude": "1,2", "longitude": "1", **DAY}, "must have the same number of elements"),
        ("archive", {**DAY}, "must not be empty"),
        ("archive", {"latitude": "91", "longitude": "1", **DAY}, "Latitude must be in range of -90 to 90"),
        ("archive", {"latitude": "x", "longitude": "1", **DAY}, "must be a number"),
        ("archive", {**TWO}, "Both 'start_date' and 'end_date' must be set"),
        ("archive", {**TWO, "start_date": "2025-07-02", "end_date": "2025-07-01"}, "End-date must be larger"),
        ("archive", {**TWO, "start_date": "2025-7-2", "end_date": "2025-07-01"}, "Invalid date format '2025-7-2'"),
        (
            "archive",
            {**TWO, "start_date": "2025-12-30", "end_date": "2026-01-02"},
            "'end_date' is out of allowed range",
        ),
        ("forecast", {**TWO, **DAY}, "'start_date' is out of allowed range from 2025-09-30 to 2026-01-16"),
        ("archive", {**TWO, **DAY, "timezone": "Europe/Berlin"}, "Invalid timezone"),
    ],
)
def test_wrong_arguments_are_refused_with_a_reason(
    sim: Simulator, route: str, params: dict[str, str], reason: str
) -> None:
    found = ask(sim, route, **params)
    assert found.status_code == 400
    body = found.json()
    assert body["error"] is True
    assert any(text in body["reason"] for text in reason.split("|"))


def test_another_route_is_not_found(sim: Simulator) -> None:
    assert ask(sim, "marine", **TWO).status_code == 404


def test_the_archive_ends_five_days_ago_and_the_forecast_in_two_weeks(sim: Simulator) -> None:
    archived = ask(sim, hourly="temperature_2m", **TWO, start_date="2025-12-20", end_date="2025-12-31").json()[0]
    known = [value is not None for value in archived["hourly"]["temperature_2m"]]
    assert archived["hourly"]["time"][known.index(False)] == "2025-12-27T01:00"
    assert known == sorted(known, reverse=True)
    ahead = ask(sim, "forecast", hourly="temperature_2m", **TWO, start_date="2025-12-20", end_date="2026-01-16").json()
    assert None not in ahead[0]["hourly"]["temperature_2m"]


def test_a_forecast_is_off_by_little_and_by_more_further_ahead() -> None:
    weather = Weather(3)
    now = hour_number(datetime(2026, 1, 1))
    stamps = np.arange(now - 240, now + 240, dtype=np.int64)
    spots = [(45.5, -122.7), (25.8, -80.2), (40.7, -74.0)]
    off = np.abs(
        weather.forecast(spots, stamps, now)["temperature_2m"] - weather.observed(spots, stamps)["temperature_2m"]
    )
    assert 0.02 < off[:, :240].mean() < 0.6
    assert off[:, -48:].mean() > 2 * off[:, :240].mean()
    later = weather.forecast(spots, stamps, now + 48)["temperature_2m"]
    assert (later != weather.forecast(spots, stamps, now)["temperature_2m"])[:, -48:].mean() > 0.3


def test_the_weather_follows_the_year_the_day_and_the_sun() -> None:
    weather = Weather(3)
    year = np.arange(hour_number(datetime(2025, 1, 1)) + 1, hour_number(datetime(2026, 1, 1)) + 1, dtype=np.int64)
    found = weather.observed([(44.98, -93.27), (25.76, -80.19)], year)  # Minneapolis, Miami
    cold, warm = found["temperature_2m"]
    july, january = slice(181 * 24, 212 * 24), slice(0, 31 * 24)
    assert warm.mean() > cold.mean() + 8
    assert cold[july].mean() - cold[january].mean() > 20 > warm[july].mean() - warm[january].mean() > 3
    by_hour = cold[july].reshape(31, 24).mean(axis=0)  # stamps 01..24 UTC; the sun is 6.2 h behind
    assert (by_hour.argmax() + 1) % 24 in (20, 21, 22)
    assert (found["dew_point_2m"] <= found["temperature_2m"]).all()
    radiation = found["shortwave_radiation"][0][july].reshape(31, 24).mean(axis=0)
    night = [(hour + 1) % 24 in (4, 5, 6, 7, 8, 9) for hour in range(24)]
    assert radiation[night].max() == 0
    assert (radiation.argmax() + 1) % 24 in (18, 19)  # noon by the sun is 18:13
    assert 0.05 < (found["precipitation"] > 0.1).mean() < 0.5
    assert (found["cloud_cover"] >= 0).all()
    assert (found["cloud_cover"] <= 100).all()


@pytest.mark.parametrize(
    ("span", "text"), [("minutely", "in one minute"), ("hourly", "next hour"), ("daily", "tomorrow")]
)
def test_calls_are_weighed_and_refused_beyond_a_limit(span: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each count begins anew with a minute.
    monkeypatch.setattr("energywh.simulate.open_meteo.time", SimpleNamespace(time=lambda: 1_767_225_600.0))
    with Simulator(seed=3, now="2026-01-01T00") as sim:
        page_of(sim).limits = {span: 5}
        month: dict[str, Any] = {"start_date": "2025-07-01", "end_date": "2025-07-28"}
        statuses = [ask(sim, hourly=ALL, **TWO, **month).status_code for _ in range(3)]  # 2 places * 0.7 * 28 / 14 each
        refused = ask(sim, hourly=ALL, **TWO, **month)
    assert statuses == [200, 200, 429]
    assert page_of(sim).calls == pytest.approx(5.6)
    assert text in refused.json()["reason"]


def test_two_years_of_a_dozen_places_are_computed_in_seconds() -> None:
    stamps = np.arange(hour_number(datetime(2024, 1, 1)), hour_number(datetime(2026, 1, 1)), dtype=np.int64)
    spots = [(25.0 + 2 * at, -70.0 - 4 * at) for at in range(12)]
    began = time.monotonic()
    found = Weather(3).observed(spots, stamps)
    assert time.monotonic() - began < 10  # takes a third of a second
    assert found["temperature_2m"].shape == (12, 731 * 24)
