"""CAISO's OASIS for tests: zips of CSV and of errors, and recorded zips served over HTTP."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.support.scripted import Answer, Scripted, scripted

Row = dict[str, str]


def zip_of(files: Mapping[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of some files."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return body.getvalue()


def csv_of(rows: Iterable[Sequence[object]]) -> str:
    """Return lines of CSV as OASIS writes them."""
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def error_zip(code: int, text: str = "said by CAISO", name: str = "INVALID_REQUEST.xml") -> bytes:
    """Return an error in the shape of those recorded."""
    return zip_of(
        {
            name: '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<m:OASISReport xmlns:m="http://www.caiso.com/soa/OASISReport_v1.xsd">\n<m:MessagePayload>\n<m:RTO>\n'
            f"<m:name>CAISO</m:name>\n<m:ERROR>\n<m:ERR_CODE>{code}</m:ERR_CODE>\n"
            f"<m:ERR_DESC>{text}</m:ERR_DESC>\n</m:ERROR>\n\n</m:RTO>\n</m:MessagePayload>\n</m:OASISReport>\n"
        }
    )


def rows_of(zip_file: Path) -> list[Row]:
    """Return the rows of the one CSV of a recorded zip, read without any of the project's code."""
    with zipfile.ZipFile(zip_file) as archive:
        (name,) = archive.namelist()
        return list(csv.DictReader(io.StringIO(archive.read(name).decode())))


@cache
def moment(stamp: str) -> datetime:
    """Return a stamp such as 2025-02-19T08:00:00-00:00 as naive UTC."""
    return datetime.fromisoformat(stamp).replace(tzinfo=None)


@dataclass(frozen=True)
class Recording:
    """A recorded zip, what it answers, and the time that it covers, the end exclusive."""

    report: str
    market: str
    file: Path
    first: datetime
    end: datetime


@cache
def recordings(folder: Path) -> tuple[Recording, ...]:
    """Return every recorded zip with data, wherever it lies under ``recorded/caiso``."""
    found = []
    for file in sorted(folder.rglob("*.zip")):
        with zipfile.ZipFile(file) as archive:
            (name,) = archive.namelist()
        if name.endswith(".csv"):
            rows = rows_of(file)
            report, market = name.split("_v")[0].split("_", 2)[2].rsplit("_", 5)[:2]
            first = min(row["INTERVALSTARTTIME_GMT"] for row in rows)  # stamps of one form sort as text
            last = max(row["INTERVALENDTIME_GMT"] for row in rows)
            found.append(Recording(report, market, file, moment(first), moment(last)))
    return tuple(found)


@contextmanager
def recorded_oasis(recorded: Sequence[Recording]) -> Iterator[Scripted]:
    """Serve each recording, byte for byte, for its report, market and time; otherwise answer 'no data'."""

    def answer(number: int, path: str) -> Answer:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        first, end = (datetime.strptime(asked[n], "%Y%m%dT%H:%M-0000") for n in ("startdatetime", "enddatetime"))
        assert end - first <= timedelta(days=30, hours=1)
        assert asked["resultformat"] == "6"
        for one in recorded:
            fits = (one.report, one.market) == (asked["queryname"], asked["market_run_id"])
            if fits and first < one.end and end > one.first:
                headers = {
                    "Content-Type": "application/x-zip-compressed",
                    "Content-Disposition": f"inline; filename={one.file.name};",
                }
                return Answer(one.file.read_bytes(), 200, headers)
        return Answer(error_zip(1000, "No data returned for the specified selection"))

    with scripted(answer) as server:
        yield server
