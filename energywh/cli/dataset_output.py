"""What the commands of `energywh dataset` print: progress, what was made, what exists, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from energywh.cli.output import Progress, print_table
from energywh.core.wording import count
from energywh.errors import EnergywhError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from energywh.core.paths import Home
    from energywh.datasets.stored.manifest import FileEntry, Manifest
    from energywh.datasets.stored.writer import MadeDataset

_NUMBERS = ("regions", "rows", "windows", "missing", "written", "size")


def print_made(made: MadeDataset) -> None:
    """Print what a dataset holds, in numbers, and how to load it."""
    manifest = made.manifest
    for problem in made.damaged:
        click.echo(f"{problem.file}: {problem.text}; it was made again")
    if made.differs:
        click.echo(f"the request changed: {', '.join(made.differs)}")
    if not made.changed:
        click.echo(
            f"{manifest.name} is unchanged: {_sized(manifest.files.values())} in {made.folder}, made from "
            f"{manifest.provenance.version} ({made.seconds:.1f} s)\ndigest {manifest.digest}"
        )
        return
    print_table(("split", "from", "to (UTC)", *_NUMBERS), _split_rows(made), right=_NUMBERS, wrap=("written",))
    click.echo(
        f"{manifest.name}: {count(len(made.written), 'file')} written, "
        f"{len(made.reused):,} kept; {_sized(manifest.files.values())} in {made.folder} ({made.seconds:.1f} s)"
    )
    click.echo(f"digest {manifest.digest}")
    names = [split.name.replace(" ", "_") for split in manifest.splits]
    unpacked = ", ".join(names) if len(names) > 1 else "(windows,)"
    click.echo(f'  import energywh\n  {unpacked} = energywh.load_dataset("{made.folder}")')


def _split_rows(made: MadeDataset) -> list[list[str]]:
    rows = []
    for split in made.manifest.splits:
        own = (f"{split.name}.", f"{split.name}/")
        files = {name: file for name, file in made.manifest.files.items() if name.startswith(own)}
        written = sum(name in made.written for name in files)
        rows.append(
            [
                split.name,
                split.first_hour_utc[:10],
                split.last_hour_utc[:10],
                f"{len(split.regions):,}",
                f"{split.rows:,}",
                f"{split.windows:,}",
                f"{split.missing / split.values:.1%}",
                f"{written:,} of {len(files):,}",
                _sized(files.values()),
            ]
        )
    return rows


def _sized(files: Iterable[FileEntry]) -> str:
    return f"{sum(file.bytes for file in files) / 1e6:,.1f} MB"


def _stored(home: Home) -> list[Path]:
    """Return the folders of all datasets, also of those that lost their `dataset.json`."""
    return sorted(folder for folder in home.datasets.glob("[!.]*") if folder.is_dir())


def list_all(home: Home, as_json: bool) -> None:
    """List all datasets, also those that cannot be read."""
    from energywh.datasets.stored.manifest import Manifest

    found: list[tuple[Path, Manifest | EnergywhError]] = []
    for folder in _stored(home):
        try:
            found.append((folder, Manifest.read(folder)))
        except EnergywhError as error:
            found.append((folder, error))
    if as_json:
        _print_json([_as_json(folder, each) for folder, each in found])
        return
    if not found:
        click.echo(
            f"no dataset is made yet in {home.datasets}: energywh dataset make NAME --length HOURS --stride HOURS"
        )
        return
    rows = []
    for folder, each in found:
        if isinstance(each, EnergywhError):
            rows.append([folder.name, "", f"cannot be read: energywh dataset verify {folder.name}", "", ""])
        else:
            splits = ", ".join(f"{split.name} {split.windows:,}" for split in each.splits)
            made_from = each.provenance.version + (f", as of {each.provenance.as_of}" if each.provenance.as_of else "")
            rows.append([folder.name, each.digest[:12], splits, _sized(each.files.values()), made_from])
    columns = ("dataset", "digest", "windows by split", "size", "made from")
    print_table(columns, rows, right=("size",), wrap=("windows by split", "made from"))


def _as_json(folder: Path, each: Manifest | EnergywhError) -> dict[str, Any]:
    if isinstance(each, EnergywhError):
        return {"name": folder.name, "folder": str(folder), "error": str(each)}
    return {
        "name": folder.name,
        "folder": str(folder),
        "digest": each.digest,
        "windows": {split.name: split.windows for split in each.splits},
        "bytes": sum(file.bytes for file in each.files.values()),
        "version": each.provenance.version,
        "as_of": each.provenance.as_of,
    }


def _print_json(items: Iterable[dict[str, Any]]) -> None:
    """Print one array, an object a line."""
    import json

    click.echo("[" + ",\n ".join(map(json.dumps, items)) + "]")


def verify_all(home: Home, names: tuple[str, ...], as_json: bool) -> int:
    """Verify the datasets named, or all; return 1 where something is wrong, else 0.

    Raises:
        UnknownNameError: no dataset has that name.
    """
    import dataclasses

    from energywh.datasets.stored.verify import Problem, verify

    folders = {folder.name: folder for folder in _stored(home)}
    for name in names:
        if name not in folders:
            near = did_you_mean(name, folders) or f"; there are {', '.join(folders) or 'none'}"
            raise UnknownNameError(f"no dataset in {home.datasets} is named '{name}'{near}")
    chosen = {name: folders[name] for name in names} or folders
    found: list[tuple[str, Problem]] = []
    progress = Progress()
    for name, folder in chosen.items():

        def on_file(_: str, done: int, of: int, name: str = name) -> None:
            progress(f"verifying {name}", done, of)

        problems = verify(folder, on_file)
        progress.end()
        found += [(name, problem) for problem in problems]
        if not as_json:
            _print_problems(name, problems)
    if as_json:
        _print_json({"dataset": name, **dataclasses.asdict(problem)} for name, problem in found)
    elif not chosen:
        click.echo(f"no dataset is made yet in {home.datasets}")
    bad = [(name, problem.kind) for name, problem in found if problem.kind != "foreign"]
    if not as_json:
        for name in dict.fromkeys(name for name, kind in bad if kind != "stray"):
            _print_advice(home, name, lost=(name, "manifest") in bad)
    return 1 if bad else 0


def _print_advice(home: Home, name: str, *, lost: bool) -> None:
    """Print how a dataset is mended; ``lost``: its manifest, and with it the request, cannot be read."""
    from energywh.datasets.stored.manifest import FILE

    if not (home.datasets / name / FILE).exists():
        text = f"move {home.datasets / name} away, and run 'energywh dataset make {name}' with all its options"
    else:
        text = f"'energywh dataset make {name}'{' with all its options' if lost else ''} makes it again"
    click.echo(f"{name}: {text}", err=True)


def _print_problems(name: str, problems: Iterable[Any]) -> None:
    wrong = 0
    for problem in problems:
        click.echo(f"{name}: {problem.file}: {problem.text}")
        wrong += problem.kind != "foreign"
    click.echo(f"{name}: {count(wrong, 'problem') if wrong else 'every file is as it was made'}")
