"""`energywh replay`: staging again, from payloads."""

from __future__ import annotations

import click

from energywh.cli import Session


@click.command()
@click.pass_obj
def replay(session: Session) -> None:
    """Rebuild staging from the raw payloads kept, without a network.

    Rows whose payloads were pruned are carried over from the present staging file, where it can be read.
    """
    from energywh.sync.replay import replay as run_replay

    result = run_replay(session.settings, on_say=lambda text: click.echo(text, err=True))
    counts = result.counts
    click.echo(
        f"replayed {result.payloads:,} payloads of {result.landings:,} landings: {counts.rows:,} rows, "
        f"{counts.new:,} new, {counts.changed:,} changed, {counts.withdrawn:,} withdrawn, in {result.seconds:.1f} s"
    )
    if result.carried_rows:
        click.echo(f"carried over {result.carried_rows:,} rows from the staging before: their payloads are pruned")
    if result.lost_chunks:
        click.echo(f"{result.lost_chunks:,} chunks have lost their payloads; 'energywh sync' fetches them again")
