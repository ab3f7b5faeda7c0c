"""Read a model file: TOML front matter in the leading comment, then one SELECT.

The front matter is a promise (grain, columns, audits) and a contract with the build (materialized, refresh,
lookback). Anything misspelt is refused with the file and line, because a key that is silently ignored is a
promise that is silently broken.
"""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from energywh.core.time import parse_duration_hours
from energywh.errors import ModelError, UsageError, did_you_mean

OPENING = "/*---"
CLOSING = "---*/"
TIME_COLUMN = "hour_utc"

_KEYS = (
    "description",
    "materialized",
    "grain",
    "time_column",
    "lookback",
    "lookahead",
    "refresh",
    "may_be_empty",
    "columns",
    "audits",
)
_AUDIT_KINDS = ("unique", "not_null", "accepted_values", "range", "sql")
_AUDIT_KEYS = (*_AUDIT_KINDS, "name", "severity", "when", "description")
NAME = re.compile(r"[a-z_][a-z0-9_]*")

AuditKind = Literal["unique", "not_null", "accepted_values", "range", "sql"]
Severity = Literal["error", "warn"]
When = Literal["build", "check"]


@dataclass(frozen=True)
class Audit:
    """One promise about a model's data; it fails when its query returns rows.

    Attributes:
        when: `build` where each build runs it; `check` where only `energywh check` does, as for what is wrong with the
            data themselves. There, SQL has the present moment in `getvariable('now_utc')`.
    """

    kind: AuditKind
    name: str
    line: int
    severity: Severity = "error"
    when: When = "build"
    description: str = ""
    columns: tuple[str, ...] = ()
    values: tuple[str | int | float | bool, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    sql: str = ""


@dataclass(frozen=True)
class Model:
    """One `.sql` file: a table or view of the warehouse.

    Attributes:
        name: folder and file, such as `normalized.demand`.
        sql: the SELECT, without front matter and without a closing semicolon.
        sql_line: line of the file on which `sql` begins, counted from 1.
        time_column: column that holds the hour; None for a dimension.
        lookback: how far before its own hour a row reads.
        lookahead: how far after its own hour a row reads; for cleaning, never for features.
        refresh: `incremental` where a month can be built from its months, the lookback and the lookahead alone.
        may_be_empty: True where no rows are good news, and a build need not mention it.
        sql_hash: changes when the model's rows could change.
        file_hash: changes when anything in the file does.
    """

    name: str
    path: Path
    sql: str
    sql_line: int
    description: str
    materialized: Literal["table", "view"]
    grain: tuple[str, ...]
    time_column: str | None
    lookback: timedelta
    lookahead: timedelta
    refresh: Literal["incremental", "full"]
    may_be_empty: bool
    columns: Mapping[str, str]
    audits: tuple[Audit, ...]
    sql_hash: str
    file_hash: str

    @property
    def schema(self) -> str:
        return self.name.split(".")[0]

    @property
    def padded_sql(self) -> str:
        """The SELECT after empty lines, so that line numbers in parser errors are those of the file."""
        return "\n" * (self.sql_line - 1) + self.sql

    @property
    def by_month(self) -> bool:
        """True if single months of the model can be built."""
        return self.time_column is not None and self.refresh == "incremental"


@dataclass
class _Source:
    """The text of a model file, for finding the line of what is wrong in it."""

    path: Path
    text: str
    toml_line: int = 1
    toml: str = ""
    audit_lines: list[int] = field(default_factory=list)

    def error(self, message: str, line: int | None = None) -> ModelError:
        return ModelError(f"{self.path}:{line or self.toml_line}: {message}")

    def line_of(self, key: str, start: int = 0) -> int:
        """Return the line of the file where the front matter first names ``key`` at or after TOML line ``start``."""
        pattern = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=\].]""")
        for number, line in enumerate(self.toml.splitlines()[start:], start=start):
            if pattern.match(line):
                return self.toml_line + number
        return self.toml_line


def read_model(path: Path) -> Model:
    """Read the model file at ``path``; its folder and file name are the model's schema and name.

    Raises:
        ModelError: the file is not a model; the message begins with file and line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot read the model: {error}") from None
    source = _Source(path, text)
    name = f"{path.parent.name}.{path.stem}"
    for part in name.split(".", 1):
        if not NAME.fullmatch(part):
            raise source.error(f"'{part}' cannot name a table: use lower-case letters, digits and _", 1)
    head, sql, sql_line = _split(source)
    source.audit_lines = [
        source.toml_line + number
        for number, line in enumerate(source.toml.splitlines())
        if re.match(r"\s*\[\[\s*audits\s*\]\]", line)
    ]

    for key in head:
        if key not in _KEYS:
            raise source.error(f"unknown key '{key}'{did_you_mean(key, _KEYS)}", source.line_of(key))
    columns = _columns(source, head)
    grain = _names(source, head, "grain", columns)
    time_column = _time_column(source, head, columns)
    materialized = _choice(source, head, "materialized", ("table", "view"))
    refresh = _choice(source, head, "refresh", ("incremental", "full"))
    lookback, lookahead = _reach(source, head, "lookback"), _reach(source, head, "lookahead")
    facts = (sql, materialized, grain, time_column, lookback, lookahead, refresh, sorted(columns))
    return Model(
        name=name,
        path=path,
        sql=sql,
        sql_line=sql_line,
        description=_text(source, head, "description"),
        materialized=materialized,  # type: ignore[arg-type]
        grain=grain,
        time_column=time_column,
        lookback=lookback,
        lookahead=lookahead,
        refresh=refresh,  # type: ignore[arg-type]
        may_be_empty=_truth(source, head, "may_be_empty"),
        columns=columns,
        audits=_audits(source, head, columns),
        sql_hash=hashlib.sha256(repr(facts).encode()).hexdigest()[:16],
        file_hash=hashlib.sha256(text.encode()).hexdigest()[:16],
    )


