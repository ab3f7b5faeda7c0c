"""EIA's half-year files: the whole history of form EIA-930, without a key, one CSV file for each half of a year.

`EIA930_BALANCE_2024_Jan_Jun.csv` and its siblings hold what the API has, and beside each reported value what EIA
imputed for it and adjusted it to. Facts: numbers carry thousands separators, a blank is no value, a file is cut by
local date, so that halves share hours of UTC, and `UTC Time at End of Hour` is the key. From 2024 Jul_Dec on, ten
columns stand where three were. Headers have errors; which header is which column stands in `eia_files.csv`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from energywh.config.options import RequestsPerSecond, Section
from energywh.core.database import one_row
from energywh.core.sql_text import text as sql_text
from energywh.core.time import hour_number, hour_time
from energywh.errors import NotReadyError, PayloadError, RefusedError, UnavailableError
from energywh.regions import neighbors, regions, subregions
from energywh.sources.base import (
    Chunk,
    Dataset,
    Irregularity,
    Page,
    PayloadWarning,
    PublicationLag,
    Request,
    Response,
    Source,
)
from energywh.sources.csv_text import folded, is_unreadable_sql, number_sql, read_headers
from energywh.sources.limits import AnswerLimits
from energywh.sources.stamps import STAMP_FORMATS, stamp_sql

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from energywh.config.settings import Settings

HALVES = ("Jan_Jun", "Jul_Dec")
# A half begins and ends at local midnight, 4 to 10 hours after that of UTC; a file may hold a day of the next half.
ROOM_HOURS = 36
# A half that ended so long ago, and is not there, will not come.
LATEST_HOURS = 366 * 24
SPARE_CELLS = 2
MAX_UNREADABLE_SHARE = 0.01  # of the rows; of more, the key is unreadable and not a row
MAX_REJECTS = 1000
READER_THREADS = 2
READER_MEMORY = "2GB"

# EIA's fuel codes, as the API has them, each with columns for what was reported, imputed and adjusted.
FUELS = ("COL", "NG", "NUC", "OIL", "WAT", "PS", "SUN", "SNB", "WND", "WNB", "GEO", "BAT", "OES", "UES", "OTH", "UNK")
KINDS = ("", "_imputed", "_adjusted")
# A half of BALANCE is 50 MB, of INTERCHANGE 70 MB and 2.6 million rows.
LIMITS = AnswerLimits(
    received_bytes=512 * 2**20,
    unpacked_bytes=512 * 2**20,
    rows=10_000_000,
    timeouts=120,
    bytes_per_second=2000,
)


@dataclass(frozen=True, kw_only=True)
class FileDataset(Dataset):
    """One of the kinds of files."""

    source: str = "eia_files"
    slice_key: str = "file"
    region_key: str = "region"
    part_keys: tuple[str, ...] = ("file",)
    first_hour: str = "2015-07-01"
    first_half: str = "2015_Jul_Dec"
    settling_hours: int = 42 * 24
    gap_retry_hours: int | None = None
    whole_cells: bool = True
    is_file: bool = True
    limits: AnswerLimits = LIMITS

    @property
    def kind(self) -> str:
        """What the names of the files call it, such as BALANCE."""
        return self.table.upper()

    @property
    def origin(self) -> str:
        return f"files EIA930_{self.kind}_YYYY_*.csv"

    def fields_of(self, column: str) -> tuple[str, ...]:
        headers = headers_of(self.kind).get(column)
        return ("name of the file",) if column == "file" else headers or super().fields_of(column)


DATASETS = (
    FileDataset(
        table="balance",
        keys=("file", "region"),
        publication_lags=(
            PublicationLag(
                55,
                "The file of the current half grows every day: a day more than the last of its columns takes in the "
                "API.",
            ),
        ),
        arrival_values=("demand_mwh", "net_generation_mwh", "total_interchange_mwh"),  # the forecast comes ahead
        revision_values=(
            ("demand_mwh", "D"),
            ("demand_forecast_mwh", "DF"),
            ("net_generation_mwh", "NG"),
            ("total_interchange_mwh", "TI"),
        ),
        values=(
            "demand_mwh",
            "demand_forecast_mwh",
            "net_generation_mwh",
            "total_interchange_mwh",
            "valid_interchange_sum_mwh",
            *(f"{what}{kind}_mwh" for kind in KINDS[1:] for what in ("demand", "net_generation", "total_interchange")),
            *(f"{fuel.lower()}{kind}_mwh" for kind in KINDS for fuel in FUELS),
        ),
    ),
    FileDataset(
        table="interchange",
        keys=("file", "region", "neighbor"),
        publication_lags=(
            PublicationLag(79, "The file of the current half grows every day: a day more than the API."),
        ),
        values=("interchange_mwh",),
    ),
    FileDataset(
        table="subregion",
        keys=("file", "region", "subregion"),
        publication_lags=(
            PublicationLag(55, "The file of the current half grows every day: a day more than the API."),
        ),
        values=("demand_mwh",),
        first_hour="2018-07-01",
        first_half="2018_Jul_Dec",
    ),
)


IRREGULARITIES = (
    Irregularity(
        "Reported, imputed and adjusted values stand side by side: to add all three is to double. A blank is not 0.",
        "recorded",
    ),
    Irregularity(
        "From the second half of 2024 on, ten columns stand where solar, wind and hydro stood; some files carry both "
        "families, one of them empty.",
        "gridstatus #475, #518, #559",
    ),
    Irregularity(
        'Headers have errors: "Pumped Storage  (Adjusted)" has two spaces, and "Solar witho Integrated Battery Storage '
        '(Adjusted)" is the column of solar with it.',
        "PUDL; gridstatus",
    ),
    Irregularity(
        "EIA adds columns without notice (30 in one day, then two in all halves at once) and removes some.",
        "PUDL #4054, #4235",
    ),
    Irregularity(
        "The file server answers HTTP 403 for a while to clients that it takes for robots.",
        "pudl-archiver #649, #679, #764",
    ),
    Irregularity("Files are cut by local date, so two halves share the hours about their boundary.", "recorded"),
    Irregularity("The file of the running half grows daily; past ones change now and then.", "PUDL"),
    Irregularity("What is irregular in EIA's API is so in the files, which come from the same form.", "recorded"),
)


class EiaFilesSettings(Section):
    url: Annotated[str, "Folder of EIA's half-year files, which need no key."] = (
        "https://www.eia.gov/electricity/gridmonitor/sixMonthFiles"
    )
    requests_per_second: RequestsPerSecond = 1.0


class EiaFiles(Source):
    """EIA's half-year files. A slice is a half such as `2024_Jan_Jun`, and its one chunk a file."""

    name = "eia_files"
    title = "EIA's half-year files"
    homepage = "https://www.eia.gov/electricity/gridmonitor/"
    licence = "public domain, a work of the United States government"
    irregularities = IRREGULARITIES
    datasets = DATASETS
    section = EiaFilesSettings
    max_jobs = 2

    def default_slices(
        self, dataset: Dataset, settings: Settings, *, aggregates: bool, present_hour: int
    ) -> Sequence[str]:
        assert isinstance(dataset, FileDataset)
        return tuple(half for half in halves(present_hour) if half >= dataset.first_half)

    def slices_of(self, dataset: Dataset, settings: Settings, region: str, *, present_hour: int) -> Sequence[str]:
        if region in regions() and regions()[region].kind != "authority":
            return ()  # the files hold no aggregates
        return self.default_slices(dataset, settings, aggregates=False, present_hour=present_hour)

    def rows_per_hour(self, dataset: Dataset, slice_: str) -> int:
        authorities = [code for code, region in regions().items() if region.kind == "authority"]
        return {
            "balance": len(authorities),
            "interchange": sum(len(neighbors().get(code, ())) for code in authorities),
            "subregion": sum(map(len, subregions().values())),
        }[dataset.table]

    def cell(self, dataset: Dataset, slice_: str, hour: int) -> tuple[int, int]:
        return hours_of(slice_)

    def span(self, dataset: Dataset, slice_: str) -> tuple[int | None, int | None]:
        return hours_of(slice_)

    def gap(self, dataset: Dataset, chunk: Chunk, rows: pa.Table) -> str:
        """Return what a file lacks: it should reach the end of its half, to its last authority, without a hole."""
        import pyarrow.compute as pc

        from energywh.sources.arrow import coverage

        if not len(rows):
            return "no rows"
        last_hour = chunk.last - ROOM_HOURS  # hours after it are in the file of the next half too
        hours = coverage.hours_of_stamps(rows["period"], dataset.stamp_offset_hours)
        valued = coverage.has_arrived(rows, dataset.arrived, dataset.ahead)
        if not valued.any():
            return "no values"
        if found := coverage.gap(hours[valued], last_hour, ends_early=False):
            return found
        # A download that was cut between two lines ends within an authority, where the file is sorted by them.
        last_region = rows["region"][len(rows) - 1].as_py()
        of_last = pc.equal(rows["region"], last_region).to_numpy()
        ends_early = last_region not in regions() or regions()[last_region].last_date is not None
        return coverage.gap(hours[valued & of_last], last_hour, ends_early=ends_early, holes=False)

    def next_request(
        self, chunk: Chunk, pages: Sequence[Page], settings: Settings, *, present_hour: int
    ) -> Request | None:
        if pages:
            return None
        dataset = self.dataset(chunk.dataset)
        assert isinstance(dataset, FileDataset)
        folder = str(settings.get("eia_files.url")).rstrip("/")
        return Request(f"{folder}/EIA930_{dataset.kind}_{chunk.slice}.csv")

    def read(self, chunk: Chunk, response: Response) -> Page:
        what = f"HTTP {response.status} [{response.request}]"
        if response.status in (401, 403):
            raise UnavailableError(
                "EIA's file server refuses this client (a block of its content network, most often for some minutes): "
                f"try again later; if it lasts, try from another network or without a proxy. {what}",
                response.retry_after_seconds,
            )
        if response.status == 404 and hour_number(response.received_at) - chunk.last < LATEST_HOURS:
            raise NotReadyError(f"EIA has not published the file yet. {what}")
        if response.status == 429:
            raise UnavailableError(f"EIA asks to slow down. {what}", response.retry_after_seconds)
        if response.status >= 500:
            raise UnavailableError(f"EIA failed. {what}", response.retry_after_seconds)
        if response.status in (404, 410):
            raise RefusedError(f"there is no such file; check the setting 'eia_files.url'. {what}")
        raise RefusedError(f"EIA's file server sends no file; check the setting 'eia_files.url'. {what}")

    def read_file(self, chunk: Chunk, file: Path) -> Page:
        import duckdb

        dataset = self.dataset(chunk.dataset)
        assert isinstance(dataset, FileDataset)
        with duckdb.connect(config={"threads": READER_THREADS, "memory_limit": READER_MEMORY}) as connection:
            connection.execute("set TimeZone = 'UTC'")
            try:
                return _read(connection, dataset, chunk, file)
            except duckdb.Error as error:
                why = " ".join(str(error).split())[:400]
                raise PayloadError(f"{_name(dataset, chunk)} is not a whole half-year file: {why}") from None


