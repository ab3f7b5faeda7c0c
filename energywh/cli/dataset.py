"""`energywh dataset`: training sets as folders of files, made, brought up to date, listed and verified."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from energywh.cli import Session
from energywh.cli.dataset_output import list_all, print_made, verify_all
from energywh.cli.output import Progress, notes
from energywh.cli.spec_options import arguments_of, spec_options
from energywh.datasets.stored.spec import DatasetSpec, check_name
from energywh.errors import UsageError, did_you_mean


class _DatasetGroup(click.Group):
    """The commands of `energywh dataset`; an unknown one is answered with the line that makes a dataset."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands and not args[0].startswith("-"):
            near = did_you_mean(args[0], self.commands)
            ctx.fail(
                f"no command of 'energywh dataset' is named '{args[0]}'{near or '.'} A dataset of that name is made by "
                f"'energywh dataset make {args[0]}'"
            )
        return super().resolve_command(ctx, args)


@click.group(cls=_DatasetGroup, invoke_without_command=True)
@click.pass_context
def dataset(ctx: click.Context) -> None:
    """Make, list and verify training sets, the folders in datasets/ of the home; without a command, list them.

    A dataset holds windows as 'wh.windows' gives them, in files that are read without the warehouse.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_datasets)


@dataset.command()
@click.argument("name")
@spec_options(DatasetSpec)
@click.option("--version", metavar="VERSION", help="Make it of this version, or of a file of 'build --as-of'.")
@click.option("--full", is_flag=True, help="Make every file again, not only what changed.")
@click.pass_context
def make(context: click.Context, /, name: str, version: str | None, full: bool, **asked: Any) -> None:
    """Make the dataset NAME, or bring it up to date.

    It is the folder datasets/NAME of the home, with the splits as safetensors and Parquet and a manifest,
    dataset.json. A new dataset needs --length and --stride, and takes the other options as far as wanted. NAME alone
    makes it again with the options that it was made with, from what the warehouse has now: only what changed is
    written. With options, these are the whole request.
    """
    session: Session = context.obj
    given = any(context.get_parameter_source(option) == ParameterSource.COMMANDLINE for option in asked)
    _make(session, name, asked if given else None, version, full)


@dataset.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_datasets(session: Session, as_json: bool) -> None:
    """List the datasets of the home."""
    list_all(session.home, as_json)


@dataset.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON.")
@click.pass_obj
def verify(session: Session, names: tuple[str, ...], as_json: bool) -> int:
    """Compare every byte of the datasets NAME [all] with their manifests.

    Exits with 1 where a file is missing or was changed, or where a file that was not made with a dataset would be
    read with it.
    """
    return verify_all(session.home, names, as_json)


def _make(session: Session, name: str, asked: dict[str, Any] | None, version: str | None, full: bool) -> None:
    """Make a dataset and print the result; ``asked`` are the options, None for those it was made with."""
    from energywh.core.interrupt import interruptible
    from energywh.warehouse import Warehouse

    check_name(name)
    arguments = {} if asked is None else arguments_of(DatasetSpec, asked)
    if asked is not None and (asked["length"] is None or asked["stride"] is None):
        raise UsageError(
            "give both --length and --stride, in hours, with all other options; NAME alone makes it as before"
        )
    progress = Progress()
    with (
        Warehouse(session.home, version) as warehouse,
        interruptible(warehouse.connection),
        notes(),
    ):
        try:
            made = warehouse.dataset(
                name,
                full=full,
                memory_limit=session.settings.get("dataset.memory_limit"),
                wait_seconds=session.settings.get("lock.wait_seconds"),
                on_wait=lambda text: click.echo(text, err=True),
                on_step=progress,
                **arguments,
            )
        finally:
            progress.end()
    print_made(made)
