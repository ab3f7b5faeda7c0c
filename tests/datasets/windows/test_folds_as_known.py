"""Folds that train on values known at their origins, and are tested on the values known now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

import energywh
from energywh.errors import LockedError, UnknownNameError, UsageError, WindowError
from energywh.models.build.as_of import build_as_of
from tests.models.folder import DEMAND, Desk

MODEL = DEMAND.replace("value as demand_mwh", "value as demand_mwh, hour(period) as hour_of_day").replace(
    'demand_mwh = "Demand, MWh."', 'demand_mwh = "Demand, MWh."\nhour_of_day = "[ahead] Hour."'
)
SOURCE = "normalized.demand"
ORIGINS = [datetime(2025, 1, 20), datetime(2025, 2, 1)]
REVISED = (date(2025, 1, 10), date(2025, 1, 22))  # in both trains; in the first test and the second train
REVISED_AT = datetime(2025, 1, 25)


def desk_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Demand of January 2025, its hours numbered: known from two hours after each, 1,000 more of two days since."""
    desk = Desk(folder, {"normalized/demand.sql": MODEL})
    monkeypatch.setattr("energywh.models.build.as_of.sql_dir", lambda: desk.sql)
    days = ", ".join(f"'{day}'" for day in REVISED)
    revised = f"(period - INTERVAL 1 HOUR)::DATE IN ({days})"
    desk.land_demand(date(2025, 1, 1), 0.0, hours=24 * 40)
    desk.land_demand(date(2025, 1, 25), 0.0, regions="'C'")
    desk.land(
        "UPDATE eia.region_data SET known_from_utc = period + INTERVAL 1 HOUR",
        f"INSERT INTO eia.region_data_revision BY NAME SELECT *, TIMESTAMP '{REVISED_AT}' AS known_until_utc "
        f"FROM eia.region_data WHERE {revised}",
        f"UPDATE eia.region_data SET value = value + 1000, known_from_utc = '{REVISED_AT}' WHERE {revised}",
        changes={"eia.region_data": [date(2025, 1, 1)]},
    )
    desk.build()
    return desk


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield desk_in(tmp_path_factory.mktemp("known"), monkeypatch)


def folds_of(desk: Desk, **changes: Any) -> list[Any]:
    arguments: dict[str, Any] = {"target": "demand_mwh", "length": 24, "stride": 24, "horizon": 24, "backend": "numpy"}
    arguments |= {"origins": ORIGINS, "as_of": "landed", "regions": ["A", "B"]} | changes
    with energywh.open(desk.home.path) as warehouse:
        return list(warehouse.folds(SOURCE, **arguments))


def target_of(windows: Any, day: date) -> float:
    """Return the demand of region A in the first hour of a day, less the number of the hour."""
    first = np.datetime64(day, "h") - windows.length
    index = windows.starts.tolist().index(("A", first.astype(object)))
    return float(windows.window(index).targets[0]) - (day - date(2025, 1, 1)).days * 24


@pytest.mark.parametrize("as_of", ["landed", "published-lag"])
def test_train_holds_what_was_known_at_its_origin_and_test_the_truth_as_known_now(desk: Desk, as_of: Any) -> None:
    said: list[str] = []
    first, second = folds_of(desk, as_of=as_of, on_progress=said.append)
    before, within = REVISED
    assert [target_of(fold.train, before) for fold in (first, second)] == [1, 1001]
    assert target_of(first.test, within) == 1001
    assert target_of(second.train, within) == 1001
    assert first.train.columns == first.test.columns == ("demand_mwh", "hour_of_day")
    assert first.train.future_covariates == first.test.future_covariates == ("hour_of_day",)
    assert first.train.regions == first.test.regions == ("A", "B")
    assert [line.split(" UTC")[0] for line in said[::2]] == [
        f"building what was known at {origin:%Y-%m-%dT%H}" for origin in ORIGINS
    ]
    said.clear()
    scaled = folds_of(desk, as_of=as_of, normalize="minmax", dtype="float16", on_progress=said.append)
    for raw, fold, highest in zip((first, second), scaled, (24 * 18, 24 * 22 + 1000), strict=True):
        scaler = fold.train.normalization
        assert scaler == fold.test.normalization == raw.train.scaler("minmax")
        assert scaler.center[0][0] + scaler.scale[0][0] == highest
        back = scaler.inverse(fold.test.window(0).targets, columns="demand_mwh", regions="A")
        np.testing.assert_allclose(back, raw.test.window(0).targets, rtol=2e-3)
    assert said == [], "built again"


