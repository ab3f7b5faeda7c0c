"""A desk: a warehouse folder, the API that it syncs from, and the environment of commands run there."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from energywh.cli import main
from energywh.config.settings import Settings
from energywh.core import time
from energywh.core.paths import Home
from energywh.simulate.server import Simulator
from energywh.sources import load_settings
from energywh.sync.runner import SyncResult, sync
from energywh.sync.selection import parse_selection

NOW = "2026-01-01T00"  # of a simulator whose clock stands: all of 2024 is published and settled
PRESENT_HOUR = time.hour_number(time.parse_hour(NOW))
KEY = "Zx81kT0pSecretKeyOfTheDesk0123456789abcd"  # as long as a real one, and not a word of the data


@dataclass(frozen=True)
class Desk:
    """Environment of commands, set for tests: no rate limit, short waits, and only EIA's API."""

    folder: Path  # of the test: home and state lie in it
    url: str
    key: str = KEY
    home_name: str = "warehouse"
    settings_over: tuple[tuple[str, str], ...] = ()

    @property
    def home(self) -> Home:
        return Home(self.folder / self.home_name)

    @property
    def staging(self) -> Path:
        return self.home.staging

    def another(self, home_name: str) -> Desk:
        """Return the same desk with another warehouse: same key, same state folder."""
        return replace(self, home_name=home_name)

    def having(self, **variables: str) -> Desk:
        """Return the desk with environment variables changed; their names without ENERGYWH_."""
        return replace(self, settings_over=(*self.settings_over, *variables.items()))

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of a command."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ENERGYWH_", "EIA_"))}
        ours = {
            "HOME": str(self.home.path),
            "STATE_FOLDER": str(self.folder / "state"),
            "EIA_URL": self.url,
            "EIA_REQUESTS_PER_SECOND": "0",
            "EIA_REQUESTS_PER_HOUR": "0",
            "SYNC_TIMEOUT_SECONDS": "30",
            "SYNC_SOURCES": "eia",
            **dict(self.settings_over),
        }
        return {**kept, **{f"ENERGYWH_{name}": value for name, value in ours.items()}, "EIA_API_KEY": self.key}

    def settings(self) -> Settings:
        return load_settings(environment=self.environment)

    def sync(self, *names: str, regions: Sequence[str] = (), **words: Any) -> SyncResult:
        """Run sync in this process; the keywords are those of the command line."""
        selection = parse_selection(names, regions=regions, **words)
        return sync(self.settings(), selection, now=time.utc_now())

    def run(
        self, *words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `energywh` in this process; most commands take less time than starting another process."""
        return typed(*words, env=self.environment if env is None else env, cwd=cwd)

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start `energywh` and let it run."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command(*words), env=self.environment, **{**pipes, **options})

    def facing(self, simulator: Simulator, *sources: str) -> Desk:
        """Return the desk with these sources at the simulator, without a rate limit, in a sync without arguments."""
        urls = {f"{name.upper()}_URL": simulator.urls[name] for name in sources}
        pace = {f"{name.upper()}_REQUESTS_PER_SECOND": "0" for name in sources if name != "eia"}
        return self.having(**urls, **pace, SYNC_SOURCES=",".join(sources))


def typed(
    *words: str, env: Mapping[str, str] = os.environ, cwd: Path | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `energywh` with these arguments in this process, and return the result as of a separate process."""
    given, out, err = (io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8") for text in (stdin, "", ""))
    with (
        mock.patch.dict(os.environ, env, clear=True),
        mock.patch.object(sys, "argv", ["energywh", *words]),
        mock.patch.object(sys, "stdin", given),
        contextlib.chdir(cwd or Path.cwd()),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        main()
    status = end.value.code if isinstance(end.value.code, int) else 0
    said, complained = (_text_of(stream) for stream in (out, err))
    return subprocess.CompletedProcess(["energywh", *words], status, said, complained)


def _text_of(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "energywh", *words]


@contextmanager
def desk_with_simulator(folder: Path, **simulator: Any) -> Iterator[tuple[Desk, Simulator]]:
    """Serve a simulator and yield a desk that syncs from it."""
    with Simulator(**{"now": NOW, "api_key": KEY, **simulator}) as sim:
        yield Desk(folder, sim.url), sim
