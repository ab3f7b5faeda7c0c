"""`energywh revisions`: how often, how late and by how much the sources revise."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from energywh.cli import Session
from energywh.cli.output import print_table

if TYPE_CHECKING:
    from energywh.models.catalog.revisions import Revisions

COUNTS = ("rows", "gone", "revised", "revisions", "filled", "withdrawn")
NUMBERS = (*COUNTS, "typical delay", "longest", "mean change", "greatest")


@click.command()
@click.option("--region", "regions", multiple=True, metavar="CODE", help="Only these; repeat, or separate by commas.")
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    metavar="NAME",
    help="Only these, or a source; repeat, or by commas.",
)
@click.option("--since", metavar="TIME", help="Only hours of the month of this time, and later.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a dataset and region.")
@click.pass_obj
def revisions(
    session: Session, regions: tuple[str, ...], datasets: tuple[str, ...], since: str | None, as_json: bool
) -> None:
    """Print for each dataset and region how much of it was revised, how late, and by how much.

    Read from the model quality.revisions of the published warehouse, which has them by measure and month. Delays are
    from the end of an hour until sync saw the revision; hours fetched first more than 14 days later have none.
    """
    from energywh.core.time import parse_hour
    from energywh.models.catalog.revisions import read_revisions
    from energywh.warehouse import Warehouse

    moment = None if since is None else parse_hour(since, what="--since")
    with Warehouse(session.home) as warehouse:
        found = read_revisions(warehouse.connection, _split(regions), _split(datasets), moment)
    if as_json:
        import msgspec

        click.echo("[" + ",\n ".join(json.dumps(msgspec.to_builtins(each), ensure_ascii=False) for each in found) + "]")
    else:
        _print(found)


def _split(given: tuple[str, ...]) -> list[str]:
    return [code.strip() for item in given for code in item.split(",") if code.strip()]


def _print(found: list[Revisions]) -> None:
    if not found:
        click.echo("nothing is held of what was asked for")
        return
    rows = [
        (
            each.dataset,
            each.region,
            f"{each.rows:,}",
            f"{each.gone:,}",
            f"{each.revised:,}" + (f" ({100 * each.revised / (each.rows + each.gone):.1f}%)" if each.revised else ""),
            f"{each.revisions:,}",
            f"{each.filled:,}",
            f"{each.withdrawn:,}",
            _number(each.typical_delay_hours, ",.0f", " h"),
            _number(each.max_delay_hours, ",.0f", " h"),
            _number(each.mean_change_percent, ",.1f", "%"),
            _number(each.max_change, ",.6g", ""),
            f"{each.newest_revision_utc:%Y-%m-%d %H:%M}" if each.newest_revision_utc else "",
        )
        for each in found
    ]
    print_table(("dataset", "region", *NUMBERS, "newest seen (UTC)"), rows, right=NUMBERS)


def _number(value: float | None, form: str, unit: str) -> str:
    return "" if value is None else f"{value:{form}}{unit}"
