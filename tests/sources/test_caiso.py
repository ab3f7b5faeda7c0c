"""CAISO's source: recorded answers are read completely, and other answers are distinguished."""

from __future__ import annotations

import csv
import io
import random
import re
import time
import zipfile
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energywh.config.settings import Settings
from energywh.core.time import hour_number, hour_time
from energywh.errors import (
    NotReadyError,
    PayloadError,
    RefusedError,
    SettingsError,
    SourceError,
    UnavailableError,
    UsageError,
)
from energywh.sources import caiso, load_settings
from energywh.sources.base import ALL_SLICES, Chunk, Request, Response
from energywh.sources.caiso import DATASETS, SOURCE
from energywh.sync.selection import parse_selection, range_of
from tests.support.desk import PRESENT_HOUR
from tests.support.oasis import csv_of, error_zip, moment, recordings, rows_of, zip_of

NP15 = "TH_NP15_GEN-APND"
NAME = "20240310_20240310_PRC_LMP_DAM_20240401_01_02_03_v1.csv"
HEADER = (
    *("INTERVALSTARTTIME_GMT", "INTERVALENDTIME_GMT", "OPR_DT", "OPR_HR", "OPR_INTERVAL", "NODE_ID_XML", "NODE_ID"),
    *("NODE", "MARKET_RUN_ID", "LMP_TYPE", "XML_DATA_ITEM", "PNODE_RESMRID", "GRP_TYPE", "POS", "MW", "GROUP"),
)


def number(text: str) -> int:
    return hour_number(datetime.fromisoformat(text))


def chunk(dataset: str, slice_: str, first: str, last: str) -> Chunk:
    return Chunk(dataset, slice_, number(first), number(last))


HOURS = chunk("caiso.price_dam", NP15, "2024-03-10T08", "2024-03-10T11")


def price_row(hour: int = 8, node: str = NP15, component: str = "LMP", price: object = 1.5, market: str = "DAM") -> Any:
    at = datetime(2024, 3, 10, hour)
    stamps = (f"{at:%Y-%m-%dT%H:%M:%S}-00:00", f"{at + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}-00:00")
    row = (*stamps, "2024-03-10", 1, 0, node, node, node, market, component, "LMP_PRC", node, "ALL_APNODES", 0, price)
    return (*row, 1)


def answered(body: bytes, status: int = 200) -> Response:
    return Response("https://oasis.example/SingleZip?queryname=PRC_LMP", status, body)


def read_prices(rows: Iterable[Any], what: Chunk = HOURS, header: tuple[str, ...] = HEADER) -> pa.Table:
    return SOURCE.read(what, answered(zip_of({NAME: csv_of([header, *rows])}))).rows


def settings(home: Path, **variables: str) -> Settings:
    return load_settings(home, environment={f"ENERGYWH_CAISO_{name}": value for name, value in variables.items()})


def request(what: Chunk, home: Path) -> Request:
    made = SOURCE.next_request(what, [], settings(home), present_hour=PRESENT_HOUR)
    assert made is not None
    return made


# What was recorded

RECORDED = {
    ("PRC_LMP", "DAM"): ("price_dam", ALL_SLICES, ("NODE", "LMP_TYPE"), 162_848),
    ("ENE_SLRS", "RTM"): ("schedule_rtm", "RTM", ("TAC_ZONE_NAME", "SCHEDULE", "SLRS_TYPE", "MARKET_RUN_ID"), 38_592),
    ("SLD_REN_FCST", "DAM"): ("renewable", "DAM", ("TRADING_HUB", "RENEWABLE_TYPE", "MARKET_RUN_ID"), 1_008),
    ("SLD_FCST", "7DA"): ("load", "7DA", ("TAC_AREA_NAME", "MARKET_RUN_ID"), 6_432),
}


