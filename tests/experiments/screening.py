"""The screening of demand on recorded reports of EIA's respondents, compared with the published method.

Run it with `python -m tests.experiments.screening ../shared/data/recorded` (July 2015 to August 2019); it prints the
tables of docs/data-quality.md. The published method is worked through in tests/sql/screening_reference.py.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from tests.sql.invented_demand import OTHER_MEASURES, SCREENING
from tests.sql.model_files import build, load_seeds, warehouse
from tests.sql.screening_reference import screen

# The paper leaves these two out: "significant enough reporting problems".
LEFT_OUT = ("OVEC", "SEC")
CODES = (
    "identical_run",
    "negative_or_zero",
    "global_extreme",
    "global_extreme_neighbor",
    "local_extreme_high",
    "local_extreme_low",
    "double_jump",
    "single_jump",
    "anomalous_region",
)
UNREPORTED = ("missing", "no_value")


def screened(recorded: Path) -> duckdb.DuckDBPyConnection:
    con = warehouse()
    load_seeds(con)
    con.execute(f"""
        create table normalized.demand_reported as
        select
            respondent as region, period_end_utc - interval 1 hour as hour_utc, cast(d as double) as demand_mwh,
            {OTHER_MEASURES}
        from '{recorded}/eia/truggles_demand-and-forecast_*.parquet' where d_status is distinct from 'MISSING'
    """)
    for name in ("normalized.region", *SCREENING):
        began = time.perf_counter()
        build(con, name)
        print(f"{name}: {time.perf_counter() - began:.1f} s")
    return con


def add_published(con: duckdb.DuckDBPyConnection) -> None:
    """Make table `beside`: each hour with the flag of the model and that of the published method."""
    con.execute("create table memory.main.beside (region varchar, hour_utc timestamp, ours varchar, theirs varchar)")
    for (region,) in con.execute("select distinct region from normalized.demand_span order by 1").fetchall():
        found = con.execute(
            "select hour_utc, s.demand_mwh, d.region is not null, s.demand_flag from normalized.demand_screen s "
            "left join normalized.demand_reported d using (region, hour_utc) where region = ? order by hour_utc",
            [region],
        ).fetchall()
        hours, demand, has_row, ours = zip(*found, strict=True)
        theirs = screen(np.array(demand, dtype=float), np.array(has_row))
        part = pa.table({"region": [region] * len(hours), "hour_utc": hours, "ours": ours, "theirs": theirs.tolist()})
        con.register("part", part)
        con.execute("insert into memory.main.beside from part")


def show(con: duckdb.DuckDBPyConnection, sql: str, headings: Sequence[str]) -> None:
    print("\n| " + " | ".join(headings) + " |")
    print("|---" + "|---:" * (len(headings) - 1) + "|")
    for row in con.execute(sql).fetchall():
        cells = (f"{v:,}" if isinstance(v, int) else f"{v:.2f}" if isinstance(v, float) else str(v) for v in row)
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recorded", type=Path)
    con = screened(parser.parse_args().recorded)
    add_published(con)
    con.execute(f"""
        create view memory.main.paired as
        select b.*, r.kind, coalesce(ours in {UNREPORTED}, false) as unreported,
            coalesce(ours not in {UNREPORTED}, false) as we, coalesce(theirs not in {UNREPORTED}, false) as they
        from memory.main.beside b join normalized.region r using (region) where region not in {LEFT_OUT}
    """)
    show(
        con,
        """
        select kind, count(distinct region), count(*), avg(100.0 * unreported::int), avg(100.0 * we::int),
            avg(100.0 * they::int), count(*) filter (where we and they), count(*) filter (where we and not they),
            count(*) filter (where they and not we)
        from memory.main.paired group by kind order by kind desc
        """,
        ("", "regions", "hours", "unreported %", "ours %", "published %", "both", "only ours", "only published"),
    )
    con.execute(
        f"create table memory.main.code as select unnest({list(CODES)}) as code, unnest(range({len(CODES)})) as n"
    )
    show(
        con,
        """
        select code, count(*) filter (where ours = code), count(*) filter (where theirs = code),
            count(*) filter (where ours = code and theirs = code),
            count(*) filter (where ours = code and theirs is null),
            count(*) filter (where theirs = code and ours is null)
        from memory.main.code left join memory.main.paired on kind = 'authority' and (ours = code or theirs = code)
        group by code, n order by n
        """,
        ("flag", "ours", "published", "same flag", "only ours", "only published"),
    )
    counted = ", ".join(f"count(*) filter (where ours = '{code}')" for code in (*UNREPORTED, *CODES))
    show(
        con,
        f"""
        select region, count(*), {counted} from memory.main.beside join normalized.region using (region)
        where kind = 'authority' group by region order by region
        """,
        ("", "hours", *UNREPORTED, *CODES),
    )


if __name__ == "__main__":
    main()