def halves(present_hour: int) -> Iterator[str]:
    """Yield the halves from the first that EIA has to the one that is running, such as `2015_Jul_Dec`."""
    for year in range(2015, hour_time(present_hour).year + 1):
        for half in HALVES:
            slice_ = f"{year}_{half}"
            if slice_ >= "2015_Jul_Dec" and hours_of(slice_)[0] <= present_hour:
                yield slice_


def hours_of(half: str) -> tuple[int, int]:
    """Return the first and last hour, by their start, that the file of a half can hold."""
    year = int(half[:4])
    starts = {"Jan_Jun": datetime(year, 1, 1), "Jul_Dec": datetime(year, 7, 1)}
    ends = {"Jan_Jun": datetime(year, 7, 1), "Jul_Dec": datetime(year + 1, 1, 1)}
    return hour_number(starts[half[5:]]) - ROOM_HOURS, hour_number(ends[half[5:]]) - 1 + ROOM_HOURS


@cache
def known_headers(kind: str) -> Mapping[str, str]:
    """Return the staging column of each header of a kind of files; empty where it is not kept.

    Headers are folded (see `folded`). Several headers of one column are its spellings. A header of the old family that
    held what are two columns now is `sun_mwh+snb_mwh`: their sum, kept in the first where the row has no two.
    """
    return {folded(row["header"]): row["column"] for row in _header_rows(kind)}


