"""EIA's half-year files over the simulated grid: the data of the API as one CSV file per half-year.

Headers, separators, local times and errors follow the recorded excerpts and EIA's files of 2024 and 2025. A file is
written with NumPy and Arrow, column by column, and cached: one of real size takes a second or two.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from email.utils import format_datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from energywh.simulate.api import Headers, Reply, SimulatedApi, World
from energywh.simulate.backend import SimulatedBackend
from energywh.simulate.eia_routes import ROUTES
from energywh.simulate.grid import NEW_FUELS_FROM, Mask
from energywh.simulate.hours import EPOCH, local_hours, parse_period
from energywh.simulate.noise import Floats, Hours
from energywh.simulate.reporting import Reporting

_NAME = re.compile(r"EIA930_(BALANCE|INTERCHANGE|SUBREGION)_(\d{4}_(?:Jan_Jun|Jul_Dec))\.csv")
FIRST_HALF = {"BALANCE": "2015_Jul_Dec", "INTERCHANGE": "2015_Jul_Dec", "SUBREGION": "2018_Jul_Dec"}
FIRST_PERIOD = parse_period("2015-07-01T05")
FUELS_FROM = parse_period("2018-07-01T05")
NEW_FAMILY_FROM = "2024_Jul_Dec"
# Files with the columns of both families: the first covers the change of codes, in the second the old ones are empty.
BOTH_FAMILIES = ("2024_Jan_Jun", "2025_Jul_Dec")
_KEPT_FILES = 6

_COMMON = (
    ("COL", "Coal"),
    ("NG", "Natural Gas"),
    ("NUC", "Nuclear"),
    ("OIL", "All Petroleum Products"),
)
_OLD = (("WAT", "Hydropower and Pumped Storage"), ("SUN", "Solar"), ("WND", "Wind"))
_NEW = (
    ("WAT", "Hydropower Excluding Pumped Storage"),
    ("PS", "Pumped Storage"),
    ("SUN", "Solar without Integrated Battery Storage"),
    ("SNB", "Solar with Integrated Battery Storage"),
    ("WND", "Wind without Integrated Battery Storage"),
    ("WNB", "Wind with Integrated Battery Storage"),
    ("BAT", "Battery Storage"),
    ("OES", "Other Energy Storage"),
    ("UES", "Unknown Energy Storage"),
    ("GEO", "Geothermal"),
)
_REST = (("OTH", "Other Fuel Sources"), ("UNK", "Unknown Fuel Sources"))
_HEADER_ERRORS = {
    "Net Generation (MW) from Pumped Storage (Adjusted)": "Net Generation (MW) from Pumped Storage  (Adjusted)",
    "Net Generation (MW) from Solar with Integrated Battery Storage (Adjusted)": (
        "Net Generation (MW) from Solar witho Integrated Battery Storage (Adjusted)"
    ),
}
_TYPES = (
    ("DF", "Demand Forecast (MW)"),
    ("D", "Demand (MW)"),
    ("NG", "Net Generation (MW)"),
    ("TI", "Total Interchange (MW)"),
)


@dataclass(frozen=True)
class _Hours:
    """The hours of one half-year on the clock of one region: indices into the hours of the file, and texts."""

    at: NDArray[np.intp]
    date: pa.Array
    number: pa.Array
    local: pa.Array
    utc: pa.Array


@dataclass(frozen=True)
class _File:
    body: bytes
    rows: int
    etag: str
    modified: str


class EiaFilesApi(SimulatedApi):
    """The folder of half-year files. A half-year in the future, or before EIA's first, gives 404."""

    source = "eia_files"
    prefix = "/sixMonthFiles"

    def __init__(self, world: World) -> None:
        reporting = world.reporting
        if reporting.first_period == Reporting().first_period:  # the files go further back than the API
            reporting = replace(reporting, first_period=FIRST_PERIOD)
        self._world, self._reporting = world, reporting
        self._backend = SimulatedBackend(world.grid, world.now, reporting)
        self._kept: OrderedDict[tuple[str, str, int], _File] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, target: str, headers: Headers) -> Reply:
        match = _NAME.fullmatch(target.partition("?")[0].removeprefix(self.prefix + "/"))
        now = self._world.now()
        if match is None or match[2] < FIRST_HALF[match[1]] or _bounds(match[2])[0] >= now:
            return Reply(404, b"<html><body><h1>404 - Page not found</h1></body></html>", content_type="text/html")
        file = self.file(match[1], match[2])
        known = {"ETag": file.etag, "Last-Modified": file.modified, "Accept-Ranges": "bytes"}
        if file.etag in (headers.get("If-None-Match") or ""):
            return Reply(304, b"", content_type="text/csv", headers=known)
        start = re.fullmatch(r"bytes=(\d+)-", headers.get("Range") or "")
        if start and (headers.get("If-Range") or file.etag) == file.etag and int(start[1]) < len(file.body):
            size = len(file.body)
            known["Content-Range"] = f"bytes {start[1]}-{size - 1}/{size}"
            return Reply(206, file.body[int(start[1]) :], 0, "text/csv", known)
        return Reply(200, file.body, file.rows, "text/csv", known)

    def file(self, kind: str, half: str) -> _File:
        """Return a file as published at the clock's time."""
        # Some time after its end a half-year no longer changes.
        settled = _bounds(half)[1] + 48 + self._reporting.settle_hours + self._reporting.interchange_lag_hours
        now = min(self._world.now(), settled)
        with self._lock:  # concurrent requests for the same file wait for one computation
            kept = self._kept.get((kind, half, now))
            if kept is None:
                header, rows = {"BALANCE": self._balance, "INTERCHANGE": self._pairs, "SUBREGION": self._pairs}[kind](
                    kind, half, now
                )
                body = ",".join(header).encode() + b"\n" + _joined(rows)
                changed = EPOCH + timedelta(hours=now)
                etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
                stamp = format_datetime(changed).replace("-0000", "GMT")
                kept = self._kept[kind, half, now] = _File(body, len(rows[0]), etag, stamp)
            self._kept.move_to_end((kind, half, now))
            while len(self._kept) > _KEPT_FILES:
                self._kept.popitem(last=False)
            return kept

    def _balance(self, kind: str, half: str, now: int) -> tuple[list[str], list[pa.Array]]:
        codes = self._world.grid.atlas.authorities
        periods = _periods(half, now, max(0, self._reporting.forecast_hours))
        types = self._series("region-data", periods, now)
        fuels = self._series("fuel-type-data", periods, now)
        old = half < NEW_FAMILY_FROM
        none = (np.full(len(periods), np.nan), np.zeros(len(periods), dtype=bool))
        families = [*_COMMON, *_OLD, *_NEW, *_REST]
        if half not in BOTH_FAMILIES:
            families = [one for one in families if one not in (_NEW if old else _OLD)]
        always, split = np.ones(len(periods), dtype=bool), periods >= NEW_FUELS_FROM
        speaks = [split if one in _NEW else ~split if one in _OLD else always for one in families]
        speaks = [mask & (periods >= FUELS_FROM) for mask in speaks]

        columns: dict[str, list[Floats]] = {}
        texts: list[_Hours] = []
        regions: list[str] = []
        for code in codes:
            reported = [types.get((code, name), none) for name, _ in _TYPES]
            made = [fuels.get((code, fuel), none) for fuel, _ in families]
            made = [(values, shown & mask) for (values, shown), mask in zip(made, speaks, strict=True)]
            some = np.logical_or.reduce([shown for _, shown in reported + made])
            hours = self._hours(code, half, periods, some)
            if not len(hours.at):
                continue
            texts.append(hours)
            regions.append(code)
            numbers: dict[str, Floats] = {}
            for (name, label), series in zip(_TYPES, reported, strict=True):
                numbers[label] = _shown(series, hours.at)
                if name == "TI":
                    numbers["Sum(Valid DIBAs) (MW)"] = numbers[label]
            for suffix, choose in (("Imputed", _imputed), ("Adjusted", _adjusted)):
                for (name, label), series in zip(_TYPES, reported, strict=True):
                    if name != "DF":
                        numbers[f"{label} ({suffix})"] = choose(_shown(series, hours.at), always[hours.at])
            for suffix, choose in (("", _same), (" (Imputed)", _imputed), (" (Adjusted)", _adjusted)):
                for (fuel, label), series, mask in zip(families, made, speaks, strict=True):
                    if suffix and fuel == "UNK" and old:
                        continue
                    header = f"Net Generation (MW) from {label}{suffix}"
                    numbers[header] = choose(_shown(series, hours.at), mask[hours.at])
            for header, values in numbers.items():
                columns.setdefault(header, []).append(values)
        head, front, back = self._frame(texts, regions)
        named = [f'"{_HEADER_ERRORS.get(header, header)}"' for header in columns]
        cells = [_numbers(np.concatenate(parts)) for parts in columns.values()]
        return [*head, *named, '"Region"'], [*front, *cells, back]

    def _frame(self, texts: Sequence[_Hours], regions: Sequence[str]) -> tuple[list[str], list[pa.Array], pa.Array]:
        """Return the columns of region, hour and region group."""
        sizes = [len(hours.at) for hours in texts]
        groups = [self._world.grid.atlas.regions[code].group for code in regions]
        header = ["Balancing Authority", "Data Date", "Hour Number"]
        header += ["Local Time at End of Hour", "UTC Time at End of Hour"]
        front = [_repeated(regions, sizes)]
        front += [
            pa.concat_arrays([getattr(hours, name) for hours in texts]) if texts else pa.array([], pa.string())
            for name in ("date", "number", "local", "utc")
        ]
        return [f'"{name}"' for name in header], front, _repeated(groups, sizes)

    def _pairs(self, kind: str, half: str, now: int) -> tuple[list[str], list[pa.Array]]:
        """Return the columns of a file with one value per row: interchange or subregions."""
        periods = _periods(half, now, 0)
        route = "interchange-data" if kind == "INTERCHANGE" else "region-sub-ba-data"
        series = self._series(route, periods, now)
        texts, regions, others, values = [], [], [], []
        for (code, other), one in series.items():
            hours = self._hours(code, half, periods, one[1])
            if len(hours.at):
                texts.append(hours)
                regions.append(code)
                others.append(other)
                values.append(one[0][hours.at])
        _, (who, date, number, local, utc), group = self._frame(texts, regions)
        sizes = [len(hours.at) for hours in texts]
        what = _numbers(np.concatenate(values)) if values else pa.array([], pa.string())
        partner = _repeated(others, sizes)
        start = ["Balancing Authority", "Data Date", "Hour Number"]
        times = ["Local Time at End of Hour", "UTC Time at End of Hour"]
        if kind == "SUBREGION":
            return [*start, "Sub-Region", "Demand (MW)", *times], [who, date, number, partner, what, local, utc]
        atlas = self._world.grid.atlas
        groups = _repeated([atlas.regions[code].group for code in others], sizes)
        header = [*start, "Directly Interconnected Balancing Authority", "Interchange (MW)", *times]
        return (
            [f'"{name}"' for name in (*header, "Region", "DIBA_Region")],
            [who, date, number, partner, what, local, utc, group, groups],
        )

    def _series(self, route: str, periods: Hours, now: int) -> dict[tuple[str, str], tuple[Floats, Mask]]:
        """Return the public values of each (region, code), and which rows exist."""
        block = self._backend._block(route, _wanted(route, self._world.grid.atlas.authorities), periods, now)
        place = ROUTES[route].region_facet
        return {
            (codes[place], codes[1 - place]): (block.values[i], block.shown[i]) for i, codes in enumerate(block.codes)
        }

    def _hours(self, code: str, half: str, periods: Hours, some: Mask) -> _Hours:
        """Return the hours of a half-year, by local date, that have a row."""
        zone = self._world.grid.atlas.regions[code].time_zone
        dates = local_hours(zone, periods - 1) // 24
        days, first = np.unique(dates, return_index=True)
        number = np.arange(len(periods)) - first[np.searchsorted(days, dates)] + 1
        start, end = (hour // 24 for hour in _bounds(half))
        at = np.flatnonzero(some & (dates >= start) & (dates < end))
        return _Hours(
            at,
            _texts(dates[at] * 24, "%m/%d/%Y"),
            pa.array(number[at]).cast(pa.string()),
            _texts(local_hours(zone, periods[at]), None),
            _texts(periods[at], None),
        )


def _wanted(route: str, codes: Sequence[str]) -> tuple[Sequence[str] | None, Sequence[str] | None]:
    return (None, codes) if ROUTES[route].region_facet == 1 else (codes, None)


def _bounds(half: str) -> tuple[int, int]:
    """Return the numbers of the first hour of a half-year and of the hour after its last, by the local clock."""
    year = int(half[:4])
    if half.endswith("Jan_Jun"):
        return parse_period(f"{year}-01-01"), parse_period(f"{year}-07-01")
    return parse_period(f"{year}-07-01"), parse_period(f"{year + 1}-01-01")


def _periods(half: str, now: int, ahead: int) -> Hours:
    """Return the hours, by their end, that a file can contain in any time zone of the country."""
    start, end = _bounds(half)
    return np.arange(start - 24, min(end + 24, now + ahead) + 1, dtype=np.int64)


def _shown(series: tuple[Floats, Mask], at: NDArray[np.intp]) -> Floats:
    values, shown = series
    return np.where(shown[at], values[at], np.nan)


def _same(values: Floats, speaks: Mask) -> Floats:
    return values


def _imputed(values: Floats, speaks: Mask) -> Floats:
    """Return the imputed values for the missing values of a series: the median of the others."""
    missing = np.isnan(values)
    if missing.all() or not missing.any():
        return np.full_like(values, np.nan)
    return np.where(missing & speaks, np.rint(np.median(values[~missing])), np.nan)


def _adjusted(values: Floats, speaks: Mask) -> Floats:
    return np.where(np.isnan(values), _imputed(values, speaks), values)


def _texts(hours: Hours, form: str | None) -> pa.Array:
    """Return hour numbers as text in the format ``form``, by default as `07/01/2020 1:00:00 AM`."""
    distinct, which = np.unique(hours, return_inverse=True)
    moments = [EPOCH + timedelta(hours=int(hour)) for hour in distinct]
    if form is not None:
        texts = [moment.strftime(form) for moment in moments]
    else:
        texts = [
            f"{moment:%m/%d/%Y} {moment.hour % 12 or 12}:00:00 {'PM' if moment.hour >= 12 else 'AM'}"
            for moment in moments
        ]
    return pa.array(texts, pa.string()).take(pa.array(which))


def _numbers(values: Floats) -> pa.Array:
    """Return values as EIA writes them: integers without decimals, quoted if with thousands separators, NaN empty."""
    distinct, which = np.unique(values, return_inverse=True)
    texts = []
    for value in distinct.tolist():
        text = "" if np.isnan(value) else f"{int(value):,}" if value == int(value) else f"{value:,}"
        texts.append(f'"{text}"' if "," in text else text)
    return pa.array(texts, pa.string()).take(pa.array(which))


def _repeated(texts: Sequence[str], sizes: Sequence[int]) -> pa.Array:
    return pa.array(texts, pa.string()).take(pa.array(np.repeat(np.arange(len(texts)), sizes)))


def _joined(columns: Sequence[pa.Array]) -> bytes:
    """Return the columns as lines of CSV."""
    if not len(columns[0]):
        return b""
    wide = [column.cast(pa.large_string()) for column in columns]
    end, comma, nothing = (pa.scalar(text, pa.large_string()) for text in ("\n", ",", ""))
    rows = pc.binary_join_element_wise(*wide[:-1], pc.binary_join_element_wise(wide[-1], end, nothing), comma)
    offsets = np.frombuffer(rows.buffers()[1], dtype=np.int64)
    return rows.buffers()[2].to_pybytes()[offsets[rows.offset] : offsets[rows.offset + len(rows)]]  # type: ignore[no-any-return]


def api(world: World) -> EiaFilesApi:
    """Return EIA's half-year files over the simulated grid."""
    return EiaFilesApi(world)
