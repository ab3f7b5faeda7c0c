"""`energywh prune`: make room in the home."""

from __future__ import annotations

import json

import click

from energywh.cli import Session
from energywh.cli.output import Count, print_table
from energywh.core.time import utc_now


@click.command()
@click.option(
    "--payloads-older-than",
    type=Count(min=1),
    metavar="DAYS",
    help="Age from which payloads go [payloads.retention].",
)
@click.option("--versions-keep", type=Count(min=2), metavar="N", help="Newest versions kept [build.keep_versions].")
@click.option("--records-keep", type=Count(min=0), metavar="N", help="Records of pruned versions kept [1000].")
@click.option(
    "--compact/--no-compact", default=None, help="Write staging anew; by default where a fifth of it is free."
)
@click.option("--dry-run", is_flag=True, help="Change nothing; print what would go.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def prune(
    session: Session,
    payloads_older_than: int | None,
    versions_keep: int | None,
    records_keep: int | None,
    compact: bool | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Remove old payloads, versions, records and leftovers of killed commands, and free room within staging.

    What is pinned, open in a reader or held by a running command stays. 'energywh du' shows what is how large.
    """
    from energywh.models.versions.publish import KEPT_RECORDS
    from energywh.upkeep.prune import PruneOptions, prune_home

    options = PruneOptions(
        payload_hours=None if payloads_older_than is None else payloads_older_than * 24,
        keep_versions=versions_keep,
        keep_records=KEPT_RECORDS if records_keep is None else records_keep,
        compact_staging=compact,
    )
    report = prune_home(
        session.settings, options, utc_now(), dry_run=dry_run, on_say=lambda text: click.echo(text, err=True)
    )
    if as_json:
        click.echo(
            json.dumps(
                {
                    "dry_run": dry_run,
                    "bytes": report.bytes,
                    "freed": [vars(each) for each in report.freed],
                    "skipped": report.skipped,
                },
                indent=1,
                ensure_ascii=False,
            )
        )
    else:
        if report.freed:
            rows = [(each.kind, each.what, f"{each.bytes / 1e6:,.1f}") for each in report.freed]
            print_table(("part", "what", "MB"), rows, right=("MB",), wrap=("what",))
        verb = "would be freed" if dry_run else "freed"
        click.echo(f"{report.bytes / 1e6:,.1f} MB {verb}" if report.freed else "there is nothing to remove")
    for text in report.skipped:
        click.echo(f"skipped: {text}", err=True)
    return 1 if report.skipped else 0
