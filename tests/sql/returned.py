"""Print what a model returns from its fixture, as CSV: `python -m tests.sql.returned MODEL [COLUMN…]`.

It prints the grain and the columns named, or all. Work out some values by hand before you copy any into `expected.csv`:
otherwise the test says only that the model has not changed.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from datetime import date, datetime

from tests.sql.model_files import NAMES, columns, fixture_sql, fixture_warehouse, graph


def returned(name: str, wanted: Sequence[str] = ()) -> list[list[str]]:
    """Return the header and the rows, sorted by the grain."""
    model, con, sql = graph().models[name], fixture_warehouse(name), fixture_sql(name)
    names = [*model.grain, *(w for w in wanted if w not in model.grain)] if wanted else columns(con, sql)
    rows = con.execute(f"select {', '.join(names)} from ({sql}) order by {', '.join(model.grain)}").fetchall()
    return [names, *([_field(value) for value in row] for row in rows)]


def _field(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}" if value.second == value.microsecond == 0 else str(value)
    return f"{value:%Y-%m-%d}" if isinstance(value, date) else str(value)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        sys.exit("usage: python -m tests.sql.returned MODEL [COLUMN…], such as features.past_demand demand_ramp_3h_mwh")
    csv.writer(sys.stdout, lineterminator="\n").writerows(returned(sys.argv[1], sys.argv[2:]))
