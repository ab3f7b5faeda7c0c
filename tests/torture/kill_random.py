"""Kill a command at a random instant."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

from tests.torture import commands, ground
from tests.torture.scenarios import SCENARIOS, Rehearsed, rehearse
from tests.torture.trial import Part, Trial

MOST_KILLS = 4  # in a row, before the command may end


def _kill(rehearsed: Rehearsed, trial: Trial, number: int, folder: Path) -> dict[str, int]:
    draw = trial.draw(rehearsed.scenario.name, number)
    home = rehearsed.fresh(f"{folder.name}/case")
    kills = 0
    for _ in range(draw.randint(1, MOST_KILLS)):
        moment = draw.uniform(0, rehearsed.seconds)
        killed = rehearsed.ground.run(home, *rehearsed.scenario.words, kill_after_seconds=moment)
        assert killed.status in (0, -signal.SIGKILL), f"it ends by itself: {killed}"
        kills += killed.status != 0
        rehearsed.check_between(home)
    rehearsed.check_end(home)
    return {f"kills of {rehearsed.scenario.name}": kills}


def _run(trial: Trial) -> None:
    commands.preload()
    base = ground.prepare(trial.folder)
    try:
        rehearsed = [rehearse(base, scenario) for scenario in SCENARIOS]
        names = [(rehearsed[number % len(rehearsed)], number) for number in range(trial.number)]
        trial.each([(f"{one.scenario.name}:{number}", partial(_kill, one, trial, number)) for one, number in names])
    finally:
        base.close()


PART = Part(
    name="kill-random",
    promise="A command that is killed at a random instant, up to four times in a row, loses nothing and "
    "doubles nothing.",
    unit="runs",
    standard=105,
    small=7,
    run=_run,
    needs=commands.needs_linux,
)
