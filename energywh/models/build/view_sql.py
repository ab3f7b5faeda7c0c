"""The SQL of views, in the form that DuckDB 1.5 understands too.

A file holds a view as DuckDB's parser read it. For the parser of DuckDB 2.x ``if(a, b, c)`` is a function, which 1.5
does not have: its parser reads ``if`` as CASE. So views are written with CASE.
"""

from __future__ import annotations

from energywh.core.tokens import tokens_of

_BETWEEN = (" THEN ", " ELSE ")


def without_if(sql: str) -> str:
    """Return ``sql`` with CASE in place of each ``if(condition, value, otherwise)``; lines keep their numbers."""
    content = sql.encode()
    tokens = [token for token in tokens_of(sql) if not token.is_string]
    written, copied = [], 0
    open_brackets: list[int | None] = []  # of each, the number of commas seen if it is the one of an `if`, else None
    for place, (token, start, _) in enumerate(tokens):
        replacement = None
        if token == b"(" and place and tokens[place - 1].text.lower() == b"if":
            written.append(content[copied : tokens[place - 1].start])
            replacement, copied = "(CASE WHEN ", start
            open_brackets.append(0)
        elif token in (b"(", b"[", b"{"):
            open_brackets.append(None)
        elif token in (b")", b"]", b"}") and open_brackets:
            replacement = None if open_brackets.pop() is None else " END)"
        elif token == b"," and open_brackets and (commas := open_brackets[-1]) is not None:
            replacement, open_brackets[-1] = _BETWEEN[min(commas, 1)], commas + 1
        if replacement is not None:
            written += [content[copied:start], replacement.encode()]
            copied = start + 1
    return b"".join([*written, content[copied:]]).decode()
