"""The version of the warehouse that a dataset is made from, and digests that identify the rows of its months."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from energywh.core.checksums import digest_of
from energywh.core.query import ask
from energywh.core.version import VERSION
from energywh.datasets.stored.manifest import WarehouseState
from energywh.datasets.windows.source import Bound, aggregates_table, tables_read

if TYPE_CHECKING:
    import duckdb

NO_ROWS = "no rows"


@dataclass(frozen=True)
class SourceState:
    """The rows of a source in a version of the warehouse.

    Attributes:
        certain: equal ``warehouse.models`` mean equal rows.
        months: of a model, a digest of the rows of each month that has any.
        whole: of any other source, a digest of all that its rows depend on; None where that is not known.
    """

    warehouse: WarehouseState
    certain: bool
    months: Mapping[date, str]
    whole: str | None

    def rows_of(self, month: date) -> str | None:
        """Return a digest that identifies the rows of a month; None where there is none."""
        return self.months.get(month, NO_ROWS) if self.months else self.whole


def source_state(connection: duckdb.DuckDBPyConnection, source: Bound, version: str) -> SourceState:
    """Return the state of ``source`` in the ``version`` that is open."""
    import pyarrow

    read, certain = tables_read(connection, source)
    about_regions = aggregates_table(connection)
    models = _models(connection, [*read, *([about_regions] if about_regions else [])])
    as_of, knowledge = ask(connection, "SELECT as_of_utc, knowledge FROM energywh.version").fetchall()[0]
    warehouse = WarehouseState(
        version=version,
        as_of=None if as_of is None else f"{as_of:%Y-%m-%dT%H:%M:%S}",
        knowledge=knowledge,
        models=models,
        staging=_staging(connection, list(models)),
        energywh=VERSION,
        pyarrow=pyarrow.__version__,
    )
    known = certain and all(name in models for name in read)
    shape = ask(connection, f"SELECT * FROM {source.sql} AS source")
    # A digest of rows does not depend on the names of their columns.
    columns = [source.model, list(zip(shape.columns, map(str, shape.types), strict=True))]
    if source.model is not None:
        months = {month: digest_of([columns, digest]) for month, digest in _months(connection, source.model)}
        return SourceState(warehouse, known, months, None)
    whole = digest_of([source.sql, columns, {name: models[name]["digest"] for name in read}]) if known else None
    return SourceState(warehouse, known, {}, whole)


def _models(connection: duckdb.DuckDBPyConnection, names: list[str]) -> dict[str, dict[str, str]]:
    """Return the hashes of SQL, file and rows of models and seeds and of all that they read."""
    rows = ask(
        connection,
        """
        WITH RECURSIVE reads (name) AS (
            SELECT unnest($names)
            UNION
            SELECT upstream FROM reads JOIN energywh.dependency ON dependency.model = reads.name
        ),
        made (name, sql_hash, file_hash) AS (
            SELECT name, sql_hash, file_hash FROM energywh.model
            UNION ALL
            SELECT name, file_hash, file_hash FROM energywh.seed
        )
        SELECT name, sql_hash, file_hash, digest FROM reads JOIN made USING (name) JOIN energywh.digest USING (name)
        ORDER BY name
        """,
        {"names": names},
    ).fetchall()
    return {name: {"sql": sql, "file": file, "digest": digest} for name, sql, file, digest in rows}


def _staging(connection: duckdb.DuckDBPyConnection, models: list[str]) -> dict[str, dict[str, Any]]:
    """Return the newest landing and hour of the staging datasets that the models read."""
    rows = ask(
        connection,
        """
        SELECT dataset, landing_id, landed_at_utc, newest_hour_utc FROM energywh.watermark
        WHERE 'staging.' || dataset IN (SELECT upstream FROM energywh.dependency WHERE list_contains($models, model))
        ORDER BY dataset
        """,
        {"models": models},
    ).fetchall()
    return {
        dataset: {
            "landing": landing,
            "landed_at": None if landed is None else f"{landed:%Y-%m-%dT%H:%M:%S}",
            "newest_hour": None if newest is None else f"{newest:%Y-%m-%dT%H}",
        }
        for dataset, landing, landed, newest in rows
    }


def _months(connection: duckdb.DuckDBPyConnection, model: str) -> list[tuple[date, str]]:
    """Return the digests of the months of a model that have rows."""
    return ask(
        connection,
        "SELECT month, digest FROM energywh.month WHERE model = $1 AND month IS NOT NULL AND rows > 0",
        [model],
    ).fetchall()
