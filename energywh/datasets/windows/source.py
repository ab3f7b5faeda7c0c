"""The source of windows: a model of the warehouse, or any SQL query with region and hour_utc."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from energywh.core.arguments import as_names
from energywh.core.query import ask
from energywh.core.sql_text import identifier, quoted, text
from energywh.core.warnings import warn
from energywh.errors import UnknownNameError, UsageError, WindowError, did_you_mean
from energywh.models.project.project import SEEDS, pick_name

if TYPE_CHECKING:
    import duckdb

REGION = "region"
HOUR = "hour_utc"
_SIGNED = ("tinyint", "smallint", "integer", "bigint", "hugeint")
_NUMERIC = frozenset((*_SIGNED, *(f"u{kind}" for kind in _SIGNED), "float", "double", "decimal", "boolean"))
# How the description of a column begins: the time from which it may be used. Where a query reads models that mark a
# name differently, the first of these applies.
MARKS = ("hindsight", "target", "at t", "past", "published", "day ahead", "ahead")
KNOWN_BEFORE = ("day ahead", "ahead")  # values that exist before their hour
MOSTLY = 0.9  # share of the hours in which a feature must have a value where windows that miss one are dropped
# Functions that may return another value each time and that sqlglot has no expression for.
_CLOCK = ("age", "now", "current_localtime", "get_current_timestamp", "transaction_timestamp")
_CHANCE = ("setseed", "uuidv4", "uuidv7", "nextval", "currval")
_SETTINGS = ("current_setting", "getvariable")
_CHANGING = frozenset((*_CLOCK, *_CHANCE, *_SETTINGS))
_MODEL_NAME = re.compile(r"\s*[A-Za-z_]\w*(\.[A-Za-z_]\w*){0,2}\s*")


@dataclass(frozen=True)
class Bound:
    """A model or query, bound but not yet run."""

    name: str  # for messages
    sql: str  # what stands after FROM
    columns: tuple[str, ...]
    numeric: tuple[str, ...]  # numeric and boolean columns, in the source's order, without region and hour_utc
    model: str | None  # name of the model, None for a query
    empty: frozenset[str] = frozenset()  # columns that are NULL in every row, as the catalog says
    marks: Mapping[str, str] = field(default_factory=dict)  # one of `MARKS` by column, as models describe them

    @property
    def hindsight(self) -> frozenset[str]:
        """Columns computed from later hours."""
        return frozenset(name for name in self.columns if self.marks.get(name) == "hindsight")

    def may_know_later(self, columns: Iterable[str]) -> bool:
        """Return whether any of the columns may be computed from later hours: by its mark, or because it has none."""
        # A query can give a column the name of another, so its marks prove nothing.
        return self.model is None or any(self.marks.get(name, "hindsight") == "hindsight" for name in columns)

    def features(self, wanted: Sequence[str] | str | None) -> tuple[str, ...]:
        """Return the columns to use as features; for None all numeric ones that have a value in any row.

        Columns made in hindsight are never among the default, and naming one gives a warning.

        Raises:
            UnknownNameError: a column that the source does not have.
            UsageError: a column that is not numeric, or given twice.
        """
        if wanted is None:
            # A column of a source that is not synced is empty, and would be zeros only.
            return tuple(name for name in self.numeric if name not in self.empty | self.hindsight)
        names = self.pick(wanted, "feature")
        if known_later := [name for name in names if name in self.hindsight]:
            warn(
                f"{', '.join(known_later)} of {self.name} is computed from later hours and leaks them as a feature. "
                "Use it as a target, and use columns known at the time as features"
            )
        return names

    def ahead(
        self, wanted: Sequence[str] | str | None, features: Sequence[str], targets: Sequence[str]
    ) -> tuple[str, ...]:
        """Return the columns known for the hours to forecast; for None those of ``features`` marked [ahead].

        A column marked [day ahead] must be named: it does not exist yet for hours far from the origin.

        Raises:
            UnknownNameError: a column that the source does not have.
            UsageError: a column that is not numeric, given twice, a target, or marked as not known before its hour.
        """
        if wanted is None:
            return tuple(name for name in features if self.marks.get(name) == "ahead" and name not in targets)
        names = self.pick(wanted, "column known ahead") if as_names(wanted, "future_covariates") else ()
        for name in names:
            if name in targets:
                raise UsageError(f"future_covariates: column '{name}' is a target")
            if self.marks.get(name, "ahead") not in KNOWN_BEFORE:
                raise UsageError(
                    f"future_covariates: column '{name}' of {self.name} is not known before its hour: it is marked "
                    f"[{self.marks[name]}], not [ahead] or [day ahead]; use it as a feature"
                )
        return names

    def pick(self, wanted: Sequence[str] | str, what: str) -> tuple[str, ...]:
        """Return ``wanted`` as column names of this source, checked; see `features` for the errors."""
        names = as_names(wanted, f"the {what}")
        if not names:
            raise UsageError(f"no {what} was named; {self.name} has {', '.join(self.numeric)}")
        for name in names:
            if name not in self.columns:
                near = did_you_mean(name, self.numeric) or f"; it has {', '.join(self.numeric)}"
                raise UnknownNameError(f"{self.name} has no column '{name}' to use as {what}{near}")
            if name not in self.numeric:
                raise UsageError(f"column '{name}' of {self.name} cannot be a {what}: it is not numeric")
        if len(set(names)) < len(names):
            raise UsageError(f"a {what} is named twice: {', '.join(names)}")
        return names


def default_features(
    connection: duckdb.DuckDBPyConnection, bound: Bound, regions: Sequence[str] | None, *, each: bool
) -> tuple[str, ...]:
    """Return the features to use where none are named: those of a model that any of the regions has a value of.

    Args:
        regions: None for all.
        each: only those that every region has a value of in nine of ten hours (`MOSTLY`).
    """
    # With gaps="drop", a column that a region began to report late, or a lag of a year, would drop all windows before.
    names = bound.features(None)
    if bound.model is None or regions is None or not names:
        return names
    count = "count({name}) >= count(*) * {share}" if each else "count({name}) > 0"
    counts = ", ".join(count.format(name=identifier(name), share=MOSTLY) for name in names)
    chosen = ", ".join(map(text, regions))
    rows = ask(connection, f"SELECT {counts} FROM {bound.sql} WHERE region IN ({chosen}) GROUP BY region").fetchall()
    enough = all if each else any
    reported = tuple(name for name, *by_region in zip(names, *rows, strict=True) if enough(by_region))
    return reported or names


def bind(connection: duckdb.DuckDBPyConnection, source: str) -> Bound:
    """Find the model or bind the query ``source``, without running it.

    Raises:
        UnknownNameError: no model has that name.
        UsageError: wrong SQL, or no region and hour_utc in it.
    """
    if not isinstance(source, str):
        raise UsageError(f"the source must be the name of a model or an SQL query, as text, not {source!r}")
    if _MODEL_NAME.fullmatch(source):
        name = pick_model(source.strip(), models(connection))
        described, sql, model = name, quoted(name), name
    else:
        described, sql, model = "the query", f"({source.strip().rstrip(';')}\n)", None
    relation = ask(connection, f"SELECT * FROM {sql} AS source")
    columns = tuple(relation.columns)
    types = {name: str(kind.id) for name, kind in zip(columns, relation.types, strict=True)}
    for needed, kinds in ((REGION, ("varchar", "enum")), (HOUR, ("timestamp", "timestamp with time zone"))):
        if needed not in types:
            raise UsageError(
                f"{described} has no column '{needed}'; windows need region and hour_utc, one row per hour"
            )
        if not types[needed].startswith(kinds):
            raise UsageError(
                f"column {needed} of {described} is {types[needed].upper()}, not {kinds[0].upper()}; cast it"
            )
    numeric = tuple(name for name in columns if types[name] in _NUMERIC and name not in (REGION, HOUR))
    read = [model] if model is not None else _tables(connection, sql)
    return Bound(described, sql, columns, numeric, model, _empty_columns(connection, model), _marks(connection, read))


def _empty_columns(connection: duckdb.DuckDBPyConnection, model: str | None) -> frozenset[str]:
    """Return the columns without a value in any row, as the last build counted them; none for a query."""
    counted = ask(
        connection,
        "SELECT count(*) FROM duckdb_columns() WHERE database_name = current_database() "
        "AND schema_name = 'energywh' AND table_name = 'column' AND column_name = 'rows_with_value'",
    ).fetchall()
    if model is None or counted != [(1,)]:
        return frozenset()
    rows = ask(connection, 'SELECT name FROM energywh."column" WHERE model = $1 AND rows_with_value = 0', [model])
    return frozenset(name for (name,) in rows.fetchall())


def _marks(connection: duckdb.DuckDBPyConnection, read: Sequence[str]) -> dict[str, str]:
    """Return the marks (see `MARKS`) of the columns of the models that are read, by the names of the columns."""
    rows = ask(
        connection,
        "SELECT column_name, regexp_extract(comment, '^\\[([a-z ]+)\\]', 1) AS mark FROM duckdb_columns() "
        "WHERE database_name = current_database() AND list_contains($read, schema_name || '.' || table_name) "
        "AND list_contains($marks, mark) ORDER BY list_position($marks, mark) DESC",
        {"read": list(read), "marks": list(MARKS)},
    ).fetchall()
    return dict(rows)


def models(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the names, ``schema.table``, of all tables and views that people query."""
    return [
        name
        for (name,) in ask(
            connection,
            """
            SELECT table_schema || '.' || table_name FROM information_schema.tables
            WHERE table_catalog = current_database() AND table_schema NOT IN ('energywh', 'information_schema')
            ORDER BY 1
            """,
        ).fetchall()
    ]


