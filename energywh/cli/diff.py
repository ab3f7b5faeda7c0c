"""`energywh diff`: compare two versions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from energywh.cli import Session
from energywh.cli.output import Count
from energywh.core.wording import count

if TYPE_CHECKING:
    from datetime import date

    from energywh.models.versions.diff import ColumnDiff, Diff, TableDiff


@click.command()
@click.argument("before")
@click.argument("after", default="latest")
@click.option("--model", metavar="MODEL", help="Compare only this model.")
@click.option("--limit", type=Count(min=0), default=10, show_default=True, help="Columns shown a table; 0 for all.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, always complete.")
@click.pass_obj
def diff(session: Session, before: str, after: str, model: str | None, limit: int, as_json: bool) -> None:
    """Print which tables, months and columns differ between two versions, and by how much.

    BEFORE and AFTER [latest] are names, numbers, latest, latest~1 (the one before), or files that 'energywh build
    --as-of' wrote. Only months that differ are read. The exit status is 0, whether anything differs or not.
    """
    from energywh.models.versions.diff import diff_versions
    from energywh.models.versions.records import find_version

    found = diff_versions(find_version(session.home, before), find_version(session.home, after), model)
    if as_json:
        import msgspec

        click.echo(json.dumps(msgspec.to_builtins(found), indent=2, ensure_ascii=False))
    else:
        _print(found, limit)


def _print(found: Diff, limit: int) -> None:
    click.echo(f"{found.before} -> {found.after}")
    for what, (one, other) in (("energywh", found.energywh_versions), ("DuckDB", found.duckdb_versions)):
        if one != other:
            click.echo(f"built by {what} {one} -> {other}")
    for table in found.tables:
        click.echo(f"{table.name}: {_summary(table)}")
        for column in table.columns[: limit or None]:
            click.echo(f"    {column.name}: {_column(column)}")
        if limit and len(table.columns) > limit:
            click.echo(f"    {len(table.columns) - limit} more columns: --limit 0 shows all")
    if found.equal:
        click.echo(f"equal: {', '.join(found.equal)}")


def _summary(table: TableDiff) -> str:
    if table.state == "added":
        return f"added, {count(table.rows_after or 0, 'row')}"
    if table.state == "dropped":
        return f"dropped, {count(table.rows_before or 0, 'row')}"
    parts = []
    if table.note:
        parts.append(table.note)
    elif table.rows_added or table.rows_removed or table.rows_changed:
        parts.append(
            f"{count(table.rows_added or 0, 'row')} added, "
            f"{table.rows_removed:,} removed, {table.rows_changed:,} changed"
            + (f" in {_months(table.months)}" if table.months else "")
        )
    else:
        parts.append("the same rows")
    if table.sql_changed:
        parts.append("SQL changed")
    for what, columns in (
        ("columns added", table.columns_added),
        ("columns dropped", table.columns_dropped),
        ("types changed", table.types_changed),
    ):
        if columns:
            parts.append(f"{what}: {', '.join(columns)}")
    return "; ".join(parts)


def _months(months: list[date]) -> str:
    """Return months as text: all of a few, the ends of many."""
    if len(months) > 3:
        return f"{len(months)} months, {months[0]:%Y-%m} to {months[-1]:%Y-%m}"
    return ", ".join(f"{month:%Y-%m}" for month in months)


def _column(column: ColumnDiff) -> str:
    counts = ((column.changed, "changed"), (column.became_null, "became NULL"), (column.got_value, "got a value"))
    said = ", ".join(f"{number:,} {what}" for number, what in counts if number)
    if column.greatest_difference is None or column.place is None:
        return said
    place = " ".join(str(value) for value in column.place.values())
    return (
        f"{said}; difference {column.mean_difference:,.6g} on average, {column.greatest_difference:,.6g} at most, "
        f"at {place} ({column.before:,.10g} -> {column.after:,.10g})"
    )
