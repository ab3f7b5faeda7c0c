"""Relations as parts of a SELECT change them: aliases of columns, UNION, UNPIVOT, the SELECT list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from energywh.models.tracing.scope import Untraceable
from energywh.models.tracing.traces import ColumnOrigin, ColumnTrace, Place, Relation, union


def unpivoted(relation: Relation, pivot: exp.Pivot) -> Relation:
    """Return what UNPIVOT makes of a relation: a row for each listed column, or group of columns."""

    def names(node: exp.Expr) -> list[str]:
        return [each.name.lower() for each in (node.expressions if isinstance(node, exp.Tuple) else [node])]

    values = [name for each in pivot.expressions for name in names(each)]
    listed = pivot.args["fields"][0]
    label = listed.this.name.lower()
    made: dict[str, ColumnTrace] = {name: ColumnTrace() for name in values}
    labels: set[str] = set()
    taken: set[str] = set()
    for entry in listed.expressions:
        columns = names(entry.this if isinstance(entry, exp.PivotAlias) else entry)
        text = entry.args["alias"].name if isinstance(entry, exp.PivotAlias) else ", ".join(columns)
        if len(columns) != len(values) or not set(columns) <= relation.columns.keys():
            raise Untraceable(f"UNPIVOT of columns that are not there: {', '.join(columns)}")
        taken.update(columns)
        labels.add(text)
        for name, column in zip(values, columns, strict=True):
            made[name] |= relation.columns[column].mapped(
                lambda origin, text=text: replace(origin, given=origin.given | {(label, text)})  # type: ignore[misc]
            )
    kept = {name: trace for name, trace in relation.columns.items() if name not in taken}
    rows = relation.rows
    if not pivot.args.get("include_nulls"):  # rows without a value are left out
        rows |= union(made.values()).places
    return Relation({**kept, label: ColumnTrace(constants=frozenset(labels)), **made}, rows)


def renamed(relation: Relation, node: exp.Expr) -> Relation:
    """Return the relation with the column names that an alias such as `t(a, b)` gives it."""
    alias = node.args.get("alias")
    names = [each.name.lower() for each in (alias.args.get("columns") or [])] if alias is not None else []
    if not names:
        return relation
    if relation.other is not None:
        return Relation(dict.fromkeys(names, relation.other), relation.rows)
    rest = list(relation.columns)[len(names) :]
    return replace(relation, columns=dict(zip([*names, *rest], relation.columns.values(), strict=True)))


def with_branches(columns: dict[str, ColumnTrace], sides: Sequence[Relation]) -> dict[str, ColumnTrace]:
    """Note on the origins of each side of a UNION the columns that hold one constant there."""
    names = list(columns)
    made: dict[str, ColumnTrace] = {name: replace(trace, values=frozenset()) for name, trace in columns.items()}
    for side in sides:
        traces = dict(zip(names, side.columns.values(), strict=True))
        constant = {
            (name, next(iter(trace.constants)))
            for name, trace in traces.items()
            if len(trace.constants) == 1 and trace.unchanged and not trace.values
        }
        # What the origins know by the names of their own side, they know by those of the union.
        names_of = dict(zip(side.columns, names, strict=True))
        for name, trace in traces.items():
            values = frozenset(
                replace(
                    origin,
                    given=frozenset((names_of.get(key, key), value) for key, value in origin.given)
                    | {(key, value) for key, value in constant if key != name},
                )
                for origin in trace.values
            )
            made[name] = replace(made[name], values=made[name].values | values)
    return made


def finished(outputs: list[tuple[str, ColumnTrace]], passed: Mapping[str, str], rows: frozenset[Place]) -> Relation:
    """Return the relation of a SELECT: what origins are given is named by its columns from here on."""

    def renamed(origin: ColumnOrigin) -> ColumnOrigin:
        given = frozenset((passed[key], value) for key, value in origin.given if key in passed)
        return replace(origin, via="", given=given)

    columns: dict[str, ColumnTrace] = {}
    for name, trace in outputs:
        unique = name
        number = 1
        while unique in columns:  # as DuckDB names the second of two equal names
            unique, number = f"{name}_{number}", number + 1
        columns[unique] = trace.mapped(renamed)
    return Relation(columns, rows)
