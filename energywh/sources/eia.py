"""EIA's hourly electric-grid API, v2: form EIA-930, one row per hour, region and code.

Facts, all recorded (see the tests): `period` is the END of the hour, UTC, `YYYY-MM-DDTHH`; `start` and `end`
are inclusive; at most 5,000 rows a response, `total` counts the whole query; `value` and `total` are strings
since API 2.1.6 and were numbers before; the key is echoed in every body; an unknown facet value is answered
with no rows and no error; errors come in two shapes and an unknown route as HTTP 500 with code 404.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from energywh.config.options import Secret, Section
from energywh.core.printable import printable
from energywh.core.time import hour_number, hour_time
from energywh.errors import (
    KeyRefusedError,
    PayloadError,
    RefusedError,
    SettingsError,
    UnavailableError,
)
from energywh.regions import neighbors, regions, subregions
from energywh.sources.base import (
    Chunk,
    Dataset,
    Irregularity,
    Page,
    PayloadWarning,
    PublicationLag,
    Request,
    Response,
    Source,
    even_cell,
)
from energywh.sources.csv_text import read_number
from energywh.sources.stamps import parse_stamp

if TYPE_CHECKING:
    from energywh.config.settings import Settings

PAGE_ROWS = 5000
REGISTER_URL = "https://www.eia.gov/opendata/register.php"

# Dates in the seed say when an authority began and ended to report; the margin allows for a date that is off.
SPAN_MARGIN = timedelta(days=31)
NEW_CODES = 2  # so many more than are known: a new tie line or subregion must not overflow a page


Slice = TypeVar("Slice")  # the one code that was asked for: checked while decoding, which costs least


class RegionRow(msgspec.Struct, Generic[Slice], gc=False):
    """A row of region-data. Only the fields that are kept; labels change their case and are not."""

    period: str
    respondent: Slice
    type: str
    value: float | None = None


class FuelTypeRow(msgspec.Struct, Generic[Slice], gc=False):
    """A row of fuel-type-data."""

    period: str
    respondent: Slice
    fueltype: str
    value: float | None = None


class InterchangeRow(msgspec.Struct, Generic[Slice], gc=False):
    """A row of interchange-data; positive is export from `fromba`."""

    period: str
    fromba: Slice
    toba: str
    value: float | None = None


class SubregionRow(msgspec.Struct, Generic[Slice], gc=False):
    """A row of region-sub-ba-data; codes of subregions are text, some with leading zeros."""

    period: str
    parent: Slice
    subba: str
    value: float | None = None


Row = TypeVar("Row")


class Result(msgspec.Struct, Generic[Row], gc=False):
    """Rows of one page, and how many the whole query has."""

    data: list[Row]
    total: int | None = None


class Body(msgspec.Struct, Generic[Row], gc=False):
    """An answer with data. Fields that are not kept, such as warnings and the echoed request, may be anything."""

    response: Result[Row]


class EchoedParams(msgspec.Struct):
    """What a request asked for, as the answer repeats it."""

    start: Any = None
    end: Any = None
    facets: Any = None


class EchoedRequest(msgspec.Struct):
    """The request that an answer belongs to."""

    params: EchoedParams = msgspec.field(default_factory=EchoedParams)


class EchoingBody(msgspec.Struct):
    """An answer of which only the echoed request is read."""

    request: EchoedRequest = msgspec.field(default_factory=EchoedRequest)


class GatewayError(msgspec.Struct):
    """`{"error": {"code": "API_KEY_INVALID", "message": …}}`, from the gateway before the application."""

    code: str = ""
    message: str = ""


class EiaErrorBody(msgspec.Struct):
    """Either error shape: an object from the gateway, or text with a numeric `code` from the application."""

    error: GatewayError | str
    code: int | None = None


@dataclass(frozen=True, kw_only=True)
class EiaDataset(Dataset):
    """A route of EIA's v2 API."""

    route: str = ""
    code_key: str = ""  # the key that has one of several codes in each hour of a slice
    codes: int = 0  # how many codes an hour of any slice can have, beside those that are `known`
    known: Callable[[], Mapping[str, Sequence[str]]] | None = None  # the codes of each slice, where a seed lists them
    authorities_only: bool = False  # aggregates have no rows
    row: type[msgspec.Struct] = msgspec.Struct

    @property
    def origin(self) -> str:
        return f"route {self.route}"


