"""The sources. A module of this package with a `SOURCE` is one: adding the file adds the source."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from energywh.config.settings import Option
    from energywh.sources.base import Source


@cache
def sources() -> dict[str, Source]:
    """Return every source by name."""
    found: dict[str, Source] = {}
    for module in pkgutil.iter_modules(__path__):
        source = getattr(importlib.import_module(f"{__name__}.{module.name}"), "SOURCE", None)
        if source is not None:
            found[source.name] = source
    return found


def source_options() -> tuple[Option, ...]:
    """Return the settings that the sources declare."""
    return tuple(option for source in sources().values() for option in source.options)
