"""The sources. A module of this package with a `SOURCE` is one: adding the file adds the source."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from energywh.config.options import Option
    from energywh.config.settings import Settings
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


def load_settings(
    home_option: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings that hold, of the core and of every source: see `energywh.config.settings.load`."""
    from energywh.config import settings

    return settings.load(source_options(), home_option, overrides, environment=environment)
