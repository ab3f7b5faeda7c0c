"""Months as the unit of building: a month is the date of its first day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

# Months computed at once: bounds the memory that a build or a check needs.
SPAN_MONTHS = 24


def next_month(month: date) -> date:
    """Return the month after ``month``."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def month_of(moment: datetime) -> date:
    """Return the month that ``moment`` falls into."""
    return date(moment.year, moment.month, 1)


def start_of(month: date) -> datetime:
    """Return the first moment of ``month``."""
    return datetime.combine(month, time())


def widen(months: Iterable[date], lookback: timedelta, lookahead: timedelta) -> set[date]:
    """Return ``months`` with the later months whose rows read back into them, and the earlier ones that read ahead."""
    widened: set[date] = set()
    for changed in months:
        last = month_of(start_of(next_month(changed)) - timedelta(microseconds=1) + lookback)
        month = month_of(start_of(changed) - lookahead)
        while month <= last:
            widened.add(month)
            month = next_month(month)
    return widened


@dataclass(frozen=True)
class Span:
    """Consecutive months, as the time range ``[start, end)``."""

    months: tuple[date, ...]

    @property
    def start(self) -> datetime:
        return start_of(self.months[0])

    @property
    def end(self) -> datetime:
        return start_of(next_month(self.months[-1]))

    def read_start(self, lookback: timedelta) -> datetime:
        """Return where reading begins: the start of a whole month, because some models hold one row a month."""
        return start_of(month_of(self.start - lookback))


def spans(months: Iterable[date]) -> list[Span]:
    """Join neighboring months into as few spans as possible."""
    joined: list[list[date]] = []
    for month in sorted(set(months)):
        if joined and next_month(joined[-1][-1]) == month:
            joined[-1].append(month)
        else:
            joined.append([month])
    return [Span(tuple(run)) for run in joined]


def short_spans(months: Iterable[date], longest: int = SPAN_MONTHS) -> Iterator[Span]:
    """Yield the spans of `spans`, cut so that none has more than ``longest`` months."""
    for span in spans(months):
        for first in range(0, len(span.months), longest):
            yield Span(span.months[first : first + longest])
