"""Revisions: the newest value is current, and older ones are kept with their time spans."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from energywh.simulate.server import Simulator
from energywh.sync.progress import Tally
from tests.support.desk import Desk
from tests.support.scripted import Answer, scripted
from tests.support.staging import has_twins, query, statuses
from tests.sync.conftest import MovableClock

KEYS = {
    "eia.region_data": "period, respondent, type",
    "eia.fuel_type_data": "period, respondent, fueltype",
    "eia.interchange_data": "period, fromba, toba",
    "eia.region_sub_ba_data": "period, parent, subba",
}
REGIONS = ["CISO,BPAT"]


def held(desk: Desk, table: str) -> dict[tuple[Any, ...], tuple[float | None, datetime]]:
    """Return value and known_from_utc by period and codes."""
    rows = query(desk.staging, f"select * from {table}")
    assert len({row[:3] for row in rows}) == len(rows)
    return {row[:3]: row[3:] for row in rows}


def test_a_revised_value_replaces_the_old_one_which_is_kept_with_its_time_span(
    live: tuple[Desk, Simulator], clock: MovableClock
) -> None:
    desk, sim = live
    since = {"since": "2025-06-09", "until": "2025-06-14"}
    assert desk.sync(regions=REGIONS, **since).ok
    before = {table: held(desk, table) for table in KEYS}
    clock.advance(72)
    sim.clock.advance(72)
    between = clock.now()
    result = desk.sync(regions=REGIONS, **since)
    assert result.ok
    tallies: dict[str, Tally] = {tally.dataset: tally for tally in result.tallies}
    seen = {"changed": 0, "new": 0, "withdrawn": 0, "filled": 0}
    for table in KEYS:
        old, now = before[table], held(desk, table)
        changed = {key for key in old.keys() & now.keys() if old[key][0] != now[key][0]}
        same = (old.keys() & now.keys()) - changed
        assert {key: now[key] for key in same} == {key: old[key] for key in same}, "an untouched row was rewritten"
        assert all(now[key][1] >= between for key in changed | (now.keys() - old.keys()))

        revisions = query(desk.staging, f"select * from {table}_revision")
        assert {row[:3] for row in revisions} == changed | (old.keys() - now.keys())
        for *key, value, known_from, known_until in revisions:
            assert (value, known_from) == old[tuple(key)]
            assert known_until >= between
            if tuple(key) in changed:
                assert known_until == now[tuple(key)][1], "a time at which nothing or two things were known"

        counts = tallies[table].counts
        assert (counts.changed, counts.withdrawn) == (len(changed), len(old.keys() - now.keys()))
        assert counts.new == len(now.keys() - old.keys())
        seen["changed"] += len(changed)
        seen["new"] += counts.new
        seen["withdrawn"] += counts.withdrawn
        seen["filled"] += sum(old[key][0] is None and now[key][0] is not None for key in changed)
    assert min(seen.values()) > 0, f"the simulation showed no case of some kind: {seen}"
    assert not has_twins(desk.staging)

    landings = query(desk.staging, "select sum(rows_changed), sum(rows_withdrawn) from sync.landing")
    assert landings == [(seen["changed"], seen["withdrawn"])]
    assert query(desk.staging, "select distinct month from sync.change") == [(datetime(2025, 6, 1).date(),)]


def test_asking_again_for_what_has_not_changed_writes_no_row(live: tuple[Desk, Simulator], clock: MovableClock) -> None:
    desk, _ = live
    since = {"since": "2025-06-12", "until": "2025-06-14"}
    desk.sync(regions=REGIONS, **since)
    before = {table: held(desk, table) for table in KEYS}
    changes = query(desk.staging, "select * from sync.change order by all")
    result = desk.sync(regions=REGIONS, **since)
    assert sum(tally.due for tally in result.tallies) > 0
    assert all(t.counts.new == t.counts.changed == t.counts.withdrawn == 0 for t in result.tallies)
    assert {table: held(desk, table) for table in KEYS} == before
    assert query(desk.staging, "select * from sync.change order by all") == changes
    assert all(query(desk.staging, f"select count(*) from {table}_revision") == [(0,)] for table in KEYS)


Value = str | float | None


def answers(*stages: dict[str, Value]) -> tuple[list[int], Callable[[int, str], Answer]]:
    """Return a stage that can be moved on, and answers of CISO's demand at that stage: {hour stamp: value}."""
    stage = [0]

    def answer(number: int, path: str) -> Answer:
        rows = [
            {"period": period, "respondent": "CISO", "type": "D", "value": value}
            for period, value in stages[stage[0]].items()
        ]
        return Answer(json.dumps({"response": {"total": str(len(rows)), "data": rows}}).encode())

    return stage, answer


def history(desk: Desk) -> list[tuple[Any, ...]]:
    return query(desk.staging, "select hour(period), value from eia.region_data_revision order by known_until_utc, 1")


