"""A build that would lose much of what is published is refused, unless it is allowed to."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from energywh.errors import LossError
from energywh.models.build.events import BuildEvent, BuildFailed, BuildRefused, messages_to
from energywh.models.build.options import BuildOptions
from energywh.models.build.runner import build
from energywh.models.versions.publish import RECORD, current_version
from tests.models.folder import DEMAND, Desk, model, write_models

MONTHS = [date(2024, month, 1) for month in (1, 2, 3)]
FINDINGS = """/*---
description = "Hours with a high demand."
grain = ["region", "hour_utc"]
may_be_empty = true
[columns]
region = "Authority."
hour_utc = "Start of the hour, UTC."
---*/
select region, hour_utc from normalized.demand where demand_mwh > 100
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Three months of two regions, 600 hours each, in two tables."""
    desk = Desk(tmp_path_factory.mktemp("built"), {"normalized/demand.sql": DEMAND, "features/high.sql": FINDINGS})
    for month in MONTHS:
        desk.land_demand(month, 200, hours=600)
    desk.build()
    return desk


@pytest.fixture
def desk(built: Desk, tmp_path: Path) -> Desk:
    """A copy of it to change."""
    return built.copied(tmp_path / "desk")


def lose(desk: Desk, condition: str) -> None:
    desk.land(f"DELETE FROM eia.region_data WHERE {condition}", changes={"eia.region_data": MONTHS})


def refused(desk: Desk, **options: Any) -> str:
    """Return why the build was refused, after checking that it left nothing but the published version."""
    before = desk.versions()
    with pytest.raises(LossError) as caught:
        desk.build(**options)
    assert desk.versions() == before
    assert desk.query("SELECT count(*) FROM normalized.demand") == [(3600,)]
    return str(caught.value)


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("period > '2024-01-01' AND hour(period) < 2", r"normalized.demand: 300 of 3,600 rows \(8.3 %\)\n"),
        ("period > '2024-03-01'", r"1,200 of 3,600 rows \(33.3 %\), all of 1 month \(2024-03\)\n"),
        ("period < '2024-03-01'", r"all of 2 months \(2024-01 to 2024-02\)\n"),
        ("respondent = 'B'", r"1,800 of 3,600 rows \(50.0 %\), all of region B\n"),
        ("true", "normalized.demand: all 3,600 rows\n"),
    ],
)
def test_a_build_that_would_lose_rows_a_month_or_a_region_is_refused_and_says_what_would_go(
    desk: Desk, condition: str, says: str
) -> None:
    lose(desk, condition)
    message = refused(desk)
    assert message.startswith("not published: 1 table would lose rows")
    assert duckdb.execute("SELECT regexp_matches(?, ?)", [message, says]).fetchall() == [(True,)], message
    assert desk.versions()[-1].removesuffix(".duckdb") in message
    assert "energywh build --allow-loss" in message


def test_a_refused_build_is_refused_again_until_the_loss_is_allowed(desk: Desk) -> None:
    lose(desk, "true")
    assert refused(desk) == refused(desk, full=True)
    assert desk.build(allow_loss=True).published
    assert not desk.build().published


def test_how_much_may_go_is_a_setting_and_the_whole_check_can_be_turned_off(desk: Desk) -> None:
    lose(desk, "period < '2024-02-01' AND day(period) = 3")
    assert "48 of 3,600 rows (1.3 %)" in refused(desk, max_loss_percent=1.0)
    assert desk.build().published
    lose(desk, "true")
    assert desk.build(max_loss_percent=100.0).published


def test_rows_that_other_months_gain_do_not_make_up_for_lost_ones(desk: Desk) -> None:
    lose(desk, "period < '2024-02-01' AND day(period) < 15")
    desk.land_demand(date(2024, 4, 1), 1, hours=700)
    assert "all of" not in refused(desk)


def test_a_region_that_loses_much_is_refused_also_where_the_whole_table_loses_little(desk: Desk) -> None:
    lose(desk, "respondent = 'B' and period < '2024-02-01' and day(period) between 9 and 15")
    assert "168 of 3,600 rows (4.7 %), of region B 9.3 %\n" in refused(desk)
    assert desk.build(max_loss_percent=10.0).published
    lose(desk, "respondent = 'B' and period < '2024-02-09' and day(period) between 3 and 5")
    assert desk.build().published  # under a week: a source may withdraw as much


def test_findings_and_models_whose_file_is_gone_may_shrink(desk: Desk) -> None:
    desk.land("UPDATE eia.region_data SET value = 1", changes={"eia.region_data": MONTHS})
    desk.build()
    assert desk.query("SELECT count(*) FROM features.high") == [(0,)]
    (desk.sql / "features" / "high.sql").unlink()
    assert desk.build().published


def test_a_release_whose_models_lose_rows_is_refused_and_says_that_the_sql_changed(desk: Desk) -> None:
    desk.write("normalized/demand.sql", DEMAND.replace("type = 'D'", "type = 'D' and respondent = 'A'"))
    assert "all of region B, its SQL was changed" in refused(desk)


def test_a_model_of_the_users_own_that_shrinks_is_told_and_published(desk: Desk, tmp_path: Path) -> None:
    mine = write_models(tmp_path / "mine", {"lab/some.sql": model("select hour_utc as a from normalized.demand")})
    options, said = BuildOptions(models=(mine,)), list[str]()
    build(desk.home, sql=desk.sql, options=options)
    write_models(mine, {"lab/some.sql": model("select hour_utc as a from normalized.demand limit 9")})
    assert build(desk.home, sql=desk.sql, options=options, listeners=[messages_to(said.append)]).published
    (warning,) = (text for text in said if "your own model" in text)
    assert warning.endswith("lab.some: 3,591 of 3,600 rows (99.8 %), its SQL was changed")


def test_another_staging_file_without_the_history_is_refused_also_where_the_published_file_is_damaged(
    desk: Desk, tmp_path: Path
) -> None:
    other = Desk(tmp_path / "other", {})
    other.land_demand(MONTHS[2], 200, hours=600)
    other.home.staging.replace(desk.home.staging)
    refused(desk)
    published = current_version(desk.home)
    assert published is not None
    assert published.with_suffix(RECORD).exists()
    published.chmod(0o644)
    published.write_bytes(b"damaged")
    with pytest.raises(LossError, match=r"normalized.demand: 2,400 of 3,600 rows \(66.7 %\)"):
        desk.build()


def test_a_refusal_is_an_event_and_a_loss_that_was_allowed_a_message(desk: Desk) -> None:
    lose(desk, "respondent = 'B'")
    events: list[BuildEvent] = []
    with pytest.raises(LossError):
        build(desk.home, sql=desk.sql, listeners=[events.append])
    event, last = events[-2:]
    assert isinstance(event, BuildRefused)
    (loss,) = event.losses
    assert (loss.table, loss.rows, loss.lost, loss.keys) == ("normalized.demand", 3600, 1800, {"region": ("B",)})
    assert isinstance(last, BuildFailed)
    assert isinstance(last.error, LossError)
    said: list[str] = []
    build(desk.home, sql=desk.sql, options=BuildOptions(allow_loss=True), listeners=[messages_to(said.append)])
    assert any(text.startswith("warning: as allowed, rows are lost: normalized.demand: 1,800") for text in said)
