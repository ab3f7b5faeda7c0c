"""`energywh replay`: rebuild staging from the kept payloads."""

from __future__ import annotations

import click

from energywh.cli import Session
from energywh.core.wording import count


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
        f"replayed {count(result.payloads, 'payload')} of {count(result.landings, 'landing')}: "
        f"{count(counts.rows, 'row')}, "
        f"{counts.new:,} new, {counts.changed:,} changed, {counts.withdrawn:,} withdrawn, in {result.seconds:.1f} s"
    )
    if result.carried_rows:
        click.echo(
            f"carried over {count(result.carried_rows, 'row')} whose payloads are pruned from the old staging file"
        )
    if result.lost_chunks:
        click.echo(
            f"the payloads of {count(result.lost_chunks, 'chunk')} are missing; 'energywh sync' fetches them again"
        )
