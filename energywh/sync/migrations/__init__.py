"""Forward migrations of the staging file, a numbered file each: `0002_what_it_does.sql`, or `.py` with `migrate`.

A file `0002_….sql` brings a staging file of schema 1 to schema 2. To change the tables of `sync`, or the keys of a
dataset, change them in `energywh/sync/schema.py` for new files, add the next number here for those that exist, and
run `python -m tests.support.old_homes`, which keeps a file of the number before for the tests. A dataset or a value
that is new needs none of this: the next sync adds its table or column.

A migration runs within the transaction that raises the number, so it happens whole or not at all; it must not commit.
"""

from __future__ import annotations

import functools
import importlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

_FOLDER = Path(__file__).parent
_NAME = re.compile(r"(\d{4})_\w+\.(sql|py)")


@dataclass(frozen=True, order=True)
class Migration:
    """Brings the staging file from the schema before ``number`` to that number."""

    number: int
    file: Path

    def run(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Run it in the caller's transaction; the database to change is the current one of ``connection``."""
        if self.file.suffix == ".py":
            importlib.import_module(f"{__name__}.{self.file.stem}").migrate(connection)
        else:
            connection.execute(self.file.read_text("utf-8"))


@functools.cache
def migrations() -> tuple[Migration, ...]:
    """Return all migrations in the order of their numbers, which begin with 2 and leave none out."""
    found = sorted(
        Migration(int(name[1]), file) for file in _FOLDER.iterdir() if (name := _NAME.fullmatch(file.name)) is not None
    )
    assert [each.number for each in found] == list(range(2, len(found) + 2)), [each.file.name for each in found]
    return tuple(found)


def newest_number() -> int:
    """Return the schema number of a staging file that this energywh makes."""
    return migrations()[-1].number
