"""`energywh --help` against `python -c "import click"`: run `python -m tests.benchmarks.startup`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

REPEATS = 21


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    program = str(Path(sys.executable).with_name("energywh"))
    ours, theirs = [], []
    for number in range(REPEATS + 1):
        pair = seconds([program, "--help"]), seconds([sys.executable, "-c", "import click"])
        if number:  # the first round warms the disk
            ours.append(pair[0])
            theirs.append(pair[1])
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    print(f"energywh --help        {statistics.median(ours) * 1000:6.0f} ms")
    print(f"python -c import click {statistics.median(theirs) * 1000:6.0f} ms")
    print(f"ratio {ratio:.2f}x (median of {REPEATS} pairs)")


if __name__ == "__main__":
    main()
