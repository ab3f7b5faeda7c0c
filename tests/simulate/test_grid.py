"""The simulated grid: slices, identities, the sun, the fuels."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energywh.simulate.atlas import FUELS, Atlas
from energywh.simulate.grid import NEW_FUELS_FROM, Grid
from energywh.simulate.hours import Calendar, local_hours, parse_period, period_text
from tests.support.examples import examples

GRID = Grid(seed=0)
YEAR = Calendar(np.arange(parse_period("2024-01-01T01"), parse_period("2025-01-01T00") + 1))
AT = {fuel: i for i, fuel in enumerate(FUELS)}


@settings(max_examples=examples(25), deadline=None)
@given(
    code=st.sampled_from(["CISO", "PACW", "TVA", "CHPD", "AVRN", "ERCO", "HST"]),
    first=st.integers(0, 8000),
    length=st.integers(1, 700),
)
def test_a_slice_equals_the_slice_of_a_longer_query(code: str, first: int, length: int) -> None:
    part = Calendar(YEAR.periods[first : first + length])
    whole = GRID.region_data([code, "BPAT"], YEAR)
    for name, (values, present) in GRID.region_data([code], part).items():
        np.testing.assert_array_equal(values[0], whole[name][0][0, first : first + length])
        np.testing.assert_array_equal(present[0], whole[name][1][0, first : first + length])
    fuels = GRID.generation([code], YEAR).fuels[0, :, first : first + length]
    np.testing.assert_array_equal(GRID.generation([code], part).fuels[0, :, : len(part)], fuels)


def test_another_process_computes_the_same_numbers() -> None:
    program = (
        "import hashlib, numpy as np\n"
        "from energywh.simulate.grid import Grid\n"
        "from energywh.simulate.hours import Calendar\n"
        "d = Grid(7).region_data(['CISO', 'ERCO'], Calendar(np.arange(480_000, 481_000)))\n"
        "print(hashlib.sha256(b''.join(d[t][0].tobytes() for t in sorted(d))).hexdigest())\n"
    )
    found = Grid(7).region_data(["CISO", "ERCO"], Calendar(np.arange(480_000, 481_000)))
    here = hashlib.sha256(b"".join(found[name][0].tobytes() for name in sorted(found))).hexdigest()
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_another_seed_is_another_world() -> None:
    one, other = (Grid(seed).region_data(["CISO"], YEAR, ["D"])["D"][0] for seed in (0, 1))
    assert (one == other).mean() < 0.01


@pytest.mark.parametrize("code", ["CISO", "PACW", "PJM", "BPAT", "TVA"])
def test_identities_hold_mostly_but_not_always(code: str) -> None:
    found = GRID.region_data([code], YEAR)
    demand, generation, interchange = (found[name][0][0] for name in ("D", "NG", "TI"))
    made = GRID.generation([code], YEAR)
    fuels = (made.fuels * made.reported)[0].sum(axis=0)
    assert 0.9 < (np.abs(fuels - generation) <= 3).mean() < 1.0
    assert 0.7 < (np.abs(demand - (generation - interchange)) <= 1).mean() < 1.0
    pairs = [(code, other) for other in GRID.atlas.neighbors(code)]
    flows, present = GRID.interchange(pairs, YEAR)
    assert 0.9 < (np.abs((flows * present).sum(axis=0) - interchange) <= 1).mean() < 1.0


def test_pairs_are_antisymmetric_mostly_but_not_always() -> None:
    pairs = [(a, b) for a in ("CISO", "BPAT", "MISO") for b in GRID.atlas.neighbors(a)]
    there, _ = GRID.interchange(pairs, YEAR)
    back, _ = GRID.interchange([(b, a) for a, b in pairs], YEAR)
    assert 0.7 < (there == -back).mean() < 0.99


def test_the_sun_gives_nothing_at_night_but_a_little_self_use() -> None:
    solar = GRID.generation(["CISO"], YEAR).fuels[0, AT["SUN"]]
    profile = GRID.atlas.profile("CISO")
    height = YEAR.sun_height(np.array([profile.latitude]), np.array([profile.longitude]))[0]
    night = solar[height <= 0]
    assert set(np.unique(night)) == {-3.0, -2.0, -1.0, 0.0}
    assert 0.02 < (night < 0).mean() < 0.3
    assert solar[height > 0.5].min() > 100
    local = local_hours("America/Los_Angeles", YEAR.starts) % 24
    assert np.argmax([solar[local == hour].mean() for hour in range(24)]) in {11, 12, 13}


def test_demand_has_a_day_a_week_and_a_year() -> None:
    demand = GRID.region_data(["ERCO"], YEAR, ["D"])["D"][0][0]
    local = local_hours("America/Chicago", YEAR.starts)
    by_hour = [demand[local % 24 == hour].mean() for hour in range(24)]
    assert np.argmin(by_hour) in range(1, 6)
    assert np.argmax(by_hour) in range(14, 20)
    weekday = (local // 24 + 3) % 7
    assert demand[weekday >= 5].mean() < 0.97 * demand[weekday < 5].mean()
    assert demand[(YEAR.year_turn > 0.5) & (YEAR.year_turn < 0.65)].mean() > 1.1 * demand.mean()


def test_the_forecast_is_near_demand_and_not_equal() -> None:
    found = GRID.region_data(["PJM"], YEAR, ["D", "DF"])
    error = found["DF"][0] / found["D"][0] - 1.0
    assert 0.005 < error.std() < 0.05


def test_nuclear_stays_flat_between_refuellings() -> None:
    output = GRID.generation(["EPE"], YEAR).fuels[0, AT["NUC"]]
    running = output[output > 0]
    assert running.std() < 0.05 * running.mean()


def test_batteries_charge_at_noon_and_discharge_in_the_evening() -> None:
    output = GRID.generation(["CISO"], YEAR).fuels[0, AT["BAT"]]
    local = local_hours("America/Los_Angeles", YEAR.starts) % 24
    new = YEAR.periods >= NEW_FUELS_FROM
    assert (output[new & (local == 11)] < 0).all()
    assert (output[new & (local == 19)] > 0).all()


def test_new_fuel_codes_were_inside_old_ones_before_the_split() -> None:
    made = GRID.generation(["CISO"], YEAR)
    old = YEAR.periods < NEW_FUELS_FROM
    for fuel in ("BAT", "GEO", "PS", "SNB"):
        assert not made.reported[0, AT[fuel], old].any()
        assert made.reported[0, AT[fuel], ~old].all()
    other = made.fuels[0, AT["OTH"]]
    assert other[old].min() < -1000 < 0 < other[~old].min()


def test_generation_only_authorities_have_no_demand_and_send_away_what_they_make() -> None:
    found = GRID.region_data(["AVRN"], YEAR)
    assert not found["D"][1].any()
    assert not found["DF"][1].any()
    assert found["NG"][1].all()
    assert (found["NG"][0] == found["TI"][0]).mean() > 0.85


def test_authorities_report_between_their_first_and_last_date() -> None:
    whole = Calendar(np.arange(parse_period("2019-12-01T00"), parse_period("2020-03-01T00")))
    present = GRID.region_data(["NSB"], whole, ["D"])["D"][1][0]
    assert period_text(int(whole.periods[present][-1])) == "2020-01-09T00"


def test_every_authority_of_the_seeds_works() -> None:
    atlas = Atlas.load()
    week = Calendar(YEAR.periods[:168])
    found = Grid(1, atlas).region_data(atlas.authorities, week)
    assert all(np.isfinite(values).all() for values, _ in found.values())
    consumers = ~np.array([atlas.regions[code].generation_only for code in atlas.authorities])
    assert (found["D"][0][consumers] > 0).all()


def test_neighbours_are_symmetric_and_aggregates_border_aggregates() -> None:
    atlas = Atlas.load()
    for code in atlas.authorities:
        assert all(code in atlas.neighbors(other) for other in atlas.neighbors(code))
    assert set(atlas.neighbors("CAL")) == {"MEX", "NW", "SW"}
    assert set(atlas.neighbors("US48")) == {"CAN", "MEX"}
    assert ("CISO", "BPAT") in atlas.crossings("CAL", "NW")


def test_local_hours_skip_and_repeat_at_clock_changes() -> None:
    spring = np.arange(parse_period("2024-03-10T08"), parse_period("2024-03-10T12"))
    assert (local_hours("America/Los_Angeles", spring) % 24).tolist() == [0, 1, 3, 4]
    autumn = np.arange(parse_period("2024-11-03T07"), parse_period("2024-11-03T11"))
    assert (local_hours("America/Los_Angeles", autumn) % 24).tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("text", ["2024-13-01", "yesterday", "2024-01-01T05:30", "", "2024T05"])
def test_text_that_is_not_a_period_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_period(text)


def test_subregions_add_up_to_nearly_all_of_their_authoritys_demand() -> None:
    grid = Grid(seed=3)
    calendar = Calendar(np.arange(parse_period("2024-03-01T00"), parse_period("2024-03-04T00"), dtype=np.int64))
    for code in ("CISO", "MISO", "PJM"):
        pairs = [(code, one) for one in grid.atlas.subregions(code)]
        values, present = grid.subregion_demand(pairs, calendar)
        assert present.all()
        share = values.sum(axis=0) / grid.region_data([code], calendar, ["D"])["D"][0][0]
        assert (share > 0.85).all()
        assert (share < 1.05).all()
        alone, _ = grid.subregion_demand(pairs[1:2], calendar)
        assert (alone == values[1]).all()
