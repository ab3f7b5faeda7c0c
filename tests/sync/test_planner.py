"""The requests of a sync, given the ledger."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from energywh.core.time import hour_number, parse_hour
from energywh.errors import SettingsError, UnknownNameError
from energywh.simulate.server import Simulator
from energywh.sources import load_settings
from energywh.sync.planner import dry_run, plan_fetch
from energywh.sync.schema import open_staging
from energywh.sync.selection import parse_selection, range_of, resolve, why_cut
from tests.support.desk import Desk
from tests.support.staging import has_twins, query, statuses, values
from tests.sync.conftest import MovableClock

MARCH = {"since": "2024-03-01", "until": "2024-03-31"}


def asked(sim: Simulator) -> list[tuple[str, str, str, str]]:
    """Return (route, region, start, end) of each request so far, in order of name."""
    found = []
    for served in sim.requests:
        url = urlsplit(served.path)
        params = {name: texts[0] for name, texts in parse_qs(url.query).items()}
        region = params.get("facets[respondent][]") or params["facets[fromba][]"]
        found.append((url.path.split("/")[-3], region, params["start"], params["end"]))
    return sorted(found)


def test_a_day_is_its_24_hours_by_their_start(desk: Desk, sim: Simulator) -> None:
    result = desk.sync("eia.region_data", regions=["CISO"], since="2024-03-01", until="2024-03-01")
    assert result.ok
    assert asked(sim) == [("region-data", "CISO", "2024-03-01T01", "2024-03-02T00")]
    hours = query(desk.staging, "select distinct period - interval 1 hour from eia.region_data order by 1")
    assert [hour for (hour,) in hours] == [datetime(2024, 3, 1) + timedelta(hours=n) for n in range(24)]


def test_hours_given_to_since_and_until_are_both_included(desk: Desk, sim: Simulator) -> None:
    desk.sync("eia.region_data", regions=["CISO"], since="2024-03-01T05", until="2024-03-01T05")
    assert asked(sim) == [("region-data", "CISO", "2024-03-01T06", "2024-03-01T06")]


def test_what_is_settled_is_not_asked_for_again(desk: Desk, sim: Simulator) -> None:
    desk.sync(regions=["CISO"], **MARCH)
    before = len(sim.requests)
    result = desk.sync(regions=["CISO"], **MARCH)
    assert before > 0
    assert len(sim.requests) == before
    assert [tally.due for tally in result.tallies] == [0, 0, 0, 0]


def test_a_range_that_overlaps_earlier_ones_asks_for_the_rest_only(desk: Desk, sim: Simulator) -> None:
    desk.sync("eia.region_data", regions=["CISO"], since="2024-04-05", until="2024-04-06")
    desk.sync("eia.region_data", regions=["CISO"], since="2024-04-10", until="2024-04-10")
    sim.requests.clear()
    desk.sync("eia.region_data", regions=["CISO"], since="2024-04-04", until="2024-04-12")
    assert asked(sim) == [
        ("region-data", "CISO", "2024-04-04T01", "2024-04-05T00"),
        ("region-data", "CISO", "2024-04-07T01", "2024-04-10T00"),
        ("region-data", "CISO", "2024-04-11T01", "2024-04-13T00"),
    ]
    periods = query(desk.staging, "select count(distinct period), min(period), max(period) from eia.region_data")
    assert periods == [(9 * 24, datetime(2024, 4, 4, 1), datetime(2024, 4, 13))]
    assert not has_twins(desk.staging)


def test_a_failed_chunk_is_tried_again_and_keeps_count(desk: Desk, sim: Simulator) -> None:
    broken = Desk(desk.folder, sim.url.replace("/v2", "/v1")).having(SYNC_RETRIES="0")
    result = broken.sync("eia.region_data", regions=["CISO,BPAT"], since="2024-03-01", until="2024-03-02")
    assert not result.ok
    assert statuses(desk.staging) == {"failed": 2}
    assert query(desk.staging, "select distinct attempts, landed_at_utc from sync.chunk") == [(1, None)]
    assert all("Not found" in error for (error,) in query(desk.staging, "select error from sync.chunk"))

    assert desk.sync("eia.region_data", regions=["CISO,BPAT"], since="2024-03-01", until="2024-03-02").ok
    assert query(desk.staging, "select distinct status, attempts, error, owner from sync.chunk") == [
        ("done", 2, None, None)
    ]


def test_a_region_without_rows_is_empty_and_not_failed(desk: Desk, sim: Simulator) -> None:
    result = desk.sync("eia.interchange_data", regions=["SIKE"], since="2025-06-12", until="2025-06-13")
    assert result.ok
    assert [(tally.done, tally.empty, tally.failed) for tally in result.tallies] == [(0, 1, 0)]
    assert statuses(desk.staging) == {"empty": 1}
    desk.sync("eia.interchange_data", regions=["SIKE"], since="2025-06-12", until="2025-06-13")
    assert len(sim.requests) == 1


def test_an_unsettled_chunk_is_asked_for_again_until_it_settles(
    live: tuple[Desk, Simulator], clock: MovableClock
) -> None:
    desk, sim = live
    day = {"since": "2025-06-10", "until": "2025-06-10"}
    desk.sync("eia.fuel_type_data", regions=["CISO"], **day)
    for hours, due in ((24, 1), (4 * 24 + 17, 1), (1, 1), (24, 0)):  # settled 240 hours after 2025-06-11T00
        clock.advance(hours)
        sim.clock.advance(hours)
        (tally,) = desk.sync("eia.fuel_type_data", regions=["CISO"], **day).tallies
        assert tally.due == due
    assert not has_twins(desk.staging)


def test_refresh_asks_again_for_what_is_settled_and_for_no_more(
    desk: Desk, sim: Simulator, clock: MovableClock
) -> None:
    chunk = {"since": "2024-03-01", "until": "2024-03-20"}
    desk.sync("eia.fuel_type_data", regions=["CISO"], **chunk)
    days = (clock.now() - datetime(2024, 3, 19)).days
    sim.requests.clear()
    result = desk.sync("eia.fuel_type_data", regions=["CISO"], refresh=f"{days}d", **chunk)
    assert result.ok
    ends = [end for _, _, _, end in asked(sim)]
    assert ends == ["2024-03-21T00"]  # the chunks before it end earlier than the duration goes back
    assert result.tallies[0].counts.new == result.tallies[0].counts.changed == 0


def test_the_forecast_ahead_of_the_present_is_asked_for_and_no_other_hour_to_come(
    live: tuple[Desk, Simulator], clock: MovableClock
) -> None:
    desk, sim = live
    desk.sync("eia.region_data", "eia.fuel_type_data", regions=["CISO"], since="2025-06-15")
    assert asked(sim) == [
        ("fuel-type-data", "CISO", "2025-06-15T01", "2025-06-15T06"),  # the last hour ended at the present
        ("region-data", "CISO", "2025-06-15T01", "2025-06-17T06"),
    ]
    ahead = query(desk.staging, f"select distinct type from eia.region_data where period > '{clock.now()}'")
    assert ahead == [("DF",)]


@pytest.mark.parametrize("regions", [["CISO", "BPAT", "CISO"], ["CISO,BPAT"], [" ciso , bpat", "Bpat"]])
def test_regions_may_be_repeated_joined_by_commas_and_in_any_case(
    desk: Desk, sim: Simulator, regions: list[str]
) -> None:
    desk.sync("eia.region_data", regions=regions, since="2024-03-01", until="2024-03-01")
    assert [region for _, region, _, _ in asked(sim)] == ["BPAT", "CISO"]


def test_a_dry_run_writes_nothing_and_counts_what_the_sync_then_asks(desk: Desk, sim: Simulator) -> None:
    selection = parse_selection(("eia",), regions=["CISO", "PACW"], since="2024-01-01", until="2024-06-30")
    lines, total = dry_run(desk.having(EIA_REQUESTS_PER_SECOND="4").settings(), selection)
    assert not desk.home.path.exists()
    assert len(sim.requests) == 0
    assert all(line.seconds_at_limit == pytest.approx(1.2 * line.chunks / 4) for line in (*lines, total))

    result = desk.sync(regions=["CISO", "PACW"], since="2024-01-01", until="2024-06-30")
    for line, tally in zip(lines, result.tallies, strict=True):
        assert (line.dataset, line.chunks) == (tally.dataset, tally.due)
        assert 0 < tally.counts.rows <= line.rows_at_most
    assert len(sim.requests) == result.requests == total.chunks

    before = values(desk.staging), desk.staging.stat().st_mtime_ns
    assert [line.chunks for line in dry_run(desk.settings(), selection)[0]] == [0, 0, 0, 0]
    assert (values(desk.staging), desk.staging.stat().st_mtime_ns) == before


def test_aggregates_are_added_only_on_demand(desk: Desk) -> None:
    def chunks(**words: object) -> int:
        selection = parse_selection(("eia.region_data",), since="2024-03-01", until="2024-03-01", **words)  # type: ignore[arg-type]
        return dry_run(desk.settings(), selection)[1].chunks

    assert chunks(aggregates=True) == chunks() + 14
    assert chunks(regions=["US48"]) == 1


def test_a_source_names_all_its_datasets_and_a_dataset_itself() -> None:
    everything = [dataset.name for dataset in parse_selection().datasets]
    of_eia = [name for name in everything if name.startswith("eia.")]
    assert [dataset.name for dataset in parse_selection(("eia",)).datasets] == of_eia
    assert [d.name for d in parse_selection(("eia.fuel_type_data", "eia.fuel_type_data")).datasets] == [
        "eia.fuel_type_data"
    ]


def test_chunks_of_a_process_that_was_killed_are_taken_up(desk: Desk, sim: Simulator) -> None:
    words = ("sync", "eia.region_data", "--region", "CISO,BPAT", "--since", "2024-03-01", "--until", "2024-03-02")
    with Simulator(now="2026-01-01T00", api_key=desk.key, latency_seconds=60) as slow:
        dying = Desk(desk.folder, slow.url).start(*words)
        while len(slow.requests) < 2:
            assert dying.poll() is None
            time.sleep(0.02)
        alive = desk.sync("eia.region_data", regions=["CISO,BPAT"], since="2024-03-01", until="2024-03-02")
        assert [tally.due for tally in alive.tallies] == [0], "what a living process has claimed is not due"
        dying.send_signal(signal.SIGKILL)
        dying.communicate()
    assert statuses(desk.staging) == {"in progress": 2}
    assert desk.sync("eia.region_data", regions=["CISO,BPAT"], since="2024-03-01", until="2024-03-02").ok
    assert query(desk.staging, "select distinct status, owner from sync.chunk") == [("done", None)]
    assert not list(desk.home.locks.glob("sync-*"))


def test_a_new_staging_file_appears_whole(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process killed while DuckDB writes the head of a new file must not leave one that none can open."""
    import duckdb

    opened: list[tuple[str, bool]] = []
    connect = duckdb.connect

    def watched(path: str, **options: Any) -> duckdb.DuckDBPyConnection:
        opened.append((path, Path(path).exists()))
        return connect(path, **options)

    monkeypatch.setattr(duckdb, "connect", watched)
    desk.sync("eia.region_data", regions=["CISO"], since="2024-03-01", until="2024-03-01")
    assert (str(desk.staging), True) in opened
    assert (str(desk.staging), False) not in opened
    assert [path.name for path in desk.home.path.glob("*staging*")] == ["staging.duckdb"]


