"""Check the promises that models make about their data: an audit fails when its query returns rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from energywh.core.sql_text import literal, quoted, run, within
from energywh.core.storage_errors import is_about_sql
from energywh.core.wording import count
from energywh.errors import AuditError, ModelError
from energywh.models.contents.build_state import BuildState
from energywh.models.contents.months import spans
from energywh.models.contents.state import AuditResult
from energywh.models.project.graph import Graph
from energywh.models.project.model import Audit, Model

if TYPE_CHECKING:
    import duckdb

    from energywh.models.build.materialize import ModelResult

SAMPLE_ROWS = 3
_OF_SINGLE_ROWS = ("not_null", "accepted_values", "range")


def failing_rows(model: Model, audit: Audit, months: Iterable[date] | None = None) -> str:
    """Return the SELECT of the rows that break ``audit``.

    Args:
        months: check these months only; None for all. An audit of kind `sql` always checks all.
    """
    if audit.kind == "sql":
        return audit.sql
    rows, where = f"FROM {quoted(model.name)}", _within(model, months)
    if audit.kind == "unique":
        keys = ", ".join(map(quoted, audit.columns))
        return f"SELECT {keys}, count(*) AS times {rows} WHERE {where} GROUP BY {keys} HAVING count(*) > 1"
    return f"SELECT * {rows} WHERE ({where}) AND ({_broken(audit)})"


def _within(model: Model, months: Iterable[date] | None) -> str:
    """Return the condition on rows of ``months``; None for all."""
    if months is None or model.time_column is None:
        return "true"
    return " OR ".join(within(model.time_column, span.start, span.end) for span in spans(months)) or "false"


def _broken(audit: Audit) -> str:
    """Return the condition that a row breaks an audit of single rows."""
    columns = [quoted(column) for column in audit.columns]
    if audit.kind == "not_null":
        return " OR ".join(f"{column} IS NULL" for column in columns)
    if audit.kind == "accepted_values":
        return f"{columns[0]} NOT IN ({', '.join(literal(value) for value in audit.values)})"
    bounds = (("<", audit.minimum), (">", audit.maximum))
    return " OR ".join(f"{columns[0]} {sign} {literal(bound)}" for sign, bound in bounds if bound is not None)


def _kept_by_all_rows(
    connection: duckdb.DuckDBPyConnection, model: Model, audits: Iterable[Audit], months: Iterable[date] | None
) -> set[Audit]:
    """Return which of ``audits`` of single rows no row breaks, found in one scan; none of them if its SQL fails."""
    import duckdb

    listed = [audit for audit in audits if audit.kind in _OF_SINGLE_ROWS and audit.when == "build"]
    if not listed:
        return set()
    counts = ", ".join(f"count(*) FILTER ({_broken(audit)})" for audit in listed)
    try:
        ((*failures,),) = run(connection, f"SELECT {counts} FROM {quoted(model.name)} WHERE {_within(model, months)}")
    except duckdb.Error as error:
        if not is_about_sql(error):
            raise
        return set()
    return {audit for audit, count in zip(listed, failures, strict=True) if not count}


def proven_before(model: Model, audit: Audit) -> bool:
    """Return whether months without a change need no check, because they passed in the version built on.

    Warnings are always counted over all months, because the version built on may have some.
    """
    if audit.severity == "warn" or model.time_column is None:
        return False
    return audit.kind in _OF_SINGLE_ROWS or (audit.kind == "unique" and model.time_column in audit.columns)


def run_audit(
    connection: duckdb.DuckDBPyConnection,
    model: Model,
    audit: Audit,
    months: Iterable[date] | None = None,
    *,
    is_kept: bool = False,
) -> AuditResult:
    """Run one audit; one that only `energywh check` runs is checked for valid SQL only.

    Args:
        is_kept: it is known already that no row breaks it.

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
    if is_kept:
        return replace(result, failures=0)
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


class AuditRunner:
    """Runs each audit as soon as all it reads is built, so that a broken promise ends a build early.

    Args:
        state: takes the results.
        full: run all audits, also those of tables that are as they were.

    Attributes:
        warnings: audits of severity `warn` that found rows.
    """

    def __init__(self, graph: Graph, state: BuildState, *, full: bool) -> None:
        self._graph = graph
        self._state = state
        # Of the version built on, whose audits hold for what did not change since.
        self._file_hashes = {} if full else {name: each.file_hash for name, each in state.models.items()}
        self._done: set[tuple[str, Audit]] = set()
        self._forgotten: set[str] = set()
        self.warnings: list[AuditResult] = []

    def due(self, results: Mapping[str, ModelResult], *, at_end: bool = False) -> dict[str, list[Audit]]:
        """Return, by model, the audits that can run now and can have other results than before.

        Args:
            at_end: return also those that read models which are not among ``results``.
        """
        found: dict[str, list[Audit]] = {}
        for key, reads in self._graph.audits.items():
            name, audit = key
            if name not in results or key in self._done:
                continue
            if not at_end and not all(table in results or table in self._graph.seeds for table in reads):
                continue
            self._done.add(key)
            if self._is_rewritten(name) or any(self._is_changed(table, results) for table in reads):
                found.setdefault(name, []).append(audit)
        return found

    def run(
        self,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        audits: Iterable[Audit],
        results: Mapping[str, ModelResult],
    ) -> None:
        """Run audits of one model and record their results.

        Raises:
            AuditError: rows break an audit of severity `error`.
            ModelError: the SQL of an audit fails.
        """
        model, audits = self._graph.models[name], list(audits)
        rewritten = self._is_rewritten(name)
        if rewritten and name not in self._forgotten:
            self._forgotten.add(name)
            self._state.forget_audits(name)
        months = {month for month in results[name].changed_months if month is not None}
        proven = set() if rewritten else {audit for audit in audits if proven_before(model, audit)}
        # The digests counted the values of each column.
        full = self._state.columns_without_null(name)
        counted = {audit for audit in audits if audit.kind == "not_null" and audit.when == "build"}
        kept = {audit for audit in counted if full.issuperset(audit.columns)}
        kept |= _kept_by_all_rows(connection, model, proven - kept, months)
        kept |= _kept_by_all_rows(connection, model, set(audits) - proven - kept, None)
        for audit in audits:
            try:
                outcome = run_audit(
                    connection, model, audit, months if audit in proven else None, is_kept=audit in kept
                )
            except AuditError as error:
                if name in self._graph.own:
                    raise
                raise AuditError(f"{error}\nNothing was published; the warehouse is as it was before.") from None
            self._state.save_audit(outcome)
            if outcome.failures:
                self.warnings.append(outcome)

    def _is_rewritten(self, name: str) -> bool:
        return self._file_hashes.get(name) != self._graph.models[name].file_hash

    def _is_changed(self, table: str, results: Mapping[str, ModelResult]) -> bool:
        """Return whether a table that audits read has other rows or columns than in the version built on."""
        return table in self._state.loaded or (table in results and bool(results[table].changed_months))
