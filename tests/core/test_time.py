"""The clock of a run."""

from datetime import datetime, timedelta

from energywh.core.time import RunClock, hour_number


def test_a_run_keeps_its_hour_while_its_moments_pass() -> None:
    clock = RunClock(datetime(2024, 2, 29, 23, 59, 59, 999_999))
    first, second = clock.now(), clock.now()
    assert clock.started <= first <= second < clock.started + timedelta(minutes=5)
    while clock.now().hour == 23:
        pass
    assert clock.present_hour == hour_number(datetime(2024, 2, 29, 23))
