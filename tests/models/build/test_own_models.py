"""Models of the user's own are built beside the shipped ones, which are published whatever is wrong with the former."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest

from energywh.errors import AuditError, LockedError, ModelError, UnknownNameError, UsageError
from energywh.models.build.as_of import build_as_of
from energywh.models.build.events import BuildEvent, ModelStarted, messages_to
from energywh.models.build.materialize import Materializer
from energywh.models.build.options import BuildOptions
from energywh.models.build.report import BuildReport
from energywh.models.build.runner import build
from energywh.models.build.version_file import VersionFile
from energywh.models.catalog.catalog import find_model, read_catalog
from energywh.models.project.graph import link
from energywh.models.project.project import load_project
from energywh.models.versions import publish
from energywh.warehouse import Warehouse
from tests.models.folder import Desk, model

OURS = {"n/x.sql": model("select a from seeds.s"), "n/y.sql": model("select a from n.x"), "seeds/s.csv": "a\n1\n"}
MINE = model("select a + 1 as a from n.x")


class Corner:
    """A desk with two small models, and folders of the user's own."""

    def __init__(self, folder: Path) -> None:
        self.desk = Desk(folder, OURS)
        self.folder = folder / "mine"

    def write(self, files: Mapping[str, str], folder: str = "mine") -> Path:
        for name, text in files.items():
            path = self.folder.parent / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return self.folder.parent / folder

    def build(
        self, *names: str, folders: tuple[Path, ...] | None = None, full: bool = False, **options: object
    ) -> BuildReport:
        self.said: list[str] = []
        folders = (self.folder,) if folders is None else folders
        words = BuildOptions(models=folders, wait_seconds=30, **options)
        self.started: list[str] = []

        def note(event: BuildEvent) -> None:
            if isinstance(event, ModelStarted):
                self.started.append(event.name)

        listeners = [messages_to(self.said.append), note]
        return build(self.desk.home, names, full=full, sql=self.desk.sql, options=words, listeners=listeners)

    def tables(self) -> list[str]:
        return [
            name
            for (name,) in self.desk.query(
                "SELECT table_schema || '.' || table_name FROM information_schema.tables "
                "WHERE table_schema NOT IN ('energywh', 'seeds') ORDER BY 1"
            )
        ]  # type: ignore[misc]


@pytest.fixture
def corner(tmp_path: Path) -> Corner:
    return Corner(tmp_path)


def test_they_are_built_documented_and_rebuilt_when_what_they_read_changes(corner: Corner) -> None:
    corner.write({"n/mine.sql": MINE, "own/z.sql": model("select a from n.mine join seeds.t using (a)")})
    corner.write({"seeds/t.csv": "a\n2\n3\n"})
    assert corner.build().left_out == {}
    assert corner.desk.query("FROM own.z") == [(2,)]
    catalog = read_catalog(corner.desk.home)
    assert find_model(catalog, "own.z").reads == ["n.mine", "seeds.t"]
    assert not corner.build().published
    corner.desk.write("seeds/s.csv", "a\n1\n2\n")
    corner.build()
    assert corner.desk.query("FROM own.z ORDER BY 1") == [(2,), (3,)]


def test_before_the_first_build_the_catalog_lists_them(corner: Corner) -> None:
    folder = corner.write({"n/mine.sql": MINE})
    names = [each.name for each in read_catalog(corner.desk.home, sql=corner.desk.sql, own_folders=[folder])]
    assert names == ["n.mine", "n.x", "n.y"]


@pytest.mark.parametrize(
    ("files", "first", "second"),
    [
        ({"n/x.sql": MINE}, "mine/n/x.sql:1: 'n.x' is taken by", "sql/n/x.sql"),
        ({"n/x.sql": "broken"}, "mine/n/x.sql:1: 'n.x' is taken by", "sql/n/x.sql"),
        ({"seeds/s.csv": "a\n2\n"}, "mine/seeds/s.csv:1: 'seeds.s' is taken by", "sql/seeds/s.csv"),
    ],
)
def test_a_name_of_ours_is_refused_with_both_files_before_anything_is_built(
    corner: Corner, files: dict[str, str], first: str, second: str
) -> None:
    corner.write(files)
    with pytest.raises(ModelError) as refused:
        corner.build()
    assert first in str(refused.value)
    assert second in str(refused.value)
    assert not corner.desk.home.versions.exists()


