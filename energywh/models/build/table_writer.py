"""Write the table or view of one model, and compute the digests of its months.

A month has the same rows and digest whether it is written alone or with all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING

from energywh.core.sql_text import quoted, run, text, within
from energywh.models.build.view_sql import without_if
from energywh.models.contents.digests import Digests, month_digests
from energywh.models.contents.months import Span, short_spans, spans
from energywh.models.contents.staging import Staging
from energywh.models.project.graph import Graph, Reach
from energywh.models.project.model import Model

if TYPE_CHECKING:
    import duckdb

_SCRATCH = "temp.main.energywh_scratch"


class TableWriter:
    """Writes tables and views into the version open as ``connection``."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, graph: Graph, staging: Staging) -> None:
        self._connection = connection
        self._graph = graph
        self._staging = staging

    def create_view(self, model: Model) -> None:
        """Create or replace the view of ``model``."""
        sql = without_if(self._graph.sql(model.name))
        self._connection.execute(f"CREATE OR REPLACE VIEW {quoted(model.name)} AS {sql}")

    def create(self, model: Model, types: Mapping[str, str]) -> Digests:
        """Compute all of ``model`` at once into a new table."""
        ordered = f"SELECT * FROM ({self._graph.sql(model.name)}\n) {_by_month(model)}"
        run(self._connection, f"CREATE OR REPLACE TABLE {quoted(model.name)} AS {ordered}")
        return month_digests(self._connection, quoted(model.name), types, model.time_column)

    def create_in_batches(self, model: Model, types: Mapping[str, str], batches: Iterable[Span]) -> Digests:
        """Compute all of ``model`` into a new table, one of ``batches`` after another."""
        assert model.time_column is not None
        name = quoted(model.name)
        columns = ", ".join(f"{quoted(column)} {kind}" for column, kind in types.items())
        run(self._connection, f"CREATE OR REPLACE TABLE {name} ({columns})")
        # Of the user's own models alone: on ours it would cost the filters that DuckDB derives from the hours.
        or_timeless = f" OR {quoted(model.time_column)} IS NULL" if model.name in self._graph.own else ""
        for batch in batches:
            condition = within(model.time_column, batch.start, batch.end)
            run(
                self._connection,
                f"INSERT INTO {name} SELECT * FROM ({self._restricted(model, batch)}\n) WHERE {condition}{or_timeless} "
                f"{_by_grain(model)}",
            )
        digests = month_digests(self._connection, name, types, model.time_column)
        # A row without time may only be one of an outer join whose other side the batch does not read.
        return self.create(model, types) if None in digests else digests

    def refresh(self, model: Model, types: Mapping[str, str], before: Digests) -> Digests:
        """Compute all of a model that cannot be built by month, and write only the months that changed."""
        run(self._connection, f"CREATE OR REPLACE TEMP TABLE {_SCRATCH} AS {self._graph.sql(model.name)}")
        after = month_digests(self._connection, _SCRATCH, types, model.time_column)
        if model.time_column is None:
            if after != before:
                self._replace(model, "true")
        else:
            changed = {month for month in before.keys() | after.keys() if before.get(month) != after.get(month)}
            self._write_months(model, changed)
        self._connection.execute(f"DROP TABLE {_SCRATCH}")
        return after

    def rebuild_months(self, model: Model, types: Mapping[str, str], months: set[date], before: Digests) -> Digests:
        """Compute ``months`` from their part of the upstream tables, and write those that changed."""
        assert model.time_column is not None
        after = {month: digest for month, digest in before.items() if month not in months}
        for span in short_spans(months):
            sql = self._restricted(model, span)
            condition = within(model.time_column, span.start, span.end)
            run(
                self._connection,
                f"CREATE OR REPLACE TEMP TABLE {_SCRATCH} AS SELECT * FROM ({sql}\n) WHERE {condition}",
            )
            computed = month_digests(self._connection, _SCRATCH, types, model.time_column)
            self._write_months(model, [month for month in span.months if computed.get(month) != before.get(month)])
            after |= computed
        self._connection.execute(f"DROP TABLE IF EXISTS {_SCRATCH}")
        return after

    def digest_view(self, model: Model, types: Mapping[str, str], months: set[date] | None, before: Digests) -> Digests:
        """Return the digests of a view, computed a few months at a time because all of it may not fit in memory."""
        if model.time_column is None:
            return month_digests(self._connection, quoted(model.name), types, None)
        after: Digests = {}
        if months is None:
            month = f"date_trunc('month', {quoted(model.time_column)})::DATE"
            found = {row[0] for row in run(self._connection, f"SELECT DISTINCT {month} FROM {quoted(model.name)}")}
            months = found - {None}
            if None in found:
                nowhere = f"{quoted(model.time_column)} IS NULL"
                after = month_digests(self._connection, quoted(model.name), types, model.time_column, nowhere)
        else:
            after = {month: digest for month, digest in before.items() if month not in months}
        for span in short_spans(months):
            condition = within(model.time_column, span.start, span.end)
            after |= month_digests(self._connection, quoted(model.name), types, model.time_column, condition)
        return after

    def comment(self, model: Model, types: Mapping[str, str]) -> None:
        """Store the descriptions of ``model`` and its columns as comments."""
        name = quoted(model.name)
        kind = model.materialized.upper()
        statements = [f"COMMENT ON {kind} {name} IS {text(model.description)}"]
        statements += [f"COMMENT ON COLUMN {name}.{quoted(c)} IS {text(model.columns[c])}" for c in types]
        self._connection.execute(";".join(("BEGIN", *statements, "COMMIT")))  # one write to disk instead of many

    def _write_months(self, model: Model, months: Iterable[date | None]) -> None:
        assert model.time_column is not None
        for span in spans(month for month in months if month is not None):
            self._replace(model, within(model.time_column, span.start, span.end))

    def _replace(self, model: Model, condition: str) -> None:
        """Replace the rows that meet ``condition`` with those of the scratch table."""
        name = quoted(model.name)
        run(self._connection, f"DELETE FROM {name} WHERE {condition}")
        run(self._connection, f"INSERT INTO {name} SELECT * FROM {_SCRATCH} WHERE {condition} {_by_grain(model)}")

    def _restricted(self, model: Model, span: Span) -> str:
        """Return the model's SQL, reading only what the hours of ``span`` can depend on."""

        def condition(table: str, reach: Reach) -> str | None:
            start, end = span.read_start(reach[0]), span.end + reach[1]
            if (stamp := self._staging.stamp(table)) is not None:
                return within(stamp.column, start + stamp.offset, end + stamp.offset)
            if (upstream := self._graph.models.get(table)) is not None and upstream.time_column is not None:
                return within(upstream.time_column, start, end)
            return None

        return self._graph.restricted(model.name, condition)


def _by_month(model: Model) -> str:
    """Return the physical order of a whole table: each month is one stretch of the file.

    Sorting by region and hour within the month as well would take as long again as computing the largest
    tables (measured: 31 M rows in 10 s against 6 s), and a month is read whole anyway.
    """
    if model.time_column is None:
        return f"ORDER BY {', '.join(quoted(column) for column in model.grain)}"
    return f"ORDER BY date_trunc('month', {quoted(model.time_column)})"


def _by_grain(model: Model) -> str:
    """Return the physical order of a few months: by month, then the other grain columns, then time."""
    if model.time_column is None:
        return _by_month(model)
    time_column = quoted(model.time_column)
    keys = [quoted(column) for column in model.grain if column != model.time_column]
    keys = [f"date_trunc('month', {time_column})", *keys, time_column]
    return f"ORDER BY {', '.join(keys)}"
