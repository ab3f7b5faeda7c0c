"""`energywh doctor`: find what is wrong with a home, and mend it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from energywh.cli import Session
from energywh.cli.output import print_table, print_text

if TYPE_CHECKING:
    from energywh.upkeep.diagnosis import Diagnosis

_WORST_FIRST = ("problem", "note", "ok")


@click.command()
@click.option("--full", is_flag=True, help="Read every byte of payloads, staging, versions and exports, not a sample.")
@click.option("--fix", is_flag=True, help="Mend what can be mended without losing anything.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per finding.")
@click.pass_obj
def doctor(session: Session, full: bool, fix: bool, as_json: bool) -> int:
    """Check the home: files, locks, checksums, the ledger, room, clock and settings.

    Each finding says what is wrong, where, why it matters and what to type. Nothing is changed without --fix, and no
    network is needed. The exit status is 1 if a problem is left; notes do not count.
    """
    from energywh.upkeep.doctor import examine, is_well

    found = examine(session.find_home(), lambda: session.settings, full=full, fix=fix)
    if as_json:
        click.echo("[" + ",\n ".join(json.dumps(_as_json(each), ensure_ascii=False) for each in found) + "]")
    else:
        _print(found)
    return 0 if is_well(found) else 1


def _print(found: list[Diagnosis]) -> None:
    rows = []
    for check in dict.fromkeys(each.check for each in found):
        mine = sorted(
            (each for each in found if each.check == check), key=lambda each: _WORST_FIRST.index(each.severity)
        )
        worst = mine[0].severity
        told = [each for each in mine if each.severity != "ok"]
        what = "; ".join(each.what for each in mine) if worst == "ok" else _places(told)
        state = worst if not told or any(not each.mended for each in told) else "mended"
        rows.append((check, state, what))
    print_table(("check", "state", "what"), rows, wrap=("what",))
    told = _sorted(each for each in found if each.severity != "ok")
    for each in told:
        click.echo()
        print_text(f"{each.severity}: {each.where + ': ' if each.where else ''}{each.what}", "  ")
        if each.why:
            print_text(f"  why: {each.why}", "    ")
        if each.mended:
            print_text(f"  mended: {each.mended}", "    ")
        elif each.todo:
            print_text(f"  do: {each.todo}", "    ")


def _places(told: list[Diagnosis]) -> str:
    """Return where the worst finding is, and how many others there are."""
    more = len(told) - 1
    return (told[0].where or told[0].what) + (f", and {more:,} more" if more else "")


def _sorted(found: Iterable[Diagnosis]) -> list[Diagnosis]:
    """Return the worst first."""
    return sorted(found, key=lambda each: _WORST_FIRST.index(each.severity))


def _as_json(each: Diagnosis) -> dict[str, object]:
    return {
        "check": each.check,
        "severity": each.severity,
        "what": each.what,
        "where": each.where,
        "why": each.why,
        "todo": each.todo,
        "can_mend": each.mend is not None,
        "mended": each.mended,
    }
