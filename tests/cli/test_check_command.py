"""The command `energywh check`."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from energywh.sync.schema import open_staging
from tests.models.folder import DEMAND, Desk
from tests.support.desk import typed

AUDITS = '''[[audits]]
name = "high"
when = "check"
severity = "warn"
description = "demand is high"
sql = "select region, hour_utc, demand_mwh from normalized.demand where demand_mwh >= 100"
[[audits]]
name = "huge"
when = "check"
description = "demand is huge"
sql = "select region, min(hour_utc) as first_hour_utc from normalized.demand where demand_mwh >= 900 group by region"
[[audits]]
name = "old"
when = "check"
severity = "warn"
description = "no value of today"
sql = """
select max(hour_utc) as newest_utc from normalized.demand having newest_utc < getvariable('now_utc') - interval 1 day
"""
'''
TODAY = ("--now", "2024-01-02T00")
FINE = 10  # and 23 more in the last hour of the day


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A warehouse of one model, whose rules only a check runs; all of them hold on the second of January 2024."""
    desk = Desk(tmp_path, {"normalized/demand.sql": DEMAND.replace("---*/", f"{AUDITS}---*/")})
    land(desk, FINE)
    return desk


def land(desk: Desk, value: float, regions: str = "'CISO', 'BPAT'") -> None:
    desk.land_demand(date(2024, 1, 1), value, regions=regions)
    desk.build()


def check(desk: Desk, *words: str) -> subprocess.CompletedProcess[str]:
    return typed("--home", str(desk.home.path), "check", *words)


def as_json(desk: Desk, *words: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(check(desk, "--json", *words).stdout)
    return document


def broken(desk: Desk, *words: str) -> list[str]:
    return [each["rule"] for each in as_json(desk, *TODAY, *words)["findings"] if each["status"] != "holds"]


def test_a_warehouse_in_order_passes_with_one_line(desk: Desk) -> None:
    done = check(desk, *TODAY)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"energy-\S+: 6 rules checked, 6 hold, 0 errors, 0 warnings\n", done.stdout)


def test_what_is_broken_is_printed_the_worst_first_with_where_and_since_when(desk: Desk) -> None:
    land(desk, 90)
    land(desk, 900, "'BPAT'")
    done = check(desk, *TODAY)
    assert done.returncode == 1
    first, second = (line for line in done.stdout.splitlines() if line.startswith(("error", "warn")))
    assert re.match(r"error +\S+ +demand is huge +BPAT +2024-01-01T00 +still +1 +region = BPAT, ", first)
    assert re.match(r"warn +\S+ +demand is high +BPAT, CISO +2024-01-01T00 +2024-01-01T23 +39 +region", second)
    assert done.stdout.endswith(": 6 rules checked, 4 hold, 1 error, 1 warning\n")


def test_warnings_fail_only_when_asked_to(desk: Desk) -> None:
    land(desk, 90)
    assert check(desk, *TODAY).returncode == 0
    assert check(desk, *TODAY, "--fail-on", "warn").returncode == 1
    assert check(desk, *TODAY, "--fail-on", "warn", "--severity", "error").returncode == 0


def test_lateness_counts_from_the_present_unless_now_is_given(desk: Desk) -> None:
    assert broken(desk, "old") == []
    found = as_json(desk, "old")["findings"]
    assert [(each["rule"], each["rows"], each["regions"]) for each in found] == [("old", 1, [])]
    assert found[0]["sample"] == [{"newest_utc": "2024-01-01T23:00:00"}]


def test_regions_and_times_narrow_what_is_looked_at(desk: Desk) -> None:
    land(desk, 990, "'BPAT'")
    assert broken(desk) == ["huge", "high"]
    assert broken(desk, "--region", "ciso") == []
    assert broken(desk, "--region", "CISO,BPAT", "--since", "2024-01-01T23") == ["huge", "high"]
    assert broken(desk, "--since", "2024-01-02") == ["huge"], "it lasts still"
    assert check(desk, "old", "--since", "2024-01-01").returncode == 0, "it has neither region nor hour"


