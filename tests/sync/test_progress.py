"""The plain lines of a sync whose output goes to a log."""

from __future__ import annotations

import pytest

from energywh.sync import progress
from energywh.sync.merge import Counts
from energywh.sync.progress import LineReporter, Speed, Tally


def test_lines_give_each_dataset_its_own_numbers_and_the_rates_and_the_time_left_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines, speed = LineReporter(), Speed()
    tallies = [
        Tally("eia.region_data", due=4, done=4, counts=Counts(rows=100)),
        Tally("eia.fuel_type_data", due=96, done=15, failed=1, counts=Counts(rows=300)),
    ]
    lines.start(tallies)
    now[0] += 20
    speed.add(requests=40, rows=400)
    lines.update(tallies, speed)
    lines.update(tallies, speed)
    assert capsys.readouterr().err.splitlines() == [
        "eia.region_data: 4/4 chunks, 100 rows",
        "eia.fuel_type_data: 16/96 chunks, 300 rows, 1 failed",
        "all: 20/100 chunks; 2.0 requests/s, 20 rows/s; about 1 min left",
    ]


def test_before_anything_is_due_there_is_nothing_to_say(capsys: pytest.CaptureFixture[str]) -> None:
    LineReporter().update([Tally("eia.region_data")], Speed())
    LineReporter().update([], Speed())
    assert capsys.readouterr().err == ""
