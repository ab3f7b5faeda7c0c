"""The events of a build. A listener is a function that takes them; it may raise to stop the build."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from energywh.core.paths import Home
    from energywh.models.build.materialize import ModelResult
    from energywh.models.build.report import BuildReport
    from energywh.models.build.table_loss import TableLoss
    from energywh.models.project.graph import Graph


@dataclass(frozen=True)
class BuildMessage:
    """A sentence for the user, such as what the build waits for."""

    text: str


@dataclass(frozen=True)
class BuildStarted:
    """A build begins; `BuildEnded` or `BuildFailed` is its last event."""

    home: Home


@dataclass(frozen=True)
class ModelsLinked:
    """The models are read and in order; none is built yet."""

    graph: Graph


@dataclass(frozen=True)
class ModelStarted:
    """The model ``name``, number ``position`` of ``total``, is being brought up to date."""

    name: str
    position: int
    total: int


@dataclass(frozen=True)
class ModelEnded:
    """A model is up to date."""

    result: ModelResult


@dataclass(frozen=True)
class ModelLeftOut:
    """A model or seed of the user's own is left out of the version."""

    name: str
    reason: str


@dataclass(frozen=True)
class BuildRefused:
    """The version is complete, and is not published because it would lose these rows; `BuildFailed` follows."""

    losses: list[TableLoss]


@dataclass(frozen=True)
class BuildEnded:
    """The build succeeded: what it built is published."""

    report: BuildReport


@dataclass(frozen=True)
class BuildFailed:
    """The build failed or was interrupted: nothing is published."""

    error: BaseException


BuildEvent = (
    BuildMessage
    | BuildStarted
    | ModelsLinked
    | ModelStarted
    | ModelEnded
    | ModelLeftOut
    | BuildRefused
    | BuildEnded
    | BuildFailed
)
BuildListener = Callable[[BuildEvent], None]


class Emitter:
    """Hands each event to every listener, in their order."""

    def __init__(self, listeners: Iterable[BuildListener] = ()) -> None:
        self._listeners = tuple(listeners)

    def __call__(self, event: BuildEvent) -> None:
        for listener in self._listeners:
            listener(event)

    def say(self, text: str) -> None:
        """Emit a message."""
        self(BuildMessage(text))


def messages_to(say: Callable[[str], None]) -> BuildListener:
    """Return a listener that passes on messages only, among them which models are left out and why."""

    def listener(event: BuildEvent) -> None:
        if isinstance(event, BuildMessage):
            say(event.text)
        elif isinstance(event, ModelLeftOut):
            say(f"left out {event.name}: {event.reason}")

    return listener
