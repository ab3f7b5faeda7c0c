"""A model with materialized = "inline" is put into the models that read it."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from energywh.errors import ModelError
from energywh.models.project.graph import Graph, link
from energywh.models.project.project import load_project


def model(sql: str, head: str = 'materialized = "inline"', columns: str = 'n = "A number."') -> str:
    return f'/*---\ndescription = "A model."\n{head}\ngrain = ["n"]\n[columns]\n{columns}\n---*/\n{sql}\n'


def graph(folder: Path, **models: str) -> Graph:
    for name, content in models.items():
        file = folder / "a" / f"{name}.sql"
        file.parent.mkdir(exist_ok=True)
        file.write_text(content, "utf-8")
    return link(load_project(folder))


ONE = model("select n from staging.x.y -- the end")
TABLE = 'materialized = "table"'


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("attach ':memory:' as staging; create schema staging.x; create table staging.x.y as from range(5) t(n)")
    return con


@pytest.mark.parametrize(
    "sql",
    [
        "select n from a.one",
        "select a.one.n from a.one",
        "select o.n from a.one as o join a.one using (n)",
        "with two as (select n from a.one) select n from two",
        "-- first\nwith recursive two as (select n from A.One) select n from two",
        "from a.one",
        "(select n from a.one) union all (select n from a.one where n < 0)",
        "select n from a.other join staging.x.y using (n)",
    ],
)
def test_a_reader_runs_without_the_step_being_a_table(tmp_path: Path, con: duckdb.DuckDBPyConnection, sql: str) -> None:
    other = model("with o as (from a.one) select n from o")
    made = graph(tmp_path, one=ONE, other=other, reader=model(sql, TABLE))
    assert made.staging("a.reader") == ["staging.x.y"]
    assert made.order.index("a.one") < made.order.index("a.reader")
    assert sorted(con.execute(made.sql("a.reader")).fetchall()) == [(n,) for n in range(5)]
    restricted = made.restricted("a.reader", lambda table, _: "n > 2" if table == "staging.x.y" else None)
    assert sorted(con.execute(restricted).fetchall()) == [(3,), (4,)]


def test_an_error_names_the_line_of_the_readers_own_file(tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    made = graph(tmp_path, one=ONE, reader=model("select n,\n  wrong\nfrom a.one", TABLE))
    text = made.models["a.reader"].path.read_text("utf-8").splitlines()
    with pytest.raises(duckdb.BinderException, match=f"LINE {text.index('  wrong') + 1}:"):
        con.execute(made.sql("a.reader"))


def test_a_reader_changes_with_the_sql_of_its_step_and_not_with_its_words(tmp_path: Path) -> None:
    reader = model("select n from a.one", TABLE)
    hashes = [
        graph(tmp_path, one=one, reader=reader).models["a.reader"].sql_hash
        for one in (ONE, ONE.replace("A number", "A count"), ONE.replace("select n", "select -n as n"))
    ]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("line", ['refresh = "full"', 'audits = [{ unique = ["n"] }]'])
def test_a_step_promises_nothing_that_only_stored_rows_can_keep(tmp_path: Path, line: str) -> None:
    with pytest.raises(ModelError, match="does not go with materialized"):
        graph(tmp_path, one=model("select 1 as n", f'materialized = "inline"\n{line}'))


def test_a_reader_reads_as_far_as_its_steps_do_and_each_step_only_as_far_as_it_must(tmp_path: Path) -> None:
    day, week = (model(f"select n from a.{of}", f'materialized = "inline"\nlookback = "{back}"')
                 for of, back in (("one", "1d"), ("day", "7d")))  # fmt: skip
    reader = model("select n from a.week as w join a.one as o using (n)", f'{TABLE}\nlookback = "1h"')
    made = graph(tmp_path, one=ONE, day=day, week=week, reader=reader)
    assert made.models["a.reader"].lookback == timedelta(days=8, hours=1)
    sql = made.restricted("a.reader", lambda table, reach: f"n > {reach[0] // timedelta(hours=1)}")
    assert [int(n) for n in re.findall(r"WHERE n > (\d+)", sql)] == [193, 193, 169, 1, 1]


def test_a_view_cannot_read_staging_through_a_step(tmp_path: Path) -> None:
    reader = model("select\n  n\nfrom a.one", 'materialized = "view"')
    with pytest.raises(ModelError, match=r"reader\.sql:10: a view cannot read staging\.x\.y"):
        graph(tmp_path, one=ONE, reader=reader)


def test_an_audit_cannot_read_a_step(tmp_path: Path) -> None:
    reader = model("select n from a.one", TABLE).replace("---*/", "[[audits]]\nsql = 'select n from a.one'\n---*/")
    with pytest.raises(ModelError, match=r"reads 'a\.one', a step without rows"):
        graph(tmp_path, one=ONE, reader=reader)
