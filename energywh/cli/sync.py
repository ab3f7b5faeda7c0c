"""`energywh sync`: fetch what is due."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from energywh.cli import Session
from energywh.cli.output import Count, print_table
from energywh.core.wording import count
from energywh.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from energywh.sync.planner import PlanLine
    from energywh.sync.result import SyncResult

ERRORS_SHOWN = 5


@click.command()
@click.argument("what", nargs=-1, metavar="[SOURCE|DATASET]...")
@click.option("--since", metavar="TIME", help="First UTC day or hour (its start), inclusive.")
@click.option("--until", metavar="TIME", help="Last UTC day or hour (its start), inclusive.")
@click.option("--region", "regions", multiple=True, metavar="CODE", help="Region; repeat, or separate by commas.")
@click.option("--aggregates", is_flag=True, help="Fetch the aggregates (US48, CAL, ...) too, besides the authorities.")
@click.option("--files", is_flag=True, help="Fetch EIA's half-year files, which need no key.")
@click.option("--api", is_flag=True, help="Fetch from EIA's API alone, its whole history too.")
@click.option(
    "--refresh",
    metavar="DURATION",
    help="Fetch the last DURATION (36h, 10d) again, settled or not; of all regions without --region.",
)
@click.option("--jobs", type=Count(1, 64), help="Requests under way at once [sync.jobs].")
@click.option("--dry-run", is_flag=True, help="Print what would be fetched, and fetch nothing.")
@click.pass_obj
def sync(
    session: Session,
    what: tuple[str, ...],
    since: str | None,
    until: str | None,
    regions: tuple[str, ...],
    aggregates: bool,
    files: bool,
    api: bool,
    refresh: str | None,
    jobs: int | None,
    dry_run: bool,
) -> int:
    """Fetch what is due into staging: all sources, or the SOURCEs (eia) and DATASETs (eia.region_data) named.

    Settled chunks are skipped; chunks that the source may still revise, and those that failed, are fetched again.
    It can be interrupted at any time: what has landed is kept, and the next sync continues from there.
    """
    if files and api:
        raise UsageError("give --files or --api, not both; without either, the newest weeks come from the API")
    from energywh.core.time import hour_number, utc_now
    from energywh.integrations.openlineage import sync_listeners
    from energywh.sync.planner import dry_run as plan_only
    from energywh.sync.progress import reporter
    from energywh.sync.runner import sync as run_sync
    from energywh.sync.selection import parse_selection, resolve

    selection = parse_selection(
        what,
        since=since,
        until=until,
        regions=regions,
        refresh=refresh,
        aggregates=aggregates,
        way="files" if files else "api" if api else "best",
    )
    settings = session.load({"sync.jobs": jobs})
    now = utc_now()
    if dry_run:
        selection = resolve(selection, settings, hour_number(now))
        for note in selection.notes:
            click.echo(note)
        print_plan(*plan_only(settings, selection, click.echo, now=now))
        return 0
    progress = reporter()
    listeners = sync_listeners(settings, progress.say)
    with stop_on_signal() as stop:
        result = run_sync(settings, selection, reporter=progress, stop=stop, listeners=listeners, now=now)
    print_result(result)
    return 130 if result.interrupted else 0 if result.ok else 1


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Turn the first SIGINT or SIGTERM into a request to stop; a second one interrupts at once."""
    stop = threading.Event()
    before: dict[int, signal.Handlers | object] = {}

    def handle(number: int, frame: object) -> None:
        stop.set()
        for each in before:
            signal.signal(each, signal.default_int_handler)
        click.echo("stopping after the current landing; press Ctrl-C again to stop at once", err=True)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, handle)
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)  # type: ignore[arg-type]


def print_plan(lines: list[PlanLine], total: PlanLine) -> None:
    """Print a dry run: one line per dataset and their total. Each chunk is one request."""
    columns = ("dataset", "chunks", "requests", "rows (at most)", "time at limit")
    rows = [
        (line.dataset, f"{line.chunks:,}", f"{line.chunks:,}", f"{line.rows_at_most:,}", span(line.seconds_at_limit))
        for line in (*lines, total)
    ]
    print_table(columns, rows, right=columns[1:])


def print_result(result: SyncResult) -> None:
    """Print what a sync did, in numbers; its failures on standard error."""
    if result.why_nothing:
        click.echo(f"sync: {result.why_nothing}")
        return
    for tally in result.tallies:
        if not tally.due:
            continue
        counts = tally.counts
        parts = [f"{tally.done + tally.empty:,} of {count(tally.due, 'chunk')}"]
        words = (
            (tally.unchanged, "unchanged"),
            (tally.empty, "empty"),
            (tally.later, "not ready yet"),
            (tally.failed, "failed"),
        )
        parts += [f"{number:,} {word}" for number, word in words if number]
        if tally.elsewhere:
            parts.append(f"{tally.elsewhere:,} by another sync")
        click.echo(
            f"{tally.dataset}: {', '.join(parts)}; {count(counts.rows, 'row')}: {counts.new:,} new, "
            f"{counts.changed:,} changed, {counts.withdrawn:,} withdrawn"
            + (f"; {count(tally.gaps, 'answer')} with gaps" if tally.gaps else "")
        )
    for failure in result.failures[:ERRORS_SHOWN]:
        click.echo(f"failed: {failure}", err=True)
    if len(result.failures) > ERRORS_SHOWN:
        more = len(result.failures) - ERRORS_SHOWN
        click.echo(f"... and {more:,} more; 'energywh status --failed' lists them", err=True)
    word = "interrupted" if result.interrupted else "done" if result.ok else "incomplete"
    left = sum(tally.due - tally.finished for tally in result.tallies)
    click.echo(
        f"sync {word}: {count(result.requests, 'request')} in {span(result.seconds)}"
        + (f"; {count(left, 'chunk')} left, the next sync continues from here" if left else "")
    )
    for text in result.spent:
        click.echo(text)
    for source, error in result.fatal.items():
        click.echo(f"energywh: {f'{source} failed: ' if source else ''}{error}", err=True)


def span(seconds: float) -> str:
    """Return a duration as people read it: 42 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
