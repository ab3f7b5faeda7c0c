"""Reading a damaged payload ends in rows or a declared error, and costs only its chunk."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from energywh.core.time import hour_number
from energywh.errors import SourceError
from energywh.sources import sources
from energywh.sources.base import Chunk
from energywh.sources.eia_files import hours_of
from energywh.sources.zipped import read_zip
from tests.support.desk import KEY, Desk
from tests.support.mutations import mutate, reader
from tests.support.oasis import error_zip, zip_of
from tests.support.scripted import Answer, scripted


def hour(text: str) -> int:
    return hour_number(datetime.fromisoformat(text))


@dataclass(frozen=True)
class Kind:
    """What is harmed, how it is packed then, and the chunk that it answers."""

    name: str
    chunk: Chunk
    content: bytes
    pack: Callable[[bytes], bytes] = bytes


def eia_body() -> bytes:
    rows = ",".join(
        f'{{"period":"2024-03-01T{at:02}","respondent":"CISO","respondent-name":"California","type":"{code}",'
        f'"type-name":"","value":"{at * 7}","value-units":"megawatthours"}}'
        for at in range(1, 12)
        for code in ("D", "DF", "NG", "TI")
    )
    return (
        f'{{"response":{{"total":"44","dateFormat":"YYYY-MM-DD\\"T\\"HH24","frequency":"hourly","data":[{rows}]}},'
        f'"request":{{"command":"/v2/electricity/","params":{{"api_key":"{KEY}"}}}},"apiVersion":"2.1.8"}}'
    ).encode()


def caiso_csv() -> str:
    head = (
        "INTERVALSTARTTIME_GMT,INTERVALENDTIME_GMT,OPR_DT,OPR_HR,MARKET_RUN_ID,TAC_AREA_NAME,LABEL,XML_DATA_ITEM,MW\n"
    )
    return head + "".join(
        f"2024-03-01T{at:02}:00:00-00:00,2024-03-01T{at + 1:02}:00:00-00:00,2024-03-01,{at},ACTUAL,{area},x,y,{at}.5\n"
        for at in range(8, 20)
        for area in ("CA ISO-TAC", "PGE-TAC")
    )


def weather_body() -> bytes:
    from energywh.sources.open_meteo import UNITS, places

    stamps = ",".join(f'"2024-03-01T{at:02}:00"' for at in range(24))
    columns = ",".join(f'"{name}":[{",".join("1.5" for _ in range(24))}]' for name in UNITS)
    units = ",".join(f'"{name}":"{unit}"' for name, unit in UNITS.items())
    located = ",".join(
        f'{{"latitude":{place.latitude},"longitude":{place.longitude},"utc_offset_seconds":0,'
        f'"hourly_units":{{{units}}},"hourly":{{"time":[{stamps}],{columns}}}}}'
        for place in places()["CISO"]
    )
    return f"[{located}]".encode()


def half_year_file() -> bytes:
    head = '"Balancing Authority","Data Date","Hour Number","Sub-Region","Demand (MW)","Local Time at End of Hour",'
    rows = "".join(
        f'"CISO","01/02/2019",{at},"PGAE","1,{at:03}","01/02/2019 {at}:00:00 AM","01/02/2019 {at}:00:00 AM"\n'
        for at in range(1, 12)
    )
    return (head + '"UTC Time at End of Hour"\n' + rows).encode()


def kinds() -> Iterator[Kind]:
    load = Chunk("caiso.load", "ACTUAL", hour("2024-03-01T08"), hour("2024-03-02T07"))
    yield Kind("eia", Chunk("eia.region_data", "CISO", hour("2024-03-01"), hour("2024-03-01T11")), eia_body())
    yield Kind("caiso", load, zip_of({"20240301_SLD_FCST_ACTUAL_v1.csv": caiso_csv()}))
    yield Kind("caiso stored", load, zip_of({"20240301_SLD_FCST_ACTUAL_v1.csv": caiso_csv()}, 0))
    yield Kind("caiso lzma", load, zip_of({"20240301_SLD_FCST_ACTUAL_v1.csv": caiso_csv()}, 14))
    yield Kind("caiso csv", load, caiso_csv().encode(), lambda text: zip_of({"20240301_SLD_FCST_ACTUAL_v1.csv": text}))
    xml = error_zip(1000, "No data returned for the specified selection")
    yield Kind(
        "caiso xml", load, read_zip(xml, max_files=1, max_bytes=9999)[0].content, lambda text: zip_of({"e.xml": text})
    )
    yield Kind("caiso error", load, xml)
    weather = Chunk("open_meteo.hourly", "CISO", hour("2024-02-29T23"), hour("2024-03-01T22"))
    yield Kind("open_meteo", weather, weather_body())
    yield Kind("file", Chunk("eia_files.subregion", "2019_Jan_Jun", *hours_of("2019_Jan_Jun")), half_year_file())


KINDS = {kind.name: kind for kind in kinds()}


def read_mutated(kind: Kind, folder: Path, seeds: range) -> Counter[str]:
    """Fetch the payload with the harm of each seed over HTTP, and count how it ended.

    Whatever is no declared error leaves `fetch`, and so this function.
    """
    source = sources()[kind.chunk.dataset.split(".")[0]]
    body = b""
    ends: Counter[str] = Counter()
    with scripted(lambda number, path: Answer(body)) as server:
        fetcher = reader(source, folder, server.url)
        for seed in seeds:
            body = kind.pack(mutate(kind.content, random.Random(f"{kind.name} {seed}")))
            try:
                outcome = fetcher.fetch(kind.chunk).outcome
            except SourceError as error:  # declared: it says what the whole source does
                ends[type(error).__name__] += 1
                continue
            assert KEY not in (outcome.error or "")
            assert (outcome.error or "").isprintable()
            ends["rows" if outcome.rows else "empty" if outcome.error is None else "failed"] += 1
        fetcher.close()
    return ends


@pytest.mark.parametrize("name", KINDS)
def test_a_harmed_payload_is_read_or_is_a_declared_error(tmp_path: Path, name: str) -> None:
    mutations = range(20 if name == "file" else 80)
    ends = read_mutated(KINDS[name], tmp_path, mutations)
    assert ends["failed"] > len(mutations) // 4  # the harm is real
    assert set(ends) <= {"rows", "empty", "failed", "LimitSpentError", "KeyRefusedError"}


@pytest.mark.parametrize("name", ["eia", "caiso", "caiso csv", "open_meteo", "file"])
def test_the_unharmed_payload_has_rows(tmp_path: Path, name: str) -> None:
    kind = KINDS[name]
    with scripted(lambda number, path: Answer(kind.pack(kind.content))) as server:
        outcome = reader(sources()[kind.chunk.dataset.split(".")[0]], tmp_path, server.url).fetch(kind.chunk).outcome
    assert outcome.error is None
    assert outcome.rows > 0


@pytest.mark.parametrize(
    "error", [RecursionError("deep"), MemoryError(), ValueError("x"), KeyError("\x1b[2J"), pa.ArrowInvalid("y")]
)
@pytest.mark.parametrize("where", ["read", "next_request", "gap"])
def test_any_error_of_a_reader_costs_its_chunk_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, where: str
) -> None:
    source = sources()["eia"]
    found = getattr(source, where)

    def read(*given: object, **words: object) -> object:
        chunk = next(item for item in given if isinstance(item, Chunk))
        if chunk.slice == "CISO":
            raise error
        return found(*given, **words)

    monkeypatch.setattr(source, where, read)
    body = b'{"response":{"total":"0","data":[]}}'
    with scripted(lambda number, path: Answer(body)) as server:
        desk = Desk(tmp_path, server.url).having(SYNC_RETRIES="0")
        result = desk.sync("eia.region_data", regions=["CISO,BPAT,PACW"], since="2024-03-01", until="2024-03-01")
    assert result.fatal == {}
    (failure,) = result.errors
    assert failure.startswith("eia.region_data CISO")
    assert type(error).__name__ in failure
    assert failure.isprintable()


@pytest.mark.parametrize("status", [202, 204, 206, 302, 304])
def test_an_unreadable_answer_is_requested_again_within_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    from energywh.sync import fetcher

    monkeypatch.setattr(fetcher, "_BACK_OFF", lambda state: 0.0)
    good = Answer(b'{"response":{"total":"0","data":[]}}')
    with scripted(lambda number, path: good if number else Answer(b"", status)) as server:
        result = Desk(tmp_path, server.url).sync(
            "eia.region_data", regions=["CISO"], since="2024-03-01", until="2024-03-01"
        )
    assert result.ok, result.errors
    assert len(server.asked) == 2


def test_a_row_whose_key_could_act_on_a_terminal_is_not_kept_and_told(tmp_path: Path) -> None:
    def row(code: str) -> dict[str, str]:
        return {"period": "2024-03-01T01", "respondent": "CISO", "type": code, "value": "7"}

    data = [row("D"), row("\x1b[2J"), row("NG"), row("\u202eevil"), row("x" * 5000)]
    body = json.dumps({"response": {"total": "5", "data": data}}).encode()
    with scripted(lambda number, path: Answer(body)) as server:
        desk = Desk(tmp_path, server.url)
        result = desk.sync("eia.region_data", regions=["CISO"], since="2024-03-01", until="2024-03-01")
    assert result.ok, result.errors
    with duckdb.connect(str(desk.staging), read_only=True) as connection:
        assert connection.execute("select type from eia.region_data order by all").fetchall() == [("D",), ("NG",)]
        assert connection.execute("select rule, count, subject from sync.payload_warning").fetchall() == [
            ("unreadable_rows", 3, "[2J")
        ]


def test_a_long_message_of_a_source_is_cut_before_it_is_kept(tmp_path: Path) -> None:
    body = json.dumps({"error": "\x1b[31m" + "evil " * 1_000_000, "code": 400}).encode()
    with scripted(lambda number, path: Answer(body, 400)) as server:
        desk = Desk(tmp_path, server.url)
        (said,) = desk.sync("eia.region_data", regions=["CISO"], since="2024-03-01", until="2024-03-01").errors
    assert said.isprintable()
    assert len(said) < 1200
    assert "api_key=REDACTED" in said
    with duckdb.connect(str(desk.staging), read_only=True) as connection:
        ((kept,),) = connection.execute("select error from sync.chunk").fetchall()
    assert kept in said
