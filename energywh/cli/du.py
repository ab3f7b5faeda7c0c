"""`energywh du`: what is how large, and what can go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from energywh.cli import Session
from energywh.cli.output import print_table
from energywh.core.time import utc_now

if TYPE_CHECKING:
    from energywh.upkeep.disk_usage import Usage


@click.command()
@click.option("--all", "each", is_flag=True, help="List every part, also small ones.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per part, with bytes.")
@click.pass_obj
def du(session: Session, each: bool, as_json: bool) -> None:
    """Print how much room each part of the home takes on the disk, how much can go, and by which command."""
    from energywh.upkeep.disk_usage import measure

    found = measure(session.settings, utc_now())
    if as_json:
        click.echo(json.dumps([vars(usage) for usage in found], indent=1, ensure_ascii=False))
    else:
        _print(found, each)


LARGE_PARTS = 5  # of each kind


def _print(found: list[Usage], each: bool) -> None:
    rows = []
    for kind in dict.fromkeys(usage.kind for usage in found):
        parts = [usage for usage in found if usage.kind == kind]
        if len(parts) == 1:
            rows.append(_row(kind, parts[0].name, parts))
            continue
        rows.append(_row(kind, "", parts))
        shown = parts if each else sorted(parts, key=lambda usage: -max(usage.bytes, usage.can_go))[:LARGE_PARTS]
        rows += [_row("", usage.name, [usage]) for usage in parts if usage in shown and (each or usage.bytes)]
        if len(shown) < len(parts):
            rows.append(_row("", f"{len(parts) - len(shown):,} more", [usage for usage in parts if usage not in shown]))
    rows.append(_row("all", "", found))
    print_table(("part", "name", "MB", "can go", "by"), rows, right=("MB", "can go"), wrap=("name", "by"))


def _row(kind: str, name: str, parts: list[Usage]) -> tuple[str, ...]:
    goes = sum(usage.can_go for usage in parts)
    commands = list(dict.fromkeys(usage.command for usage in parts if usage.command)) if name else []
    notes = [usage.note for usage in parts if usage.note] if name and len(parts) == 1 else []
    text = ", ".join([*commands, *notes])
    return kind, name, f"{sum(usage.bytes for usage in parts) / 1e6:,.1f}", f"{goes / 1e6:,.1f}" if goes else "", text
