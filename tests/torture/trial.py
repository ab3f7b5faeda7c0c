"""What a part of the torture is, and how its cases are run and counted."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

Case = Callable[[Path], Any]  # gets a folder of its own worker; returns what is counted, by name; raises where it fails
STALL_SECONDS = 1200.0  # without the end of any case


@dataclass(frozen=True)
class Part:
    """One kind of disturbance.

    Attributes:
        name: as on the command line.
        promise: what is promised, for the document.
        unit: what is counted as tried.
        standard, small: how many are tried by default, and in the test suite.
        run: makes the cases and has a trial run them.
        needs: returns why the part cannot run on this system; empty if it can.
    """

    name: str
    promise: str
    unit: str
    standard: int
    small: int
    run: Callable[[Trial], None]
    needs: Callable[[], str] = lambda: ""


@dataclass
class Trial:
    """One run of a part."""

    part: str
    folder: Path
    number: int
    seed: int
    jobs: int = 1
    only: str | None = None  # the one case that is to run
    tried: int = 0
    counts: Counter[str] = field(default_factory=Counter)  # further figures, by name
    failures: list[tuple[str, str]] = field(default_factory=list)  # case, error

    def draw(self, *what: object) -> random.Random:
        """Return a source of chance that depends only on the seed and on what it is for."""
        return random.Random(f"{self.seed} {self.part} {' '.join(map(str, what))}")

    def sample(self, cases: Sequence[Any], number: int | None = None) -> Sequence[Any]:
        """Return as many of the cases as are wanted, evenly spread."""
        number = self.number if number is None else number
        if len(cases) <= number:
            return cases
        return [cases[place * len(cases) // number] for place in range(number)]

    def each(self, cases: Sequence[tuple[str, Case]]) -> None:
        """Run the cases in some processes, and count what fails."""
        if self.only is not None:
            cases = [case for case in cases if case[0] == self.only]
        jobs = max(1, min(self.jobs, len(cases)))
        shares = [cases[job::jobs] for job in range(jobs)]
        children = dict(self._worker(share, self.folder / f"worker-{job}") for job, share in enumerate(shares))
        left = dict(zip(children, map(len, shares), strict=True))
        while children:
            ready = wait(list(children), STALL_SECONDS)
            if not ready:
                self.fail("-", f"no case ended within {STALL_SECONDS:,.0f} s")
                for child in children.values():
                    os.kill(child, signal.SIGKILL)
            for link in ready:
                assert isinstance(link, Connection)
                try:
                    name, error, counts = link.recv()
                except EOFError:
                    os.waitpid(children.pop(link), 0)
                    if left[link]:
                        self.fail("-", f"a worker ended before {left[link]:,} of its cases")
                    continue
                left[link] -= 1
                self.tried += 1
                self.counts.update(counts)
                if error:
                    self.fail(name, error)

    def fail(self, case: str, error: str) -> None:
        self.failures.append((case, error))

    def _worker(self, cases: Sequence[tuple[str, Case]], folder: Path) -> tuple[Connection, int]:
        here, there = Pipe(duplex=False)
        child = os.fork()
        if child:
            there.close()
            return here, child
        here.close()
        status = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, case in cases:
                there.send((name, *_outcome(partial(case, folder))))
        except BrokenPipeError:
            status = 1
        finally:
            there.close()
            os._exit(status)


def _outcome(case: Callable[[], Any]) -> tuple[str, dict[str, int]]:
    """Return the error of a case, empty if it went well, and its counts."""
    try:
        found = case()
    except AssertionError as error:
        return str(error) or "an assertion fails", {}
    except Exception as error:
        return f"{type(error).__name__}: {error}", {}
    return "", found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class PartResult:
    """What a part came to."""

    part: str
    tried: int
    failures: list[tuple[str, str]]
    seconds: float
    counts: dict[str, int]
    missing: str = ""  # why it did not run
    peak_bytes: int = 0
    cpu_seconds: float = 0.0  # of all processes of the part, but for servers that were still running


def run_part(part: Part, trial: Trial) -> PartResult:
    """Run a part in this process."""
    if missing := part.needs():
        return PartResult(part.name, 0, [], 0.0, {}, missing)
    began = time.monotonic()
    part.run(trial)
    seconds = time.monotonic() - began
    return PartResult(part.name, trial.tried, trial.failures, seconds, dict(trial.counts))
