"""Trace the columns of one SELECT to the columns of the tables that it reads.

The SELECT is evaluated with sets of origins instead of rows. The result distinguishes:

- the `values` of a column: what its value is computed from, or what selects it if it is one of several constants;
- its `conditions`: what selects the value without being part of it (CASE, FILTER, the keys and the order of a window,
  the second argument of arg_max, the keys of an outer join);
- the `rows` of the relation: what determines which rows exist (WHERE, GROUP BY, the keys of an inner join).

A LEFT JOIN is assumed to match at most one row, as in all our models, so only the columns of its right side depend on
its keys. Anything that cannot be followed raises `Untraceable`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import sqlglot
from sqlglot import exp

from energywh.models.tracing.expressions import ExpressionTracer
from energywh.models.tracing.relations import finished, renamed, unpivoted, with_branches
from energywh.models.tracing.scope import Ctes, TraceScope, Untraceable
from energywh.models.tracing.syntax import syntax_trees
from energywh.models.tracing.traces import ChosenColumn, ColumnTrace, Place, Relation, table_relation, union


def trace_select(sql: str, tables: Mapping[str, Sequence[str]]) -> Relation:
    """Return what each column that ``sql`` returns comes from.

    Args:
        tables: columns of every table that it reads, in order, by full name such as `staging.eia.region_data`.

    Raises:
        Untraceable: a construct or a name that cannot be followed.
    """
    try:
        return _QueryTracer(tables).query(_tree(sql), {}, None)
    except sqlglot.errors.SqlglotError as error:
        raise Untraceable(f"cannot parse the SQL: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise Untraceable("SQL that is nested too deeply") from None


def read_once(sql: str) -> frozenset[str]:
    """Return the tables that ``sql`` names in one place only."""
    names = Counter(
        ".".join(part.name.lower() for part in table.parts if isinstance(part, exp.Identifier))
        for table in _tree(sql).find_all(exp.Table)
    )
    return frozenset(name for name, times in names.items() if times == 1)


def _tree(sql: str) -> exp.Expr:
    tree = syntax_trees(sql)[0]
    assert tree is not None
    return tree


class _QueryTracer(ExpressionTracer):
    """Follows the parts of one statement; each method returns what its part is made of."""

    def __init__(self, tables: Mapping[str, Sequence[str]]) -> None:
        self._tables = tables

    def query(self, node: exp.Expr, ctes: Ctes, parent: TraceScope | None) -> Relation:
        ctes = self._with(node, ctes, parent)
        if isinstance(node, exp.Subquery):
            return self._pivoted(self.query(node.this, ctes, parent), node)
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, ctes, parent)
        if isinstance(node, exp.Values):
            return self._values(node, TraceScope(ctes, parent))
        if isinstance(node, exp.Table):
            return self._source(node, TraceScope(ctes, parent))[1]
        if isinstance(node, exp.Select):
            return self._select(node, TraceScope(ctes, parent))
        raise Untraceable(f"a query that is {type(node).__name__.upper()}")

    def _with(self, node: exp.Expr, outer: Ctes, parent: TraceScope | None) -> Ctes:
        clause = node.args.get("with_")
        if clause is None:
            return outer
        ctes = dict(outer)
        for cte in clause.expressions:
            name = cte.alias.lower()
            if clause.args.get("recursive") and isinstance(cte.this, exp.SetOperation):
                # What the recursive part adds to itself is there after it was followed twice.
                ctes[name] = renamed(self.query(cte.this.this, ctes, parent), cte)
                ctes[name] = renamed(self.query(cte.this, ctes, parent), cte)
            ctes[name] = renamed(self.query(cte.this, ctes, parent), cte)
        return ctes

    def _set_operation(self, node: exp.SetOperation, ctes: Ctes, parent: TraceScope | None) -> Relation:
        left, right = self.query(node.this, ctes, parent), self.query(node.expression, ctes, parent)
        rows = left.rows | right.rows
        if not isinstance(node, exp.Union):  # EXCEPT, INTERSECT: the right side only chooses rows
            every = union(right.columns.values()).places | union(left.columns.values()).places
            return Relation(left.columns, rows | every)
        if node.args.get("by_name"):
            pairs = {
                name: [side.columns[name] for side in (left, right) if name in side.columns]
                for name in (*left.columns, *right.columns)
            }
        elif len(left.columns) == len(right.columns):
            pairs = {
                name: [left.columns[name], trace]
                for name, trace in zip(left.columns, right.columns.values(), strict=True)
            }
        else:
            raise Untraceable("a UNION of queries with different numbers of columns")
        if node.args.get("distinct"):
            rows |= union(trace for traces in pairs.values() for trace in traces).places
        columns = {}
        for name, traces in pairs.items():
            same = all(trace.unchanged for trace in traces)
            columns[name] = replace(union(traces), unchanged=same)
        # A constant that is all that one side has says which side a row is of.
        if not node.args.get("by_name"):
            columns = with_branches(columns, (left, right))
        return Relation(columns, rows)

    def _values(self, node: exp.Values, scope: TraceScope) -> Relation:
        rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in node.expressions]
        width = len(rows[0]) if rows else 0
        columns = {f"col{i}": union(self.value(row[i], scope) for row in rows) for i in range(width)}
        return renamed(Relation(columns), node)

    def _select(self, node: exp.Select, scope: TraceScope) -> Relation:
        origin = node.args.get("from_")
        if origin is not None:
            self._join(scope, exp.Join(this=origin.this.copy()))
        for join in node.args.get("joins") or []:
            self._join(scope, join)
        for lateral in node.args.get("laterals") or []:
            self._join(scope, exp.Join(this=lateral.copy()))
        for window in node.args.get("windows") or []:
            scope.windows[window.name.lower()] = window

        choices: list[ChosenColumn] = []
        outputs: list[tuple[str, ColumnTrace]] = []
        where = node.args.get("where")
        if where is not None and not any(_aliases_used(where, node, scope)):
            choices = self.choices(where.this, scope)
        passed: dict[str, str] = {}
        for projection in node.expressions:
            for name, trace, key in self._projected(projection, scope):
                narrowed = trace.chosen(choices, own_only=True)
                outputs.append((name, narrowed))
                scope.aliases[name] = narrowed
                if key is not None:
                    passed.setdefault(key, name)
            for unnested in projection.find_all(exp.Explode, exp.Unnest):  # as many rows as the list has
                scope.rows |= self.value(unnested, scope).places
        for clause in ("where", "having", "qualify"):
            condition = node.args.get(clause)
            if condition is not None:
                scope.rows |= self.value(condition.this, scope).places
        self._group(node, scope)
        distinct = node.args.get("distinct")
        if distinct is not None:
            on = distinct.args.get("on")
            traces = [self.value(on, scope)] if on is not None else [trace for _, trace in outputs]
            scope.rows |= union(traces).places
        order = node.args.get("order")
        if order is not None and (distinct is not None or node.args.get("limit") is not None):
            scope.rows |= self.value(order, scope).places
        return finished(outputs, passed, frozenset(scope.rows))

    def _group(self, node: exp.Select, scope: TraceScope) -> None:
        group = node.args.get("group")
        if group is None:
            return
        keys = [key for part in group.args.values() if isinstance(part, list) for key in part]
        if group.args.get("all"):
            keys = [each for each in node.expressions if each.find(exp.AggFunc) is None]
        for key in keys:
            if isinstance(key, exp.Literal) and not key.is_string and int(key.name) <= len(node.expressions):
                key = node.expressions[int(key.name) - 1]  # GROUP BY 1 # noqa: PLW2901
            scope.rows |= self.value(key.unalias(), scope).places

    def _join(self, scope: TraceScope, join: exp.Join) -> None:
        """Add a source to the scope, with what the join makes rows and columns depend on."""
        alias, relation = self._source(join.this, scope)
        side, kind = (join.side or "").upper(), (join.kind or "").upper()
        before = list(scope.sources)
        if alias in scope.sources:
            raise Untraceable(f"two tables that are both called '{alias}'")
        scope.sources[alias] = relation
        using = [name.name.lower() for name in join.args.get("using") or []]
        if (join.method or "").upper() == "NATURAL":
            using = [name for name in relation.columns if any(name in scope.sources[each].columns for each in before)]
        keys: set[Place] = set()
        merged: dict[str, ColumnTrace] = {}
        for name in using:
            left = scope.merged.get(name) or next(
                (trace for each in before if (trace := scope.column(each, name)) is not None), None
            )
            right = scope.column(alias, name)
            if left is None or right is None:
                raise Untraceable(f"USING ({name}): a side has no such column")
            keys |= left.places | right.places
            merged[name] = {"FULL": left | right, "RIGHT": right}.get(side, left)
        on = join.args.get("on")
        if on is not None:
            keys |= self.value(on, scope).places
        keys |= relation.rows
        if kind in ("SEMI", "ANTI"):
            del scope.sources[alias]
            scope.rows |= keys
            return
        if side in ("LEFT", "FULL"):
            scope.sources[alias] = relation.under(keys)
        if side in ("RIGHT", "FULL"):
            for each in before:
                scope.sources[each] = scope.sources[each].under(keys | scope.rows)
        if side == "RIGHT":
            scope.rows = set(relation.rows)
        elif side != "LEFT":
            scope.rows |= keys
        scope.merged.update(merged)

    def _source(self, node: exp.Expr, scope: TraceScope) -> tuple[str, Relation]:
        """Return a table, query or function of the FROM clause, and the name it goes by."""
        alias = node.alias.lower()
        if isinstance(node, exp.Lateral):
            return alias or "lateral", self._source(node.this, scope)[1]
        if isinstance(node, exp.Subquery):
            if isinstance(node.this, exp.Table) and not node.args.get("with_"):  # parentheses about a join
                raise Untraceable("a join in parentheses")
            return alias or f"query {len(scope.sources)}", renamed(self.query(node, scope.ctes, scope), node)
        if isinstance(node, exp.Values):
            return alias or "values", self._values(node, scope)
        if isinstance(node, exp.Table) and all(isinstance(part, exp.Identifier) for part in node.parts):
            name = ".".join(part.name.lower() for part in node.parts)
            relation = scope.ctes.get(name)
            if relation is None:
                if name not in self._tables:
                    raise Untraceable(f"'{name}' is not known")
                relation = table_relation(name, self._tables[name])
            return alias or node.name.lower(), renamed(self._pivoted(relation, node), node)
        if isinstance(node, exp.Table | exp.Unnest):  # a table function
            inner = node.this if isinstance(node, exp.Table) else node
            trace = union(self.value(child, scope) for child in inner.iter_expressions() if child.key != "tablealias")
            return alias or f"function {len(scope.sources)}", Relation({}, trace.places, trace)
        raise Untraceable(f"{type(node).__name__.upper()} in a FROM clause")

    def _pivoted(self, relation: Relation, node: exp.Expr) -> Relation:
        for pivot in node.args.get("pivots") or []:
            if not pivot.args.get("unpivot") or len(pivot.args.get("fields") or []) != 1:
                raise Untraceable("PIVOT, whose columns are values of rows")
            relation = unpivoted(relation, pivot)
        return relation

    def _projected(self, node: exp.Expr, scope: TraceScope) -> list[tuple[str, ColumnTrace, str | None]]:
        """Return the columns that one item of a SELECT list stands for.

        Each is a name, its trace, and the key under which the scope has it where it is handed on as it is.
        """
        alias, inner = node.alias.lower(), node.unalias()
        star = _star(inner)
        if star is not None:
            return self._starred(inner, star, scope)
        patterns = [each for each in inner.find_all(exp.Columns) if not each.args.get("unpack")]
        if patterns:
            chosen = self.matching(patterns[0], scope)
            if any(pattern != patterns[0] for pattern in patterns):
                raise Untraceable("different COLUMNS in one expression")
            found: list[tuple[str, ColumnTrace, str | None]] = []
            for name in chosen:
                one = inner.transform(
                    lambda part, name=name: exp.column(name) if isinstance(part, exp.Columns) else part
                )
                found += [(alias or name, trace, key) for _, trace, key in self._projected(one, scope)]
            return found
        trace = self.value(inner, scope)
        key = None
        if isinstance(inner, exp.Column):
            resolved = self.resolve(inner, scope)
            key = resolved[1] if resolved is not None else None
        return [(alias or inner.output_name.lower() or inner.sql(dialect="duckdb").lower(), trace, key)]

    def _starred(self, node: exp.Expr, star: exp.Star, scope: TraceScope) -> list[tuple[str, ColumnTrace, str | None]]:
        table = node.table.lower() if isinstance(node, exp.Column) else ""
        if table and table not in scope.sources:
            raise Untraceable(f"{table}.* of no table")
        left_out = {each.name.lower() for each in star.args.get("except_") or []}
        replaced = {each.alias.lower(): self.value(each.this, scope) for each in star.args.get("replace") or []}
        renamed = {each.this.name.lower(): each.alias.lower() for each in star.args.get("rename") or []}
        found: list[tuple[str, ColumnTrace, str | None]] = []
        for source in [table] if table else list(scope.sources):
            for name, trace in scope.star(source):
                if name in left_out or (not table and name in scope.merged and name in {each[0] for each in found}):
                    continue
                if not table and name in scope.merged:
                    trace = scope.merged[name]  # noqa: PLW2901
                key = None if name in replaced else f"{source}.{name}"
                found.append((renamed.get(name, name), replaced.get(name, trace), key))
        return found


def _star(node: exp.Expr) -> exp.Star | None:
    if isinstance(node, exp.Star):
        return node
    if isinstance(node, exp.Column) and isinstance(node.this, exp.Star):
        return node.this
    return None


def _aliases_used(where: exp.Expr, node: exp.Select, scope: TraceScope) -> Iterable[bool]:
    """Say of each column of a WHERE clause whether it is a projection, which is not followed yet."""
    names = {each.alias.lower() for each in node.expressions if isinstance(each, exp.Alias)}
    for column in where.find_all(exp.Column):
        name = column.name.lower()
        yield (
            not column.table
            and name in names
            and all(name not in relation.columns for relation in scope.sources.values())
        )
