"""Dependencies are found by parsing; errors name file and line."""

from pathlib import Path

import pytest

from energywh.errors import ModelError, UnknownNameError
from energywh.models.project.graph import Graph, link
from energywh.models.project.parse import parse_select
from energywh.models.project.project import load_project
from energywh.models.project.references import Parsed
from tests.models.folder import MODELS, STEP, TABLES, model, write_models


def graph(folder: Path, models: dict[str, str]) -> Graph:
    return link(load_project(write_models(folder, models)))


def parse(sql: str) -> Parsed:
    return parse_select(sql, lambda message, line: ModelError(f"{line}: {message}"))


def test_models_come_after_what_they_read_and_readers_of_staging_first(tmp_path: Path) -> None:
    write_models(tmp_path, {"seeds/fuel.csv": "fueltype,family\n"})
    found = graph(tmp_path, dict(MODELS))
    assert sorted(found.order) == sorted([*TABLES, STEP])
    for name in found.order:
        for upstream in found.upstream(name):
            assert upstream in found.seeds or found.order.index(upstream) < found.order.index(name)
    assert found.order[0] == "normalized.demand"
    assert found.staging("normalized.generation") == ["staging.eia.fuel_type_data"]
    assert found.upstream("normalized.generation") == ["normalized.fuel"]
    assert found.ancestors(["normalized.grid"]) == {
        "normalized.grid", STEP, "normalized.span", "normalized.demand", "normalized.generation", "normalized.fuel"
    }  # fmt: skip
    assert found.reading_views({"normalized.demand", "normalized.grid"}) == {"features.shifted"}


def test_ctes_aliases_subqueries_and_quotes_are_understood() -> None:
    parsed = parse(
        """
        -- normalized.comment is no table
        with d as (from normalized.demand), e as (select * from d where x = 'normalized.text')
        select * from "normalized"."Fuel" f join e using (a), lateral (select * from staging.eia.x) y, range(3)
        where f.b in (select b from seeds.region) and exists (from features.hourly)
        """
    )
    assert parsed.tables == {
        "normalized.demand", "normalized.fuel", "staging.eia.x", "seeds.region", "features.hourly"
    }  # fmt: skip


def test_a_restricted_select_keeps_every_other_character() -> None:
    parsed = parse("select  normalized.a.x, b.y -- é\nfrom normalized.a, n.c as b join normalized.a as z using (q)")
    assert parsed.restricted({"normalized.a": "t > 1"}).sql == (
        'select  a.x, b.y -- é\nfrom (SELECT * FROM normalized.a WHERE t > 1) AS "a", '
        "n.c as b join (SELECT * FROM normalized.a WHERE t > 1) as z using (q)"
    )
    assert parsed.restricted({}).sql == parsed.sql


def test_a_cycle_is_refused_and_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        graph(
            tmp_path,
            {
                "n/a.sql": model("select a from n.c"),
                "n/b.sql": model("select a\nfrom n.a"),
                "n/c.sql": model("select a from n.b"),
                "n/d.sql": model("select a from n.c"),
            },
        )
    assert str(caught.value) == (
        f"{tmp_path}/n/a.sql:9: models read each other in a circle: n.a reads n.c reads n.b reads n.a"
    )


@pytest.mark.parametrize(
    ("select", "line", "message"),
    [
        ("select a\nfrom normalized.demnd", 2, "neither a model nor a seed; did you mean normalized.demand?"),
        ("select a from demand", 1, "'demand' is neither a CTE nor a table with its schema"),
        ("select a\nfrom staging.sync.chunk", 2, "is not a dataset of staging"),
        ("select a from staging.demand", 1, "is not a dataset of staging"),
        ("select a frm\nfrom b c d e", 2, "cannot parse the SQL"),
        ("create table x as select 1 as a", 1, "a model is one SELECT"),
        ("select 1 as a; select 2 as a", 1, "a model is one SELECT"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_file_and_line(
    tmp_path: Path, select: str, line: int, message: str
) -> None:
    with pytest.raises(ModelError) as caught:
        graph(tmp_path, {"n/x.sql": model(select), "normalized/demand.sql": model("select 1 as a")})
    assert str(caught.value).startswith(f"{tmp_path}/n/x.sql:{8 + line}: ")
    assert message in str(caught.value)


def test_a_view_over_staging_is_refused(tmp_path: Path) -> None:
    text = model("select a from staging.eia.region_data", head='materialized = "view"')
    with pytest.raises(ModelError, match=r"n/x\.sql:9: a view cannot read staging\.eia\.region_data"):
        graph(tmp_path, {"n/x.sql": text})


def test_an_audit_that_reads_nothing_known_is_refused(tmp_path: Path) -> None:
    text = model("select 1 as a", audits='[[audits]]\nsql = "from n.y"')
    with pytest.raises(ModelError, match=r"n/x\.sql:8: the audit reads 'n\.y'.*did you mean n\.x\?"):
        graph(tmp_path, {"n/x.sql": text})


def test_a_model_in_a_schema_of_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="a model cannot lie in 'staging'"):
        graph(tmp_path, {"staging/x.sql": model("select 1 as a")})
    with pytest.raises(ModelError, match="holds no models"):
        load_project(tmp_path / "nowhere")


def test_people_may_leave_the_schema_out(tmp_path: Path) -> None:
    write_models(tmp_path, {f"{name}.sql": model("select 1 as a") for name in ("n/x", "n/y", "m/y")})
    project = load_project(tmp_path)
    assert project.pick(["N.X", "x"]) == ["n.x", "n.x"]
    with pytest.raises(UnknownNameError, match=r"'y' may be m\.y or n\.y"):
        project.pick(["y"])
    with pytest.raises(UnknownNameError, match=r"no model is named 'n\.z'; did you mean"):
        project.pick(["n.z"])
