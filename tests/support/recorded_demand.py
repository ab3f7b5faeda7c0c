"""A warehouse of real demand: four years of all authorities, and their day-ahead forecasts, as recorded in 2019.

python -m tests.support.recorded_demand HOME [REGION,...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from energywh.core.paths import Home
from energywh.core.time import utc_now
from energywh.models.build.runner import build
from energywh.sync.schema import open_staging

RECORDED = Path(__file__).parents[2].parent / "shared" / "data" / "recorded"


def build_recorded_demand(home: Home, recorded: Path = RECORDED, regions: Sequence[str] = ()) -> None:
    """Stage the recorded demand and forecasts of ``regions`` (empty for all) and build all models."""
    home.create()
    table = next((recorded / "eia").glob("truggles_demand-and-forecast_*.parquet"))
    with open_staging(home.staging) as staging:
        staging.execute(
            """
            INSERT INTO eia.region_data BY NAME
            SELECT period_end_utc AS period, respondent, upper(type) AS type, value, $now AS known_from_utc
            FROM (
                UNPIVOT (SELECT period_end_utc, respondent, d, df FROM read_parquet($table))
                ON d, df INTO NAME type VALUE value
            )
            WHERE len($regions) = 0 OR list_contains($regions, respondent)
            """,
            {"table": str(table), "regions": list(regions), "now": utc_now()},
        )
    build(home)


if __name__ == "__main__":
    build_recorded_demand(Home(Path(sys.argv[1])), regions=sys.argv[2].split(",") if len(sys.argv) > 2 else ())
