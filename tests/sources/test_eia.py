"""The EIA source on recorded answers of EIA's API, and on answers that it must reject."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from energywh.config.settings import Settings
from energywh.core.time import hour_number, hour_time
from energywh.errors import (
    KeyRefusedError,
    PayloadError,
    RefusedError,
    SettingsError,
    UnavailableError,
    UnknownNameError,
)
from energywh.regions import find_respondent, regions
from energywh.sources import load_settings
from energywh.sources.base import Chunk, Page, PayloadWarning, Response
from energywh.sources.eia import DATASETS, SOURCE, EiaDataset
from tests.support.desk import PRESENT_HOUR

ROUTES = {dataset.route.rpartition("/")[2]: dataset for dataset in DATASETS}
KEY = "Kq9" * 13
WHOLE = Chunk("eia.region_data", "PACW", hour_number(datetime(2015, 1, 1)), hour_number(datetime(2030, 1, 1)))


def recorded_bodies() -> list[str]:
    folder = Path(__file__).parents[3] / "shared" / "data" / "recorded" / "eia"
    return [str(path.relative_to(folder)) for path in sorted(folder.rglob("*-data_*.json"))]


def settings(tmp_path: Path, **environment: str) -> Settings:
    return load_settings(tmp_path, environment={"EIA_API_KEY": KEY, **environment})


def answer(body: bytes | str | dict[str, Any], status: int = 200, chunk: Chunk = WHOLE) -> Page:
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return SOURCE.read(chunk, Response("https://api.eia.gov/v2/x?api_key=REDACTED", status, raw))


def body_of(*rows: dict[str, Any], total: Any = None) -> dict[str, Any]:
    return {"response": {"total": len(rows) if total is None else total, "data": list(rows)}}


def row(period: str = "2024-01-01T05", value: Any = "7", **codes: str) -> dict[str, Any]:
    return {"period": period, "respondent": "PACW", "type": "D", "value": value, **codes}


def chunk_of(dataset: EiaDataset, response: dict[str, Any], slice_: str) -> Chunk:
    """Return the chunk whose answer a recorded body is; of one without rows, any."""
    periods = [row["period"] for row in response["data"]] or ["2024-01-01T05"]
    ends = [hour_number(datetime.strptime(period, "%Y-%m-%dT%H")) for period in (min(periods), max(periods))]
    return Chunk(dataset.name, slice_, ends[0] - 1, ends[1] - 1)


@pytest.mark.parametrize("name", recorded_bodies())
def test_a_recorded_body_is_read_as_it_stands(recorded: Path, tmp_path: Path, name: str) -> None:
    raw = (recorded / "eia" / name).read_bytes()
    response = json.loads(raw)["response"]
    dataset = next(dataset for route, dataset in ROUTES.items() if route in name)
    slices = {each[dataset.slice_key] for each in response["data"]} or {"SC"}
    assert len(slices) == 1
    chunk = chunk_of(dataset, response, slices.pop())
    page = answer(raw, chunk=chunk)

    names = (dataset.time_column, *dataset.keys, "value")
    assert page.rows.column_names == list(names)
    assert page.total == int(response["total"])
    expected = [
        (
            datetime.strptime(each["period"], "%Y-%m-%dT%H"),
            *(each[key] for key in dataset.keys),
            None if each["value"] is None else float(each["value"]),
        )
        for each in response["data"]
    ]
    assert list(zip(*page.rows.to_pydict().values(), strict=True)) == expected

    following = SOURCE.next_request(chunk, [page], settings(tmp_path), present_hour=PRESENT_HOUR)
    if page.total == len(expected):
        assert following is None
    else:
        assert following is not None
        assert dict(following.params)["offset"] == str(len(expected))


def test_both_recorded_pages_together_are_complete(recorded: Path, tmp_path: Path) -> None:
    one, two = sorted((recorded / "eia").glob("gridemissions_fuel-type-data_AECI_COL_*page*"))
    hour = hour_number(datetime(2023, 1, 1))
    chunk = Chunk("eia.fuel_type_data", "AECI", hour - 1, hour + 24)
    pages = [answer(path.read_bytes(), chunk=chunk) for path in (one, two)]
    following = SOURCE.next_request(chunk, pages[:1], settings(tmp_path), present_hour=PRESENT_HOUR)
    assert following is not None
    assert dict(following.params)["offset"] == "16"
    assert SOURCE.next_request(chunk, pages, settings(tmp_path), present_hour=PRESENT_HOUR) is None


def test_a_truncated_page_is_continued_where_it_ended(recorded: Path, tmp_path: Path) -> None:
    (path,) = (recorded / "eia").glob("fuel-type-data_PACW_2024-01-01_*TRUNCATED*")
    raw = path.read_bytes()
    chunk = chunk_of(ROUTES["fuel-type-data"], json.loads(raw)["response"], "PACW")
    following = SOURCE.next_request(chunk, [answer(raw, chunk=chunk)], settings(tmp_path), present_hour=PRESENT_HOUR)
    assert following is not None
    assert dict(following.params)["offset"] == "5000"


def test_a_request_asks_for_the_stamps_of_its_hours_sorted_by_the_full_key(tmp_path: Path) -> None:
    first = hour_number(datetime(2024, 3, 1))
    request = SOURCE.next_request(
        Chunk("eia.interchange_data", "CISO", first, first + 23), [], settings(tmp_path), present_hour=PRESENT_HOUR
    )
    assert request is not None
    assert request.url == "https://api.eia.gov/v2/electricity/rto/interchange-data/data/"
    params = dict(request.params)
    assert (params["start"], params["end"]) == ("2024-03-01T01", "2024-03-02T00")  # EIA stamps the end of an hour
    assert params["facets[fromba][]"] == "CISO"
    assert [params[f"sort[{place}][column]"] for place in range(3)] == ["period", "fromba", "toba"]
    assert (params["frequency"], params["data[0]"], params["offset"], params["length"]) == (
        "hourly",
        "value",
        "0",
        "5000",
    )
    assert request.secrets == (("api_key", KEY),)
    assert KEY not in f"{request} {request!r}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("12", 12.0), ("-3", -3.0), ("2523.4", 2523.4), (7, 7.0), (0.5, 0.5), (None, None), ("0", 0.0)],
)
def test_a_value_may_be_text_a_number_or_null(value: Any, expected: float | None) -> None:
    assert answer(body_of(row(value=value))).rows["value"].to_pylist() == [expected]


def test_a_row_without_a_value_has_none() -> None:
    without = row()
    del without["value"]
    assert answer(body_of(without)).rows["value"].to_pylist() == [None]


def test_unknown_fields_and_warnings_in_either_place_are_passed_over() -> None:
    warning = [{"warning": "incomplete return", "description": "..."}]
    body = body_of(row(**{"respondent-name": "PacifiCorp West", "value-units": "megawatthours", "new": "x"}), total="9")
    for warned in ({**body, "warnings": warning}, {"response": {**body["response"], "warnings": warning}, "new": 1}):
        page = answer(warned)
        assert (len(page.rows), page.total) == (1, 9)


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([row(), row(respondent="PACE")], "rows of another respondent than PACW came"),
        ([row(respondent="PACE")], "rows of another respondent than PACW came"),
        ([row(period="2031-01-01T00")], "outside the hours asked for"),
        ([row(period="2015-01-01T00")], "outside the hours asked for"),
        ([row(period="2024-01-01")], "'2024-01-01' is not an hour"),
        ([row(), row(period="2024-02-30T01")], "'2024-02-30T01' is not an hour"),
        ([row(), row(type="DF", period="2024-02-10 1")], "'2024-02-10 1' is not an hour"),
        ([row(), row(period="")], "'' is not an hour"),
        ([row(), row(type=None)], "not an EIA body.*a row without type"),
        ([{"period": "2024-01-01T05", "value": "1"}], "not an EIA body"),
    ],
)
def test_rows_that_were_not_asked_for_or_make_no_sense_are_refused(rows: list[dict[str, Any]], what: str) -> None:
    with pytest.raises(PayloadError, match=what) as caught:
        answer(body_of(*rows))
    assert "https://api.eia.gov/v2/x" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "warned"),
    [("", 0), ("null", 0), (None, 0), ("n/a", 0), ("NaN", 0), ("Infinity", 1), ("many", 1), ([], 1), ({"x": 1}, 1)],
)
def test_a_value_that_is_not_a_number_costs_only_that_value(value: object, warned: int) -> None:
    page = answer(body_of(row(value="7"), row(type="NG", value=value), row(type="TI", value="1,234.5")))
    assert page.rows["value"].to_pylist() == [7.0, None, 1234.5]
    assert page.warnings == ((PayloadWarning("unreadable_values", "value", 1),) if warned else ())


def test_blanks_around_a_key_make_no_difference() -> None:
    page = answer(body_of(row(respondent=" PACW"), row(type="NG ", period=" 2024-02-10T01")))
    assert page.rows["respondent"].to_pylist() == ["PACW", "PACW"]
    assert page.rows["type"].to_pylist()[1] == "NG"
    page = answer(body_of(row(value="3"), row(value="3", type="D ")))
    assert page.rows["type"].to_pylist() == ["D"]
    with pytest.raises(PayloadError, match="a row without type"):
        answer(body_of(row(), row(type="")))


def test_rows_that_are_the_same_but_for_a_label_are_one() -> None:
    page = answer(body_of(row(value="3", **{"type-name": "Demand"}), row(value="3", **{"type-name": "demand"})))
    assert (len(page.rows), page.rows_received, page.warnings) == (1, 2, ())
    page = answer(body_of(row(value=None), row(value="3")))
    assert page.rows["value"].to_pylist() == [3.0], "no value contradicts none"


def test_only_contradictory_rows_are_refused_and_they_are_reported() -> None:
    page = answer(body_of(row(value="3"), row(value="4"), row(value="5", type="NG")))
    assert page.rows["type"].to_pylist() == ["NG"]
    (warning,) = page.warnings
    assert (warning.rule, warning.count) == ("contradicting_rows", 1)
    assert page.rows_received == 3, "that so many of the query came is what paging counts"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<!DOCTYPE html><html><body>We will be back.</body></html>",
        b'{"response":{"total":"1","data":[{"period":"2024-01-01T05","respo',
        b"[]",
        b"null",
        b'{"response":{"total":"1"}}',
        b"\xff\xfe\x00\x01",
        b'{"response":{"total":"many","data":[]}}',
    ],
)
def test_a_body_that_is_not_from_eia_is_refused_with_status_address_and_first_bytes(raw: bytes) -> None:
    with pytest.raises(PayloadError) as caught:
        answer(raw)
    text = str(caught.value)
    assert "HTTP 200 from https://api.eia.gov/v2/x?api_key=REDACTED" in text
    assert Response("", 200, raw).opening() in text


def test_the_recorded_refusal_of_a_key_says_what_to_do(recorded: Path) -> None:
    with pytest.raises(KeyRefusedError, match=r"EIA_API_KEY.*register.*API_KEY_INVALID"):
        answer((recorded / "eia" / "error_http403_API_KEY_INVALID.json").read_bytes(), 403)


def test_the_recorded_unknown_route_is_refused_although_it_comes_as_a_500(recorded: Path) -> None:
    with pytest.raises(RefusedError, match=r"Not found\."):
        answer((recorded / "eia" / "error_http500_not_found_route.json").read_bytes(), 500)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, {"error": {"code": "API_KEY_MISSING", "message": "No api_key was supplied."}}, KeyRefusedError),
        (200, {"error": {"code": "API_KEY_INVALID", "message": "no"}}, KeyRefusedError),
        (401, "<html>no</html>", KeyRefusedError),
        (400, {"error": "Invalid facet 'None' provided.", "code": 400}, RefusedError),
        (200, {"error": "Invalid frequency 'x' provided.", "code": 400}, RefusedError),
        (404, {"error": "Not found.", "code": 404}, RefusedError),
        (301, "", RefusedError),
        (429, {"error": {"code": "OVER_RATE_LIMIT", "message": "slower"}}, UnavailableError),
        (200, {"error": {"code": "OVER_RATE_LIMIT", "message": "slower"}}, UnavailableError),
        (429, "<html>slower</html>", UnavailableError),
        (500, {"error": "Internal server error.", "code": 500}, UnavailableError),
        (200, {"error": "Something broke.", "code": 500}, UnavailableError),
        (502, "<html>Bad Gateway</html>", UnavailableError),
        (503, b"\xff\xfe", UnavailableError),
        (500, {"error": {"unknown": ["shape"]}, "code": "text"}, UnavailableError),
    ],
)
def test_an_error_is_what_its_body_says_before_what_its_status_says(status: int, body: Any, kind: type) -> None:
    with pytest.raises(kind) as caught:
        answer(body, status)
    assert type(caught.value) is kind
    assert f"HTTP {status}" in str(caught.value)


def test_pages_that_contradict_each_other_start_the_chunk_again(tmp_path: Path) -> None:
    page, other, empty = (
        answer(body_of(row(), row(type="NG"), total=4)),
        answer(body_of(row(type="TI"), total=5)),
        answer(body_of(total=4)),
    )
    here = settings(tmp_path)
    with pytest.raises(PayloadError, match="total changed between pages"):
        SOURCE.next_request(WHOLE, [page, other], here, present_hour=PRESENT_HOUR)
    with pytest.raises(PayloadError, match="EIA counts 4 rows and gave 2"):
        SOURCE.next_request(WHOLE, [page, empty], here, present_hour=PRESENT_HOUR)
    with pytest.raises(PayloadError, match="2 rows came of 1 that EIA counts"):
        SOURCE.next_request(WHOLE, [answer(body_of(row(), row(type="NG"), total=1))], here, present_hour=PRESENT_HOUR)


def test_an_answer_without_rows_counts_only_for_the_request_that_it_repeats() -> None:
    chunk = Chunk("eia.region_data", "PACW", hour_number(datetime(2024, 1, 1)), hour_number(datetime(2024, 1, 2)))
    own = {"facets": {"respondent": ["PACW"]}, "start": "2024-01-01T01", "end": "2024-01-02T01"}
    for said in (own, {**own, "start": "2024-01-01T01:00:00Z"}, {**own, "start": "soon"}, {}, {"facets": []}):
        assert answer({**body_of(), "request": {"params": said}}, chunk=chunk).rows_received == 0
    assert answer({**body_of(), "request": "unheard of"}, chunk=chunk).rows_received == 0
    for other in ({"start": "2023-12-01T01"}, {"end": "2024-01-03T01"}, {"facets": {"respondent": ["CISO"]}}):
        with pytest.raises(PayloadError, match="to another request"):
            answer({**body_of(), "request": {"params": {**own, **other}}}, chunk=chunk)


def test_without_a_total_a_page_that_is_not_full_is_the_last(tmp_path: Path) -> None:
    page = answer({"response": {"data": [row()]}})
    assert page.total is None
    assert SOURCE.next_request(WHOLE, [page], settings(tmp_path), present_hour=PRESENT_HOUR) is None


def test_the_key_is_redacted_wherever_a_body_echoes_it() -> None:
    body = (
        f'{{"request":{{"params":{{"api_key":"{KEY}"}},"command":"/v2/?api_key={KEY}"}},'
        '"other":{"api_key" : "somebody\\"s"}}'
    ).encode()
    clean = SOURCE.redact(body, [KEY])
    assert KEY.encode() not in clean
    assert json.loads(clean)["request"]["params"]["api_key"] == "REDACTED"
    assert json.loads(clean)["other"]["api_key"] == "REDACTED"


def test_a_short_key_is_redacted_without_touching_the_data() -> None:
    body = b'{"request":{"params":{"api_key":"PACW"},"url":"/x?api_key=PACW&b=1"},"data":[{"respondent":"PACW"}]}'
    clean = json.loads(SOURCE.redact(body, ["PACW"]))
    assert clean["request"] == {"params": {"api_key": "REDACTED"}, "url": "/x?api_key=REDACTED&b=1"}
    assert clean["data"] == [{"respondent": "PACW"}]


def test_the_error_without_a_key_says_where_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"register.*EIA_API_KEY.*energywh\.toml.*demo"):
        SOURCE.check_ready(load_settings(tmp_path, environment={}))
    with pytest.raises(SettingsError, match=r"'eia.url' must be an http\(s\) address"):
        SOURCE.check_ready(settings(tmp_path, ENERGYWH_EIA_URL="api.eia.gov"))
    SOURCE.check_ready(settings(tmp_path))


def test_authorities_are_the_default_and_aggregates_are_added_on_demand(tmp_path: Path) -> None:
    dataset = DATASETS[0]
    held = settings(tmp_path)
    plain, all_of_them = (
        set(SOURCE.default_slices(dataset, held, aggregates=flag, present_hour=PRESENT_HOUR)) for flag in (False, True)
    )
    kinds = {region.code: region.kind for region in regions().values()}
    assert {kinds[code] for code in plain} == {"authority"}
    assert {"CISO", "BPAT", "SWPP"} <= plain
    assert all_of_them - plain == {code for code, kind in kinds.items() if kind == "aggregate"}
    assert len(all_of_them - plain) == 14


@pytest.mark.parametrize(("typed", "near"), [("SPP", "SWPP"), ("CAISO", "CISO"), ("ERCOT", "ERCO")])
def test_the_error_of_a_misspelt_region_suggests_the_nearest(typed: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match=f"{typed} is not a respondent; did you mean .*{near}"):
        find_respondent(typed)


def test_a_region_may_be_typed_in_any_case_and_a_neighbor_abroad_is_explained() -> None:
    assert find_respondent(" pacw ").code == "PACW"
    with pytest.raises(UnknownNameError, match=r"BCHA .* reports nothing itself"):
        find_respondent("BCHA")


def test_a_retired_authority_is_asked_for_the_time_in_which_it_reported() -> None:
    first, last = SOURCE.span(DATASETS[0], "GRMA")
    assert last is not None
    assert hour_time(last) - datetime(2018, 5, 3) < timedelta(days=40)
    assert first is None or first < last
    assert SOURCE.span(DATASETS[0], "CISO")[1] is None


# Run in a process of its own: what it guards against ends the process.
_MANY_THREADS = """
import json, sys, threading
from energywh.regions import regions
from energywh.sources.base import Chunk, Response
from energywh.sources.eia import DATASETS, SOURCE
sys.setswitchinterval(1e-6)
gate = threading.Barrier(8)
def work():
    for dataset in DATASETS:
        for code in regions():
            row = {"period": "2024-01-01T05", dataset.slice_key: code, dataset.code_key: "X", "value": "1"}
            body = json.dumps({"response": {"total": 1, "data": [row]}}).encode()
            gate.wait()
            SOURCE.read(Chunk(dataset.name, code, 400000, 500000), Response("x", 200, body))
