"""`energywh doctor` names what is wrong with a home, however broken it is, and mends what it safely can."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from energywh.core.locks import file_lock
from energywh.core.paths import Home
from energywh.core.time import utc_now
from energywh.models.versions.publish import PUBLISHED_AGAIN, list_versions
from energywh.models.versions.rollback import publish_again
from energywh.sources import load_settings
from energywh.sync.packs import scan
from energywh.sync.payload_index import PayloadIndex
from energywh.sync.schema import open_staging
from energywh.upkeep.diagnosis import Diagnosis, Examined
from energywh.upkeep.doctor import CHECKS, examine, is_well
from energywh.upkeep.version_checks import check_versions
from tests.support.old_homes import OLD_HOMES
from tests.support.packs import packs


def look(home: Home, *, full: bool = False, fix: bool = False) -> list[Diagnosis]:
    return examine(home, lambda: load_settings(home.path), full=full, fix=fix)


def told(found: list[Diagnosis]) -> dict[str, str]:
    """Return what is not well, by its place."""
    return {each.where: each.severity for each in found if each.severity != "ok"}


def run(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "energywh", "--home", str(home.path), "doctor", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("full", [False, True])
def test_a_sound_home_is_well_and_every_check_says_what_it_looked_at(home: Home, full: bool) -> None:
    found = look(home, full=full)
    assert told(found) == {}
    assert list(dict.fromkeys(each.check for each in found)) == list(CHECKS)
    assert is_well(found)


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def garble(file: Path) -> None:
    size = file.stat().st_size
    with file.open("r+b") as stream:
        stream.seek(size // 3)
        stream.write(b"\xff\x00?" * (size // 9 + 1))
        stream.truncate(size)


def files_of(home: Home) -> list[Path]:
    """Return all files of the home but locks and marks without content."""
    return [
        file
        for file in sorted(home.path.rglob("*"))
        if file.is_file() and not file.is_symlink() and not file.is_relative_to(home.locks) and file.stat().st_size
    ]


HARMS = (cut, garble, empty)


def missed_when_harmed(home: Home, file: Path, harm: Callable[[Path], None]) -> list[str]:
    """Return the file and harm where doctor does not name it."""
    mode, content, name = file.stat().st_mode, file.read_bytes(), str(file.relative_to(home.path))
    file.chmod(0o600)
    harm(file)
    found = look(home, full=True)
    file.write_bytes(content)
    file.chmod(mode)
    named = any(each.where.split(", byte")[0] == name for each in found if each.severity != "ok")
    is_settings = harm is empty and file == home.settings_file  # an empty file of settings is a good one
    return [] if named or is_settings else [f"{name} {harm.__name__}"]


def test_of_one_damaged_file_of_each_kind_doctor_gives_the_name(home: Home) -> None:
    kinds: dict[tuple[str, str], Path] = {}
    for file in files_of(home):
        kinds[file.relative_to(home.path).parts[0], "".join(file.suffixes[-2:])] = file
    assert len(kinds) >= 12
    missed = []
    for number, file in enumerate(kinds.values()):
        missed += missed_when_harmed(home, file, HARMS[number % 2])
    assert missed == []
    assert told(look(home, full=True)) == {}


@pytest.mark.soak
@pytest.mark.parametrize("harm", HARMS)
def test_of_every_damaged_file_doctor_gives_the_name(home: Home, harm: Callable[[Path], None]) -> None:
    assert [text for file in files_of(home) for text in missed_when_harmed(home, file, harm)] == []


@pytest.mark.parametrize("part", ["staging.duckdb", "energy.duckdb", "versions", "payloads", "parquet", "locks", "."])
def test_a_part_that_is_missing_or_a_folder_or_a_loop_gives_no_traceback(home: Home, part: str) -> None:
    place = home.path / part
    for wreck in (None, "folder", "file", "loop"):
        if place.is_symlink() or place.is_file():
            place.unlink()
        elif place.is_dir():
            shutil.rmtree(place)
        if wreck == "folder":
            place.mkdir()
        elif wreck == "file":
            place.write_text("not what should be here")
        elif wreck == "loop" and part != ".":
            place.symlink_to(place.name)
        found = look(home)
        assert [each.what for each in found if "check stopped: " in each.what and "Error:" in each.what] == [], wreck
        if part in ("staging.duckdb", "energy.duckdb", "."):
            assert told(found), wreck


def test_the_command_prints_findings_with_what_to_do_and_exits_1(home: Home) -> None:
    home.settings_file.chmod(0o644)
    cut(home.staging)
    done = run(home)
    assert (done.returncode, done.stderr) == (1, "")
    assert "problem: staging.duckdb: " in done.stdout
    assert "do: energywh replay" in done.stdout
    assert "others may read it, and it holds eia.api_key" in done.stdout
    assert "0123456789abcdef" not in done.stdout
    listed = json.loads(run(home, "--json").stdout)
    assert {each["where"] for each in listed if each["severity"] == "problem"} == {"staging.duckdb", "energywh.toml"}


def test_fix_mends_what_it_can_and_says_so(home: Home) -> None:
    home.settings_file.chmod(0o644)
    newest = list_versions(home)[-1]
    home.energy.unlink()
    home.energy.symlink_to("versions/gone.duckdb")
    newest.path.chmod(0o644)
    record = newest.path.with_suffix(".json")
    record.write_text("{")
    (home.versions / ".building-1-abc").write_bytes(b"x" * 1000)
    (home.versions / "energy-20200101T000000Z-000000.keep").touch()
    sync_lock = home.locks / "sync-1-abc.lock"
    sync_lock.touch()
    (pack,) = packs(home.payloads)
    size = pack.stat().st_size
    begun = pack.read_bytes()[:600]
    with pack.open("ab") as stream:
        stream.write(begun)
    found = look(home, fix=True)
    assert is_well(found)
    assert {each.where for each in found if each.mended} == {
        "energywh.toml",
        "energy.duckdb",
        f"versions/{newest.path.name}",
        f"versions/{record.name}",
        "versions/.building-1-abc",
        "versions/energy-20200101T000000Z-000000.keep",
        "locks/sync-1-abc.lock",
        str(pack.relative_to(home.path)),
    }
    assert pack.stat().st_size == size
    assert home.energy.resolve() == newest.path
    assert told(look(home, full=True)) == {}


def test_commands_can_be_typed_where_the_name_of_the_home_has_spaces(home: Home) -> None:
    spaced = Home(home.path.rename(home.path.with_name("my home")))
    aside = spaced.path / "staging.damaged-20260101T000000.duckdb"
    aside.touch()
    subprocess.run(next(each.todo for each in look(spaced) if aside.name in each.where), shell=True, check=True)
    assert not aside.exists()
    assert told(look(spaced)) == {}


def test_a_pack_that_lost_its_end_is_a_problem_where_the_ledger_knows_of_more(home: Home) -> None:
    (pack,) = packs(home.payloads)
    (journal,) = PayloadIndex.of(home.payloads).journals()
    landed = utc_now().replace(hour=12) - timedelta(days=1)
    day = pack.parent.rename(pack.parent.with_name(f"{landed:%Y-%m-%d}"))
    with open_staging(home.staging) as connection:
        connection.execute(
            "insert into sync.chunk by name select 'eia.region_data' as dataset, 'A' as slice, ? as first_hour_utc, "
            "? as last_hour_utc, 'done' as status, ? as fetched_at_utc, ? as landed_at_utc",
            [landed] * 4,
        )
        connection.execute(
            "insert into sync.landing by name select 99 as landing_id, ? as landed_at_utc, ? as journal, 1 as chunks, "
            "0 as rows, 0 as rows_new, 0 as rows_changed, 0 as rows_withdrawn",
            [landed, journal],
        )
    assert told(look(home)) == told(look(home, full=True)) == {}
    pack = day / pack.name
    os.truncate(pack, scan(pack).members[-1][1].offset - 700)  # within the payload before the journal
    for found in (look(home), look(home, full=True), look(home, fix=True), look(home)):
        assert told(found)[f"payloads/{day.name}"] == "problem"
        assert any("the journals of 1 chunk that landed that day are not there" in each.what for each in found)


def test_a_damaged_end_of_a_pack_is_a_problem_and_is_not_cut_off(home: Home) -> None:
    (pack,) = packs(home.payloads)
    content = pack.read_bytes()
    with pack.open("r+b") as stream:
        stream.seek(scan(pack).members[-1][1].offset - 300)
        stream.write(b"?" * 50)
    damaged = pack.read_bytes()
    assert told(look(home, fix=True)) == {str(pack.relative_to(home.path)): "problem"}
    assert pack.read_bytes() == damaged != content


def test_fix_leaves_alone_what_a_running_command_holds(home: Home) -> None:
    building = home.versions / ".building-1-abc"
    building.touch()
    with file_lock(home.locks / "build.lock", "a build", wait_seconds=0):
        found = look(home, fix=True)
    assert building.exists()
    assert any(f"a build (process {os.getpid()})" in each.what for each in found if each.check == "locks")


def test_going_back_to_an_earlier_version_is_no_finding_and_a_lost_link_leads_there_again(home: Home) -> None:
    _, earlier, _ = list_versions(home)
    publish_again(home, earlier.name)
    assert told(look(home)) == {}
    home.energy.unlink()
    assert told(look(home, fix=True)) == {"energy.duckdb": "problem"}
    assert home.energy.resolve() == earlier.path
    garble(home.versions / PUBLISHED_AGAIN)
    assert told(look(home))[f"versions/{PUBLISHED_AGAIN}"] == "problem"


def test_what_a_build_publishes_while_doctor_looks_stays_published_and_pinned(home: Home) -> None:
    *_, newest = list_versions(home)
    linked = home.energy.readlink()
    home.energy.unlink()
    findings = check_versions(Examined(home, None, full=False, now=utc_now()))
    lost = next(findings)
    assert lost.mend is not None
    built = newest.path.with_name(newest.path.name.replace(f"{newest.number:06d}", f"{newest.number + 1:06d}"))
    shutil.copy(newest.path, built)
    built.with_suffix(".keep").touch()
    home.energy.symlink_to(linked.with_name(built.name))
    assert [each.what for each in findings if "pins" in each.what] == []
    assert lost.mend() == f"{built.stem} was published meanwhile"
    assert home.energy.resolve() == built


def test_a_home_that_an_earlier_energywh_wrote_has_notes_and_no_problem(tmp_path: Path) -> None:
    old = Home(OLD_HOMES[0].unpack(tmp_path))
    found = look(old)
    assert set(told(found).values()) == {"note"}
    assert ["2 payloads and 2 journals are whole" in each.what for each in found if each.check == "payloads"] == [True]


def test_a_clock_that_was_set_back_is_told(home: Home) -> None:
    found = examine(home, lambda: load_settings(home.path), now=utc_now() - timedelta(days=2))
    assert [each.severity for each in found if each.check == "clock"] == ["problem"]
    assert not is_well(found)


def test_without_a_home_it_says_how_to_make_one(tmp_path: Path) -> None:
    done = run(Home(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert "there is no such folder" in done.stdout
    assert not (tmp_path / "nowhere").exists()