def _split(source: _Source) -> tuple[dict[str, Any], str, int]:
    """Return the parsed front matter, the SELECT, and the line on which the SELECT begins."""
    text = source.text
    start = len(text) - len(text.lstrip())
    if not text.startswith(OPENING, start):
        raise source.error(f"a model begins with its front matter, between {OPENING} and {CLOSING}", 1)
    end = text.find(CLOSING, start)
    if end < 0:
        raise source.error(f"the front matter is not closed by {CLOSING}", text.count("\n", 0, start) + 1)
    source.toml = text[start + len(OPENING) : end]
    source.toml_line = text.count("\n", 0, start) + 1
    early = source.toml.find("*/")
    if early >= 0:
        line = source.toml_line + source.toml.count("\n", 0, early)
        raise source.error("'*/' inside the front matter ends the SQL comment too early", line)
    try:
        head = tomllib.loads(source.toml)
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).partition(" (at ")
        found = re.search(r"line (\d+)", place)
        last = source.toml.count("\n") + 1
        line = source.toml_line + (int(found[1]) if found else last) - 1
        raise source.error(f"the front matter is not valid TOML: {message}", line) from None

    body = text[end + len(CLOSING) :]
    sql = body.lstrip()
    sql_line = text.count("\n", 0, len(text) - len(sql)) + 1
    sql = re.sub(r"[\s;]+\Z", "", sql)
    if not sql:
        raise source.error("the model has no SELECT after its front matter", sql_line)
    return head, sql, sql_line


def _text(source: _Source, table: Mapping[str, Any], key: str, line: int | None = None) -> str:
    """Return the required text ``key`` on one line."""
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise source.error(f"'{key}' must be a text that is not empty", line or source.line_of(key))
    return " ".join(value.split())


