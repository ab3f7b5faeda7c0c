"""Columns from decoded rows: as strict as the standard library, in a fraction of the time."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from energywh.core.printable import printable
from energywh.errors import PayloadError
from energywh.sources.arrow import columns

EPOCH = datetime(1970, 1, 1)
stamps = st.datetimes(datetime(1900, 1, 1), datetime(2199, 12, 31)).map(lambda moment: f"{moment:%Y-%m-%dT%H}")
digits = st.integers(0, 99).map(lambda number: f"{number:02d}")
almost_stamps = st.one_of(
    st.builds(lambda year, m, d, h: f"{year}-{m}-{d}T{h}", st.integers(1900, 2199), digits, digits, digits),
    st.builds(
        lambda stamp, at, letter: stamp[:at] + letter + stamp[at + 1 :], stamps, st.integers(0, 12), st.characters()
    ),
    st.builds(lambda stamp, at: stamp[:at] + stamp[at + 1 :], stamps, st.integers(0, 12)),
    st.builds(lambda stamp, more: stamp + more, stamps, st.text(min_size=1, max_size=3)),
)


def expected_hour(stamp: str) -> int | None:
    """Return what the standard library reads, held to two digits a part, or None."""
    if not re.fullmatch(r"\s*[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}Z?\s*", stamp):
        return None
    stamp = stamp.strip().rstrip("Z").replace(" ", "T")
    try:
        return (datetime.strptime(stamp, "%Y-%m-%dT%H") - EPOCH) // timedelta(hours=1)
    except ValueError:
        return None


@settings(deadline=None)
@given(st.lists(stamps, min_size=1, max_size=50))
def test_stamps_are_read_as_the_standard_library_reads_them(given_stamps: list[str]) -> None:
    assert columns.hour_numbers(given_stamps).tolist() == [expected_hour(stamp) for stamp in given_stamps]


@settings(deadline=None)
@given(st.lists(stamps, max_size=5), almost_stamps, st.lists(stamps, max_size=5))
@example([], "2023-02-29T00", [])
@example([], "2024-01-01T24", [])
@example([], "2024-13-01T00", [])
@example([], "2024-01-00T00", [])
@example([], "", [])
def test_a_stamp_that_is_not_an_hour_is_refused_and_named(before: list[str], odd: str, after: list[str]) -> None:
    hour = expected_hour(odd)
    given_stamps = [*before, odd, *after]
    if hour is None:
        with pytest.raises(PayloadError, match="is not an hour of the form") as caught:
            columns.hour_numbers(given_stamps)
        assert printable(f"'{odd}' is not") in str(caught.value)
    else:
        assert columns.hour_numbers(given_stamps)[len(before)] == hour


@pytest.mark.parametrize("stamp", ["2024-02-10 05", "2024-02-10T05Z", "2024-02-10T05:00", "2024-02-10 05:00:00+00:00"])
def test_an_hour_in_another_form_is_the_same_hour(stamp: str) -> None:
    assert columns.hour_numbers([stamp]).tolist() == [expected_hour("2024-02-10T05")]


def test_stamps_whose_wrong_lengths_make_up_for_each_other_are_refused() -> None:
    with pytest.raises(PayloadError, match="'2024-01-31T1' is not an hour"):
        columns.hour_numbers(["2024-01-31T1", "22024-01-31T05"])


@settings(deadline=None)
@given(st.lists(st.text(max_size=4), min_size=1, max_size=300))
def test_labels_come_back_from_their_codes(labels: list[str]) -> None:
    codes, names = columns.label_codes(labels)
    assert [names[code] for code in codes] == labels
    assert columns.label_array(codes, names).to_pylist() == labels


def test_more_labels_than_any_key_has_are_refused() -> None:
    with pytest.raises(PayloadError, match="300 different keys"):
        columns.label_codes([f"code {number}" for number in range(300)])


def test_values_keep_nulls_and_refuse_text_that_is_not_a_number() -> None:
    assert columns.value_array([1.5, None, -3.0]).to_pylist() == [1.5, None, -3.0]
    for wrong in (float("nan"), float("inf"), float("-inf")):
        with pytest.raises(PayloadError, match="not a finite number"):
            columns.value_array([1.0, wrong, None])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(400_000, 400_020), st.integers(0, 4)), min_size=1, max_size=30))
def test_a_pair_of_hour_and_code_that_comes_twice_is_seen(pairs: list[tuple[int, int]]) -> None:
    hours = np.array([hour for hour, _ in pairs], np.int64)
    codes = np.array([code for _, code in pairs], np.uint8)
    assert columns.repeats(hours, codes) == (len(set(pairs)) < len(pairs))
