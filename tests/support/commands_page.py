"""Generates docs/commands.md from the commands: `python -m tests.support.commands_page > docs/commands.md`."""

from __future__ import annotations

import click

from energywh.cli import COMMANDS, cli

HEAD = """# Commands

Made from the commands themselves by `python -m tests.support.commands_page`; a test keeps it equal to them.
"""


def subcommands() -> dict[str, click.Command]:
    """Return every command of the command line by name."""
    context = click.Context(cli, info_name="energywh")
    found = {name: cli.get_command(context, name) for name in COMMANDS}
    return {name: command for name, command in found.items() if command is not None}


def with_own_subcommands() -> dict[str, click.Command]:
    """Return every command, each group followed by the commands in it: "versions", "versions list", and so on."""
    found = {}
    for name, command in subcommands().items():
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {inner}": each for inner, each in command.commands.items()}
    return found


def options_of(command: click.Command) -> set[str]:
    """Return the long options of a command; of a group, those of its commands."""
    if isinstance(command, click.Group):
        return set().union(*map(options_of, command.commands.values()))
    return {
        name
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--")
    }


def render() -> str:
    """Return the page."""
    parts = [HEAD, _section("energywh", cli)]
    parts += [_section(f"energywh {name}", command) for name, command in with_own_subcommands().items()]
    return "\n".join(parts)


def _section(title: str, command: click.Command) -> str:
    context = click.Context(command, info_name=title)
    usage = " ".join(command.collect_usage_pieces(context))
    text = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    lines = [f"## {title}", "", f"`{title} {usage}`", "", text, ""]
    options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
    if options:
        lines += ["| option | meaning |", "|---|---|"]
        lines += [f"| `{_spelling(option)}` | {_meaning(option)} |" for option in options]
        lines.append("")
    return "\n".join(lines)


def _spelling(option: click.Option) -> str:
    names = "`, `".join((*option.opts, *option.secondary_opts))
    if option.is_flag:
        return names
    if isinstance(option.type, click.Choice):
        return f"{names} {'/'.join(option.type.choices)}"
    kinds = {"integer range": "N", "integer": "N", "float range": "X", "float": "X", "text": "TEXT"}
    return f"{names} {option.metavar or kinds.get(option.type.name, option.type.name.upper())}"


def _meaning(option: click.Option) -> str:
    shown = f" [{option.default}]" if option.show_default and not option.is_flag else ""
    return f"{option.help}{shown}".replace("|", "\\|")


if __name__ == "__main__":
    print(render(), end="")
