"""The error of repaired demand: hide real stretches, repair them with the shipped models, and compare.

Run it with `python -m tests.experiments.repair DATA`. DATA is a table of reported demand as Parquet or CSV with columns
period_end_utc, respondent, d, df (MWh; EIA's period is the end of the hour), or the `energy.duckdb` of a warehouse.

Hidden are stretches of 1, 6, 24 and 72 hours, of which no hour is flagged nor either neighbor of the stretch, at seeded
random places about two weeks apart in every authority (aggregates are left out). What is compared with:

    linear      a straight line between the good hours at both ends
    last_week   the same hour a week before
    weeks       the mean of the same hour a week before and a week after

An error is |estimate - truth| / truth. All methods are compared on the same hours: those for which each has a value.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from energywh.core.sql_text import text
from tests.sql.model_files import build, column_types, graph, load_seeds, warehouse

LENGTHS = (1, 6, 24, 72)
METHODS = ("repair", "linear", "last_week", "weeks")
SIZES = {"under 500 MWh": (0, 500), "500 to 5,000 MWh": (500, 5000), "over 5,000 MWh": (5000, 1e9)}
CLEAR = 24  # hours at least between two stretches
APART = 13 * 24  # hours drawn between two stretches, and up to twice as many


@dataclass(frozen=True)
class Score:
    """Errors of a method on hidden hours: mean absolute, mean and 95th percentile, all in percent."""

    method: str
    hours: int
    mape: float
    bias: float
    p95: float


def load(data: Path, where: str = "true") -> duckdb.DuckDBPyConnection:
    """A warehouse in memory with what was reported, of rows that meet `where`, and the shipped screening of it."""
    con = warehouse()
    load_seeds(con)
    types = column_types()["normalized.demand_reported"]
    columns = ", ".join(f"{name} {kind}" for name, kind in types.items())
    con.execute(f"create table normalized.demand_reported ({columns})")
    if data.suffix == ".duckdb":
        con.execute(f"attach {text(str(data))} as published (read_only)")
        rows = "select * from published.normalized.demand_reported"
    else:
        rows = f"""
            select respondent as region, period_end_utc - interval 1 hour as hour_utc,
                d as demand_mwh, df as demand_forecast_mwh
            from {text(str(data))}
        """
    con.execute(f"insert into normalized.demand_reported by name select * from ({rows}) where {where}")
    needed = graph().ancestors(["normalized.demand_screen", "normalized.region"]) - {"normalized.demand_reported"}
    build(con, *(name for name in graph().order if name in needed))
    con.execute("""
        create table good as
        select s.region, s.hour_utc, s.demand_mwh
        from normalized.demand_screen as s
        join normalized.region as r on r.region = s.region and r.kind = 'authority'
        where s.demand_flag is null
    """)
    con.execute("create table size as select region, median(demand_mwh) as median_mwh from good group by region")
    con.execute("create table screened as from normalized.demand_screen")
    return con


def authorities(con: duckdb.DuckDBPyConnection) -> list[str]:
    """The authorities with half a year of good demand at least."""
    found = con.execute("select region from good group by region having count(*) > 4380 order by region").fetchall()
    return [region for (region,) in found]


def hide(con: duckdb.DuckDBPyConnection, regions: Collection[str], seed: int) -> None:
    """Hide stretches of good demand from the models: table `hidden` has the hidden values, `kept` the others."""
    stretches: list[tuple[str, int, int]] = []
    for number, region in enumerate(sorted(regions)):
        hours = con.execute(
            "select epoch(hour_utc)::bigint // 3600 as hour from good where region = ? order by hour", [region]
        ).fetchnumpy()["hour"]
        good = np.zeros(hours[-1] - hours[0] + 1, dtype=bool)
        good[hours - hours[0]] = True
        draw = np.random.default_rng([seed, number])
        at, turn = int(draw.integers(1, APART)), int(draw.integers(len(LENGTHS)))
        while at + max(LENGTHS) + 1 < len(good):
            length = LENGTHS[turn % len(LENGTHS)]
            if good[at - 1 : at + length + 1].all():
                stretches.append((region, int(hours[0]) + at, length))
                turn += 1
            at += length + CLEAR + int(draw.integers(APART, 2 * APART))
    con.execute("create or replace table stretch (region varchar, first_hour bigint, length integer)")
    con.executemany("insert into stretch values (?, ?, ?)", stretches)
    con.execute("""
        create or replace table hidden as
        select g.region, g.hour_utc, g.demand_mwh, s.length, s.first_utc, s.last_utc
        from (
            select region, length, make_timestamp(first_hour * 3600000000) as first_utc,
                make_timestamp((first_hour + length - 1) * 3600000000) as last_utc
            from stretch
        ) as s
        join good as g on g.region = s.region and g.hour_utc between s.first_utc and s.last_utc;

        create or replace table kept as
        from good as g anti join hidden as h on h.region = g.region and h.hour_utc = g.hour_utc;

        create or replace table normalized.demand_screen as
        select s.* replace (
            if(h.region is null, s.demand_mwh, null) as demand_mwh,
            if(h.region is null, s.demand_flag, 'missing') as demand_flag,
            if(h.region is null, s.demand_screened_mwh, null) as demand_screened_mwh
        )
        from screened as s
        left join hidden as h on h.region = s.region and h.hour_utc = s.hour_utc;
    """)


def estimate(con: duckdb.DuckDBPyConnection, *, forecast: bool = True) -> None:
    """Repair the hidden hours with the shipped model: table `estimate` has its values, its rivals' and the truth."""
    con.execute("create or replace temp table reported as from normalized.demand_reported")
    dropped = "" if forecast else ", null::double as demand_forecast_mwh"
    con.execute(
        f"create or replace table normalized.demand_reported as "
        f"select * replace (null::double as demand_mwh {dropped}) from reported"
    )
    build(con, "normalized.demand_repair")
    con.execute("create or replace table normalized.demand_reported as from reported")
    con.execute("""
        create or replace table estimate as
        select
            h.region,
            h.hour_utc,
            h.length,
            z.median_mwh,
            h.demand_mwh,
            r.demand_repaired_mwh as repair,
            first.demand_mwh + (last.demand_mwh - first.demand_mwh)
                * (date_diff('hour', h.first_utc, h.hour_utc) + 1) / (h.length + 1) as linear,
            before.demand_mwh as last_week,
            (before.demand_mwh + after.demand_mwh) / 2 as weeks
        from hidden as h
        join size as z on z.region = h.region
        join kept as first on first.region = h.region and first.hour_utc = h.first_utc - interval 1 hour
        join kept as last on last.region = h.region and last.hour_utc = h.last_utc + interval 1 hour
        left join kept as before on before.region = h.region and before.hour_utc = h.hour_utc - interval 168 hour
        left join kept as after on after.region = h.region and after.hour_utc = h.hour_utc + interval 168 hour
        left join normalized.demand_repair as r on r.region = h.region and r.hour_utc = h.hour_utc
    """)


