"""Compare two versions: which tables, months and columns differ, and by how much.

Months whose digests are equal are never read. The others are joined on the grain, a few at a time, and only rows that
differ are looked at column by column.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energywh.core.database import one_row
from energywh.core.interrupt import interruptible
from energywh.core.sql_text import identifier, quoted, within
from energywh.errors import StorageError
from energywh.models.contents.months import spans
from energywh.models.contents.staging import attach_read_only
from energywh.models.contents.state import check_schema, is_warehouse
from energywh.models.project.project import pick_name
from energywh.models.versions.records import differing_months

if TYPE_CHECKING:
    import duckdb

BEFORE, AFTER = "version_before", "version_after"  # the names under which they are attached
# Months joined at once, by the number of columns of the table, to bound memory.
MONTH_COLUMNS = 240
_NUMBER = re.compile(r"U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)$|FLOAT|DOUBLE|DECIMAL")


@dataclass
class ColumnDiff:
    """How the values of a column differ, over rows that both versions have.

    Attributes:
        changed: rows in which both have a value, and the values differ.
        became_null, got_value: rows in which only the first version, or only the second, has a value.
        mean_difference, greatest_difference: absolute, over ``changed``, in the unit of the column; None for texts.
        place: the row of the greatest difference, by its grain; ``before`` and ``after`` are its values.
    """

    name: str
    changed: int = 0
    became_null: int = 0
    got_value: int = 0
    mean_difference: float | None = None
    greatest_difference: float | None = None
    place: dict[str, Any] | None = None
    before: float | None = None
    after: float | None = None

    @property
    def rows(self) -> int:
        """Rows whose value differs."""
        return self.changed + self.became_null + self.got_value


@dataclass
class TableDiff:
    """How a table differs.

    Attributes:
        state: `added`, `dropped`, or `changed`.
        sql_changed: whether the model's SQL differs; None for a seed.
        months: which months differ; empty for a table without time.
        note: why rows were not compared; empty if they were.
        columns: the columns that differ in rows of both versions, those with most such rows first.
    """

    name: str
    state: str
    rows_before: int | None = None
    rows_after: int | None = None
    sql_changed: bool | None = None
    columns_added: list[str] = field(default_factory=list)
    columns_dropped: list[str] = field(default_factory=list)
    types_changed: list[str] = field(default_factory=list)
    months: list[date] = field(default_factory=list)
    rows_added: int = 0
    rows_removed: int = 0
    rows_changed: int = 0
    columns: list[ColumnDiff] = field(default_factory=list)
    note: str = ""


@dataclass
class Diff:
    """The differences between versions ``before`` and ``after``; ``equal`` names the tables without any."""

    before: str
    after: str
    energywh_versions: tuple[str, str]
    duckdb_versions: tuple[str, str]
    tables: list[TableDiff]
    equal: list[str]


def diff_versions(before: Path, after: Path, model: str | None = None) -> Diff:
    """Compare two warehouse files.

    Args:
        model: compare only this one, named with or without its schema.

    Raises:
        UnknownNameError: neither version has the model.
        StorageError: a file cannot be read, or is not a version of a warehouse.
    """
    import duckdb

    connection = duckdb.connect()
    try:
        connection.execute("SET TimeZone = 'UTC'")
        for name, path in ((BEFORE, before), (AFTER, after)):
            attach_read_only(connection, path, name)
            if not is_warehouse(connection, name):
                raise StorageError(f"{path} is a DuckDB database, but not a version of a warehouse")
            check_schema(connection, path, f"{name}.")
        with interruptible(connection):
            return _Comparison(connection).run(model)
    finally:
        connection.close()


@dataclass(frozen=True)
class _Table:
    """A table of one version; a seed has no grain, and its `hash` is that of the file."""

    rows: int
    hash: str
    grain: tuple[str, ...]
    time_column: str | None
    types: dict[str, str]


class _Comparison:
    """Compares the two versions that are attached."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def run(self, model: str | None) -> Diff:
        before, after = self._tables(BEFORE), self._tables(AFTER)
        chosen = sorted(before.keys() | after.keys())
        if model is not None:
            chosen = [pick_name(model, chosen)]
        differing = differing_months(self._connection, f"{BEFORE}.", f"{AFTER}.")
        tables: list[TableDiff] = []
        equal: list[str] = []
        for name in chosen:
            found = self._compare(name, before.get(name), after.get(name), differing)
            if found is None:
                equal.append(name)
            else:
                tables.append(found)
        one, other = self._version(BEFORE), self._version(AFTER)
        return Diff(one[0], other[0], (one[1], other[1]), (one[2], other[2]), tables, equal)

    def _version(self, side: str) -> tuple[Any, ...]:
        return one_row(
            self._connection, f"SELECT version, energywh_version, duckdb_version FROM {side}.energywh.version"
        )

    def _tables(self, side: str) -> dict[str, _Table]:
        """Return the models and seeds of a version by name."""
        types: dict[str, dict[str, str]] = {}
        for name, column, kind in self._connection.execute(
            "SELECT schema_name || '.' || table_name, column_name, data_type FROM duckdb_columns() "
            "WHERE database_name = ? AND NOT internal ORDER BY column_index",
            [side],
        ).fetchall():
            types.setdefault(name, {})[column] = kind
        rows = self._connection.execute(
            f"SELECT name, rows, sql_hash, grain, time_column FROM {side}.energywh.model "
            "WHERE materialized <> 'inline' "
            f"UNION ALL SELECT name, rows, file_hash, [], NULL FROM {side}.energywh.seed"
        ).fetchall()
        return {
            name: _Table(count, hash_, tuple(grain), time, types.get(name, {}))
            for name, count, hash_, grain, time in rows
        }

    def _compare(
        self, name: str, before: _Table | None, after: _Table | None, differing: dict[str, list[Any]] | None
    ) -> TableDiff | None:
        """Return how a table differs; None if it does not."""
        if before is None or after is None:
            state = "dropped" if after is None else "added"
            return TableDiff(name, state, before.rows if before else None, after.rows if after else None)
        found = TableDiff(
            name,
            "changed",
            before.rows,
            after.rows,
            sql_changed=before.hash != after.hash if after.grain else None,
            columns_added=[column for column in after.types if column not in before.types],
            columns_dropped=[column for column in before.types if column not in after.types],
            types_changed=[column for column, kind in after.types.items() if before.types.get(column, kind) != kind],
        )
        months = None if differing is None else differing.get(name, [])
        if not after.grain:
            if before.hash == after.hash and not months:
                return None
            found.note = "a seed; its file differs"
            return found
        if before.grain != after.grain:
            found.note = f"one row for each {', '.join(after.grain)}, before {', '.join(before.grain)}: not compared"
            return found
        if months is None or months:
            self._compare_rows(found, before, after, months)
        shape = found.columns_added or found.columns_dropped or found.types_changed
        rows = found.rows_added or found.rows_removed or found.rows_changed
        return found if found.sql_changed or shape or rows else None

    def _compare_rows(self, found: TableDiff, before: _Table, after: _Table, months: list[Any] | None) -> None:
        """Count what differs in the rows of these months (None: of all)."""
        shared = [column for column in after.types if column in before.types and column not in after.grain]
        columns = {column: ColumnDiff(column) for column in shared}
        totals: dict[str, float] = dict.fromkeys(shared, 0.0)
        time = after.time_column if after.time_column == before.time_column else None
        for condition in self._conditions(found.name, time, months, len(shared)):
            added, removed, changed, in_months, *facts = one_row(
                self._connection, _join_sql(found.name, before, after, shared, time, condition)
            )
            found.rows_added += added
            found.rows_removed += removed
            found.rows_changed += changed
            found.months += sorted(in_months or [])
            for column, fact in zip(columns.values(), facts, strict=True):
                totals[column.name] += _add(column, fact, after.grain)
        for column in columns.values():
            if column.greatest_difference is not None:
                column.mean_difference = totals[column.name] / column.changed
        found.columns = sorted((each for each in columns.values() if each.rows), key=lambda each: -each.rows)

    def _conditions(self, name: str, time: str | None, months: list[Any] | None, columns: int) -> list[str]:
        """Return conditions that split the rows to read into chunks of a few months."""
        if time is None:
            return ["true"]
        if months is None:
            months = [
                month
                for (month,) in self._connection.execute(
                    f"SELECT month FROM {BEFORE}.energywh.month WHERE model = $1 UNION "
                    f"SELECT month FROM {AFTER}.energywh.month WHERE model = $1 ORDER BY 1",
                    [name],
                ).fetchall()
            ]
        step = max(1, MONTH_COLUMNS // max(columns, 1))
        parts = [months[first : first + step] for first in range(0, len(months), step)]
        return [" OR ".join(f"({within(time, span.start, span.end)})" for span in spans(part)) for part in parts]


def _join_sql(
    name: str, before: _Table, after: _Table, columns: Sequence[str], time: str | None, condition: str
) -> str:
    """Return the query of how many rows of ``condition`` are added, removed and changed, in which months, and a
    struct of facts for each column."""
    keys = [identifier(key) for key in after.grain]
    same_key = " AND ".join(f"a.{key} IS NOT DISTINCT FROM b.{key}" for key in keys)
    either_key = ", ".join(f"coalesce(a.{key}, b.{key}) AS {key}" for key in keys)
    pairs = [_pair(column, before.types[column], after.types[column]) for column in columns]
    values = "".join(f", {one} AS a{i}, {other} AS b{i}" for i, (one, other, _) in enumerate(pairs))
    differs = " OR ".join(f"a{i} IS DISTINCT FROM b{i}" for i in range(len(pairs))) or "false"
    month = "NULL" if time is None else f"list(DISTINCT date_trunc('month', {identifier(time)})::DATE)"
    facts = "".join(
        f", {_facts(i, keys) if is_number else _counts(i)} AS c{i}" for i, (_, _, is_number) in enumerate(pairs)
    )
    return f"""
        WITH paired AS (
            SELECT a.here AS in_a, b.here AS in_b, {either_key}{values}
            FROM (SELECT true AS here, * FROM {BEFORE}.{quoted(name)} WHERE {condition}) a
            FULL JOIN (SELECT true AS here, * FROM {AFTER}.{quoted(name)} WHERE {condition}) b ON {same_key}
        ), differing AS (FROM paired WHERE in_a IS NULL OR in_b IS NULL OR {differs})
        SELECT count(*) FILTER (in_a IS NULL), count(*) FILTER (in_b IS NULL), count(*) FILTER (in_a AND in_b),
            {month}{facts}
        FROM differing
    """


def _pair(column: str, before: str, after: str) -> tuple[str, str, bool]:
    """Return a column of both sides in a form that can be compared, and whether it holds numbers."""
    one, other = f"a.{identifier(column)}", f"b.{identifier(column)}"
    numbers = _NUMBER.match(before) is not None and _NUMBER.match(after) is not None
    if before == after:
        return one, other, numbers
    kind = "DOUBLE" if numbers else "VARCHAR"
    return f"CAST({one} AS {kind})", f"CAST({other} AS {kind})", numbers


def _counts(i: int) -> str:
    """Return the struct of how often value ``i`` changed, in rows of both versions."""
    both = "in_a AND in_b"
    return (
        f"struct_pack(changed := count(*) FILTER ({both} AND a{i} <> b{i}), "
        f"became_null := count(*) FILTER ({both} AND a{i} IS NOT NULL AND b{i} IS NULL), "
        f"got_value := count(*) FILTER ({both} AND a{i} IS NULL AND b{i} IS NOT NULL))"
    )


def _facts(i: int, keys: Sequence[str]) -> str:
    """Return the struct of how often number ``i`` changed, by how much, and where by most."""
    before, after = f"CAST(a{i} AS DOUBLE)", f"CAST(b{i} AS DOUBLE)"
    change = f"abs({after} - {before})"
    finite = f"in_a AND in_b AND a{i} <> b{i} AND isfinite({change})"
    place = f"struct_pack({', '.join(f'{key} := {key}' for key in keys)})"
    most = f"struct_pack(change := {change}, place := {place}, before := {before}, after := {after})"
    return (
        f"struct_insert({_counts(i)}, total := sum({change}) FILTER ({finite}), "
        f"most := arg_max({most}, {change}) FILTER ({finite}))"
    )


def _add(column: ColumnDiff, fact: dict[str, Any], grain: Sequence[str]) -> float:
    """Add the counts of one chunk of months to a column; return the sum of its differences."""
    column.changed += fact["changed"]
    column.became_null += fact["became_null"]
    column.got_value += fact["got_value"]
    most = fact.get("most")
    if most is not None and (column.greatest_difference is None or most["change"] > column.greatest_difference):
        column.greatest_difference = most["change"]
        column.place = dict(zip(grain, most["place"].values(), strict=True))
        column.before, column.after = most["before"], most["after"]
    return fact.get("total") or 0.0
