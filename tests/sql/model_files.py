"""Reads the model files under sql/ and runs them on tables made for a test, without the model runner."""

import re
import tomllib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

from energywh.sync.staging import all_datasets
from energywh.sync.staging import columns as columns_of

SQL = Path(__file__).parents[2] / "sql"
FIXTURES = Path(__file__).parent
FRONT_MATTER = re.compile(r"\A/\*---\n(.*?)\n---\*/", re.DOTALL)

# Column name -> SQL type of fixture files; the first pattern that matches counts.
COLUMN_TYPES = (
    (r".*_utc|period|local_time", "timestamp"),
    (r".*_date", "date"),
    (r"is_.*|renewable|storage|generation_only", "boolean"),
    (r"file|code", "varchar"),
    (r"value|.*_mwh|.*_hours|.*_sin|.*_cos|.*share.*", "double"),
    (r"hour_of_day|day_of_.*|month|.*_count_.*", "smallint"),
    (r".*", "varchar"),
)


@dataclass(frozen=True)
class Model:
    """One file of sql/normalized or sql/features."""

    name: str  # schema.table
    sql: str
    meta: dict[str, Any]

    @property
    def grain(self) -> list[str]:
        return list(self.meta["grain"])

    @property
    def has_time(self) -> bool:
        return "hour_utc" in self.meta["columns"]

    @property
    def is_incremental(self) -> bool:
        return self.has_time and self.meta.get("refresh") != "full"

    @property
    def lookback(self) -> timedelta:
        return timedelta(hours=int(self.meta.get("lookback", "0h").removesuffix("h")))


def read_model(path: Path) -> Model:
    """The model in `path`; raises AssertionError where the file does not begin with front matter."""
    text = path.read_text(encoding="utf-8")
    found = FRONT_MATTER.match(text)
    assert found, f"{path} does not begin with /*--- ... ---*/"
    return Model(f"{path.parent.name}.{path.stem}", text, tomllib.loads(found[1]))


# In an order in which each model finds what it reads.
ORDER = (
    "normalized.region",
    "normalized.fuel",
    "normalized.demand",
    "normalized.generation",
    "normalized.interchange",
    "normalized.subregion_demand",
    "normalized.source_conflict",
    "normalized.span",
    "normalized.grid",
    "features.calendar",
    "features.hourly",
)
MODELS = {m.name: m for m in map(read_model, sorted(SQL.glob("[nf]*/*.sql")))}


def warehouse() -> duckdb.DuckDBPyConnection:
    """An empty warehouse in memory, with a staging database attached under its real name, its tables empty."""
    con = duckdb.connect(":memory:")
    con.execute("set TimeZone = 'UTC'; set threads = 2")
    con.execute("attach ':memory:' as staging")
    con.execute("create schema seeds; create schema normalized; create schema features")
    for dataset in all_datasets().values():
        types = dict.fromkeys((dataset.time_column, "known_from_utc"), "timestamp")
        types |= dict.fromkeys(dataset.keys, "varchar") | dict.fromkeys(dataset.values, "double")
        fields = ", ".join(f"{column} {types[column]}" for column in columns_of(dataset))
        con.execute(f"create schema if not exists staging.{dataset.source}")
        con.execute(f"create table staging.{dataset.name} ({fields})")
    return con


def load_csv(con: duckdb.DuckDBPyConnection, table: str, path: Path) -> None:
    """Create `table` from a fixture; types follow from column names, an empty field is NULL.

    A staging table keeps the columns it has: those that the fixture leaves out are NULL.
    """
    header = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    types = {c: next(t for p, t in COLUMN_TYPES if re.fullmatch(p, c)) for c in header}
    rows = f"from read_csv(?, header = true, columns = {types})"
    statement = "insert into {} by name {}" if table.startswith("staging.") else "create table {} as {}"
    con.execute(statement.format(table, rows), [str(path)])


def load_seeds(con: duckdb.DuckDBPyConnection) -> None:
    """Create the seeds schema's tables from sql/seeds."""
    for path in sorted((SQL / "seeds").glob("*.csv")):
        con.execute(f"create table seeds.{path.stem} as from read_csv(?, header = true)", [str(path)])


def build(con: duckdb.DuckDBPyConnection, *names: str) -> None:
    """Build the named models, in the order given, as tables."""
    for name in names:
        con.execute(f"create or replace table {name} as {MODELS[name].sql}")


def columns(con: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    """Names of the columns that a query returns."""
    return [row[0] for row in con.execute(f"describe {sql}").fetchall()]


def rows(con: duckdb.DuckDBPyConnection, sql: str, grain: list[str]) -> dict[tuple[Any, ...], dict[str, Any]]:
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
