"""Run commands in forked processes that start with everything imported, undisturbed or disturbed.

The process that forks must have no threads: whatever uses DuckDB, Arrow's pool or a server runs in a child.
"""

from __future__ import annotations

import errno
import importlib
import multiprocessing
import os
import pkgutil
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.torture.operations import Operation, answer_all, be_watched

SECONDS = 120.0  # after which a command counts as hanging
HANGS = -999


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status, negative for a signal, what it printed, and its file operations."""

    status: int
    printed: str
    operations: list[Operation] = field(default_factory=list, repr=False)
    refused: Operation | None = None  # the first that was refused for lack of room

    @property
    def has_traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.printed

    def __str__(self) -> str:
        how = "hangs" if self.status == HANGS else f"exit status {self.status}"
        return f"{how}: {self.printed.strip()[-600:]}"


def needs_linux() -> str:
    """Return why commands cannot be run here; empty if they can."""
    return "" if hasattr(os, "pidfd_open") and hasattr(os, "memfd_create") else "needs Linux"


def preload() -> None:
    """Import what commands need, so that forked processes have it."""
    for library in ("duckdb", "pyarrow.compute", "sqlglot", "energywh"):
        importlib.import_module(library)
    for package in ("energywh.cli", "energywh.sync", "energywh.models", "energywh.datasets.stored", "energywh.sources"):
        folder = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(folder, f"{package}."):
            importlib.import_module(module.name)


def _child(link: socket.socket | None, environment: Mapping[str, str], words: tuple[str, ...], log: int) -> None:
    """Be a command: never returns."""
    status = 70
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for stream, target in ((0, nothing), (1, log), (2, log)):
            os.dup2(target, stream)
        os.environ.clear()
        os.environ.update({name: value for name, value in environment.items() if name != "TORTURE_SQL"})
        sys.argv = ["energywh", *words]
        _hurry()
        if "TORTURE_SQL" in environment:
            _use_models(Path(environment["TORTURE_SQL"]))
        if link is not None:
            be_watched(link)
        from energywh.cli import main

        main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _hurry() -> None:
    """Land at once and retry at once, so that there are many instants at which to disturb a sync."""
    from energywh.sync import fetcher, runner, worker

    runner.LAND_EVERY_SECONDS, worker.CLAIMS_AHEAD = 0.02, 3
    fetcher._BACK_OFF = lambda state: 0.0  # type: ignore[assignment]


def _use_models(folder: Path) -> None:
    """Build the models of a folder instead of those that ship."""
    for name, module in list(sys.modules.items()):
        if name.startswith("energywh.models") and hasattr(module, "sql_dir"):
            vars(module)["sql_dir"] = lambda: folder


def run(
    environment: Mapping[str, str],
    *words: str,
    kill_before: int | None = None,
    full_from: int | None = None,
    kill_after_seconds: float | None = None,
    root: Path | None = None,
    seconds: float = SECONDS,
) -> Ended:
    """Run `energywh` with the words.

    Args:
        kill_before: number of the file operation below ``root`` before which the process is killed, from 0.
        full_from: number of the file operation from which on those that need room fail with ENOSPC.
        kill_after_seconds: moment at which the process is killed, if it has not ended.
        root: folder whose operations are watched; None watches none.
    """
    here, there = socket.socketpair() if root is not None else (None, None)
    log = os.memfd_create("printed")
    child = os.fork()
    if child == 0:
        if here is not None:
            here.close()
        _child(there, environment, words, log)
    operations: list[Operation] = []
    refused: list[Operation] = []

    def answer(operation: Operation) -> int:
        if _changes_nothing(operation):
            return 0
        if len(operations) == kill_before:
            os.kill(child, signal.SIGKILL)
        operations.append(operation)
        if full_from is not None and len(operations) > full_from and operation.needs_room:
            refused.append(operation)
            return errno.ENOSPC
        return 0

    ended = True
    if here is not None and there is not None and root is not None:
        there.close()
        with suppress(ValueError):  # the child ended before it could send its descriptor
            ended = answer_all(here, root, answer, seconds)
        here.close()
    status = _wait(child, kill_after_seconds if kill_after_seconds is not None else seconds)
    if status == HANGS or not ended:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        if status == HANGS:
            os.waitpid(child, 0)
        status = -signal.SIGKILL if kill_after_seconds is not None else HANGS
    os.lseek(log, 0, os.SEEK_SET)
    with os.fdopen(log, "rb") as file:
        printed = file.read().decode("utf-8", "replace")
    return Ended(status, printed, operations, refused[0] if refused else None)


def _changes_nothing(operation: Operation) -> bool:
    """Return whether a folder is made that is there, or SQLite writes what its processes share and no other reads."""
    is_there = operation.name.startswith("mkdir") and operation.path.exists()
    return is_there or operation.path.name.endswith(".sqlite-shm")


def _wait(child: int, seconds: float) -> int:
    """Return the exit status of a child, or `HANGS` if it has none after ``seconds``."""
    pidfd = os.pidfd_open(child)
    try:
        if not select.select([pidfd], [], [], seconds)[0]:
            return HANGS
    finally:
        os.close(pidfd)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def call(function: Callable[..., Any], *arguments: Any, seconds: float = SECONDS) -> Any:
    """Return what a function returns that runs in a child of its own; its exception comes as an AssertionError."""
    receiving, sending = multiprocessing.Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        receiving.close()
        _answer_call(sending, function, arguments)
    sending.close()
    try:
        if not receiving.poll(seconds):
            os.kill(child, signal.SIGKILL)
            raise AssertionError(f"{function.__name__} hangs")
        is_well, result = receiving.recv()
    except EOFError:
        raise AssertionError(f"{function.__name__} died") from None
    finally:
        receiving.close()
        os.waitpid(child, 0)
    assert is_well, result
    return result


def _answer_call(sending: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        sending.send((True, function(*arguments)))
    except BaseException as error:
        with suppress(BaseException):
            sending.send((False, f"{type(error).__name__}: {error}"))
    finally:
        os._exit(0)


def background(function: Callable[[Connection], None]) -> tuple[int, Connection]:
    """Run a function in a child until it is killed; it gets one end of a pipe, and the other is returned."""
    here, there = multiprocessing.Pipe()
    child = os.fork()
    if child == 0:
        here.close()
        try:
            function(there)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    there.close()
    return child, here


def end(child: int) -> None:
    """Kill a child that `background` started."""
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(child, 0)


def wait_until(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait for something that another process does."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it does not happen"
        time.sleep(0.01)
