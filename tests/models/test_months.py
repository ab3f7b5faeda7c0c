"""Months, and how a change spreads forward by the lookback."""

from datetime import date, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from energywh.models.months import next_month, spans, widen

MONTHS = st.builds(date, st.integers(2015, 2026), st.integers(1, 12), st.just(1))
LOOKBACKS = st.integers(0, 9000).map(lambda hours: timedelta(hours=hours))


def test_a_lookback_reaches_the_months_that_read_back() -> None:
    assert widen([date(2024, 1, 1)], timedelta(0)) == {date(2024, 1, 1)}
    assert widen([date(2024, 1, 1)], timedelta(hours=1)) == {date(2024, 1, 1), date(2024, 2, 1)}
    assert widen([date(2023, 12, 1)], timedelta(days=60)) == {date(2023, 12, 1), date(2024, 1, 1), date(2024, 2, 1)}


@given(MONTHS, LOOKBACKS)
def test_no_later_month_reads_a_changed_one(month: date, lookback: timedelta) -> None:
    widened = widen([month], lookback)
    after = next_month(max(widened))
    (span,) = spans([after])
    assert span.start - lookback >= spans([month])[0].end


@given(st.sets(MONTHS), LOOKBACKS)
def test_spans_tile_the_months(months: set[date], lookback: timedelta) -> None:
    found = spans(months)
    assert [month for span in found for month in span.months] == sorted(months)
    assert all(next_month(a.months[-1]) < b.months[0] for a, b in pairwise(found))
    for span in found:
        assert span.read_start(lookback) <= span.start - lookback
        assert span.read_start(lookback) == datetime(span.read_start(lookback).year, span.read_start(lookback).month, 1)