@cache
def headers_of(kind: str) -> Mapping[str, tuple[str, ...]]:
    """Return the headers that each staging column has gone by in a kind of files."""
    headers: dict[str, list[str]] = {}
    for row in _header_rows(kind):
        headers.setdefault(row["column"].split("+")[0], []).append(row["header"])
    return {column: tuple(names) for column, names in headers.items()}


def _header_rows(kind: str) -> list[dict[str, str]]:
    with Path(__file__).with_suffix(".csv").open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["file"] == kind]


def _name(dataset: FileDataset, chunk: Chunk) -> str:
    return f"EIA930_{dataset.kind}_{chunk.slice}.csv"


def _read(connection: duckdb.DuckDBPyConnection, dataset: FileDataset, chunk: Chunk, file: Path) -> Page:
    """Return the rows of a file that can be read, and what is wrong with the others."""
    import pyarrow as pa

    from energywh.sources.arrow import columns

    name = _name(dataset, chunk)
    headers, header_lines = read_headers(file, name)
    places, warnings = _places(dataset, headers, name)
    keys = [key for key in dataset.keys if key != dataset.slice_key]
    warnings += _load(connection, dataset, places, file, (len(headers), header_lines))
    warnings += _drop_unreadable_rows(connection, dataset, chunk, keys)
    warnings += _drop_duplicates(connection, dataset, keys)
    rows = connection.table("fact").to_arrow_table()
    arrays = {name: rows[name].combine_chunks() for name in rows.column_names}
    arrays[dataset.slice_key] = columns.one_label(chunk.slice, len(rows))
    names = (dataset.time_column, *dataset.keys, *dataset.values)
    arrays["period"] = arrays["period"].cast(pa.timestamp("us"))
    return Page(pa.table([arrays[name] for name in names], names=list(names)), None, warnings=tuple(warnings))


