"""What a setting is: a field of a `Section`.

Its type says which values are valid, its `Meta` their limits and further environment variables, the text what it means:
`jobs: Annotated[int, Meta(ge=1), "Requests under way at once."] = 8`. `config.settings` has the core sections; a source
has its own in its file in `sources/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NewType, get_args

import msgspec
from msgspec import Meta, Struct

File = Path | None  # relative to the home folder in energywh.toml, elsewhere to the current folder
Folders = tuple[Path, ...]  # a list in energywh.toml; in a variable separated as in PATH; relative as a `File`
MemoryLimit = Annotated[  # DuckDB's units, except bytes; or nothing
    str,
    Meta(pattern=r"(?i)^(\d+(\.\d+)?\s*([KMGT]|[KMGT]i?B|%))?\Z", title="an amount of memory such as 8GB or 512MiB"),
]
RequestsPerSecond = Annotated[float, Meta(ge=0), "Limit shared by all processes; 0: none."]
Duration = NewType("Duration", str)  # such as `10d` or `36h`
Secret = NewType("Secret", str)  # never shown


class Section(Struct, kw_only=True):
    """The settings of one section of `energywh.toml`; a field is `Annotated` with what it means, last."""


@dataclass(frozen=True)
class Option:
    """One setting as its section declares it."""

    name: str  # dotted: section and field
    default: Any
    type: Any  # limits included
    kind: Any  # the type without them
    metas: tuple[Meta, ...]
    help: str

    @property
    def secret(self) -> bool:
        return self.kind is Secret

    @property
    def environment(self) -> tuple[str, ...]:
        """The environment variables of the setting, the one that counts most first."""
        others = [name for meta in self.metas for name in (meta.extra or {}).get("variables", ())]
        return ("ENERGYWH_" + self.name.replace(".", "_").upper(), *others)


def options_of(section: str, declared: type[Section]) -> Iterator[Option]:
    """Yield the settings of a section by the name it has in `energywh.toml`."""
    for field in msgspec.structs.fields(declared):
        kind, *notes, text = get_args(field.type)
        metas = tuple(note for note in notes if isinstance(note, Meta))
        yield Option(f"{section}.{field.name}", field.default, field.type, kind, metas, text)


def url_variable(source: str) -> str:
    """Return the environment variable that replaces the base address of a source."""
    return f"ENERGYWH_{source.upper()}_URL"
