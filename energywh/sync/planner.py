"""What is due: from the selection, the ledger and the clock to chunks; and the same in numbers, for the dry run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from energywh.config.settings import Settings
from energywh.core.time import hour_number, utc_now
from energywh.core.wording import count
from energywh.sources.base import Chunk
from energywh.sync import ledger
from energywh.sync.chunks import LedgerSpan, SlicePlan, plan_slice
from energywh.sync.ledger import living_owners
from energywh.sync.rate_limit import duration_seconds
from energywh.sync.schema import open_staging
from energywh.sync.selection import Selection, check_mixing, range_of, slices_of, why_cut

if TYPE_CHECKING:
    import duckdb

EMPTY_RETRY_HOURS = 7 * 24  # a slice that has never had a row, and need not have any, is asked for once a week


@dataclass(frozen=True)
class FetchPlan:
    """What a run would fetch.

    Attributes:
        slices: the plans of those slices of which anything is due.
        asked_hours: hours of all slices that the selection asks for and a source can have by now.
        busy_chunks: chunks among them that another process is at work on.
        notes: why less is asked for than a person named.
    """

    slices: tuple[SlicePlan, ...]
    asked_hours: int
    busy_chunks: int
    notes: tuple[str, ...] = ()

    @property
    def chunks(self) -> list[Chunk]:
        """All chunks in the order in which to fetch them: last what failed before, so that it holds up no other."""
        sound: list[Chunk] = []
        tried: list[tuple[list[Chunk], list[Chunk]]] = []
        for plan in self.slices:
            rest: list[Chunk] = []
            failed: list[Chunk] = []
            for chunk in plan.chunks:
                (failed if plan.failed_before(chunk) else rest).append(chunk)
            if failed:  # the rest of such a slice may well fail too
                tried.append((rest, failed))
            else:
                sound += rest
        return [*sound, *(c for rest, _ in tried for c in rest), *(c for _, failed in tried for c in failed)]

    @property
    def why_nothing(self) -> str:
        """The reason why nothing is fetched; meaningful when nothing is due."""
        if not self.asked_hours and self.notes:
            return f"nothing to fetch: {'; '.join(self.notes)}"
        if not self.asked_hours:
            return "nothing to fetch: the requested range has no hours that a source can have by now"
        if self.busy_chunks:
            return f"nothing is due here: another sync is fetching the last {count(self.busy_chunks, 'chunk')}"
        return "nothing is due; everything requested is settled"


@dataclass(frozen=True)
class PlanLine:
    """A dataset's share of what is due; each chunk is one request."""

    dataset: str
    chunks: int
    rows_at_most: int
    seconds_at_limit: float


def plan_fetch(
    connection: duckdb.DuckDBPyConnection | None,
    selection: Selection,
    settings: Settings,
    living: set[str],
    refresh_from: int | None,
    present_hour: int,
) -> FetchPlan:
    """Return what is due.

    Args:
        connection: to staging; None where there is none yet, so that nothing is known.
        living: the syncs that are running.
        refresh_from: hour number; chunks that end at or after it are due, settled or not.
        present_hour: number of the hour that is running.
    """
    plans, asked, busy = [], 0, 0
    notes: dict[str, None] = {}
    lacking: dict[str, None] = {}
    for dataset in selection.datasets:
        source = selection.sources[dataset.source]
        slices = slices_of(selection, dataset, settings, present_hour)
        if connection is not None and dataset.slices_found_in and not selection.regions:
            slices = [*slices, *(code for code in ledger.found_slices(connection, dataset) if code not in slices)]
        if not slices:
            lacking[f"{dataset.name} has no data of {', '.join(selection.regions)}"] = None
        known = {} if connection is None else ledger.history(connection, dataset, slices, living, refresh_from)
        for slice_ in slices:
            first, last = range_of(selection, dataset, slice_, present_hour)
            if note := why_cut(selection, dataset, slice_, present_hour):
                notes[note] = None
            history = known.get(slice_, ())
            if not selection.regions and source.may_be_empty(dataset, slice_) and asked_in_vain(history, present_hour):
                continue
            cell = partial(source.cell, dataset, slice_)
            plan = plan_slice(dataset.name, slice_, first, last, cell, history)
            asked += max(0, last - first + 1)
            busy += sum(row.busy and row.first <= last and row.last >= first for row in history)
            if plan.chunks:
                plans.append(plan)
    return FetchPlan(tuple(plans), asked, busy, tuple(notes if asked else notes | lacking))


def asked_in_vain(history: Sequence[LedgerSpan], present_hour: int) -> bool:
    """Return whether a slice was asked for within a week, and has never had a row."""
    answered = [span for span in history if span.fetched_hour is not None]
    newest = max((span.fetched_hour or 0 for span in answered), default=0)
    return all(span.empty for span in history) and newest > present_hour - EMPTY_RETRY_HOURS


def empty_plan(selection: Selection, settings: Settings, present_hour: int) -> FetchPlan | None:
    """Return an empty plan if the requested range has no hours, otherwise None."""
    for dataset in selection.datasets:
        for slice_ in slices_of(selection, dataset, settings, present_hour):
            first, last = range_of(selection, dataset, slice_, present_hour)
            if first <= last:
                return None
    return plan_fetch(None, selection, settings, set(), None, present_hour)


def refresh_from(selection: Selection, present_hour: int) -> int | None:
    """Return the first hour that `--refresh` fetches again."""
    return None if selection.refresh_hours is None else present_hour - selection.refresh_hours


def dry_run(
    settings: Settings,
    selection: Selection,
    say: Callable[[str], None] = lambda _: None,
    *,
    now: datetime | None = None,
) -> tuple[list[PlanLine], PlanLine]:
    """Return what is due of a resolved selection, one line per dataset, and the total; nothing is fetched or written.

    Args:
        say: receives messages about why less is due than expected.
        now: the present, naive UTC; by default that of the system's clock.
    """
    present_hour = hour_number(utc_now() if now is None else now)
    for source in selection.sources.values():
        check_mixing(source, settings)
    path = settings.home.staging
    if path.exists():
        with open_staging(path, read_only=True, wait_seconds=settings.get("lock.wait_seconds")) as connection:
            due = plan_fetch(
                connection,
                selection,
                settings,
                living_owners(settings.home.locks),
                refresh_from(selection, present_hour),
                present_hour,
            )
    else:
        due = plan_fetch(None, selection, settings, set(), None, present_hour)
    for note in due.notes if due.slices else (due.why_nothing,):
        say(note)
    lines, seconds = [], []
    for source in selection.sources.values():
        chunks_of_source = 0
        for dataset in selection.datasets:
            if dataset.source != source.name:
                continue
            chunks = [chunk for chunk in due.chunks if chunk.dataset == dataset.name]
            rows = sum(chunk.hours * source.rows_per_hour(dataset, chunk.slice) for chunk in chunks)
            chunks_of_source += len(chunks)
            lines.append(
                PlanLine(dataset.name, len(chunks), rows, duration_seconds(len(chunks), source.rate_limits(settings)))
            )
        seconds.append(duration_seconds(chunks_of_source, source.rate_limits(settings)))
    total = PlanLine(
        "total",
        sum(line.chunks for line in lines),
        sum(line.rows_at_most for line in lines),
        max(seconds, default=0.0),  # the sources are fetched from at the same time
    )
    return lines, total
