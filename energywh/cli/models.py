"""`energywh models`: print the catalog."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from energywh.cli.output import print_table, print_text
from energywh.core.wording import count

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
    rows = [
        (
            model.name,
            model.materialized,
            ", ".join(model.grain),
            _number(model.rows),
            _number(model.months),
            f"{len(model.empty_columns)} of {len(model.columns)}" if model.empty_columns else "",
            model.description.split(". ", 1)[0].rstrip(".") + ".",
        )
        for model in catalog
    ]
    numbers = ("rows", "months", "empty columns")
    columns = ("model", "kind", "grain", *numbers, "description")
    print_table(columns, rows, right=numbers, wrap=("grain", "empty columns", "description"))


def _print_model(model: CatalogModel) -> None:
    click.echo(f"{model.name} ({model.materialized}), one row for each {', '.join(model.grain)}")
    print_text(model.description)
    if model.rows is not None:
        span = f" from {model.first_month:%Y-%m} to {model.last_month:%Y-%m}" if model.first_month else ""
        click.echo(f"{count(model.rows, 'row')}{span}")
    if model.empty_columns:
        print_text(f"empty, NULL in every row: {', '.join(model.empty_columns)}")
    if model.reads:
        print_text(f"reads {', '.join(model.reads)}")
    rows = [
        (column.name, column.type or "", column.unit or "", _filled(column, model.rows), column.description)
        for column in model.columns
    ]
    print_table(("column", "type", "unit", "filled", "description"), rows, right=("filled",), wrap=("description",))
    if model.audits:
        audits = [(audit.name, audit.severity, _number(audit.failures)) for audit in model.audits]
        print_table(("audit", "severity", "rows that fail"), audits, right=("rows that fail",), wrap=("audit",))


def _filled(column: CatalogColumn, rows: int | None) -> str:
    """Return the share of rows with a value, rounded down so that 100% means all of them."""
    if column.rows_with_value is None or not rows:
        return ""
    return f"{column.rows_with_value * 1000 // rows / 10:g}%" if column.rows_with_value else "empty"


def _number(number: int | None) -> str:
    return "" if number is None else f"{number:,}"
