"""Where the columns of one SELECT come from: the columns of the tables it reads.

The SELECT is followed with sets of origins in place of rows. Three things are told apart:

- a column's `values`: what its value is made of, or where it is one of several constants, what decides which;
- its `conditions`: what chooses the value without being part of it (CASE, FILTER, the keys and the order of a window,
  the second argument of arg_max, the keys of an outer join);
- the `rows` of the whole: what says which rows there are (WHERE, GROUP BY, the keys of an inner join).

A LEFT JOIN is taken to find one row at most, as in all our models: then only the columns taken from its right side
depend on it. What cannot be followed raises `Untraceable`; nothing is ever left out in silence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import sqlglot
from sqlglot import exp

from energywh.models.catalog.traces import ROWS, Choice, Chosen, Origin, Place, Relation, Trace, table_relation, union
from energywh.models.project.references import syntax_trees


class Untraceable(Exception):
    """A construct whose columns cannot be known from the SQL alone."""


def trace_select(sql: str, tables: Mapping[str, Sequence[str]]) -> Relation:
    """Return what each column that ``sql`` returns comes from.

    Args:
        tables: columns of every table that it reads, in order, by full name such as `staging.eia.region_data`.

    Raises:
        Untraceable: a construct or a name that cannot be followed.
    """
    try:
        return _Tracer(tables).query(_tree(sql), {}, None)
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


@dataclass
class _Scope:
    """What a name can mean within one SELECT."""

    ctes: Mapping[str, Relation]
    parent: _Scope | None
    sources: dict[str, Relation] = field(default_factory=dict)
    merged: dict[str, Trace] = field(default_factory=dict)  # columns named by USING
    aliases: dict[str, Trace] = field(default_factory=dict)  # projections so far, which DuckDB lets others name
    windows: dict[str, exp.Window] = field(default_factory=dict)
    parameters: set[str] = field(default_factory=set)  # of lambdas
    rows: set[Place] = field(default_factory=set)

    def column(self, alias: str, name: str) -> Trace | None:
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

    def find(self, name: str) -> tuple[Trace, str] | None:
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

    def find_in(self, table: str, name: str) -> tuple[Trace, str] | None:
        if table in self.sources:
            trace = self.column(table, name)
            return None if trace is None else (trace, f"{table}.{name}")
        return self.parent.find_in(table, name) if self.parent is not None else None

    def star(self, alias: str = "") -> list[tuple[str, Trace]]:
        """Return the columns of one source, or of all, in order; those of USING once."""
        found: list[tuple[str, Trace]] = []
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


class _Tracer:
    """Follows the parts of one statement; each method returns what its part is made of."""

    def __init__(self, tables: Mapping[str, Sequence[str]]) -> None:
        self._tables = tables

    def query(self, node: exp.Expr, ctes: Mapping[str, Relation], parent: _Scope | None) -> Relation:
        ctes = self._with(node, ctes, parent)
        if isinstance(node, exp.Subquery):
            return self._pivoted(self.query(node.this, ctes, parent), node)
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, ctes, parent)
        if isinstance(node, exp.Values):
            return self._values(node, _Scope(ctes, parent))
        if isinstance(node, exp.Table):
            return self._source(node, _Scope(ctes, parent))[1]
        if isinstance(node, exp.Select):
            return self._select(node, _Scope(ctes, parent))
        raise Untraceable(f"a query that is {type(node).__name__.upper()}")

    def _with(self, node: exp.Expr, outer: Mapping[str, Relation], parent: _Scope | None) -> Mapping[str, Relation]:
        clause = node.args.get("with_")
        if clause is None:
            return outer
        ctes = dict(outer)
        for cte in clause.expressions:
            name = cte.alias.lower()
            if clause.args.get("recursive") and isinstance(cte.this, exp.SetOperation):
                # What the recursive part adds to itself is there after it was followed twice.
                ctes[name] = _renamed(self.query(cte.this.this, ctes, parent), cte)
                ctes[name] = _renamed(self.query(cte.this, ctes, parent), cte)
            ctes[name] = _renamed(self.query(cte.this, ctes, parent), cte)
        return ctes

    def _set_operation(self, node: exp.SetOperation, ctes: Mapping[str, Relation], parent: _Scope | None) -> Relation:
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
            columns = _with_branches(columns, (left, right))
        return Relation(columns, rows)

    def _values(self, node: exp.Values, scope: _Scope) -> Relation:
        rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in node.expressions]
        width = len(rows[0]) if rows else 0
        columns = {f"col{i}": union(self.value(row[i], scope) for row in rows) for i in range(width)}
        return _renamed(Relation(columns), node)

    def _select(self, node: exp.Select, scope: _Scope) -> Relation:
        origin = node.args.get("from_")
        if origin is not None:
            self._join(scope, exp.Join(this=origin.this.copy()))
        for join in node.args.get("joins") or []:
            self._join(scope, join)
        for lateral in node.args.get("laterals") or []:
            self._join(scope, exp.Join(this=lateral.copy()))
        for window in node.args.get("windows") or []:
            scope.windows[window.name.lower()] = window

        choices: list[Chosen] = []
        outputs: list[tuple[str, Trace]] = []
        where = node.args.get("where")
        if where is not None and not any(_aliases_used(where, node, scope)):
            choices = self._choices(where.this, scope)
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
        return _finished(outputs, passed, frozenset(scope.rows))

    def _group(self, node: exp.Select, scope: _Scope) -> None:
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

    def _join(self, scope: _Scope, join: exp.Join) -> None:
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
        merged: dict[str, Trace] = {}
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

    def _source(self, node: exp.Expr, scope: _Scope) -> tuple[str, Relation]:
        """Return a table, query or function of the FROM clause, and the name it goes by."""
        alias = node.alias.lower()
        if isinstance(node, exp.Lateral):
            return alias or "lateral", self._source(node.this, scope)[1]
        if isinstance(node, exp.Subquery):
            if isinstance(node.this, exp.Table) and not node.args.get("with_"):  # parentheses about a join
                raise Untraceable("a join in parentheses")
            return alias or f"query {len(scope.sources)}", _renamed(self.query(node, scope.ctes, scope), node)
        if isinstance(node, exp.Values):
            return alias or "values", self._values(node, scope)
        if isinstance(node, exp.Table) and all(isinstance(part, exp.Identifier) for part in node.parts):
            name = ".".join(part.name.lower() for part in node.parts)
            relation = scope.ctes.get(name)
            if relation is None:
                if name not in self._tables:
                    raise Untraceable(f"'{name}' is not known")
                relation = table_relation(name, self._tables[name])
            return alias or node.name.lower(), _renamed(self._pivoted(relation, node), node)
        if isinstance(node, exp.Table | exp.Unnest):  # a table function
            inner = node.this if isinstance(node, exp.Table) else node
            trace = union(self.value(child, scope) for child in inner.iter_expressions() if child.key != "tablealias")
            return alias or f"function {len(scope.sources)}", Relation({}, trace.places, trace)
        raise Untraceable(f"{type(node).__name__.upper()} in a FROM clause")

    def _pivoted(self, relation: Relation, node: exp.Expr) -> Relation:
        for pivot in node.args.get("pivots") or []:
            if not pivot.args.get("unpivot") or len(pivot.args.get("fields") or []) != 1:
                raise Untraceable("PIVOT, whose columns are values of rows")
            relation = self._unpivoted(relation, pivot)
        return relation

    @staticmethod
    def _unpivoted(relation: Relation, pivot: exp.Pivot) -> Relation:
        """Return what UNPIVOT makes of a relation: a row for each listed column, or group of columns."""

        def names(node: exp.Expr) -> list[str]:
            return [each.name.lower() for each in (node.expressions if isinstance(node, exp.Tuple) else [node])]

        values = [name for each in pivot.expressions for name in names(each)]
        listed = pivot.args["fields"][0]
        label = listed.this.name.lower()
        made: dict[str, Trace] = {name: Trace() for name in values}
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
        return Relation({**kept, label: Trace(constants=frozenset(labels)), **made}, rows)

    def _projected(self, node: exp.Expr, scope: _Scope) -> list[tuple[str, Trace, str | None]]:
        """Return the columns that one item of a SELECT list stands for.

        Each is a name, its trace, and the key under which the scope has it where it is handed on as it is.
        """
        alias, inner = node.alias.lower(), node.unalias()
        star = _star(inner)
        if star is not None:
            return self._starred(inner, star, scope)
        patterns = [each for each in inner.find_all(exp.Columns) if not each.args.get("unpack")]
        if patterns:
            chosen = self._matching(patterns[0], scope)
            if any(pattern != patterns[0] for pattern in patterns):
                raise Untraceable("different COLUMNS in one expression")
            found: list[tuple[str, Trace, str | None]] = []
            for name in chosen:
                one = inner.transform(
                    lambda part, name=name: exp.column(name) if isinstance(part, exp.Columns) else part
                )
                found += [(alias or name, trace, key) for _, trace, key in self._projected(one, scope)]
            return found
        trace = self.value(inner, scope)
        key = None
        if isinstance(inner, exp.Column):
            resolved = self._resolve(inner, scope)
            key = resolved[1] if resolved is not None else None
        return [(alias or inner.output_name.lower() or inner.sql(dialect="duckdb").lower(), trace, key)]

    def _starred(self, node: exp.Expr, star: exp.Star, scope: _Scope) -> list[tuple[str, Trace, str | None]]:
        table = node.table.lower() if isinstance(node, exp.Column) else ""
        if table and table not in scope.sources:
            raise Untraceable(f"{table}.* of no table")
        left_out = {each.name.lower() for each in star.args.get("except_") or []}
        replaced = {each.alias.lower(): self.value(each.this, scope) for each in star.args.get("replace") or []}
        renamed = {each.this.name.lower(): each.alias.lower() for each in star.args.get("rename") or []}
        found: list[tuple[str, Trace, str | None]] = []
        for source in [table] if table else list(scope.sources):
            for name, trace in scope.star(source):
                if name in left_out or (not table and name in scope.merged and name in {each[0] for each in found}):
                    continue
                if not table and name in scope.merged:
                    trace = scope.merged[name]  # noqa: PLW2901
                key = None if name in replaced else f"{source}.{name}"
                found.append((renamed.get(name, name), replaced.get(name, trace), key))
        return found

    @staticmethod
    def _matching(node: exp.Columns, scope: _Scope) -> list[str]:
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

    def _choices(self, condition: exp.Expr, scope: _Scope) -> list[Chosen]:
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
            resolved = self._resolve(column, scope)
            if resolved is None:
                continue
            trace, key = resolved
            values = tuple(each.name for each in constants)
            via, _, name = key.rpartition(".")
            places = sorted(origin.place for origin in trace.values) if trace.unchanged else []
            found.append(Chosen(via, name, values, tuple(Choice(*place, values) for place in places)))
        return found

    def _resolve(self, column: exp.Column, scope: _Scope) -> tuple[Trace, str] | None:
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

    def value(self, node: exp.Expr, scope: _Scope) -> Trace:
        """Return what an expression is made of."""
        if isinstance(node, exp.Column):
            if isinstance(node.this, exp.Star):
                return union(trace for _, trace in scope.star(node.table.lower()))
            resolved = self._resolve(node, scope)
            return Trace() if resolved is None else resolved[0]
        if isinstance(node, exp.Literal):
            return Trace(constants=frozenset({node.name}), unchanged=True)
        if isinstance(node, exp.Count) and isinstance(node.this, exp.Star):
            return Trace(frozenset(Origin(*place) for place in _counted(scope)))
        if isinstance(node, exp.Star):
            return union(trace for _, trace in scope.star())
        if isinstance(node, exp.Columns):  # *COLUMNS(…), as arguments of a function
            names = set(self._matching(node, scope))
            return union(trace for name, trace in scope.star() if name in names)
        if isinstance(node, exp.Query):
            relation = self.query(node, scope.ctes, scope)
            first = next(iter(relation.columns.values()), Trace())
            return first.given(relation.rows)
        if isinstance(node, exp.Exists):
            return Trace(frozenset(Origin(*place) for place in self.query(node.this, scope.ctes, scope).rows))
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

    def _case(self, node: exp.Case, scope: _Scope) -> Trace:
        result = tests = Trace()
        for branch in node.args["ifs"]:
            test = branch.this if node.this is None else exp.EQ(this=node.this.copy(), expression=branch.this.copy())
            tests |= self.value(test, scope)
            result |= self.value(branch.args["true"], scope).chosen(self._choices(test, scope))
        default = node.args.get("default")
        return _decided(result if default is None else result | self.value(default, scope), tests)

    def _if(self, node: exp.If, scope: _Scope) -> Trace:
        result = self.value(node.args["true"], scope).chosen(self._choices(node.this, scope))
        default = node.args.get("false")
        result |= Trace() if default is None else self.value(default, scope)
        return _decided(result, self.value(node.this, scope))

    def _filter(self, node: exp.Filter, scope: _Scope) -> Trace:
        condition = node.expression.this
        trace = self.value(node.this, scope).chosen(self._choices(condition, scope))
        return replace(trace.given(self.value(condition, scope).places), unchanged=False)

    def _window(self, node: exp.Window, scope: _Scope) -> Trace:
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


def _decided(result: Trace, tests: Trace) -> Trace:
    """Return what a CASE is made of: its results; where all of them are constants, what it tests says which it is."""
    if result.values:
        return result.given(tests.places)
    return replace(tests, constants=result.constants, unchanged=False).given(result.conditions)


def _star(node: exp.Expr) -> exp.Star | None:
    if isinstance(node, exp.Star):
        return node
    if isinstance(node, exp.Column) and isinstance(node.this, exp.Star):
        return node.this
    return None


def _counted(scope: _Scope) -> set[Place]:
    """Return the rows that count(*) counts."""
    return {place for place in scope.rows if place[1] == ROWS} or scope.rows


def _aliases_used(where: exp.Expr, node: exp.Select, scope: _Scope) -> Iterable[bool]:
    """Say of each column of a WHERE clause whether it is a projection, which is not followed yet."""
    names = {each.alias.lower() for each in node.expressions if isinstance(each, exp.Alias)}
    for column in where.find_all(exp.Column):
        name = column.name.lower()
        yield (
            not column.table
            and name in names
            and all(name not in relation.columns for relation in scope.sources.values())
        )


def _renamed(relation: Relation, node: exp.Expr) -> Relation:
    """Return the relation with the column names that an alias such as `t(a, b)` gives it."""
    alias = node.args.get("alias")
    names = [each.name.lower() for each in (alias.args.get("columns") or [])] if alias is not None else []
    if not names:
        return relation
    if relation.other is not None:
        return Relation(dict.fromkeys(names, relation.other), relation.rows)
    rest = list(relation.columns)[len(names) :]
    return replace(relation, columns=dict(zip([*names, *rest], relation.columns.values(), strict=True)))


def _with_branches(columns: dict[str, Trace], sides: Sequence[Relation]) -> dict[str, Trace]:
    """Note on the origins of each side of a UNION the columns that hold one constant there."""
    names = list(columns)
    made: dict[str, Trace] = {name: replace(trace, values=frozenset()) for name, trace in columns.items()}
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


def _finished(outputs: list[tuple[str, Trace]], passed: Mapping[str, str], rows: frozenset[Place]) -> Relation:
    """Return the relation of a SELECT: what origins are given is named by its columns from here on."""

    def renamed(origin: Origin) -> Origin:
        given = frozenset((passed[key], value) for key, value in origin.given if key in passed)
        return replace(origin, via="", given=given)

    columns: dict[str, Trace] = {}
    for name, trace in outputs:
        unique = name
        number = 1
        while unique in columns:  # as DuckDB names the second of two equal names
            unique, number = f"{name}_{number}", number + 1
        columns[unique] = trace.mapped(renamed)
    return Relation(columns, rows)
