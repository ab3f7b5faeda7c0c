"""Writes and serves EIA's half-year files for tests, from values or from recorded tables."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from energywh.regions import regions
from tests.sql.recorded_tables import NAMES
from tests.support.scripted import Answer

HOUR = timedelta(hours=1)
FUEL_HEADERS = {
    "COL": "Coal",
    "NG": "Natural Gas",
    "GAS": "Natural Gas",  # as the recorded wide tables call it
    "NUC": "Nuclear",
    "OIL": "All Petroleum Products",
    "WAT": "Hydropower and Pumped Storage",
    "SUN": "Solar",
    "WND": "Wind",
    "OTH": "Other Fuel Sources",
    "UNK": "Unknown Fuel Sources",
}
TYPE_HEADERS = {
    "D": "Demand (MW)",
    "DF": "Demand Forecast (MW)",
    "NG": "Net Generation (MW)",
    "TI": "Total Interchange (MW)",
}
KEY_HEADERS = (
    "Balancing Authority",
    "Data Date",
    "Hour Number",
    "Local Time at End of Hour",
    "UTC Time at End of Hour",
)
BALANCE_HEADERS = (
    *KEY_HEADERS,
    *("Demand Forecast (MW)", "Demand (MW)", "Net Generation (MW)", "Total Interchange (MW)", "Sum(Valid DIBAs) (MW)"),
    *(
        f"{what} (MW) ({kind})"
        for kind in ("Imputed", "Adjusted")
        for what in ("Demand", "Net Generation", "Total Interchange")
    ),
    *(f"Net Generation (MW) from {name}" for code, name in FUEL_HEADERS.items() if code != "GAS"),
    *(
        f"Net Generation (MW) from {name} ({kind})"
        for kind in ("Imputed", "Adjusted")
        for code, name in FUEL_HEADERS.items()
        if code not in ("GAS", "UNK")
    ),
    "Region",
)
INTERCHANGE_HEADERS = (
    *KEY_HEADERS[:3],
    "Directly Interconnected Balancing Authority",
    "Interchange (MW)",
    *KEY_HEADERS[3:],
    "Region",
    "DIBA_Region",
)


def stamp(moment: datetime) -> str:
    """Return a time as EIA writes it: ``07/01/2020 1:00:00 AM``."""
    return f"{moment:%m/%d/%Y} {moment.hour % 12 or 12}:{moment:%M:%S %p}"


def key_cells(region: str, end: datetime) -> dict[str, str]:
    """Return the cells that say which hour of which authority a row is, by the authority's own clock."""
    zone = ZoneInfo(regions()[region].time_zone)
    local = end.replace(tzinfo=UTC).astimezone(zone)
    start = (end - HOUR).replace(tzinfo=UTC).astimezone(zone)
    midnight = datetime(start.year, start.month, start.day, tzinfo=zone).astimezone(UTC).replace(tzinfo=None)
    return {
        "Balancing Authority": region,
        "Data Date": f"{start:%m/%d/%Y}",
        "Hour Number": str((end - midnight) // HOUR),
        "Local Time at End of Hour": stamp(local),
        "UTC Time at End of Hour": stamp(end),
        "Region": regions()[region].region_group,
    }


def number(value: float | None) -> str:
    """Return a value as EIA writes it, with thousands separators."""
    return "" if value is None else f"{int(value):,}" if value == int(value) else f"{value:,}"


def as_csv(headers: Sequence[str], rows: Iterable[Mapping[str, str]]) -> bytes:
    """Return a file; cells that a row does not have are blank."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(headers)
    writer = csv.DictWriter(text, headers, lineterminator="\n", extrasaction="ignore")
    writer.writerows(rows)
    return text.getvalue().encode()


def half_of(end: datetime, region: str) -> str:
    """Return the half in whose file an hour is: by the local date on which it begins."""
    start = (end - HOUR).replace(tzinfo=UTC).astimezone(ZoneInfo(regions()[region].time_zone))
    return f"{start.year}_{'Jan_Jun' if start.month <= 6 else 'Jul_Dec'}"


Wide = dict[tuple[str, str | None, str | None, str | None, datetime], float]


def wide_values(paths: Iterable[Path]) -> Wide:
    """Return the values of recorded wide tables by (region, neighbor, type, fuel, end of the hour)."""
    found: Wide = {}
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            header, *table = list(csv.reader(file))
        series = [next(m for m in (re.fullmatch(p, name) for p in NAMES) if m).groupdict() for name in header[1:]]
        for row in table:
            end = datetime.fromisoformat(row[0]).replace(tzinfo=None)
            for one, cell in zip(series, row[1:], strict=True):
                if cell:
                    key = (one["region"], one.get("neighbor"), one.get("code"), one.get("fuel"), end)
                    found[key] = float(cell)
    return found


def wide_files(values: Wide) -> dict[str, bytes]:
    """Return recorded wide tables as half-year files, by name."""
    balance: dict[str, dict[tuple[str, datetime], dict[str, str]]] = {}
    interchange: dict[str, list[dict[str, str]]] = {}
    for (region, neighbor, code, fuel, end), value in values.items():
        half = half_of(end, region)
        if neighbor is not None:
            cells = {"Directly Interconnected Balancing Authority": neighbor, "Interchange (MW)": number(value)}
            interchange.setdefault(half, []).append(key_cells(region, end) | cells)
            continue
        row = balance.setdefault(half, {}).setdefault((region, end), key_cells(region, end))
        header = TYPE_HEADERS[code] if code else f"Net Generation (MW) from {FUEL_HEADERS[fuel or '']}"
        row[header] = row[f"{header} (Adjusted)"] = number(value)
    files = {f"EIA930_BALANCE_{half}.csv": as_csv(BALANCE_HEADERS, rows.values()) for half, rows in balance.items()}
    return files | {
        f"EIA930_INTERCHANGE_{half}.csv": as_csv(INTERCHANGE_HEADERS, rows) for half, rows in interchange.items()
    }


def serving(files: Mapping[str, bytes]) -> Callable[[int, str], Answer]:
    """Return the answers of a folder that holds ``files``, for `tests.support.scripted`."""

    def answer(number_of_request: int, path: str) -> Answer:
        body = files.get(path.rpartition("/")[2])
        return Answer(b"<html>not found</html>", 404) if body is None else Answer(body)

    return answer
