"""Command-line options made from the fields of a spec, so that each is declared once, in the struct."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin

import click
import msgspec

from energywh.cli.output import Count
from energywh.datasets.windows.normalization import KINDS
from energywh.datasets.windows.spec import DEFAULT_SOURCE, DEFAULT_TARGET, WindowSpec
from energywh.errors import UsageError

Command = Callable[..., Any]
LISTS = "repeat, or separate by commas"

# Names of options that are not those of their fields.
NAMES = {"regions": ("--region", "--regions"), "formats": ("--format",)}
# Normalization is one field and three options.
SCALING = (
    click.option("--normalize", type=click.Choice(KINDS), help="Scale by statistics of train [values as they are]."),
    click.option(
        "--by", type=click.Choice(["region", "global"]), help="Scale each region by its own, or all alike [region]."
    ),
    click.option("--log", multiple=True, metavar="NAME", help=f"Columns to take the logarithm of, or auto; {LISTS}."),
)


def spec_options(spec: type[WindowSpec]) -> Callable[[Command], Command]:
    """Return a decorator that gives a command an option for each field of ``spec``."""

    def add(command: Command) -> Command:
        for field in reversed(msgspec.structs.fields(spec)):
            for option in reversed(SCALING if field.name == "normalize" else (_option(field),)):
                command = option(command)
        return command

    return add


def arguments_of(spec: type[WindowSpec], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the options as arguments by field.

    Raises:
        UsageError: --by or --log without --normalize.
    """
    if (given["by"] or given["log"]) and given["normalize"] is None:
        raise UsageError("--by and --log say how to scale: give --normalize too")
    arguments: dict[str, Any] = {
        field.name: listed(given[field.name]) if _is_list(field) else given[field.name]
        for field in msgspec.structs.fields(spec)
    }
    target, purge = arguments["target"] or [DEFAULT_TARGET], arguments["purge"]
    arguments["target"] = target[0] if len(target) == 1 else target
    arguments["purge"] = int(purge) if purge is not None and purge.isdecimal() else purge
    if arguments["future_covariates"] == ["none"]:
        arguments["future_covariates"] = []
    if given["normalize"] is not None:
        log = listed(given["log"]) or []
        arguments["normalize"] = {
            "kind": given["normalize"],
            "by": given["by"] or "region",
            "log": "auto" if log == ["auto"] else log,
        }
    # An option that was not given leaves the default to the struct.
    return {name: value for name, value in arguments.items() if value is not None}


def listed(given: tuple[str, ...]) -> list[str] | None:
    """Return the names of an option that is repeated or separated by commas; None if there are none."""
    return [name.strip() for item in given for name in item.split(",") if name.strip()] or None


def _is_list(field: msgspec.structs.FieldInfo) -> bool:
    kind = get_args(field.type)[0]
    return any(get_origin(each) is tuple for each in (kind, *get_args(kind)))


def _option(field: msgspec.structs.FieldInfo) -> Callable[[Command], Command]:
    """Return the option for a field: its name, type, default and description."""
    kind, meta = get_args(field.type)
    names = NAMES.get(field.name, (f"--{field.name.replace('_', '-')}",))
    about: dict[str, Any] = {"help": meta.description}
    if field.name == "source":
        about |= {"default": DEFAULT_SOURCE, "show_default": True}
    elif kind is bool:
        about |= {"is_flag": True}
    elif kind is int:
        about |= {"type": Count(min=1 if field.required else 0)}
        about |= {} if field.required else {"default": field.default, "show_default": True}
    elif get_origin(kind) is Literal:
        about |= {"type": click.Choice(get_args(kind)), "default": field.default, "show_default": True}
    elif _is_list(field):
        default = f" [{DEFAULT_TARGET}]" if field.name == "target" else ""
        none = "; none: no column" if field.name == "future_covariates" else ""
        shown = meta.description.removesuffix(".")
        about |= {"multiple": True, "metavar": meta.extra["metavar"], "help": f"{shown}{default}; {LISTS}{none}."}
    else:
        about |= {"metavar": meta.extra["metavar"]}
    return click.option(*names, field.name, **about)
