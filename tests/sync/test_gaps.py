"""An answer that ends before its chunk, or has a hole, is landed and stays due until it is filled or given up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from energywh.core.time import hour_number
from energywh.sources.open_meteo import UNITS
from tests.support.desk import Desk
from tests.support.scripted import Answer, scripted
from tests.support.staging import query
from tests.sync.conftest import MovableClock

HOUR = timedelta(hours=1)
DAYS = {"since": "2024-03-11", "until": "2024-03-20"}
FIRST, LAST = datetime(2024, 3, 11), datetime(2024, 3, 20, 23)  # within one chunk
HOURS = [FIRST + number * HOUR for number in range(240)]


def region_data(hours: Iterable[datetime], value: Callable[[datetime], str | None] = lambda hour: "5") -> Answer:
    rows = [
        {"period": f"{hour + HOUR:%Y-%m-%dT%H}", "respondent": "PACW", "type": "D", "value": value(hour)}
        for hour in hours
    ]
    return Answer(json.dumps({"response": {"total": len(rows), "data": rows}}).encode())


def with_forecasts(answer: Answer) -> Answer:
    body = json.loads(answer.body)["response"]
    forecasts = [row | {"type": "DF", "value": "5"} for row in json.loads(region_data(HOURS).body)["response"]["data"]]
    rows = sorted(body["data"] + forecasts, key=lambda row: (row["period"], row["type"]))
    return Answer(json.dumps({"response": {"total": len(rows), "data": rows}}).encode())


def eia_desk(folder: Path, url: str) -> Desk:
    return Desk(folder, url).having(SYNC_RETRIES="0")


def gap(desk: Desk) -> str | None:
    ((found,),) = query(desk.staging, "select gap from sync.chunk")
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("first_answer", "lacks"),
    [
        (HOURS[:100], "no value after 2024-03-15T03"),
        (HOURS[:50] + HOURS[74:], "no value in 24 of its hours, the first 2024-03-13T02"),
    ],
    ids=["end", "hole"],
)
def test_an_answer_with_a_gap_is_landed_and_requested_again_until_it_is_filled(
    tmp_path: Path, clock: MovableClock, first_answer: list[datetime], lacks: str
) -> None:
    clock.set(LAST + 20 * 24 * HOUR)
    answers = [region_data(first_answer), region_data(HOURS)]
    with scripted(lambda number, path: answers[min(number, 1)]) as server:
        desk = eia_desk(tmp_path, server.url)
        assert desk.sync("eia.region_data", regions=["PACW"], **DAYS).ok
        assert query(desk.staging, "select count(*) from eia.region_data") == [(len(first_answer),)]
        assert gap(desk) == lacks
        assert desk.sync("eia.region_data", regions=["PACW"], **DAYS).tallies[0].counts.new == 240 - len(first_answer)
        assert gap(desk) is None
        assert desk.sync("eia.region_data", regions=["PACW"], **DAYS).why_nothing
    assert len(server.asked) == 2


def test_forecasts_do_not_hide_that_the_measured_values_end(tmp_path: Path, clock: MovableClock) -> None:
    clock.set(LAST + 20 * 24 * HOUR)
    with scripted(lambda number, path: with_forecasts(region_data(HOURS[:100]))) as server:
        desk = eia_desk(tmp_path, server.url)
        assert desk.sync("eia.region_data", regions=["PACW"], **DAYS).ok
    assert gap(desk) == "no value after 2024-03-15T03"


def test_hours_without_a_value_are_a_gap_and_those_before_the_first_value_are_none(
    tmp_path: Path, clock: MovableClock
) -> None:
    clock.set(LAST + 20 * 24 * HOUR)
    null_day = region_data(HOURS, lambda hour: None if hour.day == 15 else "5")
    with scripted(lambda number, path: null_day) as server:
        desk = eia_desk(tmp_path, server.url)
        assert desk.sync("eia.region_data", regions=["PACW"], **DAYS).ok
        assert str(gap(desk)).startswith("no value in 24 of its hours")
    with scripted(lambda number, path: region_data(HOURS[100:])) as server:
        desk = eia_desk(tmp_path / "new", server.url)
        assert desk.sync("eia.region_data", regions=["PACW"], **DAYS).ok
    assert gap(desk) is None, "a series may begin within a chunk"


def test_a_gap_that_is_not_filled_for_two_months_is_given_up(tmp_path: Path, clock: MovableClock) -> None:
    clock.set(LAST + 59 * 24 * HOUR)
    with scripted(lambda number, path: region_data(HOURS[:200])) as server:
        desk = eia_desk(tmp_path, server.url)
        for days in (0, 0, 3):
            clock.advance(24 * days)
            assert desk.sync("eia.region_data", regions=["PACW"], **DAYS).ok
        assert len(server.asked) == 3
        assert desk.sync("eia.region_data", regions=["PACW"], **DAYS).why_nothing
    assert gap(desk) is not None, "the gap is no longer reported"


@pytest.mark.parametrize("lacking", ["null day", "null variable", "end"])
def test_weather_that_the_archive_lacks_is_asked_for_again(tmp_path: Path, clock: MovableClock, lacking: str) -> None:
    clock.set(datetime(2024, 4, 20))

    def answer(number: int, path: str) -> Answer:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        begin, end = (datetime.fromisoformat(asked[name]) for name in ("start_date", "end_date"))
        times = [begin + number * HOUR for number in range(int((end - begin) / HOUR) + 24)]
        if lacking == "end" and not filled:
            times = times[:24]
        columns: dict[str, list[float | None]] = {name: [1.0] * len(times) for name in UNITS}
        for name in () if filled or lacking == "end" else UNITS if lacking == "null day" else ("cloud_cover",):
            columns[name] = [None if time.day == 15 else 1.0 for time in times]
        body = {
            "latitude": float(asked["latitude"]),
            "longitude": float(asked["longitude"]),
            "hourly_units": dict(UNITS),
            "hourly": {"time": [f"{time:%Y-%m-%dT%H:%M}" for time in times], **columns},
        }
        return Answer(json.dumps(body).encode())

    filled = False
    with scripted(answer) as server:
        desk = Desk(tmp_path, "").having(
            OPEN_METEO_URL=server.url, OPEN_METEO_REQUESTS_PER_SECOND="0", SYNC_RETRIES="0"
        )
        assert desk.sync("open_meteo", regions=["SCL"], **DAYS).ok
        assert query(desk.staging, "select count(*) filter (gap is not null) > 0 from sync.chunk") == [(True,)]
        filled = True
        assert desk.sync("open_meteo", regions=["SCL"], **DAYS).ok
        assert query(desk.staging, "select count(gap), bool_and(status = 'done') from sync.chunk") == [(0, True)]
        assert desk.sync("open_meteo", regions=["SCL"], **DAYS).why_nothing
    held = "select count(*), count(temperature_2m), count(cloud_cover) from open_meteo.hourly"
    assert query(desk.staging, held) == [(240, 240, 240)]


def test_hours_after_an_authority_retired_are_not_a_gap(tmp_path: Path, clock: MovableClock) -> None:
    """GRIF ended in November 2023 by the seed: the chunk of a month after it ends without values."""
    clock.set(datetime(2024, 2, 10))
    ends = datetime(2023, 12, 1)

    def answer(number: int, path: str) -> Answer:
        asked = parse_qs(urlsplit(path).query)
        begin, end = (datetime.strptime(asked[name][0], "%Y-%m-%dT%H") - HOUR for name in ("start", "end"))
        hours = [begin + n * HOUR for n in range(int((end - begin) / HOUR) + 1) if begin + n * HOUR < ends]
        rows = [
            {"period": f"{hour + HOUR:%Y-%m-%dT%H}", "respondent": "GRIF", "type": "NG", "value": "5"} for hour in hours
        ]
        return Answer(json.dumps({"response": {"total": len(rows), "data": rows}}).encode())

    with scripted(answer) as server:
        desk = eia_desk(tmp_path, server.url)
        assert desk.sync("eia.region_data", regions=["GRIF"], since="2023-10-20").ok
    assert query(desk.staging, "select count(gap) from sync.chunk") == [(0,)]
    last = max(parse_qs(urlsplit(path).query)["end"][0] for _, path in server.asked)
    assert hour_number(datetime.strptime(last, "%Y-%m-%dT%H")) < hour_number(datetime(2024, 1, 15))
