"""Faults of a source: retried where that can help, never otherwise, and never at the cost of rows."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from energywh.errors import KeyRefusedError, SourceError, StorageError
from energywh.simulate.faults import ALL_KINDS, Faults
from energywh.simulate.server import Simulator
from energywh.sync import fetcher as fetch
from energywh.sync import runner as run
from energywh.sync import worker as lane
from tests.support.desk import KEY, Desk, desk_with_simulator
from tests.support.scripted import Answer, scripted
from tests.support.staging import has_twins, query, statuses, values

DAY = {"since": "2024-03-01", "until": "2024-03-01"}
EMPTY = Answer(json.dumps({"response": {"total": "0", "data": []}}).encode())
TOO_MANY = json.dumps({"error": {"code": "OVER_RATE_LIMIT", "message": "slower"}}).encode()


def at(folder: Path, url: str, **variables: str) -> Desk:
    return Desk(folder, url).having(**variables)


def test_a_fifth_of_requests_failing_in_every_way_leaves_the_same_tables(tmp_path: Path) -> None:
    regions = ["CISO,BPAT,PACW,AVA,NEVP,PSEI,IPCO,AZPS,SRP,PJM,MISO,ERCO"]
    days = {"since": "2024-03-12", "until": "2024-03-13"}
    with desk_with_simulator(tmp_path, seed=40) as (desk, _):
        assert desk.another("calm").sync(regions=regions, **days).ok
        expected = values(desk.another("calm").staging)
    faults = Faults(rate=0.2, hang_seconds=4.0)
    with desk_with_simulator(tmp_path, seed=40, faults=faults) as (desk, sim):
        result = desk.having(SYNC_TIMEOUT_SECONDS="2").another("stormy").sync(regions=regions, **days)
    assert result.ok, result.errors
    assert set(sim.counters.faults) == set(ALL_KINDS), "the storm was not a full one"
    stormy = desk.another("stormy").staging
    assert values(stormy) == expected
    assert set(statuses(stormy)) <= {"done", "empty"}, "empty are subregions of authorities without any"
    assert not has_twins(stormy)
    assert query(stormy, "select max(attempts) > 1 from sync.chunk") == [(True,)]


def test_after_a_429_no_request_leaves_before_the_time_that_it_names(tmp_path: Path) -> None:
    def answer(number: int, path: str) -> Answer:
        return EMPTY if number else Answer(TOO_MANY, 429, {"Retry-After": "3"})

    # Slow enough that the other threads are still waiting for their turn when the 429 comes, however busy the machine.
    with scripted(answer) as server:
        desk = at(tmp_path, server.url, EIA_REQUESTS_PER_SECOND="1")
        assert desk.sync("eia.region_data", regions=["CISO,BPAT"], **DAY).ok
    first, *rest = [moment for moment, _ in server.asked]
    assert min(rest) - first > 2.9
    assert len(rest) == 2


def test_a_source_that_asks_for_an_hour_of_quiet_is_left_alone_at_once(tmp_path: Path) -> None:
    with scripted(lambda number, path: Answer(TOO_MANY, 429, {"Retry-After": "3600"})) as server:
        began = time.monotonic()
        result = at(tmp_path, server.url, SYNC_JOBS="1").sync("eia.region_data", regions=["CISO,BPAT,PACW"], **DAY)
    assert re.search(r"not to be asked again for 3,600 s.*run this again after", str(result.fatal["eia"]))
    assert time.monotonic() - began < 60
    assert len(server.asked) == 1
    assert statuses(tmp_path / "warehouse" / "staging.duckdb") == {"due": 3}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"error":"Invalid facet \'None\' provided.","code":400}'),
        (404, b'{"error":"Not found.","code":404}'),
        (500, b'{"error":"Not found.","code":404}'),
        (200, b'{"error":"Invalid frequency.","code":400}'),
    ],
)
def test_what_is_refused_is_not_asked_again(tmp_path: Path, status: int, body: bytes) -> None:
    with scripted(lambda number, path: Answer(body, status)) as server:
        result = at(tmp_path, server.url).sync("eia.region_data", regions=["CISO"], **DAY)
    assert len(server.asked) == 1
    assert not result.ok
    (error,) = result.errors
    assert "eia.region_data CISO 2024-03-01T00..2024-03-01T23: EIA refuses the request" in error


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_ends_the_run_with_what_to_do(tmp_path: Path, status: int) -> None:
    body = json.dumps({"error": {"code": "API_KEY_INVALID", "message": f"An invalid api_key: {KEY}"}}).encode()
    with scripted(lambda number, path: Answer(body, status)) as server:
        regions = ["CISO,BPAT,PACW,AVA,NEVP,PSEI,IPCO,AZPS,SRP,PJM,MISO,ERCO,NYIS"]
        result = at(tmp_path, server.url, SYNC_JOBS="2").sync("eia.region_data", regions=regions, **DAY)
    assert isinstance(result.fatal["eia"], KeyRefusedError)
    assert "EIA rejects the API key. Check EIA_API_KEY" in str(result.fatal["eia"])
    assert KEY not in str(result.fatal["eia"])
    assert len(server.asked) <= 2
    assert statuses(tmp_path / "warehouse" / "staging.duckdb") == {"due": 13}


@pytest.mark.parametrize(
    "bad",
    [
        lambda whole: Answer(b"<html>We will be back</html>"),
        lambda whole: Answer(whole[: len(whole) // 2]),
        lambda whole: Answer(whole[:50], headers={"Content-Length": str(len(whole))}),
        lambda whole: Answer(b"\x1f\x8bnot gzip", headers={"Content-Encoding": "gzip"}),
        lambda whole: Answer(whole.replace(b'"CISO"', b'"PACW"')),
        lambda whole: Answer(whole.replace(b'"2024-03-01T05"', b'"2023-03-01T05"')),
        lambda whole: Answer(b"", 500),
        lambda whole: Answer(b"<html>Bad Gateway</html>", 502),
    ],
)
def test_a_bad_answer_is_asked_for_again(
    tmp_path: Path, bad: Callable[[bytes], Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_BACK_OFF", lambda state: 0.0)
    rows = [{"period": f"2024-03-01T{hour:02}", "respondent": "CISO", "type": "D", "value": "7"} for hour in (4, 5)]
    whole = json.dumps({"response": {"total": "2", "data": rows}}).encode()
    with scripted(lambda number, path: Answer(whole) if number else bad(whole)) as server:
        desk = at(tmp_path, server.url, SYNC_TIMEOUT_SECONDS="3")
        result = desk.sync("eia.region_data", regions=["CISO"], **DAY)
    assert result.ok, result.errors
    assert len(server.asked) == 2
    assert query(tmp_path / "warehouse" / "staging.duckdb", "select count(*) from eia.region_data") == [(2,)]


def pages(path: str, total: list[int], rows: list[dict[str, str]]) -> Answer:
    """Answer a page of up to 5,000 of the rows; the total counts the request."""
    offset = int(parse_qs(urlsplit(path).query)["offset"][0])
    body = {"response": {"total": str(total.pop(0) if len(total) > 1 else total[0]), "data": rows[offset:][:3]}}
    return Answer(json.dumps(body).encode())


# Two codes an hour and three rows a page: pages begin with different codes, as real ones do.
ROWS = [
    {"period": f"2024-03-01T{hour:02}", "respondent": "CISO", "type": code, "value": "7"}
    for hour in range(1, 5)
    for code in ("D", "NG")
]


def test_pages_are_fetched_until_they_add_up_to_the_total(tmp_path: Path) -> None:
    with scripted(lambda number, path: pages(path, [8], ROWS)) as server:
        assert at(tmp_path, server.url).sync("eia.region_data", regions=["CISO"], **DAY).ok
    assert [parse_qs(path)["offset"] for _, path in server.asked] == [["0"], ["3"], ["6"]]
    assert query(tmp_path / "warehouse" / "staging.duckdb", "select count(*), sum(value) from eia.region_data") == [
        (8, 56)
    ]
    assert query(tmp_path / "warehouse" / "staging.duckdb", "select len(payloads) from sync.chunk") == [(3,)]


def test_a_total_that_changes_between_pages_starts_the_chunk_again(tmp_path: Path) -> None:
    totals = [7, 8, 8]
    with scripted(lambda number, path: pages(path, totals, ROWS)) as server:
        assert at(tmp_path, server.url).sync("eia.region_data", regions=["CISO"], **DAY).ok
    assert [parse_qs(path)["offset"][0] for _, path in server.asked] == ["0", "3", "0", "3", "6"]
    assert query(tmp_path / "warehouse" / "staging.duckdb", "select count(*) from eia.region_data") == [(8,)]


def test_rows_that_repeat_between_pages_start_the_chunk_again(tmp_path: Path) -> None:
    shifted = [*ROWS[:3], *ROWS[2:7]]
    with scripted(lambda number, path: pages(path, [8], shifted if number < 3 else ROWS)) as server:
        assert at(tmp_path, server.url).sync("eia.region_data", regions=["CISO"], **DAY).ok
    assert len(server.asked) == 5  # the second page shows it
    assert not has_twins(tmp_path / "warehouse" / "staging.duckdb")


def test_a_source_that_is_down_is_not_asked_for_every_chunk(tmp_path: Path) -> None:
    with scripted(lambda number, path: Answer(b"", 503)) as server:
        desk = at(tmp_path, server.url, SYNC_RETRIES="0", SYNC_JOBS="2")
        result = desk.sync(since="2024-03-01", until="2024-03-01")
    assert isinstance(result.fatal["eia"], SourceError)
    assert re.search(r"failed in a row; stopped asking it.*run this again later", str(result.fatal["eia"]))
    assert len(server.asked) < 100
    counts = statuses(tmp_path / "warehouse" / "staging.duckdb")
    assert set(counts) == {"due", "failed"}
    assert counts["due"] > counts["failed"]


def test_failures_among_answers_do_not_end_the_run(tmp_path: Path) -> None:
    refused = Answer(b'{"error":"Invalid facet.","code":400}', 400)
    with scripted(lambda number, path: refused if "=PACW" in path else EMPTY) as server:
        regions = ["CISO,BPAT,PACW,AVA,NEVP,PSEI"]
        result = at(tmp_path, server.url).sync("eia.region_data", regions=regions, **DAY)
    assert len(server.asked) == 6
    assert len(result.errors) == 1
    assert statuses(tmp_path / "warehouse" / "staging.duckdb") == {"empty": 5, "failed": 1}


def test_a_payload_that_cannot_be_kept_ends_the_run_and_gives_the_rest_back(tmp_path: Path, sim: Simulator) -> None:
    desk = Desk(tmp_path, sim.url)
    desk.home.create()
    desk.home.payloads.write_text("a file where the folder should be")
    result = desk.sync("eia.region_data", regions=["CISO,BPAT"], **DAY)
    assert isinstance(result.fatal["eia"], StorageError)
    assert re.search(r"cannot write .*payloads.*run this again", str(result.fatal["eia"]))
    assert statuses(desk.staging) == {"due": 2}
    desk.home.payloads.unlink()
    assert desk.sync("eia.region_data", regions=["CISO,BPAT"], **DAY).ok


REFUSED = Answer(b'{"error":"Invalid facet.","code":400}', 400)


def test_a_slice_that_is_always_refused_holds_up_no_other(tmp_path: Path) -> None:
    """Its chunks come first and exceed the number of initial failures that end a source's part."""
    with scripted(lambda number, path: REFUSED if "=CISO" in path else EMPTY) as server:
        desk = at(tmp_path, server.url, SYNC_JOBS="1")
        result = desk.sync("eia.region_data", regions=["CISO,BPAT,PACW"], since="2019-01-01", until="2021-12-31")
    assert not result.fatal
    assert set(query(desk.staging, "select distinct slice, status from sync.chunk")) == {
        ("CISO", "failed"),
        ("BPAT", "empty"),
        ("PACW", "empty"),
    }
    assert query(desk.staging, "select count(*) > 20 from sync.chunk where slice = 'CISO'") == [(True,)]


