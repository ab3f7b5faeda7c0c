"""The choice between EIA's API and files: both with a key, files without one, or as options say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from energywh.core.time import hour_number, hour_time, parse_hour
from energywh.errors import SettingsError, UsageError
from energywh.simulate.server import Simulator
from energywh.sources.eia import SOURCE as EIA
from energywh.sync.selection import Selection, parse_selection, range_of, resolve
from tests.support.desk import KEY, Desk
from tests.support.few import few_regions

PRESENT = hour_number(parse_hour("2026-05-20T12"))
WHOLE_FILES = "eia_files: whole files are taken, with all regions and hours of their half-year"
NEWEST = PRESENT - EIA.newest_hours


def chosen(tmp_path: Path, *, key: str = KEY, sources: str = "eia,eia_files", **words: Any) -> Selection:
    desk = Desk(tmp_path, "http://127.0.0.1:9/v2", key=key).having(
        SYNC_SOURCES=sources, EIA_FILES_URL="http://127.0.0.1:9/files"
    )
    return resolve(parse_selection(**words), desk.settings(), PRESENT)


def first_hour(selection: Selection, name: str, slice_: str) -> int:
    dataset = next(dataset for dataset in selection.datasets if dataset.name == name)
    return range_of(selection, dataset, slice_, PRESENT)[0]


def test_with_a_key_history_is_from_the_files_and_the_newest_weeks_from_the_api(tmp_path: Path) -> None:
    selection = chosen(tmp_path)
    assert set(selection.sources) == {"eia", "eia_files"}
    assert first_hour(selection, "eia.region_data", "CISO") == NEWEST
    assert first_hour(selection, "eia_files.balance", "2015_Jul_Dec") < hour_number(parse_hour("2015-07-01"))
    (note,) = selection.notes
    assert f"eia is asked from {hour_time(NEWEST):%Y-%m-%d} on: eia_files has the history" in note
    assert "--api" in note
    assert PRESENT - max(dataset.settling_hours for dataset in EIA.datasets) - 27 * 24 > NEWEST


def test_aggregates_are_in_no_file_and_so_are_asked_for_whole(tmp_path: Path) -> None:
    selection = chosen(tmp_path, aggregates=True)
    assert first_hour(selection, "eia.region_data", "US48") == hour_number(parse_hour("2019-01-01"))
    assert first_hour(selection, "eia.region_data", "CISO") == NEWEST


def test_without_a_key_the_files_are_taken_and_it_says_so(tmp_path: Path) -> None:
    for words in ({}, {"regions": ["CISO"]}, {"since": "2026-05-19"}):
        selection = chosen(tmp_path, key="", **words)
        assert set(selection.sources) == {"eia_files"}
        note, *whole = selection.notes
        assert note.startswith("eia is left out: EIA's API needs a key")
        assert whole == [WHOLE_FILES] * bool(words)
        assert note.endswith("Its history is taken from eia_files")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"regions": ["CISO"]}, "eia has the regions named alone"),
        ({"since": "2026-05-01"}, "eia has hours as new as those"),
    ],
)
def test_where_the_api_alone_costs_less_the_files_are_left_out(tmp_path: Path, words: dict[str, Any], why: str) -> None:
    selection = chosen(tmp_path, **words)
    assert set(selection.sources) == {"eia"}
    assert not selection.begins
    assert [why in note for note in selection.notes] == [True]


@pytest.mark.parametrize("sources", ["eia,eia_files", "eia", "eia_files"])
def test_one_way_can_be_forced(tmp_path: Path, sources: str) -> None:
    """The API and the files replace each other: a selection of one may force the other."""
    api = chosen(tmp_path, sources=sources, way="api")
    files = chosen(tmp_path, sources=sources, way="files", regions=["CISO"])
    assert (set(api.sources), set(files.sources)) == ({"eia"}, {"eia_files"})
    assert not api.begins
    assert first_hour(api, "eia.region_data", "CISO") == hour_number(parse_hour("2019-01-01"))
    assert api.notes == ()
    assert files.notes == (WHOLE_FILES,)
    with pytest.raises(SettingsError, match="needs a key"):
        chosen(tmp_path, key="", sources=sources, way="api")


def test_the_sources_that_are_set_are_the_only_ones(tmp_path: Path) -> None:
    assert set(chosen(tmp_path, sources="eia").sources) == {"eia"}
    assert set(chosen(tmp_path, sources="eia_files").sources) == {"eia_files"}
    with pytest.raises(SettingsError, match="needs a key"):
        chosen(tmp_path, key="", sources="eia")


def test_a_source_that_is_named_is_taken_whole_whatever_else_there_is(tmp_path: Path) -> None:
    selection = chosen(tmp_path, names=["eia"])
    assert set(selection.sources) == {"eia"}
    assert first_hour(selection, "eia.region_data", "CISO") == hour_number(parse_hour("2019-01-01"))
    with pytest.raises(UsageError, match="not both"):
        parse_selection(["eia"], way="files")


def test_the_command_says_which_way_and_why_and_takes_it(tmp_path: Path) -> None:
    days = ("--since", "2024-03-01", "--until", "2024-03-05")
    with Simulator(now="2024-08-01T00", api_key=KEY, atlas=few_regions()) as sim:
        desk = Desk(tmp_path, sim.url).facing(sim, "eia", "eia_files")
        dry = desk.run("sync", *days, "--dry-run")
        assert dry.returncode == 0, dry.stderr
        assert "eia_files has the history before in fewer requests" in dry.stdout
        lines = {line.split()[0]: line.split() for line in dry.stdout.splitlines()}
        assert (lines["eia.region_data"][1], lines["eia_files.balance"][1]) == ("0", "1")
        assert not sim.requests

        keyless = Desk(tmp_path, sim.url, key="").facing(sim, "eia", "eia_files")
        done = keyless.run("sync", *days)
        assert done.returncode == 0, done.stderr
        assert "Its history is taken from eia_files" in done.stderr
        assert {request.source for request in sim.requests} == {"eia_files"}
        sim.requests.clear()
        forced = desk.run("sync", "--api", "--region", "CISO", *days)
        assert forced.returncode == 0, forced.stderr
        assert {request.source for request in sim.requests} == {"eia"}
        files = desk.another("again").run("sync", "--files", *days)
        assert files.returncode == 0, files.stderr
        assert "eia_files.balance: 1 of 1 chunk;" in files.stdout
        assert desk.run("sync", "--files", "eia", *days).returncode == 2


def test_real_sources_are_left_out_beside_one_that_stands_in_on_this_machine(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "http://127.0.0.1:9/v2").having(SYNC_SOURCES="")
    selection = resolve(parse_selection(), desk.settings(), PRESENT)
    assert set(selection.sources) == {"eia"}
    assert first_hour(selection, "eia.region_data", "CISO") == hour_number(parse_hour("2019-01-01"))
    assert any("open_meteo is left out: eia is on this machine" in note for note in selection.notes)
    real = desk.having(EIA_URL="https://api.eia.gov/v2")
    assert {"eia", "eia_files", "caiso", "open_meteo"} <= set(
        resolve(parse_selection(), real.settings(), PRESENT).sources
    )
