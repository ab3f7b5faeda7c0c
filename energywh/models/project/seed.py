"""A seed: a small table whose rows stand in a CSV file, or in declarations of the code."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from energywh.core.sql_text import text


@dataclass(frozen=True)
class Seed:
    """A table of schema `seeds`.

    Attributes:
        path: its CSV file; of one that is declared, where the declarations are.
        file_hash: changes when its rows could change.
        options: values of `enabled` by option name; for `seeds.option` only, through which settings reach SQL.
        declared: type of each column by name, and the rows; None if they stand in the file.
    """

    name: str
    path: Path
    file_hash: str
    options: Mapping[str, bool] = field(default_factory=dict)
    declared: tuple[Mapping[str, str], Sequence[tuple[str | int | None, ...]]] | None = None

    def columns(self) -> list[str]:
        """Return the names of its columns."""
        if self.declared is not None:
            return list(self.declared[0])
        with self.path.open(newline="", encoding="utf-8") as file:
            return next(csv.reader(file), [])

    def sql(self) -> str:
        """Return the SELECT of its rows. Empty cells of a file are NULL."""
        if self.declared is None:
            return (
                f"FROM read_csv({text(str(self.path))}, header = true, delim = ',', quote = '\"', nullstr = '', "
                "sample_size = -1)"
            )
        types, rows = self.declared
        values = ", ".join(f"({', '.join(map(_literal, row))})" for row in rows)
        columns = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in types.items())
        return f"SELECT {columns} FROM (VALUES {values}) AS declared({', '.join(types)})"


def _literal(value: str | int | None) -> str:
    return "NULL" if value is None else text(value) if isinstance(value, str) else str(value)
