"""EIA's half-year files: headers, rejected files, and the bounds of a half-year."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from energywh.core.time import hour_number, hour_time
from energywh.errors import NotReadyError, PayloadError, RefusedError, UnavailableError
from energywh.sources import load_settings
from energywh.sources.base import Chunk, Page, PayloadWarning, Response
from energywh.sources.csv_text import folded
from energywh.sources.eia_files import FUELS, SOURCE, halves, hours_of, known_headers
from tests.support.desk import PRESENT_HOUR
from tests.support.half_year import BALANCE_HEADERS, INTERCHANGE_HEADERS, as_csv, key_cells, stamp

END = datetime(2024, 2, 1, 6)
NEW_FUELS = {
    "WAT": "Hydropower Excluding Pumped Storage",
    "PS": "Pumped Storage",
    "SUN": "Solar without Integrated Battery Storage",
    "SNB": "Solar with Integrated Battery Storage",
    "WND": "Wind without Integrated Battery Storage",
    "WNB": "Wind with Integrated Battery Storage",
    "GEO": "Geothermal",
    "BAT": "Battery Storage",
    "OES": "Other Energy Storage",
    "UES": "Unknown Energy Storage",
}


def chunk_of(kind: str, half: str = "2024_Jan_Jun") -> Chunk:
    return Chunk(f"eia_files.{kind.lower()}", half, *hours_of(half))


def read(folder: Path, body: bytes, kind: str = "BALANCE", half: str = "2024_Jan_Jun") -> pa.Table:
    return read_page(folder, body, kind, half).rows


def read_page(folder: Path, body: bytes, kind: str = "BALANCE", half: str = "2024_Jan_Jun") -> Page:
    path = folder / "body.zst"
    with pa.OSFile(str(path), "wb") as raw, pa.CompressedOutputStream(raw, "zstd") as stream:
        stream.write(body)
    return SOURCE.read_file(chunk_of(kind, half), path)


def row(**cells: str) -> dict[str, str]:
    return key_cells("CISO", END) | cells


def at(hour: int, day: int = 1, **cells: str) -> dict[str, str]:
    return key_cells("CISO", datetime(2024, 3, day) + timedelta(hours=hour)) | cells


def balance(*rows: dict[str, str], headers: tuple[str, ...] = BALANCE_HEADERS) -> bytes:
    return as_csv(headers, rows)


def test_the_recorded_balance_excerpt_is_read_as_it_stands(recorded: Path, tmp_path: Path) -> None:
    (path,) = (recorded / "eia").glob("EIA930_BALANCE_excerpt_*.csv")
    rows = read(tmp_path, path.read_bytes(), half="2020_Jul_Dec").to_pylist()
    with path.open(newline="", encoding="utf-8") as file:
        expected = list(csv.DictReader(file))
    assert len(rows) == len(expected) == 9
    columns = known_headers("BALANCE")
    for found, wanted in zip(rows, expected, strict=True):
        assert found["period"] == datetime.strptime(wanted["UTC Time at End of Hour"], "%m/%d/%Y %I:%M:%S %p")
        assert (found["file"], found["region"]) == ("2020_Jul_Dec", "AEC")
        named = {
            columns[folded(header)].split("+")[0]: float(cell.replace(",", "")) if cell else None
            for header, cell in wanted.items()
            if header.startswith(("Demand", "Net", "Total", "Sum"))
        }
        assert len(named) == 36
        assert {column: found[column] for column in named} == named
        assert {found[column] for column in found.keys() - named.keys() - {"period", "file", "region"}} == {None}
    first = rows[0]
    assert (first["demand_mwh"], first["demand_forecast_mwh"], first["ng_mwh"], first["ng_adjusted_mwh"]) == (
        497.0,
        1060.0,
        536.0,
        536.0,
    )


def test_the_recorded_interchange_excerpt_is_read_as_it_stands(recorded: Path, tmp_path: Path) -> None:
    (path,) = (recorded / "eia").glob("EIA930_INTERCHANGE_excerpt_*.csv")
    rows = read(tmp_path, path.read_bytes(), "INTERCHANGE", "2022_Jan_Jun").to_pylist()
    assert len(rows) == 9
    assert rows[0] == {
        "period": datetime(2022, 1, 1, 7),
        "file": "2022_Jan_Jun",
        "region": "AECI",
        "neighbor": "MISO",
        "interchange_mwh": -391.0,
    }


def test_a_subregion_keeps_its_leading_zeros(tmp_path: Path) -> None:
    headers = ("Balancing Authority", "Data Date", "Hour Number", "Sub-Region", "Demand (MW)")
    headers += ("Local Time at End of Hour", "UTC Time at End of Hour")
    cells = {"Balancing Authority": "MISO", "Sub-Region": "0001", "Demand (MW)": "12,345"}
    body = as_csv(headers, [row(**cells), row(**(cells | {"Sub-Region": "8910", "Demand (MW)": ""}))])
    rows = read(tmp_path, body, "SUBREGION").to_pylist()
    assert [(one["subregion"], one["demand_mwh"]) for one in rows] == [("0001", 12345.0), ("8910", None)]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_any_line_end_and_a_byte_order_mark_make_no_difference(tmp_path: Path, mark: bytes, end: bytes) -> None:
    cells = {"Demand (MW)": "1,234,567.5", "Net Generation (MW)": "-3", "Total Interchange (MW)": "0"}
    body = mark + balance(row(**cells), headers=BALANCE_HEADERS).replace(b"\n", end)
    (found,) = read(tmp_path, body).to_pylist()
    assert (found["demand_mwh"], found["net_generation_mwh"], found["total_interchange_mwh"]) == (1234567.5, -3.0, 0.0)
    assert found["demand_forecast_mwh"] is None, "a blank is no value, and never 0"


def test_reported_imputed_and_adjusted_values_of_both_families_stand_in_columns_of_their_own(tmp_path: Path) -> None:
    for fuels in (
        {"WAT": "Hydropower and Pumped Storage", "SUN": "Solar", "WND": "Wind"},
        NEW_FUELS,
    ):
        kinds = {"": "", " (Imputed)": "_imputed", " (Adjusted)": "_adjusted"}
        wanted = {
            (f"Net Generation (MW) from {label}{kind}", f"{fuel.lower()}{column}_mwh"): float(100 * i + j)
            for i, (fuel, label) in enumerate(fuels.items(), 1)
            for j, (kind, column) in enumerate(kinds.items())
        }
        headers = (*BALANCE_HEADERS[:7], *(header for header, _ in wanted))
        body = balance(row(**{header: str(value) for (header, _), value in wanted.items()}), headers=headers)
        body = body.replace(b"Pumped Storage (Adjusted)", b"Pumped Storage  (Adjusted)")
        body = body.replace(
            b"Solar with Integrated Battery Storage (Adj", b"Solar witho Integrated Battery Storage (Adj"
        )
        (found,) = read(tmp_path, body).to_pylist()
        held = {column: found[column] for _, column in wanted}
        assert held == {column: value for (_, column), value in wanted.items()}
        others = {column for column in found if column.endswith("_mwh")} - held.keys()
        assert {found[column] for column in others} == {None}


def test_a_file_with_both_families_is_read_from_the_one_that_is_filled(tmp_path: Path) -> None:
    """Blank or 0 is not filled; half of the new family, without a column for the other half, is no family."""
    old, new = "Net Generation (MW) from Solar", "Net Generation (MW) from Solar without Integrated Battery Storage"
    for headers in ((*BALANCE_HEADERS[:7], old, new), (*BALANCE_HEADERS[:7], new, old)):
        for cells, expected in (
            ({new: "70"}, 70.0),
            ({old: "60"}, 60.0),
            ({new: "70", old: "0"}, 70.0),
            ({new: "0", old: "60"}, 60.0),
            ({new: "0", old: "0"}, 0.0),
            ({new: "70", old: "75"}, 75.0),
            ({}, None),
        ):
            (found,) = read(tmp_path, balance(row(**cells), headers=headers)).to_pylist()
            assert found["sun_mwh"] == expected


FAMILIES = [
    ("Solar", "sun", "Solar without Integrated Battery Storage", "snb", "Solar with Integrated Battery Storage"),
    ("Wind", "wnd", "Wind without Integrated Battery Storage", "wnb", "Wind with Integrated Battery Storage"),
    ("Hydropower and Pumped Storage", "wat", "Hydropower Excluding Pumped Storage", "ps", "Pumped Storage"),
]
FILLED = [  # the sum and its parts in a row, and the parts that are kept
    (("60", "0", "60"), (0.0, 60.0)),
    (("60", "40", "20"), (40.0, 20.0)),
    (("-30", "0", "-30"), (0.0, -30.0)),
    (("0", "30", "-30"), (30.0, -30.0)),  # what is pumped is what falls
    (("75", "0", "60"), (0.0, 60.0)),  # they contradict: the parts count
    (("60", "", "60"), (60.0, None)),  # half of the new family is no family
    (("60", "40", ""), (60.0, None)),
    (("0", "40", ""), (40.0, None)),
    (("", "", "60"), (None, 60.0)),
    (("", "40", "20"), (40.0, 20.0)),
    (("60", "", ""), (60.0, None)),
    (("60", "0", "0"), (60.0, None)),
    (("0", "0", "0"), (0.0, 0.0)),
    (("", "", ""), (None, None)),
]


@pytest.mark.parametrize(("total", "first", "first_label", "second", "second_label"), FAMILIES)
@pytest.mark.parametrize("kind", ["", "Imputed", "Adjusted"])
def test_a_row_that_fills_both_families_is_read_from_one_of_them(
    tmp_path: Path, total: str, first: str, first_label: str, second: str, second_label: str, kind: str
) -> None:
    end = f" ({kind})" if kind else ""
    labels = [f"Net Generation (MW) from {label}{end}" for label in (total, first_label, second_label)]
    columns = [f"{code}_{kind.lower()}_mwh" if kind else f"{code}_mwh" for code in (first, second)]
    for headers in ((*BALANCE_HEADERS[:7], *labels), (*BALANCE_HEADERS[:7], *reversed(labels))):
        rows_ = [
            row(
                **{
                    **dict(zip(labels, cells, strict=True)),
                    "UTC Time at End of Hour": stamp(datetime(2024, 2, 1, hour)),
                }
            )
            for hour, (cells, _) in enumerate(FILLED)
        ]
        found = sorted(read(tmp_path, balance(*rows_, headers=headers)).to_pylist(), key=lambda one: one["period"])
        assert [tuple(one[column] for column in columns) for one in found] == [kept for _, kept in FILLED]


def test_two_rows_of_which_one_holds_a_sum_and_the_other_a_part_are_not_merged(tmp_path: Path) -> None:
    old, new = "Net Generation (MW) from Solar", "Net Generation (MW) from Solar with Integrated Battery Storage"
    headers = (*BALANCE_HEADERS[:7], old, "Net Generation (MW) from Solar without Integrated Battery Storage", new)
    page = read_page(tmp_path, balance(row(**{old: "60"}), row(**{new: "60"}), headers=headers))
    assert page.rows.num_rows == 0
    assert [one.rule for one in page.warnings] == ["contradicting_rows"]


def test_every_fuel_of_the_api_has_a_column_of_each_kind_and_every_column_a_header() -> None:
    columns = {column for headers in known_headers("BALANCE").values() for column in headers.split("+")} - {""}
    dataset = SOURCE.dataset("eia_files.balance")
    assert columns == {"period", "region", *dataset.values}
    assert {f"{fuel.lower()}_mwh" for fuel in FUELS} <= columns


def test_unknown_columns_are_reported_and_cost_no_other_column(tmp_path: Path) -> None:
    fusion = "Net Generation (MW) from Fusion"
    page = read_page(tmp_path, balance(row(**{"Demand (MW)": "5", fusion: "7"}), headers=(*BALANCE_HEADERS, fusion)))
    assert page.rows["demand_mwh"].to_pylist() == [5.0]
    assert page.warnings == (PayloadWarning("unknown_column", fusion),)
    near = balance(row(**{"Demand (MW)": "5"})).replace(b'from Wind"', b'from Wind w Integrated Battery Storage"')
    page = read_page(tmp_path, near)
    assert page.rows["demand_mwh"].to_pylist() == [5.0]
    assert [one.subject for one in page.warnings] == ["Net Generation (MW) from Wind w Integrated Battery Storage"]
    headers = tuple(h for h in BALANCE_HEADERS if h != "Demand (MW)")
    (found,) = read(tmp_path, balance(row(**{"Net Generation (MW)": "3"}), headers=headers)).to_pylist()
    assert (found["demand_mwh"], found["net_generation_mwh"]) == (None, 3.0)


def test_an_unknown_column_may_hold_line_ends(tmp_path: Path) -> None:
    body = as_csv((*BALANCE_HEADERS, "Comment"), [at(hour, Comment="late,\nrevised") for hour in range(3)])
    page = read_page(tmp_path, body)
    assert (len(page.rows), page.warnings) == (3, (PayloadWarning("unknown_column", "Comment"),))


@pytest.mark.parametrize("end", [b"\xff\xfe", b"x" * 2_100_000], ids=["encoding", "length"])
def test_a_line_that_is_no_csv_costs_that_line_and_is_reported(tmp_path: Path, end: bytes) -> None:
    lines = balance(*(at(hour % 24, day=1 + hour // 24) for hour in range(700))).split(b"\n")
    lines[600] = b"<p>" + end
    page = read_page(tmp_path, b"\n".join(lines))
    assert len(page.rows) == 699
    ((rule, subject, count),) = [(one.rule, one.subject, one.count) for one in page.warnings]
    assert (rule, subject[:3], count) == ("unreadable_rows", "<p>", 1)


def test_a_key_without_a_column_or_with_two_refuses_the_file(tmp_path: Path) -> None:
    headers = tuple(h for h in BALANCE_HEADERS if h != "Balancing Authority")
    with pytest.raises(RefusedError, match=r"EIA930_BALANCE_2024_Jan_Jun\.csv has no column for region"):
        read(tmp_path, balance(row(), headers=headers))
    with pytest.raises(RefusedError, match=r"'balancing authority' twice"):
        read(tmp_path, balance(row(), headers=(*BALANCE_HEADERS, "Balancing  Authority")))


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.replace(b'"Region"\n', b'"Region",\n'),  # a comma at the end of the header
        lambda body: body.replace(b"\n", b",\n"),  # or of each line
        lambda body: body.replace(b"\n", b"\r\n"),
        lambda body: b"\xef\xbb\xbf" + body,
        lambda body: body.replace(b'"Demand (MW)"', b'"Demand\r(MW)"'),
        lambda body: body.replace(b'"Demand (MW)"', b'"Demand\r\n(MW)"'),
        lambda body: body.replace(b'"Demand (MW)"', b"Demand\r (MW)"),
        lambda body: body.replace(b'"Demand (MW)"', b'" DEMAND  (mw) "'),
        lambda body: body.replace(b'"UTC Time at End of Hour"', b'"utc time at end of hour"'),
        lambda body: body.rstrip(b"\n"),
        lambda body: b"\n".join(b",".join(reversed(line.split(b","))) for line in body.split(b"\n")),
    ],
    ids=[
        "comma",
        "commas",
        "crlf",
        "bom",
        "cr",
        "line end",
        "bare cr",
        "case",
        "case of key",
        "no last line end",
        "order",
    ],
)
def test_what_varies_in_a_file_without_meaning_makes_no_difference(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    page = read_page(tmp_path, change(balance(*(at(hour, **{"Demand (MW)": str(10 + hour)}) for hour in range(3)))))
    assert page.rows["demand_mwh"].to_pylist() == [10.0, 11.0, 12.0]
    assert set(page.rows["region"].to_pylist()) == {"CISO"}
    assert page.warnings == ()


@pytest.mark.parametrize(
    "form", ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M"]
)
def test_stamps_are_read_as_mirrors_and_spreadsheets_write_them(tmp_path: Path, form: str) -> None:
    ends = [datetime(2024, 2, 1, 6), datetime(2024, 2, 1, 18), datetime(2024, 2, 2)]
    body = balance(*(row(**{"UTC Time at End of Hour": f"{end:{form}}"}) for end in ends))
    assert read(tmp_path, body)["period"].to_pylist() == ends


@pytest.mark.parametrize("cell", ["n/a", "N/A", "null", "-", '""', "#REF!", "inf", "nan", "1O0"])
def test_a_cell_that_is_not_a_number_costs_only_that_cell(tmp_path: Path, cell: str) -> None:
    page = read_page(tmp_path, balance(row(**{"Demand (MW)": cell, "Net Generation (MW)": "7"}), at(8)))
    first = page.rows.to_pylist()[0]
    assert (len(page.rows), first["demand_mwh"], first["net_generation_mwh"]) == (2, None, 7.0)
    told = [(one.rule, one.subject, one.count) for one in page.warnings]
    assert told == ([("unreadable_values", "demand_mwh", 1)] if cell in ("#REF!", "inf", '""', "1O0") else [])


def test_one_row_of_many_whose_key_cannot_be_read_costs_that_row(tmp_path: Path) -> None:
    rows_ = [at(hour % 24, day=1 + hour // 24) for hour in range(150)]
    for bad in ({"UTC Time at End of Hour": "soon"}, {"Balancing Authority": ""}):
        page = read_page(tmp_path, balance(*rows_, row(**bad)))
        assert len(page.rows) == 150
        assert [(one.rule, one.count) for one in page.warnings] == [("unreadable_rows", 1)]


def test_only_contradictory_rows_are_refused_and_they_are_reported(tmp_path: Path) -> None:
    body = balance(row(**{"Demand (MW)": "5"}), row(**{"Demand (MW)": "6"}), at(9, **{"Demand (MW)": "7"}))
    page = read_page(tmp_path, body)
    assert page.rows["demand_mwh"].to_pylist() == [7.0]
    assert page.warnings == (PayloadWarning("contradicting_rows", "CISO, 2024-02-01 06:00:00"),)
    pair = {"Directly Interconnected Balancing Authority": "AZPS", "Interchange (MW)": "-9"}
    body = as_csv(INTERCHANGE_HEADERS, [row(**pair), row(**(pair | {"Interchange (MW)": "-8"}))])
    page = read_page(tmp_path, body, "INTERCHANGE")
    assert [(one.rule, one.subject) for one in page.warnings] == [
        ("contradicting_rows", "CISO, AZPS, 2024-02-01 06:00:00")
    ]


def test_a_row_that_stands_there_twice_is_taken_once(tmp_path: Path) -> None:
    page = read_page(tmp_path, balance(row(**{"Demand (MW)": "5"}), row(**{"Demand (MW)": "5"})))
    assert (len(page.rows), page.warnings) == (1, ())
    other = {"Demand (MW)": "5", "Region": "other", "Data Date": "x"}
    assert len(read(tmp_path, balance(row(**{"Demand (MW)": "5"}), row(**other)))) == 1, (
        "they differ in what is not kept"
    )


@pytest.mark.parametrize(
    ("hours", "lacks"),
    [
        (range(182 * 24), ""),
        (range(100), "no value after 2024-01-05T03"),
        ((hour for hour in range(182 * 24) if not 200 <= hour < 224), "no value in 24 of its hours"),
        ((), "no rows"),
    ],
)
def test_a_file_that_does_not_reach_the_end_of_its_half_or_has_a_hole_is_not_whole(
    tmp_path: Path, hours: Iterable[int], lacks: str
) -> None:
    ends = [datetime(2024, 1, 1, 1) + timedelta(hours=hour) for hour in hours]
    body = balance(*(row(**{"UTC Time at End of Hour": stamp(end), "Demand (MW)": "5"}) for end in ends))
    page = read_page(tmp_path, body)
    found = SOURCE.gap(SOURCE.dataset("eia_files.balance"), chunk_of("BALANCE"), page.rows)
    assert found.startswith(lacks)
    assert bool(found) == bool(lacks)


@pytest.mark.parametrize(
    ("demand_hours", "lacks"), [(0, "no values"), (3000, "no value after 2024-05-04T23")], ids=["blank", "forecasts"]
)
def test_a_file_without_measured_values_to_the_end_is_not_whole(tmp_path: Path, demand_hours: int, lacks: str) -> None:
    cells = [
        {"Demand Forecast (MW)": "5", "Demand (MW)": "5" if hour < demand_hours else ""} for hour in range(182 * 24)
    ]
    first = datetime(2024, 1, 1, 1)
    rows_ = read(
        tmp_path,
        balance(
            *(
                row(**{"UTC Time at End of Hour": stamp(first + timedelta(hours=hour))}, **found)
                for hour, found in enumerate(cells)
            )
        ),
    )
    assert SOURCE.gap(SOURCE.dataset("eia_files.balance"), chunk_of("BALANCE"), rows_) == lacks


def test_a_file_that_was_cut_between_two_lines_within_an_authority_is_not_whole(tmp_path: Path) -> None:
    ends = [datetime(2024, 1, 1, 1) + timedelta(hours=hour) for hour in range(182 * 24)]
    cells = [(code, end) for code in ("BPAT", "CISO") for end in ends][:-500]
    body = balance(
        *(
            row(**{"Balancing Authority": code, "UTC Time at End of Hour": stamp(end), "Demand (MW)": "5"})
            for code, end in cells
        )
    )
    rows_ = read(tmp_path, body)
    found = SOURCE.gap(SOURCE.dataset("eia_files.balance"), chunk_of("BALANCE"), rows_)
    assert found.startswith("no value after 2024-06-10")


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "no table"),
        (b"<!DOCTYPE html>\n<html><body>Not here.</body></html>\n", "not a half-year file of EIA.*DOCTYPE"),
        (b"<html><body>Not here.</body></html>", "no table.*<html>"),
        (b"\x89PNG\r\n\x1a\n\x00\xff\xfe\n", "cannot be read"),
        (balance(row())[:300], "cut short within its first line"),
        (balance(row(), row())[:-60], "not a whole half-year file"),
        (balance(row(**{"UTC Time at End of Hour": "soon"})), "1 of 1 rows that do not belong.*soon"),
        (balance(row(**{"UTC Time at End of Hour": stamp(datetime(2024, 2, 1, 6, 30))})), "do not belong.*6:30"),
        (balance(row(**{"UTC Time at End of Hour": stamp(datetime(2023, 2, 1, 6))})), "do not belong.*2023-02-01"),
        (balance(row(**{"UTC Time at End of Hour": ""})), "do not belong to it, such as CISO, None"),
        (balance(row(**{"Balancing Authority": ""})), "do not belong to it, such as None"),
    ],
)
def test_an_incomplete_half_year_file_is_refused_by_name(tmp_path: Path, body: bytes, what: str) -> None:
    with pytest.raises((PayloadError, RefusedError), match=what) as caught:
        read(tmp_path, body)
    assert "EIA930_BALANCE_2024_Jan_Jun.csv" in str(caught.value)


def test_halves_run_from_the_first_that_eia_has_to_the_one_that_is_running(tmp_path: Path) -> None:
    found = list(halves(hour_number(datetime(2026, 6, 20))))
    assert (found[0], found[-1], len(found)) == ("2015_Jul_Dec", "2026_Jan_Jun", 22)
    assert list(halves(hour_number(datetime(2026, 7, 2))))[-1] == "2026_Jul_Dec"
    balances, subregions = (
        SOURCE.default_slices(
            SOURCE.dataset(f"eia_files.{table}"),
            load_settings(tmp_path, environment={}),
            aggregates=True,
            present_hour=PRESENT_HOUR,
        )
        for table in ("balance", "subregion")
    )
    assert (balances[0], subregions[0]) == ("2015_Jul_Dec", "2018_Jul_Dec")
    assert (
        SOURCE.slices_of(
            SOURCE.dataset("eia_files.balance"),
            load_settings(tmp_path, environment={}),
            "US48",
            present_hour=PRESENT_HOUR,
        )
        == ()
    )


@pytest.mark.parametrize("half", ["2015_Jul_Dec", "2024_Jan_Jun", "2024_Jul_Dec"])
def test_a_half_has_room_for_every_time_zone(half: str) -> None:
    first, last = (hour_time(hour) for hour in hours_of(half))
    year, month = int(half[:4]), 1 if "Jan" in half else 7
    assert first <= datetime(year, month, 1)  # local midnight in the far east
    end = datetime(year, 7, 1) if month == 1 else datetime(year + 1, 1, 1)
    assert last >= end.replace(hour=10)  # and in Hawaii
    assert SOURCE.cell(SOURCE.datasets[0], half, 0) == SOURCE.span(SOURCE.datasets[0], half) == hours_of(half)


def test_a_file_is_asked_for_once_under_its_name(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, environment={"ENERGYWH_EIA_FILES_URL": "https://example.org/files/"})
    request = SOURCE.next_request(chunk_of("INTERCHANGE", "2024_Jul_Dec"), [], settings, present_hour=PRESENT_HOUR)
    assert str(request) == "https://example.org/files/EIA930_INTERCHANGE_2024_Jul_Dec.csv"


@pytest.mark.parametrize(
    ("half", "status", "kind"),
    [
        ("2090_Jul_Dec", 404, NotReadyError),
        ("2016_Jan_Jun", 404, RefusedError),
        ("2016_Jan_Jun", 403, UnavailableError),
        ("2016_Jan_Jun", 302, RefusedError),
        ("2016_Jan_Jun", 429, UnavailableError),
        ("2016_Jan_Jun", 503, UnavailableError),
    ],
)
def test_a_status_says_whether_asking_again_can_help(half: str, status: int, kind: type) -> None:
    with pytest.raises(kind, match=f"HTTP {status}") as caught:
        SOURCE.read(chunk_of("BALANCE", half), Response("https://example.org/x.csv", status, b"<html>"))
    assert type(caught.value) is kind


def test_a_file_of_more_columns_than_any_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PayloadError, match="has 1,120 columns, where 1000 are the most"):
        read(tmp_path, (",".join(f"a{place}" for place in range(1120)) + "\n1\n").encode())