def test_every_recorded_zip_is_read_value_by_value(recorded: Path) -> None:
    found = recordings(recorded / "caiso")
    assert {(one.report, one.market) for one in found} == set(RECORDED)
    for one in found:
        table, slice_, keys, count = RECORDED[one.report, one.market]
        last = one.end - timedelta(hours=1)
        page = SOURCE.read(
            Chunk(f"caiso.{table}", slice_, hour_number(one.first), hour_number(last)), answered(one.file.read_bytes())
        )
        expected = {
            (moment(row["INTERVALSTARTTIME_GMT"]), *(row[key] for key in keys)): float(row["MW"])
            for row in rows_of(one.file)
        }
        assert len(page.rows) == len(expected) == count
        columns = [page.rows.column(name).to_pylist() for name in page.rows.column_names]
        assert {tuple(row[:-1]): row[-1] for row in zip(*columns, strict=True)} == expected


def test_of_a_recorded_day_of_all_nodes_a_chunk_takes_its_node_and_its_hours(recorded: Path) -> None:
    (one,) = (one for one in recordings(recorded / "caiso") if one.report == "PRC_LMP")
    page = SOURCE.read(
        chunk("caiso.price_dam", NP15, "2020-01-02T08", "2020-01-02T10"), answered(one.file.read_bytes())
    )
    assert set(page.rows.column("node").to_pylist()) == {NP15}
    hours = [datetime(2020, 1, 2, hour) for hour in (8, 9, 10)]
    assert sorted(page.rows.column("interval_start").to_pylist()) == sorted(hours * 4)


@pytest.mark.parametrize(
    ("file", "error", "said"),
    [
        ("error_1001_INVALID_REQUEST_unknown_report_SLD_RTO.zip", RefusedError, r"error 1001: Invalid Parameters of"),
        ("error_1002_INVALID_REQUEST_datetime.zip", RefusedError, r"error 1002: Invalid datetime format, please use"),
        ("error_http429_acceptable_use.html", UnavailableError, r"slow down .*retry your request after 5 seconds"),
    ],
)
def test_recorded_errors_are_distinguished(recorded: Path, file: str, error: type[SourceError], said: str) -> None:
    body = (recorded / "caiso" / file).read_bytes()
    with pytest.raises(error, match=said) as caught:
        SOURCE.read(HOURS, answered(body))
    with pytest.raises(UnavailableError, match="slow down"):
        SOURCE.read(HOURS, answered(body, 429))
    assert "oasis.example" in str(caught.value)
    if isinstance(caught.value, UnavailableError):
        assert caught.value.retry_after_seconds == 5


@pytest.mark.parametrize("name", ["pyiso_ene_slrs.xml", "pyiso_sld_forecast.xml", "pyiso_sld_ren_forecast.xml"])
def test_a_recorded_report_in_xml_is_rejected(recorded: Path, name: str) -> None:
    xml = (recorded / "caiso" / "from_agpl_repos" / name).read_bytes()
    with pytest.raises(PayloadError, match=r"report.xml is not CSV; it begins: <\?xml.*oasis.example"):
        SOURCE.read(HOURS, answered(zip_of({"report.xml": xml})))
    with pytest.raises(PayloadError, match="no zip came; it begins: <"):
        SOURCE.read(HOURS, answered(xml))


# Errors

CODES = [
    *((code, RefusedError) for code in (1001, 1002, 1004, 1005, 1011, 1016, 1017, 1018, 1019, 1020, 1099)),
    *((code, NotReadyError) for code in (1014, 1015)),
    *((code, UnavailableError) for code in (1003, 1008, 1010, 1012)),
]


@pytest.mark.parametrize(("code", "error"), CODES)
def test_an_error_code_says_whether_to_wait_to_come_back_or_to_stop(code: int, error: type[SourceError]) -> None:
    with pytest.raises(error, match=f"error {code}: the reason") as caught:
        SOURCE.read(HOURS, answered(error_zip(code, "the reason")))
    assert type(caught.value) is error