def test_without_as_of_train_holds_what_is_known_now(desk: Desk) -> None:
    first, _ = folds_of(desk, as_of=None)
    assert target_of(first.train, REVISED[0]) == 1001
    assert first.train.frame is first.test.frame


def test_files_go_with_their_version_and_what_a_killed_build_left_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desk_in(tmp_path, monkeypatch)
    folds_of(desk, origins=ORIGINS[:1])
    (file,) = desk.home.as_of.glob("*.duckdb")
    assert file.name == f"{desk.versions()[0].removesuffix('.duckdb')}.20250120T00.landed.{SOURCE}.duckdb"
    killed = file.with_name(f".{file.name}.0123abcd.writing")
    killed.mkdir()
    file.replace(killed / file.name)
    folds_of(desk, origins=ORIGINS[:1])
    assert file.exists()
    assert not killed.exists()
    killed.mkdir()
    of_no_version = file.with_name(file.name.replace("-000001.", "-000000."))
    killed.rename(killed.with_name(killed.name.replace("-000001.", "-000000.")))
    of_no_version.touch()
    desk.land_demand(date(2025, 1, 1), 1.0)
    desk.build()
    assert {path.stem for path in desk.home.as_of.iterdir()} == {file.stem}, "the build left what no version has"


def test_what_another_process_builds_is_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENERGYWH_LOCK_WAIT_SECONDS", "0.1")
    said: list[str] = []
    folds_of(desk, origins=ORIGINS[1:])  # so that the folder is there
    version = desk.versions()[0].removesuffix(".duckdb")
    lock = FileLock(desk.home.as_of / f"{version}.20250121T00.landed.{SOURCE}.lock")
    with (
        lock,
        pytest.raises(LockedError, match="waited 0 s for another process to build what was known at 2025-01-21T00 UTC"),
    ):
        folds_of(desk, origins=["2025-01-21"], on_progress=said.append)
    assert said == ["waiting for another process to build what was known at 2025-01-21T00 UTC"]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"as_of": "then"}, UsageError, "as_of must be 'landed' or 'published-lag', not 'then'"),
        (
            {"origins": ["2025-01-02"]},
            WindowError,
            "the fold at 2025-01-02T00, by what .* has 48 hours",
        ),
        ({"regions": ["A", "C"]}, UnknownNameError, "the fold at 2025-01-20T00, .* no rows of region 'C'; it has A, B"),
    ],
)
def test_what_was_not_known_is_named_with_its_fold(desk: Desk, change: dict[str, Any], error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        folds_of(desk, **change)


def test_only_a_version_of_the_home_can_be_known_earlier(desk: Desk, tmp_path: Path) -> None:
    build_as_of(desk.home, ORIGINS[1], tmp_path / "then.duckdb", sql=desk.sql)
    arguments: dict[str, Any] = {"target": "demand_mwh", "length": 24, "stride": 24, "horizon": 24, "origins": ORIGINS}
    with (
        energywh.open(desk.home.path, version=tmp_path / "then.duckdb") as warehouse,
        pytest.raises(UsageError, match="is none of its versions"),
    ):
        warehouse.folds(SOURCE, as_of="landed", **arguments)


def test_models_that_mark_other_columns_as_known_ahead_are_not_mixed(desk: Desk) -> None:
    desk.write("normalized/demand.sql", MODEL.replace("[ahead] Hour", "Hour"))
    with pytest.raises(UsageError, match="mark other columns as known ahead"):
        folds_of(desk, origins=["2025-01-22"])
    assert folds_of(desk, origins=["2025-01-22"], future_covariates="hour_of_day")[0].train.future_covariates == (
        "hour_of_day",
    )
    desk.write("normalized/demand.sql", MODEL)
