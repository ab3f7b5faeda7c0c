"""The OpenLineage runs of a build: one of the build, with a child for each model that it built and one for the audits.

The runs of models end when the version is published, because nobody can read their tables before. If the build fails,
they end with ABORT, because their rows are discarded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    data_quality_assertions_dataset,
    dataset_version_dataset,
    output_statistics_output_dataset,
)
from openlineage.client.generated.base import DatasetFacet

from energywh.core.database import connect
from energywh.errors import AuditError
from energywh.integrations.openlineage.job_runs import (
    PRODUCER,
    End,
    EventSender,
    JobFacts,
    JobRun,
    begin,
    database,
    documentation,
    end_failed,
    ending,
    message,
    now,
    schema,
)
from energywh.models.build.events import (
    BuildEnded,
    BuildEvent,
    BuildFailed,
    BuildStarted,
    ModelEnded,
    ModelLeftOut,
    ModelsLinked,
    ModelStarted,
)
from energywh.models.catalog.read_lineage import lineage_of_version
from energywh.models.contents.build_state import BuildState
from energywh.models.project.graph import STAGING, Graph
from energywh.models.tracing.traces import ROWS

if TYPE_CHECKING:
    from energywh.core.paths import Home
    from energywh.integrations.openlineage import Target
    from energywh.models.build.materialize import ModelResult
    from energywh.models.build.report import BuildReport
    from energywh.models.project.model import Audit

Place = Callable[[str], tuple[str, str]]  # of a table: namespace and name of its dataset
# Of a model and a column of it, the columns (table, column) that it is made of.
Origins = Callable[[str, str], Iterable[tuple[str, str]]]


class OpenLineageBuild:
    """A listener that sends the OpenLineage events of one build.

    Args:
        say: takes a warning for the user, where events are lost.
    """

    def __init__(self, target: Target, say: Callable[[str], None]) -> None:
        self._target = target
        self._say = say
        self._runs: _BuildRuns | None = None  # None: the build runs without events

    def __call__(self, event: BuildEvent) -> None:
        if isinstance(event, BuildStarted):
            begun = begin(self._target, self._say, _start_build)
            self._runs = None if begun is None else _BuildRuns(event.home, *begun)
        elif self._runs is not None:
            self._runs.take(event)


def _start_build(sender: EventSender) -> JobRun:
    return JobRun(
        sender,
        JobFacts(
            "build",
            "BUILD",
            "Builds the models from staging, audits them and publishes the warehouse.",
            engine=duckdb.__version__,
        ),
    )


class _BuildRuns:
    """The run of a build, and those of its models and audits."""

    def __init__(self, home: Home, sender: EventSender, build: JobRun) -> None:
        self._home = home
        self._sender = sender
        self._build = build
        self._began = now()
        self._graph: Graph | None = None
        self._under_way: tuple[str, str] | None = None  # name of the model being built, and when it began
        self._runs: dict[str, JobRun] = {}

    def take(self, event: BuildEvent) -> None:
        """Send the OpenLineage events of a build event."""
        match event:
            case ModelsLinked(graph):
                self._graph = graph
            case ModelStarted(name):
                self._under_way = name, now()
            case ModelEnded(result):
                with self._sender.errors_as_warnings():
                    if result.built and result.materialized != "inline":  # a step has no table
                        self._start()
                self._under_way = None
            case ModelLeftOut(name, reason):
                with self._sender.errors_as_warnings():
                    self._left_out(name, reason)
            case BuildFailed(error):
                with ending(self._build, self._sender):
                    with self._sender.errors_as_warnings():
                        self._failed(error)
                    end_failed(self._build, error)
            case BuildEnded(report):
                with ending(self._build, self._sender):
                    with self._sender.errors_as_warnings():
                        self._published(report)
                    self._build.end("COMPLETE")

    def _left_out(self, name: str, reason: str) -> None:
        if self._under_way is not None and self._under_way[0] == name:
            self._start()
            self._under_way = None
        if name in self._runs:
            self._runs.pop(name).end("FAIL", error=reason)

    def _failed(self, error: BaseException) -> None:
        """End the runs of models: what they wrote is discarded."""
        state: End = "ABORT" if isinstance(error, KeyboardInterrupt) else "FAIL"
        if isinstance(error, AuditError):
            self._audits().end("FAIL", error=message(error))
        elif self._under_way is not None:
            self._start()
            self._runs.pop(self._under_way[0]).end(state, error=message(error) if state == "FAIL" else "")
        for run in self._runs.values():
            run.end("ABORT")

    def _published(self, report: BuildReport) -> None:
        """End the runs of models and of the audits: what they wrote is published."""
        if not self._runs:
            return
        assert self._graph is not None
        lineage = lineage_of_version(report.path)
        steps = self._graph.steps

        def origins(model: str, column: str) -> list[tuple[str, str]]:
            places: set[tuple[str, str]] = set()
            for place in {origin.place for origin in lineage.trace((model, column)).values if origin.column != ROWS}:
                places.update(origins(*place) if place[0] in steps else [place])
            return sorted(places)

        version = _Version(report.path, self._place, origins)
        for result in report.models:
            if result.name in self._runs:
                output = version.output(result, self._graph.models[result.name].description)
                self._runs[result.name].end("COMPLETE", outputs=[output])
        audited = [version.audited(name, self._graph.models[name].audits) for name in self._runs]
        self._audits().end("COMPLETE", inputs=[dataset for dataset in audited if dataset is not None])

    def _start(self) -> None:
        """Start the run of the model under way."""
        # Only when a model ends is it known whether there was anything to build.
        assert self._under_way is not None
        assert self._graph is not None
        name, since = self._under_way
        if name in self._runs:
            return
        model = self._graph.models[name]
        upstream = [table for table in self._graph.upstream(name) if table not in self._graph.steps]
        reads = [*self._graph.staging(name), *upstream]
        self._runs[name] = JobRun(
            self._sender,
            JobFacts(f"build.{name}", "MODEL", model.description, engine=duckdb.__version__, sql=model.sql),
            parent=self._build,
            inputs=[InputDataset(*self._place(table)) for table in reads],
            outputs=[OutputDataset(*self._place(name))],
            started_at=since,
        )

    def _audits(self) -> JobRun:
        return JobRun(
            self._sender,
            JobFacts("build.audit", "TEST", "Checks the promises that the models make about their data."),
            parent=self._build,
            started_at=self._began,
        )

    def _place(self, table: str) -> tuple[str, str]:
        if table.startswith(STAGING):
            return database(self._home.staging), table.removeprefix(STAGING)
        return database(self._home.energy), table


class _Version:
    """The datasets of the published version at ``path``."""

    def __init__(self, path: Path, place: Place, origins: Origins) -> None:
        self._name = path.stem
        self._place = place
        self._origins = origins
        with connect(path) as connection:
            state = BuildState(connection)
            self._digests = {model: state.digests(model) for model in state.models}
            self._columns: dict[str, list[tuple[str, str, str]]] = {}
            query = 'SELECT model, name, type, description FROM energywh."column" ORDER BY model, position'
            for model, name, kind, words in connection.execute(query).fetchall():
                self._columns.setdefault(model, []).append((name, kind, words))
            # NULL for audits that only `energywh check` runs.
            query = "SELECT model, audit, failures FROM energywh.audit WHERE failures IS NOT NULL"
            self._failures = {
                (model, audit): failures for model, audit, failures in connection.execute(query).fetchall()
            }

    def output(self, result: ModelResult, description: str) -> OutputDataset:
        """Return the table of a model that was built, with the rows that were written."""
        columns, digests = self._columns[result.name], self._digests[result.name]
        months = digests if result.months is None else result.changed_months
        rows = sum(digests[month].rows for month in months if month in digests)
        written = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=rows, producer=PRODUCER)
        facets: dict[str, DatasetFacet] = {
            "documentation": documentation(description),
            "schema": schema(columns),
            "version": dataset_version_dataset.DatasetVersionDatasetFacet(self._name, producer=PRODUCER),
        }
        if fields := self._lineage(result.name, [name for name, _, _ in columns]):
            facets["columnLineage"] = column_lineage_dataset.ColumnLineageDatasetFacet(fields, producer=PRODUCER)
        return OutputDataset(*self._place(result.name), facets=facets, outputFacets={"outputStatistics": written})

    def _lineage(self, model: str, columns: Iterable[str]) -> dict[str, column_lineage_dataset.Fields]:
        """Return the input columns of each column whose lineage is known."""
        fields = {}
        for column in columns:
            places = [(self._place(table), name) for table, name in self._origins(model, column)]
            if places:
                inputs = [column_lineage_dataset.InputField(*place, name) for place, name in places]
                fields[column] = column_lineage_dataset.Fields(inputs)
        return fields

    def audited(self, model: str, audits: Iterable[Audit]) -> InputDataset | None:
        """Return a model as input of its audits, with their outcomes; None if it has none."""
        assertions = [
            data_quality_assertions_dataset.Assertion(
                assertion=audit.kind,
                success=not self._failures[model, audit.name],
                column=audit.columns[0] if len(audit.columns) == 1 else None,
                severity=audit.severity,
                name=audit.name,
                description=audit.description or None,
                actual=str(self._failures[model, audit.name]),
                content=audit.sql or None,
                contentType="sql" if audit.sql else None,
            )
            for audit in audits
            if (model, audit.name) in self._failures
        ]
        if not assertions:
            return None
        facet = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(assertions, producer=PRODUCER)
        return InputDataset(*self._place(model), inputFacets={"dataQualityAssertions": facet})