def test_a_plain_sync_takes_the_sources_that_are_set_and_refuses_one_that_is_not(desk: Desk) -> None:
    plain = parse_selection(regions=["CISO"])
    chosen = resolve(plain, desk.settings(), 473_352)
    assert set(chosen.sources) == {"eia"}
    assert {dataset.source for dataset in chosen.datasets} == {"eia"}
    with pytest.raises(SettingsError, match=r"'sync.sources' .* names 'eai', .* did you mean eia"):
        resolve(plain, desk.having(SYNC_SOURCES="eai").settings(), 473_352)
    keyless = Desk(desk.folder, desk.url, key="")
    with pytest.raises(SettingsError, match="EIA's API needs a key"):
        resolve(plain, keyless.settings(), 473_352)


def test_hours_that_a_source_no_longer_keeps_are_reported_as_left_out() -> None:
    present = hour_number(parse_hour("2025-06-15"))
    selection = parse_selection(["eia.region_data"], since="2020-01-01", regions=["CISO"])
    kept = replace(selection.datasets[0], retention_hours=24 * 365)
    first, _ = range_of(selection, kept, "CISO", present)
    assert first == present - 24 * 365
    said = why_cut(selection, kept, "CISO", present)
    assert said == "eia.region_data is asked from 2024-06-15 on: eia keeps no older hours"
    assert why_cut(selection, selection.datasets[0], "CISO", present) is None


