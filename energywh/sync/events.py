"""The events of a sync. A listener is a function that takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from energywh.config.settings import Settings
    from energywh.sync.result import SyncResult
    from energywh.sync.selection import Selection


@dataclass(frozen=True)
class SyncStarted:
    """A sync of ``selection`` begins; `SyncEnded` or `SyncFailed` is its last event."""

    settings: Settings
    selection: Selection


@dataclass(frozen=True)
class SyncEnded:
    """A sync ended; parts of it may have failed."""

    result: SyncResult


@dataclass(frozen=True)
class SyncFailed:
    """A sync ended with an exception."""

    error: BaseException


SyncEvent = SyncStarted | SyncEnded | SyncFailed
SyncListener = Callable[[SyncEvent], None]
