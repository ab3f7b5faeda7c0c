"""Answers of Open-Meteo for tests: recorded ones, adapted to the requested places, and invented ones."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from energywh.sources.open_meteo import UNITS, Place

RECORDED = "epex_forecast_berlin_2023-01-01_2023-01-02_9-of-16-variables.json"
Body = dict[str, Any]


def recorded_body(recorded: Path, name: str = RECORDED) -> Body:
    """Return a recorded answer, as it came."""
    body: Body = json.loads((recorded / "openmeteo" / name).read_text(encoding="utf-8"))
    return body


def as_asked(body: Body, place: Place, warmer: float = 0.0) -> Body:
    """Return a recorded answer of Berlin as that to our request for a place.

    Wind comes in the unit that is asked for, that at 80 m stands for that at 100 m, the dew point (which was not
    asked for) lacks. All else is as recorded, variables that nobody asked for included.

    Args:
        warmer: added to the temperatures, to tell places apart.
    """
    hourly = dict(body["hourly"])
    for ours, theirs in (("wind_speed_10m", "wind_speed_10m"), ("wind_speed_100m", "wind_speed_80m")):
        hourly[ours] = [round(speed / 3.6, 2) for speed in hourly[theirs]]
    hourly["temperature_2m"] = [round(value + warmer, 1) for value in hourly["temperature_2m"]]
    hourly["dew_point_2m"] = [None] * len(hourly["time"])
    units = {**body["hourly_units"], **UNITS, "dew_point_2m": "undefined"}
    near = {"latitude": place.latitude + 0.02, "longitude": place.longitude - 0.03}
    return {**body, **near, "hourly": hourly, "hourly_units": units}


def made(place: Place, first: date, days: int, **columns: list[Any]) -> Body:
    """Return an answer with plain numbers: each variable counts the hours from 0, unless given."""
    start = datetime(first.year, first.month, first.day)
    times = [f"{start + timedelta(hours=hour):%Y-%m-%dT%H:%M}" for hour in range(24 * days)]
    counted = {name: [float(hour) for hour in range(24 * days)] for name in UNITS}
    return {
        "latitude": place.latitude + 0.05,
        "longitude": place.longitude - 0.05,
        "generationtime_ms": 0.1,
        "utc_offset_seconds": 0,
        "timezone": "GMT",
        "timezone_abbreviation": "GMT",
        "elevation": 12.0,
        "hourly_units": {"time": "iso8601", **UNITS},
        "hourly": {"time": times, **counted, **columns},
    }
