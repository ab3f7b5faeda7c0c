"""The corrections of clocks on recorded data: each aligns two series that must agree."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from tests.sql.model_files import build, load_seeds, warehouse
from tests.sql.recorded_tables import NAMES

WIDE = ("gridemissions_scrape_wide_2016-07-10", "gridemissions_scrape_wide_2020-07-10", "gridemissions_E_raw_wide_2021")
LONG = "gridemissions_apiv2_{}-data_2022-07-10_2022-07-11_all-BAs.csv"
MODELS = ("correction", "demand_reported", "generation_reported", "interchange")

PAIRS = """
    select avg(abs(a.interchange_mwh + b.interchange_mwh))
    from normalized.interchange as a
    join normalized.interchange as b on b.region = a.neighbor and b.neighbor = a.region and b.hour_utc = a.hour_utc
    where a.region = '{}' and a.neighbor = '{}' and a.hour_utc between '{}' and timestamp '{}' + interval 9 day
"""
FUELS = """
    select avg(abs(d.net_generation_mwh - f.sum_mwh))
    from normalized.demand_reported as d
    join (
        select region, hour_utc, sum(generation_mwh) as sum_mwh from normalized.generation_reported group by all
    ) as f using (region, hour_utc)
    where d.region = '{}' and d.hour_utc between '{}' and timestamp '{}' + interval 9 day
