"""`energywh lineage`: print where a column comes from, and what depends on it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from energywh.core.wording import count

if TYPE_CHECKING:
    from energywh.cli import Session
    from energywh.models.catalog.lineage import Dependent, Lineage, LineageStep
    from energywh.models.tracing.traces import ColumnChoice, Place


@click.command()
@click.argument("name", required=False)
@click.option("--downstream", is_flag=True, help="Print what depends on NAME, and what else it is made of.")
@click.option("--conditions", is_flag=True, help="Print also what selects values and rows: filters, keys, order.")
@click.option(
    "--html", "page", type=click.Path(path_type=Path), metavar="FILE", help="Write an HTML page of all models."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def lineage(
    session: Session, name: str | None, downstream: bool, conditions: bool, page: Path | None, as_json: bool
) -> None:
    """Print where NAME comes from: a table, or a column such as features.hourly.demand_lag_24h_mwh.

    A column is followed through every model to staging and to the field of its source. With --downstream, NAME may also
    be a staging table such as eia.region_data, to see what depends on it. Works before the first build too, on the
    models of the package.
    """
    from energywh.models.catalog.read_lineage import read_lineage

    if page is not None:
        from energywh.models.catalog.site.page import write_page

        if name is not None:
            raise click.UsageError("--html writes all models and takes no NAME")
        write_page(session.home, page, session.settings.get("build.models"))
        click.echo(f"wrote {page}")
        return
    if name is None:
        raise click.UsageError("name a table or column, or give --html FILE")
    lines = read_lineage(session.home, own_folders=session.settings.get("build.models"))
    place = lines.pick(name)
    if downstream:
        _print_downstream(lines, place, conditions, as_json)
    elif place[1] == "*":
        _print_table(lines, place[0], as_json)
    else:
        _print_column(lines, place, conditions, as_json)


def _print_column(lines: Lineage, place: Place, conditions: bool, as_json: bool) -> None:
    step = lines.step(place)
    if as_json:
        rows = [".".join(each) for each in sorted(lines.rows(place[0]))]
        _print_json({**_step_document(step, set()), "rows": rows})
        return
    for line in _tree(step, conditions, set()):
        click.echo(line)
    if conditions and (rows_by := lines.rows(place[0])):
        click.echo(f"rows of {place[0]} by: {_by_table(rows_by)}")


def _tree(step: LineageStep, conditions: bool, shown: set[object], indent: str = "", branch: str = "") -> Iterator[str]:
    """Yield the lines of a step and of all upstream steps; a repeated step is not expanded again."""
    where = f"  where {_where(step.where)}" if step.where and step.field is None else ""
    known = (step.name, *map(id, step.origins))
    repeated = step.origins and known in shown
    shown.add(known)
    made = ""
    if step.kind == "model" and not step.origins:
        made = f"  made here{': ' if step.constants else ''}{', '.join(step.constants)}"
    yield f"{indent}{branch}{step.name}{where}{made}{'  (as above)' if repeated else ''}"
    below = indent + ("" if not branch else "│  " if branch.startswith("├") else "   ")
    stem = "│  " if step.origins and not repeated else "   "
    if step.note:
        yield f"{below}{stem}{step.note}"
    if step.field is not None:
        yield f"{below}{stem}{step.field}"
    if repeated:
        return
    if conditions and step.conditions:
        yield f"{below}{stem}by: {_by_table(step.conditions)}"
    groups = _alike(step.origins)
    for number, group in enumerate(groups, start=1):
        twig = "└─ " if number == len(groups) else "├─ "
        if len(group) == 1:
            yield from _tree(group[0], conditions, shown, below, twig)
            continue
        names = ", ".join(each.column for each in group)
        yield f"{below}{twig}{group[0].table}: {names}"
        fields = ", ".join(" or ".join(each.field.names) for each in group if each.field)
        first = group[0].field
        if first is not None:
            yield f"{below}{'   ' if twig.startswith('└') else '│  '}   {first.title}, {first.origin}: {fields}"


MANY = 4


def _alike(steps: tuple[LineageStep, ...]) -> list[list[LineageStep]]:
    """Group many columns of one staging table."""
    by_table: dict[object, list[LineageStep]] = {}
    for step in steps:
        by_table.setdefault((step.table, step.where) if step.kind == "staging" else step, []).append(step)
    groups: list[list[LineageStep]] = []
    for group in by_table.values():
        groups += [group] if len(group) >= MANY else [[one] for one in group]
    return groups


def _by_table(places: Iterable[Place]) -> str:
    """Return columns as text, table by table."""
    tables: dict[str, list[str]] = {}
    for table, column in sorted(places):
        tables.setdefault(table, [])
        if column != "*":
            tables[table].append(column)
    return ", ".join(f"{table} ({', '.join(names)})" if names else table for table, names in tables.items())


def _where(choices: tuple[ColumnChoice, ...]) -> str:
    return " and ".join(f"{each.table}.{each.column} = {' or '.join(each.values)}" for each in choices)


def _step_document(step: LineageStep, shown: set[int]) -> dict[str, Any]:
    """Return a step and all upstream steps; a repeated one is only named, with `as_above`."""
    if step.origins and id(step) in shown:
        return {"name": step.name, "as_above": True}
    shown.add(id(step))
    return {
        "name": step.name,
        "kind": step.kind,
        "where": [{"column": f"{each.table}.{each.column}", "values": each.values} for each in step.where],
        "source": None
        if step.field is None
        else {
            "source": step.field.source,
            "origin": step.field.origin,
            "fields": step.field.names,
            "where": [{"field": name, "values": values} for name, values in step.field.where],
        },
        "constants": step.constants,
        "conditions": [".".join(each) for each in step.conditions],
        "note": step.note,
        "values": [_step_document(each, shown) for each in step.origins],
    }


def _print_table(lines: Lineage, table: str, as_json: bool) -> None:
    if as_json:
        tables = [table, *lines.upstream_tables(table)]
        _print_json([{"name": each, "kind": lines.kind(each), "reads": lines.reads.get(each, ())} for each in tables])
        return
    for line in _table_tree(lines, table, set()):
        click.echo(line)
    if note := lines.models[table].note if table in lines.models else "":
        click.echo(note)


def _table_tree(lines: Lineage, table: str, shown: set[str], indent: str = "", branch: str = "") -> Iterator[str]:
    from energywh.models.catalog.lineage import dataset_of
    from energywh.sources import sources

    reads = lines.reads.get(table, ())
    repeated = reads and table in shown
    dataset = dataset_of(table) if lines.kind(table) == "staging" else None
    origin = f"  {sources()[dataset.source].title or dataset.source}, {dataset.origin}" if dataset is not None else ""
    yield f"{indent}{branch}{table}{origin}{'  (as above)' if repeated else ''}"
    if repeated:
        return
    shown.add(table)
    below = indent + ("" if not branch else "│  " if branch.startswith("├") else "   ")
    for number, name in enumerate(reads, start=1):
        yield from _table_tree(lines, name, shown, below, "└─ " if number == len(reads) else "├─ ")


def _print_downstream(lines: Lineage, place: Place, conditions: bool, as_json: bool) -> None:
    dependents = lines.downstream(place)
    if as_json:
        _print_json([_dependent_document(each) for each in dependents])
        return
    name = place[0] if place[1] == "*" else ".".join(place)
    if not dependents:
        click.echo(f"nothing depends on {name}")
        return
    for each in dependents:
        click.echo(each.model)
        if each.rows:
            click.echo("  its rows depend on it")
        if each.only:
            click.echo(f"  made of it alone: {', '.join(each.only)}")
        by_others: dict[tuple[str, ...], list[str]] = {}
        for column, others in each.partly.items():
            by_others.setdefault(others, []).append(column)
        for others, columns in by_others.items():
            click.echo(f"  made of it and {', '.join(others)}: {', '.join(columns)}")
        if each.chosen:
            names = f": {', '.join(each.chosen)}" if conditions else "; --conditions names them"
            click.echo(f"  {count(len(each.chosen), 'column')} selected by it, as by a filter or a key{names}")


def _dependent_document(dependent: Dependent) -> dict[str, Any]:
    return {
        "model": dependent.model,
        "rows": dependent.rows,
        "only": dependent.only,
        "partly": [{"column": column, "also_from": others} for column, others in dependent.partly.items()],
        "chosen": dependent.chosen,
    }


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