_NEXT_DAY = (
    "Form EIA-930 instructions: posted by 7:00 Eastern of the next day, 30 h after its first hour; one more for EIA to "
    "publish."
)

DATASETS = (
    EiaDataset(
        source="eia",
        table="region_data",
        slices_found_in="eia_files.balance",
        keys=("respondent", "type"),
        slice_key="respondent",
        lead_hours=48,  # the day-ahead forecast (DF) runs ahead of the present
        ahead=("type", "DF"),
        measure_key="type",
        publication_lags=(
            PublicationLag(31, _NEXT_DAY),
            PublicationLag(
                2,
                "Form EIA-930 instructions: posted within an hour after the operating hour; one more for EIA to "
                "publish.",
                "D",
            ),
            PublicationLag(
                7,
                "Form EIA-930 instructions: the forecast made the day before is posted by 7:00 Eastern of the day "
                "itself, 6 h after its first hour; one more for EIA to publish. Some authorities post it ahead and "
                "others do not (electricitymaps-contrib pull request 8228).",
                "DF",
            ),
            PublicationLag(31, _NEXT_DAY, "NG"),
            PublicationLag(31, _NEXT_DAY, "TI"),
        ),
        route="electricity/rto/region-data",
        code_key="type",
        codes=4,  # D, DF, NG, TI
        row=RegionRow,
    ),
    EiaDataset(
        source="eia",
        table="fuel_type_data",
        slices_found_in="eia_files.balance",
        keys=("respondent", "fueltype"),
        slice_key="respondent",
        publication_lags=(
            PublicationLag(
                31, "As net generation; about a day behind when it was new (electricitymaps-contrib issue 1941)."
            ),
        ),
        route="electricity/rto/fuel-type-data",
        code_key="fueltype",
        codes=16,  # nine until mid-2024, seven more since
        row=FuelTypeRow,
    ),
    EiaDataset(
        source="eia",
        table="interchange_data",
        slices_found_in="eia_files.interchange",
        keys=("fromba", "toba"),
        slice_key="fromba",
        publication_lags=(
            PublicationLag(
                55,
                "Form EIA-930 instructions: of the day before the prior day, posted by 7:00 Eastern, 54 h after its "
                "first hour; one more for EIA to publish. About two days behind (electricitymaps-contrib pull request "
                "5249).",
            ),
        ),
        settling_hours=288,  # published two days after demand
        route="electricity/rto/interchange-data",
        code_key="toba",
        codes=NEW_CODES,
        known=neighbors,
        row=InterchangeRow,
    ),
    EiaDataset(
        source="eia",
        table="region_sub_ba_data",
        slices_found_in="eia_files.subregion",
        keys=("parent", "subba"),
        slice_key="parent",
        publication_lags=(PublicationLag(31, "Not documented; taken as net generation."),),
        route="electricity/rto/region-sub-ba-data",
        code_key="subba",
        codes=NEW_CODES,
        known=subregions,
        authorities_only=True,
        row=SubregionRow,
    ),
)

_LENIENT_DECODER = msgspec.json.Decoder(Body[dict[str, Any]], strict=False)
_ERROR_DECODER = msgspec.json.Decoder(EiaErrorBody, strict=False)
_ECHO_DECODER = msgspec.json.Decoder(EchoingBody)
_STAMP = "%Y-%m-%dT%H"
# The key as a body echoes it: as a JSON field, or in the address of the request (gateways' error pages do that).
_ECHO_IN_JSON = re.compile(rb'"[ \t\r\n]{0,16}:[ \t\r\n]{0,16}"')
_ECHO_IN_URL = re.compile(rb"""=[^&\s"'<>\\]+""")


