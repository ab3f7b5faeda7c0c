"""Processes that run a command and are killed; they are forked from a running server to save time."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping
from multiprocessing.process import BaseProcess

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "energywh.cli.sync",
        "energywh.cli.replay",
        "energywh.sync.runner",
        "energywh.sync.replay",
        "energywh.sources.arrow.columns",
        "duckdb",
        "pyarrow.compute",
        "pandas",  # DuckDB imports it where it is installed
        __name__,
    ]
)


def start(environment: Mapping[str, str], *words: str, hasty: bool = True) -> BaseProcess:
    """Run `energywh` with the words in a process of its own.

    Args:
        hasty: claim few chunks at a time and land them at once, so that there are many instants to die at.
    """
    process = _CONTEXT.Process(target=_run, args=(dict(environment), words, hasty), daemon=True)
    process.start()
    return process


def _run(environment: dict[str, str], words: tuple[str, ...], hasty: bool) -> None:
    from energywh.cli import main
    from energywh.sync import runner as run
    from energywh.sync import worker as lane

    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.environ.clear()
    os.environ.update(environment)
    if hasty:
        run.LAND_EVERY_SECONDS, lane.CLAIMS_AHEAD = 0.02, 3
    sys.argv = ["energywh", *words]
    main()
