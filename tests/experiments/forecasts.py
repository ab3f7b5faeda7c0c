"""The screening of day-ahead forecasts and of repeated demand, on recorded reports of EIA's respondents.

Run it with `python -m tests.experiments.forecasts ../shared/data/recorded` (July 2015 to August 2019); it prints the
tables of docs/data-quality.md. A flagged forecast counts as "wrongly flagged" if it is within 30 % of a demand that
is not flagged; a repeated forecast can be near by chance.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import duckdb

from tests.experiments.screening import show
from tests.sql.invented_demand import SCREENING
from tests.sql.model_files import build, load_seeds, warehouse

CODES = ("negative_or_zero", "global_extreme", "global_low", "repeat")


def screened_forecasts(recorded: Path) -> duckdb.DuckDBPyConnection:
    """A warehouse with the screening of the recorded demand and forecasts."""
    con = warehouse()
    load_seeds(con)
    con.execute(f"""
        create table normalized.demand_reported as
        select
            respondent as region, period_end_utc - interval 1 hour as hour_utc, cast(d as double) as demand_mwh,
            cast(df as double) as demand_forecast_mwh, null::double as net_generation_mwh,
            null::double as total_interchange_mwh
        from '{recorded}/eia/truggles_demand-and-forecast_*.parquet'
        where d_status is distinct from 'MISSING' or df is not null
    """)
    for name in ("normalized.region", *SCREENING):
        began = time.process_time()
        build(con, name)
        print(f"{name}: {time.process_time() - began:.1f} CPU-seconds")
    return con


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recorded", type=Path)
    con = screened_forecasts(parser.parse_args().recorded)
    con.execute("""
        create view memory.main.forecast as
        select d.region, r.kind, s.flag, d.demand_forecast_mwh as mwh,
            if(t.demand_flag is null and d.demand_mwh > 0, 100 * abs(mwh / d.demand_mwh - 1), null) as error_percent,
            coalesce(t.demand_flag is null and d.demand_mwh between mwh / 1.3 and mwh * 1.3, false) as is_near
        from normalized.demand_reported d
        join normalized.region r using (region)
        left join normalized.demand_screen t using (region, hour_utc)
        left join normalized.measure_screen s
            on s.measure = 'demand_forecast' and s.region = d.region and s.hour_utc = d.hour_utc
        where d.demand_forecast_mwh is not null
    """)
    counted = ", ".join(f"count(*) filter (where flag = '{code}')" for code in CODES)
    lost = "count(*) filter (where is_near and flag is not null and flag <> 'repeat')"
    errors = ", ".join(
        f"coalesce(round(median(error_percent) filter (where {which}), 1)::varchar, '')"
        for which in ("flag = 'repeat'", "flag is null")
    )
    flagged = "100.0 * count(flag) / count(*)"
    for group, where in (("kind", "true"), ("region", "kind = 'authority'")):
        show(
            con,
            f"""
            select {group}, count(*), {counted}, {flagged}, {lost}, {errors} from memory.main.forecast
            where {where} group by {group} having count(flag) > 0 order by {group}
            """,
            ("", "forecasts", *CODES, "flagged %", "wrongly flagged", "error of repeats %", "of the others %"),
        )
    show(
        con,
        "select region, count(*), min(hour_utc), max(hour_utc) from normalized.measure_screen "
        "where measure = 'demand' group by region order by region",
        ("repeated demand", "hours", "first", "last"),
    )


if __name__ == "__main__":
    main()
