"""The lineage of all models as one self-contained HTML page."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from energywh.core.files import write_file
from energywh.core.paths import Home
from energywh.core.storage_errors import storage_errors
from energywh.models.catalog.catalog import CatalogModel
from energywh.models.catalog.lineage import dataset_of, source_field
from energywh.models.catalog.site.facts import Facts, read_facts
from energywh.models.catalog.site.layout import schema_of
from energywh.models.catalog.site.markup import Markup, tag
from energywh.models.catalog.site.picture import picture, source_graph
from energywh.models.tracing.traces import ROWS, ColumnChoice, Place

HERE = Path(__file__).parent


def write_page(home: Home, file: Path, own_folders: Iterable[Path] = ()) -> None:
    """Write the page atomically.

    Raises:
        StorageError: the published file cannot be opened, or the page cannot be written.
    """
    content = render_page(read_facts(home, own_folders=own_folders))
    with storage_errors("write", file):
        write_file(file, content.encode())


def render_page(facts: Facts) -> str:
    """Return the page."""
    graph = source_graph(facts.lineage.reads)
    schemas = {schema_of(name) for tables in graph.items() for name in (tables[0], *tables[1])}
    legend = [
        tag("span", tag("i", style=f"background: var(--{schema}, var(--other))"), schema)
        for schema in sorted(schemas, key=_place_of)
    ]
    found = tag("div", class_="found")
    search = tag("input", type="search", placeholder="Search tables and columns  ( / )", aria_label="Search")
    header = tag(
        "header",
        tag("h1", "Lineage"),
        tag("span", _headline(facts), class_="faint"),
        tag("span", legend, class_="legend"),
        tag("span", class_="zoom"),
        tag("div", search, found, class_="search"),
    )
    body = tag("div", header, tag("main", picture(graph)), tag("aside"), class_="lineage")
    return document("Lineage", body, style=asset("style.css"), data=page_data(facts), script=asset("lineage.js"))


def document(title: str, body: Markup, *, style: str, data: object, script: str) -> str:
    """Return an HTML document with style, data and script inlined."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(style)),
    )
    # Escaped, a "<" in the data cannot end the script element.
    encoded = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    scripts = [tag("script", Markup(encoded), type="application/json", id="data"), tag("script", Markup(script))]
    return f"<!doctype html>\n{tag('html', head, tag('body', body, scripts), lang='en')}\n"


def asset(name: str) -> str:
    """Return the text of a file of this package (style or script)."""
    return (HERE / name).read_text("utf-8")


_SCHEMAS = ("source", "staging", "seeds", "normalized", "features", "quality")


def _place_of(schema: str) -> tuple[int, str]:
    return (_SCHEMAS.index(schema) if schema in _SCHEMAS else len(_SCHEMAS)), schema


def _headline(facts: Facts) -> str:
    if not facts.version:
        return "from the model files; nothing is built yet"
    return f"{facts.version['version']}, built {facts.version['built_at_utc']:%Y-%m-%d %H:%M} UTC"


def page_data(facts: Facts) -> dict[str, Any]:
    """Return the data for the script: tables, and columns with the numbers of the columns that they come from."""
    graph = source_graph(facts.lineage.reads)
    names = list(dict.fromkeys([*graph, *(table for tables in graph.values() for table in tables)]))
    places: dict[Place, int] = {}
    for table in names:
        for column in (*facts.lineage.tables.get(table, ()), ROWS):
            places[table, column] = len(places)
    readers: dict[str, list[str]] = {name: [] for name in names}
    for name in graph:
        for table in graph[name]:
            readers[table].append(name)
    totals = [("models", str(len(facts.models))), ("columns", str(sum(len(m.columns) for m in facts.models.values())))]
    return {
        "facts": totals,
        "tables": [_table(facts, name, graph.get(name, []), sorted(readers[name])) for name in names],
        "columns": [_column(facts, place, places) for place in places],
    }


def _table(facts: Facts, name: str, reads: Iterable[str], readers: Iterable[str]) -> dict[str, Any]:
    model = facts.models.get(name)
    traced = facts.lineage.models.get(name)
    return {
        "name": name,
        "description": model.description if model is not None else _described(facts, name),
        "facts": _model_facts(facts, model) if model is not None else [],
        "counted": model is not None and bool(model.rows),
        "note": traced.note if traced is not None else "",
        "audits": [dataclasses.asdict(audit) for audit in (model.audits if model is not None else ())],
        "reads": list(reads),
        "readers": list(readers),
        "sql": facts.lineage.sql.get(name, ""),
    }


def _described(facts: Facts, name: str) -> str:
    """Return a description of a source, a staging table or a seed."""
    if name.startswith("source."):
        source = facts.sources.get(name.removeprefix("source."))
        return "" if source is None else f"{source.title or source.name}. Licence: {source.licence or 'not known'}."
    dataset = dataset_of(name)
    if dataset is not None:
        source = facts.sources[dataset.source]
        return f"Rows as published by {source.title or source.name}: {dataset.origin}."
    return f"CSV file of the package, sql/seeds/{name.partition('.')[2]}.csv."


def _model_facts(facts: Facts, model: CatalogModel) -> list[tuple[str, str]]:
    found = [("one row for", ", ".join(model.grain))]
    if model.rows is not None:
        found.append(("rows", f"{model.rows:,}"))
    if model.first_month is not None and model.last_month is not None:
        found.append(("months", f"{model.months} from {model.first_month:%Y-%m} to {model.last_month:%Y-%m}"))
    if model.name in facts.last_hours:
        found.append(("last hour", f"{facts.last_hours[model.name]:%Y-%m-%d %H:%M} UTC"))
    return found


def _column(facts: Facts, place: Place, places: dict[Place, int]) -> dict[str, Any]:
    table, name = place
    found: dict[str, Any] = {"table": table, "name": name, "values": [], "up": [], "by": []}
    model = facts.models.get(table)
    if table in facts.lineage.models:
        step = facts.lineage.step(place)
        found["values"] = [[places[origin.table, origin.column], where_text(origin.where)] for origin in step.origins]
        found["up"] = sorted({places[each.table, each.column] for each in step.steps()} - {places[place]})
        found["by"] = [places[each] for each in step.conditions if each in places]
        found["constants"] = ", ".join(step.constants)
    elif (field := source_field(table, name)) is not None:
        found["field"] = str(field)
    if model is not None:
        for column in model.columns:
            if column.name.lower() == name:
                found |= {"unit": column.unit, "description": column.description, "type": column.type}
                found["filled"] = filled(column.rows_with_value, model.rows)
    return found


def filled(rows_with_value: int | None, rows: int | None) -> str:
    """Return the share of rows with a value, rounded down so that 100% means every row."""
    if rows_with_value is None or not rows:
        return ""
    return f"{rows_with_value * 1000 // rows / 10:g}%" if rows_with_value else "empty"


def where_text(choices: tuple[ColumnChoice, ...]) -> str:
    """Return the condition that selects the rows used of a column."""
    return " and ".join(f"{each.table}.{each.column} = {' or '.join(each.values)}" for each in choices)
