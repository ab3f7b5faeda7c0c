"""Queries of people: what reads is answered, what writes is refused, with files allowed or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from energywh.core.query import ask
from energywh.core.sandbox import everything_but, restrict
from energywh.errors import UsageError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("queries")
    (folder / "a.csv").write_text("a\n1\n")
    (folder / "energywh.toml").write_text("[eia]\napi_key = 'hidden'\n")
    (folder / "link.toml").symlink_to(folder / "energywh.toml")
    with duckdb.connect(folder / "w.duckdb") as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    return folder


@pytest.fixture(scope="module")
def closed(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose SQL reaches no file."""
    with duckdb.connect(folder / "w.duckdb", read_only=True) as connection:
        restrict(connection)
        yield connection


@pytest.fixture
def reading(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose SQL may read files, and nothing else."""
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
        restrict(connection, everything_but([folder / "energywh.toml"]))
        yield connection


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a FROM t",
        "FROM t",
        "WITH x AS (SELECT 1 AS copy) SELECT copy FROM x",
        "PIVOT t ON a USING count(*)",
        "EXPLAIN ANALYZE SELECT a FROM t",
        "EXPLAIN (FORMAT json) (SELECT 1)",
        "SHOW TABLES",
        "SUMMARIZE t",
        "PRAGMA table_info('t')",
        "PRAGMA /* which */ version",
        "CALL pragma_version()",
        "SELECT a AS \"query\", 'query(' FROM t",
        "SET TimeZone = 'Asia/Tokyo'; SELECT 1",
        "SET SESSION TimeZone = 'UTC'; SET TIME ZONE 'UTC'; RESET TimeZone; SELECT 1",
    ],
)
def test_what_reads_is_answered(closed: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert ask(closed, sql).fetchall()


WRITES = (
    "COPY (SELECT 1) TO '{0}/new'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{0}/new'",
    "EXPLAIN (ANALYZE, FORMAT json) COPY (SELECT 1) TO '{0}/new'",
    "WITH x AS (COPY t TO '{0}/new') SELECT 1",
    "WITH x AS /* ( */ MATERIALIZED (COPY t TO '{0}/new') SELECT 1",
    "WITH x AS (COPY t TO '{0}/new') PIVOT t ON a USING count(*)",
    "EXPLAIN ANALYZE WITH x AS (COPY t TO '{0}/new') SELECT 1",
    "WITH x AS (INSERT INTO t VALUES (2) RETURNING *) FROM x",
    "WITH x AS (TRUNCATE t) FROM x",
    "FROM json_execute_serialized_sql(json_serialize_sql($$WITH x AS (COPY t TO '{0}/new') SELECT 1$$))",
    "FROM \"query\"($$FROM json_execute_serialized_sql('{{}}')$$)",
    "EXPORT DATABASE '{0}/new'",
    "IMPORT DATABASE '{0}'",
    "PRAGMA import_database('{0}')",
    "ATTACH '{0}/new'",
    "CALL enable_logging(storage = 'file', storage_path = '{0}/new')",
    "FROM enable_logging(storage = 'file', storage_path = '{0}/new')",
    "FROM enable_profiling(save_location := '{0}/new')",
    "PRAGMA enable_profiling",
    "PRAGMA profiling_output = '{0}/new'",
    "SET profiling_output = '{0}/new'",
    "SET lock_configuration = false",
    "SET enable_external_access = true; SELECT 1",
    "SET VARIABLE a = 1",
    "USE temp",
    "INSTALL httpfs",
    "LOAD httpfs",
    "CREATE SECRET s (TYPE s3)",
    "CREATE TEMP TABLE s AS SELECT 1",
    "CHECKPOINT",
    "CALL main.pragma_version()",
    "SELECT 1; SELECT 2",
)


@pytest.mark.parametrize("sql", WRITES)
@pytest.mark.parametrize("files", [False, True])
def test_what_writes_or_changes_settings_is_refused(
    request: pytest.FixtureRequest, folder: Path, sql: str, files: bool
) -> None:
    connection = request.getfixturevalue("reading" if files else "closed")
    with pytest.raises(UsageError):
        ask(connection, sql.format(folder)).fetchall()
    assert not (folder / "new").exists()


def test_a_refusal_names_what_was_asked_for(closed: duckdb.DuckDBPyConnection) -> None:
    for sql, said in {
        "INSTALL httpfs": "INSTALL is not allowed",
        "load httpfs": "LOAD is not allowed",
        "SELECT '\udcff'": "not UTF-8",
    }.items():
        with pytest.raises(UsageError, match=said):
            ask(closed, sql)


@pytest.mark.parametrize(
    "sql", ["FROM '{0}/a.csv'", "SELECT content FROM read_text('{0}/a.csv')", "FROM glob('{0}/*')"]
)
def test_files_are_read_only_when_allowed(
    closed: duckdb.DuckDBPyConnection, reading: duckdb.DuckDBPyConnection, folder: Path, sql: str
) -> None:
    with pytest.raises(UsageError, match="disabled by configuration"):
        ask(closed, sql.format(folder))
    if "glob" not in sql:  # not in the folder that holds the hidden file
        assert ask(reading, sql.format(folder)).fetchall()


@pytest.mark.parametrize(
    "file",
    [
        "/proc/self/environ",
        "/dev/../proc/self/environ",
        "/dev/fd/../environ",
        "{0}/energywh.toml",
        "{0}/link.toml",
        "{0}/../{1}/energywh.toml",
    ],
)
def test_keys_are_never_read(reading: duckdb.DuckDBPyConnection, folder: Path, file: str) -> None:
    with pytest.raises(UsageError, match="disabled by configuration"):
        ask(reading, f"FROM read_text('{file.format(folder, folder.name)}')").fetchall()


def test_no_extension_is_fetched(closed: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(UsageError, match="spatial extension"):
        ask(closed, "FROM st_read('x')")


def test_a_folder_that_cannot_be_listed_hides_its_own_files_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "others" / "mine"
    home.mkdir(parents=True)
    for name in ("energywh.toml", "a.csv"):
        (home / name).touch()
    listed = Path.iterdir

    def iterdir(folder: Path) -> Iterator[Path]:
        if folder == tmp_path / "others":
            raise PermissionError
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    found = everything_but([home / "energywh.toml"])
    assert home / "a.csv" in found
    assert not {home, home / "energywh.toml", tmp_path / "others", Path("/proc")} & {*found}
