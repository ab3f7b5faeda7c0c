"""`energywh du` measures a home; `energywh prune` frees what is old or left over, and harms nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from energywh.cli import cli
from energywh.config.settings import Settings
from energywh.core.folders import holding_folder, replacing_folder
from energywh.core.locks import file_lock
from energywh.core.paths import Home
from energywh.core.time import utc_now
from energywh.errors import StorageError
from energywh.models.versions.publish import list_versions
from energywh.sources import load_settings
from energywh.sync.compact import compact
from energywh.sync.ledger import Owner
from energywh.sync.payloads import PayloadStore
from energywh.sync.schema import open_staging
from energywh.upkeep.disk_usage import measure
from energywh.upkeep.leftovers import Leftover
from energywh.upkeep.prune import PruneOptions, prune_home
from energywh.upkeep.shared_blocks import shared_bytes
from tests.support.packs import packs


def settings_of(home: Home) -> Settings:
    return load_settings(home.path)


def run(home: Home, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home.path), *words], standalone_mode=False)


def fill(home: Home, rows: int = 600_000) -> None:
    """Land many rows and delete most of them again."""
    with open_staging(home.staging) as connection:
        connection.execute(
            "insert into eia.region_data by name select timestamp '2020-01-01' + interval (i) hour as period, "
            "'A' as respondent, 'D' as type, random() as value, now()::timestamp as known_from_utc "
            f"from range({rows}) t(i)"
        )
    with open_staging(home.staging) as connection:
        connection.execute("delete from eia.region_data where period >= timestamp '2020-02-01'")
        connection.execute("checkpoint")


def content(home: Home) -> list[object]:
    """Return the tables, as they were made and with what they say of themselves, and a hash of the rows of each."""
    with duckdb.connect(str(home.staging), read_only=True) as connection:
        made = (
            "select schema_name || '.' || table_name, sql, comment from duckdb_tables() where not internal order by 1"
        )
        tables = connection.execute(made).fetchall()
        hashes = " union all ".join(f"(select count(*), bit_xor(hash(t)) from {name} t)" for name, *_ in tables)
        return [tables, connection.execute(hashes).fetchall()]


def test_the_parts_add_up_to_the_home_and_name_the_command_that_frees_them(home: Home) -> None:
    (home.versions / ".building-1-abc").write_bytes(b"x" * 100_000)
    old = home.payloads / f"{utc_now() - timedelta(days=40):%Y-%m-%d}"
    old.mkdir()
    (old / "000000-aaaaaaaa.tar").write_bytes(b"x" * 100_000)
    found = measure(settings_of(home), utc_now())
    blocks = sum(file.lstat().st_blocks for file in home.path.rglob("*") if not file.is_dir() or file.is_symlink())
    assert sum(usage.bytes for usage in found) == blocks * 512
    assert {usage.name for usage in found if usage.kind == "staging"} > {"eia.region_data", "ledger"}
    assert {usage.name: usage.command for usage in found if usage.can_go and usage.kind != "staging"} == {
        "versions/.building-1-abc": "energywh prune",
        old.name: "energywh prune",
    }
    newest = list_versions(home)[-1].path
    assert 0 <= (shared_bytes(newest) or 0) <= newest.stat().st_size + 4096
    printed = json.loads(run(home, "du", "--json").stdout)
    assert {each["kind"] for each in printed} >= {"staging", "payloads", "versions", "exports", "datasets", "leftovers"}
    assert "energywh prune" in run(home, "du").stdout


@pytest.mark.parametrize("command", ["du", "prune"])
def test_a_slip_in_the_name_of_the_home_is_told(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").touch()
    for name, what in {"nowhere": "does not exist", "file": "is not a folder"}.items():
        assert f"{name} {what}: choose another with --home" in str(run(Home(tmp_path / name), command).exception)


def test_prune_frees_what_its_dry_run_said_and_keeps_pinned_and_published_versions(home: Home) -> None:
    old = home.payloads / f"{utc_now() - timedelta(days=10):%Y-%m-%d}"
    old.mkdir()
    (old / "000000-aaaaaaaa.tar").write_bytes(b"x" * 100_000)
    (home.versions / ".building-1-abc").write_bytes(b"x" * 100_000)
    first, pinned, published = list_versions(home)
    assert pinned.pinned
    words = ("prune", "--payloads-older-than", "7", "--versions-keep", "2", "--records-keep", "0", "--no-compact")
    before = {file: file.stat().st_mtime_ns for file in home.path.rglob("*") if file.is_file()}
    told = json.loads(run(home, *words, "--dry-run", "--json").stdout)
    after = {file: file.stat().st_mtime_ns for file in home.path.rglob("*") if file.is_file()}
    assert {file for file in before.keys() | after.keys() if before.get(file) != after.get(file)} <= set(
        home.locks.iterdir()
    )
    with duckdb.connect(str(first.path), read_only=True) as reader:
        done = json.loads(run(home, *words, "--json").stdout)
        assert reader.execute("select count(*) from energywh.version").fetchone() == (1,)
    assert (done["freed"], done["skipped"]) == (told["freed"], [])
    assert {each["kind"] for each in done["freed"]} == {"leftovers", "payloads", "versions"}
    assert list_versions(home) == [pinned, published]
    assert home.energy.resolve() == published.path
    assert [pack.parent != old for pack in packs(home.payloads)] == [True]
    assert len(json.loads(run(home, *words, "--json").stdout)["freed"]) == 1, "the record of the version, now"
    assert run(home, *words).output == "there is nothing to remove\n"
    assert run(home, "doctor", "--full").return_value == 0


def test_compaction_keeps_every_row_and_frees_room(home: Home) -> None:
    fill(home)
    before, size = content(home), home.staging.stat().st_size
    report = prune_home(settings_of(home), PruneOptions(compact_staging=True), utc_now())
    assert report.skipped == []
    assert report.bytes == size - home.staging.stat().st_size > size / 4
    assert content(home) == before
    assert list(home.path.glob("*compact*")) == []


def test_a_compaction_that_dies_or_finds_no_room_changes_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before, inode = content(home), home.staging.stat().st_ino

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("energywh.sync.compact.move_into_place", die)
        with pytest.raises(KeyboardInterrupt):
            compact(settings_of(home))
    with monkeypatch.context() as patch:
        usage = type("Usage", (), {"free": 1000})
        patch.setattr("energywh.sync.compact.shutil.disk_usage", lambda path: usage)
        with pytest.raises(StorageError, match=r"no room to compact .* nothing was changed"):
            compact(settings_of(home))
    assert (content(home), home.staging.stat().st_ino) == (before, inode)
    assert list(home.path.glob("*compact*")) == []


def test_prune_leaves_alone_what_running_commands_hold_and_says_so(home: Home) -> None:
    building = home.versions / ".building-1-abc"
    building.touch()
    settings = load_settings(home.path, {"lock.wait_seconds": 0.1})
    store = PayloadStore(home.payloads)
    store.keep("eia.region_data", b"of a sync that runs")
    with Owner(home.locks), file_lock(home.locks / "build.lock", "a build", wait_seconds=0):
        report = prune_home(settings, PruneOptions(payload_hours=24, compact_staging=True), utc_now())
    assert report.freed == []
    assert building.exists()
    assert [re.split(r":| \(", text)[0] for text in report.skipped] == [
        "waited 0 s for a build",
        "staging is not compacted",
    ]
    store.close()


def test_a_leftover_that_goes_while_it_is_measured_counts_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Leftover(home.path / ".gone.1-0123abcd.writing", "a file that was not finished")
    monkeypatch.setattr("energywh.upkeep.disk_usage.find_leftovers", lambda home: [gone])
    (found,) = [usage for usage in measure(settings_of(home), utc_now()) if usage.kind == "leftovers"]
    assert (found.bytes, found.can_go) == (0, 0)


def test_a_replaced_dataset_that_is_still_read_is_no_leftover(home: Home) -> None:
    (folder,) = [each for each in home.datasets.iterdir() if not each.name.startswith(".")]
    long_ago = time.time() - 3 * 86_400
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (long_ago, long_ago))
    with holding_folder(folder) as held:
        names = sorted(held.names())
        with replacing_folder(folder, "dataset.json") as new:
            (new / "dataset.json").touch()
        (old,) = home.datasets.glob(".*")
        assert prune_home(settings_of(home), PruneOptions(), utc_now()).freed == []
        assert run(home, "doctor", "--fix").exit_code == 0
        assert sorted(held.names()) == names
    freed = prune_home(settings_of(home), PruneOptions(), utc_now()).freed
    assert [each.what for each in freed] == [f"datasets/{old.name}"]
    assert not old.exists()


@pytest.mark.soak
def test_a_prune_killed_at_any_time_loses_no_row(home: Home) -> None:
    fill(home, 2_000_000)
    before, killed = content(home), 0
    command = [sys.executable, "-m", "energywh", "--home", str(home.path), "prune", "--compact", "--versions-keep", "2"]
    for attempt in range(40):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (home.path / "staging.compact.duckdb").exists():
            time.sleep(0.002)
        time.sleep(0.01 * attempt)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        assert content(home) == before
    assert killed > 10
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    assert content(home) == before
    assert list(home.path.glob("*compact*")) == []


@pytest.mark.soak
def test_a_process_killed_while_it_keeps_payloads_loses_none_that_was_journalled(tmp_path: Path) -> None:
    victim = (
        "import pathlib, sys, datetime\n"
        "from energywh.sync.payloads import PayloadStore\n"
        "from energywh.sync.journals import Journal, JournalEntry\n"
        "store = PayloadStore(pathlib.Path(sys.argv[1])); now = datetime.datetime(2026, 1, 1)\n"
        "for number in range(10**6):\n"
        "    name = store.keep('eia.region_data', f'{sys.argv[2]} {number}'.encode() * 500)\n"
        "    entry = JournalEntry('eia.region_data', 'A', now, now, now, 1, (name,))\n"
        "    store.write_journal(Journal(number, now, (entry,)))\n"
        "    print(name, flush=True)\n"
    )
    told: set[str] = set()
    for attempt in range(60):
        process = subprocess.Popen(
            [sys.executable, "-c", victim, str(tmp_path), str(attempt)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        first = process.stdout.readline().strip()
        time.sleep(0.003 * attempt)
        process.kill()
        output, _ = process.communicate()
        told |= {line for line in (first, *output.split("\n")) if len(line) == 64}
    from energywh.sync.payload_index import PayloadIndex

    index = PayloadIndex.of(tmp_path)
    journalled = {payload for journal in index.journals().values() for payload in journal.entries[0].payloads}
    assert len(told) > 200
    assert told <= journalled
    assert index.damages == []
    assert all(index.verify(f"eia.region_data/{name}.zst") is None for name in journalled)
