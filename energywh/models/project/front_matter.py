"""Decode the TOML front matter of a model file, and say in which line it is wrong.

An unknown key is an error: a misspelt promise would otherwise be ignored.
"""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from energywh.core.time import parse_duration_hours
from energywh.errors import ModelError, UsageError, did_you_mean

OPENING = "/*---"
CLOSING = "---*/"
NAME = re.compile(r"[a-z_][a-z0-9_]*")

AuditKind = Literal["unique", "not_null", "accepted_values", "range", "sql"]
Severity = Literal["error", "warn"]
When = Literal["build", "check"]
Materialized = Literal["table", "view", "inline"]
Refresh = Literal["incremental", "full"]

Text = Annotated[str, Meta(pattern=r"\S")]
Names = Annotated[tuple[str, ...], Meta(min_length=1)]

# What the value of a key must be, for messages.
_CHOICES: dict[str, tuple[str, ...]] = {
    "materialized": get_args(Materialized),
    "refresh": get_args(Refresh),
    "severity": get_args(Severity),
    "when": get_args(When),
}
_EXPECTED = {key: f"{', '.join(choices[:-1])} or {choices[-1]}" for key, choices in _CHOICES.items()} | {
    "grain": "a list of column names",
    "time_column": "the name of a column",
    "lookback": "a duration such as 36h, 10d or 2w",
    "lookahead": "a duration such as 36h, 10d or 2w",
    "may_be_empty": "true or false",
    "columns": "a table [columns] with the name and the description of each column",
    "audits": "tables [[audits]]",
    "unique": "a list of column names",
    "not_null": "a list of column names",
    "accepted_values": "a table with column and values",
    "range": "a table with column, min and max",
    "sql": "a SELECT of the rows that break the promise",
    "name": "made of lower-case letters, digits and _",
    "column": "the name of a column",
    "values": "a list of texts, numbers or booleans",
    "min": "a number",
    "max": "a number",
}
_TEXT = "a text that is not empty"


class AcceptedValues(Struct, frozen=True, forbid_unknown_fields=True):
    """The table of an audit `accepted_values`."""

    column: str
    values: Annotated[tuple[str | int | float | bool, ...], Meta(min_length=1)]


class Range(Struct, frozen=True, forbid_unknown_fields=True):
    """The table of an audit `range`."""

    column: str
    min: int | float | None = None
    max: int | float | None = None

    def __post_init__(self) -> None:
        bounds = [bound for bound in (self.min, self.max) if bound is not None]
        if not bounds or not all(map(math.isfinite, bounds)):
            raise ValueError("'range' needs numbers for 'min', 'max' or both")
        if len(bounds) == 2 and bounds[0] > bounds[1]:
            raise ValueError(f"'range' has a 'min' of {bounds[0]} above its 'max' of {bounds[1]}")


class AuditTable(Struct, frozen=True, forbid_unknown_fields=True):
    """One `[[audits]]` table of the front matter."""

    unique: Names | None = None
    not_null: Names | None = None
    accepted_values: AcceptedValues | None = None
    range: Range | None = None
    sql: Text | None = None
    name: Annotated[str, Meta(pattern=rf"^{NAME.pattern}\Z")] | None = None
    severity: Severity = "error"
    when: When = "build"
    description: Text | None = None

    def __post_init__(self) -> None:
        kinds = [kind for kind in get_args(AuditKind) if getattr(self, kind) is not None]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none"
            raise ValueError(f"an audit has exactly one of {', '.join(get_args(AuditKind))}; this one has {found}")

    @property
    def kind(self) -> AuditKind:
        return next(kind for kind in get_args(AuditKind) if getattr(self, kind) is not None)


