"""Open-Meteo's archive and forecast APIs: returns status and body for a request target.

Bodies, error texts and the weights of calls follow Open-Meteo's documentation and its public server code.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from urllib.parse import parse_qs, urlsplit

import msgspec
import numpy as np
from numpy.typing import NDArray

from energywh.simulate.api import BadRequestError, Headers, Reply, SimulatedApi, World
from energywh.simulate.hours import EPOCH, hour_number
from energywh.simulate.noise import Floats, Hours
from energywh.simulate.weather import DECIMALS, Weather

ARCHIVE_LAG_HOURS = 5 * 24
FIRST_DATE = date(1940, 1, 1)
FORECAST_DAYS = 16  # including today
PAST_DAYS = 93  # available from the forecast API
MOST_PLACES = 1000
GRID_DEGREES = 0.1

# The values of each unit parameter, the default first: unit, and factor and offset that convert our values to it.
TEMPERATURE = {"celsius": ("°C", 1.0, 0.0), "fahrenheit": ("°F", 1.8, 32.0)}
WIND = {"kmh": ("km/h", 3.6, 0.0), "ms": ("m/s", 1.0, 0.0), "mph": ("mp/h", 2.236936, 0.0), "kn": ("kn", 1.943844, 0.0)}
RAIN = {"mm": ("mm", 1.0, 0.0), "inch": ("inch", 0.0393701, 0.0)}
UNIT_PARAMS = {"temperature_unit": TEMPERATURE, "wind_speed_unit": WIND, "precipitation_unit": RAIN}
UNIT_OF = {
    "temperature_2m": "temperature_unit",
    "dew_point_2m": "temperature_unit",
    "wind_speed_10m": "wind_speed_unit",
    "wind_speed_100m": "wind_speed_unit",
    "precipitation": "precipitation_unit",
}
PLAIN_UNITS = {"shortwave_radiation": "W/m²", "cloud_cover": "%"}

# Periods in which calls are counted: seconds, and the error text beyond the limit.
SPANS = {
    "minutely": (60, "Minutely API request limit exceeded. Please try again in one minute."),
    "hourly": (3600, "Hourly API request limit exceeded. Please try again in the next hour."),
    "daily": (86_400, "Daily API request limit exceeded. Please try again tomorrow."),
}


def error(status: int, reason: str) -> Reply:
    """Return an error in the format of Open-Meteo."""
    return Reply(status, json.dumps({"reason": reason, "error": True}, ensure_ascii=False).encode())


@dataclass(frozen=True)
class _WeatherQuery:
    """A parsed request; coordinates are not yet snapped to the grid."""

    spots: list[tuple[float, float]]
    first: date
    last: date
    hourly: list[str]
    units: dict[str, tuple[str, float, float]]

    @property
    def weight(self) -> float:
        """Number of calls that the request counts as."""
        variables, days = len(self.hourly) / 10.0, ((self.last - self.first).days + 1) / 14.0
        return len(self.spots) * max(1.0, variables, variables * days)


class OpenMeteoApi(SimulatedApi):
    """The archive and the forecasts under one URL.

    Attributes:
        limits: maximum weighted calls per clock minute, hour or day (see `SPANS`); empty for no limits.
        calls: weighted calls answered so far.
    """

    source = "open_meteo"
    prefix = "/open-meteo/v1"

    def __init__(self, world: World) -> None:
        self.weather = Weather(world.grid.seed)
        self.limits: dict[str, float] = {}
        self.calls = 0.0
        self._now = world.now
        self._counted: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def too_fast(self) -> Reply:
        return error(429, "Too many concurrent requests")

    def failed(self) -> Reply:
        return error(500, "Something went wrong.")

    def answer(self, target: str, headers: Headers) -> Reply:
        url = urlsplit(target)
        route = url.path.removeprefix(self.prefix).strip("/")
        if route not in ("archive", "forecast"):
            return error(404, "Not Found")
        exceeded = self._exceeded()
        if exceeded is not None:
            return error(429, exceeded)
        now = self._now()
        try:
            query = _parse(parse_qs(url.query, keep_blank_values=True), route, (EPOCH + timedelta(hours=now)).date())
        except BadRequestError as refusal:
            return error(400, str(refusal))
        self._count(query.weight)
        spots = [(_snap(latitude), _snap(longitude)) for latitude, longitude in query.spots]
        stamps = np.arange(_midnight(query.first), _midnight(query.last + timedelta(days=1)), dtype=np.int64)
        if route == "forecast":
            values = self.weather.forecast(spots, stamps, now)
        else:
            values = self.weather.observed(spots, stamps)
        known = stamps <= (now - ARCHIVE_LAG_HOURS if route == "archive" else stamps[-1])
        bodies = _bodies(query, spots, stamps, values, known)
        return Reply(200, msgspec.json.encode(bodies if len(bodies) > 1 else bodies[0]), len(spots) * len(stamps))

    def _exceeded(self) -> str | None:
        """Return the answer to a client that has used up a limit, or None."""
        with self._lock:
            for name, most in self.limits.items():
                seconds, text = SPANS[name]
                turn, counted = self._counted.get(name, (0, 0.0))
                if turn == int(time.time() // seconds) and counted >= most:
                    return text
        return None

    def _count(self, weight: float) -> None:
        with self._lock:
            self.calls += weight
            for name, (seconds, _) in SPANS.items():
                turn = int(time.time() // seconds)
                before, counted = self._counted.get(name, (turn, 0.0))
                self._counted[name] = (turn, weight + (counted if before == turn else 0.0))


def api(world: World) -> SimulatedApi:
    return OpenMeteoApi(world)


def _snap(degrees: float) -> float:
    return round(round(degrees / GRID_DEGREES) * GRID_DEGREES, 2)


def _midnight(day: date) -> int:
    return hour_number(datetime.combine(day, time_of_day()))


def _parse(params: Mapping[str, Sequence[str]], route: str, today: date) -> _WeatherQuery:
    """Parse the query. As at Open-Meteo, unknown parameters are ignored.

    Raises:
        BadRequestError: a query that Open-Meteo rejects.
    """
    latitudes, longitudes = _numbers(params, "latitude"), _numbers(params, "longitude")
    if len(latitudes) != len(longitudes):
        raise BadRequestError("Parameter 'latitude' and 'longitude' must have the same number of elements")
    if not latitudes:
        raise BadRequestError("Parameter 'latitude' and 'longitude' must not be empty")
    if len(latitudes) > MOST_PLACES:
        raise BadRequestError(f"Parameter 'latitude' and 'longitude' must not exceed {MOST_PLACES} coordinates.")
    for name, most, given in (("Latitude", 90, latitudes), ("Longitude", 180, longitudes)):
        wrong = next((number for number in given if abs(number) > most), None)
        if wrong is not None:
            raise BadRequestError(f"{name} must be in range of -{most} to {most}°. Given: {wrong}.")
    hourly = _texts(params, "hourly")
    for name in hourly:
        if name not in DECIMALS:
            raise BadRequestError(
                "Data corrupted at path ''. Cannot initialize SurfacePressureAndHeightVariable<VariableAndPreviousDay, "
                "ForecastPressureVariable, ForecastHeightVariable> from invalid String value " + name + "."
            )
    units = {}
    for name, known in UNIT_PARAMS.items():
        chosen = _texts(params, name) or [next(iter(known))]
        if chosen[0] not in known:
            raise BadRequestError(
                f"Data corrupted at path '{name}'. Cannot initialize from invalid String value {chosen[0]}."
            )
        units[name] = known[chosen[0]]
    if any(zone not in ("GMT", "UTC") for zone in _texts(params, "timezone")):
        raise BadRequestError("Invalid timezone")  # the simulator has no other
    first, last = _dates(params, route, today)
    return _WeatherQuery(list(zip(latitudes, longitudes, strict=True)), first, last, hourly, units)


def _texts(params: Mapping[str, Sequence[str]], name: str) -> list[str]:
    return [text for given in params.get(name, ()) for text in given.split(",") if text]


def _numbers(params: Mapping[str, Sequence[str]], name: str) -> list[float]:
    try:
        return [float(text) for text in _texts(params, name)]
    except ValueError:
        raise BadRequestError(f"Parameter '{name}' must be a number") from None


def _dates(params: Mapping[str, Sequence[str]], route: str, today: date) -> tuple[date, date]:
    given = [_texts(params, name) for name in ("start_date", "end_date")]
    if route == "forecast" and not any(given):
        return today, today + timedelta(days=6)
    if not all(given):
        raise BadRequestError("Both 'start_date' and 'end_date' must be set in the url")
    found = []
    for texts in given:
        try:
            found.append(date.fromisoformat(texts[0]))
        except ValueError:
            raise BadRequestError(f"Invalid date format '{texts[0]}'. Make sure to use 'YYYY-MM-DD'") from None
    first, last = found
    earliest, latest = FIRST_DATE, today
    if route == "forecast":
        earliest, latest = today - timedelta(days=PAST_DAYS), today + timedelta(days=FORECAST_DAYS - 1)
    for name, day in (("start_date", first), ("end_date", last)):
        if not earliest <= day <= latest:
            raise BadRequestError(f"Parameter '{name}' is out of allowed range from {earliest} to {latest}")
    if last < first:
        raise BadRequestError("End-date must be larger or equals than start-date")
    return first, last


def _bodies(
    query: _WeatherQuery,
    spots: Sequence[tuple[float, float]],
    stamps: Hours,
    values: Mapping[str, Floats],
    known: NDArray[np.bool_],
) -> list[dict[str, object]]:
    """Return the answer for each place, ready for JSON."""
    times = np.datetime_as_string(stamps.astype("datetime64[h]"), unit="m").tolist()
    units = {"time": "iso8601"}
    columns: dict[str, list[list[float | None]]] = {}
    for name in query.hourly:
        unit, factor, offset = query.units[UNIT_OF[name]] if name in UNIT_OF else (PLAIN_UNITS[name], 1.0, 0.0)
        units[name] = unit
        shown = np.round(values[name] * factor + offset, DECIMALS[name]).astype(object)
        shown[:, ~known] = None
        columns[name] = shown.tolist()
    bodies: list[dict[str, object]] = []
    for at, (latitude, longitude) in enumerate(spots):
        body: dict[str, object] = {
            "latitude": latitude,
            "longitude": longitude,
            "generationtime_ms": 0.25,
            "utc_offset_seconds": 0,
            "timezone": "GMT",
            "timezone_abbreviation": "GMT",
            "elevation": 100.0,
        }
        if at:
            body["location_id"] = at
        if query.hourly:
            body["hourly_units"] = units
            body["hourly"] = {"time": times, **{name: columns[name][at] for name in query.hourly}}
        bodies.append(body)
    return bodies