def test_a_name_without_its_schema_means_ours(tmp_path: Path) -> None:
    corner = Corner(tmp_path)
    corner.desk.write("features/hourly.sql", model("select 'ours' as a"))
    corner.write({"desk/hourly.sql": model("select 'theirs' as a")})
    report = corner.build("hourly")
    assert [result.name for result in report.models] == ["features.hourly"]
    corner.build()
    with Warehouse(corner.desk.home) as warehouse:
        assert warehouse.sql("from hourly").fetchall() == [("ours",)]
    assert find_model(read_catalog(corner.desk.home), "hourly").name == "features.hourly"
    corner.write({"n/hourly.sql": model("select 'theirs' as a")})
    with pytest.raises(ModelError, match=r"mine/n/hourly\.sql:1: .*taken for features\.hourly .*features/hourly\.sql"):
        corner.build()


def test_a_name_in_two_folders_is_refused_and_one_folder_given_twice_is_one(corner: Corner) -> None:
    one, two = corner.write({"own/z.sql": MINE}), corner.write({"own/z.sql": MINE}, "other")
    with pytest.raises(ModelError, match=r"other/own/z\.sql:1: 'own\.z' is taken by .*mine/own/z\.sql"):
        corner.build(folders=(one, two))
    assert corner.build(folders=(one, one / ".." / "mine")).left_out == {}


@pytest.mark.parametrize("schema", ["staging", "energywh", "seeds", "main", "Staging"])
def test_our_own_schemas_are_taken(corner: Corner, schema: str) -> None:
    corner.write({f"{schema}/z.sql": MINE})
    with pytest.raises(ModelError, match=f"a model cannot lie in '{schema}': that schema is taken"):
        corner.build()


def test_a_folder_that_is_not_there_or_holds_nothing_is_refused_and_nothing_dropped(corner: Corner) -> None:
    corner.write({"own/z.sql": MINE})
    corner.build()
    with pytest.raises(UsageError, match="is not there"):
        corner.build(folders=(corner.folder / "none",))
    corner.write({"notes.txt": "no model"}, "other")
    with pytest.raises(UsageError, match=r"other holds no models; a model is a file such as .*features/mine\.sql"):
        corner.build(folders=(corner.folder.parent / "other",))
    assert corner.tables() == ["n.x", "n.y", "own.z"]


def test_a_model_beside_the_folders_of_schemas_is_not_passed_over(corner: Corner) -> None:
    corner.write({"own/z.sql": MINE, "stray.sql": MINE})
    with pytest.raises(ModelError, match=r"stray\.sql:1: a model lies in a folder with the name of its schema"):
        corner.build()


def test_ours_cannot_be_made_to_read_theirs(corner: Corner) -> None:
    corner.write({"own/z.sql": MINE})
    corner.desk.write("n/y.sql", model("select a from own.z"))
    with pytest.raises(ModelError, match=r"sql/n/y\.sql:9: it reads 'own\.z', which is neither a model nor a seed"):
        corner.build()


# Of each way to be wrong: the model `own.z`, and what is said of it.
BROKEN = {
    "front_matter": ("select 1", r"z\.sql:1: a model begins with its front matter"),
    "key": (model("select 1 as a", head='grian = "a"'), r"z\.sql:4: unknown key 'grian'"),
    "syntax": (model("select a frm n.x where"), r"z\.sql:9: cannot parse the SQL"),
    "table": (model("select a\nfrom n.nothing"), r"z\.sql:10: it reads 'n\.nothing', which is neither"),
    "column": (model("select 1 as a\nfrom n.x where b = 1"), r"z\.sql:10: z\.z failed: .*\"b\""),
    "value": (model("select 'x'::int as a from n.x"), r"z\.sql:9: z\.z failed: .*Could not convert"),
    "promise": (model("select 1 as b"), r"z\.sql:9: z\.z does not return the columns it promises"),
    "hour": (model("select null::timestamp as hour_utc", "hour_utc"), r"z\.sql:9: 'hour_utc' is NULL in 1 row"),
    "audit": (
        model("select 1 as a", audits="[[audits]]\nsql = 'select * from z.z where a = 1'"),
        r"z\.sql:8: 1 row of z\.z breaks the audit sql 1; such as\n  a = 1$",
    ),
    "audit_sql": (
        model("select 1 as a", audits="[[audits]]\nsql = 'select * from z.z where b'"),
        r"z\.sql:8: audit sql 1 of z\.z failed",
    ),
    "file": (model("select a from read_csv('/nowhere/at_all.csv')"), r"z\.sql:9: z\.z failed: .*No files found"),
    "memory": (
        model("select any_value(v) as a from (select list(i) as v from range(60_000_000) t(i))"),
        r"z\.sql:9: z\.z failed: Out of Memory",
    ),
    "circle": (model("select a from z.reader"), r"reader\.sql:9: models read each other in a circle"),
}


