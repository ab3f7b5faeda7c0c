"""The model graph as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from energywh.models.catalog.site.layout import HEIGHT, WIDTH, Box, Layout, Line, arrange, schema_of
from energywh.models.catalog.site.markup import Markup, tag

LONGEST = 25  # characters that fit into a box


def source_graph(reads: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Return the graph with sources, such as `source.eia`, upstream of their staging tables."""
    graph = {name: sorted(tables) for name, tables in reads.items()}
    for table in sorted({table for tables in graph.values() for table in tables}):
        if table.startswith("staging."):
            graph[table] = [f"source.{table.split('.')[1]}"]
    return graph


def around(graph: Mapping[str, list[str]], name: str) -> dict[str, list[str]]:
    """Return the subgraph of a table: everything upstream, and its direct readers."""
    kept: dict[str, list[str]] = {}
    waiting = [name]
    while waiting:
        table = waiting.pop()
        if table not in kept:
            kept[table] = list(graph.get(table, ()))
            waiting += kept[table]
    for reader, tables in graph.items():
        if name in tables and reader not in kept:
            kept[reader] = [name]
    return kept


def picture(
    graph: Mapping[str, Iterable[str]],
    *,
    link: Callable[[str], str | None] = lambda name: None,
    chosen: str | None = None,
) -> Markup:
    """Return a graph as SVG; boxes have the class of their schema and `data-name`, lines `data-from` and `data-to`.

    Args:
        link: returns the link target of a box, or None.
        chosen: the highlighted box.
    """
    layout = arrange(graph)
    lines = [_line(layout, line) for line in layout.lines]
    boxes = [_box(box, link(box.name), box.name == chosen) for box in layout.boxes.values()]
    return tag(
        "svg",
        tag("g", lines, class_="lines"),
        boxes,
        class_="graph",
        view_box=f"0 0 {layout.width:g} {layout.height:g}",
        width=f"{layout.width:g}",
        height=f"{layout.height:g}",
        role="img",
        aria_label="Graph of the tables and what they read",
    )


def _box(box: Box, address: str | None, chosen: bool) -> Markup:
    short = box.name.partition(".")[2]
    if len(short) > LONGEST:
        short = f"{short[: LONGEST - 1]}…"
    inside = [
        tag("title", box.name),
        tag("rect", x=f"{box.x:g}", y=f"{box.y:g}", width=WIDTH, height=HEIGHT, rx=5),
        tag("text", short, x=f"{box.x + 10:g}", y=f"{box.middle + 4:g}"),
    ]
    kind = f"box {schema_of(box.name)}{' chosen' if chosen else ''}"
    group = tag("g", inside, class_=kind, data_name=box.name)
    return group if address is None else tag("a", group, href=address)


def _line(layout: Layout, line: Line) -> Markup:
    """Return the curve from box to box; within a layer that it passes, it is straight."""
    start, end = layout.boxes[line.start], layout.boxes[line.end]
    x, y = start.x + WIDTH, start.middle
    path = f"M{x:g} {y:g}"
    for to_x, to_y in [*line.points, (end.x, end.middle)]:
        bend = (x + to_x) / 2
        path += f"C{bend:g} {y:g} {bend:g} {to_y:g} {to_x:g} {to_y:g}"
        x, y = to_x, to_y
        if to_x != end.x:
            x += WIDTH
            path += f"H{x:g}"
    return tag("path", d=path, data_from=line.start, data_to=line.end)
