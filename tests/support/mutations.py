"""Harm done to payloads, in their bytes and in what they say, and a fetcher that reads the result."""

from __future__ import annotations

import csv
import io
import json
import random
import threading
from pathlib import Path
from typing import Any

from energywh.core.time import RunClock, utc_now
from energywh.sources.base import Source
from energywh.sources.limits import RateLimits
from energywh.sync.fetcher import Fetcher
from energywh.sync.rate_limit import RequestLimit
from energywh.sync.simulation_guard import SimulationGuard
from tests.support.desk import Desk

INSERTS = (
    b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"\r", b"\r\r\n", b"\0", b"\xff\xfe", b'"', b"'", b",,,,", b"\x1b[2J",
    b"\\ud800", b"\\u0000", b"1e999", b"-1", b"null", b"NaN", b"1969-12-31T23", b"0001-01-01T00", b"9999-12-31T24",
    b"<m:ERR_CODE>" + b"9" * 5000 + b"</m:ERR_CODE>", b"<ERR_DESC>" + b" " * 3000, b"PK\x01\x02", b"PK\x05\x06",
    b"\xef\xbb\xbf", "°".encode("latin-1"), "\u202e".encode(),
)  # fmt: skip


def mutate(body: bytes, draw: random.Random) -> bytes:
    """Return the body with one to four harms done to it."""
    mutated = bytearray(body)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        place, length = draw.randrange(len(mutated) + 1), draw.choice((1, 2, 8, 40, 400))
        match draw.randrange(8):
            case 0:
                mutated[place : place + length] = bytes(draw.randrange(256) for _ in range(length))
            case 1:
                del mutated[place : place + length]
            case 2:
                del mutated[place:]
            case 3:
                del mutated[:place]
            case 4:
                mutated[place:place] = mutated[place : place + length] * draw.choice((1, 2, 50))
            case 5:
                mutated[place:place] = draw.choice(INSERTS)
            case 6:
                other = draw.randrange(len(mutated) + 1)
                mutated[place : place + length] = mutated[other : other + length]
            case _:
                for _ in range(draw.randint(1, 8)):
                    if mutated:
                        mutated[draw.randrange(len(mutated))] ^= 1 << draw.randrange(8)
    return bytes(mutated)


# What a value of a field may turn into; some are no JSON numbers, which Python's encoder writes all the same.
ODD_VALUES: tuple[Any, ...] = (
    None, True, "", " ", "x" * 5000, "NaN", "1e999", "-0", "1,234", "0x1F", "१२३", "\u202e7", "7\x00", "\ud800", -1, 0,
    10**400, -(2**63) - 1, 1.5e308, float("nan"), float("inf"), [], {}, [[]], {"": {}}, "0001-01-01T00",
    "9999-12-31T24", "2024-02-30T05", "2024-03-01T25", "2099-01-01T00", "2024-03-01T05:30", "2024-03-01T05+14:00",
)  # fmt: skip


def harm_json(body: bytes, draw: random.Random) -> bytes:
    """Return a JSON body with one to four of its values, keys or rows changed; it is JSON or nearly so."""
    document = json.loads(body)
    for _ in range(draw.choice((1, 1, 2, 4))):
        holder = _some_holder(document, draw)
        if holder is None:
            break
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        key = draw.choice(list(keys))
        match draw.randrange(7):
            case 0 | 1:
                holder[key] = draw.choice(ODD_VALUES)
            case 2:
                del holder[key]
            case 3:
                holder[key] = _nested(holder[key], draw.choice((2, 100, 3000)))
            case 4 if isinstance(holder, list):
                holder.extend([holder[key]] * draw.choice((1, 3, 200)))
            case 4:
                holder[f"{key}{draw.choice(('', ' ', chr(0x200B)))}2"] = holder[key]
            case 5:
                other = draw.choice(list(keys))
                holder[key], holder[other] = holder[other], holder[key]
            case _:
                holder[key] = [holder[key]] if draw.random() < 0.5 else {str(key): holder[key]}
    text = _dumped(document)
    if draw.random() < 0.2:  # a key that is there twice: the last counts, or neither
        text = text.replace('{"', f'{{{json.dumps(draw.choice(("total", "value", "period", "hourly")))}: 7, "', 1)
    return text.encode("utf-8", "surrogatepass")


def _some_holder(document: Any, draw: random.Random) -> Any:
    """Return a list or object somewhere in the document that is not empty, or None."""
    found = None
    while isinstance(document, dict | list) and document:
        found = document
        if found is not None and draw.random() < 0.25:
            break
        document = draw.choice(list(document.values()) if isinstance(document, dict) else document)
    return found


def _nested(value: Any, depth: int) -> str:
    return f"\x01{'[' * depth}{json.dumps(value, default=str)[:200]}{']' * depth}\x01"


def _dumped(document: Any) -> str:
    """Return the document as JSON; what `_nested` made is put in as it is, deeper than Python could encode it."""
    text = json.dumps(document)
    return text.replace('"\\u0001', "").replace('\\u0001"', "")


def harm_csv(body: bytes, draw: random.Random) -> bytes:
    """Return a CSV body with one to four of its cells, columns or lines changed."""
    rows = list(csv.reader(io.StringIO(body.decode("utf-8", "replace"))))
    for _ in range(draw.choice((1, 1, 2, 4))):
        if len(rows) < 2:
            break
        line, place = draw.randrange(len(rows)), draw.randrange(max(1, len(rows[0])))
        match draw.randrange(7):
            case 0 | 1 if place < len(rows[line]):
                rows[line][place] = str(draw.choice(ODD_VALUES))
            case 2:
                rows = [row[:place] + row[place + 1 :] for row in rows]
            case 3:
                rows = [row[: place + 1] + row[place:] for row in rows]
            case 4:
                rows[line:line] = [rows[line]] * draw.choice((1, 3, 200))
            case 5:
                del rows[line]
            case _:
                rows[line] = rows[line][:place] if draw.random() < 0.5 else [*rows[line], *rows[line]]
    out = io.StringIO()
    csv.writer(out, delimiter=draw.choice(",,,,;\t"), lineterminator=draw.choice(("\n", "\r\n", "\r"))).writerows(rows)
    return out.getvalue().encode("utf-8", "surrogatepass")


def reader(source: Source, folder: Path, url: str, **environment: str) -> Fetcher:
    """Return a fetcher without retries; ``environment`` has further settings, such as the key."""
    desk = Desk(folder, url).having(
        SYNC_RETRIES="0", EIA_FILES_URL=url, CAISO_URL=url, OPEN_METEO_URL=url, SYNC_TIMEOUT_SECONDS="60", **environment
    )
    settings = desk.settings()
    limit = RequestLimit(folder, source.name, "", RateLimits())
    simulation_guard = SimulationGuard(settings.home.create(), holds_data=False)
    return Fetcher(source, settings, limit, None, threading.Event(), simulation_guard, RunClock(utc_now()))
