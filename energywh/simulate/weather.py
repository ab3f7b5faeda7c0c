"""The simulated weather of any place and hour.

Every number depends only on (seed, place, hour), so the cost of a slice is proportional to its length. Arrays have
shape (places, hours). Stamps are hour numbers; temperature, dew point, wind and cloud cover are at the stamp, radiation
and precipitation over the hour before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from energywh.simulate.hours import HOURS_A_YEAR, Calendar
from energywh.simulate.noise import Floats, Hours, keys_of, uniform, wander

COLDEST = 0.055  # of the year, towards the end of January
WARMEST_HOUR = 15.0  # solar time
CLEAR_SKY_W_PER_M2 = 1040.0  # with the sun overhead
DECIMALS = {
    "temperature_2m": 1,
    "dew_point_2m": 1,
    "wind_speed_10m": 2,
    "wind_speed_100m": 2,
    "shortwave_radiation": 1,
    "cloud_cover": 0,
    "precipitation": 2,
}


class Weather:
    """The simulated weather of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def observed(self, spots: Sequence[tuple[float, float]], stamps: Hours) -> dict[str, Floats]:
        """Return the observed weather by variable, each (places, hours).

        Args:
            spots: latitude and longitude of each place, degrees north and east.
            stamps: hour numbers.
        """
        return self._rounded(self._weather(spots, stamps, None))

    def forecast(self, spots: Sequence[tuple[float, float]], stamps: Hours, now: int) -> dict[str, Floats]:
        """Return the forecast made at hour ``now``; its error grows with the lead time."""
        return self._rounded(self._weather(spots, stamps, now))

    def _weather(self, spots: Sequence[tuple[float, float]], stamps: Hours, now: int | None) -> dict[str, Floats]:
        calendar = Calendar(stamps)  # its periods end at the stamp
        latitude = np.array([spot[0] for spot in spots])
        longitude = np.array([spot[1] for spot in spots])
        north = latitude[:, None] - 25.0
        doubt = 0.0 if now is None else 0.05 + 0.03 * np.clip((stamps - now) / 24.0, 0.0, 16.0)

        def noise(purpose: str, knot_hours: int) -> Floats:
            found = self._wander(purpose, spots, stamps, knot_hours)
            if now is not None:
                found = found + doubt * self._wander(f"{purpose} doubt", spots, stamps, knot_hours)
            return found

        season = -np.cos(2 * np.pi * (stamps / HOURS_A_YEAR - COLDEST))
        by_sun = stamps % 24 + longitude[:, None] / 15.0
        day = np.cos(2 * np.pi * (by_sun - WARMEST_HOUR) / 24.0)
        cloud = np.clip(42.0 + 45.0 * noise("cloud", 19), 0.0, 100.0)
        clear = 1.0 - cloud / 100.0

        temperature = 25.0 - 0.68 * north + (4.0 + 0.42 * north) * season + (2.5 + 4.0 * clear) * day
        temperature += 3.2 * noise("front", 70) + 1.8 * noise("spell", 330) + 0.4 * noise("gust", 3)
        dew_point = temperature - 1.0 - 14.0 * clear * (0.6 + 0.2 * np.abs(noise("dry", 80)))
        wind = np.abs(3.6 + 1.9 * noise("wind", 13) + 0.5 * noise("squall", 2))
        aloft = wind * (1.5 + 0.12 * noise("shear", 9)) + 0.3
        sun = np.maximum(0.0, calendar.sun_height(latitude, longitude))
        radiation = CLEAR_SKY_W_PER_M2 * sun**1.15 * (1.0 - 0.75 * (cloud / 100.0) ** 3.4)
        shower = uniform(keys_of(self.seed, "shower", _names(spots)), stamps) ** 4
        rain = np.clip((cloud - 65.0) / 35.0, 0.0, 1.0) * shower * 9.0
        return {
            "temperature_2m": temperature,
            "dew_point_2m": dew_point,
            "wind_speed_10m": wind,
            "wind_speed_100m": aloft,
            "shortwave_radiation": radiation,
            "cloud_cover": cloud,
            "precipitation": rain,
        }

    def _wander(self, purpose: str, spots: Sequence[tuple[float, float]], stamps: Hours, knot_hours: int) -> Floats:
        return wander(keys_of(self.seed, purpose, _names(spots)), stamps, knot_hours)

    @staticmethod
    def _rounded(weather: dict[str, Floats]) -> dict[str, Floats]:
        return {name: np.round(values, DECIMALS[name]) + 0.0 for name, values in weather.items()}


def _names(spots: Sequence[tuple[float, float]]) -> list[tuple[str, str]]:
    return [(f"{latitude:.2f}", f"{longitude:.2f}") for latitude, longitude in spots]
