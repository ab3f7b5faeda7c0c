"""Versions and the link to them."""

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from energywh.core.paths import Home
from energywh.errors import StorageError
from energywh.models.versions import publish
from energywh.models.versions.rollback import finish_publishing


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path).create()
    home.versions.mkdir()
    return home


def add(home: Home, number: int, text: str = "rows") -> Path:
    path = home.versions / f"energy-20240101T000000Z-{number:06d}.duckdb"
    path.write_text(text)
    return path


def test_nothing_published_is_none(home: Home) -> None:
    assert publish.current_version(home) is None
    home.energy.symlink_to("versions/gone.duckdb")
    assert publish.current_version(home) is None


def test_publishing_names_the_file_and_moves_the_link(home: Home) -> None:
    building = home.versions / ".building-1.duckdb"
    for number in (1, 2):
        building.write_text(f"rows {number}")
        version = publish.version_path(home, datetime(2026, 11, 5, 10, 15))
        assert version.name == f"energy-20261105T101500Z-{number:06d}.duckdb"
        publish.publish(home, building, version, b"{}")
        assert publish.current_version(home) == version.resolve()
        assert home.energy.read_text() == f"rows {number}"
    assert not home.energy.readlink().is_absolute()


def test_the_home_may_be_moved(home: Home, tmp_path: Path) -> None:
    publish.move_link(home, add(home, 1))
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    tmp_path.rename(moved)
    assert publish.current_version(Home(moved)) is not None
    moved.rename(tmp_path)


def test_a_file_in_place_of_the_link_is_not_overwritten(home: Home) -> None:
    home.energy.write_text("somebody's own")
    with pytest.raises(StorageError, match="should be a link"):
        publish.publish(home, add(home, 1), home.versions / "energy-20240101T000000Z-000002.duckdb", b"")
    assert home.energy.read_text() == "somebody's own"


def test_versions_are_ordered_by_number_not_by_clock(home: Home) -> None:
    late = home.versions / "energy-20300101T000000Z-000001.duckdb"
    late.touch()
    add(home, 2)
    (home.versions / ".building-9.duckdb").touch()
    assert [version.number for version in publish.list_versions(home)] == [1, 2]


def test_pruning_keeps_the_newest_and_never_less_than_two(home: Home) -> None:
    for number in range(1, 6):
        add(home, number)
    publish.prune(home, 3)
    assert [version.number for version in publish.list_versions(home)] == [3, 4, 5]
    publish.prune(home, 0)
    assert [version.number for version in publish.list_versions(home)] == [4, 5]


def test_of_each_of_the_last_days_the_newest_version_is_kept(home: Home) -> None:
    days = ["20240228", "20240229", "20240229", "20240301", "20240303", "20240303", "20240303", "20240303"]
    for number, day in enumerate(days, start=1):
        (home.versions / f"energy-{day}T{number:02d}0000Z-{number:06d}.duckdb").touch()
    publish.prune(home, 2, 4, now=datetime(2024, 3, 3, 23))
    assert [version.number for version in publish.list_versions(home)] == [3, 4, 7, 8], "28 February is five days ago"


def test_what_a_person_pinned_is_kept(home: Home) -> None:
    for number in range(1, 6):
        add(home, number).with_suffix(".keep" if number == 2 else ".json").touch()
    publish.prune(home, 2)
    assert [version.number for version in publish.list_versions(home)] == [2, 4, 5]
    assert [version.number for version in publish.list_versions(home, ".json")] == [1, 3, 4, 5], "records stay"


def test_records_of_old_are_given_up_in_the_end(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "KEPT_RECORDS", 2)
    for number in range(1, 8):
        add(home, number).with_suffix(".json").touch()
    publish.prune(home, 3)
    assert [version.number for version in publish.list_versions(home, ".json")] == [3, 4, 5, 6, 7]


def test_a_record_without_a_version_is_swept_unless_there_was_one(home: Home) -> None:
    for number in (1, 2, 3):
        add(home, number).with_suffix(".json").touch()
    (home.versions / "energy-20240101T000000Z-000001.duckdb").unlink()  # pruned
    (home.versions / "energy-20240101T000000Z-000003.duckdb").unlink()  # killed before it came to be
    publish.sweep(home)
    assert [version.number for version in publish.list_versions(home, ".json")] == [1, 2]


def test_leftovers_of_dead_builds_are_swept(home: Home) -> None:
    kept = add(home, 1)
    for name in (".building-7.duckdb", ".building-7.duckdb.wal"):
        (home.versions / name).touch()
    (home.versions / ".building-7.duckdb.tmp").mkdir()
    (home.path / ".building-link-7").symlink_to("versions/x")
    publish.sweep(home)
    assert list(home.versions.iterdir()) == [kept]
    assert not (home.path / ".building-link-7").is_symlink()


def test_a_complete_version_that_was_not_linked_is_published_by_the_next_build(home: Home) -> None:
    publish.move_link(home, add(home, 1))
    second = add(home, 2)
    finish_publishing(home)
    assert publish.current_version(home) == second.resolve()


def test_a_base_is_not_copied_to_a_disk_without_room(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    add(home, 1)
    monkeypatch.setattr(publish, "_clone", lambda *_: False)
    monkeypatch.setattr(publish.shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(StorageError, match="no room on the disk"):
        publish.take_base(home, publish.list_versions(home)[0], home.versions / ".building-1.duckdb")