def _load(
    connection: duckdb.DuckDBPyConnection,
    dataset: FileDataset,
    places: Mapping[int, str],
    file: Path,
    header: tuple[int, int],
) -> list[PayloadWarning]:
    """Make the table `fact` of the file's rows, with their period as text too; warn of values that are no numbers.

    Args:
        header: how many columns the header has, and how many lines it takes up.
    """
    import duckdb

    # A file as EIA writes it is read with types, in half of the CPU time of reading cells as text. Anything odd in any
    # cell fails that, and the file is read again, cell by cell.
    width, header_lines = header
    if header_lines == 1:
        try:
            if _load_typed(connection, dataset, places, file, width):
                return []
        except duckdb.Error:
            pass
    try:
        warnings = _load_text(connection, dataset, places, _line_sql(file, width, parallel=header_lines == 1))
    except duckdb.Error:  # in parallel, DuckDB pads no rows where a cell holds a line end
        if header_lines > 1:
            raise
        warnings = _load_text(connection, dataset, places, _line_sql(file, width, parallel=False))
    connection.execute("delete from fact where rowid < ? and period is null", [header_lines])
    return warnings


def _load_typed(
    connection: duckdb.DuckDBPyConnection, dataset: FileDataset, places: Mapping[int, str], file: Path, width: int
) -> bool:
    """Make the table `fact` of a file whose cells all have the type of their column; return whether all are finite.

    Raises:
        duckdb.Error: some cell or line has not.
    """
    kinds = {place: "double" if name.endswith("_mwh") else "varchar" for place, name in places.items()}
    kinds |= {place: "timestamp" for place, name in places.items() if name == "period"}
    types = {f"c{place}": kinds.get(place, "varchar") for place in range(width)}
    lines = (
        f"read_csv({sql_text(str(file))}, compression = 'zstd', auto_detect = false, header = true, delim = ',', "
        "quote = '\"', escape = '\"', nullstr = '', thousands = ',', decimal_separator = '.', "
        f"timestampformat = '{STAMP_FORMATS[0]}', columns = {types})"
    )
    of_column: dict[str, list[str]] = {}
    for place, column in places.items():
        of_column.setdefault(column, []).append(f"c{place}")
    period = of_column["period"][0]
    connection.execute(f"create table fact as {_fact_sql(dataset, of_column, period, f'{period}::varchar', lines)}")
    finite = " and ".join(f"bool_and(isfinite({value}))" for value in dataset.values)
    return one_row(connection, f"select ({finite}) is not false from fact") == (True,)


