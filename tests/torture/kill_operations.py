"""Kill a command before each of its file operations."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

from tests.torture import commands, ground
from tests.torture.operations import can_watch
from tests.torture.scenarios import SCENARIOS, Rehearsed, rehearse
from tests.torture.trial import Part, Trial


def needs_watching() -> str:
    return "" if can_watch() else "needs Linux with seccomp's user notifications"


def _kill(rehearsed: Rehearsed, number: int, folder: Path) -> dict[str, int]:
    home = rehearsed.fresh(f"{folder.name}/case")
    killed = rehearsed.ground.run(home, *rehearsed.scenario.words, kill_before=number, root=home)
    assert killed.status in (0, -signal.SIGKILL), f"it ends by itself: {killed}"
    rehearsed.check_between(home)
    rehearsed.check_end(home)
    return {f"kills of {rehearsed.scenario.name}": int(killed.status != 0)}


def _run(trial: Trial) -> None:
    commands.preload()
    base = ground.prepare(trial.folder)
    try:
        cases = []
        for scenario in SCENARIOS:
            if trial.only is None or trial.only.startswith(f"{scenario.name}:"):
                rehearsed = rehearse(base, scenario)
                numbers = range(len(rehearsed.operations))
                cases += [(f"{scenario.name}:{number}", partial(_kill, rehearsed, number)) for number in numbers]
        trial.each(trial.sample(cases) if trial.only is None else cases)
    finally:
        base.close()


PART = Part(
    name="kill-operations",
    promise="A sync, build, export, dataset or replay that is killed before any of its file operations loses nothing "
    "and doubles nothing: readers see the old or the new whole, the next run succeeds and ends in the same data.",
    unit="kills",
    standard=2000,  # all: there are about 1,000
    small=35,
    run=_run,
    needs=needs_watching,
)
