"""Months, and how a change spreads forward by the lookback and backward by the lookahead."""

from datetime import date, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from energywh.models.contents.months import month_of, next_month, spans, start_of, widen

MONTHS = st.builds(date, st.integers(2015, 2026), st.integers(1, 12), st.just(1))
LOOKBACKS = st.integers(0, 9000).map(lambda hours: timedelta(hours=hours))
NONE, HOUR = timedelta(0), timedelta(hours=1)


def test_a_lookback_reaches_the_months_that_read_back() -> None:
    assert widen([date(2024, 1, 1)], timedelta(0), NONE) == {date(2024, 1, 1)}
    assert widen([date(2024, 1, 1)], timedelta(hours=1), NONE) == {date(2024, 1, 1), date(2024, 2, 1)}
    found = widen([date(2023, 12, 1)], timedelta(days=60), NONE)
    assert found == {date(2023, 12, 1), date(2024, 1, 1), date(2024, 2, 1)}


def test_a_lookahead_reaches_the_months_that_read_ahead() -> None:
    assert widen([date(2024, 1, 1)], NONE, timedelta(hours=1)) == {date(2023, 12, 1), date(2024, 1, 1)}
    found = widen([date(2024, 3, 1)], timedelta(hours=1), timedelta(days=30))
    assert found == {date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1), date(2024, 4, 1)}


@given(MONTHS, LOOKBACKS, LOOKBACKS)
def test_no_month_beyond_those_found_reads_a_changed_one(
    month: date, lookback: timedelta, lookahead: timedelta
) -> None:
    widened = widen([month], lookback, lookahead)
    (changed,) = spans([month])
    (after,) = spans([next_month(max(widened))])
    assert after.start - lookback >= changed.end
    (before,) = spans([month_of(start_of(min(widened)) - timedelta(hours=1))])
    assert before.end + lookahead <= changed.start + HOUR


@given(st.sets(MONTHS), LOOKBACKS)
def test_spans_tile_the_months(months: set[date], lookback: timedelta) -> None:
    found = spans(months)
    assert [month for span in found for month in span.months] == sorted(months)
    assert all(next_month(a.months[-1]) < b.months[0] for a, b in pairwise(found))
    for span in found:
        assert span.read_start(lookback) <= span.start - lookback
        assert span.read_start(lookback) == datetime(span.read_start(lookback).year, span.read_start(lookback).month, 1)
