"""Let the disk be full from each file operation of a command on."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from tests.torture import commands, ground
from tests.torture.kill_operations import needs_watching
from tests.torture.scenarios import SCENARIOS, Rehearsed, rehearse
from tests.torture.trial import Part, Trial

TOLD = re.compile(r"no room|no space left|disk is full|make room|free (some )?space", re.IGNORECASE)


def _fill(rehearsed: Rehearsed, number: int, folder: Path) -> dict[str, int]:
    home = rehearsed.fresh(f"{folder.name}/case")
    done = rehearsed.ground.run(home, *rehearsed.scenario.words, full_from=number, root=home)
    assert not done.has_traceback, f"a traceback at {done.refused}: {done}"
    assert done.status in (0, 1), f"at {done.refused}: {done}"
    if done.status == 0 and done.refused is not None:
        assert commands.call(rehearsed.scenario.view, home) == rehearsed.after, f"success without data: {done.refused}"
    if done.status == 1:
        assert TOLD.search(done.printed), f"the message does not name the full disk, at {done.refused}: {done}"
    rehearsed.check_between(home)
    rehearsed.check_end(home)
    return {f"refusals of {rehearsed.scenario.name}": int(done.status != 0)}


def _run(trial: Trial) -> None:
    commands.preload()
    base = ground.prepare(trial.folder)
    try:
        cases = []
        for scenario in SCENARIOS:
            if trial.only is None or trial.only.startswith(f"{scenario.name}:"):
                rehearsed = rehearse(base, scenario)
                needing = [place for place, one in enumerate(rehearsed.operations) if one.needs_room]
                cases += [(f"{scenario.name}:{number}", partial(_fill, rehearsed, number)) for number in needing]
        trial.each(trial.sample(cases) if trial.only is None else cases)
    finally:
        base.close()


PART = Part(
    name="full-disk",
    promise="A disk that is full from any file operation on ends the command with a message that says so; readers see "
    "the old or the new whole, and the next run with room ends in the same data.",
    unit="full disks",
    standard=1000,  # all: there are about 700
    small=21,
    run=_run,
    needs=needs_watching,
)