def _line_sql(file: Path, width: int, *, parallel: bool) -> str:
    """Return SQL that reads the lines of a file as text, header included; lines that are not CSV become rejects."""
    # A row may have more cells than headers, all of them blank: a comma at its end.
    cells = {f"c{place}": "varchar" for place in range(width + SPARE_CELLS)}
    return (
        f"read_csv({sql_text(str(file))}, compression = 'zstd', auto_detect = false, header = false, delim = ',', "
        "quote = '\"', escape = '\"', nullstr = '', null_padding = true, strict_mode = false, store_rejects = true, "
        f"rejects_limit = {MAX_REJECTS}, parallel = {str(parallel).lower()}, columns = {cells})"
    )


def _load_text(
    connection: duckdb.DuckDBPyConnection, dataset: FileDataset, places: Mapping[int, str], lines: str
) -> list[PayloadWarning]:
    """Make the table `fact` of lines read as text; warn of rejected lines and of cells that are no numbers."""
    text = {place: f"c{place}" for place in places}
    number = {place: number_sql(text[place]) for place, column in places.items() if column.endswith("_mwh")}
    of_column: dict[str, list[str]] = {}
    for place, column in places.items():
        of_column.setdefault(column, []).append(f"n{place}" if place in number else text[place])
    stamp = of_column["period"][0]
    bad = " or ".join(is_unreadable_sql(text[place], f"n{place}") for place in number) or "false"
    numbers = "".join(f", {sql} as n{place}" for place, sql in number.items())
    connection.execute(f"create or replace view line as select *{numbers} from {lines}")
    fact = _fact_sql(dataset, of_column, stamp_sql(stamp), stamp, "line", f"{bad} as has_bad")
    connection.execute(f"create or replace table fact as {fact}")
    rejects, example = one_row(
        connection, "select count(distinct line_byte_position), min_by(csv_line, line) from reject_errors"
    )
    warnings = [PayloadWarning("unreadable_rows", example, rejects)] if rejects else []
    if one_row(connection, "select bool_or(has_bad and period is not null) from fact") != (True,):
        return warnings
    counts = ", ".join(f"count(*) filter ({is_unreadable_sql(text[p], f'n{p}')})" for p in number)
    found = one_row(connection, f"select {counts} from line where {stamp_sql(stamp)} is not null")
    return warnings + [
        PayloadWarning("unreadable_values", places[place], count)
        for place, count in zip(number, found, strict=True)
        if count
    ]


def _fact_sql(
    dataset: FileDataset, of_column: Mapping[str, Sequence[str]], period: str, stamp: str, lines: str, *more: str
) -> str:
    """Return the SELECT of the staging columns of ``lines``, whose columns they are made of are ``of_column``."""
    values = _values(of_column)
    chosen = [f"{period} as period", f"{stamp} as stamp"]
    chosen += [f"trim({of_column[key][0]}) as {key}" for key in dataset.keys if key != dataset.slice_key]
    chosen += [f"{values.get(value, 'null::double')} as {value}" for value in dataset.values]
    return f"select {', '.join([*chosen, *more])} from {lines}"


