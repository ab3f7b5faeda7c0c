"""EIA's half-year files through the real client: the same facts as from the API, without needless downloads."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from energywh.core.time import hour_number
from energywh.models.build.runner import build
from energywh.simulate.faults import ALL_KINDS, Faults
from energywh.simulate.reporting import Reporting
from energywh.simulate.server import Simulator
from energywh.sync.replay import replay
from energywh.sync.schema import open_staging
from tests.support.desk import KEY, Desk
from tests.support.few import FEW, few_regions
from tests.support.half_year import BALANCE_HEADERS, as_csv, key_cells, serving
from tests.support.scripted import Answer, scripted
from tests.support.staging import Rows, everything, has_twins, query, statuses, values
from tests.sync.conftest import MovableClock

MODELS = tuple(
    f"normalized.{name}" for name in ("demand", "generation", "interchange", "subregion_demand", "source_conflict")
)
MEASURES = ("demand", "demand_forecast", "net_generation", "total_interchange")


@dataclass(frozen=True)
class Span:
    """Days in several halves, and since when the simulator reports: files begin then, and are short."""

    reported: datetime
    since: str
    until: str
    halves: int

    @property
    def days(self) -> dict[str, str]:
        return {"since": self.since, "until": self.until}


# Over midsummer, when the codes of fuels were split; and over New Year and the change of the clock too.
SPANS = (
    Span(datetime(2024, 6, 10), "2024-06-17", "2024-07-12", 2),
    pytest.param(Span(datetime(2023, 12, 14), "2023-12-28", "2024-07-12", 3), marks=pytest.mark.soak),
)


def simulated(
    reported: datetime, *, now: str | datetime = "2024-07-20T00", faults: Faults | None = None, revised: float = 0.0
) -> Simulator:
    reporting = Reporting(first_period=hour_number(reported), revision_rate=revised)
    return Simulator(seed=5, now=now, api_key=KEY, atlas=few_regions(), reporting=reporting, faults=faults)


@pytest.fixture(scope="module", params=SPANS, ids=lambda span: f"{span.halves}_halves")
def span(request: pytest.FixtureRequest) -> Span:
    found: Span = request.param
    return found


@pytest.fixture(scope="module")
def by_files(span: Span, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A warehouse of the halves that hold the days, from the files, without a key; built."""
    with simulated(span.reported) as sim:
        desk = Desk(tmp_path_factory.mktemp("files"), sim.url, key="").facing(sim, "eia_files")
        result = desk.sync(**span.days)
        assert result.ok, result.errors
        assert [tally.done for tally in result.tallies] == [span.halves] * 3
        build(desk.home, MODELS)
        yield desk


def facts(desk: Desk, span: Span) -> dict[str, Rows]:
    """Return the reported values of the days by model."""
    hours = f"hour_utc between timestamp '{span.since}' and timestamp '{span.until} 23:00'"
    found = {
        measure: query(
            desk.home.energy.resolve(),
            f"select region, hour_utc, {measure}_mwh from normalized.demand where {hours} "
            f"and {measure}_mwh is not null order by all",
        )
        for measure in MEASURES
    }
    for model, key, value in (
        ("generation", "fuel", "generation_mwh"),
        ("interchange", "neighbor", "interchange_mwh"),
        ("subregion_demand", "subregion", "demand_mwh"),
    ):
        found[model] = query(
            desk.home.energy.resolve(),
            f"select region, {key}, hour_utc, {value} from normalized.{model} where {hours} and {value} is not null "
            "order by all",
        )
    return found


def test_the_files_and_the_api_give_the_same_facts(by_files: Desk, span: Span, tmp_path: Path) -> None:
    with simulated(span.reported) as sim:
        desk = Desk(tmp_path, sim.url)
        assert desk.sync(regions=FEW, **span.days).ok
    build(desk.home, MODELS)
    one, other = facts(by_files, span), facts(desk, span)
    assert one.keys() == other.keys()
    for model, rows in one.items():
        assert len(rows) > 1_000 * span.halves
        assert rows == other[model], model
    for home, source in ((by_files, "eia_files"), (desk, "eia")):
        for model in ("demand", "generation", "interchange", "subregion_demand"):
            sources = query(home.home.energy.resolve(), f"select distinct source from normalized.{model}")
            assert sources == [(source,)]
    (imputed,) = query(by_files.home.energy.resolve(), "select count(demand_imputed_mwh) from normalized.demand")[0]
    assert imputed > 0
    assert not has_twins(by_files.staging)


