"""The command `energywh sync`: its output and its errors."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from energywh.simulate.server import Simulator
from tests.support.desk import KEY, Desk, command
from tests.support.scripted import Answer, scripted
from tests.support.staging import query, statuses, values

DAY = ("--since", "2024-03-12", "--until", "2024-03-12")
CISO = ("sync", "--region", "CISO", *DAY)


def refused(done: subprocess.CompletedProcess[str], status: int, *said: str) -> None:
    """Check exit status and message, and that neither a traceback nor a key is shown."""
    assert done.returncode == status, done.stderr
    for text in said:
        assert re.search(text, done.stderr), f"'{text}' is not said: {done.stderr}"
    assert "Traceback" not in done.stderr
    assert KEY not in done.stdout + done.stderr


def test_a_sync_ends_with_what_it_did_in_numbers(desk: Desk) -> None:
    done = desk.run(*CISO)
    assert done.returncode == 0, done.stderr
    rows = {table: len(found) for table, found in values(desk.staging).items() if table.startswith("eia.")}
    assert len(rows) == 4
    for table, count in rows.items():
        assert re.search(rf"{table}: 1 of 1 chunk; {count:,} rows: {count:,} new, 0 changed, 0 withdrawn", done.stdout)
    assert re.search(r"sync done: 4 requests in [\d.]+ s\n$", done.stdout)
    again = desk.run(*CISO)
    assert again.returncode == 0
    assert again.stdout == "sync: nothing is due; everything requested is settled\n"


def test_piped_output_has_plain_lines(desk: Desk) -> None:
    done = desk.run("sync", "eia.region_data", *CISO[1:])
    assert re.search(r"^eia\.region_data: 1/1 chunk, \d+ rows$", done.stderr, re.MULTILINE)
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr


def test_on_a_terminal_there_are_bars(desk: Desk) -> None:
    import pty

    ours, theirs = pty.openpty()
    environment = {**desk.environment, "TERM": "xterm-256color"}
    process = subprocess.Popen(command(*CISO), env=environment, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"\x1b[" in shown
    assert b"eia.region_data" in shown
    assert b"1/1" in shown
    assert b"\x1b" not in out


def test_a_dry_run_needs_no_key_and_prints_what_would_be_asked(desk: Desk, sim: Simulator) -> None:
    keyless = Desk(desk.folder, desk.url, key="").having(EIA_REQUESTS_PER_SECOND="5")
    done = keyless.run(
        "sync", "eia", "--region", "CISO,PACW", "--since", "2024-01-01", "--until", "2024-12-31", "--dry-run"
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0][:3] == ["dataset", "chunks", "requests"]
    tables = ["eia.region_data", "eia.fuel_type_data", "eia.interchange_data", "eia.region_sub_ba_data"]
    assert [line[0] for line in lines[1:]] == [*tables, "total"]
    assert int(lines[-1][1]) == sum(int(line[1]) for line in lines[1:-1]) > 20
    assert not desk.home.path.exists()
    assert not sim.requests


def test_without_a_key_it_says_where_to_get_one(desk: Desk, sim: Simulator) -> None:
    refused(
        Desk(desk.folder, desk.url, key="").run(*CISO), 2, "needs a key", "register", "EIA_API_KEY", "energywh demo"
    )
    assert not sim.requests


def test_a_wrong_key_stops_at_once_and_is_not_shown(desk: Desk, sim: Simulator) -> None:
    wrong = "WrongKeyWrongKeyWrongKeyWrongKey12345678"
    done = Desk(desk.folder, desk.url, key=wrong).run("sync", *DAY, "--jobs", "3")
    refused(done, 1, "EIA rejects the API key", "EIA_API_KEY", "register")
    assert wrong not in done.stdout + done.stderr
    assert len(sim.requests) <= 3
    assert set(statuses(desk.staging)) == {"due"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("sync", "--region", "SPP"), "SPP is not a respondent; did you mean .*SWPP"),
        (("sync", "--region", "CISO,BCHA"), "BCHA .* reports nothing itself"),
        (("sync", "--region", ","), "names no region"),
        (("sync", "eia.region-data"), "no source or dataset is named 'eia.region-data'; did you mean eia.region_data"),
        (("sync", "zzz"), "no source or dataset is named 'zzz'\nKnown: .*eia, .*eia.region_data"),
        (("sync", "--since", "2024-03-02", "--until", "2024-03-01"), "--since 2024-03-02 is after --until 2024-03-01"),
        (
            ("sync", "eia", "--until", "2018-01-01"),
            "--until 2018-01-01 is before the default --since 2019-01-01 of eia.region_data; give --since",
        ),
        (("sync", "--since", "yesterday"), "--since must be a UTC day or hour, such as .*, not 'yesterday'"),
        (("sync", "--since", ""), "--since must be a UTC day or hour"),
        (("sync", "--until", "2024-02-30"), "--until must be a UTC day or hour"),
        (("sync", "--refresh", "soon"), "--refresh must be a number and h, d or w"),
        (("sync", "--jobs", "0"), "'--jobs': must be a whole number from 1 to 64, not '0'"),
        (("sync", "--jobs", "x"), "'--jobs': must be a whole number from 1 to 64, not 'x'"),
        (("prune", "--payloads-older-than", "7d"), "older-than': must be a whole number, 1 or more, not '7d'"),
        (("prune", "--versions-keep", "1"), "'--versions-keep': must be a whole number, 2 or more, not '1'"),
        (("sync", "--files", "--api"), "give --files or --api, not both"),
        (("sync", "--regoin", "CISO"), "no such option.*--region"),
        (("snyc",), "no command is named 'snyc'; did you mean sync"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_done(
    desk: Desk, sim: Simulator, words: tuple[str, ...], said: str
) -> None:
    refused(desk.run(*words), 2, said)
    assert not sim.requests
    assert not desk.home.path.exists()


def test_a_region_that_has_stopped_reporting_costs_no_request(desk: Desk, sim: Simulator) -> None:
    words = ("sync", "eia", "--region", "OVEC", "--since", "2024-01-01")
    dry = desk.run(*words, "--dry-run")
    assert dry.stdout.startswith("nothing to fetch: OVEC stopped reporting on 2018-12-01\n")
    assert re.search(r"^total +0 +0 ", dry.stdout, re.MULTILINE)
    done = desk.run(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "sync: nothing to fetch: OVEC stopped reporting on 2018-12-01\n"
    beside = desk.run("sync", "eia.region_data", "--region", "OVEC,CISO", *DAY)
    assert beside.returncode == 0
    assert "OVEC stopped reporting on 2018-12-01\n" in beside.stderr
    assert len(sim.requests) == 1


def test_a_range_in_the_future_makes_no_folder(desk: Desk, sim: Simulator) -> None:
    done = desk.run("sync", "--region", "CISO", "--since", "2099-01-01")
    assert done.returncode == 0
    assert "nothing to fetch: the requested range has no hours" in done.stdout
    assert "nothing to fetch: the requested range" in desk.run("sync", "--since", "2099-01-01", "--dry-run").stdout
    assert not desk.home.path.exists()


def test_a_dry_run_refuses_what_the_sync_would_refuse(desk: Desk, sim: Simulator) -> None:
    """Real data into a folder of simulated ones."""
    assert desk.run(*CISO).returncode == 0
    environment = {name: value for name, value in desk.environment.items() if name != "ENERGYWH_EIA_URL"}
    said = [desk.run(*CISO, *words, env=environment) for words in ((), ("--dry-run",))]
    assert said[0].stderr == said[1].stderr != ""
    assert "do not mix" in said[0].stderr
    assert [done.returncode for done in said] == [2, 2]


def test_a_misspelt_setting_is_refused_with_the_nearest(desk: Desk) -> None:
    desk.home.path.mkdir(parents=True)
    for text, said in (
        ("[eia]\napi_kye = 'x'\n", r"energywh.toml: \[eia\] has no setting 'api_kye'; did you mean api_key\?"),
        ("[ea]\nurl = 'x'\n", r"no section is named \[ea\]; did you mean eia\?"),
        ("[sync]\njobs = 'many'\n", r"'sync.jobs' \(from .*energywh.toml\) must be a whole number, not 'many'"),
        ("[eia\n", "energywh.toml is not valid TOML"),
        ("eia = 3\n", r"energywh.toml: \[eia\] must be a table"),
        ("[eia]\napi_key = 3\n[sync]\njobs = true\n", "'sync.jobs' .* must be a whole number"),
        ("[eia]\napi_key = [1]\n", r"'eia.api_key' \(from .*energywh.toml\) must be text, not the given value"),
        ("[build]\nmemory_limit = 'lots'\n", "'build.memory_limit' .* must be an amount of memory such as 8GB"),
    ):
        desk.home.settings_file.write_text(text)
        refused(desk.run(*CISO), 2, said)


def test_a_page_of_html_is_named_with_address_status_and_first_bytes(desk: Desk) -> None:
    with scripted(lambda number, path: Answer(b"<!DOCTYPE html><title>Maintenance</title>")) as server:
        html = Desk(desk.folder, server.url).having(SYNC_RETRIES="1")
        done = html.run(*CISO[:1], "eia.region_data", *CISO[1:])
    refused(done, 1, "not an EIA body", "HTTP 200 from http://127.0.0.1", "api_key=REDACTED", "<!DOCTYPE html>")
    assert len(server.asked) == 2
    assert "sync incomplete" in done.stdout


def test_a_server_that_is_not_there_ends_soon(desk: Desk) -> None:
    began = time.monotonic()
    done = Desk(desk.folder, "http://127.0.0.1:9/v2").having(SYNC_RETRIES="1").run("sync", *DAY)
    refused(done, 1, "cannot connect", "stopped asking it. What is done is kept; run this again later")
    assert time.monotonic() - began < 60


def test_a_staging_file_that_is_not_a_database_is_named_and_kept(desk: Desk) -> None:
    desk.home.path.mkdir(parents=True)
    desk.staging.write_bytes(b"not a database" * 1000)
    for words in (CISO, ("status",), (*CISO, "--dry-run")):
        refused(
            desk.run(*words),
            1,
            r"staging\.duckdb: .*is not a DuckDB database.*put aside and rebuilt by .energywh replay",
        )
    assert desk.staging.read_bytes() == b"not a database" * 1000


def test_a_home_below_a_file_is_refused(desk: Desk) -> None:
    (desk.folder / "file").write_text("")
    refused(
        desk.another("file/warehouse").run(*CISO), 1, "cannot create the warehouse folder .*file/warehouse", "--home"
    )
    refused(desk.another("file").run(*CISO), 1, "cannot create the warehouse folder .*file", "ENERGYWH_HOME")


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """Mount a file system in memory, where that is allowed."""
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting a file system of its own is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_read_only_home_is_refused(desk: Desk, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=1m") as disk:
        (disk / "locks").mkdir()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        refused(
            desk.another("disk").run(*CISO), 1, "the warehouse folder .*disk is read-only", "--home or ENERGYWH_HOME"
        )


@pytest.mark.parametrize(
    ("size", "until"), [("200k", "2024-01-02"), pytest.param("1600k", "2024-02-29", marks=pytest.mark.soak)]
)
def test_a_full_disk_is_reported_and_completed_work_is_kept(desk: Desk, tmp_path: Path, size: str, until: str) -> None:
    """No room for a new staging file, and no room for payloads or a landing."""
    words = ("sync", "--region", "CISO,BPAT,PACW", "--since", "2024-01-01", "--until", until)
    with small_disk(tmp_path / "disk", f"size={size}") as disk:
        done = desk.another("disk").run(*words)
        refused(done, 1, "no room|No space left", "disk")
        subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
        assert desk.another("disk").sync(regions=[words[2]], since=words[4], until=until).ok
        assert set(statuses(disk / "staging.duckdb")) == {"done", "empty"}, "empty are subregions of BPAT"
        full = values(disk / "staging.duckdb")
    assert desk.sync(regions=[words[2]], since=words[4], until=until).ok
    assert full == values(desk.staging)


def test_a_file_size_limit_is_reported_and_completed_work_is_kept(desk: Desk) -> None:
    """As on a full disk, where mounting is not allowed."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_100_000, 1_100_000))

    words = ("sync", "--region", "CISO,BPAT,PACW", "--since", "2024-01-01", "--until", "2024-02-29")
    done = subprocess.run(
        command(*words), env=desk.environment, preexec_fn=limit, capture_output=True, text=True, check=False
    )
    refused(done, 1, "staging.duckdb|payloads")
    assert desk.sync(regions=[words[2]], since=words[4], until=words[6]).ok
    assert set(statuses(desk.staging)) == {"done", "empty"}


def test_home_may_be_given_as_an_option_or_be_the_folder_warehouse(desk: Desk, tmp_path: Path) -> None:
    environment = {name: value for name, value in desk.environment.items() if name != "ENERGYWH_HOME"}
    (tmp_path / "here").mkdir()
    assert desk.run(*CISO, env=environment, cwd=tmp_path / "here").returncode == 0
    assert (tmp_path / "here" / "warehouse" / "staging.duckdb").exists()
    assert desk.run("--home", str(tmp_path / "there"), *CISO, env=environment).returncode == 0
    assert query(tmp_path / "there" / "staging.duckdb", "select count(*) from sync.chunk") == [(4,)]
