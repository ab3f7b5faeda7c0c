"""Damage one file of a warehouse, and run every command."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.torture import commands, ground
from tests.torture.trial import Part, Trial

UNTIL = ("--until", "2024-03-03")
VIEWS = {
    "staging": ground.staging_of,
    "warehouse": ground.published_of,
    "export": ground.exported_of,
    "dataset": ground.dataset_of,
}
# Commands that look; of these, the ones that are there to find what is wrong.
LOOKING = (
    ("status",),
    ("sql", "select count(*) from normalized.grid"),
    ("models",),
    ("versions",),
    ("dataset", "list"),
)
FINDING = (("check",), ("doctor", "--full"), ("dataset", "verify"), ("export", "--all", "--verify"))
WORKING = (("sync", *ground.DATASETS, *ground.REGIONS, *UNTIL), ("build",), ("export", "--all"), ground.DATASET)
MENDING = (("doctor", "--full", "--fix"), ("replay",))
AGAIN = (WORKING[0], ("build", "--full"), ("export", "--all", "--full"), (*ground.DATASET, "--full"))


def _truncated(file: Path) -> None:
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.truncate(size // 2)


def _flipped(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size // 2)
        byte = opened.read(1) or b"\0"
        opened.seek(file.stat().st_size // 2)
        opened.write(bytes([byte[0] ^ 0xFF]))


def _emptied(file: Path) -> None:
    file.unlink()
    file.touch()


def _replaced(file: Path) -> None:
    file.unlink()
    file.mkdir()


HARMS: dict[str, Callable[[Path], None]] = {
    "truncated": _truncated,
    "flipped": _flipped,
    "emptied": _emptied,
    "removed": Path.unlink,
    "folder": _replaced,
}


def files_of(home: Path) -> list[str]:
    """Return one file of each kind."""
    found: dict[tuple[object, ...], str] = {}
    for path in sorted(home.rglob("*")):
        parts = path.relative_to(home).parts
        if path.is_symlink() or path.is_file():
            found[parts[:2] if len(parts) <= 2 and parts[0] != "state" else (parts[:2], path.suffix, len(parts))] = str(
                Path(*parts)
            )
    return sorted(found.values())


def _label(name: str) -> str:
    """Return a name that is the same in every run: without times, dates and digests."""
    return re.sub(r"\d{8}T\d{6}Z|20\d\d-\d\d-\d\d(?=/)|\b\d{6}-[0-9a-f]{8}|[0-9a-f]{16}", "*", name)


def _seen(home: Path, expected: dict[str, Any]) -> list[str]:
    """Return what can be read and is not as expected."""
    wrong = []
    for name, view in VIEWS.items():
        try:
            if commands.call(view, home) != expected[name]:
                wrong.append(name)
        except AssertionError:  # it cannot be read: not silent
            continue
    return wrong


def _damage(base: ground.Ground, expected: dict[str, Any], name: str, harm: str, folder: Path) -> dict[str, int]:
    home = base.copy("whole", f"{folder.name}/case")
    file = home / name
    if harm in ("truncated", "flipped") and (file.is_symlink() or not file.stat().st_size):
        return {"not applicable": 1}
    if not file.is_symlink():
        file.chmod(0o644)
    HARMS[harm](file)

    def run(*words: str) -> int:
        done = base.run(home, *words)
        said = f"{' '.join(words[:3])}: {done}"
        assert done.status in (0, 1, 2), said
        assert not done.has_traceback, said
        assert "INTERNAL" not in done.printed, said
        assert done.status == 0 or done.printed.strip(), f"no message: {said}"
        return done.status

    for words in LOOKING:
        run(*words)
    wrong = _seen(home, expected)
    found = [words[0] for words in FINDING if run(*words)]
    assert not wrong or found, f"{', '.join(wrong)} are wrong, and no command finds it"
    if not sum(run(*words) for words in WORKING):
        how = "healed by the next run"
        wrong = _seen(home, expected)
        if wrong and any(run(*words) for words in FINDING):
            how = "found by check, doctor or verify"
            wrong = []
        assert not wrong, f"{', '.join(wrong)} are wrong after a run that succeeds, and no command finds it"
        return {how: 1}
    for words in MENDING:
        run(*words)
    if sum(run(*words) for words in AGAIN):
        return {"refused with a message": 1}
    assert not _seen(home, expected), f"{', '.join(_seen(home, expected))} are wrong after what mends succeeds"
    return {"healed by doctor or replay": 1}


def _run(trial: Trial) -> None:
    commands.preload()
    base = ground.prepare(trial.folder)
    try:
        home = base.copy("published", "whole")
        (home / "warehouse" / "energywh.toml").write_text("[sync]\njobs = 1\n")
        for words in (("export", "--all"), ground.DATASET):
            done = base.run(home, *words)
            assert done.status == 0, str(done)
        expected = {name: commands.call(view, home) for name, view in VIEWS.items()}
        cases = [
            (f"{_label(name)}:{harm}", partial(_damage, base, expected, name, harm))
            for name in files_of(home)
            for harm in HARMS
        ]
        trial.each(trial.sample(cases) if trial.only is None else cases)
    finally:
        base.close()


PART = Part(
    name="damage",
    promise="A file of the home that is truncated, changed, emptied, removed or replaced by a folder gives no "
    "traceback and no wrong result unnoticed: each command works, mends it or says what is wrong, and check, doctor or "
    "verify find it.",
    unit="damaged files",
    standard=200,
    small=20,
    run=_run,
    needs=commands.needs_linux,
)
