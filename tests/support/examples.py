"""How many examples property tests draw: a quarter in the daily suite, all with `--hypothesis-profile=long`."""

from __future__ import annotations

from hypothesis import settings


def examples(most: int) -> int:
    """Return the number of examples of a property test: at least two."""
    return most if settings.default.max_examples >= LONG else max(2, most // 4)


LONG = 200  # the default of the long profiles, of tests that give no number
