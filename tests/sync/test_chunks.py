"""The planner: for any request and ledger, chunks cover exactly what is due."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energywh.sources import load_settings, sources
from energywh.sources.base import Chunk, Dataset, even_cell
from energywh.sync.chunks import LedgerSpan, SlicePlan, plan_slice, settled
from tests.support.desk import PRESENT_HOUR


@dataclass(frozen=True)
class Case:
    first: int
    last: int
    chunk_hours: int
    history: tuple[LedgerSpan, ...]

    def plan(self) -> SlicePlan:
        return plan_slice("eia.region_data", "CISO", self.first, self.last, self.cell, self.history)

    def cell(self, hour: int) -> tuple[int, int]:
        return even_cell(hour, self.chunk_hours)

    @property
    def asked(self) -> set[int]:
        return set(range(self.first, self.last + 1))

    def hours(self, *, kept: bool) -> set[int]:
        """Hours of the ledger rows that are kept (settled or busy), or of the others that the range touches."""
        return {
            hour
            for known in self.history
            if (known.settled or known.busy) == kept and (kept or set(span(known)) & self.asked)
            for hour in span(known)
        }


def span(piece: LedgerSpan | Chunk) -> range:
    return range(piece.first, piece.last + 1)


@st.composite
def cases(draw: st.DrawFn, *, with_history: bool = True) -> Case:
    """A range, a chunk length, and disjoint ledger rows before, in and after the range, in any order."""
    first = draw(st.integers(-60, 450_000))
    last = first + draw(st.integers(-3, 120))
    history = []
    if with_history:
        at = first - draw(st.integers(0, 40))
        for _ in range(draw(st.integers(0, 8))):
            at += draw(st.integers(0, 15))
            end = at + draw(st.integers(0, 25))
            kind = draw(st.sampled_from(("settled", "unsettled", "busy")))
            history.append(LedgerSpan(at, end, kind == "settled", kind == "busy"))
            at = end + 1
    return Case(first, last, draw(st.integers(1, 50)), tuple(draw(st.permutations(history))))


@given(cases())
def test_chunks_cover_what_is_asked_and_not_kept_and_the_unsettled_rows_that_it_touches(case: Case) -> None:
    covered = [hour for chunk in case.plan().chunks for hour in span(chunk)]
    assert len(covered) == len(set(covered)), "an hour would be fetched twice"
    due = (case.asked | case.hours(kept=False)) - case.hours(kept=True) if case.asked else set()
    assert set(covered) == due


@given(cases())
def test_chunks_are_cut_on_the_grid_and_no_longer_than_a_request_answers(case: Case) -> None:
    for chunk in case.plan().chunks:
        assert chunk.hours <= case.chunk_hours
        assert chunk.first // case.chunk_hours == chunk.last // case.chunk_hours
        assert (chunk.dataset, chunk.slice) == ("eia.region_data", "CISO")


@given(cases())
def test_the_rows_replaced_are_the_unsettled_ones_that_the_range_touches(case: Case) -> None:
    expected = {known for known in case.history if not (known.settled or known.busy) and set(span(known)) & case.asked}
    replaced = case.plan().replaced
    assert len(replaced) == len(expected)
    assert set(replaced) == expected


@given(cases(with_history=False))
def test_without_history_the_chunks_tile_the_range(case: Case) -> None:
    chunks = case.plan().chunks
    assert [hour for chunk in chunks for hour in span(chunk)] == sorted(case.asked)


@given(cases())
def test_once_all_is_settled_nothing_is_due(case: Case) -> None:
    plan = case.plan()
    stayed = [known for known in case.history if known not in plan.replaced]
    settled_now = [LedgerSpan(chunk.first, chunk.last, settled=True) for chunk in plan.chunks]
    again = plan_slice("eia.region_data", "CISO", case.first, case.last, case.cell, [*stayed, *settled_now])
    assert again == SlicePlan((), ())


@given(cases())
def test_what_was_fetched_and_is_not_settled_is_asked_for_again_in_the_same_chunks(case: Case) -> None:
    plan = case.plan()
    kept = [known for known in case.history if known.settled or known.busy]
    fetched = [LedgerSpan(chunk.first, chunk.last) for chunk in plan.chunks]
    again = plan_slice("eia.region_data", "CISO", case.first, case.last, case.cell, [*kept, *fetched])
    assert again.chunks == tuple(chunk for chunk in plan.chunks if set(span(chunk)) & case.asked)


def test_a_chunk_settles_the_given_time_after_its_last_hour_has_ended() -> None:
    assert not settled(last=100, fetched_hour=None, settling_hours=24)
    assert not settled(last=100, fetched_hour=124, settling_hours=24)
    assert settled(last=100, fetched_hour=125, settling_hours=24)


@pytest.mark.parametrize("dataset", [d for source in sources().values() for d in source.datasets], ids=lambda d: d.name)
def test_cells_tile_time(dataset: Dataset, tmp_path: Path) -> None:
    source = sources()[dataset.source]
    for slice_ in source.default_slices(
        dataset, load_settings(tmp_path, environment={}), aggregates=True, present_hour=PRESENT_HOUR
    ):
        # The one cell of a file is its own span.
        spans = source.span(dataset, slice_) if dataset.whole_cells else ()
        for hour in [hour for hour in spans if hour is not None] or (430_000, 473_352, 482_136, 489_000):
            first, last = source.cell(dataset, slice_, hour)
            assert first <= hour <= last
            assert source.cell(dataset, slice_, first) == source.cell(dataset, slice_, last) == (first, last)
            if not dataset.whole_cells:
                assert source.cell(dataset, slice_, last + 1)[0] == last + 1