def test_authorities_without_subregions_are_asked_for_them_once_a_week(
    live: tuple[Desk, Simulator], clock: MovableClock
) -> None:
    """Any authority may begin to report by subregion without being in a seed."""
    desk, sim = live

    def parents() -> set[str]:
        sim.requests.clear()
        assert desk.sync("eia.region_sub_ba_data", since=f"{clock.now():%Y-%m-%d}").ok
        return {parse_qs(urlsplit(each.path).query)["facets[parent][]"][0] for each in sim.requests}

    first = parents()
    assert {"CISO", "PACE", "BPAT"} < first
    clock.advance(24)
    assert "CISO" in (soon := parents())
    assert not soon & {"PACE", "BPAT"}
    clock.advance(7 * 24)
    assert parents() == first


def test_a_region_that_no_seed_knows_is_fetched_with_a_note(desk: Desk, sim: Simulator) -> None:
    selection = parse_selection(["eia.region_data"], regions=["newb"])
    assert selection.regions == ("NEWB",)
    assert "NEWB is not a known region; it is requested from EIA nevertheless" in selection.notes[0]
    assert desk.sync("eia.region_data", regions=["NEWB"], since="2024-03-01", until="2024-03-02").tallies[0].empty == 1
    assert len(sim.requests) == 1
    for wrong in ("SPP", "BCHA", "California", "N W"):
        with pytest.raises(UnknownNameError):
            parse_selection(["eia"], regions=[wrong])


