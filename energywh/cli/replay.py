"""`energywh replay`: rebuild staging from the kept payloads."""

from __future__ import annotations

import click

from energywh.core.wording import count


@click.command()
@click.option("--force", is_flag=True, help="Replace staging also where the new file has fewer rows.")
@click.pass_context
def replay(ctx: click.Context, force: bool) -> None:
    """Rebuild staging from the raw payloads kept, without a network.

    Rows whose payloads were pruned are carried over from the present staging file, where it can be read. A damaged
    staging file is put aside; damaged payloads and journals are listed and skipped, with exit status 1.
    """
    from energywh.sync.replay import replay as run_replay

    result = run_replay(ctx.obj.settings, on_say=lambda text: click.echo(text, err=True), force=force)
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
        chunks = count(result.lost_chunks, "chunk")
        click.echo(f"the payloads of {chunks} are missing or damaged; 'energywh sync' fetches them again")
    if result.set_aside is not None:
        click.echo(f"the old staging file is kept as {result.set_aside}: delete it once nothing is missing")
    if not result.ok:
        click.echo(f"skipped {count(len(result.skipped), 'damaged or missing part')}:", err=True)
        for text in result.skipped:
            click.echo(f"  {text}", err=True)
        ctx.exit(1)
