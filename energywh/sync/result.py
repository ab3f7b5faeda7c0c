"""What a sync did."""

from __future__ import annotations

from dataclasses import dataclass, field

from energywh.errors import EnergywhError
from energywh.sync.progress import Tally


@dataclass
class SyncResult:
    """What a run did.

    Attributes:
        why_nothing: where nothing was due.
        failures: what failed chunks say, without secrets.
        fatal: by source, what ended its part of the run early; under "" what ended the whole run.
        spent: of sources that allow no more today; no failure, what is left is fetched by a later sync.
    """

    tallies: list[Tally]
    seconds: float = 0.0
    requests: int = 0
    interrupted: bool = False
    why_nothing: str = ""
    failures: list[str] = field(default_factory=list)
    fatal: dict[str, EnergywhError] = field(default_factory=dict)
    spent: list[str] = field(default_factory=list)

    @property
    def errors(self) -> list[str]:
        """All that went wrong, the worst first."""
        return [*map(str, self.fatal.values()), *self.failures]

    @property
    def ok(self) -> bool:
        return not self.errors and not self.interrupted