def test_no_data_is_an_answer_without_rows() -> None:
    page = SOURCE.read(HOURS, answered(error_zip(1000)))
    assert len(page.rows) == 0
    assert page.rows.schema == read_prices([price_row()]).schema
    bare = zipfile.ZipFile(io.BytesIO(error_zip(1000))).read("INVALID_REQUEST.xml")
    assert len(SOURCE.read(HOURS, answered(bare)).rows) == 0
    assert len(SOURCE.read(HOURS, answered(error_zip(1000, name="20240310_PRC_LMP_DAM_v12.xml"))).rows) == 0


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (500, UnavailableError, "CAISO failed. HTTP 500"),
        (503, UnavailableError, "CAISO failed. HTTP 503"),
        (429, UnavailableError, "slow down"),
        (302, RefusedError, "is caiso.url right, and https"),
        (404, RefusedError, "refuses the request. HTTP 404"),
    ],
)
def test_the_status_counts_before_the_body(status: int, error: type[SourceError], said: str) -> None:
    with pytest.raises(error, match=said):
        SOURCE.read(HOURS, answered(zip_of({NAME: csv_of([HEADER, price_row()])}), status))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html><body>We will be back.</body></html>", "no zip came; it begins: <html>"),
        (b"", r"no zip came; it begins: \(empty body\)"),
        (b"PK\x03\x04 and no more", "not a whole zip"),
        (zip_of({"page.csv": "<html><body>oops</body></html>"}), "page.csv is not CSV; it begins: <html>"),
        (zip_of({}), "a zip without a file"),
        (zip_of({NAME: ""}), "lacks the column INTERVALSTARTTIME_GMT"),
        (zip_of({NAME: "no such report\n"}), "lacks the column INTERVALSTARTTIME_GMT; it begins: no such report"),
        (zip_of({NAME: b"\0" * 2**25}), "a zip that unpacks"),
        (zip_of({"one.csv": csv_of([HEADER]), "two.csv": csv_of([HEADER])}), r"2 files \(one.csv, two.csv\), where 1"),
    ],
)
def test_an_unreadable_answer_is_an_error_that_names_the_request(body: bytes, said: str) -> None:
    with pytest.raises(PayloadError, match=f"{said}.*: from https://oasis.example/SingleZip"):
        SOURCE.read(HOURS, answered(body))


def test_an_answer_that_breaks_off_is_refused_wherever_it_does() -> None:
    body = zip_of({NAME: csv_of([HEADER, *(price_row(hour) for hour in (8, 9, 10))])})
    for size in range(2, len(body), 7):
        with pytest.raises(PayloadError):
            SOURCE.read(HOURS, answered(body[:size]))


# Columns and rows


def test_columns_are_found_by_name_in_any_order_among_others() -> None:
    rows = [price_row(hour, price=price) for hour, price in ((8, -1.25), (9, 0), (10, ""))]
    expected = read_prices(rows).to_pydict()
    assert expected["value"] == [-1.25, 0.0, None]
    order = list(range(len(HEADER)))
    random.Random(3).shuffle(order)
    shuffled = [[row[i] for i in order] + ["new"] for row in rows]
    header = (*(HEADER[i] for i in order), "LATER_ADDED")
    assert read_prices(shuffled, header=header).to_pydict() == expected


@pytest.mark.parametrize("name", ["MW", "VALUE", "PRC"])
def test_a_price_may_stand_under_any_of_its_names(name: str) -> None:
    header = tuple(name if column == "MW" else column for column in HEADER)
    assert read_prices([price_row()], header=header).column("value").to_pylist() == [1.5]


@pytest.mark.parametrize("name", ["INTERVALSTARTTIME_GMT", "NODE", "LMP_TYPE", "MARKET_RUN_ID", "MW"])
def test_a_column_that_is_needed_and_not_there_is_named(name: str) -> None:
    at = HEADER.index(name)
    rows = [[text for i, text in enumerate(price_row()) if i != at]]
    with pytest.raises(PayloadError, match=f"{NAME} lacks the column {name}; it begins: "):
        read_prices(rows, header=HEADER[:at] + HEADER[at + 1 :])


def test_a_row_that_comes_twice_the_same_is_one() -> None:
    once, twice = read_prices([price_row(8), price_row(9)]), read_prices([price_row(8), price_row(9), price_row(8)])
    assert twice.equals(once)


