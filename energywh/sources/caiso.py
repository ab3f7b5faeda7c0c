"""CAISO's OASIS: load, renewables, prices and schedules of the California market. No key.

Facts, recorded or read in public code and documents (see the tests). `SingleZip` answers a GET with a zip of one
CSV, even where it refuses: then the zip holds an XML with an error code, under HTTP 200. `startdatetime` and
`enddatetime` are UTC, at most 31 days apart, and a month of 31 days may be one hour too long. Times are stamped at
the START of the interval, UTC; operating days are Pacific, of 23 or 25 hours when the clock changes. Rows are not
sorted. One request each five seconds is let through; a further one gets HTTP 429 with a page of HTML. About 39 months
are kept. Prices are corrected for up to two weeks.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

from energywh.config.options import RequestsPerSecond, Section
from energywh.core.printable import printable
from energywh.core.time import hour_number, hour_time
from energywh.errors import (
    NotReadyError,
    PayloadError,
    RefusedError,
    SettingsError,
    UnavailableError,
)
from energywh.sources.base import (
    ALL_SLICES,
    Chunk,
    Dataset,
    Irregularity,
    Page,
    PayloadWarning,
    PublicationLag,
    Request,
    Response,
    Source,
)
from energywh.sources.csv_text import read_number
from energywh.sources.limits import AnswerLimits
from energywh.sources.stamps import parse_stamp
from energywh.sources.zipped import ZipMember, read_zip

if TYPE_CHECKING:
    import pyarrow as pa

    from energywh.config.settings import Settings

CELL_DAYS = 30
PACE_SECONDS = 5.0  # what the page of a 429 asks to wait
DEFAULT_NODES = (
    *("TH_NP15_GEN-APND", "TH_SP15_GEN-APND", "TH_ZP26_GEN-APND"),  # trading hubs
    *("DLAP_PGAE-APND", "DLAP_SCE-APND", "DLAP_SDGE-APND", "DLAP_VEA-APND"),  # default load aggregation points
)
EVERY_NODE = "ALL"
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.&#-]*")
_START = "INTERVALSTARTTIME_GMT"
_MARKET = "MARKET_RUN_ID"
_MICROSECONDS_AN_HOUR = 3_600_000_000


@dataclass(frozen=True)
class Market:
    """A market run of a report, and how many hours past the present it publishes."""

    id: str
    lead_hours: int = 0


@dataclass(frozen=True, kw_only=True)
class CaisoDataset(Dataset):
    """A report of OASIS."""

    report: str = ""  # queryname
    version: int = 1
    markets: tuple[Market, ...] = ()
    columns: tuple[str, ...] = ()  # the CSV's name of each key
    value_columns: tuple[str, ...] = ("MW",)  # names that the value goes by; the first that is there counts
    max_rows: int = 0  # an interval of one slice can have
    max_rows_all_slices: int = 0  # and of all slices together; 0: they cannot be had at once

    @property
    def origin(self) -> str:
        market = f", market {self.markets[0].id}" if len(self.markets) == 1 else ""
        return f"report {self.report}{market}"

    def fields_of(self, column: str) -> tuple[str, ...]:
        if column in self.values:
            return self.value_columns
        names = {self.time_column: _START, **dict(zip(self.keys, self.columns, strict=True))}
        return (names[column],) if column in names else super().fields_of(column)

    @property
    def intervals(self) -> int:
        """How many intervals an hour has."""
        return 60 // self.interval_minutes


# The operating day that follows is published in the morning (load) or at one o'clock (prices), Pacific time: it ends
# up to 38 hours later.
_DAM = Market("DAM", 38)
_RTM = Market("RTM")
_TIME = {"source": "caiso", "region": "CISO", "time_column": "interval_start", "stamp_offset_hours": 0}
# Unpacked, a month of a report is 16 MB at most, but for two: a day of all nodes is 2.4 million rows, and a month of
# real-time schedules 1.4 million.
_LIMITS = AnswerLimits(received_bytes=64 * 2**20, unpacked_bytes=64 * 2**20, rows=500_000, pages=1)
_LARGE = replace(_LIMITS, unpacked_bytes=512 * 2**20, rows=5_000_000)
_KEPT: dict[str, Any] = {"limits": _LIMITS, **_TIME, "retention_hours": 39 * 730, "retention_is_approximate": True}
_PRICE: dict[str, Any] = {
    "keys": ("node", "component"),
    "slice_key": "node",
    "columns": ("NODE", "LMP_TYPE"),
    "value_columns": ("MW", "VALUE", "PRC"),
    "settling_hours": 360,
    "max_rows": 5,  # LMP, MCE, MCC, MCL and, since 2021 or so, MGHG
}
_SCHEDULE: dict[str, Any] = {
    "keys": ("zone", "schedule", "slrs_type", "market"),
    "slice_key": "market",
    "columns": ("TAC_ZONE_NAME", "SCHEDULE", "SLRS_TYPE", _MARKET),
    "report": "ENE_SLRS",
    "max_rows": 160,
}

_DAY_AHEAD_LAG = (
    PublicationLag(
        -11,
        "Day-ahead market results: published at 13:00 Pacific of the day before, 12 h before the end of their first "
        "hour; one to spare.",
    ),
)
_REAL_TIME_LAG = (PublicationLag(2, "Not documented; an hour after the operating hour, and one to spare."),)

DATASETS = (
    CaisoDataset(
        **_KEPT,
        table="load",
        keys=("tac_area", "market"),
        slice_key="market",
        columns=("TAC_AREA_NAME", _MARKET),
        report="SLD_FCST",
        markets=(Market("ACTUAL"), _DAM, Market("2DA", 62), Market("7DA", 206)),
        region_total="CA ISO-TAC",
        measure_key="market",
        publication_lags=(
            *_REAL_TIME_LAG,
            PublicationLag(
                -15,
                "OASIS: published at 9:10 Pacific of the day before, 15 h 50 min before the end of its first hour "
                "(gridstatus issue 291).",
                "DAM",
            ),
            PublicationLag(-39, "A day before the day-ahead forecast of the same day.", "2DA"),
            PublicationLag(-159, "Six days before the day-ahead forecast of the same day.", "7DA"),
        ),
        max_rows=60,
    ),
    CaisoDataset(
        **_KEPT,
        table="renewable",
        keys=("hub", "fuel", "market"),
        slice_key="market",
        columns=("TRADING_HUB", "RENEWABLE_TYPE", _MARKET),
        report="SLD_REN_FCST",
        markets=(Market("ACTUAL"), _DAM),
        measure_key="market",
        publication_lags=(
            PublicationLag(26, "Not documented; a day after the operating hour, and two hours to spare."),
            PublicationLag(
                -17,
                "OASIS: published at 7:00 Pacific of the day before, 18 h before the end of its first hour (gridstatus "
                "pull request 376); one to spare.",
                "DAM",
            ),
        ),
        max_rows=12,
    ),
    CaisoDataset(
        **{**_KEPT, "limits": _LARGE},
        **_PRICE,
        table="price_dam",
        report="PRC_LMP",
        version=12,
        markets=(_DAM,),
        publication_lags=_DAY_AHEAD_LAG,
        max_rows_all_slices=100_000,
    ),
    CaisoDataset(
        **_KEPT,
        **_PRICE,
        table="price_rtm",
        report="PRC_INTVL_LMP",
        version=3,
        markets=(_RTM,),
        publication_lags=_REAL_TIME_LAG,
        interval_minutes=5,
    ),
    CaisoDataset(**_KEPT, **_SCHEDULE, table="schedule_dam", markets=(_DAM,), publication_lags=_DAY_AHEAD_LAG),
    CaisoDataset(
        **{**_KEPT, "limits": _LARGE},
        **_SCHEDULE,
        table="schedule_rtm",
        markets=(_RTM,),
        publication_lags=_REAL_TIME_LAG,
        interval_minutes=5,
    ),
)

# Error codes, from CAISO's interface specification for OASIS; all others are mistakes in what was asked.
NO_DATA = 1000
NOT_READY = frozenset({1014, 1015})
PASSING = frozenset({1003, 1006, 1007, 1008, 1009, 1010, 1012, 1013})  # timed out, out of memory, system error …
_ERROR_BYTES = 2**16  # of a file, in which its error is looked for
_COMPONENT_FILE = re.compile(r".*_(?:LMP|MC[ECL]|MGHG)_v\d+\.csv")  # of all nodes, a file a component
_COMPONENTS = 5


IRREGULARITIES = (
    Irregularity(
        "Errors come as HTTP 200 with a zip that holds an XML; no data (code 1000) and throttled (HTTP 429, a page of "
        "HTML) are two things.",
        "recorded",
    ),
    Irregularity(
        "Operating days are Pacific, of 23 or 25 hours when the clock changes; OPR_HR 25 is the repeated hour. Rows "
        "are not sorted.",
        "recorded; pyiso #43",
    ),
    Irregularity(
        "The price of PRC_LMP is in a column named MW; elsewhere it is PRC or VALUE. Five components interleave.",
        "recorded; gridstatus",
    ),
    Irregularity(
        "In SLD_FCST 'CA ISO-TAC' is CAISO's total; the other areas overlap it or belong to other authorities. PGE is "
        "Portland General Electric, PGE-TAC Pacific Gas & Electric.",
        "recorded",
    ),
    Irregularity("In ENE_SLRS 'Caiso_Totals' is a sum of zones, and the report is no fuel mix.", "recorded"),
    Irregularity(
        "About 39 months are kept: what is not saved is gone. Prices are corrected for up to two weeks.",
        "gridstatus #809",
    ),
)


class CaisoSettings(Section):
    url: Annotated[str, "Base address of CAISO's OASIS API."] = "https://oasis.caiso.com/oasisapi"
    requests_per_second: RequestsPerSecond = 0.2
    nodes: Annotated[
        str, "Price nodes, by commas; ALL: every node of the day-ahead market, and these of the real-time market."
    ] = ",".join(DEFAULT_NODES)


class Caiso(Source):
    """CAISO OASIS. A chunk is one GET: a report and market, or node, over up to 30 operating days."""

    name = "caiso"
    title = "CAISO OASIS"
    homepage = "https://oasis.caiso.com/"
    licence = "public market data of the California ISO, under its terms of use"
    irregularities = IRREGULARITIES
    datasets = DATASETS
    max_jobs = 4  # more than that the pace does not need, and answers may be large
    section = CaisoSettings

    def check_ready(self, settings: Settings) -> None:
        super().check_ready(settings)
        nodes(settings)

    def default_slices(
        self, dataset: Dataset, settings: Settings, *, aggregates: bool, present_hour: int
    ) -> Sequence[str]:
        assert isinstance(dataset, CaisoDataset)
        if dataset.slice_key == "market":
            return [market.id for market in dataset.markets]
        chosen = nodes(settings)
        if chosen != (EVERY_NODE,):
            return chosen
        return (ALL_SLICES,) if dataset.max_rows_all_slices else DEFAULT_NODES

    def slices_of(self, dataset: Dataset, settings: Settings, region: str, *, present_hour: int) -> Sequence[str]:
        return (
            self.default_slices(dataset, settings, aggregates=False, present_hour=present_hour)
            if region == "CISO"
            else ()
        )

    def rows_per_hour(self, dataset: Dataset, slice_: str) -> int:
        assert isinstance(dataset, CaisoDataset)
        return dataset.intervals * (dataset.max_rows_all_slices if slice_ == ALL_SLICES else dataset.max_rows)

    def lead_hours(self, dataset: Dataset, slice_: str) -> int:
        return _market(dataset, slice_).lead_hours

    def cell(self, dataset: Dataset, slice_: str, hour: int) -> tuple[int, int]:
        days = 1 if slice_ == ALL_SLICES else CELL_DAYS
        day = operating_day(hour)
        day -= day % days
        return first_hour_of(day), first_hour_of(day + days) - 1

    def next_request(
        self, chunk: Chunk, pages: Sequence[Page], settings: Settings, *, present_hour: int
    ) -> Request | None:
        if pages:
            return None
        dataset = self.dataset(chunk.dataset)
        assert isinstance(dataset, CaisoDataset)
        first, end = _hours_asked(chunk)
        params = [
            ("queryname", dataset.report),
            ("market_run_id", _market(dataset, chunk.slice).id),
            ("resultformat", "6"),  # CSV
            ("version", str(dataset.version)),
            ("startdatetime", f"{hour_time(first):%Y%m%dT%H:%M}-0000"),
            ("enddatetime", f"{hour_time(end):%Y%m%dT%H:%M}-0000"),
        ]
        if chunk.slice == ALL_SLICES:
            params.append(("grp_type", EVERY_NODE))
        elif dataset.slice_key == "node":
            params.append(("node", chunk.slice))
        return Request(f"{str(settings.get('caiso.url')).rstrip('/')}/SingleZip", tuple(params))

    def read(self, chunk: Chunk, response: Response) -> Page:
        import pyarrow as pa

        dataset = self.dataset(chunk.dataset)
        assert isinstance(dataset, CaisoDataset)
        if response.status != 200:
            raise _failure(response)
        try:
            files = self._files(dataset, chunk, response)
            if files is None:
                return Page(_schema(dataset).empty_table(), None)
            table = pa.concat_tables([_read_csv(dataset, file) for file in files])
            return _rows(dataset, chunk, table)
        except PayloadError as error:
            raise PayloadError(f"{error}: from {response.request}") from None

    def _files(self, dataset: CaisoDataset, chunk: Chunk, response: Response) -> list[ZipMember] | None:
        """Return the CSV files of an answer, or None where OASIS says that it has no data."""
        if not response.body.startswith(b"PK"):
            if b"Acceptable Use Policy" in response.body[:4096]:
                raise _slow_down(response)
            if _error_code(response.body) is not None:
                _raise_unless_empty(response.body, response)
                return None
            raise PayloadError(f"no zip came; it begins: {response.opening()}")
        every = chunk.slice == ALL_SLICES
        files = read_zip(response.body, max_files=_COMPONENTS if every else 1, max_bytes=dataset.limits.unpacked_bytes)
        if len(files) > 1 and not all(_COMPONENT_FILE.fullmatch(file.name[:300]) for file in files):
            raise PayloadError(f"a zip of {len(files)} files ({', '.join(file.name[:80] for file in files)})")
        for file in files:
            if file.content.lstrip()[:1] == b"<":
                if _error_code(file.content) is not None:
                    _raise_unless_empty(file.content, response)
                    return None
                raise PayloadError(f"{file.name[:80]} is not CSV; it begins: {_opening(file.content)}")
        return files


def nodes(settings: Settings) -> tuple[str, ...]:
    """Return the price nodes as set; (`EVERY_NODE`,) for all.

    Raises:
        SettingsError: there is none, or one that cannot be a node.
    """
    named = [node.strip() for node in str(settings.get("caiso.nodes")).split(",") if node.strip()]
    chosen = tuple(dict.fromkeys(EVERY_NODE if node.upper() == EVERY_NODE else node for node in named))
    wrong = [node for node in chosen if not _NODE.fullmatch(node)]
    if not chosen or wrong or (EVERY_NODE in chosen and len(chosen) > 1):
        origin = settings.items["caiso.nodes"].origin
        raise SettingsError(
            f"setting 'caiso.nodes' (from {origin}) must be names of nodes by commas, such as {DEFAULT_NODES[0]}, "
            f"or {EVERY_NODE} alone, not {wrong[0] if wrong else settings.get('caiso.nodes')!r}"
        )
    return chosen


PACIFIC = ZoneInfo("America/Los_Angeles")


@lru_cache(maxsize=100_000)
def operating_day(hour: int) -> int:
    """Return the Pacific day, as `date.toordinal` counts, in which an hour (number, UTC) begins."""
    return hour_time(hour).replace(tzinfo=UTC).astimezone(PACIFIC).toordinal()


@lru_cache(maxsize=10_000)
def first_hour_of(day: int) -> int:
    """Return the hour (number, UTC) in which a Pacific day begins."""
    midnight = datetime.combine(date.fromordinal(day), time(), PACIFIC)
    return hour_number(midnight.astimezone(UTC).replace(tzinfo=None))


def _hours_asked(chunk: Chunk) -> tuple[int, int]:
    """Return the hours of the operating days that a chunk touches, the end exclusive."""
    return first_hour_of(operating_day(chunk.first)), first_hour_of(operating_day(chunk.last) + 1)


def _market(dataset: Dataset, slice_: str) -> Market:
    """Return the market that a slice is of; where slices are nodes, the only one."""
    assert isinstance(dataset, CaisoDataset)
    if dataset.slice_key != "market":
        return dataset.markets[0]
    return next(market for market in dataset.markets if market.id == slice_)


def _read_csv(dataset: CaisoDataset, file: ZipMember) -> pa.Table:
    """Return the columns that are kept, by the CSV's own names, the value as `value`."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    line = file.content[: file.content.find(b"\n") + 1][:65536]
    # The case of a header and white space about it say nothing.
    header = [name.strip().upper() for name in next(csv.reader([line.decode("utf-8-sig", "replace")]), [])]
    value = next((name for name in dataset.value_columns if name in header), dataset.value_columns[0])
    needed = list(dict.fromkeys((_START, _MARKET, *dataset.columns, value)))
    missing = [name for name in needed if header.count(name) != 1]
    if missing:
        raise PayloadError(
            f"{file.name[:80]} lacks the column {missing[0]}; it begins: {_opening(file.content)}"
            if missing[0] not in header
            else f"{file.name[:80]} has the column {missing[0]} more than once"
        )
    label = pa.dictionary(pa.int32(), pa.string())
    convert = arrow_csv.ConvertOptions(
        include_columns=needed,
        column_types={name: pa.string() if name == value else label for name in needed},
        null_values=[""],
        strings_can_be_null=True,
    )
    read = arrow_csv.ReadOptions(column_names=_distinct(header), skip_rows=1)
    try:
        table = arrow_csv.read_csv(pa.BufferReader(file.content), read_options=read, convert_options=convert)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise PayloadError(f"{file.name[:80]} is not whole CSV ({str(error)[:200]})") from None
    return table.rename_columns(["value" if name == value else name for name in needed])


