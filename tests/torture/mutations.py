"""Read harmed payloads of every dataset."""

from __future__ import annotations

import os
import resource
import signal
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from energywh.core.time import hour_number, parse_hour
from energywh.errors import SourceError
from energywh.sources import load_settings, sources
from energywh.sources.base import Chunk
from energywh.sync.fetcher import Fetcher
from tests.support.mutations import harm_csv, harm_json, mutate, reader
from tests.support.oasis import zip_of
from tests.support.scripted import Answer, scripted
from tests.torture import commands, ground
from tests.torture.trial import Part, Trial

HOUR = hour_number(parse_hour("2024-03-01T08"))
PRESENT_HOUR = hour_number(parse_hour("2026-01-01T00"))  # of the simulator
HALF = "2024_Jan_Jun"
LINES = 200  # of a CSV file
FILE_EVERY = 40  # payloads: reading a file takes ten times as long as any other
MOST_BYTES = 300 * 2**20  # of memory, by everything that reads
HANGS_SECONDS = 30
GENERAL = "the answer cannot be read"  # how the fetcher words an exception that no reader foresaw


@dataclass(frozen=True)
class Payload:
    """A payload as a source sends it, what is in it, and the chunk that it answers."""

    chunk: Chunk
    body: bytes = field(repr=False)
    content: bytes = field(repr=False)
    harm: Callable[..., bytes]
    pack: Callable[[bytes], bytes]


def payloads_of(urls: dict[str, str]) -> dict[str, Payload]:
    """Return a simulated payload of each dataset."""
    import requests

    environment = {f"ENERGYWH_{source.upper()}_URL": url for source, url in urls.items()}
    found = {}
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(environment={**environment, "EIA_API_KEY": ground.KEY, "ENERGYWH_HOME": home})
        for source in sources().values():
            for dataset in source.datasets:
                slices = source.default_slices(dataset, settings, aggregates=False, present_hour=PRESENT_HOUR)
                slice_ = next((wanted for wanted in ("CISO", HALF) if wanted in slices), slices[0])
                first, last = source.cell(dataset, slice_, HOUR)
                chunk = Chunk(dataset.name, slice_, first, last if dataset.is_file else min(last, first + 23))
                request = source.next_request(chunk, [], settings, present_hour=PRESENT_HOUR)
                assert request is not None
                answer = requests.get(request.url, params=[*request.params, *request.secrets], timeout=120)
                assert answer.status_code == 200, f"{chunk}: {answer.text[:200]}"
                found[dataset.name] = _payload(chunk, answer.content)
    return found


def _payload(chunk: Chunk, body: bytes) -> Payload:
    if body.startswith(b"PK"):
        with tempfile.TemporaryFile() as file:
            file.write(body)
            with zipfile.ZipFile(file) as archive:
                (name,) = archive.namelist()
                content = _first_lines(archive.read(name))
        return Payload(chunk, body, content, harm_csv, partial(_zipped, name))
    if body.lstrip().startswith((b"{", b"[")):
        return Payload(chunk, body, body, harm_json, bytes)
    cut = _first_lines(body)
    return Payload(chunk, cut, cut, harm_csv, bytes)


def _first_lines(text: bytes) -> bytes:
    return b"".join(text.splitlines(keepends=True)[:LINES])


def _zipped(name: str, content: bytes) -> bytes:
    return zip_of({name: content})


class _Reader:
    """A server and the fetchers of one worker."""

    def __init__(self) -> None:
        self.body = b""
        self._held = ExitStack()
        self._server = self._held.enter_context(scripted(lambda number, path: Answer(self.body)))
        self._fetchers: dict[str, Fetcher] = {}

    def fetcher(self, source: str, folder: Path) -> Fetcher:
        if source not in self._fetchers:
            # With the key that the payloads echo: what a fetcher does not know, it can redact by its name alone.
            self._fetchers[source] = reader(sources()[source], folder, self._server.url, EIA_API_KEY=ground.KEY)
        self._server.asked.clear()
        return self._fetchers[source]


@cache
def _reader(process: int) -> _Reader:
    """Return the reader of a worker; forked ones have one each."""
    return _Reader()


def _hangs(*_: Any) -> None:
    raise AssertionError(f"not read within {HANGS_SECONDS} s")


def read_one(payload: Payload, trial: Trial, number: int, folder: Path) -> dict[str, int]:
    """Fetch the payload with the harm of a number over HTTP, and count how it ended."""
    draw = trial.draw(payload.chunk.dataset, number)
    here = _reader(os.getpid())
    if draw.random() < 0.5:
        here.body = mutate(payload.body, draw)
    else:
        here.body = payload.pack(payload.harm(payload.content, draw))
    fetcher = here.fetcher(payload.chunk.dataset.split(".")[0], folder)
    signal.signal(signal.SIGALRM, _hangs)
    signal.alarm(HANGS_SECONDS)
    try:
        outcome = fetcher.fetch(payload.chunk).outcome
    except SourceError as error:  # declared: it says what the whole source does
        return {f"answered by {type(error).__name__}": 1}
    finally:
        signal.alarm(0)
    error = outcome.error or ""
    assert ground.KEY not in error, "an error shows the key"
    assert error.isprintable(), "an error holds what a terminal would act on"
    assert GENERAL not in error, f"no reader declares this error: {error}"
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert used < MOST_BYTES, f"{used / 2**20:,.0f} MiB of memory"
    return {"read": 1} if outcome.rows else {"refused": 1} if error else {"without rows": 1}


def _run(trial: Trial) -> None:
    simulator, link = commands.background(ground.simulate)
    try:
        found = commands.call(payloads_of, link.recv())
    finally:
        commands.end(simulator)
    names = sorted(found)
    if trial.only is not None:
        name, _, number = trial.only.rpartition(":")
        chosen = [(name, int(number))]
    else:
        files = [name for name in names if found[name].chunk.dataset.startswith("eia_files.")]
        others = [name for name in names if name not in files]
        chosen = []
        for number in range(trial.number):
            turn, is_other = divmod(number, FILE_EVERY)
            chosen.append((others[number % len(others)] if is_other else files[turn % len(files)], number))
    trial.each([(f"{name}:{number}", partial(read_one, found[name], trial, number)) for name, number in chosen])


PART = Part(
    name="mutations",
    promise="A payload that was cut, flipped, repeated, nested, blown up or otherwise changed is read or refused with "
    "an error that its source declares: no other exception, no hang, in less than 300 MiB of memory.",
    unit="payloads",
    standard=100_000,
    small=1400,
    run=_run,
)
