"""From sync to the published warehouse: each step notices the changes of the step before."""

from __future__ import annotations

from pathlib import Path

import duckdb

from energywh.models.build.runner import build
from energywh.models.versions.publish import current_version
from energywh.simulate.server import Simulator
from energywh.sync.replay import replay
from tests.support.desk import Desk
from tests.sync.conftest import desk, sim, still_simulator

__all__ = ["desk", "sim", "still_simulator"]

MODEL = """/*---
description = "Demand."
grain = ["region", "hour_utc"]
[columns]
region = "Authority."
hour_utc = "Start of the hour, UTC."
demand_mwh = "Demand, MWh."
---*/
select respondent as region, period - interval 1 hour as hour_utc, value as demand_mwh
from staging.eia.region_data where type = 'D'
"""

BY_DAY = """/*---
description = "Demand of a day."
grain = ["region", "hour_utc"]
[columns]
region = "Authority."
hour_utc = "Start of the day, UTC."
demand_mwh = "Demand, MWh."
---*/
select region, date_trunc('day', hour_utc) as hour_utc, max(demand_mwh) as demand_mwh
from normalized.demand group by all
"""


def one_model(folder: Path) -> Path:
    """Write two models: demand as reported, and one that reads it."""
    (folder / "seeds").mkdir(parents=True)
    (folder / "normalized").mkdir()
    (folder / "normalized" / "demand.sql").write_text(MODEL)
    (folder / "normalized" / "by_day.sql").write_text(BY_DAY)
    return folder


def demand(desk: Desk) -> list[tuple[object, ...]]:
    path = current_version(desk.home)
    assert path is not None
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute("from normalized.demand order by all").fetchall()


def test_what_a_replay_puts_right_in_staging_reaches_the_warehouse(desk: Desk, sim: Simulator, tmp_path: Path) -> None:
    sql = one_model(tmp_path / "sql")
    assert desk.sync("eia.region_data", regions=["CISO"], since="2024-03-01", until="2024-04-02").ok
    build(desk.home, sql=sql)
    right = demand(desk)
    with duckdb.connect(desk.staging) as connection:
        connection.execute("update eia.region_data set value = value + 1 where period < timestamp '2024-04-01'")
    build(desk.home, full=True, sql=sql)
    assert demand(desk) != right
    replay(desk.settings())
    report = build(desk.home, sql=sql)
    assert report.published
    assert demand(desk) == right
    by_day = next(result for result in report.models if result.name == "normalized.by_day")
    assert by_day.months == 1, "only what the replay changed is computed downstream"


def test_after_a_replay_that_changed_nothing_no_model_downstream_is_computed(
    desk: Desk, sim: Simulator, tmp_path: Path
) -> None:
    sql = one_model(tmp_path / "sql")
    assert desk.sync("eia.region_data", regions=["CISO"], since="2024-03-01", until="2024-04-02").ok
    build(desk.home, sql=sql)
    replay(desk.settings())
    report = build(desk.home, sql=sql)
    built = {result.name: result.built for result in report.models}
    assert built == {"normalized.demand": True, "normalized.by_day": False}
    assert not build(desk.home, sql=sql).published
