"""`energywh versions`: the published versions, and what they were built from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from energywh.cli import Session
from energywh.cli.output import Count, print_table
from energywh.core.wording import count

if TYPE_CHECKING:
    from energywh.models.versions.records import Listed, Record


@click.group(invoke_without_command=True)
@click.pass_context
def versions(ctx: click.Context) -> None:
    """List, show, pin and publish again the versions; without a command, list them.

    A build keeps the newest versions (setting build.keep_versions), the newest of each of the last days
    (build.keep_days), the published one and the pinned ones. Of the others only the record stays. VERSION is a name, a
    number, latest (the published one) or latest~1.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_versions)


@versions.command("list")
@click.option("--limit", type=Count(min=0), default=20, show_default=True, help="Versions shown; 0 for all.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with tables, digests and watermarks of each.")
@click.pass_obj
def list_versions(session: Session, limit: int, as_json: bool) -> None:
    """List the versions that exist and those that were pruned, newest first."""
    from energywh.models.versions.records import versions_of

    found = versions_of(session.home)
    shown = found[:limit] if limit else found
    if as_json:
        click.echo("[" + ",\n ".join(json.dumps(_as_json(each), ensure_ascii=False) for each in shown) + "]")
    elif not found:
        click.echo(f"nothing is built yet in {session.home.path}")
    else:
        _print(shown)
        if len(shown) < len(found):
            click.echo(f"{len(found) - len(shown):,} older ones: 'energywh versions list --limit 0' shows all")


@versions.command()
@click.argument("version", default="latest")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(session: Session, version: str, as_json: bool) -> None:
    """Print what VERSION [latest] was built from, and its tables."""
    from energywh.models.versions.records import find_listed

    _print_one(find_listed(session.home, version), as_json)


@versions.command()
@click.argument("version", nargs=-1, required=True)
@click.pass_obj
def pin(session: Session, version: tuple[str, ...]) -> None:
    """Keep each VERSION until it is unpinned: no build prunes it."""
    from energywh.models.versions.records import pin as pin_version

    for wanted in version:
        click.echo(f"{pin_version(session.home, wanted)} is pinned")


@versions.command()
@click.argument("version", nargs=-1, required=True)
@click.pass_obj
def unpin(session: Session, version: tuple[str, ...]) -> None:
    """Let builds prune each VERSION again."""
    from energywh.models.versions.records import unpin as unpin_version

    for wanted in version:
        click.echo(f"{unpin_version(session.home, wanted)} is not pinned now: the next build may prune it")


@versions.command()
@click.argument("version")
@click.pass_obj
def publish(session: Session, version: str) -> None:
    """Go back: publish VERSION again in place of what is published now.

    All its rows are compared with what was built first. It stays published until the next build, which goes on from it
    and brings it up to date: mend the model or the data that made you go back before that. Versions that are newer
    than it are then called withdrawn, and are pruned like others.
    """
    from energywh.models.versions.rollback import publish_again

    chosen, before = publish_again(session.home, version)
    if before is not None and before.stem == chosen.name:
        click.echo(f"{chosen.name} is published already")
        return
    instead = f" in place of {before.stem}" if before else ""
    click.echo(f"published {chosen.name} again{instead}; the next build goes on from it")


def _print(found: list[Listed]) -> None:
    rows = []
    for each in found:
        record = each.record
        landings = [mark.landed_at_utc for mark in record.watermarks if mark.landed_at_utc] if record else []
        rows.append(
            (
                each.version,
                f"{record.built_at_utc:%Y-%m-%d %H:%M}" if record else "",
                _state(each),
                "" if each.size is None else f"{each.size / 1e6:,.1f} MB",
                f"{len(record.tables):,}" if record else "",
                f"{record.rows:,}" if record else "",
                _changes(record),
                f"{max(landings):%Y-%m-%d %H:%M}" if landings else "",
            )
        )
    numbers = ("size", "tables", "rows")
    columns = ("version", "built (UTC)", "state", *numbers, "changed since the one before", "newest landing (UTC)")
    print_table(columns, rows, right=numbers, wrap=columns[1:])


def _state(each: Listed) -> str:
    again = ""
    if each.state == "published" and each.published_again_utc is not None:
        again = f", again since {each.published_again_utc:%Y-%m-%d %H:%M}"
    changed = ", changed by another program" if each.changed and each.state != "damaged" else ""
    return f"{each.state}{again}{', pinned' if each.pinned else ''}{changed}"


def _changes(record: Record | None) -> str:
    """Return how much of a version differs from the version before."""
    if record is None or record.changed is None:
        return ""
    tables, months = len(record.changed), sum(record.changed.values())
    return f"{count(tables, 'table')}, {count(months, 'month')}" if tables else "the same rows"


def _print_one(each: Listed, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_as_json(each), indent=2, ensure_ascii=False))
        return
    record = each.record
    click.echo(f"{each.version}: {_state(each)}")
    if record is None:
        click.echo("it has no record, and cannot be read")
        return
    base = f", {record.base_kind} from {record.base_version}" if record.base_version else ", built from staging alone"
    click.echo(
        f"built {record.built_at_utc:%Y-%m-%d %H:%M:%S} UTC by energywh {record.energywh_version} "
        f"with DuckDB {record.duckdb_version}{base}"
    )
    if record.as_of_utc is not None:
        click.echo(f"as of {record.as_of_utc:%Y-%m-%d %H:%M:%S} UTC, knowledge {record.knowledge}")
    if record.options:
        click.echo("options " + ", ".join(f"{name}={json.dumps(value)}" for name, value in record.options.items()))
    changed = record.changed or {}
    tables = [
        (
            row.name,
            f"{row.rows:,}",
            row.digest or "",
            row.sql_hash or "seed",
            f"{changed[row.name]:,}" if row.name in changed else "",
        )
        for row in record.tables
    ]
    print_table(("table", "rows", "digest", "SQL", "months changed"), tables, right=("rows",))
    marks = [
        (
            mark.dataset,
            f"{mark.newest_hour_utc:%Y-%m-%dT%H}",
            f"{mark.landed_at_utc:%Y-%m-%d %H:%M}" if mark.landed_at_utc else "",
        )
        for mark in record.watermarks
    ]
    print_table(("dataset", "newest hour (UTC)", "newest landing (UTC)"), marks)
    for warned in record.warnings:
        click.echo(f"warning: {warned.model}: audit {warned.audit} fails ({count(warned.failures, 'row')})")


def _as_json(each: Listed) -> object:
    """Return a version as what `json` can print: times as ISO text."""
    import msgspec

    return msgspec.to_builtins(each)