def pick_model(name: str, known: Iterable[str]) -> str:
    """Return the model named ``name``; a seed only where its schema is given.

    Raises:
        UnknownNameError: no model, or more than one, has that name; the message names the nearest.
    """
    seeds = name.lower().startswith(f"{SEEDS}.")
    return pick_name(name, [model for model in known if model.startswith(f"{SEEDS}.") == seeds])


def models_read(connection: duckdb.DuckDBPyConnection, source: Bound) -> list[str]:
    """Return the models that the source names; all models where a query cannot be parsed."""
    if source.model is not None:
        return [source.model]
    sql = "SELECT name FROM energywh.model WHERE list_contains($1, name) ORDER BY 1"
    return [name for (name,) in ask(connection, sql, [_tables(connection, source.sql)]).fetchall()]


def lookahead(connection: duckdb.DuckDBPyConnection, source: Bound) -> int:
    """Return how many hours after its own a row of the source may read, as models declare it; see `_reach`."""
    return _reach(connection, source, "lookahead_hours")


def lookback(connection: duckdb.DuckDBPyConnection, source: Bound) -> int:
    """Return how many hours before its own a row of the source may read, as models declare it; see `_reach`."""
    return _reach(connection, source, "lookback_hours")


def _reach(connection: duckdb.DuckDBPyConnection, source: Bound, declared: str) -> int:
    """Return how many hours away a row of the source may read.

    The hours that a model declares add to the greatest among the models that it reads. A query has the greatest among
    its models; how far the query itself reads is not known.
    """
    names = [source.model] if source.model is not None else _tables(connection, source.sql)
    rows = ask(
        connection,
        f"""
        WITH RECURSIVE reads (name, hours) AS (
            SELECT name, {declared} FROM energywh.model WHERE list_contains($names, name)
            UNION
            SELECT model.name, reads.hours + model.{declared}
            FROM reads
            JOIN energywh.dependency ON dependency.model = reads.name
            JOIN energywh.model ON model.name = dependency.upstream
        )
        SELECT coalesce(max(hours), 0) FROM reads
        """,
        {"names": names},
    ).fetchall()
    return int(rows[0][0])


