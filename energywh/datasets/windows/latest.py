"""The latest hours of some regions, for inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from energywh.core.arguments import whole_number
from energywh.core.time import HOUR, hour_time, utc_now
from energywh.core.wording import count
from energywh.datasets.windows.backends import Arrays, arrays
from energywh.datasets.windows.load import Wanted, load
from energywh.datasets.windows.matrix import Frame, check_range
from energywh.datasets.windows.source import bind
from energywh.datasets.windows.spec import named_regions
from energywh.errors import WindowError

if TYPE_CHECKING:
    import duckdb


# Newest rows of a region in which its last complete hour is searched, and that define what it reports lately: a week of
# late values, plus the three days for which rows may hold nothing but the day-ahead forecast.
LATE_HOURS = 168 + 72
EVER_HOURS = 10_000_000  # longer than any history, and still an interval to DuckDB


@dataclass(frozen=True)
class Context:
    """The latest complete hours of R regions, H hours and F features.

    Attributes:
        inputs: (R, H, F), missing values 0; as the source has them, or scaled if a scaler was given.
        mask: (R, H, F) booleans, True where the source has the value; hours before a region's history are False.
        regions: (R,) codes, in the order asked for.
        columns: (F,) features.
        hours: (R,) last hour of each region, UTC (datetime64[h], start of the hour).
        age_hours: (R,) hours from the end of that hour to now.
    """

    inputs: Any
    mask: Any
    regions: tuple[str, ...]
    columns: tuple[str, ...]
    hours: NDArray[np.datetime64]
    age_hours: NDArray[np.float64]


class Scales(Protocol):
    """Scales values as those of a training set were, such as `energywh.datasets.windows.scaler.Scaler`."""

    def transform(self, values: Any, *, columns: Any, regions: Any, mask: Any) -> Any:
        """Return ``values`` (hours, columns) of one region scaled; 0 where the mask is False."""


@dataclass(frozen=True)
class ColumnSummary:
    """One column over the hours of one region; None where it has no value. ``missing`` counts hours."""

    name: str
    last: float | None
    mean: float | None
    least: float | None
    greatest: float | None
    missing: int


@dataclass(frozen=True)
class RegionSummary:
    """The hours of one region, UTC; ``there`` is the share of values that are not missing."""

    region: str
    first_hour: datetime
    last_hour: datetime
    age_hours: float
    there: float
    columns: list[ColumnSummary]


def summaries(context: Context) -> list[RegionSummary]:
    """Return a summary of the context by region."""
    values, mask = np.asarray(context.inputs, np.float64), np.asarray(context.mask)
    found = []
    for place, region in enumerate(context.regions):
        columns = []
        for number, name in enumerate(context.columns):
            there = mask[place, :, number]
            known = values[place, there, number]
            last = float(values[place, -1, number]) if there[-1] else None
            mean, least, greatest = (float(of(known)) if len(known) else None for of in (np.mean, np.min, np.max))
            columns.append(ColumnSummary(name, last, mean, least, greatest, int((~there).sum())))
        last_hour = hour_time(int(context.hours[place].astype(np.int64)))
        first_hour = last_hour - (mask.shape[1] - 1) * HOUR
        age = float(context.age_hours[place])
        found.append(RegionSummary(region, first_hour, last_hour, age, float(mask[place].mean()), columns))
    return found


def latest(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    library: Arrays,
    *,
    hours: int,
    regions: Sequence[str] | str | None,
    features: Sequence[str] | str | None,
    scaler: Scales | None,
    now: datetime | None,
) -> Context:
    """Take the context, as arrays of ``library``; `energywh.Warehouse.context` documents the arguments and errors."""
    hours = whole_number(hours, "hours", 1)
    bound = bind(connection, source)
    wanted = Wanted(named_regions(regions), bound.features(features), newest=LATE_HOURS + min(hours, EVER_HOURS))
    # Loaded into NumPy: the rows are few, and each region ends at another hour.
    frame = load(connection, bound, wanted, arrays("numpy", "float32"))
    regions_found = len(frame.axis.regions)
    ends = [_complete(frame, region) for region in range(regions_found)]
    complete = [end - int(frame.axis.offset[region]) for region, end in enumerate(ends)]
    if max(complete) < hours:
        most = complete.index(max(complete))
        raise WindowError(
            f"no region of {bound.name} has {count(hours, 'hour')} up to its last complete one; the most are "
            f"{complete[most]:,}, of {frame.axis.regions[most]}: ask for no more"
        )
    width = len(frame.features.columns)
    shape = (regions_found, hours, width)
    inputs, view = library.allocate(shape)
    mask, present = library.mask(shape)
    present[:] = False
    last = np.empty(regions_found, np.int64)
    for region in range(regions_found):
        start, end = int(frame.axis.offset[region]), ends[region]
        first = max(end - hours, start)
        there = frame.features.missing.present(first, end - first)
        values = frame.features.values[first:end]
        if scaler is not None:
            name = frame.axis.regions[region]
            values = scaler.transform(values, columns=frame.features.columns, regions=name, mask=there)
        check_range(frame.features.columns, values, view.dtype)
        view[region, hours - (end - first) :] = values
        present[region, hours - (end - first) :] = there
        last[region] = frame.axis.first_hour[region] + end - 1 - start
    moment = now if now is not None else utc_now()
    age = [(moment - hour_time(int(hour) + 1)) / HOUR for hour in last]
    return Context(
        library.settle(inputs),
        mask,
        frame.axis.regions,
        frame.features.columns,
        last.view("datetime64[h]"),
        np.array(age, np.float64),
    )


def _complete(frame: Frame, region: int) -> int:
    """Return the row after a region's last complete hour.

    Complete is the newest hour up to which every feature has arrived that the region reported at all in its newest
    `LATE_HOURS` rows: sources are late by different delays, and what a region never reports must not hold it up.
    """
    start, end = int(frame.axis.offset[region]), int(frame.axis.offset[region + 1])
    first = max(end - LATE_HOURS, start)
    there = frame.features.missing.present(first, end - first)
    reported = there.any(axis=0)
    if not reported.any():
        return end
    newest = (end - first) - np.argmax(there[::-1], axis=0)  # row after each feature's newest value
    return first + int(newest[reported].min())
