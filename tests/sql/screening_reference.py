"""The published screening of demand in NumPy, hour by hour: the reference for normalized.demand_screen.

Written from the description in Ruggles et al., "Developing reliable hourly electricity demand data through screening
and imputation", Sci Data 7, 155 (2020), https://doi.org/10.1038/s41597-020-0483-x, with the parameters of its code.
Unlike the model it knows the whole series: the median of all hours, and the spread of relative changes of all hours.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.object_]


def rolling_quantiles(values: Floats, before: int, after: int, quantiles: tuple[float, ...]) -> list[Floats]:
    """For each hour the quantiles (interpolated) of what is there from `before` hours before it to `after` after it."""
    padded = np.concatenate([np.full(before, np.nan), values, np.full(after, np.nan)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, before + after + 1)
    found = [np.full(len(values), np.nan) for _ in quantiles]
    for first in range(0, len(values), 4096):
        rows = np.sort(windows[first : first + 4096], axis=1)  # NaN last
        there = np.count_nonzero(~np.isnan(rows), axis=1)
        some = np.flatnonzero(there)
        for out, quantile in zip(found, quantiles, strict=True):
            place = quantile * (there[some] - 1)
            low = np.floor(place).astype(int)
            high = np.minimum(low + 1, there[some] - 1)
            out[first + some] = rows[some, low] + (place - low) * (rows[some, high] - rows[some, low])
    return found


def shifted(values: Floats, hours: int) -> Floats:
    """The values `hours` earlier (later where negative); NaN where there is none."""
    moved = np.full(len(values), np.nan)
    if hours >= 0:
        moved[hours:] = values[: len(values) - hours]
    else:
        moved[:hours] = values[-hours:]
    return moved


def interquartile(values: Floats, half: int) -> Floats:
    low, high = rolling_quantiles(values, half, half - 1, (0.25, 0.75))
    return high - low


def screen(demand: Floats, has_row: npt.NDArray[np.bool_]) -> Flags:
    """Flags of consecutive hours of one region; None where nothing is known against an hour.

    Args:
        demand: MWh, (hours,); NaN where there is none.
        has_row: False where the source has no row.
    """
    flags: Flags = np.full(len(demand), None, dtype=object)
    left = demand.astype(float)

    def flag(where: npt.NDArray[np.bool_], code: str) -> None:
        where = where & ~np.isnan(left)
        flags[where] = code
        left[where] = np.nan

    flags[~has_row] = "missing"
    flags[has_row & np.isnan(left)] = "no_value"
    flag(left <= 0, "negative_or_zero")
    flag((left == shifted(left, 1)) & (left == shifted(left, 2)), "identical_run")
    flag(left > 10 * np.nanmedian(left), "global_extreme")
    extreme = flags == "global_extreme"
    flag(np.append(extreme[1:], False) | np.append(False, extreme[:-1]), "global_extreme_neighbor")

    (short,) = rolling_quantiles(left, 24, 23, (0.5,))
    (long,) = rolling_quantiles(left, 240, 239, (0.5,))
    offset = left - short
    daily = np.sort([shifted(offset, 24 * day) for day in range(-10, 11)], axis=0)
    factor = 1 + _middle(daily) / long
    expected = short * factor
    offset_spread = interquartile(offset, 120)
    before, after = left - shifted(left, 1), left - shifted(left, -1)
    change_spread = interquartile(before, 120)
    ratio, long_ratio = left / expected, left / (long * factor)
    steps = ratio - shifted(ratio, 1)
    low, high = np.nanpercentile(steps, [25, 75])
    ratio_spread = float(high - low)
    deviation = np.maximum(abs(1 - ratio), abs(1 - long_ratio))

    with np.errstate(invalid="ignore"):
        flag(left > expected + 3.5 * offset_spread, "local_extreme_high")
        flag(left < expected - 2.5 * offset_spread, "local_extreme_low")
        limit = 2 * change_spread
        flag(((before > limit) & (after > limit)) | ((before < -limit) & (after < -limit)), "double_jump")

    for backwards in (False, True):
        hours = np.flatnonzero(~np.isnan(left))
        good = -1
        for hour in hours[::-1] if backwards else hours:
            if good < 0:
                good = hour
            elif (
                abs(left[good] - left[hour]) > 5 * change_spread[hour]
                and abs(ratio[good] - ratio[hour]) > 15 * ratio_spread
                and (backwards or not deviation[hour] < deviation[good])
            ):
                flags[hour] = "single_jump"
            else:
                good = hour
        left[flags == "single_jump"] = np.nan

    wrong = np.array([code not in (None, "missing", "no_value") for code in flags])
    places = np.flatnonzero(wrong)
    counts = np.convolve(wrong, np.ones(49, dtype=int), mode="same")
    crowded = counts / 49 >= 0.15
    for hour in np.flatnonzero(~wrong & (flags == None)):  # noqa: E711
        place = np.searchsorted(places, hour)
        if 0 < place < len(places):
            earlier, later = places[place - 1], places[place]
            near = hour - earlier <= 24 and later - hour <= 24 and later - earlier - 1 <= 24
            if near and crowded[max(0, hour - 23) : hour + 25].any():
                flags[hour] = "anomalous_region"
    return flags


def _middle(rows: Floats) -> Floats:
    """The median of each column of sorted rows, NaN last."""
    there = np.count_nonzero(~np.isnan(rows), axis=0)
    columns = np.arange(rows.shape[1])
    low, high = np.maximum(there - 1, 0) // 2, there // 2
    high = np.minimum(high, np.maximum(there - 1, 0))
    return np.where(there > 0, (rows[low, columns] + rows[high, columns]) / 2, np.nan)
