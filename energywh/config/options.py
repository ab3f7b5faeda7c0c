"""What a setting is. `config.settings` lists the core ones; a source declares its own in its file in `sources/`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """One setting: its dotted name, default (whose type is the setting's type), and what it does."""

    name: str
    default: str | int | float | bool
    help: str
    secret: bool = False
    variables: tuple[str, ...] = ()  # further environment variables, tried after the regular one
    minimum: float | None = None
    maximum: float | None = None
    duration: bool = False  # text like '10d' or '36h'
    memory: bool = False  # text like '8GB', or nothing
    path: bool = False  # a file or folder; in energywh.toml relative to the home folder, elsewhere to the current one
    folders: bool = False  # several paths: a list in energywh.toml; in a variable separated as in PATH

    @property
    def environment(self) -> tuple[str, ...]:
        return ("ENERGYWH_" + self.name.replace(".", "_").upper(), *self.variables)


def url_variable(source: str) -> str:
    """Return the environment variable that replaces the base address of a source."""
    return f"ENERGYWH_{source.upper()}_URL"
