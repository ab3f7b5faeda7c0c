"""The repair of demand at the limits of its data, on invented series of fourteen weeks."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from tests.sql.model_files import MODELS, build, load_seeds, warehouse

FIRST = datetime(2024, 3, 1)
HOURS = 24 * 98
MID = 24 * 46 + 9  # an hour in the middle of the series

Series = dict[str, NDArray[np.float64]]
Filled = dict[int, tuple[float, str, int]]  # by hour: MWh, code, hours of the gap


def demand(level: float = 1000.0, seed: int = 0) -> NDArray[np.float64]:
    """A day, a week, weather that the whole country has, and a little that only this region has."""
    hour = np.arange(HOURS)
    day = 0.2 * np.sin(2 * np.pi * hour / 24) + 0.05 * np.sin(4 * np.pi * hour / 24)
    week = np.where(hour // 24 % 7 >= 5, -0.08, 0.0)
    weather = 0.06 * np.sin(2 * np.pi * hour / 111.7) + 0.04 * np.sin(2 * np.pi * hour / 531.1)
    own = np.random.default_rng(seed).normal(0, 0.003, HOURS)
    return np.asarray(level * np.exp(day + week + weather + own))


def hidden(series: NDArray[np.float64], *gaps: tuple[int, int]) -> NDArray[np.float64]:
    """`series` with gaps, each from an hour and so many hours long."""
    left = series.copy()
    for start, hours in gaps:
        left[start : start + hours] = np.nan
    return left


def repair(
    known: Series,
    forecast: Series | None = None,
    *,
    flagged_value: float | None = None,
    only: range = range(HOURS),
) -> dict[str, Filled]:
    """What normalized.demand_repair makes of series in which NaN is flagged, with any value of `flagged_value`."""
    con = warehouse()
    load_seeds(con)
    stamps = [FIRST + timedelta(hours=hour) for hour in range(HOURS)]
    for region, series in known.items():
        rows = pa.table({"hour_utc": stamps, "known": pa.array(series, from_pandas=True)})
        rows = rows.append_column(
            "forecast", pa.array((forecast or {}).get(region, np.full(HOURS, np.nan)), from_pandas=True)
        )
        con.register("rows", rows.slice(only.start, len(only)))
        value = "null" if flagged_value is None else str(flagged_value)
        screen = (
            f"select '{region}' as region, hour_utc, coalesce(known, {value})::double as demand_mwh, "
            "if(known is null, 'missing', null) as demand_flag from rows"
        )
        report = f"select '{region}' as region, hour_utc, null::double as demand_mwh, forecast as demand_forecast_mwh "
        report += "from rows"
        for name, sql in (("demand_screen", screen), ("demand_reported", report)):
            con.execute(f"create table if not exists normalized.{name} as {sql} limit 0")
            con.execute(f"insert into normalized.{name} {sql}")
        con.unregister("rows")
    build(con, "normalized.demand_repair")
    found: dict[str, Filled] = {region: {} for region in known}
    for region, hour, mwh, code, hours in con.execute(
        """
        select region, date_diff('hour', ?::timestamp, hour_utc), demand_repaired_mwh, demand_repair, demand_gap_hours
        from normalized.demand_repair
    """,
        [FIRST],
    ).fetchall():
        found[region][hour] = (mwh, code, hours)
    return found


def error(filled: Filled, truth: NDArray[np.float64]) -> float:
    """Largest error of the filled values, as a share of the truth."""
    return max(abs(mwh / truth[hour] - 1) for hour, (mwh, _, _) in filled.items())


def hours(start: int, count: int) -> set[int]:
    return set(range(start, start + count))


@pytest.mark.parametrize("length", [1, 6, 24, 72, 168])
def test_a_gap_is_filled_near_the_truth_from_the_region_alone(length: int) -> None:
    truth = demand()
    filled = repair({"CISO": hidden(truth, (MID, length))})["CISO"]
    assert filled.keys() == hours(MID, length)
    assert {(code, gap) for _, code, gap in filled.values()} == {("profile", length)}
    assert error(filled, truth) < (0.02 if length == 1 else 0.15)


@pytest.mark.parametrize(("length", "filled_hours"), [(168, 168), (169, 0)])
def test_a_gap_of_more_than_a_week_stays_open(length: int, filled_hours: int) -> None:
    assert len(repair({"CISO": hidden(demand(), (MID, length))})["CISO"]) == filled_hours


def test_nothing_is_filled_beyond_the_first_and_the_last_good_value() -> None:
    """Flagged hours at the ends of what a region reports have no good value on one side."""
    filled = repair({"CISO": hidden(demand(), (0, 2), (MID, 1), (HOURS - 3, 3))})["CISO"]
    assert filled.keys() == {MID}


def test_gaps_a_few_hours_apart_are_both_filled() -> None:
    truth = demand()
    filled = repair({"CISO": hidden(truth, (MID, 5), (MID + 6, 3), (MID + 12, 20))})["CISO"]
    assert filled.keys() == hours(MID, 5) | hours(MID + 6, 3) | hours(MID + 12, 20)
    assert {filled[hour][2] for hour in (MID, MID + 6, MID + 12)} == {5, 3, 20}
    assert error(filled, truth) < 0.1


def test_a_gap_whose_weeks_before_and_after_are_gaps_too_is_filled_from_the_weeks_beyond() -> None:
    truth = demand()
    filled = repair({"CISO": hidden(truth, (MID, 12), (MID - 168, 12), (MID + 168, 12))})["CISO"]
    assert hours(MID, 12) <= filled.keys()
    assert error(filled, truth) < 0.15


def test_without_weeks_to_go_by_three_hours_are_bridged_and_four_stay_open() -> None:
    """At the beginning of a history in which the weeks after are missing."""
    truth = demand()
    gone = hidden(truth, (100, 3), (120, 4), (150, 169), (380, 1900))
    filled = repair({"CISO": gone})["CISO"]
    assert filled.keys() == hours(100, 3)
    assert {code for _, code, _ in filled.values()} == {"interpolated"}
    assert all(min(truth[99], truth[103]) <= mwh <= max(truth[99], truth[103]) for mwh, _, _ in filled.values())


def test_what_a_flagged_hour_holds_is_never_used() -> None:
    """Absurd flagged values change nothing at an end, a week or a day away, or at a neighbor."""
    known = {
        "CISO": hidden(demand(), (MID, 7), (MID - 168, 2), (MID + 24, 2), (MID + 9, 1)),
        "BPAT": hidden(demand(seed=1), (MID + 2, 3)),
    }
    without = repair(known)
    assert without["CISO"]
    for absurd in (2_147_480_000.0, -5.0, 1.0):
        assert repair(known, flagged_value=absurd) == without


def test_an_absurd_value_that_has_no_flag_does_not_carry_the_estimate_away() -> None:
    """An absurd value a week before, in a day beside, in the forecast or at a neighbor has little effect."""
    truth, neighbor = demand(), demand(seed=1)
    known, others, forecast = hidden(truth, (MID, 6)), {"BPAT": neighbor}, {"CISO": demand(seed=2)}
    spoilt = []
    for hour in (MID + 2 - 168, MID + 2 + 24):
        spoilt.append(({"CISO": known.copy(), **others}, forecast))
        spoilt[-1][0]["CISO"][hour] *= 9
    spoilt.append(({"CISO": known, "BPAT": neighbor.copy()}, forecast))
    spoilt[-1][0]["BPAT"][MID + 2] *= 1000
    spoilt.append(({"CISO": known, **others}, {"CISO": forecast["CISO"].copy()}))
    spoilt[-1][1]["CISO"][MID + 40] *= 1000
    for series, foreseen in spoilt:
        filled = repair(series, foreseen)["CISO"]
        assert filled.keys() == hours(MID, 6)
        assert error(filled, truth) < 0.25


@pytest.mark.parametrize("end", [MID - 1, MID + 6])
def test_an_end_that_does_not_go_with_the_hour_beyond_it_is_not_followed(end: int) -> None:
    """An outage begins or ends within an hour, of which only a part was counted."""
    truth = demand()
    known = hidden(truth, (MID, 6))
    known[end] *= 0.6
    assert error(repair({"CISO": known})["CISO"], truth) < 0.05


def test_neighbors_and_a_good_forecast_each_make_it_better() -> None:
    truth = demand()
    known = hidden(truth, (MID, 72))
    neighbors: Series = {"BPAT": demand(5000, seed=1), "LDWP": demand(300, seed=2)}
    forecast: Series = {"CISO": demand(1100, seed=3)}  # always a tenth too high: that is learnt
    by = {
        "profile": repair({"CISO": known}),
        "profile_neighbors": repair({"CISO": known, **neighbors}),
        "profile_forecast": repair({"CISO": known}, forecast),
        "profile_forecast_neighbors": repair({"CISO": known, **neighbors}, forecast),
    }
    for code, filled in by.items():
        assert {each[1] for each in filled["CISO"].values()} == {code}
    errors = {code: error(filled["CISO"], truth) for code, filled in by.items()}
    assert max(errors["profile_neighbors"], errors["profile_forecast"]) < errors["profile"] / 2
    assert errors["profile_forecast_neighbors"] < 0.02


def test_a_forecast_that_says_nothing_about_demand_gets_no_weight() -> None:
    truth = demand()
    known = hidden(truth, (MID, 24))
    noise = 1000 * np.exp(np.random.default_rng(5).normal(0, 0.3, HOURS))
    alone, misled = repair({"CISO": known})["CISO"], repair({"CISO": known}, {"CISO": noise})["CISO"]
    assert max(abs(misled[hour][0] / alone[hour][0] - 1) for hour in alone) < 0.03


def test_neighbors_and_forecast_are_left_out_of_a_gap_of_which_they_miss_an_hour() -> None:
    truth = demand()
    known = {"CISO": hidden(truth, (MID, 6)), "BPAT": hidden(demand(seed=1), (MID + 3, 1))}
    forecast = {"CISO": hidden(demand(seed=2), (MID + 5, 1))}
    assert {each[1] for each in repair(known, forecast)["CISO"].values()} == {"profile"}


def test_neighbors_and_forecast_that_never_spoke_together_are_not_both_used() -> None:
    """The correlation of both is unknown: neighbors are used alone, so that the forecast does not count twice."""
    truth = demand()
    neighbor = hidden(demand(seed=1), (0, MID - 10))
    forecast = hidden(demand(seed=2), (MID + 16, HOURS))
    filled = repair({"CISO": hidden(truth, (MID, 6)), "BPAT": neighbor}, {"CISO": forecast})["CISO"]
    assert {each[1] for each in filled.values()} == {"profile_neighbors"}
    assert error(filled, truth) < 0.03


def test_demand_of_a_few_mwh_in_whole_numbers_is_filled_and_stays_above_zero() -> None:
    truth = np.maximum(1, np.round(demand(2.0)))
    filled = repair({"HST": hidden(truth, (MID, 30), (MID + 100, 1))})["HST"]
    assert filled.keys() == hours(MID, 30) | {MID + 100}
    assert all(0.5 < mwh < 5 for mwh, _, _ in filled.values())


def test_an_hour_at_zero_does_not_end_a_gap() -> None:
    """Zero demand is flagged; if one is not, its logarithm must not reach any result."""
    known = hidden(demand(), (MID, 3))
    known[MID + 3] = 0.0
    filled = repair({"CISO": known})["CISO"]
    assert all(mwh > 500 for mwh, _, _ in filled.values())
    assert filled[MID][2] == 4


@pytest.mark.parametrize("hour", [MID, MID + 167])
def test_an_hour_of_the_longest_gap_reads_no_further_than_the_model_says(hour: int) -> None:
    """A month is built only from data within lookback and lookahead; data beyond them change nothing."""
    model = MODELS["normalized.demand_repair"]
    back, ahead = (int(reach.total_seconds()) // 3600 for reach in (model.lookback, model.lookahead))
    known = {"CISO": hidden(demand(), (MID, 168), (MID - 700, 2)), "BPAT": hidden(demand(seed=1), (MID + 400, 5))}
    forecast = {"CISO": demand(seed=3)}
    whole = repair(known, forecast)["CISO"]
    part = repair(known, forecast, only=range(max(0, hour - back), min(HOURS, hour + ahead + 1)))["CISO"]
    assert hour - back > 0
    assert hour + ahead + 1 < HOURS
    assert part[hour] == whole[hour]
