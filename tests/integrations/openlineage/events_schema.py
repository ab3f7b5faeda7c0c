"""Validate OpenLineage events against the standard's schemas."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

FOLDER = Path(__file__).parent / "schemas"
SCHEMAS = {path.stem: json.loads(path.read_text("utf-8")) for path in FOLDER.glob("*.json")}
REGISTRY: Registry[Any] = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()
)
WITHOUT_A_SCHEMA = {"InputStatisticsInputDatasetFacet", "TagsRunFacet"}  # the latter is the client's, of its version
ENDS = ("COMPLETE", "FAIL", "ABORT")

Event = dict[str, Any]


def validate(event: Event) -> None:
    """Raise if an event, or a facet in it, is not what the standard asks."""
    _against("OpenLineage", "RunEvent", event)
    assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    UUID(event["run"]["runId"])
    for holder in ("inputs", "outputs"):
        for dataset in event[holder]:
            _facets(dataset.get("facets", {}))
            _facets(dataset.get("inputFacets", {}))
            _facets(dataset.get("outputFacets", {}))
    _facets(event["run"].get("facets", {}))
    _facets(event["job"].get("facets", {}))


def _facets(facets: dict[str, Any]) -> None:
    for facet in facets.values():
        name = facet["_schemaURL"].rsplit("/", 1)[1]
        assert facet["_schemaURL"].endswith(f"/{name}.json#/$defs/{name}")
        if name not in WITHOUT_A_SCHEMA:
            _against(name, name, facet)


def _against(file: str, definition: str, document: Any) -> None:
    schema = {"$ref": f"{SCHEMAS[file]['$id']}#/$defs/{definition}"}
    Draft202012Validator(schema, registry=REGISTRY, format_checker=FormatChecker()).validate(document)


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
