"""What a table would lose by the publication of a version."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from energywh.core.wording import abbreviate, count


@dataclass(frozen=True)
class TableLoss:
    """What a table would lose.

    Attributes:
        rows: of the published version.
        lost: rows missing from each month, added up; rows that other months gain do not count.
        months: those of which no row would be left.
        keys: by text column of the grain, the values of which no row would be left, such as regions.
        shares: of a table that loses few of its rows, by text column of the grain: the values that would lose more than
            is allowed, and how many percent of their rows.
        edited: the SQL of the model is not that of the published version.
    """

    table: str
    rows: int
    lost: int
    months: tuple[date, ...] = ()
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    shares: dict[str, dict[str, float]] = field(default_factory=dict)
    edited: bool = False

    @property
    def percent(self) -> float:
        return 100 * self.lost / self.rows

    def __str__(self) -> str:
        if self.lost == self.rows:
            parts = [f"{self.table}: all {count(self.rows, 'row')}"]
        else:
            parts = [f"{self.table}: {self.lost:,} of {count(self.rows, 'row')} ({self.percent:.1f} %)"]
            if self.months:
                first, last = f"{self.months[0]:%Y-%m}", f"{self.months[-1]:%Y-%m}"
                span = first if len(self.months) == 1 else f"{first} to {last}"
                parts.append(f"all of {count(len(self.months), 'month')} ({span})")
            parts += [f"all of {column} {abbreviate(values)}" for column, values in self.keys.items()]
            for column, shares in self.shares.items():
                parts.append(f"of {column} {abbreviate([f'{value} {share:.1f} %' for value, share in shares.items()])}")
        if self.edited:
            parts.append("its SQL was changed")
        return ", ".join(parts)
