"""`energywh context`: the latest hours, as inputs of a model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from energywh.cli import Session
from energywh.cli.output import Count, print_table
from energywh.cli.spec_options import LISTS, listed

if TYPE_CHECKING:
    from energywh.datasets.windows.latest import RegionSummary


@click.command()
@click.argument("model", default="features.hourly")
@click.option("--hours", type=Count(min=1), default=168, show_default=True, help="Hours up to the last complete.")
@click.option("--region", "regions", multiple=True, metavar="CODE", help=f"Only these; {LISTS}.")
@click.option("--column", "columns", multiple=True, metavar="NAME", help=f"Only these; {LISTS}.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a region, with all columns.")
@click.pass_obj
def context(
    session: Session, model: str, hours: int, regions: tuple[str, ...], columns: tuple[str, ...], as_json: bool
) -> None:
    """Print the latest complete hours of each region of MODEL [features.hourly], as a forecast would start from them.

    An hour is complete once every column has arrived that the region has reported lately. For one region, or with
    --column, statistics of the values are printed too. `Warehouse.context` gives the arrays.
    """
    import dataclasses

    from energywh.core.interrupt import interruptible
    from energywh.datasets.windows.latest import summaries
    from energywh.warehouse import Warehouse

    with Warehouse(session.home) as warehouse, interruptible(warehouse.connection):
        found = summaries(
            warehouse.context(hours, listed(regions), model, features=listed(columns), backend="numpy"),
        )
    if as_json:
        click.echo("[" + ",\n ".join(json.dumps(dataclasses.asdict(each), default=str) for each in found) + "]")
    else:
        _print(found, with_columns=len(found) == 1 or bool(columns))


def _print(found: list[RegionSummary], *, with_columns: bool) -> None:
    headings = ("region", "first hour", "last hour", "age, hours", "values there")
    rows = [
        [
            each.region,
            f"{each.first_hour:%Y-%m-%dT%H}",
            f"{each.last_hour:%Y-%m-%dT%H}",
            f"{each.age_hours:,.1f}",
            f"{each.there:.1%}",
        ]
        for each in found
    ]
    print_table(headings, rows, right=headings[1:])
    if not with_columns:
        return
    click.echo()
    statistics = ("region", "column", "last", "mean", "least", "greatest", "missing")
    rows = [
        [
            each.region,
            column.name,
            *(
                "" if value is None else f"{value:,.6g}"
                for value in (column.last, column.mean, column.least, column.greatest)
            ),
            f"{column.missing:,}" if column.missing else "",
        ]
        for each in found
        for column in each.columns
    ]
    print_table(statistics, rows, right=statistics[2:])
