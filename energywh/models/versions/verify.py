"""Find the tables and months of a version whose rows are not those that its build wrote."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from energywh.core.sql_text import identifier, quoted, within
from energywh.errors import StorageError
from energywh.models.contents.build_state import BuildState
from energywh.models.contents.digests import Digests, month_digests, types_of
from energywh.models.contents.months import short_spans
from energywh.models.contents.state import compatible

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class ChangedTable:
    """A model or seed that is not as its build wrote it.

    Attributes:
        months: months whose rows differ, sorted; empty for a table without time, and where ``trouble`` is given.
        rows: rows of those months now (or of the table); ``rows_built`` as the build counted them.
        trouble: why rows could not be compared, such as a table that is gone; else empty.
    """

    name: str
    months: tuple[date, ...]
    rows: int
    rows_built: int
    trouble: str = ""


def changed_tables(connection: duckdb.DuckDBPyConnection, names: Collection[str] = ()) -> list[ChangedTable]:
    """Compute the digests of all rows of the open version anew and compare them with those that the build recorded.

    Args:
        names: models and seeds to look at, with their schema; empty for all.

    Raises:
        StorageError: the digests were made by another DuckDB or another energywh, and cannot be compared.
    """
    import duckdb

    if not compatible(connection):
        raise StorageError(
            "digests cannot be compared: they were recorded by another version of DuckDB or of energywh; "
            "'energywh build' makes a version with new ones"
        )
    state = BuildState(connection)
    tables = connection.execute(
        "SELECT name, materialized, time_column FROM energywh.model WHERE materialized <> 'inline' "
        "UNION ALL SELECT name, 'seed', NULL FROM energywh.seed ORDER BY name"
    ).fetchall()
    found = []
    for name, kind, time_column in tables:
        if names and name not in names:
            continue
        built = state.digests(name)
        try:
            changed = _compare(connection, name, kind, time_column, built)
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            changed = ChangedTable(name, (), 0, _rows(built), str(error).strip().splitlines()[0])
        if changed is not None:
            found.append(changed)
    return found


def _compare(
    connection: duckdb.DuckDBPyConnection, name: str, kind: str, time_column: str | None, built: Digests
) -> ChangedTable | None:
    relation = quoted(name)
    types = types_of(connection, relation)
    if time_column is None or kind == "table":
        now = month_digests(connection, relation, types, time_column)
    else:  # a view: a few months at a time, because all of it may not fit in memory
        now = {}
        month = f"date_trunc('month', {identifier(time_column)})::DATE"
        there = {row[0] for row in connection.execute(f"SELECT DISTINCT {month} FROM {relation}").fetchall()}
        for span in short_spans({each for each in {*built, *there} if each is not None}):
            now |= month_digests(connection, relation, types, time_column, within(time_column, span.start, span.end))
    differing = [month for month in built.keys() | now.keys() if _digest(built, month) != _digest(now, month)]
    if not differing:
        return None
    rows, rows_built = (sum(each[month].rows for month in differing if month in each) for each in (now, built))
    return ChangedTable(name, tuple(sorted(month for month in differing if month is not None)), rows, rows_built)


def _digest(digests: Digests, month: date | None) -> str | None:
    return digests[month].digest if month in digests else None


def _rows(digests: Digests) -> int:
    return sum(digest.rows for digest in digests.values())