def _distinct(header: list[str]) -> list[str]:
    """Return the names with those made different that are empty or come twice; they are not read."""
    return [name if name and header.count(name) == 1 else f"{name} {place}" for place, name in enumerate(header)]


def _numbers(texts: pa.ChunkedArray) -> tuple[pa.Array, int]:
    """Return the values as doubles, NULL where there is none, and how many could not be read."""
    import pyarrow as pa

    from energywh.sources.arrow.columns import finite_array

    try:
        return finite_array(texts.cast(pa.float64()).combine_chunks())
    except pa.ArrowInvalid:
        pairs = [read_number(text) for text in texts.to_pylist()]
        return pa.array([number for number, _ in pairs], pa.float64()), sum(not good for _, good in pairs)


def _rows(dataset: CaisoDataset, chunk: Chunk, table: pa.Table) -> Page:
    """Return the rows of a chunk in the dataset's columns.

    Raises:
        PayloadError: rows that lack a key, or are none of those asked for.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from energywh.sources.arrow.columns import drop_duplicates

    if not len(table):
        return Page(_schema(dataset).empty_table(), None)
    values, unreadable = _numbers(table["value"])
    warnings = [PayloadWarning("unreadable_values", "value", unreadable)] if unreadable else []
    table = table.set_column(table.column_names.index("value"), "value", values)
    table = table.unify_dictionaries().combine_chunks()
    columns: dict[str, Any] = {name: table.column(name).chunk(0) for name in table.column_names}
    for name, column in columns.items():
        if name != "value" and column.null_count:
            raise PayloadError(f"a row without {name} came")
    stamps = _microseconds(columns[_START].dictionary, dataset.interval_minutes)
    times = stamps[columns[_START].indices.to_numpy()]
    first, end = (hour * _MICROSECONDS_AN_HOUR for hour in _hours_asked(chunk))
    kept = (times >= first) & (times < end)
    if not kept.any():
        raise PayloadError("rows came, and none of the days asked for")
    kept &= (times >= chunk.first * _MICROSECONDS_AN_HOUR) & (times < (chunk.last + 1) * _MICROSECONDS_AN_HOUR)
    wanted = {_MARKET: _market(dataset, chunk.slice).id}
    if dataset.slice_key == "node" and chunk.slice != ALL_SLICES:
        wanted[dataset.columns[0]] = chunk.slice
    for name, label in wanted.items():
        code = pc.index(columns[name].dictionary, label).as_py()
        if code < 0:
            raise PayloadError(f"rows came, and none with {name} {label}, which was asked for")
        if len(columns[name].dictionary) > 1:
            kept &= columns[name].indices.to_numpy() == code
    places = np.flatnonzero(kept)
    times = times[places]
    keys = []
    numbers, size = times // (dataset.interval_minutes * 60_000_000), 0
    if len(places):
        numbers -= numbers.min()
        size = int(numbers.max()) + 1
    for name in dataset.columns:
        codes = columns[name].indices.to_numpy()[places]
        keys.append(pa.DictionaryArray.from_arrays(pa.array(codes), columns[name].dictionary))
        numbers = numbers * len(columns[name].dictionary) + codes
        size *= len(columns[name].dictionary)
    values = columns["value"].take(pa.array(places))
    rows = pa.table([pa.array(times).view(pa.timestamp("us")), *keys, values], schema=_schema(dataset))
    if _repeats(numbers, size):
        rows, more = drop_duplicates(rows, [*dataset.keys, dataset.time_column])
        warnings += more
    return Page(rows, None, warnings=tuple(warnings))


def _microseconds(stamps: pa.Array, interval_minutes: int) -> Any:
    """Return stamps such as ``2024-11-03T08:05:00-00:00`` as microseconds since 1970, int64."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        moments = pc.cast(stamps, pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid:
        parsed = [parse_stamp(text) for text in stamps.to_pylist()]
        if None in parsed:
            raise PayloadError(f"{_START} is not a time ({stamps[parsed.index(None)]})") from None
        moments = pa.array(parsed, pa.timestamp("us"))
    found = moments.cast(pa.int64()).to_numpy()
    uneven = found % (interval_minutes * 60_000_000) != 0
    if uneven.any():
        raise PayloadError(f"{stamps[int(uneven.argmax())]} begins no interval of {interval_minutes} minutes")
    return found