def test_a_column_that_is_there_twice_is_refused() -> None:
    with pytest.raises(PayloadError, match="has the column NODE more than once"):
        read_prices([(*price_row(), "x")], header=(*HEADER, "NODE"))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([price_row(node="")], "a row without NODE came"),
        ([price_row()[:-4]], "is not whole CSV"),
        ([("10.3.2024", *price_row()[1:])], "INTERVALSTARTTIME_GMT is not a time"),
        ([("2024-03-10T08:30:00-00:00", *price_row()[1:])], "begins no interval of 60 minutes"),
        ([("2024-05-01T08:00:00-00:00", *price_row()[1:])], "rows came, and none of the days asked for"),
        ([price_row(market="RUC")], "none with MARKET_RUN_ID DAM, which was asked for"),
        ([price_row(node="TH_SP15_GEN-APND")], f"none with NODE {NP15}, which was asked for"),
    ],
)
def test_rows_that_cannot_be_right_are_refused(rows: list[Any], said: str) -> None:
    with pytest.raises(PayloadError, match=said):
        read_prices(rows)


@pytest.mark.parametrize(("price", "warned"), [("", 0), ("n/a", 0), ("nan", 1), ("1e999", 1), ("much", 1)])
def test_a_price_that_is_not_a_number_costs_only_that_price(price: str, warned: int) -> None:
    body = zip_of({NAME: csv_of([HEADER, price_row(8, price=price), price_row(9)])})
    page = SOURCE.read(HOURS, answered(body))
    assert page.rows["value"].to_pylist() == [None, 1.5]
    assert [(one.rule, one.count) for one in page.warnings] == ([("unreadable_values", 1)] if warned else [])


def test_contradictory_prices_are_refused_and_reported_and_equal_ones_are_taken_once() -> None:
    rows = [price_row(8), price_row(9), price_row(9), price_row(8, price="99.5")]
    page = SOURCE.read(HOURS, answered(zip_of({NAME: csv_of([HEADER, *rows])})))
    assert page.rows["interval_start"].to_pylist() == [datetime(2024, 3, 10, 9)]
    assert [one.rule for one in page.warnings] == ["contradicting_rows"]


def test_the_order_and_case_of_columns_and_a_byte_order_mark_make_no_difference() -> None:
    header = tuple(f" {name.lower()} " for name in reversed(HEADER))
    body = csv_of([header, tuple(reversed(price_row(8))), tuple(reversed(price_row(9, price=2)))])
    body = b"\xef\xbb\xbf" + (body if isinstance(body, bytes) else body.encode())
    page = SOURCE.read(HOURS, answered(zip_of({NAME: body})))
    assert page.rows["value"].to_pylist() == [1.5, 2.0]


def test_rows_outside_the_hours_of_the_chunk_are_left_to_others() -> None:
    """The whole day is asked for: other chunks have its other hours."""
    assert len(read_prices([price_row(hour) for hour in range(8, 20)])) == 4
    assert len(read_prices([price_row(hour) for hour in range(14, 20)])) == 0


def test_a_header_without_rows_is_an_answer_without_rows() -> None:
    assert len(read_prices([])) == 0


def test_windows_line_ends_and_a_byte_order_mark_change_nothing() -> None:
    text = "\ufeff" + csv_of([HEADER, price_row()]).replace("\n", "\r\n")
    assert SOURCE.read(HOURS, answered(zip_of({NAME: text}))).rows.to_pydict() == read_prices([price_row()]).to_pydict()


def test_a_day_of_every_node_may_come_as_a_file_a_component() -> None:
    day = chunk("caiso.price_dam", ALL_SLICES, "2024-03-10T08", "2024-03-11T06")
    files = {
        f"20240310_20240310_PRC_LMP_DAM_{component}_v12.csv": csv_of(
            [HEADER, *(price_row(hour, node, component) for hour in (8, 9) for node in ("A", "B"))]
        )
        for component in ("LMP", "MCC", "MCE", "MCL", "MGHG")
    }
    rows = SOURCE.read(day, answered(zip_of(files))).rows
    assert len(rows) == 20
    assert set(rows.column("component").to_pylist()) == {"LMP", "MCC", "MCE", "MCL", "MGHG"}
    with pytest.raises(PayloadError, match="5 files"):
        SOURCE.read(HOURS, answered(zip_of(files)))
    with pytest.raises(PayloadError, match=r"a zip of 2 files \(a.csv, b.csv\)"):
        SOURCE.read(day, answered(zip_of({"a.csv": csv_of([HEADER]), "b.csv": csv_of([HEADER])})))


# Days

CHANGES = {"2024-03-10": 23, "2024-11-03": 25, "2025-03-09": 23, "2025-11-02": 25, "2025-07-01": 24}