"""


def warehouse_of(recorded: Path, *, corrections: bool) -> duckdb.DuckDBPyConnection:
    """What was recorded of region-data, fuels and interchange, with or without corrections."""
    con = warehouse()
    load_seeds(con)
    con.execute("update seeds.option set enabled = ? where name = 'corrections'", [corrections])
    eia = recorded / "eia"
    cells: dict[str, list[tuple[datetime, str, str, float]]] = {"region": [], "fuel_type": [], "interchange": []}
    for path in [path for name in WIDE for path in sorted(eia.glob(f"{name}*.csv"))]:
        with path.open(newline="", encoding="utf-8") as file:
            header, *table = list(csv.reader(file))
        for place, name in enumerate(header[1:], 1):
            match = next(m for m in (re.fullmatch(p, name) for p in NAMES) if m).groupdict()
            kind = next(
                k
                for k, key in (("interchange", "neighbor"), ("region", "code"), ("fuel_type", "fuel"))
                if match.get(key)
            )
            code = match.get("neighbor") or match.get("code") or match["fuel"].replace("GAS", "NG")
            cells[kind] += [
                (datetime.fromisoformat(row[0]).replace(tzinfo=None), match["region"], code, float(row[place]))
                for row in table
                if row[place]
            ]
    for kind, keys in (
        ("region", "respondent type"),
        ("fuel_type", "respondent fueltype"),
        ("interchange", "fromba toba"),
    ):
        who, what = keys.split()
        period, region, code, value = zip(*cells[kind], strict=True)
        con.register(
            "cell", pa.table({"period": pa.array(period, pa.timestamp("us")), who: region, what: code, "value": value})
        )
        long = eia / LONG.format(kind.replace("_", "-"))
        con.execute(f"""
            insert into staging.eia.{kind}_data by name
            select *, timestamp '2024-07-07' as known_from_utc
            from (
                from cell
                union all by name
                select strptime(period, '%Y-%m-%dT%H') as period, {who}, {what}, value
                from read_csv('{long}', types = {{'period': 'varchar', 'value': 'double'}})
            )
        """)
    build(con, *(f"normalized.{name}" for name in MODELS))
    return con


@pytest.fixture(scope="module")
def residual(recorded: Path) -> Callable[[str], tuple[float, float]]:
    """Runs a query without corrections and with them."""
    both = [warehouse_of(recorded, corrections=corrections) for corrections in (False, True)]

    def run(sql: str) -> tuple[float, float]:
        without, corrected = (con.execute(sql).fetchall()[0][0] for con in both)
        return without, corrected

    return run


@pytest.mark.parametrize(
    ("region", "neighbor", "day", "share"),
    [
        ("TEPC", "AZPS", "2016-07-10", 0.01),
        ("TEPC", "EPE", "2016-07-10", 0.01),
        ("TEPC", "SRP", "2016-07-10", 0.01),
        ("TEPC", "WALC", "2016-07-10", 0.01),
        ("TEPC", "EPE", "2020-07-10", 0.01),
        ("TEPC", "WALC", "2020-07-10", 0.2),
        ("TEPC", "EPE", "2021-07-10", 0.1),
        ("TEPC", "WALC", "2021-07-10", 0.1),
        ("PJM", "CPLE", "2021-07-10", 0.4),
        ("PJM", "CPLE", "2022-07-10", 0.1),
        ("PJM", "CPLW", "2022-07-10", 0.1),
        ("PJM", "TVA", "2022-07-10", 0.4),
        ("PJM", "NYIS", "2021-07-10", 0.8),
    ],
)
def test_interchange_on_the_corrected_clock_nears_what_the_neighbor_reports(
    residual: Callable[[str], tuple[float, float]], region: str, neighbor: str, day: str, share: float
) -> None:
    without, corrected = residual(PAIRS.format(region, neighbor, day, day))
    assert corrected <= share * without


@pytest.mark.parametrize(
    ("region", "day", "share"),
    [("SC", "2020-07-10", 0.3), ("PJM", "2021-07-10", 0.3), ("PJM", "2022-07-10", 0.3)],
)
def test_fuels_on_the_corrected_clock_near_the_net_generation(
    residual: Callable[[str], tuple[float, float]], region: str, day: str, share: float
) -> None:
    without, corrected = residual(FUELS.format(region, day, day))
    assert corrected <= share * without


@pytest.mark.parametrize(
    ("region", "neighbor", "day"),
    [
        ("TEPC", "AZPS", "2022-07-10"),
        ("PJM", "NYIS", "2016-07-10"),
        ("IID", "CISO", "2022-07-10"),
        ("AZPS", "SRP", "2020-07-10"),
    ],
)
def test_what_was_right_when_recorded_is_not_touched(
    residual: Callable[[str], tuple[float, float]], region: str, neighbor: str, day: str
) -> None:
    without, corrected = residual(PAIRS.format(region, neighbor, day, day))
    assert without == corrected


def test_demand_of_california_is_an_hour_late_until_september_2016(recorded: Path) -> None:
    """Its hourly changes agree with those of its forecast, which was always aligned with its neighbors."""
    agreement = []
    for corrections in (False, True):
        con = warehouse()
        load_seeds(con)
        con.execute("update seeds.option set enabled = ? where name = 'corrections'", [corrections])
        for code in ("d", "df"):
            con.execute(f"""
                insert into staging.eia.region_data by name
                select period_end_utc as period, respondent, upper('{code}') as type, {code} as value,
                    timestamp '2019-09-10' as known_from_utc
                from '{recorded}/eia/truggles_demand-and-forecast_*.parquet'
                where respondent = 'CISO' and period_end_utc < '2017-01-01'
            """)
        build(con, "normalized.correction", "normalized.demand_reported")
        agreement.append(
            dict(
                con.execute("""
            select strftime(hour_utc, '%Y-%m'), corr(demand_step, forecast_step)
            from (
                select hour_utc, demand_mwh - lag(demand_mwh) over hours as demand_step,
                    demand_forecast_mwh - lag(demand_forecast_mwh) over hours as forecast_step
                from normalized.demand_reported window hours as (order by hour_utc)
            )
            where abs(demand_step) < 5000 group by 1
        """).fetchall()
            )
        )
    without, corrected = agreement
    wrong = [month for month in corrected if month < "2016-09"]
    assert len(wrong) == 14
    assert all(without[month] < 0.93 < 0.95 < corrected[month] for month in wrong)
    assert all(without[month] == corrected[month] > 0.95 for month in ("2016-10", "2016-11", "2016-12"))
