"""Simulated and real data never mix in one home folder."""

from __future__ import annotations

import json
from pathlib import Path

from energywh.errors import StorageError
from energywh.simulate.server import Simulator
from tests.support.desk import Desk
from tests.support.scripted import Answer, scripted

DAY = {"since": "2024-03-01", "until": "2024-03-01"}
REAL = json.dumps(
    {
        "response": {
            "total": "1",
            "data": [{"period": "2024-03-01T04", "respondent": "CISO", "type": "D", "value": "7"}],
        }
    }
).encode()


def sync(desk: Desk) -> bool:
    return desk.sync("eia.region_data", regions=["CISO"], **DAY).ok


def test_what_the_simulator_sends_marks_a_new_folder(desk: Desk, sim: Simulator) -> None:
    assert sync(desk)
    assert desk.home.simulated_mark.exists()
    assert sync(desk), "and more of it may come"


def test_real_answers_do_not_go_into_a_simulated_folder(desk: Desk, sim: Simulator) -> None:
    assert sync(desk)
    with scripted(lambda number, path: Answer(REAL)) as server:
        result = Desk(desk.folder, server.url).sync("eia.region_data", regions=["PACW"], **DAY)
    assert isinstance(result.fatal["eia"], StorageError)
    assert "do not mix" in str(result.fatal["eia"])


def test_simulated_answers_do_not_go_into_a_real_folder(tmp_path: Path, sim: Simulator) -> None:
    with scripted(lambda number, path: Answer(REAL)) as server:
        desk = Desk(tmp_path, server.url)
        assert sync(desk)
        assert not desk.home.simulated_mark.exists()
    result = Desk(tmp_path, sim.url).sync("eia.region_data", regions=["PACW"], **DAY)
    assert isinstance(result.fatal["eia"], StorageError)
    assert "holds real data" in str(result.fatal["eia"])
    assert not desk.home.simulated_mark.exists()
