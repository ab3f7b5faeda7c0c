"""What the names within one SELECT mean while it is followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from energywh.models.tracing.traces import ColumnTrace, Place, Relation, union

Ctes = Mapping[str, Relation]  # by name


class Untraceable(Exception):
    """A construct whose columns cannot be known from the SQL alone."""


@dataclass
class TraceScope:
    """What a name can mean within one SELECT."""

    ctes: Ctes
    parent: TraceScope | None
    sources: dict[str, Relation] = field(default_factory=dict)
    merged: dict[str, ColumnTrace] = field(default_factory=dict)  # columns named by USING
    aliases: dict[str, ColumnTrace] = field(default_factory=dict)  # projections so far, which DuckDB lets others name
    windows: dict[str, exp.Window] = field(default_factory=dict)
    parameters: set[str] = field(default_factory=set)  # of lambdas
    rows: set[Place] = field(default_factory=set)

    def column(self, alias: str, name: str) -> ColumnTrace | None:
        """Return the column of one source; what it is given is named by the source from here on."""
        relation = self.sources[alias]
        trace = relation.columns.get(name, relation.other)
        if trace is None:
            return None
        return trace.mapped(
            lambda origin: replace(
                origin, via=alias, given=frozenset((f"{alias}.{key}", value) for key, value in origin.given)
            )
        )

    def find(self, name: str) -> tuple[ColumnTrace, str] | None:
        """Return what ``name`` without a table means, and the key by which origins know it."""
        if name in self.merged:
            return self.merged[name], name
        for by_name in (True, False):
            for alias, relation in self.sources.items():
                if name in relation.columns if by_name else relation.other is not None and name not in self.aliases:
                    trace = self.column(alias, name)
                    assert trace is not None
                    return trace, f"{alias}.{name}"
        if name in self.aliases:
            return self.aliases[name], name
        if name in self.sources:  # the whole row
            whole = union(trace for _, trace in self.star(name))
            return whole, name
        return self.parent.find(name) if self.parent is not None else None

    def find_in(self, table: str, name: str) -> tuple[ColumnTrace, str] | None:
        if table in self.sources:
            trace = self.column(table, name)
            return None if trace is None else (trace, f"{table}.{name}")
        return self.parent.find_in(table, name) if self.parent is not None else None

    def star(self, alias: str = "") -> list[tuple[str, ColumnTrace]]:
        """Return the columns of one source, or of all, in order; those of USING once."""
        found: list[tuple[str, ColumnTrace]] = []
        for source, relation in self.sources.items():
            if alias in ("", source):
                if relation.other is not None:
                    raise Untraceable(f"* over '{source}', whose columns are not known by name")
                for name in relation.columns:
                    if not alias and name in self.merged:
                        if name not in dict(found):
                            found.append((name, self.merged[name]))
                        continue
                    trace = self.column(source, name)
                    assert trace is not None
                    found.append((name, trace))
        return found
