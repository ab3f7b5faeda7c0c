"""How to build."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energywh.core.locks import DEFAULT_WAIT_SECONDS

if TYPE_CHECKING:
    from energywh.config.settings import Settings

DEFAULT_KEEP_VERSIONS = 3
DEFAULT_MAX_LOSS_PERCENT = 5.0
# Of the files that are published: DuckDB 1.5 and 2.x open it. DuckDB keeps the one that a file was made with.
STORAGE_VERSION = "v1.5.0"


@dataclass(frozen=True)
class BuildOptions:
    """How to build: how many versions to keep, the limits of DuckDB (0 or empty: its default), and which models.

    Attributes:
        models: folders of the user's own models and seeds, beside those that ship with energywh.
        corrections: whether to apply the dated corrections of clocks and signs.
        max_loss_percent: share of a table's rows that a new version may lose; `energywh.models.build.losses` has more.
        allow_loss: publish also what would lose more.
    """

    keep_versions: int = DEFAULT_KEEP_VERSIONS
    keep_days: int = 0
    threads: int = 0
    memory_limit: str = ""
    wait_seconds: float = DEFAULT_WAIT_SECONDS
    models: tuple[Path, ...] = ()
    corrections: bool = False
    max_loss_percent: float = DEFAULT_MAX_LOSS_PERCENT
    allow_loss: bool = False

    @classmethod
    def of(cls, settings: Settings, *, allow_loss: bool = False) -> BuildOptions:
        """Return the options that the settings ask for."""
        return cls(
            keep_versions=settings.get("build.keep_versions"),
            keep_days=settings.get("build.keep_days"),
            threads=settings.get("build.threads"),
            memory_limit=settings.get("build.memory_limit"),
            wait_seconds=settings.get("lock.wait_seconds"),
            models=settings.get("build.models"),
            corrections=settings.get("build.corrections"),
            max_loss_percent=settings.get("build.max_loss_percent"),
            allow_loss=allow_loss,
        )

    @property
    def config(self) -> dict[str, str | bool | int | float | list[str]]:
        config: dict[str, str | bool | int | float | list[str]] = {
            "preserve_insertion_order": False,  # models sort their rows themselves, and this saves memory
            "checkpoint_threshold": "1TB",  # one checkpoint, at the end
            "storage_compatibility_version": STORAGE_VERSION,
        }
        if self.threads:
            config["threads"] = self.threads
        if self.memory_limit:
            config["memory_limit"] = self.memory_limit
        return config

    def recorded(self, *, full: bool, names: Iterable[str]) -> dict[str, Any]:
        """Return what a version records of how it was built."""
        held = {name: value for name, value in asdict(self).items() if name not in ("wait_seconds", "models")}
        return {**held, "own_models": [str(folder) for folder in self.models], "full": full, "models": list(names)}