def _repeats(numbers: Any, size: int) -> bool:
    """Return whether any number occurs twice; all are below ``size``."""
    import numpy as np

    if size > 16 * len(numbers) + 1_000_000:
        return len(np.unique(numbers)) != len(numbers)
    seen = np.zeros(size, np.bool_)
    seen[numbers] = True
    return int(np.count_nonzero(seen)) != len(numbers)


@cache
def _schema(dataset: CaisoDataset) -> pa.Schema:
    import pyarrow as pa

    label = pa.dictionary(pa.int32(), pa.string())
    keys = [pa.field(key, label) for key in dataset.keys]
    return pa.schema([pa.field(dataset.time_column, pa.timestamp("us")), *keys, pa.field("value", pa.float64())])


def _opening(content: bytes) -> str:
    return Response("", 200, content).opening()


def _element(xml: bytes, name: bytes) -> bytes | None:
    """Return the text of the first element of a name, whatever its prefix. A scan: no text makes it slow."""
    place = -1
    while (place := xml.find(name + b">", place + 1, _ERROR_BYTES)) >= 0:
        start = xml.rfind(b"<", max(0, place - 64), place) + 1
        prefix = xml[start:place]
        end = xml.find(b"</", place, _ERROR_BYTES)
        if start and end >= 0 and (not prefix or (prefix.endswith(b":") and prefix[:-1].isalnum())):
            return xml[place + len(name) + 1 : end].strip()
    return None