def test_an_hour_of_both_sources_is_one_fact_and_differences_are_reported(tmp_path: Path) -> None:
    """The API's values of a week are fetched when the week is new, the file long after: some were revised meanwhile."""
    week = {"since": "2024-03-04", "until": "2024-03-10"}
    inside = "hour_utc >= timestamp '2024-03-04' and hour_utc < timestamp '2024-03-11'"
    with simulated(datetime(2024, 2, 26), now="2024-03-11T02", revised=0.2) as sim:
        desk = Desk(tmp_path, sim.url).facing(sim, "eia", "eia_files")
        assert desk.sync("eia", regions=FEW, **week).ok
        sim.clock.advance(hours=24 * 14)
        assert desk.sync("eia_files", **week).ok
    build(desk.home, MODELS)
    energy = desk.home.energy.resolve()
    files = query(
        desk.staging,
        "select region, period - interval 1 hour as hour_utc, demand_mwh from eia_files.balance "
        f"where {inside} and demand_mwh is not null order by all",
    )
    held = {
        row[:2]: row[2]
        for row in query(energy, f"select region, hour_utc, demand_mwh from normalized.demand where {inside}")
    }
    assert {row[:2]: row[2] for row in files}.items() <= held.items(), "the file is the newest knowledge"
    conflicts = query(
        energy,
        "select region, hour_utc, eia_mwh, eia_files_mwh, eia_known_from_utc < eia_files_known_from_utc "
        "from normalized.source_conflict where measure = 'demand' order by all",
    )
    compared = query(
        desk.staging,
        "select respondent, f.period - interval 1 hour, value, demand_mwh, true from eia.region_data a "
        "join eia_files.balance f on f.region = a.respondent and f.period = a.period "
        "where type = 'D' and value <> demand_mwh order by all",
    )
    assert conflicts == compared
    assert len(conflicts) > 3
    measures = {row[0] for row in query(energy, "select distinct measure from normalized.source_conflict")}
    assert {"demand", "generation", "interchange"} <= measures


def test_a_replay_gives_the_same_tables(by_files: Desk) -> None:
    before = everything(by_files.staging)
    replay(by_files.settings())
    assert everything(by_files.staging) == before
    by_files.staging.unlink()  # also without a staging file
    replay(by_files.settings())
    assert {table: rows for table, rows in everything(by_files.staging).items() if table != "sync.landing"} == {
        table: rows for table, rows in before.items() if table != "sync.landing"
    }


@pytest.mark.soak
def test_a_storm_of_faults_leaves_the_same_tables(by_files: Desk, span: Span, tmp_path: Path) -> None:
    faults = Faults(0.5, kinds=tuple(kind for kind in ALL_KINDS if kind != "wrong-total"), hang_seconds=1.0)
    with simulated(span.reported, faults=faults) as sim:
        desk = Desk(tmp_path, sim.url, key="").facing(sim, "eia_files")
        result = desk.having(SYNC_RETRIES="20").sync(**span.days)
    assert result.ok, result.errors
    assert sum(sim.counters.faults.values()) > 4
    assert values(desk.staging) == values(by_files.staging)
    assert set(statuses(desk.staging)) == {"done"}


