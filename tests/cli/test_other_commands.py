"""The commands `energywh config`, `status` and `replay`, and options that all commands share."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import duckdb
import pytest

from energywh.cli import COMMANDS, cli
from energywh.simulate.server import Simulator
from tests.support.desk import KEY, Desk, typed
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
    line = next(line for line in done.stdout.splitlines() if line.split()[:2] == ["eia.region_data", "CISO"])
    cells = line.split()
    assert cells[2:4] == ["2024-03-12T00", "2024-03-12T23"]
    assert cells[5:13] == ["h", "96", "0", "0", "h", "1", "0", "0"]

    broken = Desk(desk.folder, sim.url.replace("/v2", "/v1"))
    assert not broken.sync("eia.region_data", regions=["PACW"], since=DAY[1], until=DAY[3]).ok
    after = desk.run("status", "--failed")
    assert after.returncode == 1
    assert re.search(r"eia.region_data PACW: EIA refuses the request.*Not found", after.stdout)
    assert "CISO" not in after.stdout
    assert KEY not in after.stdout

    printed = desk.run("status", "--json", "--region", "ciso").stdout
    as_json = json.loads(printed)
    assert [json.loads(line.strip("[], "))["region"] for line in printed.splitlines()] == ["CISO"] * 4
    assert {entry["region"] for entry in as_json} == {"CISO"}
    first = next(entry for entry in as_json if entry["dataset"] == "eia.region_data")
    assert (first["first_hour_utc"], first["rows"], first["failed_chunks"]) == ("2024-03-12T00:00:00", 96, 0)
    assert desk.run("status", "--region", "CISO").returncode == 0, "the failure is not of this region"


def test_status_fails_for_a_region_that_was_never_synced(desk: Desk) -> None:
    assert desk.sync("eia.region_data", regions=["CISO"], since=DAY[1], until=DAY[3]).ok
    for words in ((), ("--max-behind", "9999d"), ("--failed",)):
        done = desk.run("status", "--region", "CISO,BPAT", *words)
        assert done.returncode == 1
        assert done.stderr == "BPAT was never synced: run 'energywh sync --region BPAT'\n"


def test_status_fails_for_a_region_that_never_delivered_a_value(desk: Desk) -> None:
    """The region was requested and has no data yet, so it is behind without limit."""

    assert desk.sync("eia.region_data", regions=["CISO"], since=DAY[1], until=DAY[3]).ok
    assert desk.run("status", "--max-behind", "9999d").returncode == 0
    with duckdb.connect(desk.staging) as connection:
        connection.execute("delete from eia.region_data")
        connection.execute("update sync.chunk set status = 'due', fetched_at_utc = null")
        connection.execute("insert into sync.chunk by name select * replace ('GRMA' as slice) from sync.chunk")
    done = desk.run("status", "--max-behind", "9999d")
    assert done.returncode == 1
    assert done.stderr == "further behind than 9999d: eia.region_data CISO\n", "GRMA has stopped reporting"


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
    assert f"replayed 4 payloads of 1 landing: {rows:,} rows, {rows:,} new, 0 changed, 0 withdrawn" in done.stdout
    assert values(desk.staging) == expected


def test_the_home_may_be_named_before_or_after_any_command(desk: Desk, tmp_path: Path) -> None:
    assert desk.sync("eia.region_data", regions=["CISO"], since=DAY[1], until=DAY[3]).ok
    environment = {**desk.environment, "ENERGYWH_HOME": str(tmp_path / "elsewhere")}
    for words in (("--home", str(desk.home.path), "status"), ("status", "--home", str(desk.home.path))):
        done = desk.run(*words, env=environment)
        assert done.returncode == 0, done.stderr
        assert "CISO" in done.stdout
    for name in COMMANDS:
        done = desk.run(name, "--home", "  ", "--help")
        assert done.returncode == 0, name
        assert "no such option" not in done.stderr


def test_help_and_version_may_be_asked_for_in_the_usual_ways(desk: Desk) -> None:
    assert desk.run("help").stdout == desk.run("--help").stdout != ""
    assert desk.run("help", "sync").stdout.startswith("Usage: ")
    assert "--since" in desk.run("help", "sync").stdout
    assert desk.run("-V").stdout == desk.run("--version").stdout != ""
    assert "no command is named 'snyc'; did you mean sync" in desk.run("help", "snyc").stderr


def test_a_reader_that_closes_the_pipe_early_is_not_a_failure(desk: Desk) -> None:
    assert desk.sync("eia.region_data", regions=["CISO"], since=DAY[1], until=DAY[3]).ok
    for words in (("config",), ("status",), ("status", "--json"), ("sync", "--dry-run"), ("models",), ("help",)):
        reader, writer = os.pipe()
        os.close(reader)
        process = desk.start(*words, stdout=writer)
        os.close(writer)
        _, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, ""), words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sinc",), "energywh: no command is named 'sinc'; did you mean sync? (see 'energywh --help')\n"),
        (
            ("sync", "--sinc", "1"),
            "energywh: no such option '--sinc'. Did you mean '--since'? (see 'energywh sync --help')\n",
        ),
        (("build", "--to"), "energywh: option '--to' requires an argument\n"),
    ],
)
def test_usage_errors_of_click_have_the_style_of_all_other_messages(
    desk: Desk, words: tuple[str, ...], message: str
) -> None:
    done = desk.run(*words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)


def test_a_full_standard_output_is_named(desk: Desk) -> None:
    with Path("/dev/full").open("w") as full:
        process = desk.start("config", stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err == "energywh: No space left on device while writing to standard output\n"


def test_sql_gives_hints_for_what_is_easily_typed_wrong(desk: Desk, tmp_path: Path) -> None:
    from energywh.models.build.runner import build
    from tests.test_chain import one_model

    done = desk.run("sql", "-- all of it\nselect 1")
    assert done.returncode == 2
    assert 'energywh sql -- "..."' in done.stderr
    assert desk.sync("eia.region_data", regions=["CISO"], since=DAY[1], until=DAY[3]).ok
    build(desk.home, sql=one_model(tmp_path / "sql"))
    assert desk.run("sql", "--", "-- all of it\nselect 1").returncode == 0
    question = "select count(*) from staging.eia.region_data"
    hinted = desk.run("sql", question)
    assert hinted.returncode == 2
    assert "To query tables of staging, add the option --staging" in hinted.stderr
    assert desk.run("sql", question, "--staging").returncode == 0


def test_a_file_that_turns_out_to_be_damaged_while_it_is_read_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(**words: object) -> None:
        raise duckdb.IOException("IO Error: Could not read enough bytes from file 'energy.duckdb'")

    monkeypatch.setattr(cli, "main", fails)
    done = typed("models")
    assert done.returncode == 1
    assert re.fullmatch(r"energywh: cannot go on: a file is damaged .*'energywh doctor' names.*\n", done.stderr)