def test_whatever_is_wrong_with_one_it_is_left_out_with_what_reads_it_and_the_rest_is_published(
    corner: Corner,
) -> None:
    for schema, (text, _) in BROKEN.items():
        named = text.replace("z.z", f"{schema}.z").replace("z.reader", f"{schema}.reader")
        corner.write({f"{schema}/z.sql": named, f"{schema}/reader.sql": model(f"select * from {schema}.z")})
    corner.write({"fine/w.sql": MINE})
    report = corner.build(memory_limit="100MB")
    assert report.published
    assert corner.tables() == ["fine.w", "n.x", "n.y"]
    assert set(report.left_out) == {f"{schema}.{name}" for schema in BROKEN for name in ("z", "reader")}
    for schema, (_, reason) in BROKEN.items():
        told = report.left_out[f"{schema}.z"].replace(f"{schema}.z", "z.z")
        assert re.search(reason, told), told
        assert f"{corner.folder}/{schema}/" in told
        assert f"left out {schema}.z: {report.left_out[f'{schema}.z']}" in corner.said


def test_rows_without_time_are_told_also_where_a_table_is_built_some_months_at_a_time(corner: Corner) -> None:
    hours = "select timestamp '2024-01-01' + i * interval 1 hour as hour_utc from range(48) t(i)"
    late = "select if(hour(hour_utc) > 3, hour_utc, null) as hour_utc from own.hours"
    corner.write({"own/hours.sql": model(hours, "hour_utc")})
    corner.write({"own/late.sql": model(late, "hour_utc", head='lookback = "0h"')})
    assert "'hour_utc' is NULL in 8 rows" in corner.build().left_out["own.late"]


def test_of_one_that_breaks_nothing_is_served_any_more_until_it_is_mended(corner: Corner) -> None:
    corner.write({"own/z.sql": model("select 7 as a"), "own/reader.sql": model("select a from own.z")})
    corner.write({"own/view.sql": model("select a from own.reader", head='materialized = "view"'), "own/w.sql": MINE})
    corner.build()
    assert corner.tables() == ["n.x", "n.y", "own.reader", "own.view", "own.w", "own.z"]

    corner.write({"own/z.sql": model("select 'x'::int as a from n.x")})
    corner.desk.write("seeds/s.csv", "a\n10\n")
    report = corner.build()
    assert (report.published, set(report.left_out)) == (True, {"own.z", "own.reader", "own.view"})
    assert corner.tables() == ["n.x", "n.y", "own.w"]
    assert corner.desk.query("FROM n.y") == [(10,)]
    assert corner.desk.query("FROM own.w") == [(11,)]
    assert [each.name for each in read_catalog(corner.desk.home)] == ["n.x", "n.y", "own.w"]

    again = corner.build()  # reported again, and nothing is published for it
    assert (again.published, again.left_out, again.version) == (False, report.left_out, report.version)
    assert len(corner.desk.versions()) == 2

    corner.write({"own/z.sql": model("select 8 as a")})
    assert corner.build().left_out == {}
    assert corner.desk.query("FROM own.view") == [(8,)]


def test_one_that_failed_is_not_tried_again_until_something_changed(
    corner: Corner, monkeypatch: pytest.MonkeyPatch
) -> None:
    corner.write({"own/z.sql": model("select 1 // (a - 1) + 'x'::int as a from n.x"), "own/w.sql": "broken"})
    corner.write({"seeds/Bad.csv": "a\n", "own/r.sql": model("select a from own.z")})
    tried = []
    take_base = publish.take_base

    def take(*words: object) -> object:
        tried.append(words)
        return take_base(*words)

    monkeypatch.setattr(publish, "take_base", take)
    first = corner.build()
    assert set(first.left_out) == {"own.z", "own.w", "own.r", "seeds.Bad"}
    for _ in range(2):
        again = corner.build()
        assert (again.published, again.left_out) == (False, first.left_out)
        assert f"left out own.z: {first.left_out['own.z']}" in corner.said
    assert tried == []
    changes: list[Callable[[], object]] = [
        lambda: corner.write({"own/z.sql": model("select 'y'::int as a from n.x")}),
        lambda: corner.desk.write("seeds/s.csv", "a\n2\n"),
        lambda: corner.desk.land_demand(date(2024, 1, 1), 10),
        lambda: corner.write({"seeds/t.csv": "a\n2\n"}),
    ]
    for number, change in enumerate(changes, start=1):
        change()
        assert set(corner.build().left_out) == set(first.left_out)
        assert len(tried) == number
        assert not corner.build().published
        assert len(tried) == number
    corner.build(memory_limit="1GB")  # it might have been that
    assert len(tried) == len(changes) + 1
    assert set(corner.build(full=True).left_out) == set(first.left_out)
    corner.write({"own/fresh.sql": "broken too"})
    assert "own.fresh" in corner.build().left_out


