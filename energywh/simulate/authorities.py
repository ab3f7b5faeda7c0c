"""A group of authorities over a run of hours: the inputs that the formulas of demand and fuels share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from energywh.simulate.atlas import Atlas, Profile
from energywh.simulate.hours import Calendar
from energywh.simulate.noise import Floats, keys_of, uniform, wander

_WINTER_DAY = [
    *(0.86, 0.84, 0.83, 0.83, 0.85, 0.91, 1.01, 1.08, 1.09, 1.07, 1.05, 1.03),
    *(1.01, 0.99, 0.98, 0.98, 1.02, 1.11, 1.16, 1.14, 1.11, 1.06, 0.98, 0.91),
]
_SUMMER_DAY = [
    *(0.83, 0.79, 0.76, 0.75, 0.75, 0.78, 0.83, 0.89, 0.95, 1.0, 1.05, 1.10),
    *(1.14, 1.18, 1.21, 1.23, 1.24, 1.23, 1.19, 1.13, 1.09, 1.03, 0.95, 0.88),
]
_BATTERY_DAY = [
    *(0.05, 0.02, 0.0, 0.0, 0.02, 0.1, 0.2, 0.05, -0.35, -0.6, -0.75, -0.8),
    *(-0.75, -0.6, -0.4, -0.1, 0.25, 0.65, 0.9, 0.95, 0.75, 0.45, 0.25, 0.12),
]
_PUMPED_DAY = [
    *(-0.7, -0.8, -0.85, -0.8, -0.6, -0.2, 0.2, 0.3, 0.1, 0.0, 0.0, 0.1),
    *(0.2, 0.3, 0.4, 0.6, 0.8, 0.9, 0.8, 0.5, 0.3, 0.0, -0.2, -0.5),
]
DAYS = np.array([_WINTER_DAY, _SUMMER_DAY, _BATTERY_DAY, _PUMPED_DAY])
WEEK = np.array([1.01, 1.02, 1.02, 1.02, 1.01, 0.96, 0.93])


class AuthorityGroup:
    """A group of authorities over a run of hours: their profiles as columns, and shared inputs."""

    def __init__(self, seed: int, atlas: Atlas, codes: Sequence[str], calendar: Calendar) -> None:
        self.seed, self.codes, self.calendar = seed, tuple(codes), calendar
        self.profiles: list[Profile] = [atlas.profile(code) for code in codes]
        self.size = column([profile.size for profile in self.profiles])
        self.steps = 10.0 ** column([profile.decimals for profile in self.profiles])
        self.latitude = np.array([profile.latitude for profile in self.profiles])
        self.longitude = np.array([profile.longitude for profile in self.profiles])
        self.generation_only = np.array([atlas.regions[code].generation_only for code in codes])
        zones = [atlas.regions[code].civil_time_zone for code in codes]
        self.local_hour, self.weekday = calendar.local(zones)
        summer = calendar.summer
        self.day = (1.0 - summer) * DAYS[0][self.local_hour] + summer * DAYS[1][self.local_hour]

    def wander(self, purpose: str, at: Sequence[int] | NDArray[np.intp], knot_hours: int) -> Floats:
        keys = keys_of(self.seed, purpose, [(self.codes[i],) for i in at])
        return wander(keys, self.calendar.periods, knot_hours)

    def uniform(self, purpose: str) -> Floats:
        keys = keys_of(self.seed, purpose, [(code,) for code in self.codes])
        return uniform(keys, self.calendar.periods)

    def rounded(self, values: Floats) -> Floats:
        result: Floats = np.rint(values * self.steps) / self.steps
        return result


def column(numbers: Sequence[float]) -> Floats:
    return np.array(numbers, dtype=np.float64).reshape(-1, 1)
