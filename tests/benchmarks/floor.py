"""The floor of a full build: what bare DuckDB SQL takes for a table as wide as the training table, on the same rows.

Three datasets of staging are pivoted into one grid. Lags and rolling statistics of seven series are computed, ten
regions at a time, and the 189 columns are written once. Nothing is screened, audited, digested or described, but the
windows are written naively, so a build can be cheaper.

Run it with `python -m tests.benchmarks.floor STAGING`, in its own process, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import duckdb

from tests.benchmarks.processor import Usage, measured

REGIONS_AT_ONCE = 10
DEMAND_LAGS = (1, 2, 3, 4, 6, 7, 12, 24, 25, 48, 72, 96, 120, 144, 168, 169, 336, 8760)
DEMAND_WINDOWS = (3, 6, 12, 24, 48, 72, 168)
OTHER_SERIES = ("demand_forecast", "net_generation", "total_interchange", "solar", "wind", "net_load")
OTHER_LAGS = (1, 2, 3, 24, 48, 168)
OTHER_WINDOWS = (24, 72, 168)

GRID = """
CREATE TABLE grid AS
WITH region_data AS (
    SELECT respondent AS region, period - INTERVAL 1 HOUR AS hour_utc,
        max(value) FILTER (type = 'D') AS demand, max(value) FILTER (type = 'DF') AS demand_forecast,
        max(value) FILTER (type = 'NG') AS net_generation, max(value) FILTER (type = 'TI') AS total_interchange
    FROM staging.eia.region_data GROUP BY ALL
), fuel AS (
    SELECT respondent AS region, period - INTERVAL 1 HOUR AS hour_utc,
        sum(value) FILTER (fueltype = 'COL') AS coal, sum(value) FILTER (fueltype = 'NG') AS gas,
        sum(value) FILTER (fueltype = 'NUC') AS nuclear, sum(value) FILTER (fueltype = 'OIL') AS oil,
        sum(value) FILTER (fueltype = 'WAT') AS hydro, sum(value) FILTER (fueltype = 'SUN') AS solar,
        sum(value) FILTER (fueltype = 'WND') AS wind, sum(value) FILTER (fueltype = 'OTH') AS other,
        sum(value) AS fuel_sum
    FROM staging.eia.fuel_type_data GROUP BY ALL
), interchange AS (
    SELECT fromba AS region, period - INTERVAL 1 HOUR AS hour_utc, sum(value) AS interchange_sum,
        sum(greatest(-value, 0)) AS import_mwh, sum(greatest(value, 0)) AS export_mwh
    FROM staging.eia.interchange_data GROUP BY ALL
)
SELECT *, demand - coalesce(solar, 0) - coalesce(wind, 0) AS net_load
FROM region_data LEFT JOIN fuel USING (region, hour_utc) LEFT JOIN interchange USING (region, hour_utc)
"""


def features() -> list[str]:
    """Return the columns of the wide table, as SQL."""
    columns = ["region", "hour_utc", "demand"]
    columns += [f"lag(demand, {hours}) OVER hours AS demand_lag_{hours}" for hours in DEMAND_LAGS]
    columns += _statistics("demand", DEMAND_WINDOWS)
    for series in OTHER_SERIES:
        columns.append(series)
        columns += [f"lag({series}, {hours}) OVER hours AS {series}_lag_{hours}" for hours in OTHER_LAGS]
        columns += _statistics(series, OTHER_WINDOWS)
    return [*columns, "fuel_sum"]


def _statistics(series: str, windows: tuple[int, ...]) -> list[str]:
    functions = {"count": "count", "mean": "avg", "std": "stddev_samp", "min": "min", "max": "max"}
    return [
        f"{function}({series}) OVER past_{hours} AS {series}_{name}_{hours}"
        for hours in windows
        for name, function in functions.items()
    ]


def write_floor(staging: Path, target: Path) -> tuple[Usage, Usage]:
    """Write the grid and the wide table into a new file; return what the grid took, and what all of it took."""
    frames = ", ".join(
        f"past_{hours} AS (PARTITION BY region ORDER BY hour_utc ROWS BETWEEN {hours} PRECEDING AND 1 PRECEDING)"
        for hours in DEMAND_WINDOWS
    )
    window = f"hours AS (PARTITION BY region ORDER BY hour_utc), {frames}"
    select = f"SELECT {', '.join(features())} FROM grid WHERE region IN (SELECT unnest(?)) WINDOW {window}"
    config: dict[str, str | bool | int | float | list[str]] = {
        "preserve_insertion_order": False,
        "checkpoint_threshold": "1TB",
    }
    with measured() as whole, duckdb.connect(str(target), config=config) as connection:
        connection.execute(f"ATTACH '{staging}' AS staging (READ_ONLY)")
        with measured() as grid:
            connection.execute(GRID)
        codes = [row[0] for row in connection.execute("SELECT DISTINCT region FROM grid ORDER BY 1").fetchall()]
        for first in range(0, len(codes), REGIONS_AT_ONCE):
            start = "INSERT INTO wide" if first else "CREATE TABLE wide AS"
            connection.execute(f"{start} {select}", [codes[first : first + REGIONS_AT_ONCE]])
        connection.execute("CHECKPOINT")
    return grid, whole


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("staging", type=Path)
    staging = parser.parse_args().staging
    with tempfile.TemporaryDirectory() as folder:
        grid, whole = write_floor(staging.resolve(), Path(folder) / "floor.duckdb")
    print(f"{len(features())} columns; grid: {grid}; grid and wide table: {whole}")


if __name__ == "__main__":
    main()
