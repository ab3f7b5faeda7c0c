"""What a version knows about itself, in its schema `energywh`: the catalog, and the state that builds go on from.

State is kept per model and not per version, because `energywh build MODEL` leaves other models behind:

- `model` has the newest landing of staging that the model has taken in (`landing_id`), and of which staging file;
- `month` has a digest of each month's rows, the same whether the month was built alone or with all others;
- `input` has the digests of upstream months that the model was built from. Where they differ from `month`, the
  model is out of date in exactly those months.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from energywh.core.version import VERSION
from energywh.models.build.staging import Landing, Watermark
from energywh.models.project.model import Model
from energywh.models.project.project import Seed

if TYPE_CHECKING:
    import duckdb

FORMAT = 5  # raised when the tables below or the digests change meaning: the next build then starts from nothing

SCHEMA = """
CREATE SCHEMA energywh;
CREATE TABLE energywh.version (
    version VARCHAR, built_at_utc TIMESTAMP, base_version VARCHAR, base_kind VARCHAR, landing_id BIGINT,
    energywh_version VARCHAR, duckdb_version VARCHAR, format INTEGER, options VARCHAR, as_of_utc TIMESTAMP,
    knowledge VARCHAR);
COMMENT ON TABLE energywh.version IS
    'The one row of this version. options (JSON) held; as_of_utc and knowledge are of a build --as-of, else NULL.';
CREATE TABLE energywh.watermark (
    dataset VARCHAR, landing_id BIGINT, landed_at_utc TIMESTAMP, newest_hour_utc TIMESTAMP);
COMMENT ON TABLE energywh.watermark IS
    'What staging held: of each dataset with rows the newest landing that changed it, and the newest hour.';
CREATE TABLE energywh.model (
    name VARCHAR, materialized VARCHAR, description VARCHAR, grain VARCHAR[], time_column VARCHAR,
    lookback_hours BIGINT, lookahead_hours BIGINT, refresh VARCHAR,
    sql_hash VARCHAR, file_hash VARCHAR, source_sql VARCHAR, rows BIGINT,
    landing_id BIGINT, landed_at_utc TIMESTAMP, staging_id VARCHAR, built_at_utc TIMESTAMP, seconds DOUBLE);
COMMENT ON TABLE energywh.model IS 'One row a model: what its file promises, and how far it has been built.';
CREATE TABLE energywh.seed (name VARCHAR, file_hash VARCHAR, rows BIGINT, digest VARCHAR);
COMMENT ON TABLE energywh.seed IS 'One row a seed.';
CREATE TABLE energywh."column" (
    model VARCHAR, name VARCHAR, position INTEGER, type VARCHAR, description VARCHAR, unit VARCHAR,
    rows_with_value BIGINT);
COMMENT ON TABLE energywh."column" IS
    'One row a column of a model; rows_with_value is 0 where it is NULL throughout, as when its source is not synced.';
CREATE TABLE energywh.month (model VARCHAR, month DATE, rows BIGINT, digest VARCHAR, held BIGINT[]);
COMMENT ON TABLE energywh.month IS
    'Digest of each month of a model (month NULL: of the whole of a model without time); equal digests, equal rows. '
    'held: in how many rows each column has a value, in the order of the columns.';
CREATE TABLE energywh.input (model VARCHAR, upstream VARCHAR, month DATE, digest VARCHAR);
CREATE VIEW energywh.digest AS
    SELECT name, sha256(coalesce(string_agg(concat(month, ' ', digest), ',' ORDER BY month), ''))[:16] AS digest
    FROM energywh.model LEFT JOIN energywh.month ON month.model = name GROUP BY name
    UNION ALL SELECT name, digest FROM energywh.seed;
COMMENT ON VIEW energywh.digest IS 'Digest of each table, models and seeds: where equal, so are all its rows.';
COMMENT ON TABLE energywh.input IS 'Digests of the upstream months that a model was built from.';
CREATE TABLE energywh.dependency (model VARCHAR, upstream VARCHAR);
COMMENT ON TABLE energywh.dependency IS 'What each model reads: models, seeds and staging tables.';
CREATE TABLE energywh.audit (
    model VARCHAR, audit VARCHAR, severity VARCHAR, failures BIGINT, sample VARCHAR, description VARCHAR,
    run_by VARCHAR, source_sql VARCHAR);
COMMENT ON TABLE energywh.audit IS
    'Result of each audit; a published version has failures in warnings only. failures is NULL where run_by is check:
energywh check runs these, and all others again. source_sql selects the rows that break the promise.';
CREATE TABLE energywh.left_out (model VARCHAR, reason VARCHAR, tried VARCHAR);
COMMENT ON TABLE energywh.left_out IS
    'Models and seeds of the user''s own that are not in this version, and why. tried: digest of all that they may have
failed by; while it stays the same they need not be tried again. NULL where it may have been something else.';
"""

# A unit is read from the end of a column's name; the first that fits.
UNITS: Mapping[str, str] = {
    "_usd_per_mwh": "USD/MWh",
    "_mwh_per_hour": "MWh/h",
    "_mwh": "MWh",
    "_mw": "MW",
    "_c": "°C",
    "_m_per_s": "m/s",
    "_w_per_m2": "W/m²",
    "_mm": "mm",
    "_hpa": "hPa",
    "_degrees": "°C",
    "_percent": "%",
    "_hours": "h",
    "_years": "years",
    "_utc": "UTC",
    "_ratio": "1",
}


def unit_of(column: str) -> str | None:
    """Return the unit that a column's name declares, or None."""
    return next((unit for ending, unit in UNITS.items() if f"_{column}".endswith(ending)), None)


@dataclass(frozen=True)
class Digest:
    """Rows and digest of one month of a model, and in how many of the rows each column has a value."""

    rows: int
    digest: str
    held: tuple[int, ...] = ()


# By month; the key of a model without time is None.
Digests = dict[date | None, Digest]


@dataclass(frozen=True)
class Known:
    """What a version remembers of a model."""

    sql_hash: str
    file_hash: str
    materialized: str
    landing: Landing


@dataclass(frozen=True)
class AuditResult:
    """Outcome of one audit: how many rows broke the promise, and a few of them as text.

    Attributes:
        failures: None where the audit is run by `energywh check` alone.
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
    """Why a model or seed was left out, and a digest of what it may have failed by; None where that is not known."""

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
    """Say whether a build can go on from this version.

    Digests come from DuckDB's hash function and results from its SQL, so another DuckDB starts from nothing.
    """
    import duckdb

    try:
        rows = connection.execute(f"SELECT format, duckdb_version FROM {prefix}energywh.version").fetchall()
    except duckdb.Error:
        return False
    return rows == [(FORMAT, duckdb.__version__)]


def is_warehouse(connection: duckdb.DuckDBPyConnection, database: str | None = None) -> bool:
    """Say whether the file that is open, or attached as ``database``, is a version of a warehouse."""
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

    def models(self) -> dict[str, Known]:
        """Return what is remembered of each model."""
        rows = self._connection.execute(
            f"SELECT name, sql_hash, file_hash, materialized, landing_id, landed_at_utc, staging_id "
            f"FROM {self._schema}.model"
        ).fetchall()
        return {row[0]: Known(row[1], row[2], row[3], Landing(*row[4:])) for row in rows}

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
        """Drop all that is remembered of a model or seed."""
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
        """Replace all that is remembered of models and seeds that were left out."""
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
