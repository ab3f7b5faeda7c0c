"""The commands that are disturbed: what each begins from, what may be seen meanwhile, and what it has to end in."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.torture import commands
from tests.torture.ground import (
    DATASET,
    DATASETS,
    REGIONS,
    Ground,
    dataset_of,
    exported_of,
    ledger_of,
    leftovers_of,
    published_of,
    staging_of,
)
from tests.torture.operations import Operation

View = Callable[[Path], Any]


@dataclass(frozen=True)
class Scenario:
    """A command on a state of the ground.

    Attributes:
        view: what people see of its result.
        partly: whether it may be seen in part (a sync lands chunk by chunk); else it is the old or the new.
    """

    name: str
    state: str
    words: tuple[str, ...]
    view: View
    partly: bool = False


SCENARIOS = (
    Scenario("sync", "nothing", ("sync", *DATASETS, *REGIONS, "--until", "2024-03-02"), staging_of, partly=True),
    Scenario("files", "nothing", ("sync", "eia_files.subregion", "--since", "2025-11-01"), staging_of, partly=True),
    Scenario("update", "two_days", ("sync", *DATASETS, *REGIONS, "--until", "2024-03-03"), staging_of, partly=True),
    Scenario("build", "three_days", ("build",), published_of),
    Scenario("export", "published", ("export", "--all"), exported_of, partly=True),
    Scenario("dataset", "published", DATASET, dataset_of),
    Scenario("replay", "three_days", ("replay",), staging_of),
)


@dataclass
class Rehearsed:
    """A scenario after an undisturbed run: what was seen before and after it, and its file operations."""

    scenario: Scenario
    ground: Ground
    before: Any
    after: Any
    operations: list[Operation] = field(repr=False)
    statuses: dict[str, int]  # of chunks, after it
    seconds: float = 0.0

    def fresh(self, name: str = "case") -> Path:
        return self.ground.copy(self.scenario.state, name)

    def check_between(self, home: Path) -> None:
        """Check what a reader sees after a disturbed run, before the next.

        Raises:
            AssertionError: it is neither the old nor the new, nor whole pieces of it.
        """
        if self.before is None and not _is_there(self.scenario, home):
            return
        seen = commands.call(self.scenario.view, home)
        if not self.scenario.partly:
            assert seen in (self.before, self.after), "a reader sees neither the old nor the new"
            return
        before = self.before or {}
        for name, rows in seen.items():
            old, new = before.get(name, []), self.after.get(name)
            assert new is not None, f"{name} is seen, which is there neither before nor after"
            if self.scenario.view is exported_of:
                assert rows in (old, new), f"{name} is neither the old nor the new"
            else:
                assert set(old) <= set(rows) <= set(new) | set(old), f"{name} has other rows than before or after"
        assert set(before) <= set(seen), f"{sorted(set(before) - set(seen))} are gone"

    def check_end(self, home: Path) -> None:
        """Run the command again, undisturbed, and check that the result is that of an undisturbed run.

        Raises:
            AssertionError: it fails, ends in other data, or leaves hidden files.
        """
        for path in leftovers_of(home):  # which another process might be at, were they not old
            os.utime(path, (0, 0), follow_symlinks=False)
        done = self.ground.run(home, *self.scenario.words)
        assert done.status == 0, f"the next run fails: {done}"
        assert commands.call(self.scenario.view, home) == self.after, "the next run ends in other data"
        if self.scenario.view is staging_of:
            statuses = commands.call(ledger_of, home)
            assert statuses == self.statuses, f"the next run ends in other states of chunks: {statuses}"
        left = leftovers_of(home)
        assert not left, f"hidden files are left: {', '.join(str(path.relative_to(home)) for path in left[:3])}"


def _is_there(scenario: Scenario, home: Path) -> bool:
    return scenario.view is not staging_of or (home / "warehouse" / "staging.duckdb").exists()


def rehearse(ground: Ground, scenario: Scenario) -> Rehearsed:
    """Run a scenario undisturbed, and note its result."""
    home = ground.copy(scenario.state, "rehearsal")
    before = None if scenario.state == "nothing" else commands.call(scenario.view, home)
    watched = ground.run(home, *scenario.words, root=home)
    assert watched.status == 0, f"{scenario.name}: {watched}"
    after = commands.call(scenario.view, home)
    assert after != before or scenario.name == "replay", f"{scenario.name} changes nothing"
    statuses = commands.call(ledger_of, home)
    home = ground.copy(scenario.state, "rehearsal")
    began = time.monotonic()
    assert ground.run(home, *scenario.words).status == 0
    return Rehearsed(scenario, ground, before, after, watched.operations, statuses, time.monotonic() - began)
