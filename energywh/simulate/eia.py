"""EIA's API v2: returns status and body for a request target. Rows come from a ``Backend``.

Answers follow recorded bodies of version 2.1.8; see ``tests/simulate/test_recorded_bodies.py``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from energywh.simulate.api import BadRequestError, Headers, Reply, SimulatedApi
from energywh.simulate.eia_routes import ROUTES, Answer, Backend, Label, Route
from energywh.simulate.hours import parse_period
from energywh.simulate.noise import mix

PAGE_ROWS = 5000
API_VERSION = "2.1.8"
PREFIX = "/v2/electricity/rto/"


@dataclass
class _Request:
    """The parameters of a data request, and their echo for the answer."""

    route: Route
    facets: dict[str, list[str]] = field(default_factory=dict)
    sort: list[tuple[str, str]] = field(default_factory=list)
    first: int | None = None
    last: int | None = None
    offset: int = 0
    length: int = PAGE_ROWS
    with_value: bool = False
    echo: dict[str, object] = field(default_factory=dict)


def gateway_error(status: int, code: str, message: str) -> Reply:
    """Return an error in the format of the gateway in front of the API."""
    body = json.dumps({"error": {"code": code, "message": message}}, indent=2)
    return Reply(status, body.encode())


def application_error(status: int, message: str, code: int | None = None) -> Reply:
    """Return an error in the format of the API itself; the code in the body need not be the HTTP status."""
    return Reply(status, json.dumps({"error": message, "code": code or status}, separators=(",", ":")).encode())


NOT_FOUND = application_error(500, "Not found.", 404)
OVER_RATE_LIMIT = gateway_error(
    429,
    "OVER_RATE_LIMIT",
    "You have exceeded your rate limit. Try again later or contact us at https://api.eia.gov:443 for assistance",
)


class EiaApi(SimulatedApi):
    """EIA's API v2.

    Args:
        backend: returns the rows.
        api_key: the accepted key; None accepts any.
    """

    source = "eia"
    prefix = "/v2"
    kinds = ("wrong-total",)

    def __init__(self, backend: Backend, api_key: str | None) -> None:
        self.backend = backend
        self.api_key = api_key

    def key_of(self, target: str, headers: Headers) -> str:
        params = parse_qsl(urlsplit(target).query, keep_blank_values=True)
        return next((value for name, value in params if name == "api_key" and value), headers.get("X-Api-Key") or "")

    def too_fast(self) -> Reply:
        return OVER_RATE_LIMIT

    def failed(self) -> Reply:
        return application_error(500, "Internal server error.")

    def flawed(self, kind: str, target: str, headers: Headers, salt: int) -> Reply:
        return self.answer(target, headers, total_error=1 + salt % 9)

    def answer(self, target: str, headers: Headers, total_error: int = 0) -> Reply:
        """Answer one GET.

        Args:
            total_error: added to ``response.total``, to make an inconsistent body.
        """
        url = urlsplit(target)
        params = parse_qsl(url.query, keep_blank_values=True)
        key = self.key_of(target, headers)
        if not key:
            return gateway_error(
                403,
                "API_KEY_MISSING",
                "No api_key was supplied. Please register for one at https://www.eia.gov/opendata/",
            )
        if self.api_key is not None and key != self.api_key:
            return gateway_error(
                403, "API_KEY_INVALID", "An invalid api_key was supplied. Get one at https://api.eia.gov:443"
            )
        if not url.path.startswith(PREFIX):
            return NOT_FOUND
        match url.path.removeprefix(PREFIX).rstrip("/").split("/"):
            case [route, "data"] if route in ROUTES:
                try:
                    request = _parse(ROUTES[route], params)
                except BadRequestError as error:
                    return application_error(400, str(error))
                return self._data(request, url.path, target, total_error)
            case [route, "facet", facet] if route in ROUTES and facet in ROUTES[route].facets:
                options = [{"id": code, "name": name} for code, name in self.backend.options(route, facet).items()]
                return _small({"totalFacets": len(options), "facets": options}, url.path, params)
            case [route] if route in ROUTES:
                return _small(_metadata(ROUTES[route]), url.path, params)
            case _:
                return NOT_FOUND

    def _data(self, request: _Request, path: str, target: str, total_error: int) -> Reply:
        answer = self.backend.query(request.route.id, request.facets, request.first, request.last)
        order = _order(answer, request, target)
        page = slice(request.offset, request.offset + request.length)
        chosen = page if order is None else order[page]
        total = len(answer.period)
        shown = Answer(answer.labels, answer.period[chosen], answer.series[chosen], answer.value[chosen])
        rows = _rows(request, shown)
        warnings = _WARNINGS if len(shown.period) < total else ""
        description = json.dumps(request.route.description)
        command = json.dumps(path if path.endswith("/") else path + "/").replace("/", "\\/")
        body = (
            f'{{{warnings}"response":{{"total":"{total + total_error}","dateFormat":"YYYY-MM-DD\\"T\\"HH24",'
            f'"frequency":"hourly","data":[{rows}],"description":{description}}},"request":{{"command":{command},'
            f'"params":{json.dumps(request.echo, separators=(",", ":"))}}},'
            f'"apiVersion":"{API_VERSION}","ExcelAddInVersion":"2.1.0"}}'
        )
        return Reply(200, body.encode(), len(shown.period))


_WARNINGS = (
    '"warnings":[{"warning":"incomplete return","description":"The API can only return 5000 rows in JSON '
    "format.  Please consider constraining your request with facet, start, or end, or using offset to "
    'paginate results."}],'
)

_NAME = re.compile(r"([a-z_]+)((?:\[[^\]]*\])*)", re.IGNORECASE)


def _parse(route: Route, params: Sequence[tuple[str, str]]) -> _Request:
    """Parse the query parameters of a data request.

    Raises:
        BadRequestError: a facet, frequency, column, period or number that the API rejects.
    """
    request = _Request(route)
    sort: dict[str, dict[str, str]] = {}
    for full_name, value in params:
        match = _NAME.fullmatch(full_name)
        if match is None:
            continue
        name, inner = match[1], re.findall(r"\[([^\]]*)\]", match[2])
        if name == "facets" and inner:
            facet = inner[0]
            if facet not in route.facets:
                valid = " and ".join(f"'{known}'" for known in route.facets)
                raise BadRequestError(f"Invalid facet '{facet}' provided. The only valid facets are {valid}.")
            request.facets.setdefault(facet, []).append(value)
            request.echo["facets"] = request.facets
        elif name == "data":
            if value != "value":
                raise BadRequestError(f"Invalid data '{value}' provided. The only valid data are 'value'.")
            request.with_value = True
            request.echo["data"] = ["value"]
        elif name == "sort" and len(inner) == 2:
            sort.setdefault(inner[0], {})[inner[1]] = value
            request.echo["sort"] = list(sort.values())
        elif name == "frequency":
            if value != "hourly":
                raise BadRequestError(f"Invalid frequency '{value}' provided. The only valid frequencies are 'hourly'.")
            request.echo[name] = value
        elif name in {"start", "end", "offset", "length", "api_key"}:
            request.echo[name] = value
    request.sort = [_sort(route, part) for part in sort.values()]
    request.first, request.last = _period(request.echo, "start"), _period(request.echo, "end")
    request.offset = _number(request.echo, "offset", 0)
    request.length = min(PAGE_ROWS, _number(request.echo, "length", PAGE_ROWS))
    return request


def _sort(route: Route, part: Mapping[str, str]) -> tuple[str, str]:
    column, direction = part.get("column", ""), part.get("direction", "asc").lower()
    known = ("period", *route.facets, "value")
    if column not in known:
        raise BadRequestError(
            f"Invalid sort column '{column}' provided. The only valid columns are {', '.join(known)}."
        )
    if direction not in {"asc", "desc"}:
        raise BadRequestError(
            f"Invalid sort direction '{direction}' provided. The only valid directions are asc, desc."
        )
    return column, direction


def _period(echo: Mapping[str, object], name: str) -> int | None:
    text = echo.get(name)
    if not text:
        return None
    try:
        return parse_period(str(text))
    except ValueError:
        raise BadRequestError(f"Invalid {name} '{text}' provided. Use the form YYYY-MM-DDTHH.") from None


def _number(echo: Mapping[str, object], name: str, default: int) -> int:
    text = str(echo.get(name, default))
    if not (text.isascii() and text.isdigit()):
        raise BadRequestError(f"Invalid {name} '{text}' provided. It must be a whole number.")
    return int(text)


def _order(answer: Answer, request: _Request, target: str) -> NDArray[np.intp] | None:
    """Return the requested order of the rows, or None if they are in it.

    If the sort leaves ties, their order depends on the request, as in the real API, so pages overlap.
    """
    columns = [column for column, _ in request.sort]
    full = {"period", *request.route.facets} <= set(columns)
    natural = columns[:3] == ["period", *request.route.facets]
    if natural and all(direction == "asc" for _, direction in request.sort):
        return None
    keys: list[NDArray[np.float64] | NDArray[np.int64] | NDArray[np.uint64]] = []
    for column, direction in request.sort:
        sign = 1 if direction == "asc" else -1
        if column == "period":
            keys.append(sign * answer.period)
        elif column == "value":
            keys.append(sign * answer.value)
        else:
            keys.append(sign * _ranks(answer.labels, request.route.facets.index(column))[answer.series])
    if not full:
        salt = np.uint64(crc32(target.encode()))
        keys.append(mix((answer.period * 4099 + answer.series).astype(np.uint64) ^ (salt << np.uint64(24))))
    return np.lexsort(keys[::-1])


def _ranks(labels: Sequence[Label], which: int) -> NDArray[np.int64]:
    codes = sorted({label.codes[which] for label in labels})
    rank = {code: i for i, code in enumerate(codes)}
    return np.array([rank[label.codes[which]] for label in labels], dtype=np.int64)


# Cache of the first text of rows by period: '{"period":"2024-01-01T00",'. A decade of hours takes about 10 MB.
_OPENINGS: dict[int, str] = {}


def _opened(first: int, last: int) -> dict[int, str]:
    """Return the first texts of rows, including those of periods ``first`` to ``last``."""
    missing = [hour for hour in range(first, last + 1) if hour not in _OPENINGS]
    texts = np.datetime_as_string(np.array(missing, dtype="datetime64[h]"))
    _OPENINGS.update(zip(missing, [f'{{"period":"{text}",' for text in texts.tolist()], strict=True))
    return _OPENINGS


def _rows(request: _Request, page: Answer) -> str:
    """Return the rows of a page as JSON text, joined by commas."""
    period, value = page.period, page.value
    if not len(period):
        return ""
    openings = _opened(int(period.min()), int(period.max()))
    middles = [_middle(request.route, label) for label in page.labels]
    hours, which = period.tolist(), page.series.tolist()
    if not request.with_value:
        return ",".join([f"{openings[h]}{middles[s]}}}" for h, s in zip(hours, which, strict=True)])
    null = np.isnan(value)
    whole = np.where(null, 0.0, value).astype(np.int64)
    texts: list[int | str] = [*whole.tolist()]
    for at in np.flatnonzero(~null & (whole != value)).tolist():
        texts[at] = repr(float(value[at]))
    starts = [f'{middle},"value":"' for middle in middles]
    end = '","value-units":"megawatthours"}'
    rows = [f"{openings[h]}{starts[s]}{text}{end}" for h, s, text in zip(hours, which, texts, strict=True)]
    for at in np.flatnonzero(null).tolist():
        rows[at] = f'{openings[hours[at]]}{middles[which[at]]},"value":null,"value-units":"megawatthours"}}'
    return ",".join(rows)


def _middle(route: Route, label: Label) -> str:
    pairs = zip(route.facets, route.name_columns, label.codes, label.names, strict=True)
    return ",".join(
        f'"{facet}":{json.dumps(code)},"{column}":{json.dumps(name)}' for facet, column, code, name in pairs
    )


def _metadata(route: Route) -> dict[str, object]:
    return {
        "id": route.id,
        "name": route.id.replace("-", " "),
        "description": route.description,
        "frequency": [
            {"id": "hourly", "description": "hourly data in UTC", "query": "H", "format": 'YYYY-MM-DD"T"HH24'}
        ],
        "facets": [{"id": facet, "description": facet} for facet in route.facets],
        "data": {"value": {"aggregation-method": "SUM", "alias": "value", "units": "megawatthours"}},
        "defaultDateFormat": 'YYYY-MM-DD"T"HH24',
        "defaultFrequency": "hourly",
    }


def _small(response: Mapping[str, object], path: str, params: Sequence[tuple[str, str]]) -> Reply:
    body = {
        "response": response,
        "request": {"command": path, "params": dict(params)},
        "apiVersion": API_VERSION,
        "ExcelAddInVersion": "2.1.0",
    }
    return Reply(200, json.dumps(body, separators=(",", ":")).encode())
