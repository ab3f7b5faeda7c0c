"""`energywh config`: print the settings in effect."""

from __future__ import annotations

import json

import click

from energywh.cli import Session
from energywh.cli.output import print_table


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def config(session: Session, as_json: bool) -> None:
    """Print every setting, its value, and where it came from. Secrets are masked."""
    from energywh.config.settings import describe

    rows = list(describe(session.settings))
    if as_json:
        click.echo(json.dumps([dict(zip(("name", "value", "origin", "help"), row, strict=True)) for row in rows]))
        return
    shown = [(name, value.replace(",", ", "), origin, text) for name, value, origin, text in rows]
    print_table(("setting", "value", "from", "meaning"), shown, wrap=("value", "from", "meaning"))
