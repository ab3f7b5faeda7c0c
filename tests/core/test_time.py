"""Parsing of times, and the clock of a run."""

from datetime import datetime, timedelta

import pytest

from energywh.core.time import RunClock, hour_number, parse_hour, parse_moment
from energywh.errors import UsageError


def test_a_run_keeps_its_hour_while_its_moments_pass() -> None:
    clock = RunClock(datetime(2024, 2, 29, 23, 59, 59, 999_999))
    first, second = clock.now(), clock.now()
    assert clock.started <= first <= second < clock.started + timedelta(minutes=5)
    while clock.now().hour == 23:
        pass
    assert clock.present_hour == hour_number(datetime(2024, 2, 29, 23))


def test_a_moment_with_an_offset_is_taken_to_utc() -> None:
    assert parse_hour("2024-03-01T05:00-08:00") == datetime(2024, 3, 1, 13)
    assert parse_moment("2024-03-01 05:30:15Z") == datetime(2024, 3, 1, 5, 30, 15)


def test_a_bare_day_is_its_first_hour_and_as_an_end_its_last() -> None:
    assert parse_hour("2024-03-01") == parse_moment("2024-03-01") == datetime(2024, 3, 1)
    assert parse_hour("2024-03-01", end_of_day=True) == datetime(2024, 3, 1, 23)
    assert parse_hour("2024-03-01T05", end_of_day=True) == datetime(2024, 3, 1, 5)


@pytest.mark.parametrize("text", ["", "today", "2024-13-01", "2024-02-30", "2024-03-01T05:30", "2024-03-01T25"])
def test_text_that_is_not_a_day_or_hour_is_rejected_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"--since must be a UTC day or hour, such as 2024-03-01"):
        parse_hour(text, what="--since")
