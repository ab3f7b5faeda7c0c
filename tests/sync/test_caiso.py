"""CAISO end to end: recorded zips and a simulated OASIS, through a real sync to staging and the built tables."""

from __future__ import annotations

import csv
import io
import time
import zipfile
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from energywh.simulate.california import AREAS, NODES, California
from energywh.simulate.faults import KINDS, Faults
from energywh.simulate.reporting import Reporting
from energywh.simulate.server import Simulator
from energywh.sources import caiso
from energywh.sources.caiso import DEFAULT_NODES
from energywh.sync import fetcher as fetch
from energywh.sync.rate_limit import MARGIN_MS
from energywh.sync.replay import replay
from tests.support.desk import Desk
from tests.support.oasis import csv_of, error_zip, moment, recorded_oasis, recordings, rows_of, zip_of
from tests.support.scripted import Answer, scripted
from tests.support.staging import everything, has_twins, query, statuses, values
from tests.support.victims import start
from tests.sync.conftest import MovableClock

HOUR = timedelta(hours=1)
NP15 = "TH_NP15_GEN-APND"
DAY = {"since": "2025-06-02T07", "until": "2025-06-03T06"}
MODELS = tuple(f"normalized.caiso_{what}" for what in ("load", "price", "renewable", "schedule"))
THROTTLED = (
    b"<html><body><p>CAISO Acceptable Use Policy Violation. Please retry your request after 5 seconds.</p></body>"
)


def facing(folder: Path, url: str, **variables: str) -> Desk:
    """Return a desk that syncs CAISO from an address, without a pace."""
    return Desk(folder, "http://127.0.0.1:9/v2").having(
        CAISO_URL=url, CAISO_REQUESTS_PER_SECOND="0", SYNC_SOURCES="caiso", **variables
    )


def at_simulator(folder: Path, sim: Simulator, **variables: str) -> Desk:
    return facing(folder, sim.urls["caiso"], **variables)


def built(desk: Desk, sql: str) -> list[tuple[Any, ...]]:
    return query(desk.home.energy.resolve(), sql)


# What was recorded