def test_a_region_that_only_a_file_or_an_earlier_sync_knows_is_asked_for_by_a_plain_sync(tmp_path: Path) -> None:
    with open_staging(tmp_path / "staging.duckdb") as connection:
        connection.execute(
            "insert into eia_files.interchange values ('2024-01-01', '2023_Jul_Dec', 'NEWA', 'CISO', 1, '2024-01-01')"
        )
        connection.execute(
            "insert into sync.chunk (dataset, slice, first_hour_utc, last_hour_utc, status, rows, fetched_at_utc) "
            "values ('eia.interchange_data', 'NEWB', '2024-01-01', '2024-01-02', 'done', 5, '2024-01-03'), "
            "('eia.interchange_data', 'NEWC', '2024-01-01', '2024-01-02', 'empty', 0, '2024-01-03'), "
            "('eia.interchange_data', 'US48', '2024-01-01', '2024-01-02', 'done', 5, '2024-01-03')"
        )
        plan = plan_fetch(
            connection,
            parse_selection(["eia.interchange_data"], since="2024-01-01", until="2024-01-02"),
            load_settings(tmp_path),
            set(),
            None,
            hour_number(datetime(2026, 1, 1)),
        )
    assert {"NEWA", "NEWB"} <= {chunk.slice for chunk in plan.chunks}
    assert not {"NEWC", "US48"} & {chunk.slice for chunk in plan.chunks}


def test_an_authority_that_the_seed_has_without_demand_is_asked_for_subregions_that_a_file_has(tmp_path: Path) -> None:
    with open_staging(tmp_path / "staging.duckdb") as connection:
        selection = parse_selection(["eia.region_sub_ba_data"], since="2024-01-01", until="2024-01-02")
        given = (selection, load_settings(tmp_path), set(), None, hour_number(datetime(2026, 1, 1)))
        assert "GRID" not in {chunk.slice for chunk in plan_fetch(connection, *given).chunks}
        connection.execute(
            "insert into eia_files.subregion values ('2024-01-01', '2023_Jul_Dec', 'GRID', 'G1', 1, '2024-01-01')"
        )
        assert "GRID" in {chunk.slice for chunk in plan_fetch(connection, *given).chunks}


def test_a_region_of_which_a_dataset_has_nothing_is_the_reason_given(tmp_path: Path) -> None:
    selection = parse_selection(["eia.region_sub_ba_data"], regions=["CAL"], since="2024-01-01")
    plan = plan_fetch(None, selection, load_settings(tmp_path), set(), None, hour_number(datetime(2026, 1, 1)))
    assert plan.why_nothing == "nothing to fetch: eia.region_sub_ba_data has no data of CAL"
