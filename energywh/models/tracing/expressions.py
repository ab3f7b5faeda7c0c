"""What an expression of a SELECT is made of."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import replace

from sqlglot import exp

from energywh.models.tracing.scope import Ctes, TraceScope, Untraceable
from energywh.models.tracing.traces import (
    ROWS,
    ChosenColumn,
    ColumnChoice,
    ColumnOrigin,
    ColumnTrace,
    Place,
    Relation,
    union,
)


class ExpressionTracer(ABC):
    """Follows expressions; each method returns what its part is made of."""

    @abstractmethod
    def query(self, node: exp.Expr, ctes: Ctes, parent: TraceScope | None) -> Relation:
        """Return the relation of a query, such as a subquery within an expression."""

    @staticmethod
    def matching(node: exp.Columns, scope: TraceScope) -> list[str]:
        """Return the names that COLUMNS(…) stands for."""
        what = node.this
        names = list(dict.fromkeys(name for name, _ in scope.star()))
        if isinstance(what, exp.Star):
            left_out = {each.name.lower() for each in what.args.get("except_") or []}
            return [name for name in names if name not in left_out]
        if isinstance(what, exp.Literal) and what.is_string:
            return [name for name in names if re.search(what.name, name, re.IGNORECASE)]
        if isinstance(what, exp.Array) and all(isinstance(each, exp.Literal) for each in what.expressions):
            wanted = {each.name.lower() for each in what.expressions}
            return [name for name in names if name in wanted]
        raise Untraceable("COLUMNS with a function")

    def choices(self, condition: exp.Expr, scope: TraceScope) -> list[ChosenColumn]:
        """Return those parts of a condition that fix a column to constants."""
        found = []
        for part in condition.flatten() if isinstance(condition, exp.And) else [condition]:
            node = part.unnest()
            column, constants = None, []
            if isinstance(node, exp.EQ):
                column = next((each for each in (node.left, node.right) if isinstance(each, exp.Column)), None)
                constants = [each for each in (node.left, node.right) if isinstance(each, exp.Literal)]
            elif isinstance(node, exp.In) and isinstance(node.this, exp.Column):
                column, constants = node.this, node.expressions
            if column is None or not constants or not all(isinstance(each, exp.Literal) for each in constants):
                continue
            resolved = self.resolve(column, scope)
            if resolved is None:
                continue
            trace, key = resolved
            values = tuple(each.name for each in constants)
            via, _, name = key.rpartition(".")
            places = sorted(origin.place for origin in trace.values) if trace.unchanged else []
            found.append(ChosenColumn(via, name, values, tuple(ColumnChoice(*place, values) for place in places)))
        return found

    def resolve(self, column: exp.Column, scope: TraceScope) -> tuple[ColumnTrace, str] | None:
        """Return what a column means and its key in the scope; None of a parameter of a lambda."""
        parts = [part.name.lower() for part in column.parts]
        if parts[0] in scope.parameters:
            return None
        if len(parts) == 1:
            found = scope.find(parts[0])
        else:
            # The table may be written with its schema; what follows a column is a field of a struct.
            found = None
            for place in range(len(parts) - 1):
                found = found or scope.find_in(parts[place], parts[place + 1])
            found = found or scope.find(parts[0])
        if found is None:
            raise Untraceable(f"'{'.'.join(parts)}' is no column of the tables that are read")
        return found

    def value(self, node: exp.Expr, scope: TraceScope) -> ColumnTrace:
        """Return what an expression is made of."""
        if isinstance(node, exp.Column):
            if isinstance(node.this, exp.Star):
                return union(trace for _, trace in scope.star(node.table.lower()))
            resolved = self.resolve(node, scope)
            return ColumnTrace() if resolved is None else resolved[0]
        if isinstance(node, exp.Literal):
            return ColumnTrace(constants=frozenset({node.name}), unchanged=True)
        if isinstance(node, exp.Count) and isinstance(node.this, exp.Star):
            return ColumnTrace(frozenset(ColumnOrigin(*place) for place in _counted(scope)))
        if isinstance(node, exp.Star):
            return union(trace for _, trace in scope.star())
        if isinstance(node, exp.Columns):  # *COLUMNS(…), as arguments of a function
            names = set(self.matching(node, scope))
            return union(trace for name, trace in scope.star() if name in names)
        if isinstance(node, exp.Query):
            relation = self.query(node, scope.ctes, scope)
            first = next(iter(relation.columns.values()), ColumnTrace())
            return first.given(relation.rows)
        if isinstance(node, exp.Exists):
            return ColumnTrace(
                frozenset(ColumnOrigin(*place) for place in self.query(node.this, scope.ctes, scope).rows)
            )
        if isinstance(node, exp.Lambda | exp.Comprehension):
            names = {each.name.lower() for each in node.expressions or [node.expression]}
            added = names - scope.parameters
            scope.parameters |= added
            trace = union(self.value(child, scope) for child in node.iter_expressions())
            scope.parameters -= added
            return trace
        if isinstance(node, exp.Case):
            return self._case(node, scope)
        if isinstance(node, exp.If):
            return self._if(node, scope)
        if isinstance(node, exp.Filter):
            return self._filter(node, scope)
        if isinstance(node, exp.Window):
            return self._window(node, scope)
        if isinstance(node, exp.ArgMax | exp.ArgMin):
            return self.value(node.this, scope).given(self.value(node.expression, scope).places)
        if isinstance(node, exp.Order) and node.this is not None:  # within an aggregate
            by = union(self.value(each, scope) for each in node.expressions)
            return self.value(node.this, scope).given(by.places)
        return union(self.value(child, scope) for child in node.iter_expressions())

    def _case(self, node: exp.Case, scope: TraceScope) -> ColumnTrace:
        result = tests = ColumnTrace()
        for branch in node.args["ifs"]:
            test = branch.this if node.this is None else exp.EQ(this=node.this.copy(), expression=branch.this.copy())
            tests |= self.value(test, scope)
            result |= self.value(branch.args["true"], scope).chosen(self.choices(test, scope))
        default = node.args.get("default")
        return _decided(result if default is None else result | self.value(default, scope), tests)

    def _if(self, node: exp.If, scope: TraceScope) -> ColumnTrace:
        result = self.value(node.args["true"], scope).chosen(self.choices(node.this, scope))
        default = node.args.get("false")
        result |= ColumnTrace() if default is None else self.value(default, scope)
        return _decided(result, self.value(node.this, scope))

    def _filter(self, node: exp.Filter, scope: TraceScope) -> ColumnTrace:
        condition = node.expression.this
        trace = self.value(node.this, scope).chosen(self.choices(condition, scope))
        return replace(trace.given(self.value(condition, scope).places), unchanged=False)

    def _window(self, node: exp.Window, scope: TraceScope) -> ColumnTrace:
        trace = self.value(node.this, scope)
        parts: list[exp.Expr] = []
        window = node
        for _ in range(1 + len(scope.windows)):  # a window may begin with the name of another
            order = window.args.get("order")
            parts += [*(window.args.get("partition_by") or []), *([order] if order is not None else [])]
            base = window.args.get("alias")
            if base is None:
                break
            if base.name.lower() not in scope.windows:
                raise Untraceable(f"no window is named '{base.name}'")
            window = scope.windows[base.name.lower()]
        by = union(self.value(part, scope) for part in parts)
        elsewhere = trace.mapped(lambda origin: replace(origin, given=frozenset(), other_rows=True))
        return replace(elsewhere.given(by.places), unchanged=False)


def _decided(result: ColumnTrace, tests: ColumnTrace) -> ColumnTrace:
    """Return what a CASE is made of: its results; where all of them are constants, what it tests says which it is."""
    if result.values:
        return result.given(tests.places)
    return replace(tests, constants=result.constants, unchanged=False).given(result.conditions)


def _counted(scope: TraceScope) -> set[Place]:
    """Return the rows that count(*) counts."""
    return {place for place in scope.rows if place[1] == ROWS} or scope.rows
