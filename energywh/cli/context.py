"""`energywh context`: the latest hours, as a model would be given them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from energywh.cli import Session

if TYPE_CHECKING:
    from energywh.datasets.windows.latest import RegionSummary


@click.command()
@click.argument("model", default="features.hourly")
@click.option(
    "--hours", type=click.IntRange(min=1), default=168, show_default=True, help="Hours up to the last complete."
)
@click.option("--region", "regions", multiple=True, metavar="CODE", help="Only these; repeat, or separate by commas.")
@click.option("--column", "columns", multiple=True, metavar="NAME", help="Only these; repeat, or separate by commas.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a region, with all columns.")
@click.pass_obj
def context(
    session: Session, model: str, hours: int, regions: tuple[str, ...], columns: tuple[str, ...], as_json: bool
) -> None:
    """Print the latest complete hours of each region of MODEL [features.hourly], as a forecast would start from them.

    An hour is complete once every column has arrived that the region reported at all of late. Of one region, or with
    --column, the values are summed up too. `Warehouse.context` gives the arrays.
    """
    import dataclasses

    from energywh.core.interrupt import interruptible
    from energywh.datasets.windows.latest import summaries
    from energywh.warehouse import Warehouse

    with Warehouse(session.home) as warehouse, interruptible(warehouse.connection):
        found = summaries(
            warehouse.context(hours, _listed(regions), model, features=_listed(columns), backend="numpy"),
        )
    if as_json:
        click.echo("[" + ",\n ".join(json.dumps(dataclasses.asdict(each), default=str) for each in found) + "]")
    else:
        _print(found, with_columns=len(found) == 1 or bool(columns))


def _listed(given: tuple[str, ...]) -> list[str] | None:
    return [name.strip() for item in given for name in item.split(",") if name.strip()] or None


def _print(found: list[RegionSummary], *, with_columns: bool) -> None:
    import sys

    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False)
    regions = Table(box=None, pad_edge=False, header_style="bold")
    regions.add_column("region", no_wrap=True)
    for heading in ("first hour", "last hour", "age, hours", "values there"):
        regions.add_column(heading, justify="right", no_wrap=True)
    for each in found:
        regions.add_row(
            each.region,
            f"{each.first_hour:%Y-%m-%dT%H}",
            f"{each.last_hour:%Y-%m-%dT%H}",
            f"{each.age_hours:,.1f}",
            f"{each.there:.1%}",
        )
    console.print(regions)
    if not with_columns:
        return
    console.print()
    columns = Table(box=None, pad_edge=False, header_style="bold")
    columns.add_column("region", no_wrap=True)
    columns.add_column("column", no_wrap=True)
    for heading in ("last", "mean", "least", "greatest", "missing"):
        columns.add_column(heading, justify="right", no_wrap=True)
    for each in found:
        for column in each.columns:
            values = (column.last, column.mean, column.least, column.greatest)
            shown = ["" if value is None else f"{value:,.6g}" for value in values]
            columns.add_row(each.region, column.name, *shown, f"{column.missing:,}" if column.missing else "")
    console.print(columns)
