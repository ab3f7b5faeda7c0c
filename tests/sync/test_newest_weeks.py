"""A sync with a key: history from the files, the newest weeks from the API, and neither is reported as late."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from energywh.core.time import hour_number
from energywh.simulate.reporting import Reporting
from energywh.simulate.server import Simulator
from tests.support.desk import KEY, Desk
from tests.support.few import few_regions
from tests.support.staging import query
from tests.sync.conftest import MovableClock, clock_of


@pytest.fixture(scope="module")
def clock() -> Iterator[MovableClock]:
    """The present: three weeks into a half-year, so that the history is in two files."""
    with pytest.MonkeyPatch.context() as patch:
        clock = clock_of(patch)
        clock.advance(hours=36 * 24)
        yield clock


@pytest.fixture(scope="module")
def desk(clock: MovableClock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A warehouse after one plain sync and build, at the present; the source reports without gaps or nulls."""
    began = hour_number(clock.now() - timedelta(days=70))
    reporting = Reporting(first_period=began, gap_rate=0.0, null_rate=0.0, interchange_lag_hours=0)
    with Simulator(now=clock.now(), api_key=KEY, atlas=few_regions("BPAT", "CISO"), reporting=reporting) as sim:
        desk = Desk(tmp_path_factory.mktemp("newest"), sim.url).facing(sim, "eia", "eia_files")
        done = desk.run("sync", "--since", f"{clock.now() - timedelta(days=60):%Y-%m-%d}")
        assert done.returncode == 0, done.stderr
        assert desk.run("build", "normalized.demand").returncode == 0
        yield desk


def test_in_the_newest_weeks_the_api_stands_though_the_file_came_later(desk: Desk, clock: MovableClock) -> None:
    per_source = "select source, count(*) from normalized.demand where {} group by all order by all"
    published = desk.home.energy.resolve()
    month_ago, yesterday = (clock.now() - timedelta(days=days) for days in (30, 1))
    newest = f"hour_utc between '{month_ago}' and '{yesterday}'"
    assert [source for source, _ in query(published, per_source.format(newest))] == ["eia"]
    older = f"hour_utc < '{clock.now() - timedelta(days=45)}'"
    assert [source for source, _ in query(published, per_source.format(older))] == ["eia_files"]


def test_files_of_halves_gone_by_are_not_late_and_hold_each_region_named(desk: Desk) -> None:
    done = desk.run("status", "--max-behind", "96h", "--region", "CISO", "--region", "BPAT")
    assert done.returncode == 0, done.stderr
    assert "never synced" not in done.stderr