def scores(con: duckdb.DuckDBPyConnection, where: str = "true") -> list[Score]:
    """The scores of all methods on the hidden hours that meet `where` and have a value by each method."""
    found = []
    every = " and ".join(f"{method} is not null" for method in METHODS)
    for method in METHODS:
        error = f"({method} / demand_mwh - 1) * 100"
        row = con.execute(f"""
            select count(*), avg(abs({error})), avg({error}), quantile_cont(abs({error}), 0.95)
            from estimate where {where} and {every}
        """).fetchall()[0]
        found.append(Score(method, *row))
    return found


def filled(con: duckdb.DuckDBPyConnection) -> float:
    """The share of the hidden hours that the shipped model filled, in percent."""
    return float(con.execute("select 100.0 * count(repair) / count(*) from estimate").fetchall()[0][0])


def table(con: duckdb.DuckDBPyConnection) -> list[str]:
    """The scores as a Markdown table: by length, by length and size, and overall."""
    groups = [(f"{length} h", "all", f"length = {length}") for length in LENGTHS]
    groups += [
        (f"{length} h", name, f"length = {length} and median_mwh >= {least} and median_mwh < {most}")
        for name, (least, most) in SIZES.items()
        for length in LENGTHS
    ]
    groups.append(("all, by hours", "all", "true"))
    lines = [
        "| hidden | authorities | hours | "
        + " | ".join(f"{m} MAPE %" for m in METHODS)
        + " | repair bias % | repair p95 % |",
        "|---|---|--:|" + "--:|" * (len(METHODS) + 2),
    ]
    for hidden, who, where in groups:
        by_method = scores(con, where)
        if by_method[0].hours:
            errors = " | ".join(f"{score.mape:.2f}" for score in by_method)
            ours = by_method[0]
            lines.append(f"| {hidden} | {who} | {ours.hours:,} | {errors} | {ours.bias:+.2f} | {ours.p95:.1f} |")
    means = [
        sum(scores(con, f"length = {length}")[number].mape for length in LENGTHS) / len(LENGTHS)
        for number in range(len(METHODS))
    ]
    lines.append("| mean of the four lengths | all | | " + " | ".join(f"{mean:.2f}" for mean in means) + " | | |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=("all", "even", "odd"), default="all", help="every second authority, by code")
    arguments = parser.parse_args()
    con = load(arguments.data)
    found = authorities(con)
    found = {"all": found, "even": found[::2], "odd": found[1::2]}[arguments.part]
    hide(con, found, arguments.seed)
    count = con.execute("select count(*) from stretch").fetchall()[0][0]
    what = f"{len(found)} authorities ({arguments.part})"
    print(f"{arguments.data.name}, seed {arguments.seed}: {count:,} stretches in {what}")
    for forecast in (True, False):
        estimate(con, forecast=forecast)
        print(
            f"\n{'With' if forecast else 'Without'} the day-ahead forecast; {filled(con):.1f} % of the hours filled\n"
        )
        print("\n".join(table(con)))


if __name__ == "__main__":
    main()
