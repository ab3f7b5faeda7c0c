"""A small warehouse for tests: a folder of models, and a staging file with a ledger of what changed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from copy import copy
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from energywh.core.paths import Home
from energywh.models.build.options import BuildOptions
from energywh.models.build.report import BuildReport
from energywh.models.build.runner import build
from energywh.models.versions.publish import current_version
from energywh.sync.schema import open_staging

DEMAND = """/*---
description = "Demand."
grain = ["region", "hour_utc"]
[columns]
region = "Authority."
hour_utc = "Start of the hour, UTC."
demand_mwh = "Demand, MWh."
[[audits]]
unique = ["region", "hour_utc"]
[[audits]]
not_null = ["region", "hour_utc"]
---*/
select respondent as region, period - interval 1 hour as hour_utc, value as demand_mwh
from staging.eia.region_data where type = 'D'
"""

GENERATION = """/*---
description = "Generation by fuel."
grain = ["region", "hour_utc", "fuel"]
[columns]
region = "Authority."
hour_utc = "Start of the hour, UTC."
fuel = "Fuel."
family = "Family of the fuel."
generation_mwh = "Generation, MWh."
---*/
select g.respondent as region, g.period - interval 1 hour as hour_utc, g.fueltype as fuel, fuel.family,
    value as generation_mwh
from staging.eia.fuel_type_data g left join normalized.fuel on fuel.fuel = g.fueltype
"""

FUEL = """/*---
description = "Fuels."
grain = ["fuel"]
[columns]
fuel = "Code."
family = "Family."
---*/
select fueltype as fuel, family from seeds.fuel
"""

SPAN = """/*---
description = "Months covered by each region, from its first hour to its last."
grain = ["region", "hour_utc"]
refresh = "full"
[columns]
region = "Authority."
hour_utc = "Month."
first_hour_utc = "First hour of the month."
last_hour_utc = "Last hour of the month."
---*/
with covered as (
    select region, min(hour_utc) as first, max(hour_utc) as last from normalized.demand group by region
), months as (
    select *, unnest(generate_series(date_trunc('month', first), last, interval 1 month)) as month from covered
)
select region, month as hour_utc, greatest(first, month) as first_hour_utc,
    least(last, month + interval 1 month - interval 1 hour) as last_hour_utc
from months
"""

SPINE = """/*---
description = "The hours of each region."
materialized = "inline"
grain = ["region", "hour_utc"]
[columns]
region = "Authority."
hour_utc = "Start of the hour, UTC."
---*/
select region, unnest(generate_series(first_hour_utc, last_hour_utc, interval 1 hour)) as hour_utc
from normalized.span
"""

GRID = """/*---
description = "One row an hour, without gaps."
grain = ["region", "hour_utc"]
[columns]
region = "Authority."
hour_utc = "Start of the hour, UTC."
demand_mwh = "Demand, MWh."
sun_mwh = "Solar, MWh."
---*/
select s.region, s.hour_utc, d.demand_mwh, g.generation_mwh as sun_mwh
from normalized.spine as s
left join normalized.demand as d using (region, hour_utc)
left join normalized.generation as g
    on g.region = s.region and g.hour_utc = s.hour_utc and g.family = 'solar'
"""

SHIFTED = """/*---
description = "A view over the grid, that looks one hour back."
materialized = "view"
grain = ["region", "hour_utc"]
lookback = "1h"
[columns]
region = "Authority."
hour_utc = "Start of the hour, UTC."
before_mwh = "Demand one hour before, MWh."
---*/
select a.region, a.hour_utc, b.demand_mwh as before_mwh
from normalized.grid as a
left join normalized.grid as b on b.region = a.region and b.hour_utc = a.hour_utc - interval 1 hour
"""

ROLLING = """/*---
description = "Looks three days back and one ahead."
grain = ["region", "hour_utc"]
lookback = "73h"
lookahead = "24h"
[columns]
region = "Authority."
hour_utc = "Start of the hour, UTC."
past_mwh = "Sum of the demand of the 72 hours before, MWh."
seen = "Hours of it that have a value."
before_mwh = "Demand one hour before, MWh."
next_mwh = "Sum of the demand of the 24 hours after, MWh."
---*/
select
    region,
    grid.hour_utc,
    sum(demand_mwh) over w as past_mwh,
    count(demand_mwh) over w as seen,
    s.before_mwh,
    sum(demand_mwh) over (
        partition by region order by grid.hour_utc
        range between interval 1 hour following and interval 24 hour following
    ) as next_mwh
