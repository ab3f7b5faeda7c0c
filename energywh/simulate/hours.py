"""Hours as numbers (hours since 1970-01-01T00 UTC), their calendar, and the position of the sun.

A *period* is the number of the END of an hour, as EIA counts; the hour starts one earlier.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from energywh.simulate.noise import Floats, Hours

EPOCH = datetime(1970, 1, 1)
HOURS_A_YEAR = 365.2425 * 24
_PERIOD = re.compile(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?(?:T(\d\d)(?::?00)?)?")


def hour_number(moment: datetime) -> int:
    """Return the number of the last full hour at a moment (naive means UTC)."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return (moment - EPOCH) // timedelta(hours=1)


def parse_period(text: str) -> int:
    """Return the number of ``YYYY[-MM[-DD[THH]]]``; a missing part means the first (a bare date: T00).

    Raises:
        ValueError: the text is not such a period.
    """
    match = _PERIOD.fullmatch(text)
    if match is None or (match[4] and not match[3]):
        raise ValueError(f"{text!r} is not a period of the form YYYY-MM-DDTHH")
    year, month, day = (int(match[part] or 1) for part in (1, 2, 3))
    return hour_number(datetime(year, month, day) + timedelta(hours=int(match[4] or 0)))


def period_text(period: int) -> str:
    """Return a period as EIA writes it: ``2024-01-01T05``."""
    return (EPOCH + timedelta(hours=period)).strftime("%Y-%m-%dT%H")


@lru_cache(maxsize=64)
def _clock_changes(time_zone: str) -> tuple[Hours, Hours]:
    """Return the hours at which a zone's UTC offset changes, and the offsets before and after each."""
    zone = ZoneInfo(time_zone)

    def offset(hour: int) -> int:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
        shift = moment.astimezone(zone).utcoffset()
        return 0 if shift is None else round(shift / timedelta(hours=1))

    changes: list[int] = []
    first = hour_number(datetime(2010, 1, 1))
    offsets = [offset(first)]
    for day in range(first, hour_number(datetime(2050, 1, 1)), 24):
        if offset(day + 24) != offsets[-1]:
            changes.append(next(h for h in range(day, day + 25) if offset(h) != offsets[-1]))
            offsets.append(offset(day + 24))
    return np.array(changes, dtype=np.int64), np.array(offsets, dtype=np.int64)


def local_hours(time_zone: str, hours: Hours) -> Hours:
    """Return the numbers of UTC hours on a zone's wall clock."""
    changes, offsets = _clock_changes(time_zone)
    shifted: Hours = hours + offsets[np.searchsorted(changes, hours, side="right")]
    return shifted


class Calendar:
    """Calendar of a run of hours, the same for all regions. Arrays have shape (n,) unless stated."""

    def __init__(self, periods: Hours) -> None:
        self.periods = np.ascontiguousarray(periods, dtype=np.int64)
        self.starts = self.periods - 1

    def __len__(self) -> int:
        return len(self.periods)

    @cached_property
    def year_turn(self) -> Floats:
        """Elapsed fraction of the year, 0 at New Year."""
        return (self.starts / HOURS_A_YEAR) % 1.0

    @cached_property
    def years_since_2015(self) -> Floats:
        return self.starts / HOURS_A_YEAR - 45.0

    @cached_property
    def summer(self) -> Floats:
        """0 in mid January, 1 in mid July."""
        return 0.5 - 0.5 * np.cos(2 * np.pi * (self.year_turn - 0.04))

    @cached_property
    def spring(self) -> Floats:
        """1 at the end of May (snowmelt), 0 at the end of November."""
        return 0.5 + 0.5 * np.cos(2 * np.pi * (self.year_turn - 0.41))

    def local(self, zones: Sequence[str]) -> tuple[Hours, Hours]:
        """Return local hour of day and weekday (Monday 0) at the start of each hour, each (zones, n)."""
        distinct = sorted(set(zones))
        at = [distinct.index(zone) for zone in zones]
        local = np.stack([local_hours(zone, self.starts) for zone in distinct])
        hour, weekday = local % 24, (local // 24 + 3) % 7
        return hour[at], weekday[at]

    @cached_property
    def _sun(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Sine and cosine of declination and of the hour angle at Greenwich, in the middle of each hour.

        Declination and equation of time are the usual short forms of Spencer (1971) and Woolf (1968).
        """
        turn = 2 * np.pi * self.year_turn
        declination = np.radians(23.45) * np.sin(turn - 2 * np.pi * 80.0 / 365.0)
        minutes = 9.87 * np.sin(2 * (turn - 1.3927)) - 7.53 * np.cos(turn - 1.3927) - 1.5 * np.sin(turn - 1.3927)
        angle = 2 * np.pi * ((self.starts % 24 + 0.5 + minutes / 60.0) / 24.0 - 0.5)
        return np.sin(declination), np.cos(declination), np.sin(angle), np.cos(angle)

    def sun_height(self, latitudes: Floats, longitudes: Floats) -> Floats:
        """Return the sine of the sun's elevation in the middle of each hour, shape (places, n).

        Args:
            latitudes: degrees north, shape (places,).
            longitudes: degrees east, shape (places,).
        """
        phi, lam = np.radians(latitudes)[:, None], np.radians(longitudes)[:, None]
        sin_d, cos_d, sin_h, cos_h = self._sun
        hour = cos_h * np.cos(lam) - sin_h * np.sin(lam)
        height: Floats = np.sin(phi) * sin_d + np.cos(phi) * cos_d * hour
        return height
