"""Small pieces of messages for people."""

from __future__ import annotations

from collections.abc import Sequence


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number and its noun, such as "1 month" or "1,204 months"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def abbreviate(names: Sequence[str], most: int = 4) -> str:
    """Return the first names, with dots where there are more."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