def test_the_running_half_is_downloaded_again_only_when_it_has_changed(tmp_path: Path, clock: MovableClock) -> None:
    days = {"since": f"{clock.now():%Y-%m-%d}"}
    with simulated(datetime(2025, 6, 1), now=clock.now()) as sim:
        desk = Desk(tmp_path, sim.url, key="").facing(sim, "eia_files")
        first = desk.sync("eia_files.balance", **days)
        assert first.ok, first.errors
        assert first.tallies[0].done == 1
        before = everything(desk.staging)

        again = desk.sync("eia_files.balance", **days)
        assert again.ok
        assert (again.tallies[0].done, again.tallies[0].unchanged, again.tallies[0].counts.rows) == (1, 1, 0)
        assert (sim.counters.statuses[200], sim.counters.statuses[304]) == (1, 1)
        assert everything(desk.staging) == before, "no landing is written of a file that is the same"
        (done,) = query(desk.staging, "select status, rows > 0, fetched_at_utc > landed_at_utc from sync.chunk")
        assert done[:2] == ("done", True)
        replay(desk.settings())
        assert everything(desk.staging) == before

        sim.clock.advance(hours=24)
        later = desk.sync("eia_files.balance", **days)
        assert later.tallies[0].counts.new > 0
        assert later.tallies[0].unchanged == 0
        assert sim.counters.statuses[200] == 2

        refreshed = desk.sync("eia_files.balance", refresh="1d", **days)
        assert (refreshed.tallies[0].unchanged, sim.counters.statuses[200]) == (0, 3)
        assert refreshed.tallies[0].counts.changed == refreshed.tallies[0].counts.new == 0


def test_staging_that_was_lost_is_filled_again_though_the_server_says_unchanged(
    tmp_path: Path, clock: MovableClock
) -> None:
    days = {"since": f"{clock.now():%Y-%m-%d}"}
    with simulated(datetime(2025, 6, 1), now=clock.now()) as sim:
        desk = Desk(tmp_path, sim.url, key="").facing(sim, "eia_files")
        desk.sync("eia_files.balance", **days)
        before = values(desk.staging)
        desk.staging.unlink()
        desk.sync("eia_files.balance", **days)
    assert values(desk.staging) == before
    assert sim.counters.statuses[304] == 0


def one_file(rows: int = 400) -> bytes:
    """Return a balance file of the second half of 2023."""
    cells = [
        key_cells("CISO", datetime(2023, 8, 1) + timedelta(hours=hour)) | {"Demand (MW)": f"{20_000 + hour:,}"}
        for hour in range(rows)
    ]
    return as_csv(BALANCE_HEADERS, cells)


@dataclass
class Conditional:
    """A server of one file, of which the newest of the versions is sent unless the client has its ETag."""

    url: str
    versions: dict[str, bytes]
    statuses: list[int] = field(default_factory=list)


@contextmanager
def conditional(versions: dict[str, bytes]) -> Iterator[Conditional]:
    found = Conditional("", versions)

    def answer(number: int, path: str, headers: Mapping[str, str]) -> Answer:
        etag = list(found.versions)[-1]
        status = 304 if headers.get("If-None-Match") == etag else 200
        found.statuses.append(status)
        return Answer(b"" if status == 304 else found.versions[etag], status, {"ETag": etag})

    with scripted(answer) as server:
        found.url = server.url
        yield found


WHOLE = 153 * 24 + 8  # rows until the end of the year by Pacific time
AUGUST = {"since": "2023-08-01", "until": "2023-08-02"}


def at(folder: Path, url: str, **variables: str) -> Desk:
    return Desk(folder, "", key="").having(EIA_FILES_URL=url, EIA_FILES_REQUESTS_PER_SECOND="0", **variables)


def demand(desk: Desk) -> list[float]:
    return [row[0] for row in query(desk.staging, "select demand_mwh from eia_files.balance order by period")]


def test_an_interrupted_download_resumes(tmp_path: Path) -> None:
    body = one_file()
    half = len(body) // 2
    whole = {"ETag": '"one"', "Accept-Ranges": "bytes", "Content-Length": str(len(body)), "Connection": "close"}
    place = {"ETag": '"one"', "Content-Range": f"bytes {half}-{len(body) - 1}/{len(body)}"}

    def answer(number: int, path: str) -> Answer:
        return Answer(body[half:], 206, place) if number else Answer(body[:half], 200, whole)

    with scripted(answer) as server:
        desk = at(tmp_path, server.url)
        result = desk.sync("eia_files.balance", **AUGUST)
    assert result.ok, result.errors
    assert len(server.asked) == 2
    assert demand(desk) == [20_000 + hour for hour in range(400)]
    assert query(desk.staging, "select attempts from sync.chunk") == [(1,)]


