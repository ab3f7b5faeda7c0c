"""`energywh dataset`: training sets as folders of files, made, brought up to date, listed and verified."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

import click
import msgspec
from click.core import ParameterSource

from energywh.cli import Session
from energywh.cli.dataset_output import Progress, list_all, notes, print_made, verify_all
from energywh.datasets.windows.spec import DEFAULT_SOURCE, DEFAULT_TARGET, KINDS, WindowSpec
from energywh.errors import UsageError, did_you_mean

_LISTS = "repeat, or separate by commas"


def _spec_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command an option for each field of a `WindowSpec`, and two more for how to normalize."""
    further = [
        click.option(
            "--by", type=click.Choice(["region", "global"]), help="Scale each region by its own, or all alike [region]."
        ),
        click.option(
            "--log", multiple=True, metavar="NAME", help=f"Columns to take the logarithm of, or auto; {_LISTS}."
        ),
    ]
    for field in reversed(msgspec.structs.fields(WindowSpec)):
        if field.name == "normalize":
            for option in reversed(further):
                command = option(command)
        command = _spec_option(field)(command)
    return command


def _spec_option(field: msgspec.structs.FieldInfo) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option for a field: its name, type, default and description."""
    kind, meta = get_args(field.type)
    inner = get_args(kind)
    name = f"--{field.name.replace('_', '-')}"
    names = ["--region", name, field.name] if field.name == "regions" else [name]
    about: dict[str, Any] = {"help": meta.description}
    if field.name == "source":
        about |= {"default": DEFAULT_SOURCE, "show_default": True}
    elif kind is bool:
        about |= {"is_flag": True}
    elif kind is int:
        about |= {"type": click.IntRange(min=1 if field.required else 0)}
        about |= {} if field.required else {"default": field.default, "show_default": True}
    elif field.name == "normalize":
        about |= {"type": click.Choice(KINDS)}
    elif get_origin(kind) is Literal:
        about |= {"type": click.Choice(inner), "default": field.default, "show_default": True}
    elif any(get_origin(each) is tuple for each in inner):
        default = f" [{DEFAULT_TARGET}]" if field.name == "target" else ""
        none = "; none: no column" if field.name == "future_covariates" else ""
        shown = meta.description.removesuffix(".")
        about |= {"multiple": True, "metavar": meta.extra["metavar"], "help": f"{shown}{default}; {_LISTS}{none}."}
    else:
        about |= {"metavar": meta.extra["metavar"]}
    return click.option(*names, **about)


class _DatasetGroup(click.Group):
    """The commands of `energywh dataset`; an unknown one is answered with the line that makes a dataset."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands and not args[0].startswith("-"):
            near = did_you_mean(args[0], self.commands)
            ctx.fail(
                f"no command of 'energywh dataset' is named '{args[0]}'{near}; a dataset of that name is made by "
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
@_spec_options
@click.option("--format", "formats", multiple=True, metavar="FORMAT", help="Also write npz or hdf5; repeat for both.")
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
    from energywh.datasets.stored.spec import check_name
    from energywh.warehouse import Warehouse

    check_name(name)
    arguments = {} if asked is None else _arguments(**asked)
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


def _arguments(
    *,
    target: tuple[str, ...],
    splits: tuple[str, ...],
    regions: tuple[str, ...],
    features: tuple[str, ...],
    future_covariates: tuple[str, ...],
    holdout_regions: tuple[str, ...],
    formats: tuple[str, ...],
    log: tuple[str, ...],
    normalize: str | None,
    by: str | None,
    purge: str | None,
    **as_they_are: Any,
) -> dict[str, Any]:
    """Return the options as arguments of `energywh.Warehouse.dataset`."""
    targets = _listed(target) or [DEFAULT_TARGET]
    if (by or log) and normalize is None:
        raise UsageError("--by and --log say how to scale: give --normalize too")
    logged = _listed(log) or []
    return as_they_are | {
        "target": targets[0] if len(targets) == 1 else targets,
        "splits": _listed(splits) or [],
        "regions": _listed(regions),
        "features": _listed(features),
        "future_covariates": [] if _listed(future_covariates) == ["none"] else _listed(future_covariates),
        "holdout_regions": _listed(holdout_regions),
        "formats": _listed(formats) or [],
        "purge": int(purge) if purge is not None and purge.isdecimal() else purge,
        "normalize": normalize
        and {"kind": normalize, "by": by or "region", "log": "auto" if logged == ["auto"] else logged},
    }


def _listed(given: tuple[str, ...]) -> list[str] | None:
    return [name.strip() for item in given for name in item.split(",") if name.strip()] or None
