"""What a check of a home finds, and what it is given to look at."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from energywh.config.settings import Settings
from energywh.core.paths import Home

Severity = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was found.

    Attributes:
        check: name of the check.
        severity: `problem`: data or work is lost or will be; `note`: worth knowing; `ok`.
        what: what is wrong.
        where: file or folder; empty where there is none.
        why: why it matters.
        todo: what to type, or to do.
        mend: mends it safely and returns what it did; None where nothing can.
        mended: what was done about it.
    """

    check: str
    severity: Severity
    what: str
    where: str = ""
    why: str = ""
    todo: str = ""
    mend: Callable[[], str] | None = field(default=None, repr=False, compare=False)
    mended: str = ""

    def after_mending(self, done: str) -> Diagnosis:
        """Return it as mended."""
        return replace(self, mended=done, mend=None)


@dataclass(frozen=True)
class Examined:
    """A home that is looked at.

    Attributes:
        settings: None where they cannot be loaded.
        full: read every byte, and not a sample.
        now: the present, naive UTC.
    """

    home: Home
    settings: Settings | None
    full: bool
    now: datetime

    def name(self, path: Path) -> str:
        """Return a path as it is shown: below the home where it is in it."""
        return str(path.relative_to(self.home.path)) if path.is_relative_to(self.home.path) else str(path)


def typed(path: Path | str) -> str:
    """Return a path as it is typed in a shell: quoted where it holds spaces."""
    return shlex.quote(str(path))


def reason(error: BaseException) -> str:
    """Return an error as one line of printable text."""
    from energywh.core.printable import MESSAGE_CHARS, printable

    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return printable(" ".join(str(text).split()), MESSAGE_CHARS)
