"""`energywh config`, `status` and `replay` as a person types them."""

from __future__ import annotations

import json
import re

from energywh.simulate.server import Simulator
from tests.support.desk import KEY, Desk
from tests.support.staging import values

DAY = ("--since", "2024-03-12", "--until", "2024-03-12")


def test_config_prints_what_holds_and_where_it_came_from(desk: Desk) -> None:
    desk.home.path.mkdir(parents=True)
    desk.home.settings_file.write_text("[sync]\nretries = 2\n")
    done = desk.run("config")
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert re.search(r"\S+warehouse +ENERGYWH_HOME ", lines["home"])
    assert re.search(rf"{re.escape(desk.url)} +ENERGYWH_EIA_URL ", lines["eia.url"])
    assert re.search(r"\*{8} +EIA_API_KEY ", lines["eia.api_key"])
    assert re.search(r" 2 +\S+/energywh\.toml ", lines["sync.retries"])
    assert re.search(r" 8 +default ", lines["sync.jobs"])
    assert KEY not in done.stdout

    as_json = desk.run("config", "--json")
    found = {entry["name"]: entry for entry in json.loads(as_json.stdout)}
    assert found["sync.retries"]["value"] == "2"
    assert found["eia.api_key"]["value"] == "********"
    assert all(entry["help"] for entry in found.values())
    assert KEY not in as_json.stdout


def test_status_prints_what_is_held_and_fails_when_something_failed(desk: Desk, sim: Simulator) -> None:
    before = desk.run("status")
    assert before.returncode == 1
    assert "nothing is synced yet" in before.stderr

    assert desk.sync(regions=["CISO", "BPAT"], since=DAY[1], until=DAY[3]).ok
    done = desk.run("status")
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("eia.region_data        CISO"))
    cells = line.split()
    assert cells[2:4] == ["2024-03-12T00", "2024-03-12T23"]
    assert cells[5:11] == ["h", "96", "0", "1", "0", "0"]

    broken = Desk(desk.folder, sim.url.replace("/v2", "/v1"))
    assert not broken.sync("eia.region_data", regions=["PACW"], since=DAY[1], until=DAY[3]).ok
    after = desk.run("status", "--failed")
    assert after.returncode == 1
    assert re.search(r"eia.region_data +PACW +- +- +- +0 .*\n +EIA refuses the request.*Not found", after.stdout)
    assert "CISO" not in after.stdout
    assert KEY not in after.stdout

    as_json = json.loads(desk.run("status", "--json", "--region", "ciso").stdout)
    assert {entry["region"] for entry in as_json} == {"CISO"}
    first = next(entry for entry in as_json if entry["dataset"] == "eia.region_data")
    assert (first["first_hour_utc"], first["rows"], first["failed_chunks"]) == ("2024-03-12T00:00:00", 96, 0)
    assert desk.run("status", "--region", "CISO").returncode == 0, "the failure is not of this region"


def test_status_and_dry_run_read_what_a_killed_sync_left_in_the_log(desk: Desk) -> None:
    """A process killed between commit and close leaves the last rows in DuckDB's log beside the file."""
    import subprocess
    import sys

    assert desk.sync(regions=["CISO"], since=DAY[1], until=DAY[3]).ok
    die = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]);"
        "c.execute(\"update sync.chunk set status = 'failed'\");"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", die, str(desk.staging)], check=False)
    assert desk.staging.with_name("staging.duckdb.wal").exists()
    assert desk.run("status").returncode == 1
    dry = desk.run("sync", "--region", "CISO", *DAY, "--dry-run")
    assert re.search(r"total +4 +4 ", dry.stdout)
    assert desk.sync(regions=["CISO"], since=DAY[1], until=DAY[3]).ok
    assert desk.run("status").returncode == 0


def test_replay_says_what_it_did(desk: Desk) -> None:
    nothing = desk.run("replay")
    assert nothing.returncode == 1
    assert "no payloads" in nothing.stderr
    assert desk.sync(regions=["CISO"], since=DAY[1], until=DAY[3]).ok
    expected = values(desk.staging)
    desk.staging.unlink()
    done = Desk(desk.folder, "http://127.0.0.1:9", key="").run("replay")
    assert done.returncode == 0, done.stderr
    rows = sum(map(len, expected.values()))
    assert f"replayed 4 payloads of 1 landings: {rows:,} rows, {rows:,} new, 0 changed, 0 withdrawn" in done.stdout
    assert values(desk.staging) == expected