class Declared(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a model has as its front matter declares it; `Model` says what the fields mean."""

    description: Text
    grain: Names
    columns: Annotated[dict[str, Text], Meta(min_length=1)]
    materialized: Materialized = "table"
    time_column: str | None = None
    refresh: Refresh = "incremental"
    may_be_empty: bool = False


class FrontMatter(Declared, frozen=True, kw_only=True):
    """The front matter as it is written."""

    lookback: str = "0h"
    lookahead: str = "0h"
    audits: tuple[AuditTable, ...] = ()


# The struct that decodes the table of a key; "" stands for the front matter itself.
_STRUCTS: dict[str, type[Struct]] = {
    "": FrontMatter,
    "audits": AuditTable,
    "accepted_values": AcceptedValues,
    "range": Range,
}


@dataclass
class ModelFile:
    """The text of a model file and its parts; finds the line of what is wrong in it."""

    path: Path
    text: str
    toml: str = ""
    toml_line: int = 1
    sql: str = ""
    sql_line: int = 1
    audit_lines: list[int] = field(default_factory=list)  # numbers of the lines [[audits]] within `toml`, from 0

    def error(self, message: str, line: int) -> ModelError:
        return ModelError(f"{self.path}:{line}: {message}")

    def split(self) -> None:
        """Find the front matter and the SELECT."""
        text = self.text
        start = len(text) - len(text.lstrip())
        if not text.startswith(OPENING, start):
            raise self.error(f"a model begins with its front matter, between {OPENING} and {CLOSING}", 1)
        self.toml_line = text.count("\n", 0, start) + 1
        end = text.find(CLOSING, start)
        if end < 0:
            raise self.error(f"the front matter is not closed by {CLOSING}", self.toml_line)
        self.toml = text[start + len(OPENING) : end]
        early = self.toml.find("*/")
        if early >= 0:
            line = self.toml_line + self.toml.count("\n", 0, early)
            raise self.error("'*/' inside the front matter ends the SQL comment too early", line)
        self.audit_lines = [
            number for number, line in enumerate(self.toml.splitlines()) if re.match(r"\s*\[\[\s*audits\s*\]\]", line)
        ]
        sql = text[end + len(CLOSING) :].lstrip()
        self.sql_line = text.count("\n", 0, len(text) - len(sql)) + 1
        self.sql = re.sub(r"[\s;]+\Z", "", sql)
        if not self.sql:
            raise self.error("the model has no SELECT after its front matter", self.sql_line)

    def decode(self) -> FrontMatter:
        """Return the front matter."""
        try:
            table = tomllib.loads(self.toml)
        except tomllib.TOMLDecodeError as error:
            message, _, place = str(error).partition(" (at ")
            found = re.search(r"line (\d+)", place)
            line = int(found[1]) if found else self.toml.count("\n") + 1
            raise self.error(f"the front matter is not valid TOML: {message}", self.toml_line + line - 1) from None
        try:
            return msgspec.convert(table, FrontMatter)
        except msgspec.ValidationError as error:
            raise self._explain(error, table) from None

    def _explain(self, error: msgspec.ValidationError, table: dict[str, Any]) -> ModelError:
        """Turn an error of msgspec, such as "Expected `str`, got `int` - at `$.audits[2].sql`", into ours."""
        text, _, place = str(error).partition(" - at `$")
        place = place.rstrip("`")
        keys = re.findall(r"\.(\w+)", place)
        audit = re.match(r"\.audits\[(\d+)\]", place)
        number = int(audit[1]) if audit else None
        if place == ".columns[...]":  # msgspec does not name the key of a dict
            keys.append(next(key for key, words in table["columns"].items() if not _is_text(words)))
        owner = keys[-1] if keys else ""
        if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", text):
            where = {"": "", "audits": " in an audit"}.get(owner, f" in '{owner}'")
            near = did_you_mean(unknown[1], _STRUCTS[owner].__struct_fields__)
            return self.error(f"unknown key '{unknown[1]}'{where}{near}", self.line_of([*keys, unknown[1]], number))
        line = self.line_of(keys, number)
        if missing := re.fullmatch(r"Object missing required field `(.*)`", text):
            where = f"'{owner}'" if owner else "the front matter"
            return self.error(f"{where} needs '{missing[1]}': {_EXPECTED.get(missing[1], _TEXT)}", line)
        if error.__cause__ is not None:  # of a `__post_init__` above
            return self.error(text, line)
        value: Any = table
        for key in keys:
            value = value[key]
            if key == "audits" and number is not None and isinstance(value, list):
                value = value[number]
        near = did_you_mean(str(value), _CHOICES.get(owner, ()))
        return self.error(f"'{owner}' must be {_EXPECTED.get(owner, _TEXT)}, not {value!r}{near}", line)

    def line_of(self, keys: list[str], audit: int | None = None) -> int:
        """Return the line of the file that has the last of ``keys`` at its start, or else the one before it, and so on.

        Args:
            audit: number of the audit to search, from 0; None to search the whole front matter.
        """
        lines = self.toml.splitlines()
        first, last = 0, len(lines)
        if audit is not None and audit < len(self.audit_lines):
            first = self.audit_lines[audit]
            last = self.audit_lines[audit + 1] if audit + 1 < len(self.audit_lines) else last
        for key in reversed(keys):
            pattern = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=\].]""")
            for number in range(first, last):
                if pattern.match(lines[number]):
                    return self.toml_line + number
        return self.toml_line + first

    def duration(self, key: str, value: str) -> timedelta:
        try:
            return timedelta(hours=parse_duration_hours(value, f"'{key}'"))
        except UsageError as error:
            raise self.error(str(error), self.line_of([key])) from None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
