"""The columns that the SELECT of a model returns, asked of DuckDB unless they are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from energywh.core.sql_text import quoted
from energywh.models.contents.build_state import BuildState
from energywh.models.contents.digests import types_of
from energywh.models.contents.staging import Staging
from energywh.models.project.graph import STAGING, Graph
from energywh.models.project.parse_cache import ParseCache

if TYPE_CHECKING:
    import duckdb


class ReturnedColumns(Struct, frozen=True):
    """Names and types of the columns that a SELECT returns, in order."""

    columns: tuple[tuple[str, str], ...]


class ColumnTypes:
    """Tells what SELECTs return over the tables that are built so far.

    Planning a SELECT takes some milliseconds, and gives the same for the same SQL over the same columns.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        graph: Graph,
        state: BuildState,
        staging: Staging,
        cache: ParseCache,
    ) -> None:
        self._connection = connection
        self._graph = graph
        self._state = state
        self._staging = staging
        self._cache = cache
        self._seeds: dict[str, dict[str, str]] = {}

    def returned(self, model: str) -> tuple[tuple[str, str], ...]:
        """Return names and types of the columns that the SELECT of ``model`` returns.

        Raises:
            duckdb.Error: its SQL is wrong.
        """
        import duckdb

        sql = self._graph.sql(model)
        read = {table: self._of_table(table) for table in sorted(self._graph.parsed[model].tables)}

        def ask() -> ReturnedColumns:
            rows = self._connection.execute(f"DESCRIBE {sql}").fetchall()
            return ReturnedColumns(tuple((row[0], row[1]) for row in rows))

        return self._cache.get(ReturnedColumns, (duckdb.__version__, sql, read), ask).columns

    def _of_table(self, table: str) -> dict[str, str]:
        if table.startswith(STAGING):
            return self._staging.columns[table]
        if table in self._graph.seeds:
            if table not in self._seeds:
                self._seeds[table] = types_of(self._connection, quoted(table))
            return self._seeds[table]
        return self._state.types(table)
