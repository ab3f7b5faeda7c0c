"""Check a published version: run its audits again, and the rules that only a check runs.

The SQL of both is stored in the version (`energywh.audit`), so every kept version can be checked without its models. A
finding is more precise if the rows that break the rule have a `region` and a time: `first_hour_utc` and `last_hour_utc`
(NULL while it lasts), or `hour_utc`, or `month_utc`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energywh.core.sql_text import text, timestamp
from energywh.core.storage_errors import cause_of
from energywh.errors import StorageError, UnknownNameError, did_you_mean
from energywh.models.contents.months import next_month, start_of
from energywh.models.project.project import pick_name
from energywh.models.versions.records import is_changed
from energywh.models.versions.verify import ChangedTable, changed_tables

if TYPE_CHECKING:
    import duckdb

SAMPLE_ROWS = 3
SEVERITIES = ("error", "warn")  # the worst first
_FIRST = ("first_hour_utc", "hour_utc", "month_utc")
_LAST = ("last_hour_utc", "hour_utc", "month_utc")


@dataclass(frozen=True)
class Rule:
    """One promise about the data, as a version keeps it.

    Attributes:
        name: of the audit; with its model, it is the only one.
        words: describes what is wrong with the rows that break it.
        sql: the SELECT of those rows.
    """

    model: str
    name: str
    severity: str
    words: str
    sql: str


@dataclass(frozen=True)
class Finding:
    """What a check found of one rule.

    Attributes:
        rows: number of rows that break the rule; 0 if none.
        regions: regions of these rows, sorted; empty if they have no region.
        first_hour_utc, last_hour_utc: first and last hour of these rows; None if they have no time.
        sample: a few of these rows, the latest first; all rows that name a dataset.
        series: datasets and measures of all these rows, such as `eia.region_data D`; empty if they have none.
        trouble: why the rule could not run, or empty; such a rule counts as broken, with severity error.
    """

    rule: Rule
    rows: int = 0
    regions: tuple[str, ...] = ()
    first_hour_utc: datetime | None = None
    last_hour_utc: datetime | None = None
    sample: tuple[dict[str, Any], ...] = ()
    series: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def severity(self) -> str:
        return "error" if self.trouble else self.rule.severity

    @property
    def holds(self) -> bool:
        return not self.rows and not self.trouble


def rules_of(connection: duckdb.DuckDBPyConnection) -> list[Rule]:
    """Return the rules that the open version keeps, in the order of its audits."""
    rows = connection.execute(
        "SELECT model, audit, severity, description, source_sql FROM energywh.audit ORDER BY rowid"
    ).fetchall()
    return [
        Rule(model, name, severity, words or f"{name.split('(')[0].replace('_', ' ')} is broken", sql)
        for model, name, severity, words, sql in rows
    ]


# Rules about what sync received, which is known before any build: their rows stand in staging.
_PAYLOAD_RULES = {
    "unknown_column": "a source sends a column that energywh does not know; it is not taken, the others are",
    "contradicting_rows": "rows of one payload gave two values for one hour and key; neither was taken",
    "unreadable_rows": "rows of a payload have a key or an hour that cannot be read; they were not taken",
    "unreadable_values": "values of a payload are no numbers; the rows were taken without them",
}
_PAYLOAD_WARNINGS = "staging.sync.payload_warning"


def payload_rules(connection: duckdb.DuckDBPyConnection, names: Collection[str]) -> list[Rule]:
    """Return the rules about what sync received that are named or broken."""
    tables = "SELECT 1 FROM duckdb_tables() WHERE database_name || '.' || schema_name || '.' || table_name = ?"
    if not connection.execute(tables, [_PAYLOAD_WARNINGS]).fetchall():
        return []
    broken = {rule for (rule,) in connection.execute(f"SELECT DISTINCT rule FROM {_PAYLOAD_WARNINGS}").fetchall()}
    return [
        Rule(
            _PAYLOAD_WARNINGS,
            name,
            "warn",
            words,
            f"""SELECT dataset, subject, if(starts_with(dataset, 'eia.'), slice, NULL) AS region,
                min(first_seen_utc) AS first_hour_utc, max(last_seen_utc) AS last_seen_utc, sum(count)::BIGINT AS count
            FROM {_PAYLOAD_WARNINGS} WHERE rule = {text(name)} GROUP BY ALL""",
        )
        for name, words in _PAYLOAD_RULES.items()
        if name in broken or name in map(str.lower, names)
    ]


DIGEST = "digest"
_FILE = "energywh.version"
_OF_DIGEST = "another program changed these rows; 'energywh build' heals it"
_SHOWN_MONTHS = 6


def digest_rules(connection: duckdb.DuckDBPyConnection) -> list[Rule]:
    """Return for each model and seed the rule that its rows are those that its build wrote, for `check_digests`."""
    tables = connection.execute(
        "SELECT name FROM energywh.model WHERE materialized <> 'inline' UNION ALL SELECT name FROM energywh.seed"
    ).fetchall()
    return [Rule(name, DIGEST, "error", _OF_DIGEST, "") for (name,) in sorted(tables)]


def check_digests(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    rules: list[Rule],
    *,
    since: datetime | None = None,
    always: bool = False,
) -> list[Finding]:
    """Return the tables and months of a version that another program changed, or one finding that the rule holds.

    Rows are read only if the file is not as it was published, or if no record says how it was, or ``always``.

    Args:
        path: the file that is open as ``connection``.
        rules: those of `digest_rules` to check.
        since: look at months that reach this hour or later only.
    """
    if not rules:
        return []
    changed = is_changed(path)
    whole = Rule(_FILE, DIGEST, "error", _OF_DIGEST, "")
    if changed is False and not always:
        return [Finding(whole)]
    try:
        tables = changed_tables(connection, {rule.model for rule in rules})
    except StorageError as error:  # of another DuckDB
        return [Finding(whole, trouble=str(error) if changed else "")]
    findings = []
    for table in tables:
        months = [month for month in table.months if since is None or start_of(next_month(month)) > since]
        if months or not table.months:
            findings.append(_digest_finding(table, months))
    if changed and not tables:
        words = "another program wrote to the file, but not to these rows; 'energywh build' replaces it"
        return [Finding(replace(whole, severity="warn", words=words), rows=1)]
    return findings or [Finding(whole)]


def _digest_finding(table: ChangedTable, months: list[date]) -> Finding:
    named = ", ".join(f"{month:%Y-%m}" for month in months[:_SHOWN_MONTHS])
    more = f" and {len(months) - _SHOWN_MONTHS:,} more" if len(months) > _SHOWN_MONTHS else ""
    counts: dict[str, Any] = {"rows": table.rows, "rows_built": table.rows_built}
    return Finding(
        Rule(table.name, DIGEST, "error", _OF_DIGEST, ""),
        max(table.rows, table.rows_built, 1),
        first_hour_utc=start_of(months[0]) if months else None,
        last_hour_utc=start_of(next_month(months[-1])) - timedelta(hours=1) if months else None,
        sample=(({"months": named + more} if months else {}) | counts,),
        trouble=table.trouble,
    )


def pick_rules(rules: list[Rule], names: Collection[str], severity: str = "warn") -> list[Rule]:
    """Return the rules named by rule or by model, of at least ``severity``.

    Raises:
        UnknownNameError: a name is neither a rule nor a model with rules; the message names the nearest.
    """
    models = {rule.model for rule in rules}
    by_rule = {rule.name for rule in rules if "(" not in rule.name and " " not in rule.name}
    chosen: set[str] = set()
    for name in map(str.lower, names):
        if name in by_rule:
            chosen.add(name)
            continue
        try:
            chosen.add(pick_name(name, models))
        except UnknownNameError:
            near = did_you_mean(name, [*by_rule, *models, *(model.split(".")[1] for model in models)])
            near = near or f"; the rules are {', '.join(sorted(by_rule))}, and each model is one for all of its own"
            raise UnknownNameError(f"'{name}' is neither a rule nor a model that has rules{near}") from None
    bad = SEVERITIES[: SEVERITIES.index(severity) + 1]
    return [
        rule for rule in rules if rule.severity in bad and (not chosen or rule.name in chosen or rule.model in chosen)
    ]


def check(
    connection: duckdb.DuckDBPyConnection,
    rules: list[Rule],
    *,
    now: datetime,
    regions: Collection[str] = (),
    since: datetime | None = None,
) -> list[Finding]:
    """Run ``rules`` on the open version and return what was found of each, the worst first.

    Args:
        now: the moment by which lateness is judged, naive UTC.
        regions: look at rows of these only; rows that name no region are then left out.
        since: look at rows that reach this hour or later only; rows that name no hour are then left out.
    """
    connection.execute(f"SET VARIABLE now_utc = {timestamp(now)}")
    return worst_first([_check(connection, rule, regions, since) for rule in rules])


def worst_first(findings: list[Finding]) -> list[Finding]:
    """Return findings sorted: errors, warnings, rules that hold; among these by rows."""
    return sorted(
        findings, key=lambda each: (each.holds, SEVERITIES.index(each.severity), not each.trouble, -each.rows)
    )


def _check(
    connection: duckdb.DuckDBPyConnection, rule: Rule, regions: Collection[str], since: datetime | None
) -> Finding:
    import duckdb

    try:
        return _find(connection, rule, regions, since)
    except duckdb.Error as error:
        if cause_of(error) != "sql":
            raise
        return Finding(rule, trouble=str(error).strip().splitlines()[0])


def _find(
    connection: duckdb.DuckDBPyConnection, rule: Rule, regions: Collection[str], since: datetime | None
) -> Finding:
    columns = {row[0] for row in connection.execute(f"DESCRIBE {rule.sql}").fetchall()}
    region = "region" if "region" in columns else "NULL"
    first = next((name for name in _FIRST if name in columns), "NULL")
    last = next((name for name in _LAST if name in columns), "NULL")
    conditions = ["true"]
    if regions:
        conditions.append(f"{region} IN ({', '.join(map(text, sorted(regions)))})")
    if since is not None:
        conditions.append(f"{first} IS NOT NULL" if last == "NULL" else f"{last} >= {timestamp(since)}")
    failing = f"FROM (\n{rule.sql}\n) WHERE {' AND '.join(conditions)}"
    ((rows, codes, begins, ends),) = connection.execute(
        f"SELECT count(*), list(DISTINCT {region}::VARCHAR), min({first})::TIMESTAMP, max({last})::TIMESTAMP {failing}"
    ).fetchall()
    finding = Finding(rule, rows, tuple(sorted(code for code in codes or () if code)), begins, ends)
    if not rows:
        return finding
    latest = next((f"ORDER BY {name} DESC" for name in (last, first) if name != "NULL"), "")
    of_series = {"dataset", "measure"} <= columns
    limit = "" if of_series else f"LIMIT {SAMPLE_ROWS}"
    cursor = connection.execute(f"SELECT * {failing} {latest} {limit}")
    names = [column[0] for column in cursor.description or []]
    sample = tuple(dict(zip(names, row, strict=True)) for row in cursor.fetchall())
    series = sorted({f"{row['dataset']} {row['measure']}" for row in sample}) if of_series else ()
    return replace(finding, sample=sample, series=tuple(series))
