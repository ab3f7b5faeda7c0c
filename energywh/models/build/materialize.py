"""Bring one model up to date: all of it, some months of it, or nothing.

The result does not depend on which of these is done. A single month is built only if the model declares how far back
and ahead it reads; the build reads at least that far, and a month's digest is the same either way.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from energywh.core.sql_text import quoted, run, text, within
from energywh.core.storage_errors import cause_of, is_about_sql
from energywh.core.time import RunClock
from energywh.core.wording import count
from energywh.errors import ModelError
from energywh.models.build.column_types import ColumnTypes
from energywh.models.build.promises import check_dataset, model_error, promised_types
from energywh.models.build.view_sql import without_if
from energywh.models.contents.build_state import BuildState
from energywh.models.contents.digests import Digests, month_digests, types_of
from energywh.models.contents.months import SPAN_MONTHS, Span, short_spans, spans
from energywh.models.contents.months import widen as widen_months
from energywh.models.contents.staging import Staging
from energywh.models.contents.state import ModelState
from energywh.models.project.graph import Graph, Reach
from energywh.models.project.model import Model
from energywh.models.project.parse_cache import ParseCache
from energywh.models.project.seed import Seed

if TYPE_CHECKING:
    import duckdb

# Above this share of a model's months, building all of it costs less than month after month.
WHOLE_ABOVE = 0.5
# Values (rows times columns) computed at once when all of a model is built, at most; some 8 bytes each.
BATCH_VALUES = 150e6

_SCRATCH = "temp.main.energywh_scratch"


@dataclass(frozen=True)
class ModelResult:
    """What a build did to one model.

    Attributes:
        months: how many months were computed; None when the model was computed whole.
        changed: how many months have other rows than before; a model without time counts as one.
        changed_months: those months; None stands for a model without time.
        built: False if it was up to date.
    """

    name: str
    materialized: str
    rows: int
    months: int | None
    changed: int
    seconds: float
    built: bool
    changed_months: frozenset[date | None] = frozenset()


class Materializer:
    """Builds models one after another into the version open as ``connection``."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        graph: Graph,
        state: BuildState,
        staging: Staging,
        clock: RunClock,
        cache: ParseCache,
        *,
        full: bool = False,
    ) -> None:
        self._connection = connection
        self._graph = graph
        self._staging = staging
        self._clock = clock
        self._full = full
        self._state = state
        self._types = ColumnTypes(connection, graph, state, staging, cache)

    def load_seed(self, seed: Seed) -> bool:
        """Load a seed's CSV as a table unless it is up to date; return True if it was loaded. Empty cells are NULL.

        Raises:
            ModelError: the file cannot be read as CSV.
        """
        import duckdb

        if self._state.seeds.get(seed.name) == seed.file_hash and not self._full:
            return False
        self._connection.execute("CREATE SCHEMA IF NOT EXISTS seeds")
        try:
            self._connection.execute(f"CREATE OR REPLACE TABLE {quoted(seed.name)} AS {seed.sql()}")
        except duckdb.Error as error:
            if cause_of(error) not in ("sql", "system"):
                raise
            raise ModelError(f"{seed.path}: cannot load the seed: {error}") from None
        for option, enabled in seed.options.items():
            self._connection.execute(f"UPDATE {quoted(seed.name)} SET enabled = ? WHERE name = ?", [enabled, option])
        digest = month_digests(
            self._connection, quoted(seed.name), types_of(self._connection, quoted(seed.name)), None
        )[None]
        self._state.save_seed(seed, digest)
        return True

    def build(self, model: Model) -> ModelResult:
        """Bring ``model`` up to date.

        Raises:
            ModelError: its SQL fails, or returns other columns than it promises.
        """
        import duckdb

        began = time.monotonic()
        known = self._state.models.get(model.name)
        try:
            if model.materialized == "inline":
                return self._check_step(model, known, began)
            months = self._stale(model, known)
            if months is not None and not months:
                return self._keep(model, known)
            return self._make(model, known, months, began)
        except duckdb.Error as error:
            if not is_about_sql(error):
                raise
            raise model_error(model, error) from None

    def _check_step(self, model: Model, known: ModelState | None, began: float) -> ModelResult:
        """Check that a step returns the columns that it promises; it has no rows of its own."""
        for table in self._graph.staging(model.name):
            check_dataset(self._staging, self._graph, model, table)
        if known is not None and (known.sql_hash, known.file_hash) == (model.sql_hash, model.file_hash):
            self._state.touch_model(model.name, self._staging.landing)
            return ModelResult(model.name, model.materialized, 0, 0, 0, 0.0, built=False)
        types = promised_types(self._types, model)
        self.drop(model.name)  # it may have been a table
        seconds = time.monotonic() - began
        self._save(model, types, seconds)
        return ModelResult(model.name, model.materialized, 0, None, 0, seconds, built=True)

    def drop(self, name: str) -> bool:
        """Remove a model or seed and all records of it; return True if its table existed."""
        found = self._connection.execute(
            "SELECT table_type FROM information_schema.tables "
            "WHERE table_catalog = current_database() AND table_schema || '.' || table_name = ?",
            [name],
        ).fetchall()
        for (kind,) in found:
            self._connection.execute(f"DROP {'VIEW' if kind == 'VIEW' else 'TABLE'} {quoted(name)}")
        self._state.forget(name)
        return bool(found)

    def _keep(self, model: Model, known: ModelState | None) -> ModelResult:
        """Keep the rows; save the descriptions if the file changed."""
        digests = self._state.digests(model.name)
        rows = sum(digest.rows for digest in digests.values())
        if self._is_reworded(model, known):
            types = promised_types(self._types, model)
            self._comment(model, types)
            self._save(model, types, 0.0)
            return ModelResult(model.name, model.materialized, rows, 0, 0, 0.0, built=True)
        self._state.touch_model(model.name, self._staging.landing)
        return ModelResult(model.name, model.materialized, rows, 0, 0, 0.0, built=False)

    def _stale(self, model: Model, known: ModelState | None) -> set[date] | None:
        """Return the months of ``model`` to build, or None for all of it."""
        tables = self._graph.staging(model.name)
        for table in tables:
            check_dataset(self._staging, self._graph, model, table)
        if known is None or known.sql_hash != model.sql_hash or self._full:
            return None
        if tables and not self._staging.holds(known.landing):
            return None
        changed: set[date | None] = set(self._state.changed_inputs(model.name, self._graph.upstream(model.name)))
        if tables:
            changed |= self._staging.changed_months(tables, known.landing)
        if not changed:
            return set()
        if None in changed or not model.by_month:
            return None
        months = widen_months((month for month in changed if month is not None), model.lookback, model.lookahead)
        if not tables:  # the months of staging are not counted
            months &= self._months_read(model).keys() | self._state.digests(model.name).keys() | changed
        return months

    def _months_read(self, model: Model) -> dict[date, int]:
        """Return the months in which a model or seed that ``model`` reads has rows, and the rows of the longest."""
        found: dict[date, int] = {}
        for name in self._graph.upstream(model.name):
            for month, digest in self._state.digests(name).items():
                if month is not None:
                    found[month] = max(found.get(month, 0), digest.rows)
        return found

    def _make(self, model: Model, known: ModelState | None, months: set[date] | None, began: float) -> ModelResult:
        """Compute ``months``, or everything if None, and write the months that changed."""
        known_types = self._known_types(model, known)
        types = known_types or promised_types(self._types, model)
        before = self._state.digests(model.name)
        if known is not None and known.materialized not in (model.materialized, "inline"):
            self._connection.execute(f"DROP {known.materialized} {quoted(model.name)}")
            known = None
        same = (
            known is not None
            and known.materialized != "inline"
            and types_of(self._connection, quoted(model.name)) == types
        )
        if months is not None and (not same or len(months) > WHOLE_ABOVE * len(months | before.keys())):
            months = None

        created = known_types is None if model.materialized == "view" else not same
        if created:
            self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(model.schema)}")
        if model.materialized == "view":
            if created:
                sql = without_if(self._graph.sql(model.name))
                self._connection.execute(f"CREATE OR REPLACE VIEW {quoted(model.name)} AS {sql}")
            after = self._digest_view(model, types, months, before)
        elif months is None and same and not self._full and not model.by_month:
            after = self._refresh(model, types, before)
        elif months is None and (batches := self._batches(model, types)):
            created = True
            after = self._build_batches(model, types, batches)
        elif months is None:
            created = True
            ordered = f"SELECT * FROM ({self._graph.sql(model.name)}\n) {self._by_month(model)}"
            run(self._connection, f"CREATE OR REPLACE TABLE {quoted(model.name)} AS {ordered}")
            after = month_digests(self._connection, quoted(model.name), types, model.time_column)
        else:
            after = self._build_months(model, types, months, before)
        if model.time_column is not None and None in after:
            rows = after[None].rows
            raise ModelError(
                f"{model.path}:{model.sql_line}: '{model.time_column}' is NULL in {count(rows, 'row')}; "
                "every row needs its time"
            )

        self._state.save_digests(model.name, after)
        rows = sum(digest.rows for digest in after.values())
        seconds = time.monotonic() - began
        if created or self._is_reworded(model, known):
            self._comment(model, types)
        self._save(model, types, seconds)
        changed = {month for month in before.keys() | after.keys() if before.get(month) != after.get(month)}
        return ModelResult(
            model.name,
            model.materialized,
            rows,
            None if months is None else len(months),
            len(changed),
            seconds,
            built=True,
            changed_months=frozenset(changed),
        )

    def _known_types(self, model: Model, known: ModelState | None) -> dict[str, str] | None:
        """Return the columns that the SELECT returned before, or None if it may return others now."""
        upstream = set(self._graph.upstream(model.name)) - self._graph.steps
        if (
            known is None
            or self._full
            or (known.sql_hash, known.materialized) != (model.sql_hash, model.materialized)
            or self._graph.staging(model.name)  # whose tables may have got columns
            or not self._state.reads_same_columns(model.name, upstream)
        ):
            return None
        types = self._state.types(model.name)
        return types if types.keys() == model.columns.keys() else None

    def _is_reworded(self, model: Model, known: ModelState | None) -> bool:
        """Return whether a description changed, of which some are inherited."""
        said = self._state.descriptions(model.name)
        return known is not None and (known.file_hash != model.file_hash or said != dict(model.columns))

    def _save(self, model: Model, types: Mapping[str, str], seconds: float) -> None:
        reads = sorted(self._graph.reads(model.name))
        self._state.save_model(model, types, reads, self._staging.landing, self._clock.now(), seconds)

    def _refresh(self, model: Model, types: Mapping[str, str], before: Digests) -> Digests:
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

    def _batches(self, model: Model, types: Mapping[str, str]) -> list[Span]:
        """Return the spans in which to compute all of ``model``, so that each fits in memory.

        Windows and joins hold what they compute until they are done with it. A model that reads staging, whose
        months are not counted, is one batch.
        """
        if not model.by_month or self._graph.staging(model.name):
            return []
        found = self._months_read(model)
        if not found:
            return []
        months = sorted(widen_months(found, model.lookback, model.lookahead))
        at_once = min(SPAN_MONTHS, max(1, int(BATCH_VALUES / (max(found.values()) * len(types)))))
        return list(short_spans(months, at_once))

    def _build_batches(self, model: Model, types: Mapping[str, str], batches: Iterable[Span]) -> Digests:
        """Compute all of ``model``, one of ``batches`` after another."""
        assert model.time_column is not None
        name = quoted(model.name)
        columns = ", ".join(f"{quoted(column)} {kind}" for column, kind in types.items())
        run(self._connection, f"CREATE OR REPLACE TABLE {name} ({columns})")
        for batch in batches:
            condition = within(model.time_column, batch.start, batch.end)
            run(
                self._connection,
                f"INSERT INTO {name} SELECT * FROM ({self._restricted(model, batch)}\n) WHERE {condition} "
                f"{self._by_grain(model)}",
            )
        return month_digests(self._connection, name, types, model.time_column)

    def _build_months(self, model: Model, types: Mapping[str, str], months: set[date], before: Digests) -> Digests:
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

    def _write_months(self, model: Model, months: Iterable[date | None]) -> None:
        assert model.time_column is not None
        for span in spans(month for month in months if month is not None):
            self._replace(model, within(model.time_column, span.start, span.end))

    def _replace(self, model: Model, condition: str) -> None:
        """Replace the rows that meet ``condition`` with those of the scratch table."""
        name = quoted(model.name)
        run(self._connection, f"DELETE FROM {name} WHERE {condition}")
        run(self._connection, f"INSERT INTO {name} SELECT * FROM {_SCRATCH} WHERE {condition} {self._by_grain(model)}")

    def _digest_view(
        self, model: Model, types: Mapping[str, str], months: set[date] | None, before: Digests
    ) -> Digests:
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

    @staticmethod
    def _by_month(model: Model) -> str:
        """Return the physical order of a whole table: each month is one stretch of the file.

        Sorting by region and hour within the month as well would take as long again as computing the largest
        tables (measured: 31 M rows in 10 s against 6 s), and a month is read whole anyway.
        """
        if model.time_column is None:
            return f"ORDER BY {', '.join(quoted(column) for column in model.grain)}"
        return f"ORDER BY date_trunc('month', {quoted(model.time_column)})"

    @staticmethod
    def _by_grain(model: Model) -> str:
        """Return the physical order of a few months: by month, then the other grain columns, then time."""
        if model.time_column is None:
            return Materializer._by_month(model)
        time_column = quoted(model.time_column)
        keys = [quoted(column) for column in model.grain if column != model.time_column]
        keys = [f"date_trunc('month', {time_column})", *keys, time_column]
        return f"ORDER BY {', '.join(keys)}"

    def _comment(self, model: Model, types: Mapping[str, str]) -> None:
        name = quoted(model.name)
        kind = model.materialized.upper()
        statements = [f"COMMENT ON {kind} {name} IS {text(model.description)}"]
        statements += [f"COMMENT ON COLUMN {name}.{quoted(c)} IS {text(model.columns[c])}" for c in types]
        self._connection.execute(";".join(("BEGIN", *statements, "COMMIT")))  # one write to disk instead of many
