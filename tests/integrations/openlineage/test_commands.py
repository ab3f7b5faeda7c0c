"""`energywh sync` and `energywh build` send events that follow the standard."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from energywh.models.catalog.catalog import read_catalog
from tests.integrations.openlineage.collector import Collector, collector
from tests.integrations.openlineage.event_checks import Event, ends, event, validate
from tests.support.desk import KEY, Desk, desk_with_simulator
from tests.support.staging import query

API_KEY = "KeyOfTheCollector0123456789"
TOKEN = "TokenInTheAddress0123456789"


@dataclass
class Sent:
    """The events that a sync and a build sent to the file and to the collector, and what they printed."""

    desk: Desk
    in_file: list[Event]
    collected: Collector
    printed: str

    @property
    def synced(self) -> list[Event]:
        return [each for each in self.in_file if each["job"]["name"] == "sync"]

    @property
    def built(self) -> list[Event]:
        return [each for each in self.in_file if each["job"]["name"] != "sync"]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    """A month of one authority, synced from the simulator and built."""
    folder = tmp_path_factory.mktemp("openlineage")
    file = folder / "events.jsonl"
    with collector() as taken, desk_with_simulator(folder, now="2024-06-01T00") as (plain, _):
        desk = plain.having(
            OPENLINEAGE_FILE=str(file),
            OPENLINEAGE_URL=f"{taken.url}/api/v1/lineage?token={TOKEN}",
            OPENLINEAGE_NAMESPACE="grid",
        )
        printed = ""
        for words in (["sync", "--since", "2024-04-01", "--until", "2024-04-30", "--region", "CISO"], ["build"]):
            done = desk.run(*words, env={**desk.environment, "OPENLINEAGE_API_KEY": API_KEY})
            assert done.returncode == 0, done.stderr
            printed += done.stdout + done.stderr
        yield Sent(desk, [json.loads(line) for line in file.read_text("utf-8").splitlines()], taken, printed)


def test_every_event_meets_the_standard_and_every_run_ends_once(sent: Sent) -> None:
    for each in sent.in_file:
        validate(each)
        assert each["job"]["namespace"] == "grid"
    models = {model.name for model in read_catalog(sent.desk.home) if model.materialized != "inline"}
    jobs = {"sync", "build", "build.audit", *(f"build.{model}" for model in models)}
    assert ends(sent.in_file) == dict.fromkeys(jobs, "COMPLETE")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["eventTime"], "2024-06-01T00:00:00"),
        (["eventType"], "DONE"),
        (["run", "runId"], "one"),
        (["job", "name"], ""),
        (["inputs", 0, "namespace"], ""),
        (["run", "facets", "parent", "job", "name"], ""),
        (["run", "facets", "processing_engine", "version"], 5),
        (["run", "facets", "engine"], {}),
        (["job", "facets", "sql", "querry"], "select 1"),
        (["outputs", 0, "facets", "schema", "_schemaURL"], "https://openlineage.io/spec/facets/1-0-0/Schema.json"),
        (["outputs", 0, "facets", "columnLineage", "fields", "hour_utc", "inputFields", 0, "field"], ""),
        (["outputs", 0, "outputFacets", "outputStatistics", "rowCount"], "many"),
    ],
)
def test_an_event_that_breaks_the_standard_is_found(sent: Sent, place: list[str | int], value: object) -> None:
    broken = copy.deepcopy(event(sent.built, "build.normalized.generation_reported"))
    validate(broken)
    *path, last = place
    within: Any = broken
    for step in path:
        within = within[step]
    within[last] = value
    with pytest.raises((AssertionError, KeyError, ValueError)):
        validate(broken)


def test_the_endpoint_gets_the_same_events_with_the_key(sent: Sent) -> None:
    assert sent.collected.events == sent.in_file
    assert set(sent.collected.keys) == {f"Bearer {API_KEY}"}
    assert set(sent.collected.paths) == {f"/api/v1/lineage?token={TOKEN}"}


def test_no_secret_is_in_an_event_or_printed(sent: Sent) -> None:
    for text in (json.dumps(sent.in_file), sent.printed):
        for secret in (KEY, API_KEY, TOKEN):
            assert secret not in text


def test_a_sync_sends_what_it_read_and_what_it_landed(sent: Sent) -> None:
    end = event(sent.synced, "sync")
    read = {each["name"]: each for each in end["inputs"]}
    landed = {each["name"]: each for each in end["outputs"]}
    assert (
        set(read)
        == set(landed)
        == {
            "eia.region_data",
            "eia.fuel_type_data",
            "eia.interchange_data",
            "eia.region_sub_ba_data",
        }
    )
    ((rows,),) = query(sent.desk.staging, "select count(*) from eia.region_data")
    assert landed["eia.region_data"]["outputFacets"]["outputStatistics"]["rowCount"] == rows > 2000
    assert read["eia.region_data"]["inputFacets"]["inputStatistics"]["rowCount"] == rows
    assert read["eia.region_data"]["namespace"] == sent.desk.url
    assert landed["eia.region_data"]["namespace"] == f"duckdb://{sent.desk.staging}"
    columns = query(
        sent.desk.staging,
        "select column_name, data_type from duckdb_columns() where schema_name = 'eia' and table_name = 'region_data' "
        "and column_name != 'known_from_utc' order by column_index",
    )
    fields = landed["eia.region_data"]["facets"]["schema"]["fields"]
    assert [(field["name"], field["type"]) for field in fields] == columns


def test_a_model_sends_where_it_comes_from_and_what_it_holds(sent: Sent) -> None:
    build, end = event(sent.built, "build", start=True), event(sent.built, "build.normalized.generation_reported")
    assert end["run"]["facets"]["parent"]["run"]["runId"] == build["run"]["runId"]
    assert end["run"]["facets"]["processing_engine"]["name"] == "DuckDB"
    staging, warehouse = f"duckdb://{sent.desk.staging}", f"duckdb://{sent.desk.home.energy}"
    assert {(each["namespace"], each["name"]) for each in end["inputs"]} >= {(staging, "eia.fuel_type_data")}
    grid = event(sent.built, "build.normalized.grid", start=True)
    assert {(each["namespace"], each["name"]) for each in grid["inputs"]} >= {(warehouse, "normalized.demand")}
    assert "staging.eia.fuel_type_data" in end["job"]["facets"]["sql"]["query"]

    (output,) = end["outputs"]
    assert (output["namespace"], output["name"]) == (warehouse, "normalized.generation_reported")
    (model,) = [each for each in read_catalog(sent.desk.home) if each.name == "normalized.generation_reported"]
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == model.rows
    assert output["facets"]["documentation"]["description"] == model.description
    fields = output["facets"]["schema"]["fields"]
    assert [(field["name"], field["type"], field["description"]) for field in fields] == [
        (column.name, column.type, column.description) for column in model.columns
    ]
    assert output["facets"]["version"]["datasetVersion"] == sent.desk.home.energy.resolve().stem


def test_audits_are_sent_as_assertions(sent: Sent) -> None:
    audited = {each["name"]: each for each in event(sent.built, "build.audit")["inputs"]}
    assertions = audited["normalized.demand"]["inputFacets"]["dataQualityAssertions"]["assertions"]
    (model,) = [each for each in read_catalog(sent.desk.home) if each.name == "normalized.demand"]
    assert [(each["name"], each["success"]) for each in assertions] == [
        (audit.name, audit.failures == 0) for audit in model.audits
    ]
    assert {"unique", "not_null"} <= {each["assertion"] for each in assertions}


def test_an_audit_that_only_check_runs_is_not_sent_as_passed(sent: Sent) -> None:
    (model,) = [each for each in read_catalog(sent.desk.home) if each.name == "normalized.generation_reported"]
    ran = {audit.name for audit in model.audits if audit.failures is not None}
    assert ran < {audit.name for audit in model.audits}
    audited = {each["name"]: each for each in event(sent.built, "build.audit")["inputs"]}
    assertions = audited[model.name]["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert {each["name"] for each in assertions} == ran


def test_every_column_of_a_model_has_its_input_columns(sent: Sent) -> None:
    (grid,) = event(sent.built, "build.normalized.grid")["outputs"]
    fields = grid["facets"]["columnLineage"]["fields"]
    assert set(fields) == {field["name"] for field in grid["facets"]["schema"]["fields"]}
    warehouse = f"duckdb://{sent.desk.home.energy}"
    (origin,) = fields["demand_mwh"]["inputFields"]
    assert (origin["namespace"], origin["name"], origin["field"]) == (warehouse, "normalized.demand", "demand_mwh")
    (reported,) = event(sent.built, "build.normalized.demand_reported")["outputs"]
    origins = reported["facets"]["columnLineage"]["fields"]["demand_mwh"]["inputFields"]
    assert {(each["name"], each["field"]) for each in origins} >= {("eia.region_data", "value")}