def test_what_was_recorded_comes_through_sync_and_build_hour_by_hour_and_price_by_price(
    recorded: Path, tmp_path: Path
) -> None:
    found = {one.report: one for one in recordings(recorded / "caiso")}
    with recorded_oasis(list(found.values())) as server:
        desk = facing(tmp_path, server.url, CAISO_NODES="ALL")
        for words in (
            ("caiso.price_dam", "--since", "2020-01-02", "--until", "2020-01-02"),
            ("caiso.schedule_rtm", "--since", "2023-01-01", "--until", "2023-01-02"),
            ("caiso.renewable", "--since", "2025-02-04T08", "--until", "2025-02-11T07"),
            ("caiso.load", "--since", "2025-02-19T08", "--until", "2025-02-27T07"),
        ):
            done = desk.run("sync", *words)
            assert done.returncode == 0, done.stderr
        done = desk.run("build", *MODELS)
        assert done.returncode == 0, done.stderr
    assert set(statuses(desk.staging)) == {"done", "empty"}

    rows = {report: rows_of(one.file) for report, one in found.items()}
    prices = {(moment(r["INTERVALSTARTTIME_GMT"]), r["NODE"], r["LMP_TYPE"]): float(r["MW"]) for r in rows["PRC_LMP"]}
    held = query(desk.staging, "select interval_start, node, component, value from caiso.price_dam")
    assert {row[:3]: row[3] for row in held} == prices
    assert len(held) == len(prices) == 162_848
    columns = {"LMP": "lmp", "MCE": "energy", "MCC": "congestion", "MCL": "loss"}
    wide = built(
        desk,
        f"select hour_utc, node, market, intervals, ghg_usd_per_mwh, "
        f"{', '.join(f'{column}_usd_per_mwh' for column in columns.values())} from normalized.caiso_price",
    )
    assert {row[2:5] for row in wide} == {("DAM", 1, None)}
    assert {
        (hour, node, component): price
        for hour, node, _, _, _, *parts in wide
        for component, price in zip(columns, parts, strict=True)
        if price is not None
    } == prices

    loads = {(moment(r["INTERVALSTARTTIME_GMT"]), r["TAC_AREA_NAME"]): float(r["MW"]) for r in rows["SLD_FCST"]}
    model = built(desk, "select hour_utc, tac_area, market, load_mwh, is_total from normalized.caiso_load")
    assert {(hour, area): load for hour, area, _, load, _ in model} == loads
    assert {(market, area == "CA ISO-TAC") for _, area, market, _, total in model if total} == {("7DA", True)}
    assert len(model) == 6_432

    output = {
        (moment(r["INTERVALSTARTTIME_GMT"]), r["TRADING_HUB"], r["RENEWABLE_TYPE"]): float(r["MW"])
        for r in rows["SLD_REN_FCST"]
    }
    model = built(desk, "select hour_utc, hub, fuel, generation_mwh from normalized.caiso_renewable")
    assert {row[:3]: row[3] for row in model} == output
    assert len(model) == 1_008

    intervals: dict[tuple[Any, ...], list[float]] = {}
    for r in rows["ENE_SLRS"]:
        hour = moment(r["INTERVALSTARTTIME_GMT"]).replace(minute=0)
        key = (hour, r["TAC_ZONE_NAME"], r["SCHEDULE"], r["SLRS_TYPE"])
        intervals.setdefault(key, []).append(float(r["MW"]))
    assert query(desk.staging, "select count(*) from caiso.schedule_rtm") == [(38_592,)]
    model = built(desk, "select hour_utc, zone, schedule, slrs_type, mwh, intervals from normalized.caiso_schedule")
    assert {row[:4]: row[5] for row in model} == {key: len(parts) for key, parts in intervals.items()}
    means = {key: sum(parts) / len(parts) for key, parts in intervals.items()}
    assert {row[:4]: row[4] for row in model} == pytest.approx(means, rel=1e-12)
    totals = built(
        desk,
        "select hour_utc, schedule, sum(mwh) filter (is_total), "
        "sum(mwh) filter (zone in ('TAC_ECNTR', 'TAC_NCNTR', 'TAC_NORTH', 'TAC_SOUTH')) "
        "from normalized.caiso_schedule group by all",
    )
    assert all(total == pytest.approx(parts, abs=0.01) for _, _, total, parts in totals)


def test_of_a_recorded_day_the_default_nodes_are_taken(recorded: Path, tmp_path: Path) -> None:
    (day,) = (one for one in recordings(recorded / "caiso") if one.report == "PRC_LMP")
    with recorded_oasis([day]) as server:
        desk = facing(tmp_path, server.url)
        assert desk.sync("caiso.price_dam", since="2020-01-02", until="2020-01-02").ok
    expected = {
        (moment(r["INTERVALSTARTTIME_GMT"]), r["NODE"], r["LMP_TYPE"]): float(r["MW"])
        for r in rows_of(day.file)
        if r["NODE"] in DEFAULT_NODES
    }
    held = query(desk.staging, "select * exclude (known_from_utc) from caiso.price_dam")
    assert {row[:3]: row[3] for row in held} == expected
    assert len(held) == 24 * 4 * len(DEFAULT_NODES)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("error_1001_INVALID_REQUEST_unknown_report_SLD_RTO.zip", "error 1001: Invalid Parameters of the given report"),
        ("error_1002_INVALID_REQUEST_datetime.zip", "error 1002: Invalid datetime format"),
    ],
)
def test_a_recorded_rejection_is_reported_and_not_requested_again(
    recorded: Path, tmp_path: Path, file: str, said: str
) -> None:
    body = (recorded / "caiso" / file).read_bytes()
    with scripted(lambda number, path: Answer(body)) as server:
        result = facing(tmp_path, server.url, CAISO_NODES=NP15).sync("caiso.price_dam", **DAY)
    assert len(server.asked) == 1
    (error,) = result.errors
    assert said in error
    assert "queryname=PRC_LMP&market_run_id=DAM" in error
    assert statuses(tmp_path / "warehouse" / "staging.duckdb") == {"failed": 1}