def tables_read(connection: duckdb.DuckDBPyConnection, source: Bound) -> tuple[list[str], bool]:
    """Return the names, ``schema.table``, that a source reads, and whether its result depends on these alone.

    It does not where a query reads files, the clock, random numbers or settings, or a table that no build has made.
    """
    if source.model is not None:
        return [source.model], True
    import sqlglot
    from sqlglot import exp

    known = models(connection)
    read = [name for name in _tables(connection, source.sql) if name in known]
    try:
        tree = sqlglot.parse_one(source.sql, dialect="duckdb")
    except sqlglot.errors.SqlglotError:
        return read, False
    changing = (exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.Localtime, exp.Localtimestamp)
    called = {call.name.lower() for call in tree.find_all(exp.Anonymous)}
    if tree.find(*changing, exp.Rand, exp.Uuid, exp.TableSample) or called & _CHANGING:
        return read, False
    lower = {name.lower() for name in known}
    full = lower | {name.split(".")[1] for name in lower} | {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    written = (table for table in tree.find_all(exp.Table) if not isinstance(table.this, exp.GenerateSeries))
    # With a catalog, it may be a table of that name in another database.
    return read, all(not table.catalog and f"{table.db}.{table.name}".strip(".").lower() in full for table in written)


def _tables(connection: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    """Return the names, ``schema.table``, that a query reads; all models where it cannot be parsed."""
    # sqlglot names what is written. DuckDB (2.0.0) names the tables below a view but not the view, whose own look-ahead
    # counts too, and fails on JOIN ... USING; it adds what table functions such as query_table read.
    import duckdb
    import sqlglot
    from sqlglot import exp

    try:
        tree = sqlglot.parse_one(query, dialect="duckdb")
    except sqlglot.errors.SqlglotError:
        return models(connection)
    names = {tuple(part.name for part in table.parts) for table in tree.find_all(exp.Table)}
    with contextlib.suppress(duckdb.Error):
        names |= {tuple(name.replace('"', "").split(".")) for name in connection.get_table_names(query, qualified=True)}
    full = {".".join(name[-2:]).lower() for name in names}
    return sorted(full | {model for model in models(connection) if model.split(".")[1] in full})


def aggregates(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the codes of aggregates (US48, CAL, ...); none where the region dimension is not built."""
    table = aggregates_table(connection)
    if table is None:
        return []
    rows = ask(connection, f"SELECT region FROM {table} WHERE kind = 'aggregate' ORDER BY 1").fetchall()
    return [region for (region,) in rows]


def aggregates_table(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Return the name of the region dimension; None where it is not built."""
    known = models(connection)
    return next((table for table in ("normalized.region", "seeds.region") if table in known), None)


def regions_of(connection: duckdb.DuckDBPyConnection, source: Bound) -> list[str]:
    """Return all regions of the source, sorted."""
    sql = f"SELECT DISTINCT {REGION} FROM {source.sql} AS source WHERE {REGION} IS NOT NULL ORDER BY 1"
    return [region for (region,) in ask(connection, sql).fetchall()]


def unknown_region(connection: duckdb.DuckDBPyConnection, wrong: str, source: Bound) -> UnknownNameError | WindowError:
    """Return the error for a region that the source has no row of, at all or in the time asked for."""
    known = regions_of(connection, source)
    if wrong in known:
        first, last = ask(
            connection, f"SELECT min({HOUR}), max({HOUR}) FROM {source.sql} AS source WHERE {REGION} = $1", [wrong]
        ).fetchall()[0]
        return WindowError(
            f"{source.name} has no rows of region '{wrong}' in the time asked for; "
            f"its rows go from {first:%Y-%m-%dT%H} to {last:%Y-%m-%dT%H}"
        )
    near = did_you_mean(wrong, known) or f"; it has {', '.join(known) or 'no rows'}"
    return UnknownNameError(f"{source.name} has no rows of region '{wrong}'{near}")