def _values(of_column: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return how each staging column is made of the columns of a file, as SQL.

    A file may carry both families of fuels. Each row is read from one of them as a whole, or a fuel would count twice.
    """
    found = {column: _first(names) for column, names in of_column.items() if "+" not in column}
    for sum_, names in of_column.items():
        if "+" not in sum_:
            continue
        first, *others = sum_.split("+")
        total, parts = _first(names), [found[part] for part in (first, *others) if part in found]
        nothing = " and ".join(f"{part} is null" for part in parts) or "true"
        is_half = len(parts) <= len(others)  # a part without a column is blank in each row
        blank = "true" if is_half else " or ".join(f"{part} is null" for part in parts)
        zero = " and ".join(f"{part} = 0" for part in parts) or "true"
        # Where all parts have a value, they count, whatever the sum is. A family that is blank or 0 throughout is not
        # filled; nor can the parts stand for a sum while one of them is blank.
        by_sum = f"{total} is not null and (({nothing}) or ({total} <> 0 and ({blank} or ({zero}))))"
        found[first] = f"if({by_sum}, {total}, {found.get(first, 'null')})"
        found |= {other: f"if({by_sum}, null, {found[other]})" for other in others if other in found}
    return found


def _first(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"coalesce({', '.join(names)})"


def _places(dataset: FileDataset, headers: Sequence[str], name: str) -> tuple[dict[int, str], list[PayloadWarning]]:
    """Return the staging column of each column that is kept, by place, found by its header; and what is odd.

    Raises:
        PayloadError: it is no file of this kind.
        RefusedError: a key has no column, or two.
    """
    known = known_headers(dataset.kind)
    keys = ("period", *(key for key in dataset.keys if key != dataset.slice_key))
    # Of several names of one column the newest, which stands last in the table, comes first.
    newest_first = {header: -order for order, header in enumerate(known)}
    found = [(place, folded(header)) for place, header in enumerate(headers) if known.get(folded(header))]
    places: dict[int, str] = {}
    warnings = [
        PayloadWarning("unknown_column", " ".join(header.split())[:200])
        for header in headers
        if folded(header) and folded(header) not in known
    ]
    seen: set[str] = set()
    for place, header in sorted(found, key=lambda one: newest_first[one[1]]):
        if header in seen:
            if known[header] in keys:
                raise RefusedError(f"{name} has the column {header!r} twice")
            warnings.append(PayloadWarning("unknown_column", f"{header} (a second time)"))
            continue
        seen.add(header)
        places[place] = known[header]
    lacking = [key for key in keys if key not in places.values()]
    if len(lacking) == len(keys) or len(places) == len(keys) - len(lacking):
        raise PayloadError(f"{name} is not a half-year file of EIA; it begins: {', '.join(headers)[:120]}")
    if lacking:
        raise RefusedError(f"{name} has no column for {', '.join(lacking)}; its header: {', '.join(headers)[:400]}")
    return places, warnings


def _drop_unreadable_rows(
    connection: duckdb.DuckDBPyConnection, dataset: FileDataset, chunk: Chunk, keys: Sequence[str]
) -> list[PayloadWarning]:
    """Delete from `fact` rows that lack a key or whose period is not an hour of the half-year.

    Raises:
        RefusedError: they are many: a key cannot be read.
    """
    offset = dataset.stamp_offset_hours
    first, last = hour_time(chunk.first + offset), hour_time(chunk.last + offset)
    missing = " or ".join(f"coalesce({key}, '') = ''" for key in keys)
    bad = (
        f"period is null or {missing} or period <> date_trunc('hour', period) "
        f"or period < timestamp '{first}' or period > timestamp '{last}'"
    )
    count, total = one_row(connection, f"select count(*) filter ({bad}), count(*) from fact")
    if not count:
        return []
    row = one_row(connection, f"select {', '.join(keys)}, stamp from fact where {bad} limit 1")
    example = ", ".join(str(value)[:40] for value in row)
    if count > MAX_UNREADABLE_SHARE * total:
        raise RefusedError(
            f"{_name(dataset, chunk)} has {count:,} of {total:,} rows that do not belong to it, such as {example} UTC; "
            f"its hours end from {first} to {last}"
        )
    connection.execute(f"delete from fact where {bad}")
    return [PayloadWarning("unreadable_rows", example, count)]


def _drop_duplicates(
    connection: duckdb.DuckDBPyConnection, dataset: FileDataset, keys: Sequence[str]
) -> list[PayloadWarning]:
    """Make one row of rows of the same hour and keys; delete those that contradict each other."""
    key_list = ", ".join(("period", *keys))
    connection.execute(f"create table twin as select {key_list} from fact group by all having count(*) > 1")
    if one_row(connection, "select count(*) from twin") == (0,):
        return []
    single = ", ".join(f"max({value}) as {value}" for value in dataset.values)
    agree = " and ".join(f"(min({value}) is not distinct from max({value}))" for value in dataset.values)
    # Of a family split in two, one row may hold the sum where the other holds a part.
    split = {part for column in known_headers(dataset.kind).values() if "+" in column for part in column.split("+")}
    agree += "".join(f" and count({value}) in (0, count(*))" for value in sorted(split))
    connection.execute(
        f"create table merged as select {key_list}, {single}, {agree} as agree "
        f"from fact semi join twin using ({key_list}) group by {key_list}"
    )
    connection.execute(f"delete from fact where ({key_list}) in (from twin)")
    values = ", ".join(dataset.values)
    connection.execute(f"insert into fact ({key_list}, {values}) select {key_list}, {values} from merged where agree")
    found = connection.execute(f"select {', '.join(keys)}, period from merged where not agree order by all").fetchall()
    if not found:
        return []
    return [PayloadWarning("contradicting_rows", ", ".join(map(str, found[0])), len(found))]


SOURCE = EiaFiles()
