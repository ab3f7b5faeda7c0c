"""Check OpenLineage events with the types of the standard's own client, and a table of what the standard requires."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from openlineage.client import generated
from openlineage.client.event_v2 import RunEvent
from openlineage.client.serde import Serde

Event = dict[str, Any]

ENDS = ("COMPLETE", "FAIL", "ABORT")

# What the standard requires to be there and not empty, by place in an event. `*` stands for each item.
REQUIRED = (
    "eventType",
    "eventTime",
    "producer",
    "schemaURL",
    "run.runId",
    "job.namespace",
    "job.name",
    "inputs.*.namespace",
    "inputs.*.name",
    "outputs.*.namespace",
    "outputs.*.name",
)
# Where the standard defines a facet, its key there, the client's class of it, and what in it must not be empty.
FACETS = {
    ("run.facets", "parent"): ("ParentRunFacet", ("run.runId", "job.namespace", "job.name")),
    ("run.facets", "processing_engine"): ("ProcessingEngineRunFacet", ("version",)),
    ("run.facets", "errorMessage"): ("ErrorMessageRunFacet", ("message", "programmingLanguage")),
    ("run.facets", "tags"): ("TagsRunFacet", ()),  # the client adds its own version
    ("job.facets", "jobType"): ("JobTypeJobFacet", ("processingType", "integration")),
    ("job.facets", "documentation"): ("DocumentationJobFacet", ("description",)),
    ("job.facets", "sql"): ("SQLJobFacet", ("query",)),
    ("inputs.*.facets", "dataSource"): ("DatasourceDatasetFacet", ()),
    ("inputs.*.inputFacets", "inputStatistics"): ("InputStatisticsInputDatasetFacet", ()),
    ("inputs.*.inputFacets", "dataQualityAssertions"): (
        "DataQualityAssertionsDatasetFacet",
        ("assertions", "assertions.*.assertion"),
    ),
    ("outputs.*.facets", "schema"): ("SchemaDatasetFacet", ("fields.*.name",)),
    ("outputs.*.facets", "documentation"): ("DocumentationDatasetFacet", ("description",)),
    ("outputs.*.facets", "version"): ("DatasetVersionDatasetFacet", ("datasetVersion",)),
    ("outputs.*.facets", "columnLineage"): (
        "ColumnLineageDatasetFacet",
        (
            "fields.*.inputFields",
            "fields.*.inputFields.*.namespace",
            "fields.*.inputFields.*.name",
            "fields.*.inputFields.*.field",
        ),
    ),
    ("outputs.*.outputFacets", "outputStatistics"): ("OutputStatisticsOutputDatasetFacet", ()),
}
FACET_HOLDERS = sorted({holder for holder, _ in FACETS})


def facet_types() -> dict[str, type]:
    """Return the facet classes of the client by name."""
    modules = (module.name for module in pkgutil.iter_modules(generated.__path__))
    found: dict[str, type] = {}
    for module in modules:
        found |= vars(importlib.import_module(f"{generated.__name__}.{module}"))
    return found


TYPES = facet_types()


def validate(event: Event) -> None:
    """Raise AssertionError or ValueError if an event, or a facet in it, is not what the standard asks."""
    msgspec.convert(event, RunEvent)
    _check_present(event, REQUIRED)
    assert event["eventType"] in ("START", *ENDS)
    assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    UUID(event["run"]["runId"])
    for url in (event["producer"], event["schemaURL"]):
        assert urlsplit(url).scheme
    for holder in FACET_HOLDERS:
        for facets in _at(event, holder):
            for key, facet in facets.items():
                _check_facet(holder, key, facet)


def _check_facet(holder: str, key: str, facet: Event) -> None:
    name, required = FACETS[holder, key]
    assert urlsplit(facet["_producer"]).scheme
    assert facet["_schemaURL"].endswith(f"/{name}.json#/$defs/{name}")
    # A misspelt field is lost on the way through the class.
    assert Serde.to_dict(msgspec.convert(facet, TYPES[name])) == facet
    _check_present(facet, required)


def _check_present(document: Event, places: Iterable[str]) -> None:
    for place in places:
        holder, _, key = place.rpartition(".")
        for each in _at(document, holder):
            assert each.get(key) not in (None, "", [], {}), f"{place} is empty"


def _at(document: Any, place: str) -> Iterator[Any]:
    """Yield the value at a path of a document, or nothing if it is absent."""
    if not place:
        yield document
        return
    first, _, rest = place.partition(".")
    if first == "*":
        items = document.values() if isinstance(document, dict) else document
    else:
        items = [document[first]] if first in document else []
    for item in items:
        yield from _at(item, rest)


def ends(events: Iterable[Event]) -> dict[str, str]:
    """Return how the run of each job ended, after checking that each has one START and then one end, of the same job.

    Jobs here run once each.
    """
    by_run: dict[str, list[Event]] = {}
    for event in events:
        by_run.setdefault(event["run"]["runId"], []).append(event)
    found = {}
    for run in by_run.values():
        start, end = run
        assert start["eventType"] == "START"
        assert end["eventType"] in ENDS
        assert start["job"]["name"] == end["job"]["name"]
        assert start["eventTime"] <= end["eventTime"]
        assert start["job"]["name"] not in found
        found[start["job"]["name"]] = end["eventType"]
    return found


def event(events: Iterable[Event], job: str, *, start: bool = False) -> Event:
    """Return the end of the run of ``job``, or its start."""
    (found,) = [each for each in events if each["job"]["name"] == job and (each["eventType"] == "START") == start]
    return found