@pytest.mark.parametrize("first", [None, "0"])
def test_a_row_may_be_null_be_filled_be_withdrawn_and_come_again(tmp_path: Path, first: Value) -> None:
    stage, answer = answers(
        {"2024-03-01T05": first, "2024-03-01T06": "1"},
        {"2024-03-01T05": "7", "2024-03-01T06": 1},
        {"2024-03-01T06": "1"},
        {"2024-03-01T05": None, "2024-03-01T06": "1"},
    )
    with scripted(answer) as server:
        desk = Desk(tmp_path, server.url)
        for at in range(4):
            stage[0] = at
            result = desk.sync(
                "eia.region_data", regions=["CISO"], since="2024-03-01", until="2024-03-01", refresh="9999d"
            )
            assert result.ok
    begin = None if first is None else 0.0
    assert history(desk) == [(5, begin), (5, 7.0)]
    assert query(desk.staging, "select hour(period), value from eia.region_data order by 1") == [(5, None), (6, 1.0)]
    spans = query(
        desk.staging,
        "select known_from_utc, known_until_utc from eia.region_data_revision order by known_from_utc",
    )
    assert spans[0][1] == spans[1][0], "between two values of a row no time may be lost"


def test_an_empty_answer_for_hours_with_rows_is_accepted_only_on_refresh(tmp_path: Path) -> None:
    march = {"since": "2024-03-01", "until": "2024-03-01"}
    stage, answer = answers({"2024-03-01T05": "7"}, {})
    with scripted(answer) as server:
        desk = Desk(tmp_path, server.url)
        assert desk.sync("eia.region_data", regions=["CISO"], **march).ok
        stage[0] = 1
        # The next day's hours are asked for together with the day that is held, once that is due again.
        query_failed = "update sync.chunk set status = 'failed'"
        import duckdb

        with duckdb.connect(str(desk.staging)) as connection:
            connection.execute(query_failed)
        result = desk.sync("eia.region_data", regions=["CISO"], **march)
        assert not result.ok
        assert "no rows, where it gave 1 before; these are kept" in result.errors[0]
        assert statuses(desk.staging) == {"failed": 1}
        assert query(desk.staging, "select value from eia.region_data") == [(7.0,)]
        assert query(desk.staging, "select rows from sync.chunk") == [(1,)]

        elsewhere = desk.sync("eia.region_data", regions=["CISO"], refresh="1d", **march)
        assert not elsewhere.ok, "a refresh believes of its own hours only"
        assert query(desk.staging, "select count(*) from eia.region_data") == [(1,)]

        assert desk.sync("eia.region_data", regions=["CISO"], refresh="9999d", **march).ok
        assert statuses(desk.staging) == {"empty": 1}
        assert query(desk.staging, "select count(*) from eia.region_data") == [(0,)]
        assert history(desk) == [(5, 7.0)]


def hours(count: int, first_day: str = "2024-03-01") -> dict[str, Value]:
    """Return a value for each of so many hours from the start of a day."""
    start = datetime.fromisoformat(first_day)
    return {f"{start + timedelta(hours=hour):%Y-%m-%dT%H}": "7" for hour in range(1, count + 1)}


@pytest.mark.parametrize(
    ("kept", "doubted"),
    [(1, "1 row, where it gave 92 before, and without 91 of these"), (67, "67 rows.*without 25"), (68, None)],
)
def test_an_answer_that_withdraws_many_rows_at_once_is_rejected(tmp_path: Path, kept: int, doubted: str | None) -> None:
    march = {"since": "2024-03-01", "until": "2024-03-04"}
    stage, answer = answers(hours(92), {**hours(kept), "2024-03-01T01": "8"}, hours(92))
    with scripted(answer) as server:
        desk = Desk(tmp_path, server.url)
        assert desk.sync("eia.region_data", regions=["CISO"], **march).ok
        stage[0] = 1
        result = desk.sync("eia.region_data", regions=["CISO"], refresh="1d", **march)
        assert result.ok, "nothing is asked again"
        fail_all(desk)
        result = desk.sync("eia.region_data", regions=["CISO"], **march)
        held = query(desk.staging, "select count(*), max(value) from eia.region_data")
        if doubted is None:
            assert result.ok, result.errors
            assert held == [(kept, 8)]
            return
        assert re.search(doubted, result.errors[0])
        assert statuses(desk.staging) == {"failed": 1}
        assert held == [(92, 7)], "nothing of a doubted answer is taken"
        assert query(desk.staging, "select count(*) from sync.landing") == [(1,)]
        assert history(desk) == []
        stage[0] = 2
        assert desk.sync("eia.region_data", regions=["CISO"], **march).ok
        stage[0] = 1
        assert desk.sync("eia.region_data", regions=["CISO"], refresh="9999d", **march).ok
        assert query(desk.staging, "select count(*) from eia.region_data") == [(kept,)]


def test_a_small_share_of_a_large_chunk_may_be_withdrawn(tmp_path: Path) -> None:
    march = {"since": "2024-02-01", "until": "2024-03-02"}
    stage, answer = answers(hours(740, "2024-02-01"), hours(704, "2024-02-01"))
    with scripted(answer) as server:
        desk = Desk(tmp_path, server.url)
        assert desk.sync("eia.region_data", regions=["CISO"], **march).ok
        stage[0] = 1
        fail_all(desk)
        assert desk.sync("eia.region_data", regions=["CISO"], **march).ok
    assert query(desk.staging, "select count(*) from eia.region_data") == [(704,)]
    assert query(desk.staging, "select count(*) from eia.region_data_revision") == [(36,)]


def fail_all(desk: Desk) -> None:
    """Make every chunk due again."""
    import duckdb

    with duckdb.connect(str(desk.staging)) as connection:
        connection.execute("update sync.chunk set status = 'failed'")
