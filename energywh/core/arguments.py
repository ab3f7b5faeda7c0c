"""Checks of arguments that people give: whole numbers, names, and one of a few words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

from energywh.errors import UsageError, did_you_mean


def whole_number(value: Any, name: str, least: int, of: str = "hours") -> int:
    """Return the argument ``name`` as a whole number of ``least`` or more; NumPy's integers are taken as well.

    Raises:
        UsageError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise UsageError(f"{name} must be a whole number of {of}, {least} or more, not {value!r}")
    return int(value)


def as_names(given: Sequence[str] | str, what: str) -> tuple[str, ...]:
    """Return one or several names that a person gave, as a tuple.

    Raises:
        UsageError: something else than text is among them.
    """
    names = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else (given,)
    for name in names:
        if not isinstance(name, str):
            raise UsageError(f"{what} must be a name or a list of names, not {given!r}")
    return names


def one_of(value: Any, name: str, known: Sequence[str]) -> None:
    """Check that the argument ``name`` is one of the words ``known``.

    Raises:
        UsageError: it is not; the message names the nearest.
    """
    if value not in known:
        shown = f"{', '.join(known[:-1])} or {known[-1]}"
        raise UsageError(f"{name} must be {shown}, not {value!r}{did_you_mean(str(value), known)}")