@pytest.mark.parametrize(("day", "hours"), CHANGES.items())
def test_an_operating_day_is_pacific_and_has_23_or_25_hours_when_the_clock_changes(
    tmp_path: Path, day: str, hours: int
) -> None:
    dataset = SOURCE.dataset("caiso.price_dam")
    first, last = SOURCE.cell(dataset, ALL_SLICES, number(f"{day}T16"))
    assert last - first + 1 == hours
    summer = "2024-03-11" <= day <= "2024-11-03" or "2025-03-10" <= day <= "2025-11-02"
    assert hour_time(first) == datetime.fromisoformat(f"{day}T07" if summer else f"{day}T08")
    params = dict(request(Chunk(dataset.name, ALL_SLICES, first + 3, first + 5), tmp_path).params)
    assert params["startdatetime"] == f"{hour_time(first):%Y%m%dT%H}:00-0000"
    assert params["enddatetime"] == f"{hour_time(last + 1):%Y%m%dT%H}:00-0000"


@given(st.integers(number("2009-04-01"), number("2040-01-01")), st.sampled_from([ALL_SLICES, NP15]))
def test_cells_are_whole_days_and_no_longer_than_oasis_allows(hour: int, slice_: str) -> None:
    dataset = SOURCE.dataset("caiso.price_dam")
    first, last = SOURCE.cell(dataset, slice_, hour)
    assert first <= hour <= last
    assert SOURCE.cell(dataset, slice_, last + 1)[0] == last + 1
    assert caiso.operating_day(first - 1) + 1 == caiso.operating_day(first)
    assert caiso.operating_day(last) - caiso.operating_day(first) + 1 == (1 if slice_ == ALL_SLICES else 30)
    assert last - first + 1 <= 30 * 24 + 1


# Requests and settings


def test_a_request_is_as_oasis_documents_it(tmp_path: Path) -> None:
    made = request(chunk("caiso.load", "7DA", "2025-02-19T09", "2025-02-27T03"), tmp_path)
    assert str(made) == (
        "https://oasis.caiso.com/oasisapi/SingleZip?queryname=SLD_FCST&market_run_id=7DA&resultformat=6&version=1"
        "&startdatetime=20250219T08:00-0000&enddatetime=20250227T08:00-0000"
    )
    assert str(request(HOURS, tmp_path)).endswith(f"&enddatetime=20240311T07:00-0000&node={NP15}")
    every = chunk("caiso.price_dam", ALL_SLICES, "2024-03-10T08", "2024-03-10T08")
    assert str(request(every, tmp_path)).endswith("&enddatetime=20240311T07:00-0000&grp_type=ALL")
    assert (
        SOURCE.next_request(
            HOURS, [SOURCE.read(HOURS, answered(error_zip(1000)))], settings(tmp_path), present_hour=PRESENT_HOUR
        )
        is None
    )


def test_default_slices_are_markets_and_nodes_as_set(tmp_path: Path) -> None:
    def slices(table: str, nodes: str | None = None) -> list[str]:
        made = settings(tmp_path) if nodes is None else settings(tmp_path, NODES=nodes)
        return list(
            SOURCE.default_slices(SOURCE.dataset(f"caiso.{table}"), made, aggregates=False, present_hour=PRESENT_HOUR)
        )

    assert slices("load") == ["ACTUAL", "DAM", "2DA", "7DA"]
    assert slices("schedule_rtm", "ALL") == ["RTM"]
    assert slices("price_dam") == slices("price_rtm") == list(caiso.DEFAULT_NODES)
    assert slices("price_rtm", "A_1_N001, B.2,A_1_N001") == ["A_1_N001", "B.2"]
    assert slices("price_dam", "all") == [ALL_SLICES]
    assert slices("price_rtm", "ALL") == list(caiso.DEFAULT_NODES)


def test_of_the_regions_only_ciso_has_anything_here(tmp_path: Path) -> None:
    for dataset in DATASETS:
        assert SOURCE.slices_of(dataset, settings(tmp_path), "CISO", present_hour=PRESENT_HOUR)
        assert SOURCE.slices_of(dataset, settings(tmp_path), "BPAT", present_hour=PRESENT_HOUR) == ()


