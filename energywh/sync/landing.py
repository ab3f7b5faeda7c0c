"""One landing: rows, ledger, journal and the record of what changed, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from energywh.core.database import one_row
from energywh.core.time import hour_time
from energywh.core.wording import count
from energywh.sources.base import Chunk, Dataset
from energywh.sync import ledger
from energywh.sync.fetcher import FetchedChunk
from energywh.sync.journals import Journal, JournalEntry
from energywh.sync.merge import Arrival, Counts, Withdrawal, merge
from energywh.sync.payloads import PayloadStore

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class LandingReport:
    """What one landing did."""

    outcomes: list[ledger.Outcome]
    counts: dict[str, Counts]


def land(
    connection: duckdb.DuckDBPyConnection,
    datasets: dict[str, Dataset],
    waiting: list[FetchedChunk],
    landed_at_utc: datetime,
    *,
    store: PayloadStore | None,
    may_withdraw_all: Callable[[Chunk], bool],
) -> LandingReport:
    """Land answers: rows, ledger, journal.

    Args:
        store: stores the journal; None where payloads are not kept.
        may_withdraw_all: whether an answer may withdraw any number of rows of its chunk. Otherwise an answer that
            withdraws all or many rows counts as a failure, so that a temporary fault cannot empty the warehouse.
    """
    (landing_id,) = one_row(connection, "select coalesce(max(landing_id), 0) + 1 from sync.landing")
    counts, rejected = _merge_all(connection, datasets, waiting, landing_id, may_withdraw_all)
    outcomes = [
        replace(outcome, error=_withdrawal_error(outcome, rejected[outcome.chunk]))
        if outcome.chunk in rejected
        else outcome
        for outcome in (fetched.outcome for fetched in waiting)
    ]
    answered = [outcome for outcome in outcomes if outcome.error is None and not outcome.unchanged]
    ledger.settle(connection, outcomes, landed_at_utc)
    ledger.write_warnings(connection, outcomes)
    if not answered:
        return LandingReport(outcomes, {})
    entries = tuple(map(_entry, answered))
    journal = None if store is None else store.write_journal(Journal(landing_id, landed_at_utc, entries))
    _record(connection, landing_id, landed_at_utc, journal, len(answered), counts)
    return LandingReport(outcomes, counts)


def land_again(
    connection: duckdb.DuckDBPyConnection,
    datasets: dict[str, Dataset],
    answers: list[FetchedChunk],
    name: str,
    journal: Journal,
) -> LandingReport:
    """Land the answers of a journal again. They may withdraw any number of rows: the first landing accepted them."""
    outcomes = [fetched.outcome for fetched in answers]
    ledger.settle(connection, outcomes, journal.landed_at_utc)
    ledger.write_warnings(connection, outcomes)
    (next_id,) = one_row(connection, "select coalesce(max(landing_id), 0) + 1 from sync.landing")
    # The numbers are those of then, unless two staging files lived one after the other.
    landing_id = max(next_id, journal.landing_id)
    counts, _ = _merge_all(connection, datasets, answers, landing_id, lambda _: True)
    _record(connection, landing_id, journal.landed_at_utc, name, len(answers), counts)
    return LandingReport(outcomes, counts)


def _merge_all(
    connection: duckdb.DuckDBPyConnection,
    datasets: dict[str, Dataset],
    waiting: Sequence[FetchedChunk],
    landing_id: int,
    may_withdraw_all: Callable[[Chunk], bool],
) -> tuple[dict[str, Counts], dict[Chunk, Withdrawal]]:
    counts: dict[str, Counts] = {}
    rejected: dict[Chunk, Withdrawal] = {}
    for name, dataset in datasets.items():
        arrivals = [
            Arrival(
                fetched.outcome.chunk,
                fetched.rows,
                fetched.outcome.fetched_at_utc,
                may_withdraw_all(fetched.outcome.chunk),
            )
            for fetched in waiting
            if fetched.outcome.chunk.dataset == name and fetched.rows is not None
        ]
        if arrivals:
            counts[name], losses = merge(connection, dataset, arrivals, landing_id)
            rejected |= losses
    return counts, rejected


def _record(
    connection: duckdb.DuckDBPyConnection,
    landing_id: int,
    now: datetime,
    journal: str | None,
    chunks: int,
    counts: dict[str, Counts],
) -> None:
    total = sum(counts.values(), Counts())
    connection.execute(
        "insert into sync.landing values (?, ?, ?, ?, ?, ?, ?, ?)",
        [landing_id, now, journal, chunks, total.rows, total.new, total.changed, total.withdrawn],
    )


def _entry(outcome: ledger.Outcome) -> JournalEntry:
    return JournalEntry(
        dataset=outcome.chunk.dataset,
        slice=outcome.chunk.slice,
        first_hour_utc=hour_time(outcome.chunk.first),
        last_hour_utc=hour_time(outcome.chunk.last),
        fetched_at_utc=outcome.fetched_at_utc,
        attempts=outcome.attempts,
        payloads=outcome.payloads,
    )


def _withdrawal_error(outcome: ledger.Outcome, loss: Withdrawal) -> str:
    answers = count(outcome.rows, "row") if outcome.rows else "no rows"
    gone = f", and without {loss.withdrawn:,} of these" if outcome.rows else ""
    return (
        f"the source now answers with {answers}, where it gave {loss.held:,} before{gone}; these are kept. "
        "If they are really withdrawn, 'energywh sync --refresh DURATION' over these hours accepts it"
    )
