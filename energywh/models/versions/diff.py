"""Compare two versions: which tables, months and columns differ, and by how much.

Months whose digests are equal are never read. The others are joined on the grain, a few at a time; the rows that differ
go to a temporary table, and only the columns that differ in them are looked at one by one.
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
MOST_VALUES = 10_000_000  # rows times columns of the months of a version that are joined at once, to bound memory
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
        pairs = [_pair(column, before.types[column], after.types[column]) for column in shared]
        columns = [ColumnDiff(column) for column in shared]
        totals = [0.0] * len(shared)
        # A time outside the grain may differ between the rows of a pair, so months cannot be compared one by one.
        time = (
            after.time_column if after.time_column == before.time_column and after.time_column in after.grain else None
        )
        # In the order of time and then of the grain, so that the first of equally great differences is named.
        order = ", ".join(map(identifier, [time, *after.grain] if time else after.grain))
        for condition in self._conditions(found.name, time, months, len(shared)):
            self._connection.execute(_differing_sql(found.name, after.grain, pairs, condition))
            added, removed, changed, in_months, *differs = one_row(self._connection, _counts_sql(time, len(pairs)))
            found.rows_added += added
            found.rows_removed += removed
            found.rows_changed += changed
            found.months += sorted(in_months or [])
            for i, column in enumerate(columns):
                if differs[i]:
                    totals[i] += self._add(column, i, pairs[i].are_numbers, after.grain, order)
        for column, total in zip(columns, totals, strict=True):
            if column.greatest_difference is not None:
                column.mean_difference = total / column.changed
        found.columns = sorted((each for each in columns if each.rows), key=lambda each: -each.rows)

    def _add(self, column: ColumnDiff, i: int, are_numbers: bool, grain: Sequence[str], order: str) -> float:
        """Add to a column, the ``i``-th, how it differs in the rows of `differing`; return the sum of differences."""
        changed, became_null, got_value = one_row(
            self._connection,
            f"SELECT count(*) FILTER (a{i} <> b{i}), count(a{i}) FILTER (b{i} IS NULL), "
            f"count(b{i}) FILTER (a{i} IS NULL) FROM differing WHERE in_a AND in_b",
        )
        column.changed += changed
        column.became_null += became_null
        column.got_value += got_value
        if not are_numbers or not changed:
            return 0.0
        before, after = f"CAST(a{i} AS DOUBLE)", f"CAST(b{i} AS DOUBLE)"
        change = f"abs({after} - {before})"
        those = f"FROM differing WHERE in_a AND in_b AND a{i} <> b{i} AND isfinite({change})"
        total, greatest = one_row(self._connection, f"SELECT sum({change}), max({change}) {those}")
        if greatest is not None and (column.greatest_difference is None or greatest > column.greatest_difference):
            keys = ", ".join(map(identifier, grain))
            *place, column.before, column.after = one_row(
                self._connection,
                f"SELECT {keys}, {before}, {after} {those} AND {change} = $1 ORDER BY {order} LIMIT 1",
                [greatest],
            )
            column.greatest_difference = greatest
            column.place = dict(zip(grain, place, strict=True))
        return total or 0.0

    def _conditions(self, name: str, time: str | None, months: list[Any] | None, columns: int) -> list[str]:
        """Return conditions that split the rows to read into chunks of a few months."""
        if time is None:
            return ["true"]
        rows: dict[date, int] = dict(
            self._connection.execute(
                f"SELECT month, max(rows) FROM (FROM {BEFORE}.energywh.month UNION ALL FROM {AFTER}.energywh.month) "
                "WHERE model = ? GROUP BY month ORDER BY month",
                [name],
            ).fetchall()
        )
        chunks: list[list[date]] = []
        values = MOST_VALUES
        for month in rows if months is None else months:
            values += rows[month] * columns
            if values > MOST_VALUES:
                chunks.append([])
                values = rows[month] * columns
            chunks[-1].append(month)
        return [" OR ".join(f"({within(time, span.start, span.end)})" for span in spans(chunk)) for chunk in chunks]


@dataclass(frozen=True)
class _Pair:
    """A column of both sides, as SQL of a form that can be compared."""

    before: str
    after: str
    are_numbers: bool


def _differing_sql(name: str, grain: Sequence[str], pairs: Sequence[_Pair], condition: str) -> str:
    """Return the statement that writes the rows of ``condition`` that differ to the temporary table `differing`.

    It has the columns in_a and in_b (NULL where that version has no such row), the grain, and values a0, b0, a1, b1...
    """
    keys = [identifier(key) for key in grain]
    same_key = " AND ".join(f"a.{key} IS NOT DISTINCT FROM b.{key}" for key in keys)
    either_key = ", ".join(f"coalesce(a.{key}, b.{key}) AS {key}" for key in keys)
    values = "".join(f", {pair.before} AS a{i}, {pair.after} AS b{i}" for i, pair in enumerate(pairs))
    differs = "".join(f" OR {pair.before} IS DISTINCT FROM {pair.after}" for pair in pairs)
    return f"""
        CREATE OR REPLACE TEMP TABLE differing AS
        SELECT a.here AS in_a, b.here AS in_b, {either_key}{values}
        FROM (SELECT true AS here, * FROM {BEFORE}.{quoted(name)} WHERE {condition}) a
        FULL JOIN (SELECT true AS here, * FROM {AFTER}.{quoted(name)} WHERE {condition}) b ON {same_key}
        WHERE a.here IS NULL OR b.here IS NULL{differs}
    """


def _counts_sql(time: str | None, columns: int) -> str:
    """Return the query of how many rows are added, removed and changed, in which months, and whether each column
    differs.

    It asks one cheap question of a column: DuckDB plans a query with several counts of each of 200 columns for seconds.
    """
    month = "NULL" if time is None else f"list(DISTINCT date_trunc('month', {identifier(time)})::DATE)"
    differs = "".join(f", bool_or(in_a AND in_b AND a{i} IS DISTINCT FROM b{i})" for i in range(columns))
    return (
        "SELECT count(*) FILTER (in_a IS NULL), count(*) FILTER (in_b IS NULL), count(*) FILTER (in_a AND in_b), "
        f"{month}{differs} FROM differing"
    )


def _pair(column: str, before: str, after: str) -> _Pair:
    """Return how to compare a column of these types."""
    one, other = f"a.{identifier(column)}", f"b.{identifier(column)}"
    numbers = _NUMBER.match(before) is not None and _NUMBER.match(after) is not None
    if before == after:
        return _Pair(one, other, numbers)
    kind = "DOUBLE" if numbers else "VARCHAR"
    return _Pair(f"CAST({one} AS {kind})", f"CAST({other} AS {kind})", numbers)
