"""The schema `energywh` of a version: its catalog, and the state that the next build continues from.

State is kept per model and not per version, because `energywh build MODEL` leaves other models behind:

- `model` has the newest landing that the model was built from (`landing_id`), and the id of the staging file;
- `month` has a digest of each month's rows, the same whether the month was built alone or with all others;
- `input` has the digests of upstream months that the model was built from. Where they differ from `month`, the
  model is out of date in exactly those months.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energywh.core.database import one_row
from energywh.core.schema_number import check_known
from energywh.core.version import VERSION
from energywh.errors import StorageError
from energywh.models.contents.schema import FORMAT, OLDEST_READ, SCHEMA
from energywh.models.contents.staging import Landing, Watermark

if TYPE_CHECKING:
    import duckdb


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
