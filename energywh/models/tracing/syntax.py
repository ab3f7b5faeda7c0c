"""SQL as sqlglot parses it."""

from __future__ import annotations

from functools import lru_cache

import sqlglot
from sqlglot import exp


@lru_cache(maxsize=1024)  # half of the time of a small build; `energywh watch` builds again and again
def syntax_trees(sql: str) -> tuple[exp.Expr | None, ...]:
    """Return the statements of ``sql`` as sqlglot parses them. The trees are shared: do not change them.

    Raises:
        sqlglot.errors.SqlglotError: it cannot be parsed.
    """
    return tuple(sqlglot.parse(sql, dialect="duckdb"))
