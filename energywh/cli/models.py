"""`energywh models`: the catalog."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from energywh.cli import Session
    from energywh.models.catalog.catalog import CatalogColumn, CatalogModel


@click.command()
@click.argument("model", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def models(session: Session, model: str | None, as_json: bool) -> None:
    """Print the catalog: all tables, or the columns, units and audits of MODEL.

    A column is empty where it is NULL in every row, as when the source it comes from is not synced. Works before the
    first build too; row counts and empty columns are then not known.
    """
    import dataclasses

    from energywh.models.catalog.catalog import find_model, read_catalog

    catalog = read_catalog(session.home, own_folders=session.settings.get("build.models"))
    chosen = find_model(catalog, model) if model else None
    if as_json:
        document = dataclasses.asdict(chosen) if chosen else [dataclasses.asdict(each) for each in catalog]
        click.echo(json.dumps(document, default=str, indent=2, ensure_ascii=False))
    elif chosen:
        _print_model(chosen)
    else:
        _print_catalog(catalog)


def _print_catalog(catalog: list[CatalogModel]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("model", "kind", "grain"):
        table.add_column(heading, no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("months", justify="right", no_wrap=True)
    table.add_column("empty columns", justify="right")
    table.add_column("description", ratio=1)
    for model in catalog:
        table.add_row(
            model.name,
            model.materialized,
            ", ".join(model.grain),
            _count(model.rows),
            "" if model.months is None else str(model.months),
            f"{len(model.empty_columns)} of {len(model.columns)}" if model.empty_columns else "",
            model.description.split(". ", 1)[0].rstrip(".") + ".",
        )
    Console(width=None if _on_terminal() else 160, highlight=False, markup=False).print(table)


def _print_model(model: CatalogModel) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if _on_terminal() else 160, highlight=False, markup=False)
    console.print(f"{model.name} ({model.materialized}), one row for each {', '.join(model.grain)}")
    console.print(model.description)
    if model.rows is not None:
        span = f" from {model.first_month:%Y-%m} to {model.last_month:%Y-%m}" if model.first_month else ""
        console.print(f"{model.rows:,} rows{span}")
    if model.empty_columns:
        console.print(f"empty, NULL in every row: {', '.join(model.empty_columns)}")
    if model.reads:
        console.print(f"reads {', '.join(model.reads)}")
    columns = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("column", "type", "unit"):
        columns.add_column(heading, no_wrap=True)
    columns.add_column("filled", justify="right", no_wrap=True)
    columns.add_column("description", ratio=1)
    for column in model.columns:
        columns.add_row(
            column.name, column.type or "", column.unit or "", _filled(column, model.rows), column.description
        )
    console.print(columns)
    if model.audits:
        audits = Table(box=None, pad_edge=False, header_style="bold")
        audits.add_column("audit")
        audits.add_column("severity", no_wrap=True)
        audits.add_column("rows that fail", justify="right", no_wrap=True)
        for audit in model.audits:
            audits.add_row(audit.name, audit.severity, _count(audit.failures))
        console.print(audits)


def _filled(column: CatalogColumn, rows: int | None) -> str:
    """Return the share of rows with a value, rounded down so that 100% means all of them."""
    if column.rows_with_value is None or not rows:
        return ""
    return f"{column.rows_with_value * 1000 // rows / 10:g}%" if column.rows_with_value else "empty"


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _on_terminal() -> bool:
    import sys

    return sys.stdout.isatty()
