"""The schema `energywh` of a version: its catalog, and the state that the next build continues from.

State is kept per model and not per version, because `energywh build MODEL` leaves other models behind:

- `model` has the newest landing that the model was built from (`landing_id`), and the id of the staging file;
- `month` has a digest of each month's rows, the same whether the month was built alone or with all others;
- `input` has the digests of upstream months that the model was built from. Where they differ from `month`, the
  model is out of date in exactly those months.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energywh.core.database import one_row
from energywh.core.schema_number import check_known
from energywh.core.version import VERSION
from energywh.errors import StorageError
from energywh.models.build.digests import Digest, Digests
from energywh.models.build.schema import FORMAT, OLDEST_READ, SCHEMA
from energywh.models.build.staging import Landing, Watermark
from energywh.models.project.units import unit_of

if TYPE_CHECKING:
    import duckdb

    from energywh.models.project.model import Model
    from energywh.models.project.seed import Seed


@dataclass(frozen=True)
class ModelState:
    """What a version records of a model."""

    sql_hash: str
    file_hash: str
    materialized: str
    landing: Landing


@dataclass(frozen=True)
class AuditResult:
    """Outcome of one audit: how many rows broke the promise, and a few of them as text.

    Attributes:
        failures: None if only `energywh check` runs the audit.
        source_sql: the SELECT of the rows that break it, in all months.
    """

    model: str
    audit: str
    severity: str
    failures: int | None
    sample: str = ""
    description: str = ""
    run_by: str = "build"
    source_sql: str = ""


@dataclass(frozen=True)
class LeftOut:
    """Why a model or seed was left out; ``tried`` is the digest of its inputs, None if a retry may help."""

    reason: str
    tried: str | None


@dataclass(frozen=True)
class VersionFacts:
    """What a version records about itself and what it was built from; times are naive UTC."""

    version: str
    built_at_utc: datetime
    base_version: str | None
    base_kind: str
    landing: Landing
    watermarks: list[Watermark]
    options: Mapping[str, Any]
    as_of_utc: datetime | None = None
    knowledge: str | None = None


def compatible(connection: duckdb.DuckDBPyConnection, prefix: str = "") -> bool:
    """Return whether a build can continue from this version.

    Digests and results depend on the version of DuckDB, so another version of it rebuilds everything.
    """
    import duckdb

    try:
        rows = connection.execute(f"SELECT format, duckdb_version FROM {prefix}energywh.version").fetchall()
    except duckdb.Error:
        return False
    return rows == [(FORMAT, duckdb.__version__)]


def check_schema(
    connection: duckdb.DuckDBPyConnection, path: Path, prefix: str = "", *, oldest: int = OLDEST_READ
) -> None:
    """Check that this energywh knows the schema of the version that is open, or attached as ``prefix``.

    Args:
        path: its file, for the message.
        oldest: number from which on the caller can read it; 1 for SQL of the user's, which needs no catalog.

    Raises:
        StorageError: a newer energywh wrote it, or one that is too old.
    """
    (number,) = one_row(connection, f"SELECT any_value(format) FROM {prefix}energywh.version")
    check_known(path, number or 1, FORMAT)
    if (number or 1) < oldest:
        raise StorageError(
            f"{path} was published by an older energywh (schema {number}; this one reads {oldest} to {FORMAT}): "
            "'energywh build' publishes it anew; until then only 'energywh sql' reads it"
        )


def is_warehouse(connection: duckdb.DuckDBPyConnection, database: str | None = None) -> bool:
    """Return whether the file that is open, or attached as ``database``, is a version of a warehouse."""
    return connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = coalesce(?, current_database()) "
        "AND schema_name = 'energywh' AND table_name = 'version'",
        [database],
    ).fetchall() == [(1,)]


class Meta:
    """Reads and writes the schema `energywh` of one version.

    Args:
        prefix: `name.` where the version is attached under a name.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, prefix: str = "") -> None:
        self._connection = connection
        self._schema = f"{prefix}energywh"

    def create(self) -> None:
        self._connection.execute(SCHEMA)

    def seeds(self) -> dict[str, str]:
        """Return the file hash of each seed."""
        rows = self._connection.execute(f"SELECT name, file_hash FROM {self._schema}.seed").fetchall()
        return dict(rows)

    def models(self) -> dict[str, ModelState]:
        """Return the state of each model by name."""
        rows = self._connection.execute(
            f"SELECT name, sql_hash, file_hash, materialized, landing_id, landed_at_utc, staging_id "
            f"FROM {self._schema}.model"
        ).fetchall()
        return {row[0]: ModelState(row[1], row[2], row[3], Landing(*row[4:])) for row in rows}

    def dependencies(self) -> dict[str, list[str]]:
        """Return what each model reads."""
        rows = self._connection.execute(
            f"SELECT model, list(upstream ORDER BY upstream) FROM {self._schema}.dependency GROUP BY model"
        ).fetchall()
        return dict(rows)

    def descriptions(self, model: str) -> dict[str, str]:
        """Return what is recorded of the meaning of each column, which may be inherited from another model."""
        rows = self._connection.execute(
            f'SELECT name, description FROM {self._schema}."column" WHERE model = ?', [model]
        ).fetchall()
        return dict(rows)

    def digests(self, model: str) -> Digests:
        rows = self._connection.execute(
            f"SELECT month, rows, digest, held FROM {self._schema}.month WHERE model = ?", [model]
        ).fetchall()
        return {month: Digest(count, digest, tuple(held)) for month, count, digest, held in rows}

    def changed_inputs(self, model: str, upstream: Iterable[str]) -> set[date | None]:
        """Return the upstream months that are not as they were when ``model`` was built; None means a whole table."""
        rows = self._connection.execute(
            f"""
            WITH now AS (
                SELECT model AS upstream, month, digest FROM {self._schema}.month WHERE model IN (SELECT unnest($2))
                UNION ALL
                SELECT name, NULL, digest FROM {self._schema}.seed WHERE name IN (SELECT unnest($2))
            ), taken AS (SELECT upstream, month, digest FROM {self._schema}.input WHERE model = $1)
            SELECT DISTINCT month FROM (
                (FROM now EXCEPT FROM taken) UNION ALL (FROM taken EXCEPT FROM now)
            )
            """,
            [model, list(upstream)],
        ).fetchall()
        return {row[0] for row in rows}

    def save_seed(self, seed: Seed, digest: Digest) -> None:
        self._connection.execute(f"DELETE FROM {self._schema}.seed WHERE name = ?", [seed.name])
        self._connection.execute(
            f"INSERT INTO {self._schema}.seed VALUES (?, ?, ?, ?)",
            [seed.name, seed.file_hash, digest.rows, digest.digest],
        )

    def save_digests(self, model: str, digests: Digests) -> None:
        """Replace all digests of ``model``."""
        self._connection.execute(f"DELETE FROM {self._schema}.month WHERE model = ?", [model])
        self._connection.execute(
            f"INSERT INTO {self._schema}.month SELECT ?, unnest(?::DATE[]), unnest(?::BIGINT[]), unnest(?::VARCHAR[]), "
            "unnest(?::BIGINT[][])",
            [
                model,
                list(digests),
                [digest.rows for digest in digests.values()],
                [digest.digest for digest in digests.values()],
                [list(digest.held) for digest in digests.values()],
            ],
        )

    def save_model(
        self,
        model: Model,
        types: Mapping[str, str],
        rows_with_value: Mapping[str, int],
        reads: Iterable[str],
        rows: int,
        landing: Landing,
        built_at_utc: datetime,
        seconds: float,
    ) -> None:
        """Record that ``model`` is up to date with ``landing`` and with its upstream as it is now."""
        self._connection.execute("BEGIN")  # for speed: one write to disk instead of many
        for table in ("input", "dependency", '"column"'):
            self._connection.execute(f"DELETE FROM {self._schema}.{table} WHERE model = ?", [model.name])
        self._connection.execute(f"DELETE FROM {self._schema}.model WHERE name = ?", [model.name])
        self._connection.execute(
            f"INSERT INTO {self._schema}.model VALUES ({', '.join('?' * 17)})",
            [
                model.name,
                model.materialized,
                model.description,
                list(model.grain),
                model.time_column,
                int(model.lookback.total_seconds() // 3600),
                int(model.lookahead.total_seconds() // 3600),
                model.refresh,
                model.sql_hash,
                model.file_hash,
                model.sql,
                rows,
                landing.number,
                landing.landed_at_utc,
                landing.staging_id,
                built_at_utc,
                seconds,
            ],
        )
        self._connection.execute(
            f'INSERT INTO {self._schema}."column" SELECT ?, unnest(?::VARCHAR[]), unnest(?::INTEGER[]), '
            "unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::BIGINT[])",
            [
                model.name,
                list(types),
                list(range(1, len(types) + 1)),
                list(types.values()),
                [model.columns[name] for name in types],
                [unit_of(name) for name in types],
                [rows_with_value[name] for name in types],
            ],
        )
        reads = list(reads)
        self._connection.execute(
            f"INSERT INTO {self._schema}.dependency SELECT ?, unnest(?::VARCHAR[])", [model.name, reads]
        )
        self._connection.execute(
            f"INSERT INTO {self._schema}.input "
            f"SELECT $1, model, month, digest FROM {self._schema}.month WHERE model IN (SELECT unnest($2::VARCHAR[])) "
            f"UNION ALL SELECT $1, name, NULL, digest FROM {self._schema}.seed "
            "WHERE name IN (SELECT unnest($2::VARCHAR[]))",
            [model.name, reads],
        )
        self._connection.execute("COMMIT")

    def touch_model(self, model: str, landing: Landing) -> None:
        """Record that ``model`` is up to date with ``landing`` without having been built."""
        self._connection.execute(
            f"UPDATE {self._schema}.model SET landing_id = ?, landed_at_utc = ?, staging_id = ? WHERE name = ?",
            [landing.number, landing.landed_at_utc, landing.staging_id, model],
        )

    def forget(self, name: str) -> None:
        """Delete all records of a model or seed."""
        for table in ("month", "input", "dependency", '"column"', "audit"):
            self._connection.execute(f"DELETE FROM {self._schema}.{table} WHERE model = ?", [name])
        for table in ("model", "seed"):
            self._connection.execute(f"DELETE FROM {self._schema}.{table} WHERE name = ?", [name])

    def save_audit(self, result: AuditResult) -> None:
        """Replace the result of one audit."""
        self._connection.execute(
            f"DELETE FROM {self._schema}.audit WHERE model = ? AND audit = ?", [result.model, result.audit]
        )
        self._connection.execute(
            f"INSERT INTO {self._schema}.audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                result.model,
                result.audit,
                result.severity,
                result.failures,
                result.sample,
                result.description,
                result.run_by,
                result.source_sql,
            ],
        )

    def forget_audits(self, model: str) -> None:
        self._connection.execute(f"DELETE FROM {self._schema}.audit WHERE model = ?", [model])

    def left_out(self) -> dict[str, LeftOut]:
        """Return the models and seeds of the user's own that were left out, by name."""
        rows = self._connection.execute(f"SELECT model, reason, tried FROM {self._schema}.left_out").fetchall()
        return {model: LeftOut(reason, tried) for model, reason, tried in rows}

    def save_left_out(self, left_out: Mapping[str, LeftOut]) -> None:
        """Replace the records of models and seeds that were left out."""
        self._connection.execute(f"DELETE FROM {self._schema}.left_out")
        self._connection.execute(
            f"INSERT INTO {self._schema}.left_out "
            "SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::VARCHAR[])",
            [list(left_out), [each.reason for each in left_out.values()], [each.tried for each in left_out.values()]],
        )

    def tables_digest(self) -> str:
        """Return one digest of all rows of all tables."""
        return str(self._connection.execute(f"SELECT name, digest FROM {self._schema}.digest ORDER BY ALL").fetchall())

    def save_version(self, facts: VersionFacts) -> None:
        """Record what this version is and what it was built from."""
        import duckdb

        self._connection.execute(f"DELETE FROM {self._schema}.watermark")
        for mark in facts.watermarks:
            self._connection.execute(
                f"INSERT INTO {self._schema}.watermark VALUES (?, ?, ?, ?)",
                [mark.dataset, mark.landing_id, mark.landed_at_utc, mark.newest_hour_utc],
            )

        self._connection.execute(f"DELETE FROM {self._schema}.version")
        self._connection.execute(
            f"INSERT INTO {self._schema}.version VALUES ({', '.join('?' * 11)})",
            [
                facts.version,
                facts.built_at_utc,
                facts.base_version,
                facts.base_kind,
                facts.landing.number,
                VERSION,
                duckdb.__version__,
                FORMAT,
                json.dumps(facts.options),
                facts.as_of_utc,
                facts.knowledge,
            ],
        )
