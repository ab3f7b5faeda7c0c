"""Sync, build and export in a loop, for near-real-time use. A failed round is reported, and the next one starts."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from energywh.config.settings import Settings
from energywh.core.time import RunClock, hour_number, utc_now
from energywh.core.wording import count
from energywh.errors import EnergywhError

if TYPE_CHECKING:
    from energywh.sync.selection import Selection

Say = Callable[[str], None]


@dataclass(frozen=True)
class Round:
    """How a round ended: what each step did, or why it failed."""

    number: int
    lines: tuple[str, ...]
    failures: tuple[str, ...]
    seconds: float
    interrupted: bool = False


class Stopping:
    """A request to stop: a landing under way is finished; a build or export is abandoned and leaves no trace."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.signal: int | None = None
        self.landing = False  # then sync itself checks the event, and stops after its landing

    def handle(self, number: int, frame: object) -> None:
        again, self.signal = self.signal is not None, number
        self.event.set()
        if again or not self.landing:
            raise KeyboardInterrupt

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Treat SIGINT and SIGTERM as a request to stop while the block runs."""
        before = {number: signal.signal(number, self.handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def watch(
    settings: Callable[[], Settings],
    selection: Selection,
    *,
    every_seconds: float,
    export: bool = True,
    rounds: int = 0,
    stopping: Stopping | None = None,
    on_round: Callable[[Round], None] = lambda _: None,
    say: Say = lambda _: None,
) -> int:
    """Run rounds until asked to stop; return how many of them failed.

    Args:
        settings: loads the settings, again for each round: a changed `energywh.toml` holds from the next one on.
        selection: what to sync.
        every_seconds: from the start of one round to the start of the next; a round that takes longer is followed
            by the next at once.
        export: write Parquet too.
        rounds: stop after this many; 0 runs until asked to stop.
    """
    stopping = stopping or Stopping()
    failed = number = 0
    with stopping.on_signals():
        try:
            while not stopping.event.is_set():
                number += 1
                began = time.monotonic()
                lines, failures = _round(settings, selection, export, stopping, say)
                seconds, stopped = time.monotonic() - began, stopping.event.is_set()
                on_round(Round(number, tuple(lines), tuple(failures), seconds, stopped))
                failed += bool(failures)
                if number == rounds:
                    break
                # In short waits: on some systems an endless wait keeps signals from being handled.
                while (left := began + every_seconds - time.monotonic()) > 0 and not stopping.event.is_set():
                    stopping.event.wait(min(left, 1.0))
        except KeyboardInterrupt:
            say("stopped; what was published stays as it is")
    return failed


def first_round(settings: Settings, selection: Selection) -> tuple[int, float]:
    """Return how many requests the first round will make, and how many seconds they take at the limits of the sources.

    Raises:
        EnergywhError: as a sync of the selection.
    """
    from energywh.sync.planner import dry_run
    from energywh.sync.selection import resolve

    now = utc_now()
    _, total = dry_run(settings, resolve(selection, settings, hour_number(now)), now=now)
    return total.chunks, total.seconds_at_limit


def _round(
    settings: Callable[[], Settings], selection: Selection, export: bool, stopping: Stopping, say: Say
) -> tuple[list[str], list[str]]:
    """Run the steps of one round. After a step that fails, the next works on what is there."""
    clock = RunClock(utc_now())
    say(f"{clock.started:%Y-%m-%dT%H:%M} UTC")
    steps: list[tuple[str, Callable[[Settings, Stopping, Say], str]]] = [
        ("sync", partial(_sync, selection, clock)),
        ("build", partial(_build, clock)),
    ]
    if export:
        steps.append(("export", _export))
    lines: list[str] = []
    failures: list[str] = []
    for name, step in steps:
        if stopping.event.is_set():
            break
        try:
            lines.append(f"{name}: {step(settings(), stopping, say)}")
        except EnergywhError as error:
            failures.append(f"{name}: {error}")
        except OSError as error:
            failures.append(f"{name}: {error.strerror or type(error).__name__}")
        except Exception as error:  # a failed round must not end the loop
            failures.append(f"{name}: unexpected {type(error).__name__}; please report it")
    return lines, failures


def _sync(selection: Selection, clock: RunClock, settings: Settings, stopping: Stopping, say: Say) -> str:
    from energywh.integrations.openlineage import sync_listeners
    from energywh.sync.runner import sync

    listeners = sync_listeners(settings, say)
    stopping.landing = True
    try:
        result = sync(
            settings, selection, reporter=_Words(say), stop=stopping.event, listeners=listeners, now=clock.now()
        )
    finally:
        stopping.landing = False
    rows, new, changed = (
        sum(getattr(tally.counts, name) for tally in result.tallies) for name in ("rows", "new", "changed")
    )
    summary = f"{count(result.requests, 'request')}, {count(rows, 'row')}: {new:,} new, {changed:,} changed"
    summary += "".join(f"; {text}" for text in result.spent)
    if result.errors:
        more = f" (and {len(result.errors) - 1} more)" if len(result.errors) > 1 else ""
        raise EnergywhError(f"{summary}; failed: {result.errors[0]}{more}")
    return summary


def _build(clock: RunClock, settings: Settings, stopping: Stopping, say: Say) -> str:
    from energywh.integrations.openlineage import build_listeners
    from energywh.models.build.events import messages_to
    from energywh.models.build.options import BuildOptions
    from energywh.models.build.runner import build

    listeners = [*build_listeners(settings, say), messages_to(say)]
    report = build(settings.home, options=BuildOptions.of(settings), listeners=listeners, now=clock.now())
    if report.published:
        summary = f"published {report.version} in {report.seconds:.1f} s"
    else:
        summary = f"nothing new; {report.version} stays published"
    if report.left_out:
        raise EnergywhError(f"{summary}; of your own models, {', '.join(report.left_out)} failed and are left out")
    return summary


def _export(settings: Settings, stopping: Stopping, say: Say) -> str:
    from energywh.core.interrupt import interruptible
    from energywh.datasets.parquet_export import export_models
    from energywh.warehouse import Warehouse

    with Warehouse(settings.home) as warehouse, interruptible(warehouse.connection):
        done = list(
            export_models(
                warehouse.connection,
                settings.home,
                None,
                wait_seconds=settings.get("lock.wait_seconds"),
                on_wait=say,
            )
        )
    written, damaged = sum(each.written for each in done), sum(len(each.damaged) for each in done)
    mended = f" ({damaged:,} had been changed or removed)" if damaged else ""
    return f"{count(written, 'file')} written{mended}, {sum(each.skipped for each in done):,} unchanged"


class _Words:
    """A reporter that passes on messages and no progress: a loop writes to a log."""

    def __init__(self, say: Say) -> None:
        self.say = say

    def start(self, tallies: object) -> None: ...
    def update(self, tallies: object, speed: object) -> None: ...
    def stop(self) -> None: ...
