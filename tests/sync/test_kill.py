"""A sync killed at any instant loses nothing and duplicates nothing, and the next one continues."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from energywh.simulate.server import Simulator
from tests.support.desk import Desk, desk_with_simulator
from tests.support.staging import has_twins, query, statuses, values
from tests.support.victims import start

WORDS = ("sync", "--region", "CISO,BPAT,PACW,AVA,NEVP", "--since", "2024-01-01", "--until", "2024-01-03", "--jobs", "4")


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, Simulator]]:
    """An API that takes a moment to answer, so that there are instants between its answers."""
    with desk_with_simulator(tmp_path_factory.mktemp("kill"), latency_seconds=0.02) as found:
        yield found


@pytest.mark.parametrize("wanted", [8, pytest.param(50, marks=pytest.mark.soak)])
def test_a_sync_killed_many_times_ends_with_the_tables_of_an_undisturbed_one(
    slow: tuple[Desk, Simulator], wanted: int
) -> None:
    desk = slow[0].having(EIA_REQUESTS_PER_SECOND="400")  # so that the shared count is killed at work, too
    lasts = 0.0
    for name in ("first", "whole"):  # the first of all processes starts slowly
        began = time.monotonic()
        undisturbed = start(desk.another(f"{name}-{wanted}").environment, *WORDS)
        undisturbed.join(60)
        assert undisturbed.exitcode == 0
        lasts = time.monotonic() - began
    expected = values(desk.another(f"whole-{wanted}").staging)
    assert sum(map(len, expected.values())) > 5_000

    draw = random.Random(20261123)
    kills, homes, settled = 0, 0, {"due": 0, "in progress": 0, "done": 0, "empty": 0}

    def enough() -> bool:
        """Say whether all instants of interest were hit; on a busy machine that takes longer."""
        return kills >= (wanted if min(settled.values()) else 5 * wanted)

    while not enough():
        disturbed = desk.another(f"killed-{wanted}-{homes}")
        homes += 1
        while True:
            victim = start(disturbed.environment, *WORDS)
            victim.join(60 if enough() else draw.uniform(0, 0.8 * lasts))
            if victim.exitcode is not None:
                break
            victim.kill()
            victim.join()
            kills += 1
            if disturbed.staging.exists():
                for status, count in statuses(disturbed.staging).items():
                    settled[status] += count
        assert victim.exitcode == 0
        assert values(disturbed.staging) == expected
        assert not has_twins(disturbed.staging)
        assert set(statuses(disturbed.staging)) == {"done", "empty"}, "some authorities have no subregions"
        assert query(disturbed.staging, "select sum(rows_changed) + sum(rows_withdrawn) from sync.landing") == [(0,)]
        assert not list(disturbed.home.locks.glob("sync-*"))
    assert min(settled.values()) > 0, f"the kills hit no instant of interest: {settled}"


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.soak)])
def test_a_replay_killed_at_any_instant_leaves_staging_as_it_was(slow: tuple[Desk, Simulator], kills: int) -> None:
    desk, _ = slow
    replayed = desk.another(f"replayed-{kills}")
    words = (*WORDS[:2], "CISO", *WORDS[3:])
    first = start(replayed.environment, *words)
    first.join(60)
    expected = values(replayed.staging)
    began = time.monotonic()
    whole = start(replayed.environment, "replay")
    whole.join(60)
    lasts = time.monotonic() - began
    assert whole.exitcode == 0
    draw = random.Random(7)
    for _ in range(kills):
        victim = start(replayed.environment, "replay")
        victim.join(draw.uniform(0, lasts))
        victim.kill()
        victim.join()
        assert values(replayed.staging) == expected
    last = start(replayed.environment, "replay")
    last.join(60)
    assert last.exitcode == 0
    assert values(replayed.staging) == expected
    assert sorted(path.name for path in Path(replayed.home.path).glob("*staging*")) == ["staging.duckdb"]