threads = [threading.Thread(target=work) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_threads_may_read_the_first_answers_of_a_slice_at_the_same_time() -> None:
    done = subprocess.run([sys.executable, "-c", _MANY_THREADS], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_subregions_are_asked_of_every_authority_with_demand_whatever_the_seed_lists(tmp_path: Path) -> None:
    dataset, held = SOURCE.dataset("eia.region_sub_ba_data"), settings(tmp_path)
    parents = set(SOURCE.default_slices(dataset, held, aggregates=True, present_hour=PRESENT_HOUR))
    assert {"CISO", "ERCO", "ISNE", "MISO", "NYIS", "PJM", "PNM", "SWPP", "BHBA", "BPAT"} < parents
    assert not parents & {"US48", "CAL", "GRID", "BCHA"}
    assert [SOURCE.slices_of(dataset, held, code, present_hour=PRESENT_HOUR) for code in ("BPAT", "NEWB", "US48")] == [
        ("BPAT",),
        ("NEWB",),
        (),
    ]


def test_a_page_that_is_not_from_the_api_is_not_taken_for_a_rejected_key() -> None:
    page = Response("https://api.eia.gov/v2/x", 403, b"<HTML><H1>Access Denied</H1></HTML>")
    with pytest.raises(UnavailableError, match="refuses this client with a page that is not of the API"):
        SOURCE.read(WHOLE, page)


def test_a_subregion_keeps_its_leading_zeros() -> None:
    codes = {"subba": "0001", "subba-name": "Zone 1", "parent": "MISO", "parent-name": "MISO"}
    body = body_of({"period": "2024-01-01T05", "value": "9", **codes})
    chunk = Chunk("eia.region_sub_ba_data", "MISO", WHOLE.first, WHOLE.last)
    page = answer(body, chunk=chunk)
    assert page.rows.column_names == ["period", "parent", "subba", "value"]
    assert [page.rows[name].to_pylist() for name in ("parent", "subba", "value")] == [["MISO"], ["0001"], [9.0]]
    body["response"]["data"][0]["parent"] = "SWPP"
    with pytest.raises(PayloadError, match="rows of another parent than MISO came"):
        answer(body, chunk=chunk)


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_a_chunk_of_any_region_fits_one_page(dataset: EiaDataset, tmp_path: Path) -> None:
    for region in SOURCE.default_slices(dataset, settings(tmp_path), aggregates=True, present_hour=PRESENT_HOUR):
        first, last = SOURCE.cell(dataset, region, 473_352)
        assert last - first >= 23
        assert SOURCE.rows_per_hour(dataset, region) * (last - first + 1) <= 5000


def test_a_body_that_is_nested_too_deeply_is_not_of_eia() -> None:
    deep = b'{"response":{"total":"1","data":[{"period":' + b"[" * 20_000 + b"]" * 20_000 + b"}]}}"
    with pytest.raises(PayloadError, match="not an EIA body"):
        answer(deep)
