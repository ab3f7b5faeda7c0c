"""`energywh status`: what is fresh, late or failed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from energywh.cli import Session
from energywh.cli.output import print_table
from energywh.core.wording import count

if TYPE_CHECKING:
    from datetime import datetime

    from energywh.sync.status import SliceStatus


@click.command()
@click.option("--region", "regions", multiple=True, metavar="CODE", help="Only these; repeat, or separate by commas.")
@click.option("--failed", is_flag=True, help="Only where chunks failed, with the error.")
@click.option("--max-behind", metavar="DURATION", help="Fail when a slice is further behind, such as 48h.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a dataset and slice.")
@click.pass_obj
def status(session: Session, regions: tuple[str, ...], failed: bool, max_behind: str | None, as_json: bool) -> int:
    """Print for each dataset and slice: first and last hour, missing values, chunks due and failed, last sync.

    The last hour is the last with a value, forecasts left out; missing are values of hours that were fetched. The
    exit status is 1, for cron, when a chunk has failed, when a region that is named was never synced, or with
    --max-behind when a slice that still reports is further behind than that. A slice is what one request is about: a
    region, a market, a price node or a file. Behind are hours that the source should have published by now.
    """
    from energywh.core.time import hour_number, parse_duration_hours, utc_now
    from energywh.regions import respondent_code
    from energywh.sync.schema import datasets_in, open_staging
    from energywh.sync.selection import region_slices
    from energywh.sync.status import clock_warning, is_late, slice_statuses

    limit = None if max_behind is None else parse_duration_hours(max_behind, "--max-behind")
    wanted = {respondent_code(code) for item in regions for code in item.split(",") if code.strip()}
    with open_staging(
        session.home.staging,
        read_only=True,
        wait_seconds=session.settings.get("lock.wait_seconds"),
        on_wait=lambda text: click.echo(text, err=True),
    ) as connection:
        now = utc_now()
        clock_text = clock_warning(connection, now)
        lines: list[SliceStatus] = []
        known: set[str] = set()
        for dataset in datasets_in(connection):
            of: dict[str, set[str]] = {}
            for code in wanted:
                for slice_ in region_slices(dataset, session.settings, code, hour_number(now)):
                    of.setdefault(slice_, set()).add(code)
            for line in slice_statuses(connection, dataset, now=now):
                if not wanted or line.slice in of:
                    lines.append(line)
                    known |= of.get(line.slice, set())
    unknown = sorted(wanted - known)
    shown = [line for line in lines if line.failed_chunks or not failed]
    if as_json:
        click.echo("[" + ",\n ".join(json.dumps(_as_json(line)) for line in shown) + "]")
    else:
        _print(shown, failed)
    if clock_text:
        click.echo(clock_text, err=True)
    for code in unknown:
        click.echo(f"{code} was never synced: run 'energywh sync --region {code}'", err=True)
    late = [line for line in lines if limit is not None and is_late(line, limit)]
    if late:
        click.echo(
            f"further behind than {max_behind}: {', '.join(f'{line.dataset} {line.slice}' for line in late)}", err=True
        )
    return 1 if unknown or late or any(line.failed_chunks for line in lines) else 0


def _print(lines: list[SliceStatus], with_error: bool) -> None:
    if not lines:
        click.echo("nothing to show" if with_error else "nothing is synced of what was asked for")
        return
    rows = [
        (
            line.dataset,
            line.slice,
            _hour(line.first_hour_utc),
            _hour(line.last_hour_utc),
            "-" if line.behind_hours is None else f"{line.behind_hours:,} h",
            f"{line.rows:,}",
            f"{line.missing:,}",
            f"{line.unfetched_hours:,} h",
            f"{line.chunks:,}",
            f"{line.due_chunks:,}",
            f"{line.failed_chunks:,}",
            f"{line.last_sync_utc:%Y-%m-%d %H:%M}" if line.last_sync_utc else "-",
        )
        for line in lines
    ]
    numbers = ("behind", "rows", "missing", "unfetched", "chunks", "due", "failed")
    columns = ("dataset", "slice", "first hour", "last hour", *numbers, "last sync (UTC)")
    print_table(columns, rows, right=numbers, wrap=("first hour", "last hour", "last sync (UTC)"))
    for line in lines:
        if with_error and line.error:
            click.echo(f"{line.dataset} {line.slice}: {line.error}")
    due, failed = (
        sum(counts) for counts in zip(*((line.due_chunks, line.failed_chunks) for line in lines), strict=True)
    )
    click.echo(
        f"{count(len(lines), 'series', 'series')}, {count(sum(line.rows for line in lines), 'row')}, "
        f"{count(due, 'chunk')} due, {failed:,} failed"
    )


def _hour(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%dT%H}" if moment else "-"


def _as_json(line: SliceStatus) -> dict[str, object]:
    from dataclasses import asdict

    return {key: value.isoformat() if hasattr(value, "isoformat") else value for key, value in asdict(line).items()}
