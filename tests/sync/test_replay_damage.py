"""Replay goes on past what is damaged, tells what that was, and loses nothing that can be read."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from energywh.errors import StorageError
from energywh.simulate.server import Simulator
from energywh.sync.packs import scan
from energywh.sync.replay import replay
from energywh.sync.schema import open_staging
from tests.support.desk import Desk
from tests.support.packs import bodies, drop, journals, overwrite, packs
from tests.support.staging import everything, query, statuses, values

MARCH = {"since": "2024-03-01", "until": "2024-03-02"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, still_simulator: Simulator) -> Path:
    """A home of three landings, one region each."""
    desk = Desk(tmp_path_factory.mktemp("made"), still_simulator.url)
    for region in ("CISO", "BPAT", "PACW"):
        assert desk.sync("eia.region_data", regions=[region], **MARCH).ok
    return desk.home.path


@pytest.fixture
def desk(tmp_path: Path, made: Path, still_simulator: Simulator) -> Desk:
    shutil.copytree(made, tmp_path / "warehouse")
    return Desk(tmp_path, still_simulator.url)


HARMS = {"bytes": b"nothing of zstd", "other content": bytes(pa.compress(b"{}", "zstd", asbytes=True))}


@pytest.mark.parametrize("harm", HARMS)
def test_the_rows_of_a_damaged_payload_are_taken_from_the_present_staging(desk: Desk, harm: str) -> None:
    expected, ledger = everything(desk.staging), query(desk.staging, "select * from sync.chunk order by all")
    _, second, _ = bodies(desk.home.payloads)
    overwrite(second, HARMS[harm])
    result = replay(desk.settings())
    assert [second.where in text and "eia.region_data BPAT" in text for text in result.skipped] == [True]
    assert (result.landings, result.set_aside) == (1, None)
    assert everything(desk.staging) == expected
    assert query(desk.staging, "select * from sync.chunk order by all") == ledger


def test_without_staging_a_damaged_payload_costs_its_chunk_alone_and_the_next_sync_fetches_it(desk: Desk) -> None:
    expected = values(desk.staging)
    desk.staging.unlink()
    overwrite(bodies(desk.home.payloads)[1], b"nothing of zstd")
    result = replay(desk.settings())
    assert (len(result.skipped), result.lost_chunks) == (1, 1)
    assert query(desk.staging, "select distinct respondent from eia.region_data order by 1") == [("CISO",), ("PACW",)]
    assert desk.sync("eia.region_data", regions=["BPAT"], **MARCH).ok
    assert values(desk.staging) == expected


@pytest.mark.parametrize("staging", ["there", "gone"])
def test_a_damaged_journal_costs_its_landing_alone(desk: Desk, staging: str) -> None:
    expected = everything(desk.staging)
    (pack,) = packs(desk.home.payloads)
    _, (_, second), _ = [each for each in scan(pack).members if each[0].startswith("journal/")]
    overwrite(second, b'{"landing_id":9')
    if staging == "gone":
        desk.staging.unlink()
    done = desk.run("replay")
    assert done.returncode == 1
    assert "skipped 1 damaged or missing part" in done.stderr
    assert f"{second.where}: the journal 0000000002" in done.stderr
    found = everything(desk.staging)
    if staging == "there":
        assert found == expected
    else:
        assert {row[1] for row in found["eia.region_data"]} == {"CISO", "PACW"}


@pytest.mark.parametrize("keep", [0, 5000, 0.5, -100])
def test_a_truncated_staging_file_is_put_aside_and_rebuilt(desk: Desk, keep: float) -> None:
    expected = everything(desk.staging)
    content = desk.staging.read_bytes()
    cut = content[: int(keep if abs(keep) != 0.5 else len(content) * keep)]
    desk.staging.write_bytes(cut)
    done = desk.run("replay")
    assert done.returncode == 0, done.stderr
    (aside,) = desk.home.path.glob("staging.damaged-*")
    assert str(aside) in done.stdout
    assert aside.read_bytes() == cut
    assert everything(desk.staging) == expected


def test_of_a_damaged_staging_file_every_month_that_can_be_read_is_carried_over(desk: Desk) -> None:
    """Rows of 2001 to 2005, of which no payload is kept, in a file with one damaged block."""
    with open_staging(desk.staging) as connection:
        connection.execute(
            "insert into eia.region_data select r.* replace (period - interval (y) year as period) "
            "from eia.region_data r, unnest([19, 20, 21, 22, 23]) t(y)"
        )
        connection.execute(
            "insert into eia.region_data by name select timestamp '2010-01-01' + interval (i) hour as period, "
            "'CISO' as respondent, 'D' as type, i * 7919 % 99991 as value, now()::timestamp as known_from_utc "
            "from range(400000) t(i)"
        )
        connection.execute(
            "insert into sync.chunk by name select * replace (timestamp '2001-01-01' as first_hour_utc, "
            "timestamp '2001-01-01' as last_hour_utc) from sync.chunk limit 1"
        )
        connection.execute("insert into sync.landing values (0, '2010-01-01', null, 1, 1, 1, 0, 0)")
    before = query(
        desk.staging, "select date_trunc('month', period), count(*) from eia.region_data group by 1 order by 1"
    )
    (block,) = query(  # a block of one row group alone: small columns of several share one
        desk.staging,
        "select block_id from pragma_storage_info('eia.region_data') where block_id >= 0 and column_name = 'value' "
        "group by 1 having count(distinct row_group_id) = 1 order by max(row_group_id) limit 1",
    )[0]
    with desk.staging.open("r+b") as file:
        file.seek(3 * 4096 + block * 2**18 + 1000)
        file.write(b"x" * 100)
    result = replay(desk.settings())
    assert result.set_aside is not None
    after = dict(query(desk.staging, "select date_trunc('month', period), count(*) from eia.region_data group by 1"))
    gone = {f"{month:%Y-%m}" for month, rows in before if after.get(month, 0) < rows}
    assert 0 < len(gone) < len(before) / 2
    (lost,) = result.skipped
    told = re.search(r"rows of up to (\d+) months of eia.region_data cannot be read: 2001-03, ", lost)
    assert told is not None
    assert int(told[1]) >= len(gone)


def test_a_damaged_log_costs_what_is_in_it_and_not_the_staging_file(desk: Desk) -> None:
    """The log of a process that was killed, beside rows that no payload gives again."""
    with open_staging(desk.staging) as connection:
        connection.execute(
            "insert into eia.region_data select * replace (period - interval 20 year as period) from eia.region_data"
        )
    expected = everything(desk.staging)
    drop(desk.home.payloads, {journals(desk.home.payloads)[0][0]})
    die = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]);"
        "c.execute('insert into eia.region_data from eia.region_data');"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", die, str(desk.staging)], check=False)
    log = desk.staging.with_name("staging.duckdb.wal")
    content = bytearray(log.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8] = b"xxxxxxxx"
    log.write_bytes(content)
    assert desk.run("status").returncode == 1
    result = replay(desk.settings())
    (aside,) = desk.home.path.glob("staging.damaged-*.wal")
    assert aside.read_bytes() == content
    assert [str(aside) in text for text in result.skipped] == [True]
    assert everything(desk.staging) == expected


def test_a_damaged_ledger_costs_the_ledger_and_no_row(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_staging(desk.staging) as connection:
        connection.execute(
            "insert into eia.region_data select * replace (period - interval 20 year as period) from eia.region_data"
        )
    expected = values(desk.staging)
    drop(desk.home.payloads, {journals(desk.home.payloads)[0][0]})
    monkeypatch.setattr("energywh.sync.replay.has_whole_ledger", lambda connection: False)
    result = replay(desk.settings())
    assert [text for text in result.skipped if "its ledger is damaged" in text]
    assert values(desk.staging) == expected
    assert statuses(desk.staging) == {"done": 2}


def test_a_staging_that_would_have_fewer_rows_is_replaced_only_by_force(desk: Desk) -> None:
    with open_staging(desk.staging) as connection:  # rows that no landing brought
        connection.execute(
            "insert into eia.region_data select * replace ('ERCO' as respondent) from eia.region_data "
            "where respondent = 'PACW'"
        )
    before = everything(desk.staging)
    with pytest.raises(StorageError, match=r"fewer rows than .*eia.region_data 2024-03 \(.* instead of .*--force"):
        replay(desk.settings())
    assert everything(desk.staging) == before
    assert list(desk.home.path.glob("staging.*")) == [desk.staging]
    assert replay(desk.settings(), force=True).set_aside is not None
    assert ("ERCO",) not in query(desk.staging, "select distinct respondent from eia.region_data")


def test_landings_older_than_every_payload_are_told_where_no_staging_has_them(desk: Desk) -> None:
    name, _ = journals(desk.home.payloads)[0]
    drop(desk.home.payloads, {name})
    desk.staging.unlink()
    result = replay(desk.settings())
    assert [text for text in result.skipped if text.startswith("1 landing before ")]
