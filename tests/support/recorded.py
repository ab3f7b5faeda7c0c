"""Recorded EIA tables and bodies behind the simulator's protocol: real values over real HTTP."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from energywh.simulate.eia_routes import ROUTES, Answer, Facets, Label
from energywh.simulate.hours import parse_period

Row = Mapping[str, object]
Key = tuple[int, str, str]


class RecordedBackend:
    """Serves what was recorded; implements ``energywh.simulate.eia.Backend``.

    Args:
        folder: ``recorded/eia``: tables ``gridemissions_apiv2_<route>_*.csv`` and JSON bodies of any route.
        tables, bodies: which of the two to serve.

    Attributes:
        rows: by route, the recorded values by (period, code, code); a null is None. Where recordings overlap,
            the value of the file that comes later by name holds.
    """

    def __init__(self, folder: Path, *, tables: bool = True, bodies: bool = True) -> None:
        self.rows: dict[str, dict[Key, float | None]] = {route: {} for route in ROUTES}
        self._names: dict[tuple[str, str], dict[str, str]] = {}
        if tables:
            for path in sorted(folder.glob("gridemissions_apiv2_*.csv")):
                route = path.name.removeprefix("gridemissions_apiv2_").partition("_")[0]
                with path.open(newline="", encoding="utf-8") as file:
                    self._add(route, csv.DictReader(file))
        if bodies:
            for path in sorted(folder.rglob("*.json")):
                body = json.loads(path.read_text(encoding="utf-8"))
                for route in ROUTES:
                    if route in path.name and "data" in body.get("response", ()):
                        self._add(route, body["response"]["data"])

    def _add(self, route: str, rows: Iterable[Row]) -> None:
        facets, columns = ROUTES[route].facets, ROUTES[route].name_columns
        for row in rows:
            one, two = (str(row[facet]) for facet in facets)
            value = row["value"]
            known = None if value in (None, "") else float(str(value))
            self.rows[route][parse_period(str(row["period"])), one, two] = known
            for facet, column in zip(facets, columns, strict=True):
                self._names.setdefault((route, facet), {})[str(row[facet])] = str(row[column])

    def options(self, route: str, facet: str) -> Mapping[str, str]:
        return self._names.get((route, facet), {})

    def query(self, route: str, facets: Facets, first: int | None, last: int | None) -> Answer:
        one, two = (facets.get(facet) for facet in ROUTES[route].facets)
        found = sorted(
            key
            for key in self.rows[route]
            if (first is None or first <= key[0])
            and (last is None or key[0] <= last)
            and (one is None or key[1] in one)
            and (two is None or key[2] in two)
        )
        if not found:
            return Answer.empty()
        codes = sorted({key[1:] for key in found})
        at = {code: i for i, code in enumerate(codes)}
        ones, twos = (self.options(route, facet) for facet in ROUTES[route].facets)
        values = [self.rows[route][key] for key in found]
        return Answer(
            [Label(code, (ones[code[0]], twos[code[1]])) for code in codes],
            np.array([key[0] for key in found], dtype=np.int64),
            np.array([at[key[1:]] for key in found], dtype=np.int64),
            np.array([np.nan if value is None else value for value in values], dtype=np.float64),
        )
