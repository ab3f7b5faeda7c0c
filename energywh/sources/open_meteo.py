"""Weather from Open-Meteo: archive and forecast, hourly, at the weighted places of each authority.

Facts (documented at open-meteo.com and in the server's public code; see the tests for recorded answers):

- Several places in one request are answered by an array in their order, one place by a bare object; coordinates in
  answers are those of the model's grid cell. Values are columns beside `hourly.time`; null where there is none.
- Temperature, dew point, wind and cloud cover are at the stamp; radiation (mean) and precipitation (sum) are over the
  hour BEFORE it.
- The archive lags by about five days and answers nulls until it has an hour. The forecast API has the last three
  months too, and up to 16 days ahead.
- Free use: 600 calls a minute, 5,000 an hour, 10,000 a day. A request counts, for each place, as
  max(1, variables / 10, variables / 10 * days / 14) calls. Of one address, one request is answered at a time and six
  wait; a seventh is refused.
- Errors are `{"error": true, "reason": "…"}`, HTTP 400 for what is asked wrongly and 429 beyond a limit.

Weather data by Open-Meteo.com, licence CC BY 4.0.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from energywh.config.options import RequestsPerSecond, Section
from energywh.core.paths import sql_dir
from energywh.core.printable import printable
from energywh.core.time import hour_number, hour_time
from energywh.errors import LimitSpentError, NotReadyError, PayloadError, RefusedError, UnavailableError
from energywh.regions import regions
from energywh.sources.base import (
    Chunk,
    Dataset,
    Irregularity,
    Page,
    PublicationLag,
    Request,
    Response,
    Source,
    even_cell,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from energywh.config.settings import Settings

# What is asked for, and in which unit it must come.
UNITS = {
    "temperature_2m": "°C",
    "dew_point_2m": "°C",
    "wind_speed_10m": "m/s",
    "wind_speed_100m": "m/s",
    "shortwave_radiation": "W/m²",
    "cloud_cover": "%",
    "precipitation": "mm",
}
UNIT_PARAMS = (("temperature_unit", "celsius"), ("wind_speed_unit", "ms"), ("precipitation_unit", "mm"))

DAY_HOURS = 24
# Twenty days of seven variables weigh exactly one call a place: history costs no less in longer cells, and the cell
# that is not settled yet, which every sync asks for again, costs no more.
CELL_HOURS = 20 * DAY_HOURS
ARCHIVE_LAG_HOURS = 6 * DAY_HOURS  # the archive has an hour after five days; one more for being late
BELIEVED_AFTER_HOURS = 30 * DAY_HOURS  # then an archive without the end of a chunk is taken as it is
GAP_RETRY_HOURS = 60 * DAY_HOURS  # what the archive lacks by then, it will not get
# Grid cells are up to 0.25° wide, and over water or on a slope a neighbouring one is taken.
MOST_DEGREES_OFF = 0.4
# An authority's last date in the seed may be off; weather beyond it does no harm.
SPAN_MARGIN = timedelta(days=31)


@dataclass(frozen=True)
class Place:
    """A row of `sql/seeds/weather_place.csv`; degrees north and east."""

    place: str
    latitude: float
    longitude: float


@cache
def places() -> dict[str, tuple[Place, ...]]:
    """Return the weighted places of each authority, in the order of the seed."""
    found: dict[str, list[Place]] = {}
    with (sql_dir() / "seeds" / "weather_place.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            place = Place(row["place"], float(row["latitude"]), float(row["longitude"]))
            found.setdefault(row["region"], []).append(place)
    return {region: tuple(listed) for region, listed in found.items()}


Column = list[float | None]


class Hourly(msgspec.Struct, gc=False):
    """The columns of one place; all as long as `time`."""

    time: list[str]
    temperature_2m: Column
    dew_point_2m: Column
    wind_speed_10m: Column
    wind_speed_100m: Column
    shortwave_radiation: Column
    cloud_cover: Column
    precipitation: Column


class Location(msgspec.Struct, gc=False):
    """The answer for one place. Fields that are not kept, such as `elevation`, may be anything."""

    latitude: float
    longitude: float
    hourly_units: dict[str, str]
    hourly: Hourly
    utc_offset_seconds: int = 0


class OpenMeteoErrorBody(msgspec.Struct):
    """`{"error": true, "reason": "…"}`."""

    reason: str
    error: bool = True


_DECODER = msgspec.json.Decoder(Location | list[Location])
_ERROR_DECODER = msgspec.json.Decoder(OpenMeteoErrorBody)


@dataclass(frozen=True, kw_only=True)
class WeatherDataset(Dataset):
    """Hourly variables of a place."""

    @property
    def origin(self) -> str:
        return "archive and forecast"

    def fields_of(self, column: str) -> tuple[str, ...]:
        own = {"region": "authority, by", "place": "place, by"}
        if column in own:
            return (f"{own[column]} the latitude and longitude that are asked for",)
        known = super().fields_of(column)
        return (f"hourly.{column}",) if column in (*self.values, self.time_column) else known


HOURLY = WeatherDataset(
    source="open_meteo",
    table="hourly",
    keys=("region", "place"),
    slice_key="region",
    values=tuple(UNITS),
    time_column="time",
    # A chunk's hours are those over which radiation and precipitation were taken, so their stamp is the hour's end;
    # the instants at that stamp begin the next hour. normalized.weather puts both at their hour: it reads the stamp
    # before its own hour, never one after it, so that its months can be built alone.
    stamp_offset_hours=1,
    first_hour="2018-12-31T23",  # whose stamp is the first instant of 2019
    lead_hours=7 * DAY_HOURS,
    part_keys=("place",),
    publication_lags=(
        PublicationLag(
            ARCHIVE_LAG_HOURS,
            "The archive has an hour after five days (open-meteo.com); one more for being late. A forecast of the hour "
            "was known before it.",
        ),
    ),
    arrival_values=("temperature_2m",),
    revision_values=(("temperature_2m", "temperature"),),
    gap_retry_hours=GAP_RETRY_HOURS,
    settling_hours=7 * DAY_HOURS,  # more than the archive's lag: only what the archive answered is settled
)
assert HOURLY.settling_hours > ARCHIVE_LAG_HOURS


IRREGULARITIES = (
    Irregularity(
        "Temperature, dew point, wind and cloud cover are at the stamp; radiation and precipitation are over the hour "
        "before it.",
        "Open-Meteo's documentation",
    ),
    Irregularity(
        "The archive lags by about five days and answers nulls until it has an hour; until then forecasts stand in.",
        "Open-Meteo's documentation",
    ),
    Irregularity("A day without values inside the archive is filled days or weeks later.", "open-meteo #2122, #1277"),
    Irregularity("Past weather is reanalysis: it is not what was forecast at the time.", "Open-Meteo's documentation"),
    Irregularity(
        "Coordinates of an answer are those of the model's grid cell, up to 0.25° from the place.", "recorded"
    ),
)


class OpenMeteoSettings(Section):
    url: Annotated[str, "Base address of Open-Meteo's archive; where it is set, of the forecasts too."] = (
        "https://archive-api.open-meteo.com/v1"
    )
    forecast_url: Annotated[str, "Base address of Open-Meteo's forecasts alone."] = "https://api.open-meteo.com/v1"
    requests_per_second: Annotated[
        RequestsPerSecond, "Limit shared by all processes; 0: none. One a second keeps within their 600 calls a minute."
    ] = 1.0
    requests_per_hour: Annotated[int, Meta(ge=0), "Calls as Open-Meteo counts them; 0: no limit."] = 5000
    requests_per_day: Annotated[int, Meta(ge=0), "Calls as Open-Meteo counts them; 0: no limit."] = 10_000


class OpenMeteo(Source):
    """Open-Meteo's free weather API. A chunk is one request for all places of an authority."""

    name = "open_meteo"
    title = "Open-Meteo"
    homepage = "https://open-meteo.com/"
    licence = "CC BY 4.0, weather data by Open-Meteo.com; the free API is for non-commercial use"
    irregularities = IRREGULARITIES
    datasets = (HOURLY,)
    max_jobs = 2  # one is answered at a time, another may wait
    section = OpenMeteoSettings

    def check_ready(self, settings: Settings) -> None:
        super().check_ready(settings)
        self.check_url(settings, "open_meteo.forecast_url")

    def default_slices(
        self, dataset: Dataset, settings: Settings, *, aggregates: bool, present_hour: int
    ) -> Sequence[str]:
        return list(places())

    def slices_of(self, dataset: Dataset, settings: Settings, region: str, *, present_hour: int) -> Sequence[str]:
        return (region,) if region in places() else ()

    def rows_per_hour(self, dataset: Dataset, slice_: str) -> int:
        return len(places()[slice_])

    def cell(self, dataset: Dataset, slice_: str, hour: int) -> tuple[int, int]:
        # Stamps, not hours, begin with the day: whole days are asked for.
        first, last = even_cell(hour + dataset.stamp_offset_hours, CELL_HOURS)
        return first - dataset.stamp_offset_hours, last - dataset.stamp_offset_hours

    def span(self, dataset: Dataset, slice_: str) -> tuple[int | None, int | None]:
        region = regions().get(slice_)
        ended = None if region is None else region.last_date
        return None, None if ended is None else hour_number(datetime.combine(ended + SPAN_MARGIN, time()))

    def gap(self, dataset: Dataset, chunk: Chunk, rows: pa.Table) -> str:
        """Return which hours lack, or lack at all places a variable that others have: the archive fills them later."""
        import numpy as np
        import pyarrow.compute as pc

        from energywh.sources.arrow.coverage import hours_of_stamps

        hours = hours_of_stamps(rows[dataset.time_column], dataset.stamp_offset_hours)
        places_ = hours - chunk.first
        whole = np.ones(chunk.hours, np.bool_)
        for name in UNITS:
            valid = pc.is_valid(rows[name]).to_numpy(zero_copy_only=False)
            if valid.any():  # a variable that the model at hand does not have does not lack
                has_value = np.zeros(chunk.hours, np.bool_)
                has_value[places_[valid]] = True
                whole &= has_value
        if all(rows[name].null_count == len(rows) for name in UNITS):
            whole[:] = False
        lacking = np.flatnonzero(~whole)
        if not len(lacking):
            return ""
        first = hour_time(chunk.first + int(lacking[0]))
        return f"no weather in {len(lacking):,} of its hours, the first {first:%Y-%m-%dT%H}"

    def next_request(
        self, chunk: Chunk, pages: Sequence[Page], settings: Settings, *, present_hour: int
    ) -> Request | None:
        wanted = places()[chunk.slice]
        if pages:
            found = len(pages[0].rows["place"].unique())
            if found not in (0, len(wanted)):
                raise PayloadError(f"{chunk}: Open-Meteo answered for {found} of {len(wanted)} places")
            return None
        first, last = (hour_time(hour + HOURLY.stamp_offset_hours).date() for hour in (chunk.first, chunk.last))
        params = (
            ("latitude", ",".join(f"{place.latitude:.2f}" for place in wanted)),
            ("longitude", ",".join(f"{place.longitude:.2f}" for place in wanted)),
            ("start_date", f"{first:%Y-%m-%d}"),
            ("end_date", f"{last:%Y-%m-%d}"),
            ("hourly", ",".join(UNITS)),
            *UNIT_PARAMS,
            ("timezone", "GMT"),
        )
        return Request(
            _address(chunk, settings, present_hour), params, cost=calls(len(wanted), (last - first).days + 1)
        )

    def read(self, chunk: Chunk, response: Response) -> Page:
        import pyarrow as pa

        if response.status != 200:
            raise _refusal(response)
        try:
            answer = _DECODER.decode(response.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _not_weather(error, response) from None
        try:
            located = _match(chunk, answer if isinstance(answer, list) else [answer])
            rows = pa.concat_tables([_rows(chunk, place, location) for place, location in located])
        except PayloadError as error:
            raise PayloadError(f"{chunk}: {error}: from {response.request}") from None
        if "/archive?" in response.request and chunk.last + BELIEVED_AFTER_HOURS > hour_number(response.received_at):
            _check_complete(chunk, rows)
        return Page(rows.unify_dictionaries(), len(rows))


def calls(count: int, days: int) -> int:
    """Return as how many calls Open-Meteo counts a request for ``count`` places over ``days``, rounded up.

    The rule is that of the server's rate limiter: places * max(1, variables / 10, variables / 10 * days / 14).
    """
    tenths = len(UNITS)
    return math.ceil(count * max(140, 14 * tenths, tenths * days) / 140)


def _address(chunk: Chunk, settings: Settings, present_hour: int) -> str:
    """Return where a chunk is asked for: the archive once it has all hours of it, else the forecasts."""
    url, forecast = (settings.items[f"open_meteo.{name}"] for name in ("url", "forecast_url"))
    if chunk.last + HOURLY.stamp_offset_hours <= present_hour - ARCHIVE_LAG_HOURS:
        return f"{str(url.value).rstrip('/')}/archive"
    replaced = url.origin != "default" and forecast.origin == "default"
    return f"{str((url if replaced else forecast).value).rstrip('/')}/forecast"


def _match(chunk: Chunk, locations: Sequence[Location]) -> list[tuple[Place, Location]]:
    """Return the places that the locations are of, in the order of the seed, which is that of the request.

    Places that the seed gained since a payload was kept may be missing from it.

    Raises:
        PayloadError: a location is near none of the places that are left.
    """
    found: list[tuple[Place, Location]] = []
    left = iter(places()[chunk.slice])
    for location in locations:
        place = next((place for place in left if _near(place, location)), None)
        if place is None:
            raise PayloadError(
                f"weather came of {location.latitude:.2f}, {location.longitude:.2f}, which is no place of "
                f"{chunk.slice}, or not in the order asked for"
            )
        found.append((place, location))
    if not found:
        raise PayloadError("an answer without any place")
    return found


def _near(place: Place, location: Location) -> bool:
    north, east = location.latitude - place.latitude, location.longitude - place.longitude
    return abs(north) <= MOST_DEGREES_OFF and abs(east) <= MOST_DEGREES_OFF


def _rows(chunk: Chunk, place: Place, location: Location) -> pa.Table:
    """Return the rows of one place within the chunk's hours.

    Raises:
        PayloadError: units, time zone, hours or lengths are not as asked for.
    """
    import pyarrow as pa

    from energywh.sources.arrow import columns

    stamps = _stamps(location)
    offset = HOURLY.stamp_offset_hours
    low = max(0, chunk.first + offset - int(stamps[0]))
    high = min(len(stamps), max(low, chunk.last + offset + 1 - int(stamps[0])))
    if high <= low:
        came = f"{location.hourly.time[0]} to {location.hourly.time[-1]}"
        raise PayloadError(f"hours from {came} came, and none of those that were asked for")
    arrays: list[Any] = [columns.stamp_array(stamps[low:high])]
    arrays += [columns.one_label(label, high - low) for label in (chunk.slice, place.place)]
    for name, unit in UNITS.items():
        column: Column = getattr(location.hourly, name)
        if len(column) != len(stamps):
            raise PayloadError(f"{name} of {place.place} has {len(column)} values for {len(stamps)} hours")
        values = columns.value_array(column[low:high])
        came = location.hourly_units.get(name, "nothing")
        # A variable that the model at hand does not have comes without unit and values.
        if came != unit and not (came == "undefined" and values.null_count == len(values)):
            raise PayloadError(f"{name} came in '{came}' where '{unit}' was asked for")
        arrays.append(values)
    return pa.table(arrays, names=[HOURLY.time_column, *HOURLY.keys, *UNITS])


def _stamps(location: Location) -> npt.NDArray[np.int64]:
    """Return the stamps of a location as consecutive hour numbers, UTC.

    Raises:
        PayloadError: they are in local time, not on the hour, or not consecutive.
    """
    import numpy as np

    from energywh.sources.arrow import columns

    texts = location.hourly.time
    if location.utc_offset_seconds:
        raise PayloadError(f"hours came {location.utc_offset_seconds} s off UTC")
    if not texts:
        raise PayloadError("an answer without hours")
    odd = next((text for text in texts if not text.endswith(":00") or len(text) != len("YYYY-MM-DDTHH:00")), None)
    if odd is not None:
        raise PayloadError(f"'{odd[:40]}' is not an hour of the form YYYY-MM-DDTHH:00")
    stamps = columns.hour_numbers([text[:-3] for text in texts])
    if not np.array_equal(stamps, np.arange(stamps[0], stamps[0] + len(stamps))):
        raise PayloadError(f"hours are missing or come twice between {texts[0]} and {texts[-1]}")
    return stamps


def _check_complete(chunk: Chunk, rows: pa.Table) -> None:
    """Leave a chunk due whose last hour the archive does not have yet: it answers nulls until then.

    Raises:
        NotReadyError: a variable lacks at all places in the last hour.
    """
    import pyarrow.compute as pc

    end = hour_time(chunk.last + HOURLY.stamp_offset_hours)
    newest = rows.filter(pc.equal(rows[HOURLY.time_column], end))
    lacking = [name for name in UNITS if newest[name].null_count == len(newest) and rows[name].null_count < len(rows)]
    if lacking or all(rows[name].null_count == len(rows) for name in UNITS):
        what = f"no {', '.join(lacking)}" if lacking else "nothing"
        raise NotReadyError(f"{chunk}: Open-Meteo's archive has {what} of {end:%Y-%m-%dT%H} yet")


def _not_weather(error: Exception, response: Response) -> Exception:
    """Return the error that a body without the documented fields stands for."""
    if b'"reason"' in response.body[:4096]:
        return _refusal(response)
    return PayloadError(
        f"not an Open-Meteo body ({printable(error)}): HTTP {response.status} from {response.request}, "
        f"begins: {response.opening()}"
    )


def _refusal(response: Response) -> Exception:
    """Return the error that a response without weather stands for."""
    try:
        reason = _ERROR_DECODER.decode(response.body).reason
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        reason = f"begins: {response.opening()}"
    what = f"HTTP {response.status}: {printable(reason)} [{response.request}]"
    if response.status == 429 or "limit exceeded" in reason or "concurrent requests" in reason:
        if reason.startswith(("Hourly", "Daily")):  # waiting for it would take hours
            return LimitSpentError(f"Open-Meteo's limit of calls is used up; what is left is for a later sync. {what}")
        seconds = response.retry_after_seconds
        if seconds is None and reason.startswith("Minutely"):  # counted by minutes of the clock
            seconds = 60.0 - response.received_at.second
        return UnavailableError(f"Open-Meteo asks to slow down. {what}", seconds)
    if response.status >= 500 or response.status == 200:
        return UnavailableError(f"Open-Meteo failed. {what}", response.retry_after_seconds)
    return RefusedError(f"Open-Meteo refuses the request. {what}")


SOURCE = OpenMeteo()