@pytest.mark.parametrize("nodes", [",", "ALL,TH_NP15_GEN-APND", "a node", "A&node=B?", "x/../y"])
def test_a_setting_that_can_be_no_node_is_refused(tmp_path: Path, nodes: str) -> None:
    with pytest.raises(SettingsError, match=r"'caiso.nodes' \(from ENERGYWH_CAISO_NODES\) must be names of nodes"):
        SOURCE.check_ready(settings(tmp_path, NODES=nodes))


def test_the_source_is_ready_without_a_key(tmp_path: Path) -> None:
    SOURCE.check_ready(settings(tmp_path))
    assert SOURCE.rate_limits(settings(tmp_path)).requests_per_second == 0.2
    with pytest.raises(SettingsError):
        SOURCE.check_ready(settings(tmp_path, URL="ftp://x"))
    with pytest.raises(UsageError):
        SOURCE.dataset("caiso.schedule")


def test_each_market_is_asked_as_far_ahead_as_it_publishes() -> None:
    present = number("2025-06-15T06")

    def last(table: str, slice_: str) -> int:
        return range_of(parse_selection(("caiso",)), SOURCE.dataset(f"caiso.{table}"), slice_, present)[1] - present

    assert [last("load", market) for market in ("ACTUAL", "DAM", "2DA", "7DA")] == [-1, 37, 61, 205]
    assert (last("price_dam", NP15), last("price_rtm", NP15), last("schedule_rtm", "RTM")) == (37, -1, -1)


def test_what_oasis_no_longer_keeps_is_requested_only_when_named() -> None:
    dataset, present = SOURCE.dataset("caiso.price_dam"), number("2026-11-15")

    def first(*names: str, since: str | None = None) -> datetime:
        return hour_time(range_of(parse_selection(names, since=since), dataset, NP15, present)[0])

    begin = datetime(2023, 8, 16, 18)  # 39 months of 730 hours back
    assert first() == first("caiso") == first(since="2020-01-02") == begin
    assert first("caiso", since="2020-01-02") == datetime(2020, 1, 2)


def test_columns_of_the_declarations_are_those_that_were_recorded(recorded: Path) -> None:
    for one in recordings(recorded / "caiso"):
        with zipfile.ZipFile(one.file) as archive:
            header = next(csv.reader(io.StringIO(archive.read(archive.namelist()[0]).decode())))
        declared = SOURCE.dataset(f"caiso.{RECORDED[one.report, one.market][0]}")
        assert isinstance(declared, caiso.CaisoDataset)
        assert {*declared.columns, declared.value_columns[0]} <= set(header)
        assert re.fullmatch(r"[A-Z_]+", declared.report)


@pytest.mark.parametrize(
    "xml",
    [
        b"<m:ERR_CODE>1009</m:ERR_CODE><m:ERR_DESC>" + b" " * 60_000,
        b"<m:ERR_CODE>1009</m:ERR_CODE><m:ERR_DESC>" + b" " * 30_000 + b"x" + b" " * 30_000 + b"</m:ERR_DESC>",
        b"<m:ERR_CODE>1009</m:ERR_CODE>" + b"<ERR_DESC>" * 6_000,
        b"<m:ERR_CODE>1009</m:ERR_CODE>" + b"ERR_DESC>" * 7_000,
    ],
)
def test_an_error_of_any_text_is_read_at_once(xml: bytes) -> None:
    """A search that backtracks takes minutes or hours for these; seconds are for a busy machine."""
    began = time.process_time()
    with pytest.raises(UnavailableError, match="error 1009"):
        SOURCE.read(HOURS, Response("url", 200, zip_of({"INVALID_REQUEST.xml": xml + b" " * 500_000})))
    assert time.process_time() - began < 20


@pytest.mark.parametrize("code", ["9" * 5000, "\u00b2", "", "-1", "1e3"])
def test_a_code_that_is_not_a_number_is_not_an_error_of_oasis(code: str) -> None:
    body = zip_of({"INVALID_REQUEST.xml": f"<m:ERR_CODE>{code}</m:ERR_CODE>"})
    with pytest.raises(PayloadError, match="is not CSV"):
        SOURCE.read(HOURS, Response("url", 200, body))
