"""A plain sync with a key: history from the files, the newest weeks from the API, and neither mistaken for late."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from energywh.durations import hour_number, utc_now
from energywh.simulate.reporting import Reporting
from energywh.simulate.server import Simulator
from tests.support.desk import KEY, Desk
from tests.support.few import few_regions
from tests.support.staging import query


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A warehouse after one plain sync and build, at the present; the source reports without gaps or nulls."""
    began = hour_number(utc_now() - timedelta(days=70))
    reporting = Reporting(first_period=began, gap_rate=0.0, null_rate=0.0, interchange_lag_hours=0)
    with Simulator(now=datetime.now(UTC), api_key=KEY, atlas=few_regions(), reporting=reporting) as sim:
        desk = Desk(tmp_path_factory.mktemp("newest"), sim.url).facing(sim, "eia", "eia_files")
        done = desk.run("sync", "--since", f"{utc_now() - timedelta(days=60):%Y-%m-%d}")
        assert done.returncode == 0, done.stderr
        assert desk.run("build").returncode == 0
        yield desk


def test_in_the_newest_weeks_the_api_stands_though_the_file_came_later(desk: Desk) -> None:
    per_source = "select source, count(*) from normalized.demand where {} group by all order by all"
    published = desk.home.energy.resolve()
    week_ago = f"hour_utc > now()::timestamp - interval 30 day and hour_utc <= '{utc_now() - timedelta(days=1)}'"
    assert [source for source, _ in query(published, per_source.format(week_ago))] == ["eia"]
    older = "hour_utc < now()::timestamp - interval 45 day"
    assert [source for source, _ in query(published, per_source.format(older))] == ["eia_files"]


def test_files_of_halves_gone_by_are_not_late_and_hold_each_region_named(desk: Desk) -> None:
    done = desk.run("status", "--max-behind", "96h", "--region", "CISO", "--region", "BPAT")
    assert done.returncode == 0, done.stderr
    assert "never synced" not in done.stderr