def test_json_has_every_rule_with_what_was_found(desk: Desk) -> None:
    land(desk, 90)
    document = as_json(desk, *TODAY)
    assert (document["rules"], document["broken"], document["checked_at_utc"]) == (6, 1, "2024-01-02T00:00:00")
    high = document["findings"][0]
    assert {each["rule"]: each["status"] for each in document["findings"]} == {
        "high": "broken",
        "unique(region, hour_utc)": "holds",
        "not_null(region, hour_utc)": "holds",
        "huge": "holds",
        "old": "holds",
        "digest": "holds",
    }
    sample = high.pop("sample")
    assert sample[0] == {"region": sample[0]["region"], "hour_utc": "2024-01-01T23:00:00", "demand_mwh": 114.0}
    assert high == {
        "rule": "high",
        "model": "normalized.demand",
        "severity": "warn",
        "status": "broken",
        "words": "demand is high",
        "rows": 30,
        "regions": ["BPAT", "CISO"],
        "first_hour_utc": "2024-01-01T09:00:00",
        "last_hour_utc": "2024-01-01T23:00:00",
        "series": [],
        "trouble": None,
    }


def test_rules_are_named_by_rule_or_by_model_and_the_nearest_name_is_suggested(desk: Desk) -> None:
    assert as_json(desk, "high", "old")["rules"] == 2
    assert as_json(desk, "demand")["rules"] == as_json(desk, "normalized.demand")["rules"] == 6
    wrong = check(desk, "hihg")
    assert wrong.returncode == 2
    assert wrong.stderr == "energywh: 'hihg' is neither a rule nor a model that has rules; did you mean high?\n"
    far = check(desk, "zzzzz")
    assert far.returncode == 2
    assert "the rules are digest, high, huge, old" in far.stderr
    assert check(desk, "--region", "CISQ").returncode == 2
    assert check(desk, "--since", "tomorrow").returncode == 2


def test_the_audits_of_builds_are_run_again(desk: Desk) -> None:
    desk.change_published("INSERT INTO normalized.demand FROM normalized.demand LIMIT 1")
    done = check(desk, *TODAY)
    assert done.returncode == 1
    assert re.search(r"error +\S+ +unique is broken +(CISO|BPAT) +2024-01-01T\d\d +2024-01-01T\d\d +1 ", done.stdout)


def test_a_rule_that_cannot_be_run_is_an_error_and_the_others_are_run(desk: Desk) -> None:
    land(desk, 90)
    desk.change_published("UPDATE energywh.audit SET source_sql = 'select * from normalized.gone' WHERE audit = 'old'")
    assert broken(desk) == ["old", "high", "digest"]
    done = check(desk, *TODAY)
    assert done.returncode == 1
    assert "cannot be run: Catalog Error" in done.stdout


def test_before_a_build_it_says_what_to_do(tmp_path: Path) -> None:
    nothing = typed("--home", str(tmp_path / "none"), "check")
    assert nothing.returncode == 1
    assert "run 'energywh build' after 'energywh sync'" in nothing.stderr


def test_what_sync_could_not_read_is_reported_with_its_start_until_it_is_gone(desk: Desk) -> None:
    assert check(desk, *TODAY).returncode == 0
    column = "Net Generation (MW) from Fusion"
    warning = f"('eia_files.balance', '2026_Jul_Dec', '2026-07-01', 'unknown_column', '{column}', 1"
    with open_staging(desk.home.staging) as connection:
        connection.execute(f"insert into sync.payload_warning values {warning}, '2026-10-02', '2026-11-03')")
    (found,) = [each for each in as_json(desk, "unknown_column")["findings"] if each["status"] == "broken"]
    assert (found["severity"], found["first_hour_utc"]) == ("warn", "2026-10-02T00:00:00")
    assert found["sample"][0]["subject"] == column
    assert found["sample"][0]["dataset"] == "eia_files.balance"
    printed = check(desk, "--fail-on", "warn")
    assert printed.returncode == 1
    assert "unknown_column" in printed.stdout
    with open_staging(desk.home.staging) as connection:
        connection.execute("delete from sync.payload_warning")
    assert as_json(desk, "unknown_column")["broken"] == 0


def test_the_month_that_another_program_changed_is_named(desk: Desk) -> None:
    desk.change_published("UPDATE normalized.demand SET demand_mwh = 11 WHERE hour_utc = '2024-01-01 05:00'")
    done = check(desk, *TODAY, "digest")
    assert done.returncode == 1
    assert re.search(
        r"error +normalized.demand +another program changed these rows; 'energywh build' heals it +"
        r"2024-01-01T00 +2024-01-31T23 +48 +months = 2024-01, rows = 48, rows_built = 48",
        done.stdout,
    )
    desk.build()
    assert check(desk, *TODAY).returncode == 0
