"""A model file: front matter that declares what the table promises, then one SELECT."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec

from energywh.errors import ModelError
from energywh.models.project.front_matter import (
    NAME,
    AuditKind,
    AuditTable,
    Declared,
    FrontMatter,
    ModelFile,
    Severity,
    When,
)
from energywh.models.project.parse_cache import ParseCache

TIME_COLUMN = "hour_utc"


@dataclass(frozen=True)
class Audit:
    """One promise about a model's data; it fails when its query returns rows.

    Attributes:
        line: line of the file that declares it, counted from 1.
        when: `build`: each build runs it. `check`: only `energywh check` runs it, because the data can break it
            without any fault of the model. Its SQL has the current time in `getvariable('now_utc')`.
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


class Model(Declared, frozen=True, kw_only=True):
    """One `.sql` file: a table or view of the warehouse, or a step that is put into the models that read it.

    Attributes:
        name: folder and file, such as `normalized.demand`.
        sql: the SELECT, without front matter and without a closing semicolon.
        sql_line: line of the file on which `sql` begins, counted from 1.
        time_column: column that holds the hour; None for a dimension.
        lookback: how far before its own hour a row reads; of a model that is linked, through steps too.
        lookahead: how far after its own hour a row reads; for cleaning, never for features.
        refresh: `incremental` if a month can be built from its months, the lookback and the lookahead alone.
        columns: description by name. Of a model that is not linked yet, only those that its file describes.
        unlisted: keys of the front matter that name a column which the file does not describe, the column and the line.
        may_be_empty: True if a table without rows needs no warning, and one with fewer rows than before is no loss.
        sql_hash: changes when the model's rows could change.
        file_hash: changes when anything in the file does.
    """

    name: str
    path: Path
    sql: str
    sql_line: int = 1
    sql_hash: str
    file_hash: str
    lookback: timedelta = timedelta(0)
    lookahead: timedelta = timedelta(0)
    audits: tuple[Audit, ...] = ()
    unlisted: tuple[tuple[str, str, int], ...] = ()

    @property
    def schema(self) -> str:
        return self.name.split(".")[0]

    @property
    def by_month(self) -> bool:
        """True if single months of the model can be built."""
        return self.time_column is not None and self.refresh == "incremental"


def read_model(path: Path, cache: ParseCache) -> Model:
    """Read the model file at ``path``; its folder and file name are the model's schema and name.

    Raises:
        ModelError: the file is not a model; the message begins with file and line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot read the model: {error}") from None
    model = cache.get(Model, (path.parent.name, path.stem, text), lambda: _parse_model(ModelFile(path, text)))
    return model if model.path == path else msgspec.structs.replace(model, path=path)


def _parse_model(file: ModelFile) -> Model:
    path = file.path
    for part in (path.parent.name, path.stem):
        if not NAME.fullmatch(part):
            raise file.error(f"'{part}' cannot name a table: use lower-case letters, digits and _", 1)
    file.split()
    head = file.decode()
    if head.materialized == "inline":
        _check_step(file, head)
    time_column = head.time_column or (TIME_COLUMN if TIME_COLUMN in {*head.columns, *head.grain} else None)
    audits = _audits(file, head)
    named = [("grain", head.grain, file.line_of(["grain"])), *((each.kind, each.columns, each.line) for each in audits)]
    if head.time_column:
        named.append(("time_column", (head.time_column,), file.line_of(["time_column"])))
    lookback, lookahead = file.duration("lookback", head.lookback), file.duration("lookahead", head.lookahead)
    columns = {name: _one_line(words) for name, words in head.columns.items()}
    facts = (file.sql, head.materialized, head.grain, time_column, lookback, lookahead, head.refresh, sorted(columns))
    return Model(
        name=f"{path.parent.name}.{path.stem}",
        path=path,
        sql=file.sql,
        sql_line=file.sql_line,
        description=_one_line(head.description),
        materialized=head.materialized,
        grain=head.grain,
        time_column=time_column,
        lookback=lookback,
        lookahead=lookahead,
        refresh=head.refresh,
        may_be_empty=head.may_be_empty or head.materialized == "inline",
        columns=columns,
        audits=audits,
        sql_hash=hashlib.sha256(repr(facts).encode()).hexdigest()[:16],
        file_hash=hashlib.sha256(file.text.encode()).hexdigest()[:16],
        unlisted=tuple((key, name, line) for key, names, line in named for name in names if name not in columns),
    )


def _check_step(file: ModelFile, head: FrontMatter) -> None:
    """Reject what only stored rows can promise."""
    for key in ["audits"] * bool(head.audits) + ["refresh"] * (head.refresh == "full"):
        raise file.error(
            f"'{key}' does not go with materialized = \"inline\": the step has no rows of its own; "
            "state it in the models that read the step",
            file.line_of([key]),
        )


def _audits(file: ModelFile, head: FrontMatter) -> tuple[Audit, ...]:
    audits: list[Audit] = []
    for number, table in enumerate(head.audits):
        audit = _audit(file, table, number)
        if table.name is not None and table.name in (other.name for other in audits):
            raise file.error(f"two audits are named '{table.name}'", file.line_of([], number))
        audits.append(audit)
    return tuple(audits)


def _audit(file: ModelFile, table: AuditTable, number: int) -> Audit:
    names = table.unique or table.not_null or ()
    detail = table.accepted_values or table.range
    columns = names if detail is None else (detail.column,)
    bounds = (None, None) if table.range is None else (table.range.min, table.range.max)
    return Audit(
        table.kind,
        table.name or (f"{table.kind}({', '.join(columns)})" if columns else f"{table.kind} {number + 1}"),
        file.line_of([table.kind], number),
        table.severity,
        table.when,
        _one_line(table.description or ""),
        columns,
        () if table.accepted_values is None else table.accepted_values.values,
        *bounds,
        re.sub(r"[\s;]+\Z", "", (table.sql or "").strip()),
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