def _error_code(xml: bytes) -> int | None:
    """Return the code of an error of OASIS; None where the text holds none."""
    code = _element(xml, b"ERR_CODE") or b""
    return int(code) if code.isdigit() and len(code) <= 9 else None


def _raise_unless_empty(xml: bytes, response: Response) -> None:
    """Raise what an error stands for; return where it says that there is no data."""
    code, text = _error_code(xml), _element(xml, b"ERR_DESC")
    if code == NO_DATA:
        return
    said = printable(text[:2000].decode("utf-8", "replace")) if text else "(no description)"
    what = f"error {code}: {said} [{response.request}]"
    if code in NOT_READY:
        raise NotReadyError(f"CAISO does not have it yet. {what}")
    if code in PASSING:
        raise UnavailableError(f"CAISO failed. {what}", PACE_SECONDS)
    raise RefusedError(f"CAISO refuses the request. {what}")


def _slow_down(response: Response) -> UnavailableError:
    return UnavailableError(
        f"CAISO asks to slow down (one request each {PACE_SECONDS:.0f} s, see caiso.requests_per_second). "
        f"HTTP {response.status}, begins: {response.opening()} [{response.request}]",
        max(PACE_SECONDS, response.retry_after_seconds or 0.0),
    )


def _failure(response: Response) -> Exception:
    """Return the error that an answer of another status than 200 stands for."""
    what = f"HTTP {response.status}, begins: {response.opening()} [{response.request}]"
    if response.status == 429:
        return _slow_down(response)
    if response.status >= 500:
        return UnavailableError(f"CAISO failed. {what}", response.retry_after_seconds)
    if 300 <= response.status < 400:
        return RefusedError(f"CAISO sends elsewhere; is caiso.url right, and https? {what}")
    return RefusedError(f"CAISO refuses the request. {what}")


SOURCE = Caiso()
