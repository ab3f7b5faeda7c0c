"""The static site and the lineage page: complete, linked, escaped, and reproducible."""

from __future__ import annotations

import json
import re
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest

from energywh.core.paths import Home, sql_dir
from energywh.errors import StorageError
from energywh.models.catalog.catalog import read_catalog
from energywh.models.catalog.lineage import Lineage
from energywh.models.catalog.read_lineage import lineage_of_version
from energywh.models.catalog.site.facts import read_facts
from energywh.models.catalog.site.layout import HEIGHT, WIDTH, arrange
from energywh.models.catalog.site.page import render_page, write_page
from energywh.models.catalog.site.pages import render_site, write_site
from energywh.sources import sources
from tests.models.folder import Desk

ODD = """/*---
description = "Less <b>than</b> & \\"more\\" </script><script>alert(1)</script>."
grain = ["name"]
[columns]
name = "A <i>name</i> & 'more'."
text = "Text."
[[audits]]
not_null = ["text"]
severity = "warn"
---*/
select '</script><x>' as name, cast(null as varchar) as text where 1 < 2
"""


class Read(HTMLParser):
    """The link targets, names, tags and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = dict(attrs)
        self.links += [value for key in ("href", "src") if (value := found.get(key))]
        if found.get("id"):
            self.ids.add(found["id"] or "")

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    desk.write("quality/odd.sql", ODD)
    desk.land_demand(date(2024, 1, 1), 1)
    desk.build()
    return desk


@pytest.fixture(scope="module")
def site(desk: Desk) -> dict[str, str]:
    return render_site(read_facts(desk.home))


@pytest.fixture(scope="module")
def shipped() -> dict[str, str]:
    """The site of the shipped models, before the first build."""
    return render_site(read_facts(Home(Path("/nonexistent")), sql=sql_dir()))


@pytest.mark.parametrize("which", ["site", "shipped"])
def test_every_link_leads_somewhere(which: str, request: pytest.FixtureRequest) -> None:
    pages: dict[str, str] = request.getfixturevalue(which)
    read = {name: Read(page) for name, page in pages.items() if name.endswith(".html")}
    lineage = json.loads(re.search(r'id="data">(.*?)</script>', pages["lineage.html"])[1])  # type: ignore[index]
    read["lineage.html"].ids |= {table["name"] for table in lineage["tables"]}
    for name, page in read.items():
        for link in page.links:
            if link.startswith("https://"):
                continue
            path, _, anchor = link.partition("#")
            target = str((Path("/") / name).parent.joinpath(path).resolve().relative_to("/")) if path else name
            assert target in pages, f"{name} -> {link}"
            assert not anchor or anchor in read[target].ids, f"{name} -> {link}"


def test_every_table_column_and_source_is_on_the_site(shipped: dict[str, str]) -> None:
    catalog = read_catalog(Home(Path("/nonexistent")), sql=sql_dir())
    index = Read(shipped["index.html"]).text
    for model in catalog:
        page = Read(shipped[f"tables/{model.name}.html"]).text
        assert model.name in index
        assert model.description in page
        for column in model.columns:
            assert column.name in page, f"{model.name}.{column.name}"
            assert column.description in page, f"{model.name}.{column.name}"
        for audit in model.audits:
            assert audit.name in page
    for source in sources().values():
        page = Read(shipped[f"sources/{source.name}.html"]).text
        assert source.title in index
        assert source.licence in page
        for dataset in source.datasets:
            for column in (dataset.time_column, *dataset.keys, *dataset.values):
                assert " or ".join(dataset.fields_of(column)) in page, f"{dataset.name}.{column}"


def test_a_built_site_knows_rows_hours_audits_and_the_build(desk: Desk, site: dict[str, str]) -> None:
    page = Read(site["tables/normalized.demand.html"]).text
    assert "48" in page
    assert "2024-01-01 23:00 UTC" in page
    assert "made of" in page
    assert "staging.eia.region_data.value" in page
    assert "not_null(region, hour_utc)" in page
    odd = Read(site["tables/quality.odd.html"]).text
    assert "text = NULL" in odd  # of the audit that fails
    version = desk.versions()[-1].removesuffix(".duckdb")
    assert version in Read(site["build.html"]).text
    assert version in Read(site["index.html"]).text


def test_small_tables_are_shown_whole(site: dict[str, str]) -> None:
    page = Read(site["tables/normalized.fuel.html"]).text
    assert "SUN" in page
    assert "wind" in page


def test_what_models_say_is_text_and_never_markup(site: dict[str, str]) -> None:
    for name, page in site.items():
        if name.endswith(".html"):
            read = Read(page)
            assert not read.tags & {"b", "i", "x"} - ({"i"} if name == "lineage.html" else set()), name
            assert ("script" in read.tags) == (name == "lineage.html")
    read = Read(site["tables/quality.odd.html"])
    assert 'Less <b>than</b> & "more" </script><script>alert(1)</script>.' in read.text
    assert "A <i>name</i> & 'more'." in read.text
    assert "</script><x>" in read.text
    lineage = site["lineage.html"]
    assert lineage.count("<script") == lineage.count("</script>") == 2
    data = json.loads(re.search(r'id="data">(.*?)</script>', lineage)[1])  # type: ignore[index]
    odd = next(table for table in data["tables"] if table["name"] == "quality.odd")
    assert odd["description"] == 'Less <b>than</b> & "more" </script><script>alert(1)</script>.'


def test_the_same_version_gives_the_same_site(desk: Desk, site: dict[str, str]) -> None:
    assert render_site(read_facts(desk.home)) == site


def test_a_build_that_is_published_meanwhile_does_not_mix_with_what_is_read(
    desk: Desk, site: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = desk.home.energy.readlink()

    def moved(path: Path) -> Lineage:
        desk.home.energy.unlink()  # as a link that moves on
        return lineage_of_version(path)

    monkeypatch.setattr("energywh.models.catalog.site.facts.lineage_of_version", moved)
    try:
        assert render_site(read_facts(desk.home)) == site
    finally:
        desk.home.energy.symlink_to(target)


def test_the_page_of_lineage_needs_nothing_else(site: dict[str, str]) -> None:
    page = site["lineage.html"]
    assert not Read(page).links
    assert not re.search(r"\b(fetch|XMLHttpRequest|import|url)\s*\(", page)
    data = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])  # type: ignore[index]
    names = [f"{column['table']}.{column['name']}" for column in data["columns"]]
    past = data["columns"][names.index("features.rolling.past_mwh")]
    assert {names[number] for number in past["up"]} == {
        "normalized.grid.demand_mwh",
        "normalized.demand.demand_mwh",
        "staging.eia.region_data.value",
    }
    audits = next(table["audits"] for table in data["tables"] if table["name"] == "quality.odd")
    assert [(audit["name"], audit["failures"]) for audit in audits] == [("not_null(text)", 1)]
    boxes = set(re.findall(r'data-name="([^"]+)"', page))
    assert boxes == {table["name"] for table in data["tables"]}


def test_no_box_lies_over_another_and_lines_run_forward() -> None:
    graph = read_facts(Home(Path("/nonexistent")), sql=sql_dir()).lineage.reads
    layout = arrange(graph)
    boxes = list(layout.boxes.values())
    for number, one in enumerate(boxes):
        assert 0 <= one.x <= layout.width - WIDTH
        assert 0 <= one.y <= layout.height - HEIGHT
        for other in boxes[number + 1 :]:
            assert abs(one.x - other.x) >= WIDTH or abs(one.y - other.y) >= HEIGHT, f"{one.name} {other.name}"
    for line in layout.lines:
        stations = [layout.boxes[line.start].x, *(x for x, _ in line.points), layout.boxes[line.end].x]
        assert stations == sorted(set(stations))
        for x, y in line.points:
            assert not any(box.x == x and box.y <= y <= box.y + HEIGHT for box in boxes), f"{line.start} {line.end}"
    assert {(line.start, line.end) for line in layout.lines} == {(t, n) for n, reads in graph.items() for t in reads}


def test_the_site_is_replaced_whole_and_only_where_it_was_ours(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    pages = write_site(desk.home, folder)
    assert pages == len(list(folder.rglob("*.html")))
    (folder / "tables" / "gone.html").write_text("of a model that is gone")
    write_site(desk.home, folder)
    assert not (folder / "tables" / "gone.html").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["pages"]

    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(StorageError, match="holds something else"):
        write_site(desk.home, other)
    assert [path.name for path in other.iterdir()] == ["thesis.txt"]


def test_the_page_of_lineage_is_written_whole(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "new" / "lineage.html"
    write_page(desk.home, file)
    assert file.read_text("utf-8") == render_page(read_facts(desk.home))
    assert [path.name for path in file.parent.iterdir()] == ["lineage.html"]
