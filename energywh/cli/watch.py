"""`energywh watch`: sync, build and export in a loop."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import click

from energywh.cli import Session
from energywh.cli.output import Count
from energywh.cli.sync import span
from energywh.core.wording import count
from energywh.errors import EnergywhError

if TYPE_CHECKING:
    from energywh.config.settings import Settings
    from energywh.sync.selection import Selection
    from energywh.watch import Round

ASKED_SECONDS = 600.0  # a first round that takes longer is begun on a terminal only when the person agrees


@click.command()
@click.argument("what", nargs=-1, metavar="[SOURCE|DATASET]...")
@click.option("--since", metavar="TIME", help="First UTC day or hour to sync, inclusive.")
@click.option("--region", "regions", multiple=True, metavar="CODE", help="Region; repeat, or separate by commas.")
@click.option("--every", default="1h", show_default=True, metavar="DURATION", help="Time from one round to the next.")
@click.option("--rounds", default=0, type=Count(min=0), help="Stop after N rounds [run until stopped].")
@click.option("--export/--no-export", "export", default=True, help="Write Parquet in each round, or not [export].")
@click.option("--yes", is_flag=True, help="Begin without asking, also when the first round takes long.")
@click.pass_obj
def watch(
    session: Session,
    what: tuple[str, ...],
    since: str | None,
    regions: tuple[str, ...],
    every: str,
    rounds: int,
    export: bool,
    yes: bool,
) -> int:
    """Sync, build and export every DURATION (30m, 1h, 1d), until SIGTERM or Ctrl-C.

    It syncs what a plain sync does; SOURCE, DATASET, --since and --region limit it as there.

    A round that fails is reported, and the next one tries again. On a signal the current landing is finished and a
    build is aborted; what is published stays. A first round that takes longer than DURATION is announced, and on a
    terminal it begins only when agreed to if it takes longer than ten minutes. The exit status is 0 after SIGTERM,
    130 after Ctrl-C, and 1 when --rounds ended and any round failed.
    """
    from energywh.core.time import parse_span_seconds
    from energywh.sync.selection import parse_selection
    from energywh.watch import Stopping
    from energywh.watch import watch as run_watch

    selection = parse_selection(what, since=since, regions=regions)
    seconds = parse_span_seconds(every, "--every")
    if not _agreed(session.settings, selection, seconds, every, yes):
        click.echo("nothing was done", err=True)
        return 1
    stopping = Stopping()
    failed = run_watch(
        session.load,
        selection,
        every_seconds=seconds,
        export=export,
        rounds=rounds,
        stopping=stopping,
        on_round=_print,
        say=lambda text: click.echo(text, err=True),
    )
    if stopping.signal is not None:
        return 130 if stopping.signal == signal.SIGINT else 0
    return 1 if failed else 0


def _agreed(settings: Settings, selection: Selection, every_seconds: float, every: str, yes: bool) -> bool:
    """Announce a long first round, and return whether to begin."""
    from energywh.watch import first_round

    try:
        requests, seconds = first_round(settings, selection)
    except EnergywhError:  # the round itself reports it
        return True
    if seconds <= every_seconds:
        return True
    click.echo(
        f"the first round makes {count(requests, 'request')}, which take {span(seconds)} at the limits of the sources, "
        f"and the next one follows at once, not after {every}. What has landed is kept whenever you stop it. "
        "--since and --region limit it",
        err=True,
    )
    if yes or seconds <= ASKED_SECONDS or not on_terminal():
        return True
    return click.confirm("Begin?", err=True)


def on_terminal() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _print(done: Round) -> None:
    for line in done.lines:
        click.echo(line)
    for failure in done.failures:
        click.echo(f"failed: {failure}", err=True)
    word = "interrupted" if done.interrupted else "incomplete" if done.failures else "done"
    click.echo(f"round {done.number} {word} in {done.seconds:.1f} s")
