"""The command `energywh sql` and the formats of its results."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow.parquet
import pytest

from energywh.cli import query_output as answers
from energywh.cli.query_output import format_of, write_file, write_stream
from energywh.core.paths import Home
from energywh.errors import StorageError, UsageError
from tests.datasets.published import publish_demo
from tests.support.desk import typed

ODD = """
SELECT * FROM (VALUES
    (1, 1.5::DOUBLE, 'a,b "c"', TIMESTAMP '2024-01-01 05:00', [1, 2], NULL),
    (2, 'nan'::DOUBLE, 'line
break', NULL, [], 'é')
) AS odd (i, x, text, moment, list, last)
"""


def answer(query: str, form: str, max_rows: int = 0, width: int | None = None) -> str:
    stream = io.BytesIO()
    with duckdb.connect() as connection:
        write_stream(connection.sql(query), form, stream, max_rows, width)
    return stream.getvalue().decode()


def test_csv_is_complete_and_quotes_what_needs_it() -> None:
    rows = list(csv.reader(io.StringIO(answer(ODD, "csv"))))
    assert rows[0] == ["i", "x", "text", "moment", "list", "last"]
    assert rows[1] == ["1", "1.5", 'a,b "c"', "2024-01-01 05:00:00", "[1, 2]", ""]
    assert rows[2] == ["2", "nan", "line\nbreak", "", "[]", "é"]
    assert len(answer("SELECT * FROM range(50000)", "csv").splitlines()) == 50001


def test_json_is_one_array_with_null_for_what_json_cannot_say() -> None:
    first, second = json.loads(answer(ODD, "json"))
    assert first["list"] == [1, 2]
    assert first["moment"] == "2024-01-01 05:00:00"
    assert first["last"] is None
    assert second["x"] is None
    assert json.loads(answer("SELECT 1 AS a WHERE false", "json")) == []
    assert len(json.loads(answer("SELECT * FROM range(50000)", "json"))) == 50000
    assert list(json.loads(answer("SELECT 1 AS a, 2 AS a", "json"))[0].values()) == [1, 2]


def test_a_table_shows_null_and_says_how_many_rows_there_are() -> None:
    assert answer("SELECT 7 AS n, NULL AS missing, 'x' AS text", "table").splitlines() == [
        "┌───┬─────────┬──────┐",
        "│ n │ missing │ text │",
        "├───┼─────────┼──────┤",
        "│ 7 │ NULL    │ x    │",
        "└───┴─────────┴──────┘",
        "1 row",
    ]
    lines = answer("SELECT * FROM range(30000)", "table", max_rows=10).splitlines()
    assert len(lines) == 4 + 10 + 1
    assert lines[-1] == "30,000 rows, the first 10 shown; --max-rows 0 shows all"
    assert len(answer("SELECT * FROM range(30000)", "table").splitlines()) == 30005
    assert "line\\nbreak" in answer(ODD, "table")
    assert answer("SELECT 1 AS a WHERE false", "table").splitlines()[-1] == "0 rows"


@pytest.mark.parametrize("kind", ["TINYINT", "INTEGER", "UINTEGER", "BIGINT", "HUGEINT", "DOUBLE", "DECIMAL(4,1)"])
def test_numbers_of_every_type_stand_to_the_right(kind: str) -> None:
    lines = answer(f"SELECT 'x' AS text, 7::{kind} AS number", "table").splitlines()
    assert re.fullmatch(r"│ x    │ +7(\.0)? │", lines[3])


def test_a_table_fits_a_narrow_terminal_and_says_what_it_left_out() -> None:
    many = "SELECT " + ", ".join(f"{number} AS column_{number}" for number in range(30))
    lines = answer(many, "table", width=80).splitlines()
    assert max(map(len, lines[:-1])) <= 80
    assert "column_0" in lines[1]
    assert "column_29" in lines[1]
    assert re.fullmatch(r"1 row; \d of 30 columns fit, --format csv has all", lines[-1])
    long = answer("SELECT repeat('x', 500) AS text, 1 AS n", "table", width=60).splitlines()
    assert max(map(len, long)) <= 60
    assert "x…" in long[3]
    assert long[-1] == "1 row"
    assert len(answer(many, "table").splitlines()[0]) > 80


def test_texts_and_names_are_cut_before_columns_are_dropped_and_numbers_stay_whole() -> None:
    query = (
        "SELECT repeat('t', 50) AS text, 1234567890.0123456::DOUBLE AS a_very_long_name_of_a_number_column, true AS b"
    )
    lines = answer(query, "table", width=60).splitlines()
    assert max(map(len, lines)) <= 60
    assert "│ 1234567890.0123456 │ true │" in " ".join(lines[3].split())
    assert "tt…" in lines[3]
    assert re.search(r"a_very_long_\w*… │ b", lines[1])
    assert lines[-1] == "1 row"


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_every_line_of_a_wide_table_fits(width: int) -> None:
    names = ", ".join(f"i / {number + 3} AS quite_a_long_column_name_{number}" for number in range(58))
    query = f"SELECT 'CISO' AS region, TIMESTAMP '2024-01-01' AS hour_utc, {names} FROM range(90) AS t (i)"
    lines = answer(query, "table", max_rows=40, width=width).splitlines()
    assert max(map(len, lines[:44])) <= width
    assert "region" in lines[1] or width == 20
    assert ("2024-01-01 00:00:00" in lines[3]) == (width > 50)
    if width >= 60:
        assert max(map(len, lines)) <= width
        assert any(re.search(r"\d of 60 columns fit, --format csv has all", line) for line in lines[44:])


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals here")
@pytest.mark.parametrize("told", ["by the terminal", "by COLUMNS"])
def test_the_command_fits_its_table_to_the_terminal(tmp_path: Path, told: str) -> None:
    import fcntl
    import struct
    import termios

    publish_demo(Home(tmp_path), hours=24)
    columns = ", ".join(f"demand_mwh AS another_column_{number}" for number in range(30))
    query = f"SELECT region, hour_utc, {columns} FROM features.hourly LIMIT 2"
    ours, theirs = os.openpty()
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 60 if told == "by the terminal" else 200, 0, 0))
    subprocess.run(
        [sys.executable, "-m", "energywh", "--home", str(tmp_path), "sql", query],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=environment | ({"COLUMNS": "60"} if told == "by COLUMNS" else {}),
        check=True,
        timeout=60,
    )
    os.close(theirs)
    lines = os.read(ours, 100_000).decode().splitlines()
    os.close(ours)
    assert 40 < max(map(len, lines)) <= 60
    assert "4 of 32 columns fit" in lines[-1] or "3 of 32 columns fit" in lines[-1]


def test_rows_that_a_table_does_not_show_are_counted_and_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    text_rows = answers._text_rows

    def counting(relation: duckdb.DuckDBPyRelation, *, few: bool) -> Iterator[Sequence[tuple[str | None, ...]]]:
        nonlocal read
        for rows in text_rows(relation, few=few):
            read += len(rows)
            yield rows

    monkeypatch.setattr(answers, "_text_rows", counting)
    lines = answer(
        "SELECT range AS n, 'a' AS text FROM range(200000) ORDER BY n DESC", "table", max_rows=3
    ).splitlines()
    assert lines[3] == "│ 199999 │ a    │"
    assert lines[-1] == "200,000 rows, the first 3 shown; --max-rows 0 shows all"
    assert read == 4
    assert answer("SELECT * FROM range(3)", "table", max_rows=3).splitlines()[-1] == "3 rows"
    assert answer("DESCRIBE SELECT 1 AS a, 2 AS b", "table", max_rows=1).splitlines()[-1].startswith("2 rows")


@pytest.mark.parametrize("form", ["table", "csv", "json", "parquet"])
def test_a_query_that_fails_while_it_runs_is_a_usage_error(form: str) -> None:
    query = "SELECT (CASE WHEN range = 250000 THEN 'a' ELSE '1' END)::INTEGER AS x FROM range(300000)"
    with pytest.raises(UsageError, match="Could not convert string 'a'"):
        answer(query, form)


def test_files_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "answer.parquet"
    with duckdb.connect() as connection:
        write_file(connection.sql("SELECT 1 AS a"), "parquet", file)
        assert pyarrow.parquet.read_table(file).to_pylist() == [{"a": 1}]
        with pytest.raises(UsageError):
            write_file(connection.sql("SELECT range::VARCHAR || 'x' AS t, t::INTEGER FROM range(9)"), "parquet", file)
        with pytest.raises(StorageError, match="cannot write"):
            write_file(connection.sql("SELECT 1"), "csv", tmp_path / "no" / "folder.csv")
    assert list(tmp_path.iterdir()) == [file]
    assert format_of(Path("a.CSV")) == "csv"
    with pytest.raises(UsageError, match="cannot tell the format"):
        format_of(Path("a.xlsx"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("cli"))
    publish_demo(home, hours=24 * 60)
    return home


def run(home: Home, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return typed("--home", str(home.path), *arguments, stdin=stdin)


def test_sql_command_answers_from_argument_and_from_standard_input(home: Home, tmp_path: Path) -> None:
    count = "SELECT count(*) AS n FROM features.hourly"
    assert run(home, "sql", "--format", "csv", count).stdout == "n\n4320\n"
    assert run(home, "sql", "--format", "json", stdin=count).stdout == '[\n{"n":4320}\n]\n'
    assert "│ 4320 │" in run(home, "sql", "-", stdin=count).stdout
    file = tmp_path / "answer.parquet"
    done = run(home, "sql", count, "--output", str(file))
    assert (done.returncode, done.stdout) == (0, "")
    assert pyarrow.parquet.read_table(file).to_pylist() == [{"n": 4320}]


def test_the_plan_of_explain_is_drawn_as_duckdb_draws_it() -> None:
    drawn = answer("EXPLAIN SELECT x FROM range(5) AS r(x) WHERE x > 3", "table", 40)
    assert len(drawn.splitlines()) > 5
    assert "\\n" not in drawn
    assert "explain_key" not in drawn
    assert max(map(len, drawn.splitlines())) < 120


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("SELECT * FROM features.hourl",), 2, 'Did you mean "hourly"'),
        (
            ("SELECT * FROM normalized.carbon",),
            2,
            "normalized.carbon has a model file and is not built in this version",
        ),
        (("DELETE FROM features.hourly",), 2, "read-only"),
        (("",), 2, "the query is empty"),
        (("--staging", "SELECT 1"), 1, "no staging database"),
        (("SELECT 1", "--output", "a.xlsx"), 2, "cannot tell the format"),
    ],
)
def test_sql_command_refuses_with_a_reason(home: Home, arguments: tuple[str, ...], status: int, says: str) -> None:
    done = run(home, "sql", *arguments)
    assert done.returncode == status
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_sql_command_reads_staging_when_asked(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    publish_demo(other, hours=24)
    with duckdb.connect(other.staging) as connection:
        connection.execute("CREATE SCHEMA eia; CREATE TABLE eia.region_data AS SELECT 42 AS value")
    assert run(other, "sql", "--staging", "--format", "csv", "FROM staging.eia.region_data").stdout == "value\n42\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_sql_command_is_quiet_when_its_reader_leaves(home: Home) -> None:
    command = f"'{sys.executable}' -m energywh --home '{home.path}' sql --format csv 'FROM range(2000000)' | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=True, env=os.environ)
    assert (done.stdout, done.stderr) == ("range\n", "")


def test_export_command_reports_and_refuses(home: Home, tmp_path: Path) -> None:
    done = run(home, "export", "--all", "--to", str(tmp_path / "out"))
    assert done.returncode == 0
    assert "features.hourly: 3 written, 0 unchanged; 4,320 rows" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("exported 7 files, 5,403 rows")
    again = run(home, "export", "features.hourly", "--to", str(tmp_path / "out"))
    assert "0 written, 3 unchanged" in again.stdout
    assert run(home, "export", "--full", "hourly", "--to", str(tmp_path / "out")).stdout.startswith(
        "features.hourly: 3 written"
    )
    verified = run(home, "export", "--verify", "--to", str(tmp_path / "out"))
    assert (verified.returncode, verified.stderr) == (0, "")
    assert verified.stdout == f"3 models, 7 files in {tmp_path / 'out'}: every byte is as it was written\n"
    next((tmp_path / "out" / "features.hourly").rglob("2023-02.parquet")).unlink()
    verified = run(home, "export", "--verify", "hourly", "--to", str(tmp_path / "out"))
    assert verified.returncode == 1
    assert verified.stdout.splitlines() == [
        "features.hourly: export_year=2023/2023-02.parquet: it is not there",
        f"1 model, 3 files in {tmp_path / 'out'}: 1 problem",
    ]
    assert run(home, "export", "--verify", "--full").returncode == 2
    assert run(home, "export").returncode == 2
    assert "did you mean features.hourly" in run(home, "export", "features.hourl").stderr
