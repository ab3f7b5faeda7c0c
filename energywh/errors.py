"""Every error energywh raises on purpose.

    EnergywhError                 exit status 1: the work failed
    ├── UsageError                exit status 2: the request itself is wrong
    │   ├── SettingsError         a setting is misspelt, of the wrong type, or missing
    │   └── UnknownNameError      a region, dataset, model or column that does not exist
    ├── StorageError              a folder or file cannot be read or written
    │   ├── LockedError           another process held a database for too long
    │   └── CorruptError          a file is not what its name says
    ├── SourceError               an outside system did not give what was asked
    │   ├── RefusedError          the source rejects the request: no retry helps
    │   │   └── KeyRefusedError   the source rejects the key: every other request will fail too
    │   ├── NotReadyError         the source will have it later
    │   ├── LimitSpentError       the source allows no more for hours
    │   └── PassingError          asking again may help
    │       ├── PayloadError      a response is not what the source documents
    │       └── UnavailableError  the source failed, could not be reached, or asks to slow down
    ├── ModelError                a model file is wrong, or fails to build
    │   └── AuditError            a model built, and its data broke a promise
    ├── LossError                 a build would lose much of what is published
    └── WindowError               a training window cannot be cut as asked
        └── NoTrainValueError     a column cannot be scaled: train has no value of it

Messages say what happened, to what, and what to do next. They never hold an API key.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from energywh.core.printable import MESSAGE_CHARS, printable


class EnergywhError(Exception):
    """Base of all errors raised on purpose; its text is meant for the person at the terminal."""

    exit_code = 1


class UsageError(EnergywhError):
    """The request itself is wrong; nothing was done."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting is misspelt, of the wrong type, or missing."""


class UnknownNameError(UsageError):
    """A region, dataset, model or column that does not exist."""


class StorageError(EnergywhError):
    """A folder or file cannot be read or written."""


class LockedError(StorageError):
    """Another process held a database for longer than we were willing to wait."""


class CorruptError(StorageError):
    """A file is not what its name says."""


class SourceError(EnergywhError):
    """An outside system did not give what was asked, after all retries. What the message quotes is made printable."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message, MESSAGE_CHARS))


class RefusedError(SourceError):
    """The source rejects the request itself: asking again cannot help."""


class KeyRefusedError(RefusedError):
    """The source rejects the key: every other request will fail too."""


class NotReadyError(SourceError):
    """The source does not have it yet: the next sync asks again."""


class LimitSpentError(SourceError):
    """What the source allows in a day, or an hour, is used up; a later sync fetches the rest."""


class PassingError(SourceError):
    """A temporary fault: asking again may help."""


class PayloadError(PassingError):
    """A response is not what the source documents: truncated, contradictory, or another system's page."""


class UnavailableError(PassingError):
    """The source failed, could not be reached, or asks to slow down.

    Attributes:
        retry_after_seconds: how long it asks to wait, where it says.
    """

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ModelError(EnergywhError):
    """A model file is wrong, or fails to build."""


class AuditError(ModelError):
    """A model built, and its data broke a promise made in its front matter."""


class LossError(EnergywhError):
    """A new version would lose much of what the published one holds, so it was not published."""


class WindowError(EnergywhError):
    """A training window cannot be cut as asked."""


class NoTrainValueError(WindowError):
    """Columns cannot be scaled: they have no value in the train split, though later or elsewhere.

    Attributes:
        columns: their names.
    """

    def __init__(self, columns: Iterable[str]) -> None:
        self.columns = tuple(columns)
        super().__init__(
            f"{', '.join(self.columns)} cannot be scaled: no value at all in the train split, though later or "
            "elsewhere; leave it out of the features, or move the split"
        )


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean X, Y or Z?"`` for the nearest known names, or an empty string.

    Names that hold the same letters in another order (SPP, SWPP) count as near.
    """
    by_folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(wrong.casefold(), by_folded, n=3, cutoff=0.55)
    if not near:
        return ""
    *others, last = [by_folded[name] for name in near]
    return f"; did you mean {', '.join(others)} or {last}?" if others else f"; did you mean {last}?"