def test_a_download_that_cannot_resume_starts_again(tmp_path: Path) -> None:
    body = one_file()
    cut = {"Content-Length": str(len(body)), "Connection": "close"}
    with scripted(lambda number, path: Answer(body[:3000], 200, cut) if number < 2 else Answer(body)) as server:
        desk = at(tmp_path, server.url)
        assert desk.sync("eia_files.balance", **AUGUST).ok
    assert len(server.asked) == 3
    assert len(demand(desk)) == 400
    assert not list(desk.home.payloads.rglob(".part-*"))


def test_a_file_without_etag_or_date_is_known_again_by_its_bytes(tmp_path: Path) -> None:
    body = one_file()
    with scripted(lambda number, path: Answer(body)) as server:
        desk = at(tmp_path, server.url)
        assert desk.sync("eia_files.balance", **AUGUST).ok
        with open_staging(desk.staging) as connection:  # as if the half were still running
            connection.execute("update sync.chunk set fetched_at_utc = timestamp '2023-08-03'")
        again = desk.sync("eia_files.balance", **AUGUST)
    assert (again.ok, again.tallies[0].unchanged, again.tallies[0].counts.rows) == (True, 1, 0)
    assert query(desk.staging, "select count(*) from sync.landing") == [(1,)]


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"<!DOCTYPE html>\n<html>We will be back.</html>\n", "not a half-year file of EIA"),
        (one_file()[:-40], "not a whole half-year file"),
        (as_csv(BALANCE_HEADERS[1:], [key_cells("CISO", datetime(2023, 8, 1))]), "has no column for region"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_fails_and_leaves_no_rows(tmp_path: Path, body: bytes, what: str) -> None:
    with scripted(lambda number, path: Answer(body)) as server:
        desk = at(tmp_path, server.url, SYNC_RETRIES="1")
        result = desk.sync("eia_files.balance", **AUGUST)
    (error,) = result.errors
    assert re.search(what, error)
    assert statuses(desk.staging) == {"failed": 1}
    assert demand(desk) == []


def warnings_of(desk: Desk) -> list[tuple[object, ...]]:
    return query(desk.staging, "select dataset, slice, rule, subject, count from sync.payload_warning order by all")


def test_an_unknown_column_is_kept_as_a_warning_until_a_file_lacks_it(tmp_path: Path, clock: MovableClock) -> None:
    new = "Net Generation (MW) from Fusion"
    headers = [(*BALANCE_HEADERS, new)]
    cells = key_cells("CISO", datetime(2023, 8, 1)) | {"Demand (MW)": "5", new: "1"}
    with scripted(
        lambda number, path: Answer(as_csv(headers[0], [cells | {"Net Generation (MW)": f"{number}"}]))
    ) as server:
        desk = at(tmp_path, server.url)
        assert desk.sync("eia_files.balance", **AUGUST).ok
        assert demand(desk) == [5.0]
        assert warnings_of(desk) == [("eia_files.balance", "2023_Jul_Dec", "unknown_column", new, 1)]
        since = "select first_seen_utc, last_seen_utc from sync.payload_warning"
        ((first, last),) = query(desk.staging, since)
        assert first == last
        clock.advance(24)
        assert desk.sync("eia_files.balance", refresh="9000d", **AUGUST).ok
        ((still, later),) = query(desk.staging, since)
        assert (still, later > last) == (first, True)
        headers[0] = BALANCE_HEADERS
        assert desk.sync("eia_files.balance", refresh="9000d", **AUGUST).ok
    assert warnings_of(desk) == []


def test_a_refused_file_is_not_sent_again_until_it_changes(tmp_path: Path) -> None:
    wrong = as_csv(BALANCE_HEADERS[1:], [key_cells("CISO", datetime(2023, 8, 1))])
    with conditional({'"one"': wrong}) as server:
        desk = at(tmp_path, server.url)
        first = desk.sync("eia_files.balance", **AUGUST)
        second = desk.sync("eia_files.balance", **AUGUST)
        assert [len(result.errors) for result in (first, second)] == [1, 1]
        assert "has no column for region" in second.errors[0]
        assert server.statuses == [200, 304]
        server.versions['"two"'] = one_file()
        assert desk.sync("eia_files.balance", **AUGUST).ok
    assert len(demand(desk)) == 400


def test_a_file_of_a_past_half_that_lacks_hours_stays_due_and_is_not_sent_again_unchanged(tmp_path: Path) -> None:
    """Its half-year is over, so missing hours make it incomplete."""
    with conditional({'"one"': one_file(0)}) as server:
        desk = at(tmp_path, server.url)
        for versions, rows in ((1, 0), (1, 0), (2, 400), (2, 400), (3, WHOLE), (3, WHOLE)):
            if versions > len(server.versions):
                server.versions[f'"{versions}"'] = one_file(rows)
            assert desk.sync("eia_files.balance", **AUGUST).ok
            assert len(demand(desk)) == rows
    assert server.statuses == [200, 304, 200, 304, 200], "the whole one is settled"
    assert query(desk.staging, "select status, gap from sync.chunk") == [("done", None)]


def test_a_download_without_a_length_that_may_have_been_cut_is_made_again(tmp_path: Path) -> None:
    body = one_file(WHOLE)
    cut = body[: body.index(b"\n", len(body) // 2) + 1]
    no_length = {"Content-Length": "", "Connection": "close", "ETag": '"one"'}
    with scripted(lambda number, path: Answer(body if number else cut, 200, no_length)) as server:
        desk = at(tmp_path, server.url)
        assert desk.sync("eia_files.balance", **AUGUST).ok
        assert 0 < len(demand(desk)) < WHOLE
        assert desk.sync("eia_files.balance", **AUGUST).ok
    assert len(demand(desk)) == WHOLE


def test_a_gzip_stream_without_its_end_is_asked_for_again(tmp_path: Path) -> None:
    packed = gzip.compress(one_file(WHOLE))
    headers = {"Content-Length": "", "Connection": "close", "Content-Encoding": "gzip"}
    with scripted(lambda number, path: Answer(packed if number else packed[:-8], 200, headers)) as server:
        desk = at(tmp_path, server.url)
        assert desk.sync("eia_files.balance", **AUGUST).ok
    assert len(server.asked) == 2
    assert len(demand(desk)) == WHOLE


def test_a_file_server_that_refuses_for_a_moment_is_asked_again(tmp_path: Path) -> None:
    page = Answer(b"<HTML><H1>Access Denied</H1></HTML>", 403, {"Content-Type": "text/html"})
    with scripted(lambda number, path: Answer(one_file(WHOLE)) if number else page) as server:
        desk = at(tmp_path, server.url)
        assert desk.sync("eia_files.balance", **AUGUST).ok
    with scripted(lambda number, path: page) as server:
        desk = at(tmp_path / "b", server.url, SYNC_RETRIES="1")
        (error,) = desk.sync("eia_files.balance", **AUGUST).errors
    assert "refuses this client" in error
    assert "no such file" not in error


def test_a_half_that_is_not_published_yet_stays_due_without_a_failure(tmp_path: Path, clock: MovableClock) -> None:
    with scripted(serving({})) as server:
        desk = at(tmp_path, server.url)
        result = desk.sync("eia_files.balance", since=f"{clock.now():%Y-%m-%d}")
    assert result.ok
    assert result.tallies[0].later == result.tallies[0].due > 0
    assert set(statuses(desk.staging)) == {"due"}


def test_without_retention_the_file_is_there_while_it_is_read_and_gone_after(tmp_path: Path) -> None:
    with scripted(lambda number, path: Answer(one_file(), 200, {"ETag": '"one"'})) as server:
        desk = at(tmp_path, server.url, PAYLOADS_RETENTION="0h")
        assert desk.sync("eia_files.balance", **AUGUST).ok
    assert len(demand(desk)) == 400
    assert [path.name for path in desk.home.payloads.rglob("*") if path.is_file()] == ["2023_Jul_Dec.seen.json"]


def test_a_dry_run_counts_downloads_and_rows(by_files: Desk) -> None:
    done = by_files.another("dry").run(
        "sync", "eia_files", "--since", "2024-01-05", "--until", "2024-06-20", "--dry-run"
    )
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line.split() for line in done.stdout.splitlines()}
    assert [lines[f"eia_files.{table}"][2] for table in ("balance", "interchange", "subregion")] == ["1", "1", "1"]
    assert 200_000 < int(lines["eia_files.balance"][3].replace(",", "")) < 400_000
