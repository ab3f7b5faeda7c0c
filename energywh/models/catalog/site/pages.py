"""The catalog as a static site: an index, pages of tables and sources, the last build, and the lineage page."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec

from energywh.core.folders import replacing_folder
from energywh.core.paths import Home
from energywh.models.catalog.catalog import CatalogAudit, CatalogModel
from energywh.models.catalog.lineage import dataset_of
from energywh.models.catalog.site.facts import Facts, read_facts
from energywh.models.catalog.site.layout import schema_of
from energywh.models.catalog.site.markup import Markup, pairs, table, tag
from energywh.models.catalog.site.page import asset, filled, render_page, where_text
from energywh.models.catalog.site.picture import around, picture, source_graph
from energywh.models.tracing.traces import ColumnChoice
from energywh.sources.base import Dataset, Source

MARK = ".energywh-docs"  # only a folder with this file is replaced


def write_site(home: Home, folder: Path, own_folders: Iterable[Path] = ()) -> int:
    """Replace ``folder`` with the site in one step, and return the number of pages.

    Raises:
        StorageError: the published file cannot be opened, or ``folder`` contains something else.
        OSError: the site cannot be written.
    """
    pages = render_site(read_facts(home, own_folders=own_folders))
    with replacing_folder(folder, MARK) as temporary:
        for name, content in pages.items():
            file = temporary / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, "utf-8")
    return sum(name.endswith(".html") for name in pages)


def render_site(facts: Facts) -> dict[str, str]:
    """Return the files of the site by path; the same version gives the same files."""
    pages = {"index.html": _index(facts), "build.html": _build(facts)}
    pages |= {table_path(name): _table_page(facts, model) for name, model in facts.models.items()}
    pages |= {source_path(name): _source_page(facts, source) for name, source in facts.sources.items()}
    pages |= {"lineage.html": render_page(facts), "style.css": asset("style.css")}
    return pages


def table_path(name: str) -> str:
    return f"tables/{name}.html"


def source_path(name: str) -> str:
    return f"sources/{name}.html"


def _page(title: str, *content: object, root: str = "../") -> str:
    """Return one page; ``root`` is the relative path from it to the index."""
    places = (("index.html", "Tables"), ("index.html#sources", "Sources"), ("build.html", "Last build"))
    links = [tag("a", words, href=f"{root}{place}") for place, words in (*places, ("lineage.html", "Lineage"))]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{title} · energywh"),
        tag("link", rel="stylesheet", href=f"{root}style.css"),
    )
    body = tag("body", tag("div", tag("nav", tag("strong", "energywh"), links), content, class_="site"))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _index(facts: Facts) -> str:
    schemas: dict[str, list[CatalogModel]] = {}
    for name, model in facts.models.items():
        schemas.setdefault(schema_of(name), []).append(model)
    parts: list[object] = [tag("h1", "Catalog"), tag("p", _version_line(facts), class_="faint")]
    for schema, models in schemas.items():
        rows = [
            (
                _table_link(facts, model.name, ""),
                model.description.split(". ", 1)[0].rstrip(".") + ".",
                _number(model.rows),
                len(model.columns),
                _moment(facts.last_hours.get(model.name)),
            )
            for model in models
        ]
        parts += [tag("h2", schema), table(("table", "description", "rows #", "columns #", "last hour, UTC #"), rows)]
    sources = [
        (
            tag("a", source.title or name, href=source_path(name)),
            ", ".join(dataset.table for dataset in source.datasets),
            source.licence,
        )
        for name, source in facts.sources.items()
    ]
    parts += [tag("h2", "Sources", id="sources"), table(("source", "datasets", "licence"), sources)]
    return _page("Catalog", parts, root="")


def _version_line(facts: Facts) -> str:
    if not facts.version:
        return "Nothing is built yet: these are the tables of a build, without counts."
    return f"Version {facts.version['version']}, built {_moment(facts.version['built_at_utc'])} UTC."


def _build(facts: Facts) -> str:
    if not facts.version:
        return _page("Last build", tag("h1", "Last build"), tag("p", _version_line(facts)), root="")
    known = [(name.replace("_", " "), _shown(value)) for name, value in facts.version.items() if value is not None]
    models = [
        (
            _table_link(facts, model.name, ""),
            _number(model.rows),
            _number(model.months),
            _moment(facts.landed.get(model.name)),
            _failures(model),
        )
        for model in facts.models.values()
    ]
    return _page(
        "Last build",
        tag("h1", "Last build"),
        pairs(known),
        tag("h2", "Tables"),
        table(("table", "rows #", "months #", "data landed until, UTC #", "audits with rows that fail"), models),
        root="",
    )


def _failures(model: CatalogModel) -> list[Markup]:
    return [tag("div", f"{audit.name}: {audit.failures:,}", class_="bad") for audit in model.audits if audit.failures]


def _table_page(facts: Facts, model: CatalogModel) -> str:
    name, lineage = model.name, facts.lineage
    traced = lineage.models.get(name)
    graph = around(source_graph(lineage.reads), name)

    def link(other: str) -> str | None:
        address = _address(facts, other)
        return None if address is None else f"../{address}"

    about: list[tuple[str, object]] = [("One row for each", ", ".join(model.grain)), ("Kind", model.materialized)]
    if model.rows is not None:
        about.append(("Rows", _number(model.rows)))
    if model.first_month is not None and model.last_month is not None:
        about.append(("Months", f"{model.months}, {model.first_month:%Y-%m} to {model.last_month:%Y-%m}"))
    if name in facts.last_hours:
        about.append(("Last hour", f"{_moment(facts.last_hours[name])} UTC"))
    columns = [
        (
            tag("code", column.name),
            column.type or "",
            column.unit or "",
            filled(column.rows_with_value, model.rows),
            column.description,
            _upstream(facts, name, column.name),
        )
        for column in model.columns
    ]
    parts: list[object] = [
        tag("h1", name),
        tag("p", model.description),
        pairs(about),
        tag("p", traced.note, class_="bad") if traced is not None and traced.note else None,
        tag("h2", "Columns"),
        table(("column", "type", "unit", "filled #", "description", "made of"), columns),
    ]
    if model.audits:
        audits = [
            ([each.name, _described(each)], each.severity, _number(each.failures), tag("code", each.sample))
            for each in model.audits
        ]
        parts += [tag("h2", "Audits"), table(("audit", "severity", "rows that fail #", "such as"), audits)]
    if name in facts.contents:
        headings, rows = facts.contents[name]
        parts += [tag("h2", "All rows"), table(headings, [[_shown(value) for value in row] for row in rows])]
    parts += [
        tag("h2", "Where it comes from, and what reads it"),
        tag("div", picture(graph, link=link, chosen=name), class_="picture"),
        tag("p", tag("a", "Follow single columns", href=f"../lineage.html#{name}")),
        tag("h2", "SQL"),
        tag("pre", lineage.sql.get(name, "")),
    ]
    return _page(name, parts)


def _upstream(facts: Facts, name: str, column: str) -> list[Markup]:
    """Return the columns that a column is computed from directly, with links to their pages."""
    if name not in facts.lineage.models:
        return []
    step = facts.lineage.step((name, column.lower()))
    shown = [tag("div", _table_link(facts, each.table, "../", each.name), _faint(each.where)) for each in step.origins]
    return shown or [tag("span", ", ".join(step.constants), class_="faint")]


def _described(audit: CatalogAudit) -> Markup | None:
    return tag("div", audit.description, class_="faint") if audit.description else None


def _faint(where: tuple[ColumnChoice, ...]) -> Markup | None:
    return tag("div", f"where {where_text(where)}", class_="faint") if where else None


def _source_page(facts: Facts, source: Source) -> str:
    title = source.title or source.name
    defaults = {field.name: field.default for field in msgspec.structs.fields(source.section)}
    paces = [
        (name.replace("_", " "), f"{value:,g}") for name, value in defaults.items() if name.startswith("requests_per_")
    ]
    known = [
        ("Name", tag("code", source.name)),
        ("Home page", tag("a", source.homepage, href=source.homepage) if source.homepage else "not known"),
        ("Address", tag("code", str(defaults.get("url", "")))),
        ("Licence", source.licence or "not known"),
        *paces,
    ]
    parts: list[object] = [tag("h1", title), pairs(known), tag("h2", "Datasets")]
    for dataset in source.datasets:
        parts += _dataset(facts, dataset)
    if source.irregularities:
        rows = [(number, each.what, each.known_from) for number, each in enumerate(source.irregularities, start=1)]
        parts += [tag("h2", "Known irregularities"), table(("", "what happens", "known from"), rows)]
    return _page(title, parts)


def _dataset(facts: Facts, dataset: Dataset) -> list[Markup]:
    """Return the section of a source's page for one dataset."""
    name = f"staging.{dataset.name}"
    columns = [dataset.time_column, *dataset.keys, *dataset.values]
    stamp = "end" if dataset.stamp_offset_hours else "start"
    about = [
        f"{dataset.origin[:1].upper()}{dataset.origin[1:]}, from {dataset.first_hour} on",
        f"an interval of {dataset.interval_minutes} minutes, stamped at its {stamp}",
        f"published about {dataset.publication_lag_hours()} h after an hour ends",
        f"revised for {dataset.settling_hours} h",
        f"up to {dataset.lead_hours} h ahead" if dataset.lead_hours else "",
        f"kept by the source for {dataset.retention_hours // 24:,} days" if dataset.retention_hours else "",
    ]
    readers = facts.readers(name)
    fields = [(tag("code", column), " or ".join(dataset.fields_of(column))) for column in columns]
    return [
        tag("h2", name, id=dataset.table),
        tag("p", "; ".join(filter(None, about)) + "."),
        tag(
            "p",
            "Read by ",
            _listed(_table_link(facts, reader, "../") for reader in readers) if readers else "no table",
            ".",
        ),
        table(("staging column", "name at the source"), fields),
    ]


def _listed(items: Iterable[Markup]) -> Markup:
    return Markup(", ".join(items))


def _table_link(facts: Facts, name: str, root: str, words: str | None = None) -> Markup:
    """Return a link to the page of a table, or its name where it has no page (seeds)."""
    address = _address(facts, name)
    if address is None:
        return tag("span", words or name, class_="name")
    return tag("a", words or name, href=f"{root}{address}", class_="name")


def _address(facts: Facts, name: str) -> str | None:
    """Return the path of the page of a table or source, or None."""
    if name in facts.models:
        return table_path(name)
    dataset = dataset_of(name) if name.startswith("staging.") else None
    if dataset is not None:
        return f"{source_path(dataset.source)}#{dataset.table}"
    source = name.removeprefix("source.")
    return source_path(source) if source in facts.sources else None


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _moment(value: datetime | None) -> str:
    return "" if value is None else f"{value:%Y-%m-%d %H:%M}"


def _shown(value: Any) -> str:
    """Return a value of the warehouse as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return _moment(value)
    return value.isoformat() if isinstance(value, date) else str(value)
