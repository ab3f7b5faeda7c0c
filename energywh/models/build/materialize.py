"""Bring one model up to date: all of it, some months of it, or nothing.

The result does not depend on which of these is done. A single month is built only if the model declares how far back
and ahead it reads; the build reads at least that far, and a month's digest is the same either way.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from energywh.core.sql_text import quoted
from energywh.core.storage_errors import cause_of, is_about_sql
from energywh.core.time import RunClock
from energywh.core.wording import count
from energywh.errors import ModelError
from energywh.models.build.column_types import ColumnTypes
from energywh.models.build.promises import check_dataset, model_error, promised_types
from energywh.models.build.stale_months import StaleMonths, is_whole_cheaper
from energywh.models.build.table_writer import TableWriter
from energywh.models.contents.build_state import BuildState
from energywh.models.contents.digests import month_digests, types_of
from energywh.models.contents.staging import Staging
from energywh.models.contents.state import ModelState
from energywh.models.project.graph import Graph
from energywh.models.project.model import Model
from energywh.models.project.parse_cache import ParseCache
from energywh.models.project.seed import Seed

if TYPE_CHECKING:
    import duckdb


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
        self._stale = StaleMonths(graph, state, staging, full=full)
        self._tables = TableWriter(connection, graph, staging)

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
            months = self._stale.of(model, known)
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
            self._tables.comment(model, types)
            self._save(model, types, 0.0)
            return ModelResult(model.name, model.materialized, rows, 0, 0, 0.0, built=True)
        self._state.touch_model(model.name, self._staging.landing)
        return ModelResult(model.name, model.materialized, rows, 0, 0, 0.0, built=False)

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
        if months is not None and (not same or is_whole_cheaper(months, before)):
            months = None

        created = known_types is None if model.materialized == "view" else not same
        if created:
            self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(model.schema)}")
        if model.materialized == "view":
            if created:
                self._tables.create_view(model)
            after = self._tables.digest_view(model, types, months, before)
        elif months is None and same and not self._full and not model.by_month:
            after = self._tables.refresh(model, types, before)
        elif months is None and (batches := self._stale.batches(model, len(types))):
            created = True
            after = self._tables.create_in_batches(model, types, batches)
        elif months is None:
            created = True
            after = self._tables.create(model, types)
        else:
            after = self._tables.rebuild_months(model, types, months, before)
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
            self._tables.comment(model, types)
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