def test_one_that_failed_by_what_lies_outside_is_tried_each_time(corner: Corner, tmp_path: Path) -> None:
    file = tmp_path / "late.csv"
    corner.write({"own/z.sql": model(f"select a from read_csv('{file}')")})
    assert set(corner.build().left_out) == {"own.z"}
    assert not corner.build().published
    file.write_text("a\n7\n")
    assert corner.build().left_out == {}
    assert corner.desk.query("FROM own.z") == [(7,)]


def test_what_reads_a_broken_one_says_where(corner: Corner) -> None:
    corner.write({"own/z.sql": model("select 'x'::int as a from n.x"), "own/r.sql": model("select a\nfrom own.z")})
    audit = "[[audits]]\nsql = 'select * from own.r'"
    corner.write({"own/audited.sql": model("select 1 as a", audits=audit)})
    reasons = corner.build().left_out
    assert reasons["own.r"].endswith("mine/own/r.sql:10: it reads 'own.z', which is left out")
    assert reasons["own.audited"].endswith("mine/own/audited.sql:8: it reads 'own.r', which is left out")


def test_ours_are_built_before_the_first_of_theirs(corner: Corner) -> None:
    corner.write(
        {"a/z.sql": model("select a from n.x"), "a/w.sql": model("select value as a from staging.eia.region_data")}
    )
    assert corner.build().left_out == {}
    assert corner.started == ["n.x", "n.y", "a.w", "a.z"]


def test_one_that_cannot_read_staging_because_a_sync_holds_it_is_left_out(
    corner: Corner, monkeypatch: pytest.MonkeyPatch
) -> None:
    corner.write({"own/z.sql": model("select value as a from staging.eia.region_data"), "own/w.sql": MINE})
    attach = VersionFile.attach_staging

    def held(self: VersionFile) -> None:
        if corner.started:  # ours are built
            raise LockedError("staging is held by a sync")
        attach(self)

    with monkeypatch.context() as patched:
        patched.setattr(VersionFile, "attach_staging", held)
        report = corner.build()
    assert report.left_out == {"own.z": "staging is held by a sync"}
    assert corner.tables() == ["n.x", "n.y", "own.w"]
    assert corner.build().left_out == {}  # tried again, though nothing changed


def test_a_seed_that_cannot_be_read_is_left_out_with_what_reads_it(corner: Corner) -> None:
    corner.write({"seeds/t.csv": "a\n2\n", "seeds/Bad.csv": "a\n", "own/z.sql": model("select a from seeds.t")})
    corner.build()
    (corner.folder / "seeds" / "t.csv").write_bytes(b"a\n1\n\xff\xfe\n")
    left_out = corner.build().left_out
    assert set(left_out) == {"seeds.t", "seeds.Bad", "own.z"}
    assert "Bad.csv:1: 'Bad' cannot name a table" in left_out["seeds.Bad"]
    assert corner.tables() == ["n.x", "n.y"]
    assert corner.desk.query("SELECT count(*) FROM information_schema.tables WHERE table_name = 't'") == [(0,)]


def test_an_audit_of_ours_still_keeps_all_from_being_published(corner: Corner) -> None:
    corner.write({"own/z.sql": MINE})
    first = corner.build()
    corner.desk.write("n/y.sql", model("select a from n.x", audits="[[audits]]\nsql = 'from n.y'"))
    with pytest.raises(AuditError, match="Nothing was published; the warehouse is as it was before"):
        corner.build()
    assert corner.desk.versions() == [f"{first.version}.duckdb"]


def test_own_models_whose_folder_is_no_longer_given_are_dropped_with_a_message(corner: Corner) -> None:
    corner.write({"own/z.sql": MINE, "seeds/t.csv": "a\n1\n"})
    corner.build()
    corner.build("y", folders=())
    assert "own.z" in corner.tables()  # models that were not asked for stay as they are
    report = corner.build(folders=())
    assert (report.published, report.left_out) == (True, {})
    assert corner.tables() == ["n.x", "n.y"]
    assert [line for line in corner.said if line.startswith("dropped")] == [
        "dropped own.z: its file is gone, or its folder is not given any more",
        "dropped seeds.t: its file is gone, or its folder is not given any more",
    ]


