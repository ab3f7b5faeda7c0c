"""Which data are public when: gaps, nulls, late rows, and revisions that appear with the clock and then stay."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energywh.simulate.backend import SimulatedBackend
from energywh.simulate.grid import Grid
from energywh.simulate.hours import parse_period
from energywh.simulate.reporting import Reporting
from tests.support.examples import examples

NOW = parse_period("2025-03-01T00")
GRID = Grid(seed=5)
Rows = dict[tuple[int, str, str], float | None]


def public(
    now: int,
    route: str = "region-data",
    hours: int = 600,
    reporting: Reporting | None = None,
    region: str = "CISO",
) -> Rows:
    """Return the rows of a region for the hours up to the first ``NOW`` as they are public at ``now``."""
    backend = SimulatedBackend(GRID, lambda: now, reporting or Reporting())
    facet = "fromba" if route == "interchange-data" else "respondent"
    answer = backend.query(route, {facet: [region]}, NOW - hours + 1, NOW + 48)
    values = [None if np.isnan(value) else value for value in answer.value.tolist()]
    keys = [(period, *answer.labels[s].codes) for period, s in zip(answer.period, answer.series, strict=True)]
    return dict(zip(keys, values, strict=True))


@pytest.mark.parametrize("route", ["region-data", "fuel-type-data", "interchange-data"])
def test_values_are_revised_as_the_clock_advances_and_never_after_they_settle(route: str) -> None:
    first, week, year = (public(NOW + later, route) for later in (0, 168 + 24, 8760))
    old = {key for key in first if key[0] <= NOW - 170}
    changed = [key for key in first if key[0] > NOW - 144 and key[0] <= NOW and first[key] != week.get(key)]
    assert changed
    assert {key for key in year if key[0] <= NOW} == {key for key in week if key[0] <= NOW}
    assert all(year[key] == week[key] for key in week if key[0] <= NOW)
    assert all(first[key] == year[key] for key in old)


def test_about_the_set_share_is_revised() -> None:
    quiet = Reporting(gap_rate=0, null_rate=0, outlier_rate=0, revision_rate=0.03)
    hours = 24 * 400
    backend = SimulatedBackend(GRID, lambda: NOW, quiet)
    periods = range(NOW - hours, NOW)
    settled = backend.query("region-data", {"respondent": ["PJM"], "type": ["D"]}, periods[0], periods[-1])
    plain = SimulatedBackend(GRID, lambda: NOW, dataclasses.replace(quiet, revision_rate=0.0))
    final = plain.query("region-data", {"respondent": ["PJM"], "type": ["D"]}, periods[0], periods[-1])
    assert len(settled.value) == pytest.approx(len(final.value), abs=30)
    differing = 0
    for period in range(NOW - 2400, NOW):
        early = SimulatedBackend(GRID, partial(int, period + 1), quiet)
        row = early.query("region-data", {"respondent": ["PJM"], "type": ["D"]}, period, period)
        truth = final.value[period - periods[0]]
        differing += len(row.value) != 1 or row.value[0] != truth
    assert 0.02 < differing / 2400 < 0.04


def test_some_rows_come_late_and_some_nulls_are_filled() -> None:
    reporting = Reporting(revision_rate=0.2, gap_rate=0, null_rate=0)
    first, later = public(NOW, reporting=reporting), public(NOW + 200, reporting=reporting)
    past = [key for key in later if key[0] <= NOW]
    assert any(key not in first for key in past)
    assert any(key in first and first[key] is None and later[key] is not None for key in past)
    assert any(key in first and first[key] not in (None, later[key]) for key in past)


def test_rows_can_be_withdrawn() -> None:
    reporting = Reporting(withdrawn_rate=0.1, gap_rate=0, revision_rate=0)
    first, later = public(NOW, reporting=reporting), public(NOW + 200, reporting=reporting)
    assert set(first) - set(later)


def test_only_the_forecast_reaches_beyond_now_and_interchange_lags() -> None:
    calm = Reporting(gap_rate=0, null_rate=0, outlier_rate=0, revision_rate=0, interchange_lag_hours=30)
    rows = public(NOW, reporting=calm)
    last = {name: max(key[0] for key in rows if key[2] == name) for name in ("D", "DF", "NG", "TI")}
    assert last == {"D": NOW, "DF": NOW + 24, "NG": NOW, "TI": NOW}
    assert max(key[0] for key in public(NOW, "fuel-type-data", reporting=calm)) == NOW
    assert max(key[0] for key in public(NOW, "interchange-data", reporting=calm)) == NOW - 30


def test_gaps_and_nulls_and_absurd_values_come_at_their_rates() -> None:
    hours = 24 * 365
    calm = Reporting(gap_rate=0, null_rate=0, outlier_rate=0, revision_rate=0)
    whole = public(NOW + 500, hours=hours, reporting=calm)
    rough = public(
        NOW + 500,
        hours=hours,
        reporting=dataclasses.replace(calm, gap_rate=0.02, null_rate=0.01, outlier_rate=0.002),
    )
    assert 0.01 < 1 - len(rough) / len(whole) < 0.03
    assert 0.007 < sum(value is None for value in rough.values()) / len(whole) < 0.013
    other = sum(value is not None and value != whole[key] for key, value in rough.items())
    assert 0.001 < other / len(whole) < 0.003


def test_nothing_comes_before_the_history_begins() -> None:
    late = dataclasses.replace(Reporting(), first_period=NOW - 10)
    assert min(key[0] for key in public(NOW, reporting=late)) == NOW - 10


@pytest.mark.parametrize("wrong", [{"gap_rate": -0.1}, {"null_rate": 0.9, "gap_rate": 0.9}, {"settle_hours": 1}])
def test_impossible_rates_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Reporting(**wrong)  # type: ignore[arg-type]


@settings(max_examples=examples(20), deadline=None)
@given(
    first=st.integers(0, 2000),
    length=st.integers(1, 400),
    route=st.sampled_from(["region-data", "fuel-type-data", "interchange-data"]),
)
def test_a_query_equals_the_same_part_of_a_longer_query(first: int, length: int, route: str) -> None:
    backend = SimulatedBackend(GRID, lambda: NOW)
    facet = "fromba" if route == "interchange-data" else "respondent"
    start = NOW - 2400
    whole = backend.query(route, {facet: ["CISO"]}, start, NOW)
    part = backend.query(route, {facet: ["CISO"]}, start + first, min(NOW, start + first + length))
    inside = (whole.period >= start + first) & (whole.period <= min(NOW, start + first + length))
    np.testing.assert_array_equal(part.period, whole.period[inside])
    np.testing.assert_array_equal(part.value, whole.value[inside])
    assert [part.labels[s].codes for s in part.series] == [whole.labels[s].codes for s in whole.series[inside]]


@pytest.mark.parametrize("route", ["region-data", "fuel-type-data", "interchange-data"])
def test_bulk_rows_are_the_rows_that_are_served(route: str) -> None:
    backend = SimulatedBackend(GRID, lambda: NOW)
    table = backend.rows(route.replace("-", "_"), ["PACW"], NOW - 500, NOW)
    facet = "fromba" if route == "interchange-data" else "respondent"
    answer = backend.query(route, {facet: ["PACW"]}, NOW - 500, NOW)
    assert table.num_rows == len(answer.period)
    hours = pc.cast(table["period"], "int64").to_numpy() // 3_600_000_000
    np.testing.assert_array_equal(hours, answer.period)
    np.testing.assert_array_equal(table["value"].to_numpy(), answer.value)
    assert table.column(2).to_pylist() == [answer.labels[s].codes[1] for s in answer.series]


def test_bulk_rows_of_nothing_have_the_columns() -> None:
    backend = SimulatedBackend(GRID, lambda: NOW)
    table = backend.rows("eia.fuel_type_data".removeprefix("eia."), ["GRMA"], NOW - 10, NOW)
    assert table.column_names == ["period", "respondent", "fueltype", "value"]
    assert table.num_rows == 0


def test_an_aggregate_is_the_sum_of_its_members() -> None:
    calm = Reporting(gap_rate=0, null_rate=0, outlier_rate=0, revision_rate=0)
    members = [public(NOW, reporting=calm, hours=48, region=code) for code in GRID.atlas.members("CAR")]
    whole = public(NOW, reporting=calm, hours=48, region="CAR")
    for period in (NOW - 40, NOW - 1):
        for name in ("D", "NG", "TI"):
            parts = [value for rows in members for key, value in rows.items() if key[0] == period and key[2] == name]
            assert whole[period, "CAR", name] == pytest.approx(sum(value or 0.0 for value in parts))
