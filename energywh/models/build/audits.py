"""Check the promises that models make about their data: an audit fails when its query returns rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from energywh.core.sql_text import literal, quoted, run, within
from energywh.core.storage_errors import is_about_sql
from energywh.core.wording import count
from energywh.errors import AuditError, ModelError
from energywh.models.build.build_state import BuildState
from energywh.models.build.months import spans
from energywh.models.build.state import AuditResult
from energywh.models.project.graph import Graph
from energywh.models.project.model import Audit, Model

if TYPE_CHECKING:
    import duckdb

    from energywh.models.build.materialize import ModelResult

SAMPLE_ROWS = 3


def failing_rows(model: Model, audit: Audit, months: Iterable[date] | None = None) -> str:
    """Return the SELECT of the rows that break ``audit``.

    Args:
        months: check these months only; None for all. An audit of kind `sql` always checks all.
    """
    if audit.kind == "sql":
        return audit.sql
    rows = f"FROM {quoted(model.name)}"
    where = "true"
    if months is not None and model.time_column is not None:
        where = " OR ".join(within(model.time_column, span.start, span.end) for span in spans(months)) or "false"
    columns = [quoted(column) for column in audit.columns]
    if audit.kind == "unique":
        keys = ", ".join(columns)
        return f"SELECT {keys}, count(*) AS times {rows} WHERE {where} GROUP BY {keys} HAVING count(*) > 1"
    if audit.kind == "not_null":
        broken = " OR ".join(f"{column} IS NULL" for column in columns)
    elif audit.kind == "accepted_values":
        broken = f"{columns[0]} NOT IN ({', '.join(literal(value) for value in audit.values)})"
    else:
        bounds = (("<", audit.minimum), (">", audit.maximum))
        broken = " OR ".join(f"{columns[0]} {sign} {literal(bound)}" for sign, bound in bounds if bound is not None)
    return f"SELECT * {rows} WHERE ({where}) AND ({broken})"


def proven_before(model: Model, audit: Audit) -> bool:
    """Return whether months that were not rebuilt need no check, because they passed in the version built on.

    Warnings are always counted over all months, because the version built on may have some.
    """
    if audit.severity == "warn" or model.time_column is None:
        return False
    return audit.kind in ("not_null", "accepted_values", "range") or (
        audit.kind == "unique" and model.time_column in audit.columns
    )


def run_audit(
    connection: duckdb.DuckDBPyConnection, model: Model, audit: Audit, months: Iterable[date] | None = None
) -> AuditResult:
    """Run one audit; one that only `energywh check` runs is checked for valid SQL only.

    Raises:
        AuditError: rows break an audit of severity `error`; the message shows a few of them.
        ModelError: the audit's SQL fails.
    """
    import duckdb

    result = AuditResult(
        model.name,
        audit.name,
        audit.severity,
        None,
        description=audit.description,
        run_by=audit.when,
        source_sql=failing_rows(model, audit),
    )
    sql = failing_rows(model, audit, months)
    try:
        if audit.when == "check":  # finds an error in its SQL now, not at the first check
            connection.execute("SET VARIABLE now_utc = now()::TIMESTAMP")
            run(connection, f"DESCRIBE {sql}")
            return result
        failures = run(connection, f"SELECT count(*) FROM (\n{sql}\n)")[0][0]
        sample = _sample(connection, sql) if failures else ""
    except duckdb.Error as error:
        if not is_about_sql(error):
            raise
        reason = re.split(r"\n\s*\n", str(error))[0]
        raise ModelError(f"{model.path}:{audit.line}: audit {audit.name} of {model.name} failed: {reason}") from None
    if failures and audit.severity == "error":
        why = f" ({audit.description})" if audit.description else ""
        raise AuditError(
            f"{model.path}:{audit.line}: {count(failures, 'row')} of {model.name} "
            f"{'breaks' if failures == 1 else 'break'} the audit {audit.name}{why}; such as\n{sample}"
        )
    return replace(result, failures=failures, sample=sample)


def _sample(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """Return a few failing rows as text, one a line."""
    result = connection.execute(f"SELECT * FROM (\n{sql}\n) LIMIT {SAMPLE_ROWS}")
    names = [column[0] for column in result.description or []]
    lines = [
        "  " + ", ".join(f"{name} = {_shown(value)}" for name, value in zip(names, row, strict=True))
        for row in result.fetchall()
    ]
    return "\n".join(lines)


def _shown(value: object) -> str:
    return "NULL" if value is None else str(value)


AuditKey = tuple[str, Audit]  # name of the model, and its audit


class AuditRunner:
    """Runs each audit as soon as all it reads is built, so that a broken promise ends a build early.

    Args:
        state: takes the results.

    Attributes:
        warnings: audits of severity `warn` that found rows.
    """

    def __init__(self, graph: Graph, state: BuildState) -> None:
        self._graph = graph
        self._state = state
        self._file_hashes = {name: each.file_hash for name, each in state.models.items()}  # of the version built on
        self._done: set[AuditKey] = set()
        self._forgotten: set[str] = set()
        self.warnings: list[AuditResult] = []

    def due(self, results: Mapping[str, ModelResult], *, at_end: bool = False) -> Iterator[AuditKey]:
        """Yield the audits that can run now and can have other results than before.

        Args:
            at_end: yield also those that read models which are not among ``results``.
        """
        for key, reads in self._graph.audits.items():
            name = key[0]
            if name not in results or key in self._done:
                continue
            if not at_end and not all(table in results or table in self._graph.seeds for table in reads):
                continue
            self._done.add(key)
            if self._is_rewritten(name) or any(table in results and results[table].built for table in reads):
                yield key

    def run(self, connection: duckdb.DuckDBPyConnection, key: AuditKey, results: Mapping[str, ModelResult]) -> None:
        """Run an audit and record its result.

        Raises:
            AuditError: rows break an audit of severity `error`.
            ModelError: the audit's SQL fails.
        """
        name, audit = key
        model = self._graph.models[name]
        rewritten = self._is_rewritten(name)
        if rewritten and name not in self._forgotten:
            self._forgotten.add(name)
            self._state.forget_audits(name)
        months = None if rewritten or not proven_before(model, audit) else results[name].rebuilt_months
        try:
            outcome = run_audit(connection, model, audit, months)
        except AuditError as error:
            if name in self._graph.own:
                raise
            raise AuditError(f"{error}\nNothing was published; the warehouse is as it was before.") from None
        self._state.save_audit(outcome)
        if outcome.failures:
            self.warnings.append(outcome)

    def _is_rewritten(self, name: str) -> bool:
        return self._file_hashes.get(name) != self._graph.models[name].file_hash
