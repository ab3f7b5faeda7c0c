"""What a version records of its seeds, models and audits, while a build brings them up to date.

It is read once, changed in memory, and written in one transaction, because several hundred small ones take longer than
a small build. A build that is killed before leaves a file that nobody uses, so nothing is lost with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from energywh.models.contents.digests import Digest, Digests
from energywh.models.contents.staging import Landing
from energywh.models.contents.state import AuditResult, ModelState
from energywh.models.project.units import unit_of

if TYPE_CHECKING:
    import duckdb

    from energywh.models.project.model import Model
    from energywh.models.project.seed import Seed

_Inputs = dict[tuple[str, date | None], str]  # digests by table and month; the month is None of a table without time
_Rows = Sequence[Sequence[Any]]

_TYPES = {
    "model": (
        "VARCHAR VARCHAR VARCHAR VARCHAR[] VARCHAR BIGINT BIGINT VARCHAR VARCHAR VARCHAR VARCHAR BIGINT BIGINT "
        "TIMESTAMP VARCHAR TIMESTAMP DOUBLE"
    ),
    "column": "VARCHAR VARCHAR INTEGER VARCHAR VARCHAR VARCHAR BIGINT",
    "dependency": "VARCHAR VARCHAR",
    "month": "VARCHAR DATE BIGINT VARCHAR BIGINT[]",
    "input": "VARCHAR VARCHAR DATE VARCHAR",
    "seed": "VARCHAR VARCHAR BIGINT VARCHAR",
    "audit": "VARCHAR VARCHAR VARCHAR BIGINT VARCHAR VARCHAR VARCHAR VARCHAR",
}


class BuildState:
    """The records of one version.

    Args:
        connection: the version is open there, or attached under a name.
        prefix: `name.` where it is attached.

    Attributes:
        models: state of each model by name.
        seeds: hash of the file of each seed.
        reads: what each model reads: models, steps, seeds and staging tables.
        loaded: seeds that got other rows since the records were read.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, prefix: str = "") -> None:
        self._schema = f"{prefix}energywh"

        def rows(columns: str, table: str) -> list[tuple[Any, ...]]:
            return connection.execute(f'SELECT {columns} FROM {self._schema}."{table}" ORDER BY rowid').fetchall()

        self.models: dict[str, ModelState] = {}
        for row in rows("name, sql_hash, file_hash, materialized, landing_id, landed_at_utc, staging_id", "model"):
            self.models[row[0]] = ModelState(row[1], row[2], row[3], Landing(*row[4:]))
        self.seeds: dict[str, str] = {}
        self._digests: dict[str, Digests] = {}
        for name, file_hash, count, digest in rows("name, file_hash, rows, digest", "seed"):
            self.seeds[name] = file_hash
            self._digests[name] = {None: Digest(count, digest)}
        for name, month, count, digest, held in rows("model, month, rows, digest, held", "month"):
            self._digests.setdefault(name, {})[month] = Digest(count, digest, tuple(held))
        self._inputs: dict[str, _Inputs] = {}
        for name, upstream, month, digest in rows("model, upstream, month, digest", "input"):
            self._inputs.setdefault(name, {})[upstream, month] = digest
        self.reads: dict[str, list[str]] = {name: [] for name in self.models}
        for name, upstream in rows("model, upstream", "dependency"):
            self.reads.setdefault(name, []).append(upstream)
        self._columns: dict[str, dict[str, tuple[str, str]]] = {}
        for name, column, kind, words in rows("model, name, type, description", "column"):
            self._columns.setdefault(name, {})[column] = kind, words
        self.loaded: set[str] = set()
        self._replaced: dict[str, set[str]] = {table: set() for table in _TYPES}  # whose rows are deleted, by table
        self._added: dict[str, dict[Any, _Rows]] = {table: {} for table in _TYPES}
        self._touched: dict[Landing, set[str]] = {}

    def digests(self, name: str) -> Digests:
        """Return the digests of a model or seed by month."""
        return dict(self._digests.get(name, {}))

    def types(self, model: str) -> dict[str, str]:
        """Return the columns of a model and their types, in order."""
        return {column: kind for column, (kind, _) in self._columns.get(model, {}).items()}

    def columns_without_null(self, model: str) -> set[str]:
        """Return the columns of a model that have a value in every row."""
        digests = self._digests.get(model, {}).values()
        held = [all(each.held[place] == each.rows for each in digests) for place in range(len(self.types(model)))]
        return {column for column, full in zip(self.types(model), held, strict=True) if full}

    def descriptions(self, model: str) -> dict[str, str]:
        """Return what is recorded of the meaning of each column, which may be inherited from another model."""
        return {column: words for column, (_, words) in self._columns.get(model, {}).items()}

    def tables_digest(self) -> str:
        """Return one digest of all rows of all tables."""
        held = {name: self._digests.get(name, {}) for name in (*self.models, *self.seeds)}
        facts = sorted((name, sorted((str(month), each.digest) for month, each in held[name].items())) for name in held)
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

    def changed_inputs(self, model: str, upstream: Iterable[str]) -> set[date | None]:
        """Return the upstream months that are not as they were when ``model`` was built; None means a whole table."""
        changed = self._inputs_now(upstream).items() ^ self._inputs.get(model, {}).items()
        return {month for (_, month), _ in changed}

    def reads_same_columns(self, model: str, upstream: Collection[str]) -> bool:
        """Return whether each table of ``upstream`` has the columns and types it had when ``model`` was built.

        A digest depends on them, so one month with the digest that it had shows it. False where there is none.
        """
        now, then = self._inputs_now(upstream).items(), self._inputs.get(model, {}).items()
        return {name for (name, _), _ in now & then} == {*upstream}

    def _inputs_now(self, upstream: Iterable[str]) -> _Inputs:
        return {
            (name, month): digest.digest for name in upstream for month, digest in self._digests.get(name, {}).items()
        }

    def save_seed(self, seed: Seed, digest: Digest) -> None:
        self.seeds[seed.name] = seed.file_hash
        self._digests[seed.name] = {None: digest}
        self.loaded.add(seed.name)
        self._put("seed", seed.name, [(seed.name, seed.file_hash, digest.rows, digest.digest)])

    def save_digests(self, model: str, digests: Digests) -> None:
        """Replace all digests of ``model``."""
        self._digests[model] = dict(digests)
        rows = [(model, month, each.rows, each.digest, list(each.held)) for month, each in digests.items()]
        self._put("month", model, rows)

    def save_model(
        self,
        model: Model,
        types: Mapping[str, str],
        reads: Iterable[str],
        landing: Landing,
        built_at_utc: datetime,
        seconds: float,
    ) -> None:
        """Record that ``model`` is up to date with ``landing`` and with its upstream as it is now."""
        name, reads, digests = model.name, list(reads), self._digests.get(model.name, {})
        held = [sum(counts) for counts in zip(*(each.held for each in digests.values()), strict=True)]
        self.models[name] = ModelState(model.sql_hash, model.file_hash, model.materialized, landing)
        self._columns[name] = {column: (kind, model.columns[column]) for column, kind in types.items()}
        # A step has no rows: its readers record what it reads as their own input.
        self._inputs[name] = {} if model.materialized == "inline" else self._inputs_now(reads)
        self.reads[name] = reads
        for touched in self._touched.values():
            touched.discard(name)
        facts = (
            name,
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
            sum(each.rows for each in digests.values()),
            landing.number,
            landing.landed_at_utc,
            landing.staging_id,
            built_at_utc,
            seconds,
        )
        self._put("model", name, [facts])
        listed = zip(types.items(), held or [0] * len(types), strict=True)
        self._put(
            "column",
            name,
            [
                (name, column, place, kind, model.columns[column], unit_of(column), count)
                for place, ((column, kind), count) in enumerate(listed, start=1)
            ],
        )
        self._put("dependency", name, [(name, table) for table in reads])
        self._put("input", name, [(name, *key, digest) for key, digest in self._inputs[name].items()])

    def touch_model(self, model: str, landing: Landing) -> None:
        """Record that ``model`` is up to date with ``landing`` without having been built."""
        if self.models[model].landing != landing:
            self.models[model] = replace(self.models[model], landing=landing)
            self._touched.setdefault(landing, set()).add(model)

    def forget(self, name: str) -> None:
        """Delete all records of a model or seed."""
        for held in (self.models, self.seeds, self.reads, self._digests, self._inputs, self._columns):
            held.pop(name, None)
        for table in _TYPES:
            self._put(table, name, [])
        self.forget_audits(name)

    def save_audit(self, result: AuditResult) -> None:
        """Replace the result of one audit."""
        key = result.model, result.audit
        self._added["audit"].pop(key, None)
        self._added["audit"][key] = [
            (
                *key,
                result.severity,
                result.failures,
                result.sample,
                result.description,
                result.run_by,
                result.source_sql,
            )
        ]

    def forget_audits(self, model: str) -> None:
        self._replaced["audit"].add(model)
        for key in [key for key in self._added["audit"] if key[0] == model]:
            del self._added["audit"][key]

    def _put(self, table: str, name: str, rows: _Rows) -> None:
        """Replace the rows of ``name`` in a table."""
        self._replaced[table].add(name)
        self._added[table].pop(name, None)
        if rows:
            self._added[table][name] = rows

    def write(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Write what changed."""
        connection.execute("BEGIN")
        for landing, names in self._touched.items():
            connection.execute(
                f"UPDATE {self._schema}.model SET landing_id = ?, landed_at_utc = ?, staging_id = ? "
                "WHERE name IN (SELECT unnest(?::VARCHAR[]))",
                [landing.number, landing.landed_at_utc, landing.staging_id, sorted(names)],
            )
        for table, types in _TYPES.items():
            column = "name" if table in ("model", "seed") else "model"
            if names := self._replaced[table]:
                connection.execute(
                    f'DELETE FROM {self._schema}."{table}" WHERE {column} IN (SELECT unnest(?::VARCHAR[]))',
                    [list(names)],
                )
            added = self._added[table]
            if table == "audit" and added:
                connection.execute(
                    f"DELETE FROM {self._schema}.audit WHERE (model, audit) IN "
                    "(SELECT (unnest(?::VARCHAR[]), unnest(?::VARCHAR[])))",
                    [[model for model, _ in added], [audit for _, audit in added]],
                )
            rows = [row for each in added.values() for row in each]
            if rows:
                lists = ", ".join(f"unnest(?::{kind}[])" for kind in types.split())
                values = [list(each) for each in zip(*rows, strict=True)]
                connection.execute(f'INSERT INTO {self._schema}."{table}" SELECT {lists}', values)
        connection.execute("COMMIT")
        self._touched.clear()
        for table in _TYPES:
            self._replaced[table].clear()
            self._added[table].clear()