def test_what_failed_before_is_asked_for_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LAND_EVERY_SECONDS", 0.01)
    monkeypatch.setattr(lane, "CLAIMS_AHEAD", 1)
    down = Answer(b"", 503)
    asked: list[str] = []

    def answer(number: int, path: str) -> Answer:
        asked.append(parse_qs(urlsplit(path).query)["facets[respondent][]"][0])
        return down if asked[-1] == "CISO" else EMPTY

    years = {"since": "2019-01-01", "until": "2019-12-31"}
    with scripted(answer) as server:
        desk = at(tmp_path, server.url, SYNC_JOBS="1", SYNC_RETRIES="0")
        first = desk.sync("eia.region_data", regions=["CISO,BPAT,PACW"], **years)
        assert "3 chunks of eia failed in a row" in str(first.fatal["eia"])
        assert "BPAT" not in asked
        asked.clear()
        desk.sync("eia.region_data", regions=["CISO,BPAT,PACW"], **years)
    assert asked[0] == "BPAT"
    assert (
        statuses(desk.staging)["empty"]
        == query(desk.staging, "select count(*) from sync.chunk where slice <> 'CISO'")[0][0]
    )


def test_a_source_that_refuses_everything_is_left_alone(tmp_path: Path) -> None:
    with scripted(lambda number, path: REFUSED) as server:
        result = at(tmp_path, server.url, SYNC_JOBS="2").sync(since="2024-03-01", until="2024-03-01")
    assert "answered none of 20 slices with data; stopped asking it" in str(result.fatal["eia"])
    assert len(server.asked) < 100


def test_a_run_that_ends_early_says_what_it_did_before(tmp_path: Path) -> None:
    rows = [{"period": "2024-03-01T05", "respondent": "CISO", "type": "D", "value": "7"}]
    good = Answer(json.dumps({"response": {"total": "1", "data": rows}}).encode())
    with scripted(lambda number, path: Answer(TOO_MANY, 429, {"Retry-After": "3600"}) if number else good) as server:
        desk = at(tmp_path, server.url, SYNC_JOBS="1")
        done = desk.run(
            "sync", "eia.region_data", "--region", "CISO,BPAT", "--since", DAY["since"], "--until", "2024-03-01"
        )
    assert done.returncode == 1
    assert "eia.region_data: 1 of 2 chunks; 1 row: 1 new" in done.stdout
    assert "sync incomplete: 2 requests" in done.stdout
    assert "1 chunk left, the next sync continues from here" in done.stdout
    assert re.search(r"^energywh: eia failed: eia asks not to be asked again for 3,600 s", done.stderr, re.MULTILINE)
