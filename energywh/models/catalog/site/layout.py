"""Layout of the model graph: tables in layers, each after the tables that it reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

WIDTH, HEIGHT = 168, 30  # of a box
LANE = 8  # height reserved for a line that passes between boxes
GAP_X, GAP_Y = 52, 11
MARGIN = 16
SWEEPS = 12

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A table of the picture; `x` and `y` are its upper left corner, in pixels."""

    name: str
    x: float
    y: float

    @property
    def middle(self) -> float:
        return self.y + HEIGHT / 2


@dataclass(frozen=True)
class Line:
    """A line from a table to one that reads it; ``points`` are the lanes that it passes between the two boxes."""

    start: str
    end: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Layout:
    """Boxes by name, the lines between them, and the size of the picture in pixels."""

    boxes: Mapping[str, Box]
    lines: Sequence[Line]
    width: float
    height: float


@dataclass(frozen=True, order=True)
class _Lane:
    """Place where the lines that leave a table pass a later layer."""

    table: str
    layer: int


_Place: TypeAlias = str | _Lane  # a table, or a lane


def arrange(reads: Mapping[str, Iterable[str]]) -> Layout:
    """Lay out tables, schema by schema from sources to features.

    Args:
        reads: tables that each table reads; the part of a name before its first dot is its schema.
    """
    upstream = {name: sorted(set(tables)) for name, tables in reads.items()}
    for tables in list(upstream.values()):
        for table in tables:
            upstream.setdefault(table, [])
    layers = _layers(upstream)
    rows: list[list[_Place]] = [[] for _ in range(max(layers.values(), default=0) + 1)]
    for name in sorted(upstream):
        rows[layers[name]].append(name)
    before: dict[_Place, set[_Place]] = {name: set() for name in upstream}  # neighbors in the layer before
    ways: dict[tuple[str, str], list[_Lane]] = {}
    for name in sorted(upstream):
        for table in upstream[name]:
            lanes = [_Lane(table, layer) for layer in range(layers[table] + 1, layers[name])]
            ways[table, name] = lanes
            stations: list[_Place] = [table, *lanes, name]
            for one, other in pairwise(stations):
                if other not in before:
                    rows[layers[table] + stations.index(other)].append(other)
                before.setdefault(other, set()).add(one)
    _untangle(rows, before)

    boxes: dict[str, Box] = {}
    at: dict[_Lane, Point] = {}
    heights = [sum((HEIGHT if isinstance(place, str) else LANE) + GAP_Y for place in row) - GAP_Y for row in rows]
    for layer, row in enumerate(rows):
        x, y = MARGIN + layer * (WIDTH + GAP_X), MARGIN + (max(heights) - heights[layer]) / 2
        for place in row:
            if isinstance(place, str):
                boxes[place] = Box(place, x, y)
                y += HEIGHT + GAP_Y
            else:
                at[place] = (x, y + LANE / 2)
                y += LANE + GAP_Y
    lines = [Line(table, name, [at[lane] for lane in lanes]) for (table, name), lanes in ways.items()]
    width = 2 * MARGIN + len(rows) * (WIDTH + GAP_X) - GAP_X
    return Layout(boxes, lines, width, 2 * MARGIN + max(heights, default=0))


def schema_of(name: str) -> str:
    return name.partition(".")[0]


def _layers(upstream: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the layer of each table: after the tables it reads and all tables of the schemas that its schema reads."""
    schemas: dict[str, set[str]] = {schema_of(name): set() for name in upstream}
    for name, tables in upstream.items():
        schemas[schema_of(name)] |= {schema_of(table) for table in tables} - {schema_of(name)}
    layers: dict[str, int] = {}
    first: dict[str, int] = {}
    while schemas:
        ready = [schema for schema, before in schemas.items() if not before & schemas.keys()]
        if not ready:  # schemas that read each other share layers
            ready = list(schemas)
        names = [name for name in upstream if schema_of(name) in ready]
        for schema in ready:
            ends = [layers[name] for name in layers if schema_of(name) in schemas[schema]]
            first[schema] = max(ends, default=-1) + 1
            if schema == "seeds":  # beside the staging tables
                first[schema] = 1
        todo = set(names)
        while todo:
            for name in sorted(todo):
                if not todo & set(upstream[name]):
                    before = max((layers[table] + 1 for table in upstream[name]), default=0)
                    layers[name] = max(before, first[schema_of(name)])
                    todo.remove(name)
                    break
            else:
                raise ValueError(f"tables that read each other: {', '.join(sorted(todo))}")
        for schema in ready:
            del schemas[schema]
    return layers


def _untangle(rows: list[list[_Place]], before: Mapping[_Place, Iterable[_Place]]) -> None:
    """Reorder each layer so that few lines cross: sort places by the mean height of their neighbors, repeatedly."""
    after: dict[_Place, set[_Place]] = {place: set() for place in before}
    for place, others in before.items():
        for other in others:
            after[other].add(place)
    height = {place: number - len(row) / 2 for row in rows for number, place in enumerate(row)}
    for sweep in range(SWEEPS):
        neighbors: Mapping[_Place, Iterable[_Place]] = after if sweep % 2 else before
        for row in reversed(rows) if sweep % 2 else rows:
            wanted = {place: _mean([height[each] for each in neighbors[place]], height[place]) for place in row}
            row.sort(key=lambda place, wanted=wanted: (wanted[place], str(place)))  # type: ignore[misc]
            height |= {place: number - len(row) / 2 for number, place in enumerate(row)}


def _mean(numbers: Sequence[float], default: float) -> float:
    return sum(numbers) / len(numbers) if numbers else default
