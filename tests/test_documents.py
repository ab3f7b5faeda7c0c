"""The documents agree with the program."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from energywh.cli import COMMANDS
from energywh.config.settings import CORE_OPTIONS
from energywh.sources import source_options
from tests.support.commands_page import options_of, render, subcommands, with_own_subcommands

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "warehouse" / "README.md"]
GLOBAL_OPTIONS = {"--home", "--help", "--version"}


def test_every_option_is_on_the_page_of_commands() -> None:
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert page == render(), "run: python -m tests.support.commands_page > docs/commands.md"


def test_every_command_and_option_has_a_help_text() -> None:
    for name, command in with_own_subcommands().items():
        assert command.help, name
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.opts}"


def test_the_readme_lists_every_command_with_all_its_options() -> None:
    rows = re.findall(r"^\| `energywh ([^`]+)` \| (.+) \|$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    listed = {words.split()[0].split("\\")[0]: (words, text) for words, text in rows}
    assert set(listed) == set(COMMANDS)
    for name, command in subcommands().items():
        if name == "simulate":  # its many options are on the page of commands alone
            continue
        words, text = listed[name]
        assert set(re.findall(r"--[a-z-]+", words + text)) == options_of(command), name


def commands_in_documents() -> list[tuple[str, str]]:
    """Return every energywh command line of the documents, with the document's name."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text("utf-8")
        fenced = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        lines = [line for block in fenced for line in block.splitlines()]
        lines += re.findall(r"`(energywh [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
        for line in lines:
            for piece in re.split(r"&&|\|(?!\|)", line.split("  #")[0].replace("\\|", "/")):
                words = re.search(r"(?:^|/| )energywh ([a-z-].*)$", piece.strip())
                if words:
                    found.append((document.name, words[1]))
    return found


@pytest.mark.parametrize(("document", "line"), commands_in_documents())
def test_command_lines_in_the_documents_exist(document: str, line: str) -> None:
    words = shlex.split(line.replace("…", ""))
    while words and words[0] == "--home":
        words = words[2:]
    assert words, line
    assert words[0] in {*COMMANDS, "--help", "--version"}, f"{document}: energywh {line}"
    if words[0] in COMMANDS:
        command = subcommands()[words[0]]
        if isinstance(command, click.Group) and len(words) > 1 and words[1][0] not in "-[":
            assert set(words[1].split("/")) <= set(command.commands), f"{document}: energywh {line}"
        options = {word.split("=")[0] for word in words[1:] if word.startswith("--")}
        assert options <= options_of(command) | GLOBAL_OPTIONS, f"{document}: energywh {line}"


def test_the_settings_named_in_the_readme_exist() -> None:
    block = re.search(r"```toml\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert block
    import tomllib

    known = {option.name for option in (*CORE_OPTIONS, *source_options())}
    for section, entries in tomllib.loads(block[1]).items():
        assert {f"{section}.{key}" for key in entries} <= known


def test_links_between_the_documents_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\((?!http|#)([^)#]+)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.name} -> {target}"