IRREGULARITIES = (
    Irregularity(
        "period is the end of the hour, UTC; maps that took it for the start were an hour off for years.",
        "recorded; electricitymaps #4052, PUDL #5335",
    ),
    Irregularity(
        "Some authorities reported on a wrong clock for a while: CISO by start of hour until 2022-06-16, PJM still in "
        "2023-05, SC by its offset until 2020-12-31, TEPC until 2021-11; interchange of IID with CISO four hours off "
        "in 2021.",
        "open-grid-emissions",
    ),
    Irregularity(
        "Time zones are chosen by who reports, not by geography: EPE reports Arizona time, MISO fixed EST.", "PUDL"
    ),
    Irregularity(
        "Values are revised for days and sometimes much later, and nothing says so: there is no time of change.",
        "recorded; EIA's documentation",
    ),
    Irregularity("Interchange lags about two days, demand is of the same day.", "electricitymaps #5249"),
    Irregularity(
        "A row without a value and no row are two things, and neither is 0: of 3.03 million hours of demand 4,850 and "
        "83,080.",
        "recorded",
    ),
    Irregularity(
        "Absurd values stay: demand of PJM 2,147,480,000 MWh, of LGEE -16,773,374, of PACW 3,340,061. About 2.2 % of "
        "the hours of demand are missing and 0.5 % anomalous.",
        "recorded; Ruggles et al., Sci Data 2020; PUDL #3894",
    ),
    Irregularity(
        "Fuel codes were split from the end of 2024 on, by each authority at its own time: BAT, PS, OES, UES, SNB, WNB "
        "and GEO were within OTH, WAT, SUN and WND before. Labels change case; codes do not.",
        "gridstatus #475, #518, #559",
    ),
    Irregularity(
        "Total interchange and interchange are positive for export; BAT and PS are negative while charging. Solar of "
        "-3 at night and coal below zero are real. OTH of CISO held batteries, down to -4,428 MWh.",
        "recorded; PUDL",
    ),
    Irregularity(
        "Both sides of a pair report its interchange and disagree: 5,114 of 7,100 were exactly opposite on one day. "
        "Pairs of PJM have the wrong sign before 2019-10-31, AZPS with SRP from November 2019 to June 2020.",
        "recorded; open-grid-emissions",
    ),
    Irregularity(
        "The identities of the form are soft: fuels sum to net generation in 1,489 of 1,550 cases, pairs to total "
        "interchange in 1,426; demand is net generation less interchange in 1,128 of 1,325, and never so for CISO, "
        "MISO, PJM and BPAT that day.",
        "recorded",
    ),
    Irregularity(
        "Authorities begin and end to report, and some report generation alone (AVRN, DEAA, GRID, GWA, HGMA, SEPA, "
        "WWA, YAD, GRIF).",
        "gridemissions; gridstatus",
    ),
    Irregularity("Two labels can stand for one code: a row comes twice, alike but for the label.", "gridstatus #475"),
    Irregularity(
        "respondent mixes authorities with 14 aggregates, such as US48; a misspelt code is answered with no rows and "
        "no error.",
        "recorded",
    ),
)


class EiaSettings(Section):
    url: Annotated[str, "Base address of EIA's API."] = "https://api.eia.gov/v2"
    api_key: Annotated[
        Secret, Meta(extra={"variables": ["EIA_API_KEY"]}), f"Key of EIA's API, free at {REGISTER_URL}"
    ] = Secret("")
    requests_per_second: Annotated[float, Meta(ge=0), "Limit shared by all processes with the key; 0: none."] = 5.0
    requests_per_hour: Annotated[int, Meta(ge=0), "Limit shared by all processes with the key; 0: none."] = 9000