def _choice(source: _Source, head: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str:
    """Return one of ``choices``; the first is the default."""
    value = head.get(key, choices[0])
    if value not in choices:
        near = did_you_mean(str(value), choices)
        raise source.error(f"'{key}' must be {' or '.join(choices)}, not {value!r}{near}", source.line_of(key))
    return str(value)


def _truth(source: _Source, head: Mapping[str, Any], key: str) -> bool:
    value = head.get(key, False)
    if not isinstance(value, bool):
        raise source.error(f"'{key}' must be true or false, not {value!r}", source.line_of(key))
    return value


def _reach(source: _Source, head: Mapping[str, Any], key: str) -> timedelta:
    try:
        return timedelta(hours=parse_duration_hours(str(head.get(key, "0h")), f"'{key}'"))
    except UsageError as error:
        raise source.error(str(error), source.line_of(key)) from None


def _columns(source: _Source, head: Mapping[str, Any]) -> dict[str, str]:
    table = head.get("columns")
    if not isinstance(table, dict) or not table:
        raise source.error(
            "the front matter needs [columns]: each column's name and description", source.line_of("columns")
        )
    return {name: _text(source, table, name) for name in table}


def _names(
    source: _Source, table: Mapping[str, Any], key: str, columns: Mapping[str, str], line: int | None = None
) -> tuple[str, ...]:
    """Return the list of column names under ``key``, each of them promised in [columns]."""
    line = line or source.line_of(key)
    value = table.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise source.error(f"'{key}' must be a list of column names", line)
    for name in value:
        if name not in columns:
            raise source.error(f"'{key}' names '{name}', which is not in [columns]{did_you_mean(name, columns)}", line)
    return tuple(value)


def _time_column(source: _Source, head: Mapping[str, Any], columns: Mapping[str, str]) -> str | None:
    name: str | None = head.get("time_column", TIME_COLUMN if TIME_COLUMN in columns else None)
    if name is not None and not (isinstance(name, str) and name in columns):
        raise source.error(
            f"'time_column' names {name!r}, which is not in [columns]{did_you_mean(str(name), columns)}",
            source.line_of("time_column"),
        )
    return name


def _audits(source: _Source, head: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[Audit, ...]:
    tables = head.get("audits", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise source.error("audits are written as [[audits]]", source.line_of("audits"))
    audits: list[Audit] = []
    for number, table in enumerate(tables):
        inline = len(source.audit_lines) <= number
        line = source.line_of("audits") if inline else source.audit_lines[number]
        audit = _audit(source, table, columns, line, number + 1)
        if "name" in table and audit.name in (other.name for other in audits):
            raise source.error(f"two audits are named '{audit.name}'", line)
        audits.append(audit)
    return tuple(audits)


def _is_number(value: object) -> bool:
    """Say whether a TOML value is a number that can be compared with: true and nan are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _audit(source: _Source, table: Mapping[str, Any], columns: Mapping[str, str], line: int, number: int) -> Audit:
    def at(key: str) -> int:
        return max(line, source.line_of(key, start=line - source.toml_line))

    for key in table:
        if key not in _AUDIT_KEYS:
            raise source.error(f"unknown key '{key}' in an audit{did_you_mean(key, _AUDIT_KEYS)}", at(key))
    kinds = [kind for kind in _AUDIT_KINDS if kind in table]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        raise source.error(f"an audit has exactly one of {', '.join(_AUDIT_KINDS)}; this one has {found}", line)
    kind = kinds[0]
    severity = _choice(source, table, "severity", ("error", "warn"))
    when = _choice(source, table, "when", ("build", "check"))
    description = _text(source, table, "description", at("description")) if "description" in table else ""
    own_name = table.get("name")
    if own_name is not None and not (isinstance(own_name, str) and NAME.fullmatch(own_name)):
        raise source.error("the 'name' of an audit is of lower-case letters, digits and _", at("name"))

    def audit(name: str, **facts: Any) -> Audit:
        return Audit(kind, own_name or name, at(kind), severity, when, description, **facts)  # type: ignore[arg-type]

    if kind in ("unique", "not_null"):
        names = _names(source, table, kind, columns, at(kind))
        return audit(f"{kind}({', '.join(names)})", columns=names)
    if kind == "sql":
        text = table[kind]
        if not isinstance(text, str) or not text.strip():
            raise source.error("'sql' must be a SELECT that returns the rows that break the promise", at(kind))
        return audit(f"sql {number}", sql=re.sub(r"[\s;]+\Z", "", text.strip()))

    spec = table[kind]
    allowed = ("column", "values") if kind == "accepted_values" else ("column", "min", "max")
    if not isinstance(spec, dict):
        raise source.error(f"'{kind}' must be a table with {', '.join(allowed)}", at(kind))
    for key in spec:
        if key not in allowed:
            raise source.error(f"unknown key '{key}' in '{kind}'{did_you_mean(key, allowed)}", at(kind))
    column = spec.get("column")
    if not isinstance(column, str):
        raise source.error(f"'{kind}' needs the name of one 'column'", at(kind))
    if column not in columns:
        near = did_you_mean(column, columns)
        raise source.error(f"'{kind}' names '{column}', which is not in [columns]{near}", at(kind))
    name = f"{kind}({column})"
    if kind == "accepted_values":
        values = spec.get("values")
        if not isinstance(values, list) or not values or not all(isinstance(v, str | int | float) for v in values):
            raise source.error("'accepted_values' needs a list of 'values': texts, numbers or booleans", at(kind))
        return audit(name, columns=(column,), values=tuple(values))
    bounds = {key: spec.get(key) for key in ("min", "max")}
    given = [bound for bound in bounds.values() if bound is not None]
    if not given or not all(_is_number(bound) for bound in given):
        raise source.error("'range' needs numbers for 'min', 'max' or both", at(kind))
    if len(given) == 2 and given[0] > given[1]:
        raise source.error(f"'range' has a 'min' of {given[0]} above its 'max' of {given[1]}", at(kind))
    return audit(name, columns=(column,), minimum=bounds["min"], maximum=bounds["max"])
