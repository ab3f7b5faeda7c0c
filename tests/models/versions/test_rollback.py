"""Going back to an earlier version."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from energywh.core.locks import file_lock
from energywh.errors import LockedError, StorageError, UnknownNameError
from energywh.models.versions import rollback
from energywh.models.versions.publish import current_version, list_versions, move_link, prune
from energywh.models.versions.records import find_version, versions_of
from energywh.models.versions.rollback import finish_publishing, publish_again
from tests.models.folder import DEMAND, Desk
from tests.support.desk import typed

JANUARY = date(2024, 1, 1)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("built"), {"normalized/demand.sql": DEMAND})
    for value in (1, 2, 3):
        desk.land_demand(JANUARY, value)
        desk.build()
    return desk


@pytest.fixture
def desk(built: Desk, tmp_path: Path) -> Desk:
    """Three versions; the demand of each begins with its number plus one."""
    return built.copied(tmp_path)


def first_value(desk: Desk) -> object:
    return desk.query("SELECT min(demand_mwh) FROM normalized.demand")[0][0]


def states(desk: Desk) -> list[str]:
    return [each.state for each in versions_of(desk.home)]


def test_an_earlier_version_is_published_again_and_listed_so(desk: Desk) -> None:
    done = typed("--home", str(desk.home.path), "versions", "publish", "latest~1")
    assert done.returncode == 0, done.stderr
    one, two, three = list_versions(desk.home)
    assert done.stdout == f"published {two.name} again in place of {three.name}; the next build goes on from it\n"
    assert (current_version(desk.home), first_value(desk)) == (two.path.resolve(), 3)
    assert states(desk) == ["withdrawn", "published", "kept"]
    assert [find_version(desk.home, name).stem for name in ("latest", "latest~1", "3")] == [
        two.name,
        one.name,
        three.name,
    ]
    listed = typed("--home", str(desk.home.path), "versions").stdout
    assert "published, again since 20" in listed
    assert typed("--home", str(desk.home.path), "versions", "publish", "2").stdout.endswith("is published already\n")


def test_the_next_build_goes_on_from_it_and_ends_the_return(desk: Desk) -> None:
    first = list_versions(desk.home)[0].name
    publish_again(desk.home, "1")
    assert (desk.build().published, first_value(desk)) == (True, 4), "staging is newer than it"
    assert desk.query("SELECT base_version FROM energywh.version") == [(first,)]
    assert states(desk)[0] == "published"


def test_a_return_to_what_staging_still_says_stays(desk: Desk) -> None:
    desk.land_demand(JANUARY, 9)
    desk.build()
    desk.land_demand(JANUARY, 3)
    desk.build()
    publish_again(desk.home, "5")
    assert desk.build().published is False
    publish_again(desk.home, "3")
    finish_publishing(desk.home)
    assert first_value(desk) == 4
    assert current_version(desk.home) == list_versions(desk.home)[0].path.resolve(), "a build has pruned two"


def test_a_withdrawn_version_that_a_person_deletes_changes_nothing_of_that(desk: Desk) -> None:
    publish_again(desk.home, "1")
    first, _, third = list_versions(desk.home)
    third.path.unlink()
    finish_publishing(desk.home)
    assert current_version(desk.home) == first.path.resolve(), "and not the second"
    assert desk.build().published
    built = list_versions(desk.home)[-1]
    assert built.number == 4
    finish_publishing(desk.home)
    assert current_version(desk.home) == built.path.resolve()


def test_it_is_not_pruned_while_it_is_published(desk: Desk) -> None:
    publish_again(desk.home, "1")
    assert prune(desk.home, 2) == []
    assert len(list_versions(desk.home)) == 3


def stop(*_: object) -> None:
    raise StorageError("stopped")


def test_a_process_that_dies_before_the_link_moves_is_completed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollback, "move_link", stop)
    with pytest.raises(StorageError, match="stopped"):
        publish_again(desk.home, "1")
    assert first_value(desk) == 4
    monkeypatch.setattr(rollback, "move_link", move_link)
    finish_publishing(desk.home)
    assert first_value(desk) == 2


def test_only_a_sound_version_is_published_again_and_never_during_a_build(desk: Desk) -> None:
    with pytest.raises(UnknownNameError, match="no version is called '9'"):
        publish_again(desk.home, "9")
    publish_again(desk.home, "2")
    desk.change_published("UPDATE normalized.demand SET demand_mwh = 0")
    publish_again(desk.home, "3")
    with pytest.raises(StorageError, match="another program wrote to energy-"):
        publish_again(desk.home, "2")
    list_versions(desk.home)[1].path.with_suffix(".json").unlink()  # nothing says how the file was
    with pytest.raises(StorageError, match=r"does not hold what was built: normalized\.demand differ"):
        publish_again(desk.home, "2")
    with (
        file_lock(desk.home.locks / "build.lock", "a test", 1),
        pytest.raises(LockedError, match="waited 0 s for a build"),
    ):
        publish_again(desk.home, "1", wait_seconds=0.1)
    assert first_value(desk) == 4
