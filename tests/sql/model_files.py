"""Runs the model files under sql/ on tables made for a test: fixtures, or staging filled by a test.

Nothing here is listed by hand: models, their order and what they read come from the model files, the staging tables
from the sources. A new model needs its `.sql` file and a fixture pair, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from energywh.core.paths import sql_dir
from energywh.core.sql_text import text
from energywh.models.project.graph import Graph, link
from energywh.models.project.project import load_project
from energywh.sources import all_datasets
from tests.support.staging import create_tables

FIXTURES = Path(__file__).parent
MODELS = load_project(sql_dir()).models
NAMES = list(MODELS)

Types = dict[str, str]  # SQL type by column
# Of a connection: the time zone, and the present for what asks for it.
SETTINGS = "set TimeZone = 'UTC'; set variable now_utc = timestamp '2024-02-12 06:30'"


@cache
def graph() -> Graph:
    """The models and what each reads; only tests call it, so that collecting them parses no SQL."""
    return link(load_project(sql_dir()))


def warehouse() -> duckdb.DuckDBPyConnection:
    """A warehouse in memory without models, with a staging database attached that has every dataset, empty."""
    con = duckdb.connect(":memory:")
    con.execute(f"set threads = 2; {SETTINGS}")
    con.execute("attach ':memory:' as staging")
    create_tables(con, "staging.")
    for schema in sorted({"seeds", *(model.schema for model in MODELS.values())}):
        con.execute(f"create schema {schema}")
    return con


def load_seeds(con: duckdb.DuckDBPyConnection) -> None:
    """Create the seeds as a build does."""
    for seed in graph().seeds.values():
        con.execute(f"create table {seed.name} as {seed.sql()}")


def build(con: duckdb.DuckDBPyConnection, *names: str) -> None:
    """Build the named models, in the order given, as tables; steps too, so that a test can read their rows."""
    for name in names:
        con.execute(f"create or replace table {name} as {graph().sql(name)}")


def fixture_sql(name: str) -> str:
    """Return the SELECT of a model that reads the steps with an input file as tables."""
    written, model = graph().written, graph().models[name]
    steps = [
        step for step in graph().order if step in graph().steps & set(graph().upstream(name)) - inputs(name).keys()
    ]
    return graph().placed(model.name, written[name].with_steps({step: written[step] for step in steps}).sql)


def inputs(name: str) -> dict[str, Path]:
    """The input files of a model's fixture, by the table that each stands for."""
    return {path.name[len("input.") : -len(".csv")]: path for path in (FIXTURES / name).glob("input.*.csv")}


def fixture_warehouse(name: str) -> duckdb.DuckDBPyConnection:
    """A warehouse in which `name` can be built from its fixture.

    Of what the model and its audits read, a table without an input file is built from the seeds and is empty where
    it comes from staging: as where a source is not synced.
    """
    con = warehouse()
    load_seeds(con)
    given = inputs(name)
    for table, path in given.items():
        load_csv(con, table, path, column_types()[table])
    needed = graph().ancestors([name]) - given.keys() - {name}
    build(con, *(other for other in graph().order if other in needed))
    return con


@cache
def built_fixture(name: str) -> duckdb.DuckDBPyConnection:
    """`fixture_warehouse(name)` with the model built; shared, so whoever changes anything rolls it back."""
    con = fixture_warehouse(name)
    con.execute(f"create table {name} as {fixture_sql(name)}")
    return con


def load_csv(con: duckdb.DuckDBPyConnection, table: str, path: Path, types: Types) -> None:
    """Create `table` with all columns of `types` from a file that may have some; an empty field is NULL."""
    header = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    unknown = [column for column in header if column not in types]
    assert not unknown, f"{path}: {table} has no column {', '.join(unknown)}"
    con.execute(f"create or replace table {table} ({', '.join(f'{c} {kind}' for c, kind in types.items())})")
    con.execute(f"insert into {table} by name {_csv(path, f'columns = { {c: types[c] for c in header} }')}")


def _csv(path: Path, *options: str) -> str:
    return f"from read_csv({', '.join([text(str(path)), 'header = true', *options])})"


@cache
def column_types() -> dict[str, Types]:
    """The columns of every table that a model can read, and of every model, with their types."""
    con = warehouse()
    load_seeds(con)
    build(con, *graph().order)
    tables = [
        *graph().seeds,
        *graph().order,
        *(f"staging.{name}{end}" for name in all_datasets() for end in ("", "_revision")),
    ]
    return {table: {row[0]: row[1] for row in con.execute(f"describe from {table}").fetchall()} for table in tables}


def columns(con: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    """Names of the columns that a query returns."""
    return [row[0] for row in con.execute(f"describe {sql}").fetchall()]


def rows(con: duckdb.DuckDBPyConnection, sql: str, grain: Sequence[str]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """A query's rows by their grain; raises AssertionError where the grain repeats."""
    cursor = con.execute(sql)
    assert cursor.description is not None
    names = [d[0] for d in cursor.description]
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for values in cursor.fetchall():
        row = dict(zip(names, values, strict=True))
        key = tuple(row[g] for g in grain)
        assert key not in found, f"two rows for {key}"
        found[key] = row
    return found
