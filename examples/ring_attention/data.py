"""The inputs of the forecaster: what was known a day before each hour; and two other forecasts for comparison.

With horizon 0, the target of row i is the hour after it. So each row holds what is known 24 hours before *that* hour,
and the calendar of that hour: every hour of a sequence is a forecast made a day ahead, and all of them train the model
at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import mlx.core as mx
import numpy as np

import energywh
from energywh.datasets.windows.splits import Splits
from energywh.datasets.windows.windows import Windows

QUERY = """
select
    region,
    hour_utc,
    -- of this hour: the target, and two forecasts to compare with: the authority's own, and the same hour last week
    grid.demand_clean_mwh,
    grid.demand_forecast_mwh,
    lag(grid.demand_screened_mwh, 168) over hours as last_week_mwh,
    -- for the hour after this one
    lag(grid.demand_screened_mwh, 23) over hours as demand_1_day_before_mwh,
    lag(grid.demand_screened_mwh, 47) over hours as demand_2_days_before_mwh,
    lag(grid.demand_screened_mwh, 167) over hours as demand_7_days_before_mwh,
    lag(grid.temperature_c, 23) over hours as temperature_1_day_before_c,
    lead(calendar.hour_sin) over hours as hour_sin,
    lead(calendar.hour_cos) over hours as hour_cos,
    lead(calendar.week_sin) over hours as week_sin,
    lead(calendar.week_cos) over hours as week_cos,
    lead(calendar.year_sin) over hours as year_sin,
    lead(calendar.year_cos) over hours as year_cos,
    lead(calendar.is_weekend::int) over hours as is_weekend,
    lead(calendar.is_holiday::int) over hours as is_holiday
from normalized.grid as grid
join features.calendar as calendar using (region, hour_utc)
window hours as (partition by region order by hour_utc)
"""
DEMAND = ("demand_1_day_before_mwh", "demand_2_days_before_mwh", "demand_7_days_before_mwh")
TEMPERATURE = ("temperature_1_day_before_c",)
CALENDAR = ("hour_sin", "hour_cos", "week_sin", "week_cos", "year_sin", "year_cos", "is_weekend", "is_holiday")
KNOWN = DEMAND + TEMPERATURE  # may be missing, and are scaled; the calendar is neither
TARGETS = ("demand_clean_mwh", "demand_forecast_mwh", "last_week_mwh")
LAST_WEEK = KNOWN.index("demand_7_days_before_mwh")
INPUTS = len(KNOWN) + len(CALENDAR) + len(KNOWN)  # with a mask for each


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of each region's demand and temperature, from the hours of train alone."""

    regions: tuple[str, ...]
    mean: np.ndarray  # (regions, known columns)
    deviation: np.ndarray

    def inputs(self, batch: Any) -> mx.array:
        """Return (B, n, INPUTS): known values scaled and 0 where missing, the calendar, and whether each is known."""
        mean, deviation = self._of(batch)
        known = batch.mask[..., : len(KNOWN)].astype(mx.float32)
        scaled = (batch.inputs[..., : len(KNOWN)] - mean) / deviation
        return mx.concatenate([scaled * known, batch.inputs[..., len(KNOWN) :], known], axis=-1)

    def target(self, batch: Any) -> mx.array:
        """Return (B, n) demand, scaled."""
        mean, deviation = self._of(batch)
        return (batch.targets[..., 0] - mean[..., 0]) / deviation[..., 0]

    def to_mwh(self, forecast: mx.array, batch: Any) -> np.ndarray:
        """Return a forecast of the model in MWh."""
        mean, deviation = self._of(batch)
        return np.asarray(forecast * deviation[..., 0] + mean[..., 0])

    def _of(self, batch: Any) -> tuple[mx.array, mx.array]:
        places = [self.regions.index(region) for region in batch.regions.tolist()]
        return mx.array(self.mean[places])[:, None], mx.array(self.deviation[places])[:, None]


def load(
    warehouse: energywh.Warehouse, regions: list[str] | None, length: int, test_since: datetime | None
) -> tuple[Windows, Windows, Scale, datetime]:
    """Return windows to train on, windows to test on, how to scale them, and when the test begins.

    Test windows overlap by half: each hour is judged once, in a second half, after enough hours of context.
    """
    if test_since is None:  # the last quarter
        first, last = warehouse.sql("select min(hour_utc), max(hour_utc) from normalized.grid").fetchall()[0]
        test_since = (first + 0.75 * (last - first)).replace(minute=0, second=0, microsecond=0)

    def cut(stride: int) -> Splits[Windows]:
        return warehouse.windows(
            QUERY,
            regions=regions,
            features=KNOWN + CALENDAR,
            target=TARGETS,
            length=length,
            stride=stride,
            splits=test_since,  # the purge before it is as long as the repair of demand looks ahead
        )

    train, test = cut(24).train, cut(length // 2).test
    end = train.starts["hour_utc"].max() + length + 1  # of its last targets
    return train, test, scale_before(warehouse, train.regions, end.item()), test_since


def scale_before(warehouse: energywh.Warehouse, regions: tuple[str, ...], end: datetime) -> Scale:
    """Measure the scale of each region on the hours before ``end``."""
    rows = warehouse.sql(
        """
        select region, avg(demand_clean_mwh), stddev(demand_clean_mwh), avg(temperature_c), stddev(temperature_c)
        from normalized.grid where hour_utc < ? group by region
        """,
        [end],
    ).fetchall()
    found = {region: values for region, *values in rows}
    table = np.array([[value if value is not None else np.nan for value in found[region]] for region in regions])
    columns = [0] * len(DEMAND) + [2] * len(TEMPERATURE)
    mean, deviation = table[:, columns], table[:, [column + 1 for column in columns]]
    # The temperatures of a region without weather are all missing, so their scale does not matter.
    return Scale(
        regions,
        np.nan_to_num(mean).astype(np.float32),
        np.where(deviation > 0, deviation, 1).astype(np.float32),
    )