from normalized.grid left join features.shifted s using (region, hour_utc)
window w as (
    partition by region order by grid.hour_utc range between interval 72 hour preceding and interval 1 hour preceding
)
"""

TOTAL = """/*---
description = "One row for each region, over all time."
grain = ["region"]
[columns]
region = "Authority."
hours = "Hours with a value."
total_mwh = "Sum of the demand, MWh."
---*/
select region, count(demand_mwh) as hours, sum(demand_mwh) as total_mwh from normalized.grid group by region
"""

MODELS = {
    "normalized/demand.sql": DEMAND,
    "normalized/generation.sql": GENERATION,
    "normalized/fuel.sql": FUEL,
    "normalized/span.sql": SPAN,
    "normalized/spine.sql": SPINE,
    "normalized/grid.sql": GRID,
    "features/shifted.sql": SHIFTED,
    "features/rolling.sql": ROLLING,
    "features/total.sql": TOTAL,
}
STEP = "normalized.spine"  # of these, the one that is put into what reads it
TABLES = tuple(name for path in MODELS if (name := path.removesuffix(".sql").replace("/", ".")) != STEP)
FUEL_CSV = "fueltype,family\nSUN,solar\nWND,wind\n"
START = datetime(2024, 1, 1)


def model(select: str, columns: str = "a", *, head: str = "", audits: str = "") -> str:
    """Return the text of a model with ``columns`` ("a b") that are all in its grain."""
    names = columns.split()
    promised = "\n".join(f'{name} = "Column {name}."' for name in names)
    return (
        f'/*---\ndescription = "A model."\ngrain = {names}\n{head}\n[columns]\n{promised}\n{audits}\n---*/\n{select}\n'
    )


def write_models(folder: Path, models: Mapping[str, str]) -> Path:
    """Write model files and seeds by path relative to ``folder``."""
    for name, text in models.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "seeds").mkdir(parents=True, exist_ok=True)
    return folder


@cache
def _empty_staging() -> bytes:
    """Return the content of a new staging file; copying it for every desk is faster than writing one."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "staging.duckdb"
        with open_staging(path):
            pass
        return path.read_bytes()


class Desk:
    """A home with a staging file, and a folder of models to build it with."""

    def __init__(self, folder: Path, models: Mapping[str, str] = MODELS) -> None:
        self.home = Home(folder / "home").create()
        self.sql = write_models(folder / "sql", models)
        if models is MODELS:
            (self.sql / "seeds" / "fuel.csv").write_text(FUEL_CSV)
        self.landings = 0
        self.home.staging.write_bytes(_empty_staging())

    def copied(self, folder: Path) -> Desk:
        """Return a copy of this desk in ``folder``; copying costs less than building again."""
        shutil.copytree(self.home.path.parent, folder, symlinks=True, dirs_exist_ok=True)
        other = copy(self)
        other.home, other.sql = Home(folder / "home"), folder / "sql"
        return other

    def write(self, name: str, text: str) -> None:
        """Write a model file or seed."""
        write_models(self.sql, {name: text})

    def land(self, *statements: str, changes: Mapping[str, list[date]]) -> None:
        """Run ``statements`` on staging as one landing that changed the months of ``changes`` by dataset."""
        self.landings += 1
        with duckdb.connect(self.home.staging) as connection:
            connection.execute("BEGIN")
            for statement in statements:
                connection.execute(statement)
            landed_at = datetime(2025, 1, 1) + timedelta(seconds=self.landings)
            connection.execute(
                "INSERT INTO sync.landing VALUES (?, ?, NULL, 0, 0, 0, 0, 0)", [self.landings, landed_at]
            )
            for dataset, months in changes.items():
                for month in months:
                    connection.execute("INSERT INTO sync.change VALUES (?, ?, ?)", [self.landings, dataset, month])
            connection.execute("COMMIT")

    def land_demand(self, month: date, value: float, *, regions: str = "'A', 'B'", hours: int = 24) -> None:
        """Land ``hours`` hours of demand from the start of ``month``: the value plus the hour's number."""
        self.land(
            f"DELETE FROM eia.region_data WHERE type = 'D' AND respondent IN ({regions}) AND "
            f"period > '{month}' AND period <= TIMESTAMP '{month}' + interval {hours} hour",
            f"INSERT INTO eia.region_data SELECT TIMESTAMP '{month}' + to_hours(h::INTEGER), r, 'D', {value} + h, "
            f"TIMESTAMP '2025-01-01' FROM range(1, {hours} + 1) t(h), (SELECT unnest([{regions}]) r)",
            changes={"eia.region_data": [month]},
        )

    def build(self, *names: str, full: bool = False, keep: int = 3, **options: Any) -> BuildReport:
        return build(
            self.home,
            names,
            full=full,
            sql=self.sql,
            options=BuildOptions(keep_versions=keep, wait_seconds=30, **options),
        )

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Return the rows of a query on the published version."""
        path = current_version(self.home)
        assert path is not None
        with duckdb.connect(path, read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def change_published(self, *statements: str) -> Path:
        """Run statements on the published file as a person may in the DuckDB CLI, and return it."""
        path = current_version(self.home)
        assert path is not None
        path.chmod(0o644)  # or the person is root
        with duckdb.connect(path) as connection:
            for statement in statements:
                connection.execute(statement)
        return path

    def contents(self, tables: tuple[str, ...] = TABLES) -> dict[str, list[tuple[object, ...]]]:
        """Return the rows of each table, sorted, and the digests of all months."""
        found = {table: self.query(f"FROM {table} ORDER BY ALL") for table in tables}
        found["digests"] = self.query(
            "SELECT model, month, rows, digest FROM energywh.month ORDER BY ALL",
        )
        return found

    def versions(self) -> list[str]:
        """Return the files of the folder of versions, without the records beside these."""
        return sorted(path.name for path in self.home.versions.iterdir() if path.suffix != ".json")
