"""What a build did."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from energywh.models.build.materialize import ModelResult
from energywh.models.contents.state import AuditResult


@dataclass(frozen=True)
class BuildReport:
    """What a build did.

    Attributes:
        version: name of the version that is now published.
        path: its file.
        published: False if nothing was new.
        base: how the new version came about: `fresh`, `cloned` or `copied`.
        models: what was done to each model that was asked for, in build order.
        warnings: audits of severity `warn` that found rows.
        left_out: reasons, by name, of the user's own models and seeds that failed or read one that failed. The version
            holds nothing of them, not even what the previous version held.
    """

    version: str
    path: Path
    published: bool
    seconds: float
    base: str = ""
    models: list[ModelResult] = field(default_factory=list)
    warnings: list[AuditResult] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
