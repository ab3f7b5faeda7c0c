"""What the commands of `energywh dataset` print: progress, what was made, what exists, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from energywh.cli.output import Progress, print_table
from energywh.core.wording import count
from energywh.errors import StorageError

if TYPE_CHECKING:
    from energywh.core.paths import Home
    from energywh.datasets.stored.listing import ListedDataset
    from energywh.datasets.stored.manifest import FileEntry
    from energywh.datasets.stored.verify import Problem
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


def list_all(home: Home, as_json: bool) -> None:
    """List all datasets, also those that cannot be read."""
    from energywh.datasets.stored.listing import list_datasets

    found = list_datasets(home.datasets)
    if as_json:
        _print_json(map(_as_json, found))
        return
    if not found:
        click.echo(
            f"no dataset is made yet in {home.datasets}: energywh dataset make NAME --length HOURS --stride HOURS"
        )
        return
    rows = []
    for each in found:
        if each.manifest is None:
            rows.append([each.name, "", f"cannot be read: energywh dataset verify {each.name}", "", ""])
            continue
        manifest, made_from = each.manifest, each.manifest.provenance
        splits = ", ".join(f"{split.name} {split.windows:,}" for split in manifest.splits)
        version = made_from.version + (f", as of {made_from.as_of}" if made_from.as_of else "")
        rows.append([each.name, manifest.digest[:12], splits, _sized(manifest.files.values()), version])
    columns = ("dataset", "digest", "windows by split", "size", "made from")
    print_table(columns, rows, right=("size",), wrap=("windows by split", "made from"))


def _as_json(each: ListedDataset) -> dict[str, Any]:
    place = {"name": each.name, "folder": str(each.folder)}
    if each.manifest is None:
        return place | {"error": str(each.error)}
    return place | {
        "digest": each.manifest.digest,
        "windows": {split.name: split.windows for split in each.manifest.splits},
        "bytes": sum(file.bytes for file in each.manifest.files.values()),
        "version": each.manifest.provenance.version,
        "as_of": each.manifest.provenance.as_of,
    }


def _print_json(items: Iterable[dict[str, Any]]) -> None:
    """Print one array, one object per line."""
    import json

    click.echo("[" + ",\n ".join(map(json.dumps, items)) + "]")


def verify_all(home: Home, names: tuple[str, ...], as_json: bool) -> int:
    """Verify the datasets named, or all; return 1 where something is wrong, else 0.

    Raises:
        UnknownNameError: no dataset has that name.
    """
    import dataclasses

    from energywh.datasets.stored.listing import pick_datasets
    from energywh.datasets.stored.manifest import FILE
    from energywh.datasets.stored.verify import Problem, verify

    found: list[tuple[str, Problem]] = []
    folders = pick_datasets(home.datasets, names)
    progress = Progress()
    for name, folder in folders.items():

        def on_file(_: str, done: int, of: int, name: str = name) -> None:
            progress(f"verifying {name}", done, of)

        try:
            problems = verify(folder, on_file)
        except StorageError as error:  # such as a manifest of a later energywh: the others are verified all the same
            problems = [Problem(FILE, "unreadable", str(error))]
        progress.end()
        found += [(name, problem) for problem in problems]
        if not as_json:
            _print_problems(folder, problems)
    if as_json:
        _print_json({"dataset": name, **dataclasses.asdict(problem)} for name, problem in found)
    elif not folders:
        click.echo(f"no dataset is made yet in {home.datasets}")
    return 1 if any(problem.kind != "foreign" for _, problem in found) else 0


def _print_problems(folder: Path, problems: Sequence[Problem]) -> None:
    """Print the problems of a dataset, and how it is mended."""
    from energywh.datasets.stored.manifest import FILE

    name = folder.name
    for problem in problems:
        click.echo(f"{name}: {problem.file}: {problem.text}")
    wrong = [problem for problem in problems if problem.kind != "foreign"]
    click.echo(f"{name}: {count(len(wrong), 'problem') if wrong else 'every file is as it was made'}")
    lost = any(problem.kind == "manifest" for problem in wrong)
    if lost and not (folder / FILE).exists():
        click.echo(f"move {folder} away, and run 'energywh dataset make {name}' with all its options", err=True)
    elif any(problem.kind != "stray" and (problem.file, problem.kind) != (FILE, "unreadable") for problem in wrong):
        options = " with all its options" if lost else ""
        click.echo(f"'energywh dataset make {name}'{options} makes it again", err=True)
