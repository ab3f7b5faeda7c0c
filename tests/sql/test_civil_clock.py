"""The civil clock of each region against recorded demand: at a clock change its morning moves by an hour, or not."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pytest

from energywh.regions import regions

CHANGES = (*(date(year, 3, day) for year, day in ((2016, 13), (2017, 12), (2018, 11))),
           *(date(year, 11, day) for year, day in ((2016, 6), (2017, 5), (2018, 4))))  # fmt: skip
MORNING = range(8, 18)  # hours of UTC in which people get up, from the Atlantic to the Pacific
BY_ANOTHER_CLOCK = {"MISO", "LGEE", "EPE", "PNM", "IPCO"}

Demand = dict[tuple[str, datetime], float]


@pytest.fixture(scope="module")
def demand(recorded: Path) -> Demand:
    rows = duckdb.sql(f"""
        select respondent, period_end_utc - interval 1 hour, d
        from '{recorded}/eia/truggles_demand-and-forecast_*.parquet' where d > 0 and month(period_end_utc) in (3,10,11)
    """).fetchall()
    return {(region, hour): float(value) for region, hour, value in rows}


def rise(demand: Demand, region: str, days: list[date]) -> np.ndarray | None:
    """Return the usual change from hour to hour in the mornings of the working days among `days`."""
    found = []
    for day in days:
        hours = [datetime(day.year, day.month, day.day, hour) for hour in MORNING]
        values = [demand[region, hour] for hour in hours if (region, hour) in demand]
        if day.weekday() < 5 and len(values) == len(MORNING):
            found.append(np.diff(np.log(values)))
    return np.median(found, axis=0) if len(found) > 2 else None


def changes_that_moved_it(demand: Demand, region: str) -> tuple[int, int]:
    """Return at how many clock changes the morning moved with the clock, and how many could be compared."""
    moved = compared = 0
    for change in CHANGES:
        before = rise(demand, region, [change - timedelta(days=n) for n in range(1, 7)])
        after = rise(demand, region, [change + timedelta(days=n) for n in range(1, 7)])
        if before is not None and after is not None:
            earlier, later = (after, before) if change.month == 3 else (before, after)
            with_it, without = abs(earlier[:-1] - later[1:]).mean(), abs(earlier - later)[1:-1].mean()
            moved, compared = moved + (with_it < without), compared + 1
    return moved, compared


@pytest.mark.parametrize(
    ("region", "expected"),
    [("MISO", (6, 6)), ("PNM", (6, 6)), ("LGEE", (6, 6)), ("EPE", (5, 6)), ("IPCO", (6, 6)),
     ("SRP", (0, 6)), ("AZPS", (0, 6))],
)  # fmt: skip
def test_the_morning_moves_with_the_civil_clock_where_that_has_summer_time(
    demand: Demand, region: str, expected: tuple[int, int]
) -> None:
    assert changes_that_moved_it(demand, region) == expected
    zone = ZoneInfo(regions()[region].civil_time_zone)
    shifts = {datetime(2018, month, 1, tzinfo=zone).utcoffset() for month in (1, 7)}
    assert (len(shifts) == 2) == (expected[0] > 3)


def test_only_those_whose_people_live_by_another_clock_have_one() -> None:
    assert {
        code for code, region in regions().items() if region.civil_time_zone != region.time_zone
    } == BY_ANOTHER_CLOCK
