"""Refuse to publish a version that would lose much of what the published one holds.

A staging file that was moved away, replayed from payloads of the last weeks, or taken from an old copy builds without
an error, and readers would find most of the history gone. So the rows of each month, which both versions record, are
compared before a version is published. Tables are read only where a month has fewer rows than before.

Compared are the tables of the shipped models that hold data of sources, also where their SQL changed since: a release
that loses rows is what this guards against. Not compared are tables of findings (`may_be_empty`), such as gaps, which
shrink when data arrive; models whose file is gone, whose absence nobody overlooks; and a build as of a time, which is
not published. A model of the user's own that shrinks is reported and published: its rows can be built again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from energywh.core.sql_text import quoted
from energywh.core.wording import count
from energywh.errors import LossError, StorageError
from energywh.models.build.events import BuildRefused
from energywh.models.build.fill import BuildRequest
from energywh.models.build.table_loss import TableLoss
from energywh.models.contents.staging import attach_read_only
from energywh.models.project.graph import Graph
from energywh.models.versions.records import record_of

if TYPE_CHECKING:
    import duckdb

FEWEST_ROWS = 24  # a day of one series: a source withdraws fewer now and then, such as those of a mistyped code
FEWEST_ROWS_OF_KEY = 7 * 24  # of a value of the grain that keeps others: a week of one series
LISTED_TABLES = 5
_PUBLISHED = "published"

Rows = dict[date | None, int]  # by month, the rows of a table; all under None where the table has no time


def check_losses(connection: duckdb.DuckDBPyConnection, published: Path, request: BuildRequest) -> None:
    """Compare the version that is open with the ``published`` one.

    Raises:
        LossError: a table would lose more than the options allow; the message lists what, and how to force it.
    """
    options, graph = request.options, request.graph
    found = _losses(connection, published, graph, options.max_loss_percent)
    own = [loss for loss in found if loss.table in graph.own and loss.percent > options.max_loss_percent]
    for loss in own:
        request.emit.say(f"warning: your own model loses rows: {loss}")
    if options.max_loss_percent >= 100:
        return
    large = [
        loss
        for loss in found
        if loss.table not in graph.own
        and (loss.percent > options.max_loss_percent or loss.months or loss.keys or loss.shares)
    ]
    if not large:
        return
    if options.allow_loss:
        for loss in large:
            request.emit.say(f"warning: as allowed, rows are lost: {loss}")
        return
    request.emit(BuildRefused(large))
    raise LossError(_refusal(large, published.stem))


def _refusal(losses: list[TableLoss], version: str) -> str:
    lines = [f"not published: {count(len(losses), 'table')} would lose rows that the published version holds"]
    lines += [f"  {loss}" for loss in losses[:LISTED_TABLES]]
    if len(losses) > LISTED_TABLES:
        lines.append(f"  and {count(len(losses) - LISTED_TABLES, 'more table', 'more tables')}")
    lines.append(
        f"{version} stays published. If staging is not whole (see 'energywh status'), put its file back or sync what "
        "is missing; if the rows are to go, run 'energywh build --allow-loss'"
    )
    return "\n".join(lines)


def _losses(
    connection: duckdb.DuckDBPyConnection, published: Path, graph: Graph, max_loss_percent: float
) -> list[TableLoss]:
    """Return the losses of all tables that are compared and have any worth a word, in build order."""
    import duckdb

    tables = _compared(graph)
    after = _rows(connection, "", tables)
    try:
        attach_read_only(connection, published, _PUBLISHED, wait_seconds=0)
    except StorageError:
        return _losses_of_record(published, after, tables)
    try:
        before = _rows(connection, f"{_PUBLISHED}.", tables)
        hashes = [_hashes(connection, prefix) for prefix in ("", f"{_PUBLISHED}.")]
        found = []
        for table in tables:
            if table in before and table in after and (loss := _loss(table, before[table], after[table])):
                edited = hashes[0].get(table) != hashes[1].get(table)
                keys, shares = _losses_of_keys(connection, table, graph.models[table].grain, max_loss_percent)
                if loss.percent > max_loss_percent:
                    shares = {}  # the loss of the whole table is enough to say
                found.append(TableLoss(table, loss.rows, loss.lost, loss.months, keys, shares, edited))
        return found
    except duckdb.InterruptException:
        raise
    except duckdb.Error:  # of another format, or damaged
        return _losses_of_record(published, after, tables)
    finally:
        connection.execute(f"DETACH {_PUBLISHED}")


def _compared(graph: Graph) -> list[str]:
    """Return the tables that hold data of sources, except those of findings, in build order."""
    from_sources: set[str] = set()
    for name in graph.order:
        if graph.staging(name) or from_sources.intersection(graph.upstream(name)):
            from_sources.add(name)
    return [
        name
        for name in graph.order
        if name in from_sources and graph.models[name].materialized == "table" and not graph.models[name].may_be_empty
    ]


def _rows(connection: duckdb.DuckDBPyConnection, prefix: str, tables: Iterable[str]) -> dict[str, Rows]:
    """Return the rows of each month, by table; a table without rows has none."""
    found: dict[str, Rows] = defaultdict(dict)
    names = connection.execute(f"SELECT name FROM {prefix}energywh.model").fetchall()
    found.update({name: {} for (name,) in names if name in set(tables)})
    rows = connection.execute(f"SELECT model, month, rows FROM {prefix}energywh.month WHERE rows > 0").fetchall()
    for name, month, number in rows:
        if name in found:
            found[name][month] = number
    return dict(found)


def _loss(table: str, before: Rows, after: Rows) -> TableLoss | None:
    """Return what a table loses; None for less than a day of one series."""
    if (None in before) != (None in after) and after:  # its time column came or went: months say nothing
        before, after = {None: sum(before.values())}, {None: sum(after.values())}
    lost = sum(max(rows - after.get(month, 0), 0) for month, rows in before.items())
    if lost < FEWEST_ROWS:
        return None
    gone = [month for month, rows in before.items() if month and month not in after and rows >= FEWEST_ROWS]
    return TableLoss(table, sum(before.values()), lost, tuple(sorted(gone)))


def _losses_of_record(published: Path, after: dict[str, Rows], tables: Iterable[str]) -> list[TableLoss]:
    """Return the losses by the numbers of rows in the record beside a version whose file cannot be read."""
    record = record_of(published)
    before = {} if record is None else {each.name: each.rows for each in record.tables}
    both = [table for table in tables if table in before and table in after]
    losses = (_loss(table, {None: before[table]}, after[table]) for table in both)
    return [loss for loss in losses if loss is not None]


def _hashes(connection: duckdb.DuckDBPyConnection, prefix: str) -> dict[str, str]:
    return dict(connection.execute(f"SELECT name, sql_hash FROM {prefix}energywh.model").fetchall())


def _losses_of_keys(
    connection: duckdb.DuckDBPyConnection, table: str, grain: Iterable[str], max_loss_percent: float
) -> tuple[dict[str, tuple[str, ...]], dict[str, dict[str, float]]]:
    """Return the `keys` and the `shares` of a `TableLoss`."""
    texts = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE concat(schema_name, '.', table_name) = $table AND "
        "data_type = 'VARCHAR' AND database_name IN (current_database(), $published) "
        "GROUP BY 1 HAVING count(*) = 2",  # in both versions
        {"table": table, "published": _PUBLISHED},
    ).fetchall()
    keys: dict[str, tuple[str, ...]] = {}
    shares: dict[str, dict[str, float]] = {}
    for column in grain:
        if (column,) not in texts:
            continue
        before, after = (
            dict(connection.execute(f"SELECT {quoted(column)}, count(*) FROM {place} GROUP BY 1 ORDER BY 1").fetchall())
            for place in (f"{_PUBLISHED}.{quoted(table)}", quoted(table))
        )
        gone = [value for value, rows in before.items() if value not in after and rows >= FEWEST_ROWS]
        lost = {
            value: rows - after[value]
            for value, rows in before.items()
            if value in after and rows - after[value] >= FEWEST_ROWS_OF_KEY
        }
        large = {value: percent for value in lost if (percent := 100 * lost[value] / before[value]) > max_loss_percent}
        if gone:
            keys[column] = tuple(gone)
        if large:
            shares[column] = large
    return keys, shares