# Errors are distinguished


def prices_of_day() -> bytes:
    """Return the answer to DAY: an LMP an hour."""
    header = ("INTERVALSTARTTIME_GMT", "NODE", "MARKET_RUN_ID", "LMP_TYPE", "MW")
    hours = [datetime(2025, 6, 2, 7) + n * HOUR for n in range(24)]
    rows = [(f"{hour:%Y-%m-%dT%H:%M:%S}-00:00", NP15, "DAM", "LMP", n) for n, hour in enumerate(hours)]
    return zip_of({"day.csv": csv_of([header, *rows])})


def sync_day(folder: Path, *answers: Answer, **variables: str) -> tuple[Any, list[float]]:
    """Sync NP15 of DAY from a server that gives one answer after the other; return the result and when it was asked."""
    with scripted(lambda number, path: answers[min(number, len(answers) - 1)]) as server:
        result = facing(folder, server.url, CAISO_NODES=NP15, **variables).sync("caiso.price_dam", **DAY)
    return result, [at for at, _ in server.asked]


def test_throttled_is_not_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a 429 or under 200: the client waits for the stated time and repeats the request."""
    monkeypatch.setattr(caiso, "PACE_SECONDS", 0.7)
    monkeypatch.setattr(fetch, "_BACK_OFF", lambda state: 0.0)
    result, asked = sync_day(tmp_path, Answer(THROTTLED, 429), Answer(THROTTLED), Answer(prices_of_day()))
    assert result.ok
    assert result.tallies[0].counts.rows == 24
    assert [later - before >= 0.7 for before, later in pairwise(asked)] == [True, True]


def test_no_data_is_final_and_not_a_failure(tmp_path: Path) -> None:
    result, asked = sync_day(tmp_path, Answer(error_zip(1000)))
    assert result.ok
    assert len(asked) == 1
    assert statuses(tmp_path / "warehouse" / "staging.duckdb") == {"empty": 1}
    result, asked = sync_day(tmp_path, Answer(prices_of_day()))
    assert asked == [], "a settled chunk without data was asked for again"


@pytest.mark.parametrize("code", [1014, 1015])
def test_not_ready_is_asked_for_again_by_the_next_sync(tmp_path: Path, code: int) -> None:
    result, asked = sync_day(tmp_path, Answer(error_zip(code)))
    assert result.ok
    assert (len(asked), result.tallies[0].later) == (1, 1)
    assert statuses(tmp_path / "warehouse" / "staging.duckdb") == {"due": 1}
    result, _ = sync_day(tmp_path, Answer(prices_of_day()))
    assert result.tallies[0].counts.new == 24


@pytest.mark.parametrize("code", [1003, 1010])
def test_a_fault_of_caisos_own_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(caiso, "PACE_SECONDS", 0.1)
    monkeypatch.setattr(fetch, "_BACK_OFF", lambda state: 0.0)
    result, asked = sync_day(tmp_path, Answer(error_zip(code)), Answer(prices_of_day()))
    assert result.ok
    assert len(asked) == 2


@pytest.mark.parametrize("code", [1001, 1002, 1004, 1017, 1020, 1042])
def test_an_internal_error_is_reported_once(tmp_path: Path, code: int) -> None:
    result, asked = sync_day(tmp_path, Answer(error_zip(code, "what is wrong")))
    assert len(asked) == 1
    assert f"error {code}: what is wrong" in result.errors[0]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (zip_of({"day.csv": b"\0" * 2**25}), "a zip that unpacks"),
        (zip_of({"one.csv": "a\n", "two.csv": "b\n"}), "a zip of 2 files"),
        (zip_of({"report.xml": '<?xml version="1.0"?><m:OASISReport/>'}), "report.xml is not CSV"),
        (b"<html><body>We will be back.</body></html>", "no zip came"),
        (prices_of_day()[:-30], "not a whole zip"),
    ],
)
def test_an_unreadable_body_changes_no_row_and_is_named(tmp_path: Path, body: bytes, said: str) -> None:
    assert sync_day(tmp_path, Answer(prices_of_day()))[0].ok
    with scripted(lambda number, path: Answer(body)) as server:
        desk = facing(tmp_path, server.url, CAISO_NODES=NP15, SYNC_RETRIES="0")
        result = desk.sync("caiso.price_dam", refresh="36500d", **DAY)
    (error,) = result.errors
    assert said in error
    assert f"from {server.url}/SingleZip?queryname=PRC_LMP" in error
    assert query(desk.staging, "select count(*), sum(value) from caiso.price_dam") == [(24, 276.0)]
    assert query(desk.staging, "select count(*) from caiso.price_dam_revision") == [(0,)]


# The simulated OASIS


@pytest.mark.parametrize(
    "change",
    ["2024-03-10", "2025-11-02", *(pytest.param(day, marks=pytest.mark.soak) for day in ("2024-11-03", "2025-03-09"))],
)
def test_on_the_days_that_the_clock_changes_every_hour_comes_once_and_at_its_place(tmp_path: Path, change: str) -> None:
    """Three Pacific days about the change, from midnight to midnight."""
    day = datetime.fromisoformat(change)
    first, end = (caiso.first_hour_of(day.toordinal() + n) for n in (-1, 2))
    hours = np.arange(first, end)
    assert len(hours) == (71 if day.month == 3 else 73)
    begin = datetime(1970, 1, 1) + first * HOUR
    words = {"since": f"{begin:%Y-%m-%dT%H}", "until": f"{datetime(1970, 1, 1) + (end - 1) * HOUR:%Y-%m-%dT%H}"}
    with Simulator(seed=5, now="2026-01-01T00", reporting=Reporting(revision_rate=0)) as sim:
        desk = at_simulator(tmp_path, sim, CAISO_NODES=NP15)
        assert desk.sync("caiso", **words).ok
        truth = California(sim.world.grid, sim.world.reporting)
        loads = truth.load("ACTUAL", hours)
        prices = truth.price([NP15], hours, 10**9, five_minutes=True)[0, 0]
    assert desk.run("build", *MODELS).returncode == 0
    expected = {(area, begin + n * HOUR): loads[i, n] for i, area in enumerate(AREAS) for n in range(len(hours))}
    found = built(desk, "select tac_area, hour_utc, load_mwh from normalized.caiso_load where market = 'ACTUAL'")
    assert {row[:2]: row[2] for row in found} == expected
    assert len(found) == len(expected)
    found = built(desk, "select hour_utc, lmp_usd_per_mwh, intervals from normalized.caiso_price where market = 'RTM'")
    means = {begin + n * HOUR: part.mean() for n, part in enumerate(prices.reshape(-1, 12))}
    assert {row[0]: row[1] for row in found} == pytest.approx(means, rel=1e-12)
    assert {row[2] for row in found} == {12}
    for table, keys in (("renewable", "hub, fuel, market"), ("schedule", "zone, market, schedule, slrs_type")):
        rows = f"select count(*) as n, count(distinct hour_utc) as hours from normalized.caiso_{table} group by {keys}"
        found = built(desk, f"select distinct n, hours from ({rows})")
        assert found == [(len(hours), len(hours))]
    assert not has_twins(desk.staging)


def test_a_range_that_cuts_days_takes_its_hours_and_no_others(tmp_path: Path) -> None:
    with Simulator(seed=5, now="2026-01-01T00") as sim:
        desk = at_simulator(tmp_path, sim)
        assert desk.sync("caiso.load", since="2025-06-02T12", until="2025-06-04T03").ok
        span = "select min(interval_start), max(interval_start), count(distinct interval_start) from caiso.load"
        assert query(desk.staging, span) == [(datetime(2025, 6, 2, 12), datetime(2025, 6, 4, 3), 40)]
        assert desk.sync("caiso.load", since="2025-06-01T12", until="2025-06-04T20").ok
        assert query(desk.staging, span) == [(datetime(2025, 6, 1, 12), datetime(2025, 6, 4, 20), 81)]
        assert query(desk.staging, "select count(*) from caiso.load_revision") == [(0,)]
    for served in sim.requests:
        asked = parse_qs(urlsplit(served.path).query)
        assert {asked[name][0][9:] for name in ("startdatetime", "enddatetime")} == {"07:00-0000"}


@pytest.mark.parametrize(
    ("until", "days", "most"),
    [("2025-02-28", 59, 13 * 3), pytest.param("2025-06-30", 181, 13 * 7, marks=pytest.mark.soak)],
)
def test_months_take_a_request_for_thirty_days_and_slice(tmp_path: Path, until: str, days: int, most: int) -> None:
    with Simulator(seed=5, now="2026-01-01T00") as sim:
        desk = at_simulator(tmp_path, sim)
        result = desk.sync("caiso.load", "caiso.renewable", "caiso.price_dam", since="2025-01-01", until=until)
    assert result.ok
    assert result.requests <= most, "more than one request for 30 days of a slice, and one at each end"
    assert query(desk.staging, "select count(distinct interval_start) from caiso.price_dam") == [(days * 24,)]
    assert not has_twins(desk.staging)


@pytest.mark.parametrize("nodes", [200, pytest.param(1700, marks=pytest.mark.soak)])
def test_all_nodes_come_day_by_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nodes: int) -> None:
    monkeypatch.setattr("energywh.simulate.caiso.NODES", NODES[:nodes])
    with Simulator(seed=5, now="2026-01-01T00") as sim:
        desk = at_simulator(tmp_path, sim, CAISO_NODES="ALL")
        result = desk.sync("caiso.price_dam", since="2025-11-02T07", until="2025-11-04T07")
        assert result.ok, result.errors
        asked = [parse_qs(urlsplit(served.path).query) for served in sim.requests]
        answer = sim.apis["caiso"].answer(sim.requests[0].path, {})
    assert sorted(one["startdatetime"][0] for one in asked) == [
        f"202511{day}-0000" for day in ("02T07:00", "03T08:00", "04T08:00")[:2]
    ]
    hours = "select count(distinct interval_start), count(distinct node), count(*) from caiso.price_dam"
    assert query(desk.staging, hours) == [(49, nodes, 49 * nodes * 5)]
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        served = {
            (moment(row["INTERVALSTARTTIME_GMT"]), row["NODE"], row["LMP_TYPE"]): float(row["MW"])
            for name in archive.namelist()
            for row in csv.DictReader(io.StringIO(archive.read(name).decode()))
        }
    day = sorted({key[0] for key in served})
    held = query(
        desk.staging,
        "select interval_start, node, component, value from caiso.price_dam "
        f"where interval_start between '{day[0]}' and '{day[-1]}'",
    )
    assert {row[:3]: row[3] for row in held} == served


@pytest.mark.soak
@pytest.mark.parametrize(("since", "seed"), [("2024-11-01", 8), ("2024-09-01", 42)])
def test_a_fifth_of_requests_failing_in_every_way_leaves_the_same_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, since: str, seed: int
) -> None:
    monkeypatch.setattr(caiso, "PACE_SECONDS", 0.05)
    datasets = ("caiso.load", "caiso.renewable", "caiso.price_dam")
    months = {"since": since, "until": "2025-02-28"}
    with Simulator(seed=seed, now="2026-01-01T00") as sim:
        calm = at_simulator(tmp_path / "calm", sim)
        assert calm.sync(*datasets, **months).ok
    with Simulator(seed=seed, now="2026-01-01T00", faults=Faults(rate=0.2, hang_seconds=1.0)) as sim:
        stormy = at_simulator(tmp_path / "stormy", sim, SYNC_JOBS="8")
        result = stormy.sync(*datasets, **months)
    assert result.ok, result.errors
    assert set(sim.counters.faults) == set(KINDS), "the storm was not a full one"
    assert values(stormy.staging) == values(calm.staging)
    assert set(statuses(stormy.staging)) == {"done"}
    assert query(stormy.staging, "select max(attempts) > 1 from sync.chunk") == [(True,)]


@pytest.mark.soak
def test_two_syncs_together_keep_the_pace_of_one_request_in_so_many_seconds(tmp_path: Path) -> None:
    """At one request a second instead of one in five."""
    with Simulator(seed=5, now="2026-01-01T00") as sim:
        desk = at_simulator(tmp_path, sim).having(CAISO_REQUESTS_PER_SECOND="1")
        words = ("sync", "caiso.load", "--since", "2025-06-01T07", "--until", "2025-06-02T06")
        began = time.monotonic()
        processes = [start(desk.another(home).environment, *words) for home in ("one", "two")]
        for process in processes:
            process.join(120)
        assert [process.exitcode for process in processes] == [0, 0]
    times = sorted(served.at for served in sim.requests)
    assert len(times) == 8
    # The first cannot have left before `began`; two may arrive nearer to each other, if the machine is busy.
    assert times[-1] - began >= 7 * (1 + MARGIN_MS / 1000)
    assert min(np.diff(times)) >= 0.5


def test_corrected_prices_are_kept_with_what_was_known_before_and_replay_gives_the_same(
    tmp_path: Path, clock: MovableClock
) -> None:
    reporting = Reporting(revision_rate=0.1)
    with Simulator(seed=9, now=clock.now(), reporting=reporting) as sim:
        desk = at_simulator(tmp_path, sim)
        for _ in range(3):
            assert desk.sync("caiso", since="2025-06-13", until="2025-06-16").ok
            clock.advance(100)
            sim.clock.advance(100)
    moved = query(desk.staging, "select distinct component from caiso.price_dam_revision order by 1")
    assert moved == [("LMP",), ("MCC",)]
    assert query(desk.staging, "select count(*) from caiso.load_revision") == [(0,)]
    expected, ledger, asked = everything(desk.staging), statuses(desk.staging), len(sim.requests)
    desk.staging.unlink()
    replay(desk.settings())
    assert everything(desk.staging) == expected
    assert statuses(desk.staging) == ledger
    assert len(sim.requests) == asked


def test_what_is_published_ahead_is_taken_and_the_rest_later(tmp_path: Path, clock: MovableClock) -> None:
    """At six in the morning UTC of June 15 it is the evening of the 14th there: the day ahead, the 15th, is out."""
    with Simulator(seed=9, now=clock.now()) as sim:
        desk = at_simulator(tmp_path, sim)
        assert desk.sync("caiso.load", since="2025-06-14T07").ok
        last = "select market, max(interval_start) from caiso.load group by market order by market"
        assert dict(query(desk.staging, last)) == {
            "2DA": datetime(2025, 6, 17, 6),
            "7DA": datetime(2025, 6, 23, 6),
            "ACTUAL": datetime(2025, 6, 15, 5),
            "DAM": datetime(2025, 6, 16, 6),
        }
        clock.advance(24)
        sim.clock.advance(24)
        assert desk.sync("caiso.load", since="2025-06-14T07").ok
        assert dict(query(desk.staging, last))["DAM"] == datetime(2025, 6, 17, 6)
