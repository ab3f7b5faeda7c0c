"""The simulated grid as EIA publishes it: rows for the API, and in bulk as Arrow tables."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from energywh.simulate.api import World
from energywh.simulate.atlas import FUELS
from energywh.simulate.eia import EiaApi
from energywh.simulate.eia_routes import ROUTES, Answer, Facets, Label
from energywh.simulate.grid import TYPES, Grid, Mask
from energywh.simulate.hours import Calendar
from energywh.simulate.noise import Floats, Hours
from energywh.simulate.reporting import Reporting, report

TYPE_NAMES = {
    "D": "Demand",
    "DF": "Day-ahead demand forecast",
    "NG": "Net generation",
    "TI": "Total interchange",
}
FUEL_NAMES = {
    "BAT": "Battery storage",
    "COL": "Coal",
    "GEO": "Geothermal",
    "NG": "Natural Gas",
    "NUC": "Nuclear",
    "OIL": "Petroleum",
    "OTH": "Other",
    "PS": "Pumped storage",
    "SNB": "Solar with integrated battery storage",
    "SUN": "Solar",
    "WAT": "Hydro",
    "WND": "Wind",
}
_BLOCK_HOURS = 8784
_PAGE = 5000
_KEPT_ANSWERS = 8


# The codes that each of a route's two facets selects; None for all.
_Wanted = tuple[Collection[str] | None, Collection[str] | None]


@dataclass(frozen=True)
class _Block:
    """Series of one route in order of their codes over some hours, and which values are public."""

    codes: list[tuple[str, str]]
    values: Floats
    shown: Mask


class SimulatedBackend:
    """Serves the values of a grid that are public at ``now()``; implements `energywh.simulate.eia_routes.Backend`.

    Args:
        grid: the grid.
        now: returns the number of the last full hour.
        reporting: rates of gaps, nulls and revisions.
    """

    def __init__(self, grid: Grid, now: Callable[[], int], reporting: Reporting | None = None) -> None:
        self.grid, self.now = grid, now
        self.reporting = reporting or Reporting()
        self._kept: OrderedDict[tuple[object, ...], Answer] = OrderedDict()
        self._lock = threading.Lock()

    def options(self, route: str, facet: str) -> Mapping[str, str]:
        regions = self.grid.atlas.regions
        if facet == "type":
            return TYPE_NAMES
        if facet == "fueltype":
            return FUEL_NAMES
        senders = self.grid.atlas.respondents
        if facet == "subba":
            return {one: one for code in senders for one in self.grid.atlas.subregions(code)}
        if facet == "parent":
            return {code: regions[code].name for code in senders if self.grid.atlas.subregions(code)}
        codes = (
            senders if facet != "toba" else sorted({to for code in senders for to in self.grid.atlas.neighbors(code)})
        )
        return {code: regions[code].name for code in codes}

    def query(self, route: str, facets: Facets, first: int | None, last: int | None) -> Answer:
        """Return all rows of a query, by period and codes; the answer is cached if it has several pages."""
        now = self.now()
        first = self.reporting.first_period if first is None else max(first, self.reporting.first_period)
        latest = now + max(0, self.reporting.forecast_hours)
        last = latest if last is None else min(last, latest)
        key = (route, tuple(sorted((name, tuple(codes)) for name, codes in facets.items())), first, last, now)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return kept
        answer = self._answer(route, facets, first, last, now)
        if len(answer.period) > _PAGE:
            with self._lock:
                self._kept[key] = answer
                while len(self._kept) > _KEPT_ANSWERS:
                    self._kept.popitem(last=False)
        return answer

    def _answer(self, route: str, facets: Facets, first: int, last: int, now: int) -> Answer:
        names = ROUTES[route].facets
        one, two = (self.options(route, name) for name in names)
        wanted = facets.get(names[0]), facets.get(names[1])
        labels: list[Label] = []
        at: dict[tuple[str, str], int] = {}
        parts: list[Answer] = []
        for start in range(first, last + 1, _BLOCK_HOURS):
            periods = np.arange(start, min(start + _BLOCK_HOURS, last + 1), dtype=np.int64)
            block = self._block(route, wanted, periods, now)
            for codes in block.codes:
                if codes not in at:
                    at[codes] = len(labels)
                    labels.append(Label(codes, (one[codes[0]], two[codes[1]])))
            index = np.array([at[codes] for codes in block.codes], dtype=np.int64)
            hour, series = np.nonzero(block.shown.T)
            parts.append(Answer(labels, periods[hour], index[series], block.values.T[hour, series]))
        if not parts:
            return Answer.empty()
        return Answer(
            labels,
            np.concatenate([part.period for part in parts]),
            np.concatenate([part.series for part in parts]),
            np.concatenate([part.value for part in parts]),
        )

    def _block(self, route: str, wanted: _Wanted, periods: Hours, now: int) -> _Block:
        """Return the public values of the series that two facets select, in order of codes."""
        swapped = ROUTES[route].region_facet == 1
        one, two = wanted[::-1] if swapped else wanted
        calendar = Calendar(periods)
        senders = [code for code in self.grid.atlas.respondents if one is None or code in one]
        collect = {
            "region-data": self._region_data,
            "fuel-type-data": self._fuels,
            "interchange-data": self._interchange,
            "region-sub-ba-data": self._subregions,
        }
        codes, truth, present = collect[route](senders, two, calendar)
        if not codes:
            return _Block([], np.empty((0, len(periods))), np.empty((0, len(periods)), dtype=bool))
        if swapped:
            codes = [codes_of_one[::-1] for codes_of_one in codes]
            order = sorted(range(len(codes)), key=codes.__getitem__)
            codes, truth, present = [codes[i] for i in order], truth[order], present[order]
        due = np.array([[self.reporting.due(route, code[1])] for code in codes], dtype=np.int64)
        names = [(route, *code) for code in codes]
        values, shown = report(
            self.reporting,
            self.grid.seed,
            names,
            due=due,
            periods=calendar.periods,
            now=now,
            truth=truth,
            present=present,
        )
        return _Block(codes, values, shown)

    def _authorities(self, codes: Sequence[str]) -> list[str]:
        return sorted({member for code in codes for member in self.grid.atlas.members(code)})

    def _sums(self, codes: Sequence[str], members: Sequence[str], values: Floats, present: Mask) -> tuple[Floats, Mask]:
        """Return rows of regions; those of an aggregate are the sums of its members."""
        if list(codes) == list(members):
            return values, present
        at = {code: i for i, code in enumerate(members)}
        rows = [[at[member] for member in self.grid.atlas.members(code)] for code in codes]
        values = np.where(present, values, 0.0)
        # One decimal is the finest that any member reports; rounding drops what floating point adds.
        total = np.stack([np.round(values[row].sum(axis=0), 1) for row in rows])
        return total, np.stack([present[row].any(axis=0) for row in rows])

    def _region_data(
        self, senders: Sequence[str], types: Collection[str] | None, calendar: Calendar
    ) -> tuple[list[tuple[str, str]], Floats, Mask]:
        wanted = [name for name in TYPES if types is None or name in types]
        members = self._authorities(senders)
        if not members or not wanted:
            return _nothing(len(calendar))
        found = self.grid.region_data(members, calendar, wanted)
        sums = {name: self._sums(senders, members, *found[name]) for name in wanted}
        series = [
            ((code, name), sums[name][0][i], sums[name][1][i]) for i, code in enumerate(senders) for name in wanted
        ]
        return _stacked(series, len(calendar))

    def _fuels(
        self, senders: Sequence[str], fuels: Collection[str] | None, calendar: Calendar
    ) -> tuple[list[tuple[str, str]], Floats, Mask]:
        wanted = [at for at, name in enumerate(FUELS) if fuels is None or name in fuels]
        members = self._authorities(senders)
        if not members or not wanted:
            return _nothing(len(calendar))
        made = self.grid.generation(members, calendar)
        sums = {at: self._sums(senders, members, made.fuels[:, at], made.reported[:, at]) for at in wanted}
        series = [
            ((code, FUELS[at]), sums[at][0][i], sums[at][1][i]) for i, code in enumerate(senders) for at in wanted
        ]
        return _stacked(series, len(calendar))

    def _interchange(
        self, senders: Sequence[str], to: Collection[str] | None, calendar: Calendar
    ) -> tuple[list[tuple[str, str]], Floats, Mask]:
        atlas = self.grid.atlas
        pairs = [(a, b) for a in senders for b in atlas.neighbors(a) if to is None or b in to]
        # The interchange of an aggregate is that of the pairs of authorities across its border.
        lines = {pair: atlas.crossings(*pair) for pair in pairs}
        needed = sorted({line for crossing in lines.values() for line in crossing})
        if not needed:
            return _nothing(len(calendar))
        values, present = self.grid.interchange(needed, calendar)
        at = {line: i for i, line in enumerate(needed)}
        series: list[tuple[tuple[str, str], Floats, Mask]] = []
        for pair in pairs:
            rows = [at[line] for line in lines[pair]]
            flow: Floats = np.where(present[rows], values[rows], 0.0).sum(axis=0)
            series.append((pair, flow, np.logical_or.reduce(present[rows], axis=0)))
        return _stacked(series, len(calendar))

    def _subregions(
        self, senders: Sequence[str], subregions: Collection[str] | None, calendar: Calendar
    ) -> tuple[list[tuple[str, str]], Floats, Mask]:
        pairs = [
            (code, one)
            for code in senders
            for one in self.grid.atlas.subregions(code)
            if subregions is None or one in subregions
        ]
        if not pairs:
            return _nothing(len(calendar))
        values, present = self.grid.subregion_demand(pairs, calendar)
        return _stacked([(pair, values[i], present[i]) for i, pair in enumerate(pairs)], len(calendar))

    def rows(
        self, dataset: str, regions: Sequence[str] | None, first: int, last: int, now: int | None = None
    ) -> pa.Table:
        """Return the rows of a route in the columns of a staging table, without HTTP, to fill one fast.

        Args:
            dataset: route or table name: ``region-data``, ``fuel_type_data``, …
            regions: respondents (of interchange: senders); None for all authorities.
            first, last: periods, both included. No row is before ``reporting.first_period``.
            now: hour at which the rows are public; by default the clock's.

        Returns:
            Columns period (timestamp, end of the hour, UTC), the route's two codes (dictionary-encoded) and
            value (null where none was reported); sorted by region and then by year, period and code.
        """
        tables = list(self.batches(dataset, regions, first, last, now))
        return pa.concat_tables(tables) if tables else self._table(ROUTES[dataset.replace("_", "-")].facets, [])

    def batches(
        self, dataset: str, regions: Sequence[str] | None, first: int, last: int, now: int | None = None
    ) -> Iterator[pa.Table]:
        """Yield the rows of ``rows`` in pieces of one region and at most a year."""
        route = dataset.replace("_", "-")
        names = ROUTES[route].facets
        now = self.now() if now is None else now
        first = max(first, self.reporting.first_period)
        for region in self.grid.atlas.authorities if regions is None else regions:
            for start in range(first, last + 1, _BLOCK_HOURS):
                periods = np.arange(start, min(start + _BLOCK_HOURS, last + 1), dtype=np.int64)
                wanted: _Wanted = ([region], None)
                block = self._block(route, wanted[::-1] if ROUTES[route].region_facet == 1 else wanted, periods, now)
                if block.shown.any():
                    yield self._table(names, block.codes, periods, block)

    def _table(
        self,
        names: tuple[str, str],
        codes: Sequence[tuple[str, str]],
        periods: Hours | None = None,
        block: _Block | None = None,
    ) -> pa.Table:
        if periods is None or block is None:
            hour = series = np.empty(0, dtype=np.intp)
            stamps, values = np.empty(0, dtype="datetime64[us]"), np.empty(0)
        else:
            hour, series = np.nonzero(block.shown.T)
            stamps = (periods * 3_600_000_000).view("datetime64[us]")[hour]
            values = block.values.T[hour, series]
        columns: dict[str, pa.Array] = {"period": pa.array(stamps)}
        for which, name in enumerate(names):
            columns[name] = pa.DictionaryArray.from_arrays(
                pa.array(series.astype(np.int32)), pa.array([code[which] for code in codes], type=pa.string())
            )
        columns["value"] = pa.array(values, mask=np.isnan(values))
        return pa.table(columns)


def _nothing(hours: int) -> tuple[list[tuple[str, str]], Floats, Mask]:
    return [], np.empty((0, hours)), np.empty((0, hours), dtype=bool)


def _stacked(
    series: Sequence[tuple[tuple[str, str], Floats, Mask]], hours: int
) -> tuple[list[tuple[str, str]], Floats, Mask]:
    """Return the series with at least one row: their codes and two arrays, (series, hours)."""
    kept = [one for one in series if one[2].any()]
    if not kept:
        return _nothing(hours)
    return [one[0] for one in kept], np.stack([one[1] for one in kept]), np.stack([one[2] for one in kept])


def api(world: World) -> EiaApi:
    """Return EIA's API over the simulated grid."""
    return EiaApi(SimulatedBackend(world.grid, world.now, world.reporting), world.api_key)
