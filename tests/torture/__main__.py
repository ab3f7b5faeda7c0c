"""`python -m tests.torture`: run the parts, print one table, and exit 1 if anything failed."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.torture.document import write_document
from tests.torture.parts import BY_NAME, PARTS
from tests.torture.table import table
from tests.torture.trial import Part, PartResult, Trial, run_part

ROOT = Path(__file__).parents[2]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART[=NUMBER]", help=f"{', '.join(BY_NAME)} [all]")
    parser.add_argument("--small", action="store_true", help="try as few of each as the test suite does")
    parser.add_argument("--seed", type=int, default=20261130, help="of all that is left to chance [%(default)s]")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="processes at once [%(default)s]")
    parser.add_argument("--case", metavar="CASE", help="run one case of one part alone, as a failure names it")
    parser.add_argument("--folder", type=Path, help="where homes are made, and stay [a temporary folder]")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the promises with their numbers")
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    options = _options()
    chosen: list[tuple[Part, int]] = []
    for word in options.parts or BY_NAME:
        name, _, number = word.partition("=")
        if name not in BY_NAME:
            print(f"no part is named '{name}'; there are {', '.join(BY_NAME)}", file=sys.stderr)
            return 2
        part = BY_NAME[name]
        chosen.append((part, int(number) if number else part.small if options.small else part.standard))
    if options.write and len(chosen) < len(PARTS):
        print("--write needs all parts: what was not run is not promised", file=sys.stderr)
        return 2
    if options.result:
        return _run_here(*chosen[0], options)
    results = []
    for part, number in chosen:
        results.append(
            run_apart(part, number, seed=options.seed, jobs=options.jobs, case=options.case, folder=options.folder)
        )
        print(table(results[-1:], head=len(results) == 1), flush=True)
        for case, error in results[-1].failures:
            again = f"python -m tests.torture {part.name} --case {case} --seed {options.seed}"
            print(f"    {case}: {error}\n        {again}", flush=True)
    failed = any(result.failures for result in results)
    if options.write and not failed:
        write_document(options.write, PARTS, results, options.seed)
    return int(failed)


def _run_here(part: Part, number: int, options: argparse.Namespace) -> int:
    """Run one part in this process and write its result to a file."""
    folder = options.folder or Path(tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix=f"torture-{part.name}-", dir=folder) as own:
        trial = Trial(part.name, Path(own), number, options.seed, options.jobs, options.case)
        result = run_part(part, trial)
        if options.case and not trial.tried and not result.missing:
            result.failures.append((options.case, "there is no such case"))
    options.result.write_text(json.dumps(asdict(result)))
    return 0


def run_apart(
    part: Part, number: int, *, seed: int, jobs: int, case: str | None = None, folder: Path | None = None
) -> PartResult:
    """Run one part in a process of its own, whose memory and that of its children is measured."""
    with tempfile.TemporaryDirectory(prefix="torture-") as own:
        file = Path(own) / "result.json"
        words = [f"{part.name}={number}", "--seed", str(seed), "--jobs", str(jobs), "--result", str(file)]
        words += ["--case", case] if case else []
        words += ["--folder", str(folder)] if folder else []
        process = subprocess.Popen([sys.executable, "-m", "tests.torture", *words], cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if not file.exists():
            return PartResult(part.name, 0, [("-", f"the part ended with exit status {process.returncode}")], 0.0, {})
        found = json.loads(file.read_text())
        found["failures"] = [tuple(failure) for failure in found["failures"]]
        found |= {"peak_bytes": usage.ru_maxrss * 1024, "cpu_seconds": usage.ru_utime + usage.ru_stime}
        return PartResult(**found)


if __name__ == "__main__":
    sys.exit(main())