class Eia(Source):
    """EIA API v2. Requests are plain GETs with the key among the query parameters, as EIA documents."""

    name = "eia"
    title = "EIA API v2"
    homepage = "https://www.eia.gov/opendata/"
    licence = "public domain, a work of the United States government"
    irregularities = IRREGULARITIES
    datasets = DATASETS
    history_source = "eia_files"
    # What EIA may still revise, and some weeks more: a file of the running half can be days behind the API.
    newest_hours = (28 + 12) * 24
    section = EiaSettings

    def check_ready(self, settings: Settings) -> None:
        if not settings.get("eia.api_key"):
            raise SettingsError(
                f"EIA's API needs a key: get one free at {REGISTER_URL}, then set EIA_API_KEY, or api_key under "
                f"[eia] in {settings.home.settings_file}. Without a key, 'energywh sync --files' takes EIA's half-year "
                "files, and 'energywh demo' shows everything"
            )
        super().check_ready(settings)

    def identity(self, settings: Settings) -> str:
        return f"{urlsplit(str(settings.get('eia.url'))).netloc}\n{settings.get('eia.api_key')}"

    def default_slices(
        self, dataset: Dataset, settings: Settings, *, aggregates: bool, present_hour: int
    ) -> Sequence[str]:
        assert isinstance(dataset, EiaDataset)
        kinds = ("authority", "aggregate") if aggregates else ("authority",)
        # Parents that report by subregion are not only those known: an authority may begin to. Aggregates are none.
        if dataset.authorities_only:
            kinds = ("authority",)
        codes = [region for region in regions().values() if region.kind in kinds]
        return [r.code for r in codes if not (dataset.authorities_only and r.generation_only)]

    def slices_of(self, dataset: Dataset, settings: Settings, region: str, *, present_hour: int) -> Sequence[str]:
        assert isinstance(dataset, EiaDataset)
        known = regions().get(region)
        is_none = dataset.authorities_only and known is not None and known.kind != "authority"
        return () if is_none else (region,)

    def may_be_empty(self, dataset: Dataset, slice_: str) -> bool:
        assert isinstance(dataset, EiaDataset)
        return dataset.authorities_only and dataset.known is not None and slice_ not in dataset.known()

    def rows_per_hour(self, dataset: Dataset, slice_: str) -> int:
        assert isinstance(dataset, EiaDataset)
        return dataset.codes + (len(dataset.known().get(slice_, ())) if dataset.known is not None else 0)

    def has_other_history(self, dataset: Dataset, slice_: str) -> bool:
        return slice_ not in regions() or regions()[slice_].kind == "authority"  # the files hold no aggregates

    def cell(self, dataset: Dataset, slice_: str, hour: int) -> tuple[int, int]:
        return even_cell(hour, PAGE_ROWS // self.rows_per_hour(dataset, slice_))

    def span(self, dataset: Dataset, slice_: str) -> tuple[int | None, int | None]:
        region = regions().get(slice_)
        first = last = None
        if region is None:
            return first, last
        if region.first_date is not None:
            first = hour_number(datetime.combine(region.first_date - SPAN_MARGIN, time()))
        if region.last_date is not None:
            last = hour_number(datetime.combine(region.last_date + SPAN_MARGIN, time()))
        return first, last

    def next_request(
        self, chunk: Chunk, pages: Sequence[Page], settings: Settings, *, present_hour: int
    ) -> Request | None:
        dataset = self.dataset(chunk.dataset)
        assert isinstance(dataset, EiaDataset)
        rows = sum(page.rows_received for page in pages)
        if pages:
            totals = {page.total for page in pages}
            if len(totals) > 1:
                raise PayloadError(f"{chunk}: the total changed between pages ({sorted(map(str, totals))})")
            total = pages[0].total
            if total is not None and rows > total:
                raise PayloadError(f"{chunk}: {rows} rows came of {total} that EIA counts")
            newest = pages[-1].rows_received
            ended = newest == 0
            if total is None and newest < PAGE_ROWS:
                return None
            if rows == total:
                return None
            if ended:
                raise PayloadError(f"{chunk}: EIA counts {total} rows and gave {rows}")
        offset = dataset.stamp_offset_hours
        params = [
            ("frequency", "hourly"),
            ("data[0]", "value"),
            (f"facets[{dataset.slice_key}][]", chunk.slice),
            ("start", f"{hour_time(chunk.first + offset):{_STAMP}}"),
            ("end", f"{hour_time(chunk.last + offset):{_STAMP}}"),
        ]
        # Sorted by the full key: without it, rows repeat and get lost between pages.
        for place, column in enumerate((dataset.time_column, *dataset.keys)):
            params += [(f"sort[{place}][column]", column), (f"sort[{place}][direction]", "asc")]
        params += [("offset", str(rows)), ("length", str(PAGE_ROWS))]
        url = f"{str(settings.get('eia.url')).rstrip('/')}/{dataset.route}/data/"
        return Request(url, tuple(params), (("api_key", str(settings.get("eia.api_key"))),))

    def read(self, chunk: Chunk, response: Response) -> Page:
        import pyarrow as pa

        from energywh.sources.arrow import columns

        if response.status != 200:
            raise _refusal(response)
        dataset = self.dataset(chunk.dataset)
        assert isinstance(dataset, EiaDataset)
        warnings: list[PayloadWarning] = []
        key = dataset.code_key
        try:
            body: Any = _decoder(dataset, chunk.slice).decode(response.body)
            if any(not code or code != code.strip() for code in {getattr(row, key) for row in body.response.data}):
                raise msgspec.ValidationError(f"{key} is empty, or has blanks around it")
        except msgspec.ValidationError:
            body = _read_leniently(dataset, chunk.slice, response, warnings)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _not_eia(error, response) from None

        rows = body.response.data
        if not rows:
            _check_echo(dataset, chunk, response)  # rows tell by themselves what they answer
            return Page(_empty(dataset.name), body.response.total)
        try:
            hours = columns.hour_numbers([row.period for row in rows])
            codes = columns.label_codes([getattr(row, key) for row in rows])
            values, unreadable = columns.finite_array([row.value for row in rows])
            offset = dataset.stamp_offset_hours
            if hours.min() < chunk.first + offset or hours.max() > chunk.last + offset:
                raise PayloadError(f"rows came from outside the hours asked for ({chunk})")
        except PayloadError as error:
            raise PayloadError(f"{error}: from {response.request}") from None
        if unreadable:
            warnings.append(PayloadWarning("unreadable_values", "value", unreadable))
        slices = columns.one_label(chunk.slice, len(rows))
        arrays = [columns.stamp_array(hours), slices, columns.label_array(*codes), values]
        table = pa.table(arrays, names=[dataset.time_column, *dataset.keys, "value"])
        if columns.repeats(hours, codes[0]):
            table, more = columns.drop_duplicates(table, [dataset.time_column, key])
            warnings += more
        return Page(table, body.response.total, len(rows), tuple(warnings))

    def redact(self, body: bytes, secrets: Sequence[str]) -> bytes:
        body = _hide_echoed_keys(body)
        # A real key is 40 characters. A short one, as simulators take, may be a word of the data itself.
        return super().redact(body, [secret for secret in secrets if len(secret) >= 16])


def _hide_echoed_keys(body: bytes) -> bytes:
    """Replace what stands after each `api_key`. A scan, as no regular expression of JSON strings is cheap."""
    pieces, start = [], 0
    while (place := body.find(b"api_key", start)) >= 0:
        after = place + len(b"api_key")
        pieces.append(body[start:after])
        if found := _ECHO_IN_JSON.match(body, after):
            pieces.append(found[0] + b"REDACTED")
            start = _end_of_json_string(body, found.end())
        elif found := _ECHO_IN_URL.match(body, after):
            pieces.append(b"=REDACTED")
            start = found.end()
        else:
            start = after
    return b"".join([*pieces, body[start:]])


def _end_of_json_string(body: bytes, start: int) -> int:
    """Return where the quote stands that ends the string; the end of a body that lacks it."""
    place = start
    while (place := body.find(b'"', place)) >= 0:
        before = place
        while before > start and body[before - 1] == ord("\\"):
            before -= 1
        if (place - before) % 2 == 0:
            return place
        place += 1
    return len(body)


_building = threading.Lock()


def _decoder(dataset: EiaDataset, slice_: str) -> msgspec.json.Decoder[Any]:
    """Return the decoder of a dataset's answers to a request for one slice.

    One thread at a time: while msgspec works out what a generic type holds, another thread that asks for the same type
    gets it half done, and the process dies (seen with msgspec 0.22).
    """
    with _building:
        return _built_decoder(dataset, slice_)


@cache
def _built_decoder(dataset: EiaDataset, slice_: str) -> msgspec.json.Decoder[Any]:
    row: Any = dataset.row
    return msgspec.json.Decoder(Body[row[Literal[slice_]]], strict=False)


@dataclass(frozen=True, slots=True)
class _PlainRow:
    """A row of any dataset whose types are not as documented, made to be so; without the key of its slice."""

    period: str
    value: float | None
    type: str = ""
    fueltype: str = ""
    toba: str = ""
    subba: str = ""


def _read_leniently(dataset: EiaDataset, slice_: str, response: Response, warnings: list[PayloadWarning]) -> Any:
    """Return a body some values of which are none, or whose keys have white space or another type.

    Raises:
        PayloadError: a key cannot be read, or rows of another slice came.
    """
    try:
        body = _LENIENT_DECODER.decode(response.body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _not_eia(error, response) from None
    rows, unreadable = [], 0
    for row in body.response.data:
        keys = {name: row.get(name) for name in (dataset.time_column, *dataset.keys)}
        if lacking := [
            name for name, value in keys.items() if not isinstance(value, str | int) or not str(value).strip()
        ]:
            raise _not_eia(ValueError(f"a row without {lacking[0]}"), response)
        plain = {name: str(value).strip() for name, value in keys.items()}
        if (came := plain.pop(dataset.slice_key)) != slice_:
            raise PayloadError(
                f"rows of another {dataset.slice_key} than {slice_} came ({came[:40]!r}): from {response.request}"
            )
        value, is_readable = read_number(row.get("value"))
        unreadable += not is_readable
        rows.append(_PlainRow(value=value, **plain))
    if unreadable:
        warnings.append(PayloadWarning("unreadable_values", "value", unreadable))
    return Body(Result(rows, body.response.total))


def _check_echo(dataset: EiaDataset, chunk: Chunk, response: Response) -> None:
    """Check that an answer without rows repeats the request it was made for; a cache may have kept another one's.

    An echo that is missing, or written in another way, says nothing.

    Raises:
        PayloadError: it repeats another slice or other hours.
    """
    try:
        echo = _ECHO_DECODER.decode(response.body).request.params
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    facet = echo.facets.get(dataset.slice_key) if isinstance(echo.facets, dict) else None
    offset = dataset.stamp_offset_hours
    differing = [f"{dataset.slice_key} {facet}"] if isinstance(facet, list) and chunk.slice not in facet else []
    for name, stamp, hour in (("start", echo.start, chunk.first), ("end", echo.end, chunk.last)):
        moment = parse_stamp(stamp) if isinstance(stamp, str) else None
        if moment is not None and moment != hour_time(hour + offset):
            differing.append(f"{name} {stamp}")
    if differing:
        raise PayloadError(
            f"an answer without rows to another request came ({printable(', '.join(differing))}): "
            f"from {response.request}"
        )


def _not_eia(error: Exception, response: Response) -> Exception:
    """Return the error that a body without the documented fields stands for."""
    if b'"error"' in response.body[:4096]:  # before October 2025 an error could come with HTTP 200
        return _refusal(response)
    return PayloadError(
        f"not an EIA body ({printable(error)}): HTTP {response.status} from {response.request}, "
        f"begins: {response.opening()}"
    )


def _refusal(response: Response) -> Exception:
    """Return the error that a response without data stands for."""
    try:
        body = _ERROR_DECODER.decode(response.body)
        is_eia = True
        gateway = body.error if isinstance(body.error, GatewayError) else GatewayError(message=str(body.error))
        code, text = gateway.code, gateway.message
        status = body.code or response.status
        if status == 200:
            status = 403 if code.startswith("API_KEY") else 429 if code == "OVER_RATE_LIMIT" else 500
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        is_eia, code, text, status = False, "", f"begins: {response.opening()}", response.status
    said = f"{f' ({printable(code, 60)})' if code else ''}: {printable(text)}"
    what = f"HTTP {response.status}{said} [{response.request}]"
    if not is_eia and status == 403:
        return UnavailableError(
            "EIA's server refuses this client with a page that is not of the API (a block of its content network, "
            f"most often for some minutes); if it lasts, try from another network or without a proxy. {what}",
            response.retry_after_seconds,
        )
    if code.startswith("API_KEY") or status in (401, 403):
        return KeyRefusedError(
            f"EIA rejects the API key. Check EIA_API_KEY, or api_key under [eia] in energywh.toml; "
            f"a key is free at {REGISTER_URL}. {what}"
        )
    if status == 429:
        return UnavailableError(f"EIA asks to slow down. {what}", response.retry_after_seconds)
    if status >= 500:
        return UnavailableError(f"EIA failed. {what}", response.retry_after_seconds)
    return RefusedError(f"EIA refuses the request. {what}")


@cache
def _empty(name: str) -> Any:
    """Return a table of no rows, in the columns of dataset ``name``."""
    import pyarrow as pa

    dataset = SOURCE.dataset(name)
    fields = [pa.field(dataset.time_column, pa.timestamp("us"))]
    fields += [pa.field(key, pa.dictionary(pa.uint8(), pa.string())) for key in dataset.keys]
    return pa.schema([*fields, pa.field("value", pa.float64())]).empty_table()


SOURCE = Eia()
