"""Split SQL into tokens, with DuckDB's own tokenizer."""

from __future__ import annotations

from typing import NamedTuple


class Token(NamedTuple):
    """A token of some SQL: its text without the spaces around it, and the byte at which it starts."""

    text: bytes
    start: int
    is_string: bool


def tokens_of(sql: str) -> list[Token]:
    """Return the tokens of ``sql`` in order, without its comments."""
    import duckdb

    content = sql.encode()  # DuckDB counts bytes
    starts = duckdb.tokenize(sql)
    ends = [start for start, _ in starts[1:]] + [len(content)]
    return [
        Token(content[start:end].strip(), start, kind == duckdb.token_type.string_const)
        for (start, kind), end in zip(starts, ends, strict=True)
        if kind != duckdb.token_type.comment
    ]
