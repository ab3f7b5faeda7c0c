"""CAISO's market on the simulated grid: load, renewables, prices and schedules of any hour.

Hours are numbers of the START of the hour, as OASIS stamps them; so are intervals of five minutes. Arrays have shape
(series, hours or intervals). California's load, sun and wind are those of CISO on the grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from energywh.simulate.atlas import FUELS
from energywh.simulate.grid import Grid
from energywh.simulate.hours import Calendar
from energywh.simulate.noise import Floats, Hours, keys_of, uniform, wander
from energywh.simulate.reporting import Reporting

ISO = "CISO"
TOTAL_AREA = "CA ISO-TAC"
INTERVALS_AN_HOUR = 12
_TAC_SHARES = {"MWD-TAC": 0.006, "PGE-TAC": 0.447, "SCE-TAC": 0.456, "SDGE-TAC": 0.087, "VEA-TAC": 0.004}
# Areas of other authorities that CAISO forecasts beside its own, and their codes at EIA.
_OTHER_AREAS = {"AZPS": "AZPS", "BPAT": "BPAT", "LADWP": "LDWP", "NEVP": "NEVP", "PACW": "PACW", "PGE": "PGE"}
AREAS = (TOTAL_AREA, *_TAC_SHARES, *_OTHER_AREAS)
_FORECAST_ERRORS = {"2DA": 0.025, "7DA": 0.05}

_HUB_SHARES = {"Solar": {"NP15": 0.27, "SP15": 0.58, "ZP26": 0.15}, "Wind": {"NP15": 0.36, "SP15": 0.64, "ZP26": 0.0}}
RENEWABLES = tuple((hub, fuel) for fuel, shares in _HUB_SHARES.items() for hub in shares)
_OUTPUT = {"Solar": ("SUN", "SNB"), "Wind": ("WND",)}

COMPONENTS = ("LMP", "MCC", "MCE", "MCL", "MGHG")
NODES = (
    *("DLAP_PGAE-APND", "DLAP_SCE-APND", "DLAP_SDGE-APND", "DLAP_VEA-APND"),
    *("TH_NP15_GEN-APND", "TH_SP15_GEN-APND", "TH_ZP26_GEN-APND"),
    *(f"SIM{number:04d}_7_N001" for number in range(1, 1694)),  # 1,700 in all, as many as were recorded of one day
)

TOTAL_ZONE = "Caiso_Totals"
_ZONE_SHARES = {"TAC_ECNTR": 0.34, "TAC_NCNTR": 0.0, "TAC_NORTH": 0.61, "TAC_SOUTH": 0.05}
_OTHER_ZONES = {"TAC_BPAT": "BPAT", "TAC_PAC": "PACW"}
_KINDS = {"Export": "ETIE", "Generation": "GEN", "Import": "ITIE"}
SCHEDULES = (
    *((TOTAL_ZONE, schedule, "ALL") for schedule in (*_KINDS, "Load")),
    *((zone, schedule, kind) for zone in (*_ZONE_SHARES, *_OTHER_ZONES) for schedule, kind in _KINDS.items()),
)


@dataclass(frozen=True)
class _State:
    """Values of CISO, each of shape (hours,), MWh."""

    demand: Floats
    forecast: Floats
    generation: Floats
    interchange: Floats
    output: dict[str, Floats]  # solar and wind

    @property
    def scarcity(self) -> Floats:
        """Net load over a mean demand of 25,500 MWh."""
        rest: Floats = (self.demand - sum(self.output.values())) / 25_500.0
        return rest


class California:
    """CAISO on a simulated grid."""

    def __init__(self, grid: Grid, reporting: Reporting) -> None:
        self.grid, self.reporting = grid, reporting
        self._state = lru_cache(maxsize=64)(self._compute_state)  # the slices of a dataset share their hours

    def _wander(self, purpose: str, names: Sequence[str], positions: Hours, knot: int) -> Floats:
        return wander(keys_of(self.grid.seed, f"caiso {purpose}", [(name,) for name in names]), positions, knot)

    def _compute_state(self, first: int, count: int) -> _State:
        calendar = Calendar(np.arange(first, first + count) + 1)
        values = self.grid.region_data([ISO], calendar)
        made = self.grid.generation([ISO], calendar)
        output = {
            fuel: sum((made.fuels[0, FUELS.index(code)] for code in codes), np.zeros(count))
            for fuel, codes in _OUTPUT.items()
        }
        demand, forecast, generation, interchange = (values[code][0][0] for code in ("D", "DF", "NG", "TI"))
        return _State(demand, forecast, generation, interchange, output)

    def load(self, market: str, hours: Hours) -> Floats:
        """Return the load or forecast of `AREAS`, (areas, hours): total, parts, areas of other authorities."""
        state = self._state(int(hours[0]), len(hours))
        values = self.grid.region_data(list(_OTHER_AREAS.values()), Calendar(hours + 1), ("D", "DF"))
        forecast = market != "ACTUAL"
        total = state.forecast if forecast else state.demand
        others = values["DF" if forecast else "D"][0]
        shares = np.array(list(_TAC_SHARES.values()))[:, None]
        shares = shares * (1.0 + 0.04 * self._wander("share", list(_TAC_SHARES), hours, 30))
        parts = np.round(total * shares / shares.sum(axis=0), 2)
        parts[1] += np.round(total - parts.sum(axis=0), 2)
        loads = np.vstack([total, parts, others])
        if market in _FORECAST_ERRORS:
            error = _FORECAST_ERRORS[market] * self._wander(f"error {market}", AREAS[:1], hours, 24)
            loads = loads * (1.0 + error)
        result: Floats = np.round(loads, 2)
        return result

    def renewable(self, market: str, hours: Hours) -> Floats:
        """Return the output or forecast of `RENEWABLES`, (series, hours); the hubs add up to CISO's output."""
        state = self._state(int(hours[0]), len(hours))
        found = []
        for fuel, shares in _HUB_SHARES.items():
            output = state.output[fuel]
            if market != "ACTUAL":
                error = 0.08 * self._wander("renewable error", [fuel], hours, 9)[0]
                output = np.maximum(output * (1.0 + error), 0.0)
            parts = np.round(np.array(list(shares.values()))[:, None] * output, 2)
            parts[1] = np.round(output - parts[0] - parts[2], 2)
            found.append(parts)
        return np.vstack(found)

    def price(self, nodes: Sequence[str], hours: Hours, now: int, *, five_minutes: bool) -> Floats:
        """Return the price components that are public at ``now``, (components, nodes, hours or intervals).

        LMP is the sum of the others. Some prices are corrected within two weeks.
        """
        state = self._state(int(hours[0]), len(hours))
        scarcity = state.scarcity
        energy = -6.0 + 48.0 * scarcity + 30.0 * np.maximum(scarcity - 1.0, 0.0) ** 2
        energy = energy + 2.0 * self._wander("energy", ["day ahead"], hours, 7)[0]
        leaning = uniform(keys_of(self.grid.seed, "caiso node", [(node,) for node in nodes]), np.array([0, 1]))
        congestion = (4.0 * leaning[:, :1] - 2.0) * np.maximum(0.0, self._wander("congestion", ["all"], hours, 19))
        congestion += self._corrections(nodes, hours, now)
        if five_minutes:
            intervals = interval_numbers(hours)
            energy = np.repeat(energy, INTERVALS_AN_HOUR)
            energy = energy + 5.0 * self._wander("energy", ["real time"], intervals, 9)[0]
            congestion = np.repeat(congestion, INTERVALS_AN_HOUR, axis=1)
        found = np.zeros((len(COMPONENTS), len(nodes), len(energy)))
        found[1] = np.round(congestion, 5)
        found[2] = np.round(energy, 5)
        found[3] = np.round(energy * (0.08 * leaning[:, 1:] - 0.04), 5)
        found[0] = np.round(found[1:].sum(axis=0), 5)
        return found

    def _corrections(self, nodes: Sequence[str], hours: Hours, now: int) -> Floats:
        """Return the errors of prices not yet corrected, (nodes, hours)."""
        chance = uniform(keys_of(self.grid.seed, "caiso correction", [(node,) for node in nodes]), hours)
        rate = max(self.reporting.revision_rate, 1e-12)
        delay = 24.0 + 300.0 * chance / rate
        return np.where((chance < rate) & (now - hours < delay), 1.25, 0.0)

    def schedule(self, hours: Hours, *, five_minutes: bool) -> Floats:
        """Return the schedules, (schedules, hours or intervals); the ISO's zones add up to the total."""
        state = self._state(int(hours[0]), len(hours))
        imports = np.maximum(-state.interchange, 0.0) + 1500.0
        wanted = {
            "Export": imports + state.interchange,
            "Generation": state.generation,
            "Import": imports,
            "Load": state.forecast,
        }
        other = self.grid.region_data(list(_OTHER_ZONES.values()), Calendar(hours + 1), ("D",))["D"][0]
        if five_minutes:
            intervals = interval_numbers(hours)
            shake = 1.0 + 0.01 * self._wander("schedule", ["all"], intervals, 5)[0]
            wanted = {name: np.repeat(values, INTERVALS_AN_HOUR) * shake for name, values in wanted.items()}
            other = np.repeat(other, INTERVALS_AN_HOUR, axis=1)
        rows: dict[tuple[str, str], Floats] = {}
        for schedule, values in wanted.items():
            parts = {zone: np.round(values * share, 2) for zone, share in _ZONE_SHARES.items()}
            rows |= {(zone, schedule): part for zone, part in parts.items()}
            total = sum(parts.values()) if schedule in _KINDS else values
            rows[TOTAL_ZONE, schedule] = np.round(total, 2)
        for zone, values in zip(_OTHER_ZONES, other, strict=True):
            rows[zone, "Generation"] = values
            rows[zone, "Import"], rows[zone, "Export"] = np.round(values * 0.2, 2), np.round(values * 0.25, 2)
        return np.vstack([rows[zone, schedule] for zone, schedule, _ in SCHEDULES])


def interval_numbers(hours: Hours) -> Hours:
    """Return the numbers of the five-minute intervals of some hours."""
    return (hours[:, None] * INTERVALS_AN_HOUR + np.arange(INTERVALS_AN_HOUR)).ravel()
