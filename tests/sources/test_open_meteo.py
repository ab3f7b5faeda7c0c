"""The Open-Meteo source: its requests, their cost, and the answers that it accepts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from energywh.config.settings import Settings
from energywh.core.time import hour_number, hour_time, utc_now
from energywh.errors import (
    LimitSpentError,
    NotReadyError,
    PassingError,
    PayloadError,
    RefusedError,
    SettingsError,
    SourceError,
    UnavailableError,
)
from energywh.regions import regions
from energywh.sources import load_settings, open_meteo
from energywh.sources.base import Chunk, Page, Response
from energywh.sources.open_meteo import HOURLY, SOURCE, UNITS, calls, places
from tests.support.desk import PRESENT_HOUR
from tests.support.weather import Body, as_asked, made, recorded_body

DAY = date(2024, 3, 1)
START = hour_number(datetime(2024, 3, 1))
ARCHIVE = "https://archive-api.open-meteo.com/v1/archive?latitude=1"
# Each of the three days' 72 stamps but the first, which ends an hour of the day before.
CHUNK = Chunk(HOURLY.name, "EPE", START, START + 70)
EL_PASO, LAS_CRUCES = places()["EPE"]


def settings(tmp_path: Path, **environment: str) -> Settings:
    return load_settings(tmp_path, environment=environment)


def answer(
    body: Any, status: int = 200, chunk: Chunk = CHUNK, request: str = ARCHIVE, received_at: datetime | None = None
) -> Page:
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return SOURCE.read(chunk, Response(request, status, raw, received_at=received_at or utc_now()))


def both(**columns: list[Any]) -> list[Body]:
    return [made(EL_PASO, DAY, 3, **columns), made(LAS_CRUCES, DAY, 3)]


def changed(change: Callable[[Body], object]) -> list[Body]:
    bodies = both()
    change(bodies[0])
    return bodies


def rows_of(page: Page) -> list[tuple[Any, ...]]:
    return list(zip(*page.rows.to_pydict().values(), strict=True))


def test_a_request_asks_for_all_places_of_a_region_in_our_units(tmp_path: Path) -> None:
    request = SOURCE.next_request(CHUNK, [], settings(tmp_path), present_hour=PRESENT_HOUR)
    assert request is not None
    assert request.url == "https://archive-api.open-meteo.com/v1/archive"
    assert dict(request.params) == {
        "latitude": "31.76,32.31",
        "longitude": "-106.49,-106.78",
        "start_date": "2024-03-01",
        "end_date": "2024-03-03",
        "hourly": "temperature_2m,dew_point_2m,wind_speed_10m,wind_speed_100m,shortwave_radiation,cloud_cover,"
        "precipitation",
        "temperature_unit": "celsius",
        "wind_speed_unit": "ms",
        "precipitation_unit": "mm",
        "timezone": "GMT",
    }
    assert request.cost == 2
    assert request.secrets == ()


def test_a_whole_cell_is_twenty_whole_days_and_one_call_a_place(tmp_path: Path) -> None:
    first, last = SOURCE.cell(HOURLY, "PJM", START)
    request = SOURCE.next_request(
        Chunk(HOURLY.name, "PJM", first, last), [], settings(tmp_path), present_hour=PRESENT_HOUR
    )
    assert request is not None
    asked = dict(request.params)
    assert (date.fromisoformat(asked["end_date"]) - date.fromisoformat(asked["start_date"])).days == 19
    assert request.cost == len(places()["PJM"]) == 8


def test_cells_tile_time() -> None:
    first, last = SOURCE.cell(HOURLY, "PJM", START)
    assert first <= START <= last
    for hour in (first, START, last):
        assert SOURCE.cell(HOURLY, "PJM", hour) == (first, last)
    assert SOURCE.cell(HOURLY, "PJM", last + 1)[0] == last + 1
    assert SOURCE.cell(HOURLY, "PJM", first - 1)[1] == first - 1


@pytest.mark.parametrize("count", [1, 3, 10])
@pytest.mark.parametrize("days", [1, 14, 20, 21, 28, 56, 365])
def test_the_cost_is_what_open_meteo_counts_and_never_less(count: int, days: int) -> None:
    theirs = sum(max(1.0, 0.7, 0.7 * days / 14) for _ in range(count))  # as its server weighs a request
    assert theirs - 1e-6 <= calls(count, days) < theirs + 1


def test_the_usual_pace_keeps_within_six_hundred_calls_a_minute(tmp_path: Path) -> None:
    most = max(len(listed) for listed in places().values())
    apart = 1.2  # seconds between two requests at one a second, see energywh.sync.rate_limit
    pace = SOURCE.rate_limits(settings(tmp_path))
    assert (pace.requests_per_second, pace.requests_per_hour, pace.requests_per_day) == (1.0, 5000, 10_000)
    assert math.ceil(60 / apart) * calls(most, 21) <= 600


def test_only_hours_that_the_archive_has_are_asked_of_it(tmp_path: Path) -> None:
    present_hour = hour_number(datetime(2024, 3, 10))
    config = settings(tmp_path)

    def url(last: datetime) -> str:
        request = SOURCE.next_request(
            Chunk(HOURLY.name, "GVL", START - 100, hour_number(last)), [], config, present_hour=present_hour
        )
        assert request is not None
        return request.url

    assert url(datetime(2024, 3, 3, 23)) == "https://archive-api.open-meteo.com/v1/archive"
    assert url(datetime(2024, 3, 4, 0)) == "https://api.open-meteo.com/v1/forecast"
    assert url(datetime(2024, 3, 16)) == "https://api.open-meteo.com/v1/forecast"


def test_what_is_settled_was_answered_by_the_archive() -> None:
    assert HOURLY.settling_hours > open_meteo.ARCHIVE_LAG_HOURS


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ENERGYWH_OPEN_METEO_URL": "http://here/v1"}, "http://here/v1/forecast"),
        ({"ENERGYWH_OPEN_METEO_FORECAST_URL": "http://there/v1/"}, "http://there/v1/forecast"),
        (
            {"ENERGYWH_OPEN_METEO_URL": "http://here/v1", "ENERGYWH_OPEN_METEO_FORECAST_URL": "http://there/v1"},
            "http://there/v1/forecast",
        ),
    ],
)
def test_a_replaced_address_holds_for_the_forecasts_too(
    tmp_path: Path, variables: dict[str, str], expected: str
) -> None:
    present_hour = hour_number(datetime(2024, 3, 2))
    request = SOURCE.next_request(CHUNK, [], settings(tmp_path, **variables), present_hour=present_hour)
    assert request is not None
    assert request.url == expected


def test_a_wrong_forecast_address_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"open_meteo\.forecast_url"):
        SOURCE.check_ready(settings(tmp_path, ENERGYWH_OPEN_METEO_FORECAST_URL="ftp://there"))


def test_regions_without_demand_have_no_weather() -> None:
    assert SOURCE.slices_of(HOURLY, None, "CISO", present_hour=PRESENT_HOUR) == ("CISO",)  # type: ignore[arg-type]
    for region in ("GRMA", "US48"):
        assert regions()[region].generation_only or regions()[region].kind == "aggregate"
        assert SOURCE.slices_of(HOURLY, None, region, present_hour=PRESENT_HOUR) == ()  # type: ignore[arg-type]


def test_an_authority_that_ended_is_asked_for_until_shortly_after() -> None:
    first, last = SOURCE.span(HOURLY, "OVEC")
    assert first is None
    assert last is not None
    assert hour_time(last).date() == date(2019, 1, 1)
    assert SOURCE.span(HOURLY, "CISO") == (None, None)


@pytest.mark.parametrize("days", [-400, -3, 3, 400])
def test_weather_of_other_days_is_refused(days: int) -> None:
    other = [made(place, DAY + timedelta(days=days), 3) for place in (EL_PASO, LAS_CRUCES)]
    with pytest.raises(PayloadError, match="none of those that were asked for"):
        answer(other)


def test_rows_are_the_hours_of_the_chunk_under_the_stamps_of_the_source() -> None:
    page = answer(both())
    assert page.rows.column_names == ["time", "region", "place", *UNITS]
    rows = rows_of(page)
    assert page.total == len(rows) == 2 * 71
    assert [row[:3] for row in rows[:2]] == [
        (datetime(2024, 3, 1, 1), "EPE", "el_paso"),
        (datetime(2024, 3, 1, 2), "EPE", "el_paso"),
    ]
    assert rows[70] == (datetime(2024, 3, 3, 23), "EPE", "el_paso", *[71.0] * 7)
    assert {row[2] for row in rows[71:]} == {"las_cruces"}


def test_a_place_alone_comes_as_an_object_and_nulls_are_kept() -> None:
    chunk = Chunk(HOURLY.name, "GVL", START - 1, START + 22)
    body = made(places()["GVL"][0], DAY, 1, cloud_cover=[None] * 24, precipitation=[0, None, *[0.25] * 22])
    page = answer(body, chunk=chunk)
    assert page.rows["cloud_cover"].null_count == 24
    assert page.rows["precipitation"].to_pylist()[:3] == [0.0, None, 0.25]


def test_a_variable_that_the_model_at_hand_lacks_is_null() -> None:
    def lack(body: Body) -> None:
        body["hourly"]["wind_speed_100m"] = [None] * 72
        body["hourly_units"]["wind_speed_100m"] = "undefined"

    page = answer(changed(lack))
    assert page.rows["wind_speed_100m"].null_count == 71


def test_the_recorded_answer_is_refused_in_the_units_it_was_recorded_in(recorded: Path) -> None:
    body = recorded_body(recorded)
    chunk = Chunk(HOURLY.name, "GVL", hour_number(datetime(2023, 1, 1)), hour_number(datetime(2023, 1, 2)))
    asked = as_asked(body, places()["GVL"][0])
    assert len(answer(asked, chunk=chunk).rows) == 25
    asked["hourly_units"] = {**asked["hourly_units"], "wind_speed_10m": body["hourly_units"]["wind_speed_10m"]}
    with pytest.raises(PayloadError, match="wind_speed_10m came in 'km/h' where 'm/s' was asked for"):
        answer(asked, chunk=chunk)
    with pytest.raises(PayloadError, match="dew_point_2m"):
        answer(body, chunk=chunk)


def test_the_recorded_answer_in_local_time_is_refused(recorded: Path) -> None:
    body = recorded_body(recorded, "frenck_historical_weather_trimmed.json")
    full = {name: body["hourly"].get(name, [1.0] * 3) for name in ("time", *UNITS)}
    place = {"latitude": EL_PASO.latitude, "longitude": EL_PASO.longitude}
    with pytest.raises(PayloadError, match="7200 s off UTC"):
        answer({**body, **place, "hourly": full})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda body: body.update(latitude=41.0), r"weather came of 41\.00, -106\.54, which is no place of EPE"),
        (
            lambda body: body["hourly"].update(precipitation=[0.0] * 71),
            r"precipitation of el_paso has 71 values for 72",
        ),
        (lambda body: body["hourly_units"].update(temperature_2m="°F"), "temperature_2m came in '°F'"),
        (lambda body: body["hourly_units"].update(cloud_cover="undefined"), "cloud_cover came in 'undefined'"),
        (lambda body: body["hourly_units"].pop("cloud_cover"), "cloud_cover came in 'nothing'"),
        (lambda body: body["hourly"].pop("cloud_cover"), "cloud_cover"),
        (lambda body: body["hourly"]["time"].__setitem__(5, "2024-03-01T04:00"), "missing or come twice"),
        (lambda body: body["hourly"]["time"].__setitem__(5, "2024-03-01T05:30"), "'2024-03-01T05:30' is not an hour"),
        (lambda body: body["hourly"]["time"].__setitem__(5, "2024-03-99T05:00"), "not an hour"),
        (lambda body: body["hourly"].update(time=[]), "without hours"),
        (lambda body: body["hourly"].update(temperature_2m=[1e999] * 72), "not an Open-Meteo body|not a finite number"),
        (lambda body: body["hourly"].update(temperature_2m=["7"] * 72), "not an Open-Meteo body"),
    ],
)
def test_an_answer_that_is_not_as_asked_is_refused(change: Callable[[Body], object], said: str) -> None:
    with pytest.raises(PayloadError, match=said):
        answer(changed(change))


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"[]", b'{"hourly":{}}', json.dumps(both()).encode()[:-900]])
def test_a_body_without_weather_is_requested_again(body: bytes) -> None:
    with pytest.raises(PayloadError):
        answer(body)


def test_places_in_another_order_are_refused() -> None:
    with pytest.raises(PayloadError, match="not in the order asked for"):
        answer(both()[::-1])


def test_an_answer_for_fewer_places_starts_again_but_is_read_where_it_is_all_that_was_kept(tmp_path: Path) -> None:
    """A payload of before the seed gained a place is still replayed."""
    page = answer(both()[1:], request="payload abc")
    assert {row[2] for row in rows_of(page)} == {"las_cruces"}
    with pytest.raises(PayloadError, match="answered for 1 of 2 places"):
        SOURCE.next_request(CHUNK, [page], settings(tmp_path), present_hour=PRESENT_HOUR)
    assert SOURCE.next_request(CHUNK, [answer(both())], settings(tmp_path), present_hour=PRESENT_HOUR) is None


MINUTELY = "Minutely API request limit exceeded. Please try again in one minute."
HOURLY_LIMIT = "Hourly API request limit exceeded. Please try again in the next hour."
DAILY = "Daily API request limit exceeded. Please try again tomorrow."


@pytest.mark.parametrize(
    ("status", "reason", "kind", "said"),
    [
        (400, "Cannot initialize X from invalid String value temp", RefusedError, "refuses the request.*value temp"),
        (400, "Parameter 'start_date' is out of allowed range", RefusedError, "out of allowed range"),
        (404, "Not Found", RefusedError, "Not Found"),
        (429, "Too many concurrent requests", UnavailableError, "asks to slow down"),
        (429, MINUTELY, UnavailableError, "asks to slow down"),
        (400, MINUTELY, UnavailableError, "asks to slow down"),
        (500, "Something went wrong.", UnavailableError, "failed.*went wrong"),
        (200, "Something went wrong.", UnavailableError, "failed.*went wrong"),
    ],
)
def test_an_error_has_a_status_and_a_reason(status: int, reason: str, kind: type[SourceError], said: str) -> None:
    with pytest.raises(kind, match=said):
        answer({"error": True, "reason": reason}, status)


def test_a_minute_beyond_the_limit_is_waited_for() -> None:
    with pytest.raises(UnavailableError) as caught:
        answer({"error": True, "reason": MINUTELY}, 429, received_at=datetime(2024, 3, 1, 5, 6, 45))
    assert caught.value.retry_after_seconds == 15


@pytest.mark.parametrize("reason", [HOURLY_LIMIT, DAILY])
def test_an_hour_or_a_day_beyond_the_limit_ends_the_run_of_this_source(reason: str) -> None:
    with pytest.raises(LimitSpentError, match=r"used up; what is left is for a later sync") as caught:
        answer({"error": True, "reason": reason}, 429)
    assert not isinstance(caught.value, PassingError | RefusedError)


@pytest.mark.parametrize(
    ("lacking", "hours", "said"),
    [
        (("shortwave_radiation",), 1, "no shortwave_radiation"),
        (tuple(UNITS), 30, "no temperature_2m, .*, precipitation"),
        (tuple(UNITS), 72, "nothing"),
    ],
)
def test_a_chunk_whose_end_the_archive_lacks_stays_due_for_a_month(
    lacking: tuple[str, ...], hours: int, said: str
) -> None:
    bodies = both()
    for body in bodies:
        for name in lacking:
            body["hourly"][name][-hours:] = [None] * hours
    soon = datetime(2024, 3, 10)
    with pytest.raises(NotReadyError, match=f"archive has {said} of 2024-03-03T23 yet"):
        answer(bodies, received_at=soon)
    for request in (ARCHIVE.replace("archive?", "forecast?"), "payload abc"):  # what is to come may lack
        assert len(answer(bodies, request=request, received_at=soon).rows) == 142
    assert len(answer(bodies, received_at=datetime(2024, 4, 10)).rows) == 142
