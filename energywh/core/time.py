"""Durations and hours as people type them."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

from energywh.errors import UsageError

_UNIT_HOURS = {"h": 1, "d": 24, "w": 168}
_LONGEST_HOURS = 36_500 * 24  # a century: beyond it, dates run out of the calendar
HOUR = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1)
# Counts on while the machine sleeps, which Linux's CLOCK_MONOTONIC does not.
_ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def parse_duration_hours(text: str, what: str = "duration") -> int:
    """Return the hours of ``36h``, ``10d`` or ``2w``.

    Raises:
        UsageError: the text is not of that form.
    """
    match = re.fullmatch(r"(\d{1,6})([hdw])", text.strip())
    if match is None:
        raise UsageError(f"{what} must be a number and h, d or w, such as 36h, 10d or 2w, not '{text}'")
    hours = int(match[1]) * _UNIT_HOURS[match[2]]
    if hours > _LONGEST_HOURS:
        raise UsageError(f"{what} must be at most {_LONGEST_HOURS // 24}d, not '{text}'")
    return hours


def parse_span_seconds(text: str, what: str = "span") -> float:
    """Return the seconds of ``90s``, ``30m``, ``1h`` or ``1d``.

    Raises:
        UsageError: the text is not of that form, or is zero.
    """
    match = re.fullmatch(r"(\d{1,6})([smhd])", text.strip())
    seconds = int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2]] if match else 0
    if not seconds:
        raise UsageError(f"{what} must be a number and s, m, h or d, such as 30m or 1h, not '{text}'")
    return float(seconds)


def parse_hour(text: str, *, end_of_day: bool = False, what: str = "time") -> datetime:
    """Return the start of the UTC hour named by ``2024-03-01`` or ``2024-03-01T05``.

    Args:
        end_of_day: a bare day means its last hour (an inclusive end) and not its first.

    Raises:
        UsageError: the text is not a day or an hour.
    """
    moment, bare_day = _parse_iso(text)
    if moment is not None and moment == moment.replace(minute=0, second=0, microsecond=0):
        return moment + timedelta(hours=23) if bare_day and end_of_day else moment
    raise UsageError(
        f"{what} must be a UTC day or hour, such as 2024-03-01, 2024-03-01T05 or '2024-03-01 05:00', not '{text}'"
    )


def parse_moment(text: str, what: str = "time") -> datetime:
    """Return the UTC moment named by ``2024-06-01`` (its start), ``2024-06-01T05``, ``…T05:30`` or ``…T05:30:15``.

    Raises:
        UsageError: the text is not a day or a moment.
    """
    moment, _ = _parse_iso(text)
    if moment is not None:
        return moment
    raise UsageError(
        f"{what} must be a UTC day or moment, such as 2024-03-01, 2024-03-01T05:30 or '2024-03-01 05:30', not '{text}'"
    )


def _parse_iso(text: str) -> tuple[datetime | None, bool]:
    """Return a moment in the form of ISO 8601 as naive UTC, None for anything else; and whether it is a day alone."""
    text = re.sub(r"(?<=\d) +(?=\d)", "T", text.strip())
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None, False
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment, "T" not in text


def utc_now() -> datetime:
    """Return the present moment as naive UTC, the form in which the warehouse stores all times."""
    return datetime.now(UTC).replace(tzinfo=None)


class RunClock:
    """The present of one run. The clock of the system is read once; time passes from there.

    So the parts of a run agree on the present hour, and the moments that a run records keep their order when the clock
    of the system is set meanwhile.
    """

    def __init__(self, started: datetime) -> None:
        self.started = started
        self._began = time.clock_gettime(_ELAPSED)

    @property
    def present_hour(self) -> int:
        """Number of the hour in which the run started."""
        return hour_number(self.started)

    def now(self) -> datetime:
        """Return the present moment, naive UTC."""
        return self.started + timedelta(seconds=time.clock_gettime(_ELAPSED) - self._began)


def hour_number(moment: datetime) -> int:
    """Return whole hours since 1970-01-01T00 UTC."""
    return (moment - EPOCH) // HOUR


def hour_time(number: int) -> datetime:
    """Return the moment of an hour number; the inverse of `hour_number`."""
    return EPOCH + number * HOUR
