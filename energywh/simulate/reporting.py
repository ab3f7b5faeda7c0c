"""The part of the grid's data that is public at a given time: late rows, gaps, nulls, absurd values, revisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from energywh.simulate.hours import parse_period
from energywh.simulate.noise import Floats, Hours, Words, as_uniform, draw, keys_of, mix

Mask = NDArray[np.bool_]

_LATE, _FILLED, _PRELIMINARY, _WITHDRAWN, _GAP, _NULL, _OUTLIER = range(7)


@dataclass(frozen=True)
class Reporting:
    """Reporting quality of the simulated authorities. Rates are shares of (series, hour), drawn by hash.

    Attributes:
        lag_hours: hours from the end of an hour to its first report (D, NG, TI, fuels).
        interchange_lag_hours: the same for interchange between pairs.
        forecast_hours: lead of the day-ahead forecast (DF) beyond the present hour.
        gap_rate: rows that never appear; half of them single, half in whole days of one series.
        null_rate: rows that never have a value.
        outlier_rate: absurd values that are never corrected.
        revision_rate: hours whose first report differs from the final one: 80 % have another value, 10 % no value,
            10 % no row.
        withdrawn_rate: rows that are withdrawn later.
        settle_hours: values no longer change this long after their first report was due.
        first_period: first period of the history; EIA's API v2 has none before 2019.
    """

    lag_hours: int = 0
    interchange_lag_hours: int = 24
    forecast_hours: int = 24
    gap_rate: float = 0.002
    null_rate: float = 0.002
    outlier_rate: float = 0.00002
    revision_rate: float = 0.03
    withdrawn_rate: float = 0.0
    settle_hours: int = 144
    first_period: int = parse_period("2019-01-01T00")

    def __post_init__(self) -> None:
        rates = (self.gap_rate, self.null_rate, self.outlier_rate, self.revision_rate, self.withdrawn_rate)
        if min(rates) < 0 or sum(rates) > 1:
            raise ValueError(f"reporting rates must be at least 0 and sum to 1 at most, not {rates}")
        if self.settle_hours < 3:
            raise ValueError(f"settle_hours must be at least 3, not {self.settle_hours}")

    def due(self, dataset: str, key: str) -> int:
        """Return the hours from a period to the first report of it; negative for forecasts."""
        if dataset == "interchange-data":
            return self.interchange_lag_hours
        return -self.forecast_hours if (dataset, key) == ("region-data", "DF") else self.lag_hours


def report(
    reporting: Reporting,
    seed: int,
    names: Sequence[tuple[str, ...]],
    *,
    due: NDArray[np.int64],
    periods: Hours,
    now: int,
    truth: Floats,
    present: Mask,
) -> tuple[Floats, Mask]:
    """Return the values and rows that are public at ``now``, each (series, hours).

    Args:
        names: identity of each series; with the seed and the period it determines all errors and revisions.
        due: hours from period to first report, (series, 1).
        truth: final values, (series, hours).
        present: True where a row exists.

    Returns:
        Values (NaN for null) and presence, as new arrays.
    """
    values = truth.copy()
    shown: Mask = present & (periods <= now - due) & (periods >= reporting.first_period)
    _drop_days(reporting, keys_of(seed, "lost day", names), periods, shown)

    revised = reporting.revision_rate
    shares = [revised * 0.1, revised * 0.1, revised * 0.8, reporting.withdrawn_rate]
    shares += [reporting.gap_rate / 2, reporting.null_rate, reporting.outlier_rate]
    bounds = np.cumsum(shares)
    words = draw(keys_of(seed, "report", names), periods)
    series, hour = np.nonzero(words < np.uint64(min(bounds[-1], 1.0 - 2.0**-53) * 2.0**64))
    if not len(series):
        return values, shown
    picked = words[series, hour]
    kind = np.searchsorted(bounds, as_uniform(picked), side="right")
    chance = as_uniform(mix(picked))
    delay = 2 + np.floor(as_uniform(mix(~picked)) ** 2 * (reporting.settle_hours - 2)).astype(np.int64)
    # The first report of a forecast is due before its hour; its revisions come after the hour, like all others.
    settled = now >= periods[hour] + np.maximum(due[series, 0], 0) + delay
    before = values[series, hour]

    def at(which: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        return series[which], hour[which]

    shown[at((kind == _GAP) | ((kind == _LATE) & ~settled) | ((kind == _WITHDRAWN) & settled))] = False
    values[at((kind == _NULL) | ((kind == _FILLED) & ~settled))] = np.nan
    first = (kind == _PRELIMINARY) & ~settled
    values[at(first)] = _first_guess(before[first], chance[first])
    absurd = kind == _OUTLIER
    values[at(absurd)] = _absurd(before[absurd], chance[absurd])
    return values, shown


def _drop_days(reporting: Reporting, keys: Words, periods: Hours, shown: Mask) -> None:
    if reporting.gap_rate <= 0 or not len(periods):
        return
    day = periods // 24
    first = int(day.min())
    days = np.arange(first, int(day.max()) + 1, dtype=np.int64)
    lost = as_uniform(draw(keys, days)) < reporting.gap_rate / 2
    for i in np.flatnonzero(lost.any(axis=1)):
        shown[i] &= ~lost[i, day - first]


def _first_guess(final: Floats, chance: Floats) -> Floats:
    """Return preliminary values: up to 15 % off, and never equal to the final ones."""
    guess: Floats = np.rint(final * (0.85 + 0.3 * chance))
    return np.where(guess == final, final + 1.0, guess)


def _absurd(final: Floats, chance: Floats) -> Floats:
    """Return values of the kinds seen in EIA-930: full registers, misplaced points, wrong signs, zeros."""
    kinds = [
        np.full_like(final, 2_147_480_000.0),
        final * 1000.0,
        final * -100.0,
        final * 10.0,
        np.zeros_like(final),
    ]
    which = np.floor(chance * len(kinds)).astype(np.intp)
    result: Floats = np.rint(np.choose(which, kinds))
    return result