def test_a_broken_one_that_is_asked_for_by_name_is_an_error(corner: Corner) -> None:
    corner.write({"own/z.sql": model("select a from n.nothing"), "own/w.sql": "broken"})
    with pytest.raises(ModelError, match=r"w\.sql:1: a model begins with its front matter"):
        corner.build("w")
    with pytest.raises(ModelError, match=r"z\.sql:9: it reads 'n\.nothing'"):
        corner.build("own.z")
    with pytest.raises(UnknownNameError):
        corner.build("own.nothing")
    assert corner.build("y").left_out == {}  # it does not concern who asks for another


def test_an_own_model_that_fails_in_a_build_of_some_models_is_reported_and_remembered(corner: Corner) -> None:
    corner.write({"own/z.sql": model("select 1 as a"), "own/r.sql": model("select a from own.z")})
    corner.build()
    corner.write({"own/z.sql": model("select 'x'::int as a from n.x")})
    assert set(corner.build("z", "y").left_out) == {"own.z", "own.r"}
    assert corner.tables() == ["n.x", "n.y"]
    corner.build("y")
    assert corner.desk.query("SELECT model FROM energywh.left_out ORDER BY 1") == [("own.r",), ("own.z",)]


@pytest.fixture
def fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the model `own.z` bring DuckDB down."""
    build_one = Materializer.build

    def fail(self: Materializer, model_: object) -> object:
        if getattr(model_, "name", "") == "own.z":
            self._connection.close()  # as after an internal error: nothing is answered any more
            raise ModelError("own.z failed: INTERNAL Error")
        return build_one(self, model_)

    monkeypatch.setattr(Materializer, "build", fail)


def test_one_that_brings_duckdb_down_is_left_out_and_nothing_is_built_twice(
    corner: Corner, request: pytest.FixtureRequest
) -> None:
    corner.write({"own/z.sql": model("select 1 as a"), "own/w.sql": MINE})
    corner.build()
    corner.write({"own/z.sql": model("select 2 as a")})
    corner.desk.write("seeds/s.csv", "a\n10\n")
    request.getfixturevalue("fatal")
    report = corner.build()
    assert report.left_out == {"own.z": "own.z failed: INTERNAL Error"}
    assert corner.tables() == ["n.x", "n.y", "own.w"]
    assert corner.desk.query("FROM own.w") == [(11,)]
    assert corner.started == ["n.x", "n.y", "own.w", "own.z"]


@pytest.mark.usefixtures("fatal")
def test_one_that_brings_duckdb_down_is_left_out_of_a_file_as_of_a_time_too(corner: Corner, tmp_path: Path) -> None:
    corner.write({"own/z.sql": model("select 1 as a"), "own/w.sql": MINE})
    corner.desk.land_demand(date(2024, 1, 1), 10)
    to = tmp_path / "then.duckdb"
    options = BuildOptions(models=(corner.folder,), wait_seconds=30)
    report = build_as_of(corner.desk.home, datetime(2025, 2, 1), to, sql=corner.desk.sql, options=options)
    assert report.left_out == {"own.z": "own.z failed: INTERNAL Error"}
    with duckdb.connect(to, read_only=True) as connection:
        assert connection.execute("FROM own.w").fetchall() == [(2,)]
        assert connection.execute("SELECT model FROM energywh.left_out").fetchall() == [("own.z",)]
    corner.write({"own/bad.sql": model("select a from n.nothing")})
    other = tmp_path / "other.duckdb"
    with pytest.raises(ModelError, match=r"it reads 'n\.nothing'"):
        build_as_of(corner.desk.home, datetime(2025, 2, 1), other, ["bad"], sql=corner.desk.sql, options=options)


def test_linking_leaves_out_only_what_cannot_be_linked(tmp_path: Path) -> None:
    corner = Corner(tmp_path)
    corner.write({"own/a.sql": model("select a from own.b"), "own/b.sql": model("select a from own.a")})
    corner.write({"own/c.sql": model("select a from own.a"), "own/d.sql": MINE})
    graph = link(load_project(corner.desk.sql, own_folders=[corner.folder]))
    assert graph.order == ("n.x", "n.y", "own.d")
    assert set(graph.left_out) == {"own.a", "own.b", "own.c"}
    assert graph.readers("n.x") == ["n.y", "own.d"]
