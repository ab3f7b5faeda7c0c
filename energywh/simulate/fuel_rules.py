"""Output of each fuel by hour, before an authority balances its output with demand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from energywh.simulate.authorities import DAYS, AuthorityGroup
from energywh.simulate.noise import Floats, keys_of

# A rule returns the output of a fuel as a multiple of its mean, for the authorities ``at`` of a group, (len(at), hours)

_Rule = Callable[[AuthorityGroup, NDArray[np.intp]], Floats]


def _thermal(swing: float) -> _Rule:
    def rule(group: AuthorityGroup, at: NDArray[np.intp]) -> Floats:
        follow = 1.0 + 0.5 * (group.day[at] - 1.0)
        output: Floats = np.clip(follow + swing * group.wander("thermal", at, 60), 0.1, 1.9)
        return output

    return rule


def _steady(group: AuthorityGroup, at: NDArray[np.intp]) -> Floats:
    return 1.0 + 0.06 * group.wander("steady", at, 200)


def _nuclear(group: AuthorityGroup, at: NDArray[np.intp]) -> Floats:
    """Return the output of up to six units per authority, constant except for 30 days of refuelling every 18 months."""
    periods = group.calendar.periods
    output = np.empty((len(at), len(periods)))
    cycle, outage = 13_140, 720
    for row, i in enumerate(at):
        profile = group.profiles[i]
        units = int(np.clip(round(profile.size * profile.shares["NUC"] / 1100.0), 1, 6))
        keys = keys_of(group.seed, "refuel", [(group.codes[i], str(unit)) for unit in range(units)])
        phase = (keys % np.uint64(cycle)).astype(np.int64)
        output[row] = ((periods + phase) % cycle >= outage).mean(axis=0)
    return output * (1.03 + 0.008 * group.wander("nuclear", at, 40))


def _hydro(group: AuthorityGroup, at: NDArray[np.intp]) -> Floats:
    water = 0.75 + 0.5 * group.calendar.spring + 0.12 * group.wander("water", at, 700)
    follow = 1.0 + 0.7 * (group.day[at] - 1.0)
    output: Floats = np.maximum(water * follow + 0.05 * group.wander("gate", at, 9), 0.05)
    return output


def _wind(group: AuthorityGroup, at: NDArray[np.intp]) -> Floats:
    blow = 0.46 + 0.24 * group.wander("gale", at, 55) + 0.14 * group.wander("breeze", at, 13)
    blow += 0.03 * group.wander("gust", at, 3) - 0.08 * group.calendar.summer
    blow = np.clip(blow, 0.0, 1.0)
    grown = 1.0 + 0.03 * (group.calendar.years_since_2015 - 7.0)
    return 2.3 * grown * blow * blow * (3.0 - 2.0 * blow)


def _solar(group: AuthorityGroup, at: NDArray[np.intp]) -> Floats:
    height = np.maximum(group.calendar.sun_height(group.latitude[at], group.longitude[at]), 0.0)
    clear = np.clip(0.85 + 0.14 * group.wander("haze", at, 40) + 0.08 * group.wander("shade", at, 5), 0.1, 1.0)
    grown = np.clip(0.4 + 0.09 * group.calendar.years_since_2015, 0.2, 2.0)
    return 4.6 * grown * height * (0.8 + 0.2 * height) * clear


def _oil(group: AuthorityGroup, at: NDArray[np.intp]) -> Floats:
    cold = (1.0 - group.calendar.summer) ** 4
    return np.maximum(0.0, 0.6 + 1.2 * cold * (1.0 + group.wander("oil", at, 80)))


def _battery(group: AuthorityGroup, at: NDArray[np.intp]) -> Floats:
    grown = np.clip(0.18 * (group.calendar.years_since_2015 - 5.0), 0.05, 1.6)
    output: Floats = grown * DAYS[2][group.local_hour[at]] * (0.85 + 0.2 * group.wander("battery", at, 24))
    return output


def _pumped(group: AuthorityGroup, at: NDArray[np.intp]) -> Floats:
    output: Floats = DAYS[3][group.local_hour[at]] * (0.7 + 0.25 * group.wander("pumped", at, 24))
    return output


RULES: dict[str, _Rule] = {
    "COL": _thermal(0.18),
    "NG": _thermal(0.3),
    "NUC": _nuclear,
    "OIL": _oil,
    "OTH": _steady,
    "GEO": _steady,
    "WAT": _hydro,
    "WND": _wind,
    "SUN": _solar,
    "SNB": _solar,
    "BAT": _battery,
    "PS": _pumped,
}
