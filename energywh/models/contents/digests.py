"""Digests of tables by month: equal digests, equal rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from energywh.core.sql_text import quoted, run

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Digest:
    """Number of rows and digest of one month of a model, and the number of values in each column (`held`)."""

    rows: int
    digest: str
    held: tuple[int, ...] = ()


# By month; the key of a model without time is None.
Digests = dict[date | None, Digest]


def month_digests(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    types: Mapping[str, str],
    time_column: str | None,
    condition: str = "true",
) -> Digests:
    """Return the digest of each month of ``relation``, or of all of it under the key None.

    A digest depends on names and types of columns, and not on the order of rows.
    """
    month = f"date_trunc('month', {quoted(time_column)})::DATE" if time_column else "NULL::DATE"
    columns = ", ".join(quoted(column) for column in types)
    counts = ", ".join(f"count({quoted(column)})" for column in types)
    rows = run(
        connection,
        f"SELECT {month}, count(*), bit_xor(hash({columns})), sum(hash({columns})), [{counts}] "
        f"FROM {relation} WHERE {condition} GROUP BY 1",
    )
    found: Digests = {}
    for month_date, count, xor, total, held in rows:
        seal = f"{list(types.items())} {count} {xor} {total}"
        found[month_date] = Digest(count, hashlib.sha256(seal.encode()).hexdigest()[:16], tuple(held))
    if time_column is None and not found:
        seal = repr(list(types.items()))
        found[None] = Digest(0, hashlib.sha256(seal.encode()).hexdigest()[:16], (0,) * len(types))
    return found


def types_of(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """Return the columns of a relation and their types, in order."""
    rows = connection.execute(f"DESCRIBE FROM {relation}").fetchall()
    return {row[0]: row[1] for row in rows}
