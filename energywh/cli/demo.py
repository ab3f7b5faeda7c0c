"""`energywh demo`: run everything once, offline, on simulated data."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from energywh.cli import Session

if TYPE_CHECKING:
    from energywh.demo import Step


@click.command()
@click.pass_obj
def demo(session: Session) -> None:
    """Run everything once, offline, on SIMULATED data: sync, build, export, SQL and training windows.

    Six authorities, two years. It leaves a warehouse to query; a second run finds everything up to date.
    """
    from energywh.demo import REGIONS, SINCE, UNTIL, run_demo

    started = time.monotonic()
    click.echo("energywh demo. All data below are SIMULATED, from a seed: no network, no key.")
    click.echo(f"Authorities {', '.join(REGIONS)}; hours {SINCE} to {UNTIL}; home folder {session.home.path}")
    run_demo(session.home, _print)
    click.echo(f"\nDone in {time.monotonic() - started:.0f} s. What to type next:")
    home = "" if session.settings.home_origin == "default" else f"--home {session.home.path} "
    for line in (
        f'energywh {home}sql "select region, count(*) n, max(hour_utc) from normalized.demand group by 1"',
        f"energywh {home}models features.hourly",
        f"energywh {home}status",
    ):
        click.echo(f"  {line.replace('energywh', program(), 1)}")
    click.echo("With a key of EIA's API (free), real data into a folder of their own:")
    click.echo("  export EIA_API_KEY=...")
    click.echo(f"  {program()} --home real sync --since 2024-01-01 --region CISO,ERCO")
    click.echo(f"  {program()} --home real build")


def program() -> str:
    """Return how this program was called: by name where the shell finds it, else by its path."""
    called = Path(sys.argv[0])
    if called.name != "energywh" or shutil.which("energywh"):
        return "energywh"
    with contextlib.suppress(ValueError):
        return str(called.absolute().relative_to(Path.cwd()))
    return str(called)


def _print(step: Step) -> None:
    click.echo(f"\n== {step.title} ({step.seconds:.1f} s)")
    for line in step.lines:
        click.echo(f"  {line}" if line else "")
